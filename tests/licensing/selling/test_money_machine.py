"""Orders, payments, refunds, disputes, facts and crashes in any order: money always adds up.

``STORE_MONEY_EXAMPLES`` makes it longer (12 by default; 2,000 take hours).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from licensing.gateways.base import Charge
from licensing.gateways.sandbox import Sandbox
from licensing.models import Order, Refund, SandboxCharge, Subscription
from licensing.services import (
    checkout,
    closing,
    dunning,
    inbox,
    reconciling,
    refunds,
    renewals,
    resuming,
    settling,
)
from store.core.errors import StoreError
from tests.licensing.selling.checking import check_always, check_at_rest
from tests.licensing.selling.market import (
    Market,
    facts_of,
    open_market,
    run_money_jobs,
)

EXAMPLES = int(os.environ.get("STORE_MONEY_EXAMPLES", "12"))
START = datetime(2026, 3, 30, 12, tzinfo=UTC)
MOST_ORDERS = 4
TOLD = {"refund_failed"}
"""Differences that are no faults: people must send that money in another way."""
WHICH = st.integers(0, 40)
"""Chooses among what there is."""
WISHES = st.sampled_from(
    [
        *(["haiku"], ["prose"], ["free"], ["monthly"], ["haiku", "free"]),
        *(["haiku", "prose"], ["prose", "haiku", "bundle"], ["free", "prose", "haiku"]),
    ]
)
COUPONS = st.sampled_from(["", "", "THIRD", "ALL"])
PAYING = ("test_success", "test_refund_fail", "test_dispute")


class CrashError(BaseException):
    """The process dies here; nothing catches it."""


@contextmanager
def crash_after(writes: int | None) -> Iterator[None]:
    """Die at the write after so many; ``None``: live."""
    left = writes

    def count(execute: Callable[..., Any], sql: str, *more: Any) -> Any:
        nonlocal left
        if left is not None and sql.startswith(("INSERT", "UPDATE", "DELETE")):
            if left == 0:
                raise CrashError
            left -= 1
        return execute(sql, *more)

    with connection.execute_wrapper(count):
        yield


class MoneyMachine(RuleBasedStateMachine):
    """A market, its bank, and everything that can happen between them."""

    market: Market
    clock: Any

    def __init__(self) -> None:
        super().__init__()
        self.made = 0
        self.crash: int | None = None
        self.clock.move_to(START)
        self.before = transaction.savepoint()

    def teardown(self) -> None:
        try:
            self._settle_everything()
        finally:
            _undo(self.before)

    @initialize(names=WISHES, coupon=COUPONS, method=st.sampled_from([*PAYING, "", ""]))
    def first(self, names: list[str], coupon: str, method: str) -> None:
        """Begin with an order, paid or not: without one nothing can happen."""
        self.made += 1
        self._step(lambda: self.market.order("first", names, coupon))
        if method and (order := _order(0)):
            self._step(lambda: checkout.start(order, method=method))

    # what people do

    @precondition(lambda self: self.made < MOST_ORDERS)
    @rule(names=WISHES, coupon=COUPONS, quantity=st.integers(1, 3))
    def order(self, names: list[str], coupon: str, quantity: int) -> None:
        self.made += 1
        self._step(lambda: self.market.order(f"key-{self.made}", names, coupon, quantity))

    @precondition(lambda self: self.made < MOST_ORDERS)
    @rule(which=WHICH)
    def renew(self, which: int) -> None:
        if found := _pick(Subscription.objects.order_by("id"), which):
            self.made += 1
            self._step(lambda: renewals.open_renewal(found, f"renewal-{self.made}"))

    @rule(which=WHICH, method=st.sampled_from([*PAYING, "test_success", "test_decline"]))
    def pay(self, which: int, method: str) -> None:
        if order := _order(which):
            self._step(lambda: checkout.start(order, method=method))

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        if order := _order(which):
            self._step(lambda: settling.cancel(order.pk))

    @rule(which=WHICH, line=st.integers(0, 3))
    def ask(self, which: int, line: int) -> None:
        if order := _order(which):
            chosen = _pick(order.lines.order_by("position"), line - 1) if line else None
            self._step(lambda: refunds.ask(self.market.buying, order, chosen, "I do not like it"))

    @rule(which=WHICH, is_accepted=st.booleans())
    def answer(self, which: int, is_accepted: bool) -> None:
        asked = Refund.objects.filter(state=Refund.State.ASKED).order_by("id")
        if refund := _pick(asked, which):
            if is_accepted:
                self._step(lambda: refunds.accept(self.market.deciding, refund, why="Fair."))
            else:
                self._step(lambda: refunds.decline(self.market.deciding, refund, "No."))

    @rule(which=WHICH, line=st.integers(0, 3))
    def give_back(self, which: int, line: int) -> None:
        if order := _order(which):
            chosen = _pick(order.lines.order_by("position"), line - 1) if line else None
            self._step(lambda: refunds.give_back(self.market.deciding, order, chosen, "Sorry"))

    # what the bank does, which the store hears of later or never

    @rule(which=WHICH, method=st.sampled_from(PAYING))
    def pay_unheard(self, which: int, method: str) -> None:
        order = _order(which)
        if order is not None and order.due_minor:
            charge = Charge(order.public_id, order.due_minor, "EUR", "", "", "", "", method)
            _try(lambda: Sandbox().start(charge))

    @rule(which=WHICH, part=st.sampled_from([1, 333, 900, 1999, 5000]))
    def transfer(self, which: int, part: int) -> None:
        order = _order(which)
        if order is not None and order.gross_minor:  # nobody is told how to pay a free one
            Sandbox().transfer(order.public_id, part, "EUR")

    @rule(which=WHICH, hundredths=st.integers(1, 100))
    def refund_by_hand(self, which: int, hundredths: int) -> None:
        if charge := _pick(SandboxCharge.objects.filter(state="paid").order_by("id"), which):
            amount = max(1, charge.amount_minor * hundredths // 100)
            _try(lambda: Sandbox().refund_by_hand(charge.public_id, amount))

    @rule(which=WHICH)
    def dispute(self, which: int) -> None:
        if charge := _pick(SandboxCharge.objects.filter(state="paid").order_by("id"), which):
            Sandbox().dispute(charge.public_id)

    @rule(which=WHICH, is_won=st.booleans())
    def decide_dispute(self, which: int, is_won: bool) -> None:
        if charge := _pick(SandboxCharge.objects.filter(dispute="open").order_by("id"), which):
            Sandbox().settle_dispute(charge.public_id, is_won=is_won)

    # how the store hears of it

    @rule(which=WHICH, fact=WHICH)
    def tell_one(self, which: int, fact: int) -> None:
        """Any fact, in any order, as often as one likes."""
        if order := _order(which):
            told = facts_of(order)
            if told:
                self._step(lambda: inbox.receive("sandbox", [told[fact % len(told)]]))

    @rule(which=WHICH)
    def keep_only(self, which: int) -> None:
        """The message is kept, and the process dies before it is applied."""
        if order := _order(which):
            self._step(lambda: inbox.keep("sandbox", facts_of(order)))

    @rule()
    def run_jobs(self) -> None:
        self._step(run_money_jobs)

    @rule()
    def reconcile(self) -> None:
        self._step(reconciling.reconcile)

    @rule(hours=st.sampled_from([1, 25, 24 * 15]))
    def wait(self, hours: int) -> None:
        self.clock.shift(timedelta(hours=hours))
        self._step(closing.close_expired)

    @rule(writes=st.integers(0, 40))
    def crash_soon(self, writes: int) -> None:
        """The next step dies after so many writes."""
        self.crash = writes

    @invariant()
    def adds_up(self) -> None:
        check_always()

    @rule()
    def would_agree(self) -> None:
        """If everything were told now, all would agree; then go on as if nothing was told."""
        here = transaction.savepoint()
        self._settle_everything()
        _undo(here)

    def _settle_everything(self) -> None:
        run_money_jobs()
        with time_machine.travel(datetime.now(UTC) + timedelta(minutes=11), tick=False):
            reconciling.reconcile()
            run_money_jobs()
        with time_machine.travel(datetime.now(UTC) + timedelta(minutes=22), tick=False):
            found = [item for item in reconciling.differences() if item.kind not in TOLD]
        assert found == []
        check_always()
        check_at_rest(self.market)

    def _step(self, work: Callable[[], Any]) -> None:
        """Do one step of the store, which may be refused, or die if a crash is due."""
        writes, self.crash = self.crash, None
        try:
            with crash_after(writes):
                _try(work)
        except CrashError:  # what was written outside of transactions is there to stay
            transaction.set_rollback(False)


class SubscriptionMachine(MoneyMachine):
    """The same with a subscription that was paid: it is ended, goes on, and is collected."""

    @initialize(
        name=st.sampled_from(["monthly", "rented"]),
        coupon=st.sampled_from(["", "BEGIN"]),
        method=st.sampled_from([*PAYING, "test_success"]),
    )
    def first(self, name: str, coupon: str, method: str) -> None:  # type: ignore[override]
        self.made += 1
        order = self.market.order("first", [name], coupon)
        self._step(lambda: checkout.start(order, method=method))

    @rule(which=WHICH)
    def end(self, which: int) -> None:
        if found := _pick(Subscription.objects.order_by("id"), which):
            self._step(lambda: renewals.cancel_subscription(self.market.buying, found))

    @rule(which=WHICH)
    def go_on(self, which: int) -> None:
        if found := _pick(Subscription.objects.order_by("id"), which):
            self._step(lambda: resuming.resume_subscription(self.market.buying, found))

    @rule(which=WHICH)
    def end_and_go_on(self, which: int) -> None:
        """Whoever goes on has what they had before they ended it."""
        self.end(which)
        self.go_on(which)

    @rule(which=WHICH)
    def ask_early(self, which: int) -> None:
        """The next period is ordered long before it is due, as for bank transfers."""
        if found := _pick(Subscription.objects.order_by("id"), which):
            key = renewals.key_of_next(found)
            self._step(lambda: renewals.open_renewal(found, key))

    @rule(which=WHICH, card=st.sampled_from([*PAYING, "test_decline", "test_success"]))
    def fall_due(self, which: int, card: str) -> None:
        """The period is over in half an hour; the next one is collected, or cannot be."""
        if found := _pick(Subscription.objects.order_by("id"), which):
            due = found.paid_until - timedelta(minutes=30)
            self.clock.move_to(max(due, datetime.now(UTC)))
            SandboxCharge.objects.filter(order_ref=found.line.order.public_id).update(card=card)
        self._step(dunning.renew_due)

    @rule()
    def collect_due(self) -> None:
        self._step(dunning.renew_due)


def _undo(savepoint: str) -> None:
    """Go back to a savepoint, whatever broke since, and leave it: thousands open slow down all."""
    transaction.set_rollback(False)
    transaction.savepoint_rollback(savepoint)
    transaction.savepoint_commit(savepoint)


def _try(work: Callable[[], Any]) -> None:
    """Do something that may be refused: a refusal is one of the store's own errors."""
    with suppress(StoreError):
        work()


def _pick(rows: Any, which: int) -> Any:
    found = list(rows)
    return found[which % len(found)] if found else None


def _order(which: int) -> Order | None:
    found: Order | None = _pick(Order.objects.order_by("id"), which)
    return found


@pytest.mark.parametrize("kind", [MoneyMachine, SubscriptionMachine])
@pytest.mark.django_db
@pytest.mark.timeout(300 + EXAMPLES * 30)  # cut off in an example, Hypothesis would call it flaky
def test_money_always_adds_up(kind: type[MoneyMachine]) -> None:
    with time_machine.travel(START, tick=False) as clock:
        market = open_market()

        class Machine(kind):  # type: ignore[misc, valid-type]
            pass

        Machine.market, Machine.clock = market, clock
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=16 if EXAMPLES <= 12 else 30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            ),
        )
