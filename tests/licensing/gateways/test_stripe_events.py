"""Who may tell the store what happened at Stripe: signatures, clocks, modes, accounts, sizes."""

import json
import time
from typing import Any

import pytest
from django.test import Client
from pydantic import SecretStr

from licensing.models import Order, Payment, PaymentEvent
from licensing.services import checkout
from tests.licensing.gateways.conftest import Deliver
from tests.licensing.selling.shop import open_shop
from tests.stripe_fake import SECRET, StripeFake, signed

pytestmark = pytest.mark.django_db
URL = "/gateways/stripe/events"


@pytest.fixture
def order(fake: StripeFake) -> Order:
    """An order that was paid at Stripe; the store has not heard of it."""
    made = open_shop().order()
    checkout.start(made)
    fake.pay(fake.all("checkout.session")[0])
    return made


@pytest.fixture
def paid(fake: StripeFake, order: Order) -> dict[str, Any]:
    """The event that says so."""
    return fake.take("payment_intent.succeeded")[0]


def send(client: Client, body: bytes, header: str) -> Any:
    return client.post(
        URL, body, content_type="application/json", headers={"Stripe-Signature": header}
    )


def assert_untouched(order: Order) -> None:
    order.refresh_from_db()
    assert (order.state, order.paid_minor) == (Order.State.OPEN, 0)
    assert not PaymentEvent.objects.exists()
    assert not Payment.objects.exists()


def test_a_signed_event_counts(paid: dict[str, Any], order: Order, deliver: Deliver) -> None:
    answer = deliver(paid)

    assert (answer.status_code, answer.json()) == (200, {"facts": 1})
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda body, header: (body, ""), id="no signature"),
        pytest.param(lambda body, header: (body, "t=1"), id="time alone"),
        pytest.param(lambda body, header: (body, header.replace("v1", "v0")), id="other scheme"),
        pytest.param(lambda body, header: (body + b" ", header), id="changed body"),
        pytest.param(lambda body, header: (b"\xff" + body, header), id="no text"),
        pytest.param(lambda body, header: (body, header[:-1] + "é"), id="odd letters"),
        pytest.param(lambda body, header: (body, header[:-2]), id="cut signature"),
        pytest.param(lambda body, header: (body, f"t=1,{header}"), id="two times"),
        pytest.param(lambda body, header: (body, f"t=9{header[2:]}"), id="other time"),
        pytest.param(lambda body, header: (body, header.replace("t=", "t=٣")), id="other digits"),
        pytest.param(lambda body, header: (body, header + ",v1=a" * 50), id="many signatures"),
    ],
)
def test_a_forged_event_changes_nothing(
    forge: Any, paid: dict[str, Any], order: Order, client: Client
) -> None:
    body, header = signed(paid)

    answer = send(client, *forge(body, header))

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_event")
    assert_untouched(order)


def test_another_secret_is_forged(paid: dict[str, Any], order: Order, deliver: Deliver) -> None:
    assert deliver(paid, secret="whsec_other").status_code == 400
    assert_untouched(order)


@pytest.mark.parametrize("off_s", [-301, -86400, 305, 86400])
def test_an_old_or_early_event_changes_nothing(
    off_s: int, paid: dict[str, Any], order: Order, deliver: Deliver
) -> None:
    assert deliver(paid, at=time.time() + off_s).status_code == 400
    assert_untouched(order)


@pytest.mark.parametrize("off_s", [-280, 0, 280])
def test_clocks_may_differ_by_minutes(
    off_s: int, paid: dict[str, Any], order: Order, deliver: Deliver
) -> None:
    assert deliver(paid, at=time.time() + off_s).status_code == 200
    assert Payment.objects.count() == 1


def test_two_secrets_are_good_while_one_is_replaced(
    paid: dict[str, Any], fake: StripeFake, deliver: Deliver, settings: Any
) -> None:
    both = (SecretStr("whsec_new"), SecretStr(SECRET))
    settings.ENV = settings.ENV.model_copy(update={"stripe_webhook_secrets": both})

    assert deliver(paid, secret=SECRET).status_code == 200
    assert deliver(paid, secret="whsec_new").status_code == 200
    assert Payment.objects.count() == 1


def test_a_message_with_several_signatures_needs_one_good_one(
    paid: dict[str, Any], order: Order, client: Client
) -> None:
    body, header = signed(paid)
    stamp, good = header.split(",")

    assert send(client, body, f"{stamp},v0={'0' * 64},v1={'0' * 64},{good}").status_code == 200
    assert Payment.objects.count() == 1


def test_live_events_are_refused_in_test_mode(
    paid: dict[str, Any], order: Order, deliver: Deliver
) -> None:
    assert deliver(paid, livemode=True).status_code == 400
    assert_untouched(order)


def test_events_of_other_accounts_are_refused(
    paid: dict[str, Any], order: Order, deliver: Deliver
) -> None:
    assert deliver(paid, account="acct_of_somebody").status_code == 400
    assert_untouched(order)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"type": "x", "data": 1}', b"[" * 5000],
)
def test_what_is_signed_and_no_event_is_refused(
    body: bytes, order: Order, client: Client, deliver: Deliver
) -> None:
    import stripe

    header = stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET)

    assert send(client, body, header).status_code == 400
    assert_untouched(order)


