from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from licensing.gateways.sandbox import CARDS
from licensing.models import Dispute, License, Order, Payment, SandboxCharge
from licensing.services import settling
from tests.licensing.pages.buying import CARD, get, order_page_of, post, text_of, visible
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


@pytest.fixture
def shop(db: None) -> Shop:
    return open_shop()


@pytest.fixture
def buyer(shop: Shop, browser_of: Browser) -> Client:
    return browser_of(shop.buyer)


def nothing_paid() -> bool:
    return not (Payment.objects.exists() or License.objects.exists())


def test_it_says_what_it_is_and_shows_every_card(shop: Shop, buyer: Client) -> None:
    page = get(buyer, order_page_of(buyer, shop))
    words = visible(page)

    assert "no real money" in words
    assert "Pay €19.00" in words
    for card in CARDS:
        assert card.title in words
        assert card.spaced in words
    assert "4242 4242 4242 4242" in words


def test_a_typed_number_pays(shop: Shop, buyer: Client) -> None:
    bank = order_page_of(buyer, shop)

    answer = post(buyer, bank, {"number": "4242 4242 4242 4242"})

    order = Order.objects.get()
    assert answer["Location"] == f"/orders/{order.public_id}"
    assert order.state == Order.State.FULFILLED
    assert "This is paid." in visible(get(buyer, bank))


def test_paying_twice_charges_once(shop: Shop, buyer: Client) -> None:
    bank = order_page_of(buyer, shop)
    post(buyer, bank, {"card": CARD})

    assert post(buyer, bank, {"card": CARD}).status_code == 302

    assert Payment.objects.get().amount_minor == 1900
    assert License.objects.count() == 1


@pytest.mark.parametrize("number", ["", "1234", "4111111111111111", "x" * 500])
def test_no_test_card(shop: Shop, buyer: Client, number: str) -> None:
    bank = order_page_of(buyer, shop)

    assert "This is no test card." in visible(text_of(post(buyer, bank, {"number": number}), 400))

    assert nothing_paid()
    assert SandboxCharge.objects.get().state == SandboxCharge.State.OPEN


@pytest.mark.parametrize("number", ["4000000000000002", "4000000000009995"])
def test_a_declined_card_shows_the_way_back(shop: Shop, buyer: Client, number: str) -> None:
    bank = order_page_of(buyer, shop)

    page = text_of(post(buyer, bank, {"card": number}), 402)

    assert "The card was declined. Nothing was charged." in visible(page)
    assert "Choose a test card" in visible(page)
    assert f'href="/orders/{Order.objects.get().public_id}"' in page
    assert nothing_paid()
    assert post(buyer, bank, {"card": CARD}).status_code == 302
    assert License.objects.count() == 1


def test_3d_secure_asks_first(shop: Shop, buyer: Client) -> None:
    bank = order_page_of(buyer, shop)

    assert post(buyer, bank, {"card": "4000002760003184"})["Location"] == bank
    assert "Confirm the payment" in visible(get(buyer, bank))
    assert nothing_paid()

    words = visible(text_of(post(buyer, bank, {"refuse": "1"})))
    assert "You did not confirm. Nothing was charged." in words
    assert "Choose a test card" in words
    assert nothing_paid()

    assert post(buyer, bank, {"confirm": "1"}).status_code == 302
    assert License.objects.count() == 1


def test_a_confirmation_nobody_asked_for(shop: Shop, buyer: Client) -> None:
    bank = order_page_of(buyer, shop)

    assert post(buyer, bank, {"confirm": "1"}).status_code == 400
    assert post(buyer, bank, {"confirm": "1", "card": CARD}).status_code == 400

    assert nothing_paid()


@pytest.mark.parametrize(("how", "state"), [("won", "fulfilled"), ("lost", "refunded")])
def test_a_dispute_freezes_and_is_decided_here(
    shop: Shop, buyer: Client, how: str, state: str
) -> None:
    bank = order_page_of(buyer, shop)
    post(buyer, bank, {"card": "4000000000000259"})
    order = Order.objects.get()
    assert order.state == Order.State.DISPUTED
    assert "The payment is disputed" in visible(get(buyer, f"/orders/{order.public_id}"))
    assert "Here you are the bank" in visible(get(buyer, bank))

    post(buyer, bank, {"dispute": how})

    order.refresh_from_db()
    assert order.state == state
    assert Dispute.objects.get().state == how
    assert "Here you are the bank" not in visible(get(buyer, bank))


def test_a_cancelled_order_is_not_paid_by_its_page(shop: Shop, buyer: Client) -> None:
    bank = order_page_of(buyer, shop)
    settling.cancel(Order.objects.get().pk)

    words = visible(get(buyer, bank))
    assert "there is nothing to pay" in words
    assert "Choose a test card" not in words
    assert "there is nothing to pay" in visible(text_of(post(buyer, bank, {"card": CARD}), 409))

    assert nothing_paid()


def test_there_is_no_such_charge(client: Client) -> None:
    get(client, "/sandbox/000000000000000000000000", 404)


def test_a_site_without_the_sandbox_has_no_such_page(
    shop: Shop, buyer: Client, settings: Any
) -> None:
    bank = order_page_of(buyer, shop)
    settings.ENV = settings.ENV.model_copy(update={"gateways": ("invoice",)})

    get(buyer, bank, 404)
    assert post(buyer, bank, {"card": CARD}).status_code == 404

    assert nothing_paid()
