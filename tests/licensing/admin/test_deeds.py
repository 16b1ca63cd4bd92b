"""What staff do about money: every deed asks for a reason and leaves exactly one event."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, Namespace, User
from licensing.admin.deeds import Deed, DeedAdmin
from licensing.gateways.base import GatewayRefusedError
from licensing.gateways.sandbox import Sandbox
from licensing.models import (
    BankTransfer,
    ConfirmedTaxNumber,
    FeeRule,
    LedgerMovement,
    License,
    Order,
    PaymentEvent,
    Payout,
    PayoutPause,
    Refund,
    SellerProfile,
)
from licensing.services import license_keys, payouts, refunds
from tests.factories import make_user
from tests.licensing.payouts.market import a_seller, earn, staff_viewer
from tests.licensing.selling.shop import open_shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("transfers_too")]
Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
REASON = "Ticket 77 says so"


@pytest.fixture
def transfers_too(settings: Any) -> None:
    """Bank transfers beside the sandbox."""
    settings.ENV = settings.ENV.model_copy(
        update={"gateways": ("sandbox", "invoice"), "bank_details": "IBAN DE02"}
    )


# ── what each deed is done to ───────────────────────────────────────────────────────────────────


def paid_order() -> Order:
    return open_shop().buy()


def open_order() -> Order:
    return open_shop().order()


def asked_refund() -> Refund:
    shop = open_shop()
    return refunds.ask(shop.buying, shop.buy(), None, "It does not load")


def failed_refund() -> Refund:
    shop = open_shop()
    order = shop.buy()

    def refuse(*_args: Any, **_more: Any) -> Any:
        raise GatewayRefusedError("The card is gone.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sandbox, "refund", refuse)
        return refunds.give_back(shop.selling, order, None, "Back")


def parked_event() -> PaymentEvent:
    return PaymentEvent.objects.create(
        gateway="sandbox",
        external_id="x:paid",
        kind="paid",
        order_ref="nowhere",
        fact={
            "event_id": "x:paid",
            "kind": "paid",
            "order_ref": "nowhere",
            "payment_id": "x",
            "amount_minor": 100,
            "currency": "EUR",
            "at": "2026-03-01T00:00:00+00:00",
        },
        outcome="parked",
        note="There is no such order.",
    )


def payout_at(gateway: str) -> Payout:
    maria = a_seller()
    SellerProfile.objects.create(namespace=maria, bank_details="IBAN DE02")
    earn(maria, 5000, gateway=gateway)
    (payout,) = payouts.run_payouts()
    return payout


def paused() -> PayoutPause:
    return payouts.pause(staff_viewer("zoe"), a_seller(), "We look at it")


def transfer_order() -> Order:
    order = open_shop().order()
    rows = Order.objects.filter(pk=order.pk)
    rows.update(public_id="order7", gateway="invoice", is_test=False)
    return rows.get()


def unmatched() -> BankTransfer:
    transfer_order()
    return BankTransfer.objects.create(
        bank_ref="IN1", amount_minor=1900, currency="EUR", booked_on="2026-03-01"
    )


def suspended() -> License:
    paid_order()
    return license_keys.suspend(staff_viewer("zoe"), License.objects.get(), "We look at it")


def a_license() -> License:
    paid_order()
    return License.objects.get()


def statement() -> dict[str, Any]:
    text = b"date,amount,currency,reference,id\n2026-03-01,19.00,EUR,hello,B7\n"
    return {"statement": SimpleUploadedFile("march.csv", text)}


def confirmed() -> ConfirmedTaxNumber:
    return ConfirmedTaxNumber.objects.create(number="DE136695976", source="VIES 1")


def available() -> None:
    earn(a_seller(), 5000)


class Case(NamedTuple):
    """A deed, what it is done to, what its form says besides, and what it is called then."""

    make: Callable[[], Model | None]
    form: dict[str, Any]
    action: str
    done: Callable[[], bool]


def exists(rows: Any) -> bool:
    return bool(rows.exists())


CASES = {
    "order/refund": Case(
        paid_order, {}, "refund.accept", lambda: exists(Order.objects.filter(state="refunded"))
    ),
    "order/cancel": Case(
        open_order, {}, "order.cancel", lambda: exists(Order.objects.filter(state="cancelled"))
    ),
    "order/fetch": Case(paid_order, {}, "order.fetch", lambda: True),
    "refund/accept": Case(
        asked_refund, {}, "refund.accept", lambda: exists(Refund.objects.filter(state="done"))
    ),
    "refund/decline": Case(
        asked_refund, {}, "refund.decline", lambda: exists(Refund.objects.filter(answer=REASON))
    ),
    "refund/mark-sent": Case(
        failed_refund,
        {"reference": "2026-77"},
        "refund.sent_by_hand",
        lambda: exists(Refund.objects.filter(state="done", external_id="2026-77")),
    ),
    "paymentevent/apply": Case(
        parked_event,
        {},
        "payment_event.apply",
        lambda: exists(PaymentEvent.objects.filter(outcome="parked")),
    ),
    "paymentevent/dismiss": Case(
        parked_event,
        {},
        "payment_event.dismiss",
        lambda: exists(PaymentEvent.objects.filter(outcome="nothing_new", note=REASON)),
    ),
    "banktransfer/note": Case(
        transfer_order,
        {"order": "order7", "amount": "19", "reference": "IN1", "received_on": "2026-03-01"},
        "transfer.note",
        lambda: exists(Order.objects.filter(state="fulfilled")),
    ),
    "banktransfer/assign": Case(
        unmatched,
        {"order": "order7"},
        "transfer.assign",
        lambda: exists(Order.objects.filter(state="fulfilled")),
    ),
    "banktransfer/import": Case(
        lambda: None,
        {},
        "transfer.note",
        lambda: exists(BankTransfer.objects.filter(bank_ref="B7", order=None)),
    ),
    "license/suspend": Case(
        a_license,
        {},
        "license.suspend",
        lambda: exists(License.objects.filter(suspended_for=REASON)),
    ),
    "license/reinstate": Case(
        suspended,
        {},
        "license.reinstate",
        lambda: exists(License.objects.filter(suspended_at=None)),
    ),
    "payout/run": Case(available, {}, "payout.run", lambda: exists(Payout.objects.all())),
    "payout/mark-sent": Case(
        lambda: payout_at("invoice"),
        {"reference": "2026-78"},
        "payout.sent",
        lambda: exists(Payout.objects.filter(state="sent", external_id="2026-78")),
    ),
    "payout/mark-failed": Case(
        lambda: payout_at("invoice"),
        {},
        "payout.failed",
        lambda: exists(Payout.objects.filter(state="failed", failure=REASON)),
    ),
    "payout/send-again": Case(
        lambda: payout_at("sandbox"),
        {},
        "payout.send_again",
        lambda: exists(Payout.objects.filter(state="sending")),
    ),
    "payoutpause/pause": Case(
        a_seller,
        {"seller": "maria"},
        "payout.pause",
        lambda: exists(PayoutPause.objects.filter(namespace__name="maria", reason=REASON)),
    ),
    "payoutpause/resume": Case(
        paused, {}, "payout.resume", lambda: not exists(PayoutPause.objects.all())
    ),
    "feerule/add": Case(
        a_seller,
        {"percent": "7.25", "seller": "maria", "starts_at": ""},
        "fee_rule.add",
        lambda: exists(FeeRule.objects.filter(basis_points=725, note=REASON)),
    ),
    "confirmedtaxnumber/confirm": Case(
        lambda: None,
        {"number": "DE 136 695 976", "country": "de"},
        "tax_number.confirm",
        lambda: exists(ConfirmedTaxNumber.objects.filter(number="DE136695976", source=REASON)),
    ),
    "confirmedtaxnumber/withdraw": Case(
        confirmed, {}, "tax_number.withdraw", lambda: not exists(ConfirmedTaxNumber.objects.all())
    ),
}


def registered() -> dict[str, tuple[Deed, bool]]:
    """Every deed of every page, and whether it is done to a row."""
    found = {}
    for model, page in admin.site._registry.items():
        if isinstance(page, DeedAdmin):
            for deeds, to_row in ((page.deeds, True), (page.deeds_at_large, False)):
                for deed in deeds:
                    found[f"{model._meta.model_name}/{deed.name}"] = (deed, to_row)
    return found


def place(name: str, row: Model | None) -> str:
    model, _slash, deed = name.partition("/")
    to = f"{row.pk}/" if registered()[name][1] and row is not None else ""
    return f"/admin/licensing/{model}/{to}do/{deed}/"


def form_of(name: str, reason: str = REASON) -> dict[str, Any]:
    """What is sent; a file can be read once."""
    more = statement() if name == "banktransfer/import" else {}
    return {**CASES[name].form, **more, "reason": reason}


def everything() -> tuple[object, ...]:
    """What a refusal must leave as it was."""
    return (
        AuditEvent.objects.count(),
        LedgerMovement.objects.count(),
        list(Order.objects.values_list("state", "paid_minor", "refunded_minor")),
        list(Refund.objects.values_list("state", "answer", "external_id")),
        list(PaymentEvent.objects.values_list("outcome", "note")),
        list(BankTransfer.objects.values_list("bank_ref", "order")),
        list(License.objects.values_list("suspended_for", "grant__state")),
        list(Payout.objects.values_list("state", "external_id", "failure")),
        list(PayoutPause.objects.values_list("namespace", "reason")),
        list(FeeRule.objects.values_list("basis_points", "note")),
        list(ConfirmedTaxNumber.objects.values_list("number", "source")),
    )


def test_every_deed_is_tried() -> None:
    assert set(registered()) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_deed_leaves_exactly_one_event_with_its_reason(
    browser_of: Browser, staff: User, name: str
) -> None:
    case = CASES[name]
    row = case.make()
    browser = browser_of(staff)
    asked = browser.get(place(name, row), headers=HTML)
    assert asked.status_code == 200
    before = AuditEvent.objects.count()

    answer = browser.post(place(name, row), form_of(name))

    assert answer.status_code == 302, answer.content.decode()
    assert AuditEvent.objects.count() == before + 1
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.action, event.actor, event.detail["reason"]) == (case.action, staff, REASON)
    assert case.done()
    assert browser.get(answer["Location"], headers=HTML).status_code == 200


@pytest.mark.parametrize("name", CASES)
def test_without_a_reason_nothing_happens(browser_of: Browser, staff: User, name: str) -> None:
    case = CASES[name]
    row = case.make()
    browser = browser_of(staff)
    before = everything()

    for reason in ("", "   ", "x" * 301):
        answer = browser.post(place(name, row), form_of(name, reason))
        assert answer.status_code == 200
        assert 'class="errorlist"' in answer.content.decode()

    assert everything() == before


@pytest.mark.parametrize("name", CASES)
def test_deeds_are_closed_to_others(
    client: Client, browser_of: Browser, alice: User, name: str
) -> None:
    case = CASES[name]
    row = case.make()
    address = place(name, row)
    careless = make_user("dora", is_staff=True)
    without = Client()
    without.force_login(careless)
    member = browser_of(alice)
    before = everything()

    for browser in (client, member, without):
        assert browser.get(address, headers=HTML).status_code in {302, 403}
        assert browser.post(address, form_of(name), headers=HTML).status_code in {302, 403}

    assert everything() == before


@pytest.mark.parametrize("name", CASES)
def test_deeds_need_a_recent_proof(browser_of: Browser, staff: User, name: str) -> None:
    case = CASES[name]
    row = case.make()
    browser = browser_of(staff)
    session = browser.session
    session["confirmed_at"] = 0
    session.save()
    before = everything()

    answer = browser.post(place(name, row), form_of(name))

    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/confirm?next=%2Fadmin%2Flicensing%2F")
    assert everything() == before


@pytest.mark.parametrize("name", [name for name in CASES if registered()[name][0].needs_two_factor])
def test_payouts_need_two_factors_even_where_staff_need_one(
    browser_of: Browser, staff: User, settings: Any, name: str
) -> None:
    case = CASES[name]
    row = case.make()
    settings.ENV = settings.ENV.model_copy(update={"staff_two_factor": "off"})
    browser = Client()
    browser.force_login(staff)
    session = browser.session
    session["confirmed_at"] = int(timezone.now().timestamp())
    session.save()
    before = everything()

    answer = browser.post(place(name, row), form_of(name))

    assert answer["Location"] == "/settings/security"
    assert everything() == before


def test_a_refusal_is_shown_and_changes_nothing(browser_of: Browser, staff: User) -> None:
    order = paid_order()
    browser = browser_of(staff)
    before = everything()

    answer = browser.post(f"/admin/licensing/order/{order.pk}/do/cancel/", {"reason": REASON})

    assert "Only an open order can be cancelled." in answer.content.decode()
    assert everything() == before


def test_buttons_are_those_that_make_sense(browser_of: Browser, staff: User) -> None:
    order, browser = paid_order(), browser_of(staff)

    page = browser.get(f"/admin/licensing/order/{order.pk}/change/").content.decode()

    assert f"/admin/licensing/order/{order.pk}/do/refund/" in page
    assert f"/admin/licensing/order/{order.pk}/do/cancel/" not in page


@pytest.mark.parametrize(
    "address",
    ["order/do/nothing/", "order/999999/do/refund/", "payout/do/mark-sent/", "order/1x/do/refund/"],
)
def test_what_is_not_there_is_not_there(browser_of: Browser, staff: User, address: str) -> None:
    answer = browser_of(staff).get(f"/admin/licensing/{address}", headers=HTML, follow=True)

    assert answer.status_code == 404


def test_fees_begin_when_they_say(browser_of: Browser, staff: User) -> None:
    browser, address = browser_of(staff), "/admin/licensing/feerule/do/add/"
    past = (timezone.now() - timedelta(days=1)).strftime("%Y-%m-%d %H:%M")

    refused = browser.post(address, {"percent": "5", "starts_at": past, "reason": REASON})
    unknown = browser.post(address, {"percent": "5", "seller": "nobody", "reason": REASON})

    assert "A fee cannot begin in the past" in refused.content.decode()
    assert unknown.status_code == 200
    assert FeeRule.objects.count() == 0


def test_namespaces_are_chosen_by_name(browser_of: Browser, staff: User) -> None:
    assert Namespace.objects.filter(name="carol").exists()
    answer = browser_of(staff).post(
        "/admin/licensing/payoutpause/do/pause/", {"seller": "nobody", "reason": REASON}
    )
    assert answer.status_code == 200
    assert PayoutPause.objects.count() == 0


def test_a_statement_that_is_too_large_is_not_read(browser_of: Browser, staff: User) -> None:
    file = SimpleUploadedFile("march.csv", b"x" * 1_000_001)

    answer = browser_of(staff).post(
        "/admin/licensing/banktransfer/do/import/", {"statement": file, "reason": REASON}
    )

    assert "A statement has at most 1 MB." in answer.content.decode()
    assert BankTransfer.objects.count() == 0


def test_a_refund_of_a_transfer_is_sent_by_hand(browser_of: Browser, staff: User) -> None:
    order = transfer_order()
    browser = browser_of(staff)
    browser.post("/admin/licensing/banktransfer/do/note/", form_of("banktransfer/note"))
    refund = refunds.give_back(staff_viewer(), Order.objects.get(), None, "As asked")
    page = browser.get(f"/admin/licensing/refund/{refund.pk}/change/").content.decode()
    before = AuditEvent.objects.count()

    browser.post(
        f"/admin/licensing/refund/{refund.pk}/do/mark-sent/",
        {"reference": "OUT1", "sent_on": "2026-03-02", "reason": REASON},
    )

    assert "do/mark-sent/" in page
    refund.refresh_from_db()
    order.refresh_from_db()
    assert (refund.state, order.state) == ("done", "refunded")
    sent = BankTransfer.objects.get(refund=refund)
    assert (sent.bank_ref, str(sent.booked_on)) == ("OUT1", "2026-03-02")
    assert AuditEvent.objects.count() == before + 1
    assert AuditEvent.objects.first().detail["reason"] == REASON