def test_an_event_that_lacks_fields_is_refused(
    paid: dict[str, Any], order: Order, deliver: Deliver
) -> None:
    del paid["data"]["object"]["amount_received"]

    answer = deliver(paid)

    assert answer.status_code == 400
    assert "API version" in answer.json()["error"]
    assert_untouched(order)


def test_an_event_about_something_else_is_refused(
    paid: dict[str, Any], order: Order, deliver: Deliver
) -> None:
    assert deliver(paid, type="charge.dispute.created").status_code == 400
    assert_untouched(order)


def test_events_nobody_asked_for_are_answered_well(
    paid: dict[str, Any], order: Order, deliver: Deliver
) -> None:
    answer = deliver(paid, type="product.created")

    assert (answer.status_code, answer.json()) == (200, {"facts": 0})
    assert_untouched(order)


def test_nothing_larger_than_256_kb_is_read(
    paid: dict[str, Any], order: Order, deliver: Deliver
) -> None:
    answer = deliver(paid, padding="a" * 256 * 1024)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert_untouched(order)


def test_a_large_event_within_the_limit_counts(
    paid: dict[str, Any], order: Order, deliver: Deliver
) -> None:
    assert deliver(paid, padding="a" * 240 * 1024).status_code == 200
    assert Payment.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_received": 1899},
        {"amount_received": 1901},
        {"amount_received": 190000},
        {"currency": "usd"},
        {"currency": "jpy"},
        {"currency": "???"},
    ],
)
def test_another_amount_or_currency_fulfils_nothing_and_is_set_aside(
    wrong: dict[str, Any], paid: dict[str, Any], order: Order, deliver: Deliver
) -> None:
    paid["data"]["object"].update(wrong)

    assert deliver(paid).status_code == 200

    order.refresh_from_db()
    assert (order.state, order.paid_minor) == (Order.State.OPEN, 0)
    assert PaymentEvent.objects.get().outcome == PaymentEvent.Outcome.PARKED
    assert not Payment.objects.exists()


@pytest.mark.parametrize("ref", ["0" * 24, "", "x" * 500])
def test_an_unknown_order_is_kept_and_answered_well(
    ref: str, paid: dict[str, Any], order: Order, deliver: Deliver
) -> None:
    paid["data"]["object"]["metadata"] = {"order_ref": ref}

    assert deliver(paid).status_code == 200

    assert PaymentEvent.objects.get().outcome == PaymentEvent.Outcome.PARKED
    order.refresh_from_db()
    assert order.state == Order.State.OPEN


def test_the_same_event_three_times_is_one_payment(
    paid: dict[str, Any], order: Order, deliver: Deliver
) -> None:
    assert [deliver(paid).status_code for _ in range(3)] == [200] * 3

    assert Payment.objects.count() == PaymentEvent.objects.count() == 1


def test_when_stripe_cannot_be_asked_the_event_is_to_come_again(
    fake: StripeFake, order: Order, deliver: Deliver
) -> None:
    [intent] = fake.all("payment_intent")
    fake.refund_by_hand(intent, 500)
    [event] = fake.take("charge.refunded")
    fake.is_down = True

    assert deliver(event).status_code == 503
    assert_untouched(order)


def test_gateways_that_do_not_exist_or_send_nothing(client: Client, fake: StripeFake) -> None:
    assert client.post("/gateways/paypal/events", b"{}", "application/json").status_code == 404
    assert client.post("/gateways/sandbox/events", b"{}", "application/json").status_code == 400
    assert client.get(URL).status_code == 405


def test_the_sandbox_sends_events_to_the_same_door(client: Client) -> None:
    from licensing.gateways.sandbox import Sandbox, card_of, charge_named
    from licensing.gateways.sandbox import signed as signed_by_sandbox

    order = open_shop().order()
    page = checkout.start(order).url
    charge = charge_named(page.rsplit("/", 1)[1])
    card = card_of("4242 4242 4242 4242")
    assert card is not None
    Sandbox().pay(charge.public_id, card)
    body, headers = signed_by_sandbox(Sandbox().facts_of(order.public_id)[0])

    assert client.post("/gateways/sandbox/events", body, "text/plain").status_code == 400
    sent = client.post("/gateways/sandbox/events", body, "application/json", headers=headers)

    assert sent.status_code == 200
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED


def test_no_cookie_and_no_quota_stands_in_the_way(
    paid: dict[str, Any], fake: StripeFake, settings: Any
) -> None:
    from accounts.throttling import bucket_of

    body, header = signed(paid)
    strict = Client(enforce_csrf_checks=True)

    assert send(strict, body, header).status_code == 200
    assert bucket_of(URL) is None
    assert bucket_of("/gateways/stripe") is not None
    assert json.loads(body)["id"] == paid["id"]


def test_operators_are_told_every_event_the_store_reads() -> None:
    from pathlib import Path

    from licensing.gateways.stripe_events import EVENT_TYPES

    text = (Path(__file__).resolve().parents[3] / "docs/payments.md").read_text()

    assert [kind for kind in EVENT_TYPES if f"`{kind}`" not in text] == []
