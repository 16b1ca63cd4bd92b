"""Stripe's Checkout and saved cards, over real HTTP against the fake."""

from typing import Any

import pytest
from django.test import Client

from catalog.access import PurchaseRequiredError, check_contents
from licensing.gateways.base import GatewayError, GatewayRefusedError, PaymentDeclinedError
from licensing.gateways.registry import gateway_named
from licensing.models import LedgerAccount, License, Order, Payment, PaymentEvent, StripeCustomer
from licensing.services import checkout, inbox, ledger
from licensing.services.offers import NewPrice
from tests.factories import make_org, make_user
from tests.licensing.gateways.conftest import Deliver
from tests.licensing.selling.shop import Shop, open_shop
from tests.stripe_fake import StripeFake

pytestmark = pytest.mark.django_db
AT: dict[str, Any] = {"gateway": "stripe-test", "currency": "EUR"}


def test_a_checkout_asks_for_the_orders_price_and_nothing_else(fake: StripeFake) -> None:
    order = open_shop().order()

    started = checkout.start(order)

    [session] = fake.all("checkout.session")
    assert started.url == session["url"]
    assert (session["amount_total"], session["currency"]) == (1900, "eur")
    assert session["metadata"] == {"order_ref": order.public_id}
    assert session["client_reference_id"] == order.public_id
    assert session["expires_at"] == int(order.expires_at.timestamp())
    assert (order.gateway, order.is_test, order.state) == ("stripe-test", True, Order.State.OPEN)


def test_a_paid_session_makes_the_license(fake: StripeFake, deliver: Deliver) -> None:
    shop = open_shop()
    order = shop.order()
    checkout.start(order)
    intent = fake.pay(fake.all("checkout.session")[0])

    answers = [deliver(event) for event in fake.take()]

    assert [answer.status_code for answer in answers] == [200, 200]
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    assert Payment.objects.get().external_id == intent["id"]
    assert PaymentEvent.objects.get().outcome == PaymentEvent.Outcome.APPLIED  # one fact of two
    assert ledger.balance(LedgerAccount.Kind.GATEWAY, **AT) == 1900
    check_contents(shop.buying, shop.repo)


def test_starting_again_leads_to_the_same_page(fake: StripeFake) -> None:
    order = open_shop().order()

    pages = {checkout.start(order).url for _ in range(3)}

    assert len(pages) == len(fake.all("checkout.session")) == 1


def test_an_answer_that_was_lost_makes_no_second_session(fake: StripeFake) -> None:
    order = open_shop().order()
    checkout.start(order)
    [before] = fake.all("checkout.session")
    from licensing.models import StripeObject

    StripeObject.objects.all().delete()  # as if the store died before it wrote it down

    started = checkout.start(order)

    assert started.url == before["url"]
    assert fake.all("checkout.session") == [before]


def test_an_expired_session_is_followed_by_a_new_one(fake: StripeFake) -> None:
    order = open_shop().order()
    first = checkout.start(order).url
    fake.expire(fake.all("checkout.session")[0])

    second = checkout.start(order).url

    assert second
    assert second != first


def test_a_session_that_was_paid_unheard_is_found_when_it_is_started_again(
    fake: StripeFake,
) -> None:
    order = open_shop().order()
    checkout.start(order)
    fake.pay(fake.all("checkout.session")[0])

    started = checkout.start(order)

    assert started.url == ""
    assert order.state == Order.State.FULFILLED


def test_tax_is_a_line_of_its_own(fake: StripeFake) -> None:
    order = open_shop().order()
    Order.objects.filter(pk=order.pk).update(net_minor=1600, tax_minor=300)
    order.refresh_from_db()

    checkout.start(order)

    [lines] = [given["line_items"] for _verb, path, given in fake.calls if "sessions" in path]
    assert [row["price_data"]["unit_amount"] for row in lines] == ["1600", "300"]
    assert lines[1]["price_data"]["product_data"] == {"name": "Tax"}


def test_without_stripe_the_order_stays_open(fake: StripeFake) -> None:
    order = open_shop().order()
    fake.is_down = True

    with pytest.raises(GatewayError):
        checkout.start(order)

    order.refresh_from_db()
    assert order.state == Order.State.OPEN
    fake.is_down = False
    assert checkout.start(order).url


def test_an_amount_stripe_does_not_take_is_refused(fake: StripeFake) -> None:
    order = open_shop(prices=(NewPrice("EUR", 10),)).order()

    with pytest.raises(GatewayRefusedError) as caught:
        checkout.start(order)

    assert caught.value.extra == {"reason": "amount_too_small"}
    assert not Payment.objects.exists()


def bought_once(shop: Shop, fake: StripeFake, deliver: Deliver) -> None:
    """Pay in a browser, which saves a card."""
    checkout.start(shop.order("first"), payer=shop.buyer)
    fake.pay(fake.all("checkout.session")[0])
    for event in fake.take():
        deliver(event)


