"""What a buyer at Stripe can mend: the card of a subscription, an order Stripe will not collect."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from licensing.models import License, Offer, Order, Subscription
from licensing.services import checkout
from licensing.services.offers import NewPrice
from tests.factories import make_org, make_user
from tests.licensing.gateways.conftest import Deliver
from tests.licensing.pages.buying import filled, get, post, put_in_cart, text_of, visible
from tests.licensing.selling.shop import Shop, open_shop
from tests.stripe_fake import StripeFake

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
MONTHLY: dict[str, Any] = {"kind": Offer.Kind.SUBSCRIPTION, "interval": "month"}


def subscribed(fake: StripeFake, deliver: Deliver, shop: Shop, **wish: Any) -> dict[str, Any]:
    """A subscription that the buyer began at Stripe, as Stripe knows it."""
    checkout.start(shop.order(**wish), payer=shop.buyer)
    fake.pay(fake.all("checkout.session")[0])
    for event in fake.take():
        deliver(event)
    return fake.all("subscription")[0]


def mending() -> str:
    return f"/library/{License.objects.get().public_id}/mend-payment"


def test_a_subscriber_whose_card_fails_is_led_to_the_billing_portal(
    fake: StripeFake, deliver: Deliver, browser_of: Browser, run_jobs: Any, mailoutbox: list[Any]
) -> None:
    shop = open_shop(**MONTHLY)
    at_stripe = subscribed(fake, deliver, shop)
    fake.renew(at_stripe, fails=True)
    for event in fake.take():
        deliver(event)
    run_jobs()
    letter = next(mail for mail in mailoutbox if "Payment failed" in mail.subject)
    page = f"/orders/{Order.objects.get().public_id}"
    assert letter.subject.startswith("TEST · ")
    assert page in letter.body
    assert "This was a test: no real money moved." in letter.body
    buyer = browser_of(shop.buyer)
    shown = get(buyer, page)
    assert "The last payment failed" in visible(shown)
    assert f'action="{mending()}"' in shown

    answer = text_of(post(buyer, mending()))

    [given] = [given for _verb, path, given in fake.calls if path == "/v1/billing_portal/sessions"]
    assert given["customer"] == at_stripe["customer"]
    assert given["return_url"].endswith(f"{mending().removesuffix('/mend-payment')}#subscription")
    assert f"{fake.url}/portal/bps_" in answer


def test_without_a_portal_the_open_invoice_is_paid_on_its_page(
    fake: StripeFake, deliver: Deliver, browser_of: Browser
) -> None:
    shop = open_shop(**MONTHLY)
    at_stripe = subscribed(fake, deliver, shop)
    buyer, fake.has_portal = browser_of(shop.buyer), False
    nothing = buyer.post(mending(), follow=True).content.decode()
    assert "Nothing is open" in visible(nothing)

    fake.renew(at_stripe, fails=True)

    assert f"{fake.url}/invoice/{at_stripe['id']}" in text_of(post(buyer, mending()))


def test_nobody_is_led_to_the_cards_of_another(
    fake: StripeFake, deliver: Deliver, browser_of: Browser
) -> None:
    shop = open_shop(**MONTHLY)
    mates = [make_user("bea"), make_user("ben")]
    make_org("acme", ada="admin", bea="write", ben="read")
    at_stripe = subscribed(fake, deliver, shop, holder="acme")
    fake.renew(at_stripe, fails=True)

    assert f"{fake.url}/invoice/" in text_of(post(browser_of(mates[0]), mending()))
    assert post(browser_of(mates[1]), mending()).status_code == 302
    assert post(browser_of(make_user("eve")), mending()).status_code == 404
    assert "/v1/billing_portal/sessions" not in {path for _verb, path, _given in fake.calls}


def test_an_outage_of_stripe_is_said(
    fake: StripeFake, deliver: Deliver, browser_of: Browser
) -> None:
    shop = open_shop(**MONTHLY)
    subscribed(fake, deliver, shop)
    fake.is_down = True

    page = browser_of(shop.buyer).post(mending(), follow=True).content.decode()

    assert "The payment service does not answer." in page
    assert Subscription.objects.get().state == Subscription.State.ACTIVE


def test_what_stripe_will_not_collect_is_said_and_the_cart_stays(
    fake: StripeFake, browser_of: Browser
) -> None:
    shop = open_shop(prices=(NewPrice("EUR", 40),))
    buyer = browser_of(shop.buyer)
    put_in_cart(buyer, shop.offer)
    for page in ("/cart", "/checkout", f"/{shop.repo.full_name}"):
        assert "pretended payments" in visible(get(buyer, page)), page  # the key is one for tests

    words = visible(text_of(post(buyer, "/checkout", filled(buyer)), 409))

    assert "Stripe refuses this: " in words
    assert "Change what you buy, or choose another way to pay." in words
    assert Order.objects.get().state == Order.State.CANCELLED
    assert shop.offer.title in visible(get(buyer, "/cart"))
    assert post(buyer, "/checkout", filled(buyer, gateway="sandbox")).status_code == 302
    assert Order.objects.latest("pk").gateway == "sandbox"


def test_an_open_order_stripe_will_not_collect_says_so_on_its_page(
    fake: StripeFake, browser_of: Browser
) -> None:
    shop = open_shop(prices=(NewPrice("EUR", 40),))
    order = shop.order()
    page = f"/orders/{order.public_id}"

    words = visible(browser_of(shop.buyer).post(f"{page}/pay", follow=True).content.decode())

    assert "Stripe refuses this: " in words
    assert "Nothing was charged. Cancel this order and buy another way." in words
    order.refresh_from_db()
    assert order.state == Order.State.OPEN
