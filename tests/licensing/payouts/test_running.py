"""Payout runs: who is paid what, once, with a statement."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.utils import timezone

from licensing.models import (
    FeeRule,
    LedgerEntry,
    LedgerMovement,
    LineShare,
    Payout,
    PayoutItem,
    SellerAccount,
    SellerProfile,
)
from licensing.services import checkout, paying_out, payout_statements, payouts, reconciling
from licensing.services.invoicing import document_of
from licensing.services.payout_accounts import NoPayoutAccountError, payout_account
from licensing.services.payouts import FuturePayoutError, due, run_payouts
from store.core.jobs import JobName
from store.core.models import Job
from tests.licensing.payouts.market import (
    a_seller,
    at_gateway,
    balance_of,
    earn,
    owed,
    rows_of,
    staff_viewer,
    take,
)
from tests.licensing.selling.shop import open_shop
from tests.threads import at_once

pytestmark = pytest.mark.django_db


def test_what_is_available_is_paid_with_a_statement(run_jobs: Any) -> None:
    maria = a_seller()
    earn(maria, 5000)
    earn(maria, 700, in_days=3)

    (payout,) = run_payouts()

    assert rows_of(maria) == [("sending", 5000)]
    balance = balance_of(maria, "sandbox", "EUR")
    assert (balance.available_minor, balance.held_minor, balance.sending_minor) == (0, 700, 5000)
    assert at_gateway() == 5700
    statement = document_of(payout.statement)
    assert statement.number.startswith("TEST-MARIA-S-")
    assert (statement.totals.gross_minor, statement.is_test) == (5000, True)

    run_jobs()

    payout.refresh_from_db()
    assert (payout.state, payout.external_id) == ("sent", f"po_{payout.public_id}")
    assert payout.account == "sandbox:maria"
    assert balance_of(maria, "sandbox", "EUR").sending_minor == 0
    assert at_gateway() == 700
    assert run_payouts() == []
    assert rows_of(maria) == [("sent", 5000)]


def test_a_sale_is_stated_with_price_tax_fee_and_shares(run_jobs: Any) -> None:
    shop = open_shop()
    SellerProfile.objects.create(
        namespace=shop.repo.namespace,
        country="DE",
        is_registered=True,
        vat_number="DE136695976",
    )
    FeeRule.objects.create(basis_points=1000, starts_at=timezone.now() - timedelta(days=1))
    order = shop.order()
    LineShare.objects.create(
        line=order.lines.get(),
        namespace=a_seller("omar"),
        repo=shop.repo,
        basis_points=1000,
        amount_minor=190,
    )
    checkout.start(order, method="test_success")
    with time_machine.travel(timezone.now() + timedelta(days=15), tick=True):
        made = {row.namespace.name: row for row in run_payouts(least_minor=1)}

    (line,) = document_of(made["maria"].statement).lines
    assert (line.title, line.gross_minor) == ("Commercial", 1900 + 361 - 190 - 190)
    assert line.detail == (
        f"Order {order.public_id}, price €19.00, tax €3.61, fee -€1.90,"
        " shares of upstream owners -€1.90"
    )


def test_too_little_waits_for_more(settings: Any) -> None:
    maria = a_seller()
    earn(maria, 999)
    assert [row.obstacle for row in due()] == ["too_little"]

    assert run_payouts() == []
    earn(maria, 1)

    assert [payout.amount_minor for payout in run_payouts()] == [1000]


def test_a_debt_is_carried_over() -> None:
    maria = a_seller()
    earn(maria, 3000)
    run_payouts()
    take(maria, 2500)
    earn(maria, 2000)
    assert balance_of(maria, "sandbox", "EUR").available_minor == -500

    assert run_payouts(least_minor=1) == []
    earn(maria, 800)

    assert [payout.amount_minor for payout in run_payouts(least_minor=1)] == [300]
    assert owed(maria) == 0


def test_gateways_and_currencies_are_paid_apart(gateways: None) -> None:
    maria, omar = a_seller(), a_seller("omar")
    SellerProfile.objects.create(namespace=maria, bank_details="IBAN DE02")
    for gateway, currency, amount in (("sandbox", "EUR", 1000), ("sandbox", "USD", 2000)):
        earn(maria, amount, gateway=gateway, currency=currency)
    earn(maria, 4000, gateway="invoice")
    earn(omar, 5000)

    made = run_payouts()

    found = {(row.namespace.name, row.gateway, row.currency, row.amount_minor) for row in made}
    assert found == {
        ("maria", "sandbox", "EUR", 1000),
        ("maria", "sandbox", "USD", 2000),
        ("maria", "invoice", "EUR", 4000),
        ("omar", "sandbox", "EUR", 5000),
    }
    by_hand = next(row for row in made if row.gateway == "invoice")
    assert by_hand.account == "IBAN DE02"
    assert not document_of(by_hand.statement).is_test


def test_who_cannot_be_paid_is_left_alone(gateways: None) -> None:
    maria, omar, zoe = a_seller(), a_seller("omar"), a_seller("zoe")
    earn(maria, 1000, gateway="invoice")
    earn(omar, 1000, gateway="nowhere")
    earn(zoe, 1000)
    payouts.pause(staff_viewer(), zoe, "Under review")

    assert [row.obstacle for row in due()] == ["no_account", "unknown_gateway", "paused"]
    assert run_payouts() == []

    assert Payout.objects.count() == 0
    assert not LedgerMovement.objects.filter(kind="payout").exists()


def test_only_what_was_there_at_the_moment_is_paid() -> None:
    maria = a_seller()
    earn(maria, 4000, in_days=-10)
    earn(maria, 3000, in_days=-2)
    take(maria, 500, in_days=-1)

    (first,) = run_payouts(timezone.now() - timedelta(days=5))
    assert first.amount_minor == 3500  # what was taken since is not paid out first
    assert run_payouts(timezone.now() - timedelta(days=5)) == []

    assert [row.amount_minor for row in run_payouts()] == [3000]


def test_the_future_is_not_paid() -> None:
    maria = a_seller()
    earn(maria, 4000)

    with pytest.raises(FuturePayoutError):
        run_payouts(timezone.now() + timedelta(days=1))

    assert rows_of(maria) == []


def test_one_bad_seller_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    maria, omar = a_seller(), a_seller("omar")
    earn(maria, 1000)
    earn(omar, 2000)
    real = payouts.issue_statement

    def issue(payout: Payout, *args: Any, **more: Any) -> Any:
        if payout.namespace == maria:
            raise NoPayoutAccountError("no paper")
        return real(payout, *args, **more)

    monkeypatch.setattr(payouts, "issue_statement", issue)

    made = run_payouts()

    assert [row.namespace for row in made] == [omar]
    assert rows_of(maria) == []
    assert owed(maria) == 1000
    assert "no payout of payable" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_runs_at_the_same_time_pay_once() -> None:
    maria = a_seller()
    for _number in range(20):
        earn(maria, 100)

    made = at_once(lambda _number: run_payouts(), 6)

    assert sum(len(found) for found in made) == 1
    assert rows_of(maria) == [("sending", 2000)]
    assert PayoutItem.objects.count() == 21
    assert owed(maria) == 0


@pytest.mark.django_db(transaction=True)
def test_sales_go_on_beside_a_run() -> None:
    maria = a_seller()
    earn(maria, 1000)

    def work(number: int) -> None:
        if number % 2:
            run_payouts(least_minor=1)
        else:
            earn(maria, 1000)

    at_once(work, 6)
    run_payouts(least_minor=1)

    assert sum(amount for _state, amount in rows_of(maria)) == 4000
    assert owed(maria) == 0
    assert LedgerEntry.objects.filter(account__kind="payable", settled_by=None).count() == 0


def test_an_entry_is_settled_once_below_python() -> None:
    maria = a_seller()
    earn(maria, 1000)
    (payout,) = run_payouts()
    item = PayoutItem.objects.order_by("id").first()
    assert item is not None

    with pytest.raises(IntegrityError), transaction.atomic():
        PayoutItem.objects.create(payout=payout, entry=item.entry)
    with pytest.raises(IntegrityError), transaction.atomic():
        PayoutItem.objects.filter(pk=item.pk).delete()

    assert PayoutItem.objects.filter(pk=item.pk).exists()


def test_a_crash_leaves_nothing_or_all(monkeypatch: pytest.MonkeyPatch) -> None:
    maria = a_seller()
    earn(maria, 1000)

    for step in ("book", "issue_statement", "ask_to_send"):
        with monkeypatch.context() as broken:

            def crash(*args: Any, **more: Any) -> None:
                raise RuntimeError("killed")

            broken.setattr(payouts, step, crash)
            with pytest.raises(RuntimeError):
                run_payouts()
        assert rows_of(maria) == []
        assert owed(maria) == 1000
        assert not Job.objects.filter(name=JobName.PAY_OUT).exists()

    assert [row.amount_minor for row in run_payouts()] == [1000]


# ── by the calendar ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (datetime(2026, 3, 10, 4, 11, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)),
        (datetime(2026, 3, 5, 0, 0, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)),
        (datetime(2026, 3, 4, 23, 0, tzinfo=UTC), datetime(2026, 2, 5, tzinfo=UTC)),
        (datetime(2026, 1, 2, 4, 11, tzinfo=UTC), datetime(2025, 12, 5, tzinfo=UTC)),
    ],
)
def test_the_day_of_payouts(
    settings: Any, monkeypatch: pytest.MonkeyPatch, now: datetime, until: datetime
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"payout_day": 5})
    asked: list[datetime] = []

    def run(moment: datetime, **_but: Any) -> list[Payout]:
        asked.append(moment)
        return []

    monkeypatch.setattr(payouts, "run_payouts", run)

    with time_machine.travel(now, tick=False):
        payouts.run_scheduled()

    assert asked == [until]


def test_without_a_day_nothing_is_scheduled(run_jobs: Any, settings: Any) -> None:
    from workers import tasks

    earn(a_seller(), 1000, in_days=-40)

    tasks.run_payouts()
    assert payouts.run_scheduled() == []
    assert [job.result for job in run_jobs() if job.name == JobName.RUN_PAYOUTS] == [{"payouts": 0}]
    assert not Payout.objects.exists()

    settings.ENV = settings.ENV.model_copy(update={"payout_day": 1})
    tasks.run_payouts()
    tasks.run_payouts()
    done = {job.name: job.result for job in run_jobs() if job.name.startswith("licensing.")}
    assert done == {
        "licensing.run_payouts": {"payouts": 1},
        "licensing.pay_out": {"state": "sent"},
    }


# ── accounts and statements ─────────────────────────────────────────────────────────────────────


def test_where_money_goes() -> None:
    maria = a_seller()
    assert payout_account(maria, "sandbox") == "sandbox:maria"
    for gateway in ("invoice", "stripe", "stripe-test", "nowhere"):
        with pytest.raises(NoPayoutAccountError, match="maria has no account"):
            payout_account(maria, gateway)
    SellerProfile.objects.create(namespace=maria, bank_details="IBAN DE02")
    assert payout_account(maria, "invoice") == "IBAN DE02"
    SellerAccount.objects.create(
        namespace=maria, gateway="stripe-test", external_id="acct_1", state="ready"
    )
    assert payout_account(maria, "stripe-test") == "acct_1"


def test_long_statements_are_summed_by_day_and_by_month(monkeypatch: pytest.MonkeyPatch) -> None:
    maria = a_seller()
    start = datetime(2026, 1, 30, 12, tzinfo=UTC)
    for _number in range(5):
        earn(maria, 1000)
    entries = list(
        LedgerEntry.objects.filter(account__kind="payable").select_related("movement", "line")
    )
    for entry, day in zip(entries, (0, 0, 1, 2, 3), strict=True):
        entry.movement.at = start + timedelta(days=day)

    def lines(most: int) -> list[tuple[str, str, int]]:
        monkeypatch.setattr(payout_statements.paper, "MAX_LINES", most)
        found = payout_statements.statement_lines(entries, "EUR")
        return [(line.title, line.detail, line.gross_minor) for line in found]

    assert lines(5) == [("Sale", "sale €10.00", 1000)] * 5
    assert lines(4) == [
        ("Sales and refunds of Jan. 30, 2026", "2 bookings", 2000),
        ("Sales and refunds of Jan. 31, 2026", "1 booking", 1000),
        ("Sales and refunds of Feb. 1, 2026", "1 booking", 1000),
        ("Sales and refunds of Feb. 2, 2026", "1 booking", 1000),
    ]
    assert lines(3) == [
        ("Sales and refunds of 2026-01", "3 bookings", 3000),
        ("Sales and refunds of 2026-02", "2 bookings", 2000),
    ]


def test_the_reconciler_agrees(run_jobs: Any) -> None:
    shop = open_shop()
    shop.buy()
    with time_machine.travel(timezone.now() + timedelta(days=15), tick=True):
        run_payouts()
        assert list(reconciling.differences()) == []
        run_jobs()
        assert list(reconciling.differences()) == []
        (payout,) = Payout.objects.all()
        paying_out.mark_failed(staff_viewer(), payout, "Account closed")
        assert list(reconciling.differences()) == []


def test_a_share_is_stated_without_the_other_sellers_order() -> None:
    shop = open_shop()
    upstream = a_seller("omar")
    quiet = shop.order()
    line = quiet.lines.get()
    LineShare.objects.create(
        line=line, namespace=upstream, repo=shop.repo, basis_points=1000, amount_minor=190
    )
    checkout.start(quiet, method="test_success")
    with time_machine.travel(timezone.now() + timedelta(days=15), tick=True):
        made = {row.namespace.name: row for row in run_payouts(least_minor=1)}

    (theirs,) = document_of(made["omar"].statement).lines
    (mine,) = document_of(made["maria"].statement).lines
    assert (theirs.title, theirs.detail, theirs.gross_minor) == (
        "Share of a sale",
        "share of this sale €1.90",
        190,
    )
    assert mine.detail == (
        f"Order {quiet.public_id}, price €19.00, shares of upstream owners -€1.90"
    )
    assert mine.gross_minor == 1710
