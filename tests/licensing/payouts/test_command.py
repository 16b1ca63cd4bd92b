"""``manage.py payouts`` and ``manage.py reconcile``."""

import io
import json
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEvent
from licensing.models import PaymentEvent, Payout, ReconcileRun
from licensing.services import reconciling
from tests.licensing.payouts.market import a_seller, earn, rows_of

pytestmark = pytest.mark.django_db


def run(*args: str, command: str = "payouts") -> str:
    out = io.StringIO()
    call_command(command, *args, stdout=out)
    return out.getvalue()


def test_it_lists_and_pays_nothing_unless_told() -> None:
    maria, omar = a_seller(), a_seller("omar")
    earn(maria, 5000)
    earn(omar, 5)

    assert run() == "maria\tsandbox\t€50.00\tdue\nomar\tsandbox\t€0.05\ttoo_little\n2 balances\n"
    assert Payout.objects.count() == 0

    assert run("--run") == "maria\tsandbox\t€50.00\tsending\n1 payouts\n"
    assert rows_of(maria) == [("sending", 5000)]
    event = AuditEvent.objects.get(action="payout.run")
    assert event.detail["payouts"] == [Payout.objects.get().public_id]
    assert json.loads(run("--run", "--json")) == []


def test_json_says_the_same() -> None:
    earn(a_seller(), 5000)

    assert json.loads(run("--json")) == [
        {
            "seller": "maria",
            "gateway": "sandbox",
            "currency": "EUR",
            "amount_minor": 5000,
            "state": "due",
        }
    ]
    (made,) = json.loads(run("--run", "--json"))
    assert made["id"] == Payout.objects.get().public_id


@pytest.mark.parametrize(
    ("day", "paid"), [("2026-03-08", 0), ("2026-03-09", 4000), ("2026-03-10", 7000)]
)
def test_until_is_the_end_of_a_day(day: str, paid: int) -> None:
    maria = a_seller()
    with time_machine.travel("2026-03-10T12:00:00Z", tick=False):
        earn(maria, 4000, in_days=-1)  # on the 9th
        earn(maria, 3000, in_days=0)

        run("--run", "--until", day)

    assert sum(amount for _state, amount in rows_of(maria)) == paid


@pytest.mark.parametrize(
    ("day", "message"), [("tomorrow", "Write the date"), ("2099-01-01", "has not come yet")]
)
def test_bad_days_pay_nothing(day: str, message: str) -> None:
    maria = a_seller()
    earn(maria, 4000)

    with pytest.raises(CommandError, match=message):
        run("--run", "--until", day)

    assert rows_of(maria) == []


def test_every_comparison_is_kept_and_old_ones_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconciling, "RUNS_KEPT", 3)
    assert reconciling.latest_run() is None
    for _number in range(4):
        run(command="reconcile")
    PaymentEvent.objects.create(
        gateway="sandbox", external_id="x", kind="paid", order_ref="n", fact={}, outcome="parked"
    )
    with pytest.raises(CommandError, match="1 differences"):
        run(command="reconcile")

    newest = reconciling.latest_run()
    assert newest is not None
    assert ReconcileRun.objects.count() == 3
    assert newest.differences == [{"kind": "event_parked", "subject": "x", "note": "paid"}]
    assert newest.figures == {"orders": 0, "facts_found": 0, "fulfilled": 0, "unreachable": []}
    assert newest.began_at <= newest.ended_at <= timezone.now()
    assert str(newest).endswith(": 1")


def test_the_nightly_job_writes_it_too(run_jobs: Any) -> None:
    from workers import tasks

    tasks.reconcile()
    run_jobs()

    assert ReconcileRun.objects.count() == 1
