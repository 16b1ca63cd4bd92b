"""Having payouts sent: by gateways, by hand, after crashes; and pauses."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, Namespace, User
from accounts.viewer import VISITOR, Viewer
from licensing.gateways.base import GatewayError, GatewayRefusedError, NoMoneyThereError
from licensing.gateways.registry import UnknownGatewayError
from licensing.models import Invoice, LedgerMovement, Payout, PayoutPause, SellerProfile
from licensing.services import payout_accounts, payout_checks, payouts
from licensing.services.office import ReasonNeededError
from licensing.services.paying_out import (
    BadReferenceError,
    PayoutClosedError,
    SentByGatewayError,
    mark_failed,
    mark_sent,
    send,
    send_again,
    settle_payout,
)
from store.core.errors import ForbiddenError, UnauthenticatedError
from store.core.jobs import JobName
from store.core.models import Job
from tests.factories import enrol
from tests.licensing.payouts.conftest import Bank
from tests.licensing.payouts.market import (
    a_seller,
    at_gateway,
    balance_of,
    earn,
    owed,
    rows_of,
    staff_viewer,
)
from tests.threads import at_once

pytestmark = pytest.mark.django_db


def a_payout(gateway: str = "bank", amount_minor: int = 5000) -> Payout:
    """A payout that waits to be sent."""
    maria = Namespace.objects.filter(name="maria").first() or a_seller()
    if gateway == "invoice":
        SellerProfile.objects.get_or_create(namespace=maria, bank_details="IBAN DE02")
    earn(maria, amount_minor, gateway=gateway)
    (payout,) = payouts.run_payouts()
    return payout


def differences() -> list[payout_checks.Found]:
    """What the reconciler would say of payouts."""
    return list(payout_checks.differences(timezone.now() - timedelta(minutes=10)))


def state_of(payout: Payout) -> tuple[str, str, str, int]:
    """All that a refusal must leave as it was."""
    payout.refresh_from_db()
    return payout.state, payout.external_id, payout.failure, LedgerMovement.objects.count()


# ── by gateways ─────────────────────────────────────────────────────────────────────────────────


def test_sent_once_however_often_it_is_asked(bank: Bank) -> None:
    payout = a_payout()

    assert [send(payout.pk) for _ in range(3)] == ["sent"] * 3

    payout.refresh_from_db()
    assert (payout.external_id, payout.account) == (f"tr_{payout.public_id}", "acct_maria")
    assert bank.sent == {payout.public_id: 5000}
    assert at_gateway("bank") == 0


def test_a_crash_after_the_gateway_took_it(bank: Bank) -> None:
    payout = a_payout()
    bank.errors_after = [RuntimeError("killed")]
    with pytest.raises(RuntimeError):
        send(payout.pk)
    assert state_of(payout)[0] == "sending"

    assert send(payout.pk) == "sent"

    assert bank.sent == {payout.public_id: 5000}
    assert at_gateway("bank") == 0


def test_an_account_that_is_gone_after_the_first_attempt_proves_nothing(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    payout = a_payout()
    bank.errors_after = [GatewayError("no answer")]
    with pytest.raises(GatewayError):
        send(payout.pk)
    monkeypatch.setattr(payout_accounts, "_FINDERS", {})

    assert send(payout.pk) == "sent"

    assert bank.sent == {payout.public_id: 5000}


def test_an_account_that_was_never_there_fails_it(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    payout = a_payout()
    monkeypatch.setattr(payout_accounts, "_FINDERS", {})

    assert send(payout.pk) == "failed"

    payout.refresh_from_db()
    assert "maria has no account" in payout.failure
    assert bank.sent == {}
    assert balance_of(payout.namespace, "bank", "EUR").available_minor == 5000


def test_a_refusal_gives_the_money_back_and_the_next_run_pays_it(bank: Bank) -> None:
    payout = a_payout()
    bank.errors = [GatewayRefusedError("The account is closed.")]

    assert send(payout.pk) == "failed"
    assert send(payout.pk) == "failed"

    payout.refresh_from_db()
    maria = payout.namespace
    assert (payout.failure, owed(maria, "bank")) == ("The account is closed.", 5000)
    (second,) = payouts.run_payouts()
    assert send(second.pk) == "sent"
    assert rows_of(maria) == [("failed", 5000), ("sent", 5000)]
    assert bank.sent == {second.public_id: 5000}
    assert (owed(maria, "bank"), at_gateway("bank")) == (0, 0)


def test_a_store_without_money_there_keeps_one_payout_and_asks_again_each_day(
    bank: Bank, settings: Any, run_jobs: Any, browser_of: Callable[[User], Client]
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"payout_day": 1})
    payout = a_payout()
    bank.errors = [NoMoneyThereError("Too little at the bank."), NoMoneyThereError("Still.")]

    run_jobs()
    first = state_of(payout)[:3]
    assert payouts.run_scheduled() == []
    run_jobs()
    second = state_of(payout)[:3]
    assert payout.namespace.user is not None
    enrol(payout.namespace.user)
    page = browser_of(payout.namespace.user).get("/sales/payouts").content.decode()
    assert payouts.run_scheduled() == []
    run_jobs()

    assert first == ("sending", "", "Too little at the bank.")
    assert second == ("sending", "", "Still.")
    assert "Still." in page
    assert state_of(payout)[:3] == ("sent", f"tr_{payout.public_id}", "")
    assert Payout.objects.count() == Invoice.objects.count() == 1


def test_what_failed_waits_for_the_next_day_of_payouts(
    bank: Bank, settings: Any, run_jobs: Any, time_machine: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"payout_day": 5})
    time_machine.move_to("2027-03-04 12:00:00+00:00")
    maria = a_seller()
    earn(maria, 5000, gateway="bank")
    bank.errors = [GatewayRefusedError("The account is closed.")]
    runs = []

    for day in ("03-05", "03-06", "04-04", "04-05"):
        time_machine.move_to(f"2027-{day} 12:00:00+00:00")
        runs.append(len(payouts.run_scheduled()))
        run_jobs()

    assert runs == [1, 0, 0, 1]
    assert rows_of(maria) == [("failed", 5000), ("sent", 5000)]
    assert Invoice.objects.count() == 2


def test_a_gateway_that_is_gone_keeps_the_money_on_its_way(bank: Bank, monkeypatch: Any) -> None:
    payout = a_payout()
    Payout.objects.filter(pk=payout.pk).update(gateway="gone")
    before = state_of(payout)

    with pytest.raises(UnknownGatewayError):
        send(payout.pk)

    assert state_of(payout) == before


def test_the_job_goes_on_where_it_was(bank: Bank, run_jobs: Callable[[], list[Job]]) -> None:
    payout = a_payout()
    bank.errors = [GatewayError("away"), GatewayError("away")]

    run_jobs()

    assert state_of(payout)[0] == "sent"
    assert Job.objects.get(name=JobName.PAY_OUT).attempts == 3


@pytest.mark.django_db(transaction=True)
def test_two_workers_book_it_once(bank: Bank) -> None:
    payout = a_payout()

    at_once(lambda _number: send(payout.pk), 5)

    assert state_of(payout)[0] == "sent"
    assert LedgerMovement.objects.filter(kind="payout_sent").count() == 1
    assert at_gateway("bank") == 0


def test_the_first_answer_counts(bank: Bank, caplog: pytest.LogCaptureFixture) -> None:
    payout = a_payout()
    settle_payout(payout.pk, failure="closed")
    before = state_of(payout)

    settle_payout(payout.pk, failure="closed again")
    assert caplog.text == ""
    settle_payout(payout.pk, external_id="tr_1")

    assert state_of(payout) == before
    assert "was told otherwise" in caplog.text


# ── by hand ─────────────────────────────────────────────────────────────────────────────────────


def test_transfers_are_sent_by_staff(gateways: None) -> None:
    payout = a_payout("invoice")
    assert send(payout.pk) == "sending"

    done = mark_sent(staff_viewer(), payout, " 2026-77 ", "Transferred today")

    assert (done.state, done.external_id, done.account) == ("sent", "2026-77", "IBAN DE02")
    assert at_gateway("invoice") == 0
    event = AuditEvent.objects.get(action="payout.sent")
    assert event.detail["reason"] == "Transferred today"
    assert (event.subject, event.namespace) == (payout.public_id, payout.namespace)


def test_a_transfer_that_came_back(gateways: None) -> None:
    payout = a_payout("invoice")
    mark_sent(staff_viewer(), payout, "77", "Transferred")

    mark_failed(staff_viewer(), payout, "The bank sent it back")

    assert state_of(payout)[0] == "failed"
    assert at_gateway("invoice") == owed(payout.namespace, "invoice") == 5000
    assert differences() == []


def test_a_transfer_that_cannot_be_made(gateways: None) -> None:
    payout = a_payout("invoice")

    mark_failed(staff_viewer(), payout, "Wrong IBAN")

    assert state_of(payout)[0] == "failed"
    assert balance_of(payout.namespace, "invoice", "EUR").sending_minor == 0
    assert owed(payout.namespace, "invoice") == 5000


def test_what_a_gateway_sends_nobody_else_decides(bank: Bank) -> None:
    payout = a_payout()
    before = state_of(payout)

    for deed in (
        lambda: mark_sent(staff_viewer(), payout, "77", "Sent"),
        lambda: mark_failed(staff_viewer(), payout, "Not sent"),
    ):
        with pytest.raises(SentByGatewayError):
            deed()

    assert state_of(payout) == before
    assert not AuditEvent.objects.filter(action__in=["payout.sent", "payout.failed"]).exists()


@pytest.mark.parametrize("reference", ["", "  ", "x" * 129, "7\n8"])
def test_a_transfer_has_a_reference(gateways: None, reference: str) -> None:
    payout = a_payout("invoice")
    before = state_of(payout)

    with pytest.raises(BadReferenceError):
        mark_sent(staff_viewer(), payout, reference, "Sent")

    assert state_of(payout) == before


def test_closed_is_closed(gateways: None) -> None:
    payout, staff = a_payout("invoice"), staff_viewer()
    mark_failed(staff, payout, "Wrong IBAN")
    before = state_of(payout)

    for deed in (
        lambda: mark_sent(staff, payout, "77", "Sent"),
        lambda: mark_failed(staff, payout, "Again"),
        lambda: send_again(staff, payout, "Again"),
    ):
        with pytest.raises(PayoutClosedError) as caught:
            deed()
        assert caught.value.extra == {"state": "failed"}

    assert state_of(payout) == before


def test_a_payout_whose_job_gave_up_is_asked_for_again(
    bank: Bank, run_jobs: Callable[[], list[Job]]
) -> None:
    payout = a_payout()
    Job.objects.all().delete()

    send_again(staff_viewer(), payout, "The service is back")
    run_jobs()

    assert state_of(payout)[0] == "sent"
    assert AuditEvent.objects.get(action="payout.send_again").subject == payout.public_id


# ── pauses ──────────────────────────────────────────────────────────────────────────────────────


def test_a_paused_seller_is_not_paid_and_reads_why(
    bank: Bank, run_jobs: Callable[[], list[Job]]
) -> None:
    payout, staff = a_payout(), staff_viewer()
    maria = payout.namespace
    payouts.pause(staff, maria, "We look at your account")
    payouts.pause(staff, maria, "We still look at it")
    earn(maria, 3000, gateway="bank")

    run_jobs()
    assert payouts.run_payouts() == []

    assert bank.sent == {}
    assert state_of(payout)[0] == "sending"
    found = payouts.pause_of(maria)
    assert found is not None
    assert (found.reason, str(found)) == (
        "We still look at it",
        f"{maria.pk}: We still look at it",
    )

    payouts.resume(staff, maria, "All is well")
    run_jobs()

    assert payouts.pause_of(maria) is None
    assert bank.sent == {payout.public_id: 5000}
    assert [row.amount_minor for row in payouts.run_payouts()] == [3000]
    actions = AuditEvent.objects.filter(namespace=maria).order_by("id")
    assert [
        (row.action, row.detail["reason"])
        for row in actions.filter(action__in=["payout.pause", "payout.resume"])
    ] == [
        ("payout.pause", "We look at your account"),
        ("payout.pause", "We still look at it"),
        ("payout.resume", "All is well"),
    ]


def test_a_pause_between_booking_and_choosing(bank: Bank, monkeypatch: Any) -> None:
    maria, staff = a_seller(), staff_viewer()
    earn(maria, 3000, gateway="bank")
    found = payouts.due()
    payouts.pause(staff, maria, "Stop")
    monkeypatch.setattr(payouts, "due", lambda *args, **more: found)

    assert payouts.run_payouts() == []
    assert rows_of(maria) == []


def test_only_what_is_paused_is_resumed() -> None:
    maria, staff = a_seller(), staff_viewer()
    events = AuditEvent.objects.count()

    with pytest.raises(payouts.NotPausedError):
        payouts.resume(staff, maria, "All is well")

    assert AuditEvent.objects.count() == events


# ── who may, and why ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("deed", ["pause", "resume", "send_again", "mark_sent", "mark_failed"])
def test_deeds_are_for_staff_and_have_a_reason(gateways: None, deed: str) -> None:
    payout, staff = a_payout("invoice"), staff_viewer()
    PayoutPause.objects.create(namespace=payout.namespace, reason="Stop")
    before, events = state_of(payout), AuditEvent.objects.count()
    deeds: dict[str, Callable[[Viewer, str], object]] = {
        "pause": lambda viewer, why: payouts.pause(viewer, payout.namespace, why),
        "resume": lambda viewer, why: payouts.resume(viewer, payout.namespace, why),
        "send_again": lambda viewer, why: send_again(viewer, payout, why),
        "mark_sent": lambda viewer, why: mark_sent(viewer, payout, "77", why),
        "mark_failed": lambda viewer, why: mark_failed(viewer, payout, why),
    }

    with pytest.raises(UnauthenticatedError):
        deeds[deed](VISITOR, "Because")
    with pytest.raises(ForbiddenError):
        deeds[deed](Viewer(user=payout.namespace.user), "Because")
    for reason in ("", " \n ", "x" * 301, "a\x00b"):
        with pytest.raises(ReasonNeededError):
            deeds[deed](staff, reason)

    assert state_of(payout) == before
    assert PayoutPause.objects.get().reason == "Stop"
    assert AuditEvent.objects.count() == events


# ── the reconciler ──────────────────────────────────────────────────────────────────────────────


def test_the_reconciler_finds_what_is_wrong_with_payouts(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    payout = a_payout()
    assert differences() == []

    Payout.objects.filter(pk=payout.pk).update(
        created_at=payout.created_at - timedelta(hours=1), amount_minor=4000
    )
    found = {kind: note for kind, _subject, note in differences()}
    assert found == {
        "payouts_under_way": "5000 in the ledger, 4000 being sent",
        "payout_waits": "'bank' has not answered yet",
    }
    payouts.pause(staff_viewer(), payout.namespace, "Stop")
    assert "payout_waits" not in {kind for kind, _subject, _note in differences()}
    bare = Payout.objects.create(
        namespace=payout.namespace,
        gateway="bank",
        currency="EUR",
        amount_minor=1000,
        until=payout.until,
        state="sent",
    )
    items = payout.items.order_by("id")
    assert items.count() == 2
    notes = {subject: note for _kind, subject, note in differences()}
    assert notes[bare.public_id] == "it settles nothing"
    assert str(bare) == f"payout {bare.public_id} (sent)"


def test_the_reconciler_finds_entries_that_do_not_add_up(bank: Bank) -> None:
    from licensing.models import LedgerEntry, PayoutItem

    payout = a_payout()
    earn(payout.namespace, 70, gateway="bank")
    entry = LedgerEntry.objects.get(account__kind="payable", settled_by=None)

    item = PayoutItem.objects.create(payout=payout, entry=entry)

    assert [(kind, note) for kind, _subject, note in differences()] == [
        ("payout_items", "its entries leave -70")
    ]
    assert str(item) == f"{entry.pk} in {payout.pk}"


def test_the_seller_reads_why_they_are_not_paid(browser_of: Callable[[User], Client]) -> None:
    maria = a_seller()
    earn(maria, 5000)
    assert maria.user is not None
    enrol(maria.user)
    browser = browser_of(maria.user)

    for page in ("/sales/balance", "/sales/payouts"):
        assert "Payouts are paused" not in browser.get(page).content.decode()
    payouts.pause(staff_viewer(), maria, "We look at <your> account")
    for page in ("/sales/balance", "/sales/payouts"):
        told = browser.get(page).content.decode()
        assert "Payouts are paused" in told
        assert "We look at &lt;your&gt; account" in told