def test_a_script_pays_with_a_saved_card(fake: StripeFake, deliver: Deliver) -> None:
    shop = open_shop()
    bought_once(shop, fake, deliver)
    order = shop.order("second")

    started = checkout.start(order, payer=shop.buyer, method="saved")

    assert not started.needs_browser
    assert order.state == Order.State.FULFILLED
    assert License.objects.count() == 2
    for event in fake.take():
        deliver(event)
    assert Payment.objects.count() == 2


def test_a_declined_card_buys_nothing_and_can_be_followed_by_a_good_one(
    fake: StripeFake, deliver: Deliver
) -> None:
    shop = open_shop()
    bought_once(shop, fake, deliver)
    order = shop.order("second")
    fake.cards["pm_good"] = "insufficient_funds"

    for _ in range(2):
        with pytest.raises(PaymentDeclinedError) as caught:
            checkout.start(order, payer=shop.buyer, method="pm_good")
        assert caught.value.extra == {"reason": "insufficient_funds"}

    order.refresh_from_db()
    assert (order.state, order.paid_minor) == (Order.State.OPEN, 0)
    fake.cards["pm_good"] = ""
    checkout.start(order, payer=shop.buyer, method="pm_good")
    assert order.state == Order.State.FULFILLED


@pytest.mark.parametrize("decline", ["authentication_required", "requires_action"])
def test_a_bank_that_wants_its_customer_is_given_a_page(
    decline: str, fake: StripeFake, deliver: Deliver
) -> None:
    shop = open_shop()
    bought_once(shop, fake, deliver)
    order = shop.order("second")
    fake.cards["pm_good"] = decline

    started = checkout.start(order, payer=shop.buyer, method="saved")

    assert started.needs_browser
    session = fake.all("checkout.session")[-1]
    assert started.url == session["url"]
    assert order.state == Order.State.OPEN
    fake.pay(session)
    for event in fake.take("checkout.session.completed"):
        deliver(event)
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED


@pytest.mark.parametrize("method", ["saved", "pm_good", "pm_nobodys"])
def test_nobody_pays_with_the_card_of_another(
    method: str, fake: StripeFake, deliver: Deliver
) -> None:
    shop = open_shop()
    bought_once(shop, fake, deliver)
    StripeCustomer.objects.update(user=shop.seller)
    order = shop.order("second")

    with pytest.raises(PaymentDeclinedError) as caught:
        checkout.start(order, payer=shop.buyer, method=method)

    assert caught.value.extra == {"reason": "unknown_method"}
    assert not fake.take("payment_intent.succeeded")


def test_a_colleague_pays_with_no_card_of_the_buyers(
    fake: StripeFake, deliver: Deliver, client: Client, bearer: Any, browser_of: Any
) -> None:
    shop = open_shop()
    bought_once(shop, fake, deliver)
    tom = make_user("tom")
    make_org("acme", ada="write", tom="write")
    order = shop.order("second", holder="acme")
    theirs = checkout.start(order, payer=shop.buyer).url

    refused = client.post(
        f"/api/v1/orders/{order.public_id}/pay",
        {"payment_method": "saved"},
        content_type="application/json",
        headers=bearer(tom, "buy"),
    )
    led = browser_of(tom).post(f"/orders/{order.public_id}/pay", headers={"Accept": "text/html"})

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "payment_declined")
    assert not fake.take("payment_intent.succeeded")
    _first, before, after = fake.all("checkout.session")
    assert (before["status"], after["status"]) == ("expired", "open")
    assert before["customer"] != after["customer"]
    assert after["url"] in led.text
    assert theirs not in led.text
    assert checkout.start(order, payer=tom).url == after["url"]


def test_a_lost_message_is_found_by_asking(fake: StripeFake) -> None:
    shop = open_shop()
    order = shop.order()
    checkout.start(order)
    intent = fake.pay(fake.all("checkout.session")[0])
    fake.refund_by_hand(intent, 1900)

    facts = gateway_named("stripe").facts_of(order.public_id)
    inbox.receive(order.gateway, facts)

    order.refresh_from_db()
    assert order.state == Order.State.REFUNDED
    with pytest.raises(PurchaseRequiredError):
        check_contents(shop.buying, shop.repo)


def test_a_payment_is_found_by_search_when_nothing_was_written_down(fake: StripeFake) -> None:
    from licensing.models import StripeObject

    order = open_shop().order()
    checkout.start(order)
    fake.pay(fake.all("checkout.session")[0])
    StripeObject.objects.all().delete()

    facts = gateway_named("stripe").facts_of(order.public_id)

    assert [fact.kind for fact in facts] == ["paid"]


def test_test_money_has_a_name_of_its_own(fake: StripeFake, settings: Any) -> None:
    from pydantic import SecretStr

    from licensing.gateways.registry import UnknownGatewayError

    assert gateway_named("stripe").name == "stripe-test"
    settings.ENV = settings.ENV.model_copy(update={"stripe_secret_key": SecretStr("sk_live_x")})

    assert gateway_named("stripe").name == "stripe"
    assert not gateway_named("stripe").is_test
    with pytest.raises(UnknownGatewayError):
        gateway_named("stripe-test")
