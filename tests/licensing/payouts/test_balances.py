"""What sellers are owed: the parts are the ledger's whole, whatever happened."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accounts.models import Namespace
from licensing.gateways.base import GatewayRefusedError
from licensing.gateways.sandbox import Sandbox
from licensing.models import LedgerEntry, LedgerMovement, Order, Payout, SandboxCharge
from licensing.services import (
    fees,
    inbox,
    paying_out,
    payout_statements,
    payouts,
    reconciling,
    refunds,
)
from licensing.services.balances import Balance, held_of
from tests.licensing.payouts.market import (
    a_seller,
    balance_of,
    dispute,
    earn,
    owed,
    staff_viewer,
)
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


def parts(balance: Balance) -> tuple[int, int, int, int]:
    """Available, held, disputed, on its way."""
    return (
        balance.available_minor,
        balance.held_minor,
        balance.disputed_minor,
        balance.sending_minor,
    )


def balance_now(owner: Namespace) -> tuple[int, int, int, int]:
    return parts(balance_of(owner, "sandbox", "EUR"))


def test_a_seller_without_money_has_nothing() -> None:
    assert balance_now(a_seller()) == (0, 0, 0, 0)


def test_a_refund_within_the_window_lowers_what_is_held_and_nothing_else() -> None:
    shop = open_shop()
    earn(shop.repo.namespace, 300)
    order = shop.buy()
    assert balance_now(shop.repo.namespace) == (300, 1900, 0, 0)

    refunds.give_back(shop.selling, order, None, "Changed their mind")

    assert balance_now(shop.repo.namespace) == (300, 0, 0, 0)


@pytest.mark.parametrize(("outcome", "then"), [("won", 1900), ("lost", 0)])
def test_a_dispute_keeps_the_hold_an_amount_had(outcome: str, then: int) -> None:
    shop = open_shop()
    owner = shop.repo.namespace
    earn(owner, 300)
    order = shop.buy()
    (held,) = held_of(owner)["sandbox", "EUR"].rows

    dispute(order)
    assert balance_now(owner) == (300, 0, 1900, 0)

    dispute(order, outcome)
    assert balance_now(owner) == (300, then, 0, 0)
    after = held_of(owner)["sandbox", "EUR"].rows
    assert [part.available_at for part in after] == ([held.available_at] if then else [])


def test_a_dispute_after_the_payout_is_a_debt_until_it_is_won() -> None:
    shop = open_shop()
    owner = shop.repo.namespace
    order = shop.buy()
    with time_machine.travel(timezone.now() + timedelta(days=15), tick=True):
        payouts.run_payouts()
        dispute(order)
        assert balance_now(owner) == (-1900, 0, 1900, 1900)
        assert payouts.run_payouts() == []
        dispute(order, "won")
        assert balance_now(owner) == (0, 0, 0, 1900)


KINDS = (
    *("buy", "buy", "refund", "part_refund", "dispute", "won", "lost"),
    *("wait", "payout", "send", "refuse", "returned"),
)
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 3000)), min_size=3, max_size=9)
EVERYTHING = [
    (step, 700)
    for step in (
        *("buy", "buy", "buy", "wait", "part_refund", "payout", "send", "refund", "returned"),
        *("buy", "dispute", "payout", "refuse", "won", "wait", "payout", "send"),
        *("buy", "dispute", "lost", "buy", "wait", "payout", "send"),
    )
]
"""Each kind of step at least once, in an order in which each does something."""


def test_whatever_happens_the_parts_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop()
    fees.add_rule(staff_viewer(), None, 750, None, "The usual fee")
    now = timezone.now()
    counter = iter(range(10_000))

    @settings(max_examples=20)
    @example(EVERYTHING)
    @given(STEPS)
    def run(steps: list[tuple[str, int]]) -> None:
        nonlocal now
        for step, amount in steps:
            now += timedelta(days=20 if step == "wait" else 1)
            with time_machine.travel(now, tick=True):
                do(step, shop, monkeypatch, amount, next(counter))
                check(shop.repo.namespace)

    run()

    with time_machine.travel(now, tick=True):
        kinds = {row.kind for row in reconciling.differences()}
    assert kinds <= {"payout_waits", "refund_waits"}
    happened = set(LedgerMovement.objects.values_list("kind", flat=True))
    assert happened >= {
        *("payment", "sale", "refund", "refund_sent"),
        *("dispute_opened", "dispute_won", "dispute_lost"),
        *("payout", "payout_sent", "payout_failed"),
    }


def do(step: str, shop: Shop, monkeypatch: pytest.MonkeyPatch, amount: int, number: int) -> None:
    """Let one thing happen, if anything is there for it to happen to."""
    bought = Order.objects.filter(state="fulfilled").order_by("-id").first()
    disputed = Order.objects.filter(state="disputed").first()
    if step == "buy":
        shop.buy(f"k{number}")
    elif step == "refund" and bought is not None:
        refunds.give_back(shop.selling, bought, None, "Back")
    elif step == "part_refund" and bought is not None:
        _at_the_gateway(bought, amount, number)
    elif step == "dispute" and bought is not None:
        dispute(bought)
    elif step in {"won", "lost"} and disputed is not None:
        dispute(disputed, step)
    elif step == "payout":
        payouts.run_payouts(least_minor=amount)
    elif step in {"send", "refuse"}:
        _send(step, monkeypatch)
    elif step == "returned":
        sent = Payout.objects.filter(state="sent").last()
        if sent is not None:
            paying_out.mark_failed(staff_viewer(), sent, "It came back")


def _at_the_gateway(order: Order, amount: int, number: int) -> None:
    """Refund a part by hand at the gateway, if so much is left there."""
    charge = SandboxCharge.objects.get(order_ref=order.public_id)
    if charge.amount_minor - sum(dict(charge.refunds).values()) > amount:
        facts = Sandbox().refund(
            payment_id=charge.public_id, amount_minor=amount, currency="EUR", key=f"hand{number}"
        )
        from dataclasses import replace

        inbox.receive("sandbox", [replace(fact, key="") for fact in facts])


def _send(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **more: Any) -> str:
        raise GatewayRefusedError("The account is closed.")

    with monkeypatch.context() as patch:
        if step == "refuse":
            patch.setattr(Sandbox, "pay_out", refuse)
        for payout in Payout.objects.filter(state="sending"):
            paying_out.send(payout.pk)


def check(owner: Namespace) -> None:
    """Compare the balance with the ledger, and payouts with what they settle."""
    balance = balance_of(owner, "sandbox", "EUR")
    assert balance.total_minor == owed(owner)
    under_way = Payout.objects.filter(state="sending").values_list("amount_minor", flat=True)
    assert balance.sending_minor == sum(under_way)
    assert balance.disputed_minor >= 0
    assert balance.held_minor >= 0
    earned = LedgerEntry.objects.filter(
        account__namespace=owner, account__kind__in=["payable", "disputed"]
    ).exclude(movement__kind__startswith="payout")
    brought = -sum(earned.values_list("amount_minor", flat=True))
    paid = sum(Payout.objects.exclude(state="failed").values_list("amount_minor", flat=True))
    assert brought == balance.total_minor + paid
    for payout in Payout.objects.all():
        rows = [item.entry for item in payout.items.select_related("entry__movement__order")]
        own = [row for row in rows if row.movement.kind == "payout"]
        assert [row.amount_minor for row in own] == [payout.amount_minor]
        others = [row for row in rows if row.movement.kind != "payout"]
        assert -sum(row.amount_minor for row in others) == payout.amount_minor
        lines = payout_statements.statement_lines(others, "EUR")
        assert sum(line.gross_minor for line in lines) == payout.amount_minor
    settled = LedgerEntry.objects.filter(account__kind="payable", settled_by__isnull=False)
    assert sum(settled.values_list("amount_minor", flat=True)) == 0


def test_the_parts_of_a_statement_line_add_up() -> None:
    shop = open_shop()
    fees.add_rule(staff_viewer(), None, 1000, None, "The usual fee")
    order = shop.buy()
    _at_the_gateway(order, 333, 1)
    rows = LedgerEntry.objects.filter(account__kind="payable")
    entries = list(rows.select_related("movement__order", "line").prefetch_related("line__shares"))

    found = payout_statements.components(entries)

    assert found == [("price", 1900), ("fee", -190), ("refund", -300)]
    assert sum(amount for _label, amount in found) == owed(shop.repo.namespace)
