"""Do charges, grants, refunds and the ledger agree? Asked every night, of our rows and gateways.

What a gateway knows and we do not is put into the inbox and applied: a lost message is found here.
Everything else that differs is a fault, is listed, and is left for people to look at.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from catalog.models import Grant, Listing, ModelRepo
from licensing.gateways.base import GatewayError, GatewayRefusedError
from licensing.gateways.registry import UnknownGatewayError, gateway_named
from licensing.models import (
    Dispute,
    LedgerAccount,
    LedgerEntry,
    LedgerMovement,
    Offer,
    Order,
    OrderLine,
    PaymentEvent,
    Payout,
    ReconcileRun,
    Refund,
)
from licensing.services import (
    collecting,
    inbox,
    ledger,
    payout_checks,
    period_checks,
    renewals,
    returning,
    settling,
)
from licensing.services.asking_prices import asked_for, refresh_all

logger = logging.getLogger(__name__)
ASK_FOR = timedelta(days=120)
"""Orders so young are asked of at their gateway: disputes come as late as that."""
RUNS_KEPT = 90
"""How many reports are kept, the newest."""
_SETTLED = timedelta(minutes=10)
"""What is younger may be in the middle of its steps."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that does not agree.

    Args:
        kind: Stable word for programs.
        subject: What it is about: an order, a line, an account.
        note: What is wrong, for people.
    """

    kind: str
    subject: str
    note: str


@dataclass(slots=True)
class Report:
    """What was looked at, mended and found."""

    orders: int = 0
    facts_found: int = 0
    """Facts no message had told of, now applied."""
    fulfilled: int = 0
    """Paid orders whose grants were missing, now made."""
    unreachable: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report for a job's result."""
        return asdict(self)


def reconcile(*, since: datetime | None = None, check: Callable[[], None] = lambda: None) -> Report:
    """Ask gateways, mend what was lost, compare everything else.

    Args:
        since: Ask of orders made after it; ``None``: ``ASK_FOR`` ago.
        check: Called between orders; may raise to stop.
    """
    report, began_at = Report(), timezone.now()
    failed: list[Difference] = []
    orders = Order.objects.filter(created_at__gte=since or timezone.now() - ASK_FOR)
    away: set[str] = set()
    for order in orders.order_by("id").iterator(chunk_size=500):
        check()
        report.orders += 1
        failed += _apart(order.public_id, partial(_ask_gateway, order, report, away))
        failed += _apart(order.public_id, partial(_fulfil, order, report))
    report.unreachable = sorted(away)
    failed += _wake(away)
    failed += _apart("prices", refresh_all)
    report.differences = [*failed, *differences()]
    for found in report.differences:
        logger.error("reconcile: %s %s: %s", found.kind, found.subject, found.note)
    _keep(report, began_at)
    return report


def latest_run() -> ReconcileRun | None:
    """Return the newest report; ``None``: there never was one."""
    return ReconcileRun.objects.order_by("-began_at", "-id").first()


@transaction.atomic
def _keep(report: Report, began_at: datetime) -> None:
    """Write a report down for staff, and forget the oldest."""
    figures = report.to_json()
    ReconcileRun.objects.create(
        began_at=began_at,
        ended_at=timezone.now(),
        differences=figures.pop("differences"),
        figures=figures,
    )
    kept = ReconcileRun.objects.order_by("-began_at", "-id").values("pk")[:RUNS_KEPT]
    ReconcileRun.objects.exclude(pk__in=kept).delete()


def _apart(subject: str, work: Callable[[], object]) -> Iterator[Difference]:
    """Do something for one of many; what goes wrong with it is listed, and the others go on."""
    try:
        work()
    except GatewayRefusedError as error:
        yield Difference("gateway_refused", subject, error.message)
    except Exception as error:
        logger.exception("reconcile: %s could not be looked at", subject)
        yield Difference("not_looked_at", subject, f"{type(error).__name__}: {error}"[:300])


def _fulfil(order: Order, report: Report) -> None:
    report.fulfilled += settling.fulfil_if_paid(order.pk)


def _ask_gateway(order: Order, report: Report, away: set[str]) -> None:
    if order.gross_minor == 0 or order.gateway in away:
        return
    try:
        facts = gateway_named(order.gateway).facts_of(order.public_id)
    except (GatewayError, UnknownGatewayError):
        away.add(order.gateway)
        return
    known = set(
        PaymentEvent.objects.filter(
            gateway=order.gateway, external_id__in=[fact.event_id for fact in facts]
        ).values_list("external_id", flat=True)
    )
    report.facts_found += sum(fact.event_id not in known for fact in facts)
    inbox.receive(order.gateway, facts)


def _wake(away: set[str]) -> Iterator[Difference]:
    """Go on with what waits although its job is gone.

    Facts that came early, refunds to send, subscriptions at a gateway that are none here.
    """
    waiting = PaymentEvent.objects.filter(outcome=PaymentEvent.Outcome.WAITING).order_by("id")
    for event_id, external_id in list(waiting.values_list("pk", "external_id")):
        yield from _apart(external_id, partial(inbox.apply, event_id))
    for refund in Refund.objects.filter(state=Refund.State.SENDING).order_by("id"):
        returning.ask_to_send(refund)
    for order in renewals.unwanted(timezone.now() - ASK_FOR):
        if order.gateway not in away:
            yield from _apart(order.public_id, partial(collecting.tell_gateway, order.pk))


@transaction.atomic
def differences() -> Iterator[Difference]:
    """Compare our own rows with each other; changes nothing. Empty: everything agrees."""
    found: list[Difference] = []
    checks = (
        _sums,
        _states,
        _grants,
        _periods,
        _movements,
        _deposits,
        _money,
        _payouts,
        _inbox,
        _shelf,
        _prices,
    )
    for compare in checks:
        found += compare()
    return iter(found)


def _sums() -> Iterator[Difference]:
    """An order's sums are those of its payments, refunds and lines."""
    paid = Coalesce(Sum("payments__amount_minor"), 0)
    paid_wrong = Order.objects.annotate(came=paid).exclude(paid_minor=F("came"))
    for ident, has, came in paid_wrong.values_list("public_id", "paid_minor", "came"):
        yield Difference("paid_sum", ident, f"{has} is not {came}")
    lines = Coalesce(Sum("lines__gross_minor"), 0)
    gross_wrong = Order.objects.annotate(sold=lines).exclude(gross_minor=F("sold"))
    for ident, has, sold in gross_wrong.values_list("public_id", "gross_minor", "sold"):
        yield Difference("line_sum", ident, f"{has} is not {sold}")


def _states() -> Iterator[Difference]:
    """A complete order is paid; a paid one is complete soon."""
    done = [Order.State.FULFILLED, Order.State.PAID]
    back = Coalesce(Sum("lines__refunded_minor"), 0)
    kept = F("paid_minor") - F("refunded_minor")
    sold = Order.objects.filter(state__in=done).annotate(price=F("gross_minor") - back)
    short = sold.annotate(kept=kept).filter(kept__lt=F("price"))
    for ident, state in short.values_list("public_id", "state"):
        yield Difference("not_paid", ident, f"{state}, but not paid in full")
    old = timezone.now() - _SETTLED
    for order in Order.objects.filter(state=Order.State.PAID, paid_at__lt=old):
        yield Difference("not_fulfilled", order.public_id, "paid, but nothing was granted")
    waiting = Order.objects.filter(state=Order.State.OPEN, gross_minor__gt=0)
    for order in waiting.annotate(kept=kept).filter(kept__gte=F("gross_minor")):
        yield Difference("still_open", order.public_id, "paid in full, but still open")


def _grants() -> Iterator[Difference]:
    """Each line of a complete order has one license in force; no other line has."""
    lines = OrderLine.objects.filter(order__renews=None, order__extends=None).annotate(
        held=Count("license")
    )
    complete = lines.filter(order__state=Order.State.FULFILLED)
    for line in complete.filter(held=0, taken_back_at=None):
        yield Difference("no_license", line.public_id, "complete, but without a license")
    early = lines.filter(order__state__in=[Order.State.OPEN, Order.State.CANCELLED], held__gt=0)
    for line in early:
        yield Difference("license_unpaid", line.public_id, "a license without a payment")
    live = Q(license__grant__state=Grant.State.ACTIVE)
    is_back = Q(taken_back_at__isnull=False)
    ended = Q(order__state__in=[Order.State.REFUNDED, Order.State.DISPUTED])
    extended = Q(
        license__extensions__lines__extended_at__isnull=False,
        license__extensions__lines__taken_back_at=None,
    )
    for line in lines.filter(live & (is_back | ended)).exclude(extended):
        yield Difference("open_after_refund", line.public_id, "given back, but still open")
    kept = complete.filter(taken_back_at=None)
    for line in kept.filter(license__grant__state=Grant.State.REVOKED):
        yield Difference("ended_without_refund", line.public_id, "paid, but it opens nothing")
    disputed = Dispute.objects.filter(state=Dispute.State.OPEN).values("order")
    frozen = kept.filter(license__grant__state=Grant.State.FROZEN, license__suspended_at=None)
    held = Q(order__in=disputed) | Q(subscription__renewals__in=disputed)
    held |= Q(license__extensions__in=disputed)
    for line in frozen.exclude(held):
        yield Difference("frozen", line.public_id, "nobody disputes it, but it opens nothing")


def _periods() -> Iterator[Difference]:
    """Renewals and further terms lengthen their license, each once."""
    for kind, subject, note in period_checks.differences():
        yield Difference(kind, subject, note)


def _movements() -> Iterator[Difference]:
    """Movements balance, and each sale is booked once."""
    for movement_id in ledger.off_balance():
        yield Difference("unbalanced", str(movement_id), "the movement does not add up to 0")
    sold = Order.objects.filter(paid_at__isnull=False, gross_minor__gt=0).exclude(
        movements__kind=LedgerMovement.Kind.SALE
    )
    for order in sold:
        yield Difference("not_booked", order.public_id, "paid, but no sale is in the ledger")


def _deposits() -> Iterator[Difference]:
    """What the store owes buyers is what came and is for nothing yet, or has to go back."""
    rows = LedgerEntry.objects.filter(account__kind=LedgerAccount.Kind.DEPOSITS)
    sums = rows.values_list("movement__order").annotate(total=Sum("amount_minor"))
    owed = {order_id: -total for order_id, total in sums}
    waiting = Refund.objects.filter(state__in=Refund.OWED).values_list("order")
    for order_id, total in waiting.annotate(total=Sum("amount_minor")):
        owed[order_id] = owed.get(order_id, 0) - total
    for order in Order.objects.filter(pk__in=owed).iterator(chunk_size=500):
        unused = returning.surplus_minor(order)
        if owed[order.pk] != unused:
            note = f"{owed[order.pk]} is owed to the buyer, {unused} came for nothing"
            yield Difference("deposits", order.public_id, note)


def _money() -> Iterator[Difference]:
    """What gateways hold is what came, less what was sent back, lost and paid out."""
    kind = LedgerAccount.Kind.GATEWAY
    for account in LedgerAccount.objects.filter(kind=kind):
        entries = LedgerEntry.objects.filter(account=account)
        held = entries.aggregate(total=Coalesce(Sum("amount_minor"), 0))["total"]
        mine = Order.objects.filter(gateway=account.gateway, currency=account.currency)
        came = _total(mine, "payments__amount_minor")
        done = Q(refunds__state=Refund.State.DONE)
        back = _total(mine.filter(done), "refunds__amount_minor")
        lost = _total(mine.filter(disputes__state="lost"), "disputes__amount_minor")
        sent = Payout.objects.filter(gateway=account.gateway, currency=account.currency)
        out = sum(sent.filter(state=Payout.State.SENT).values_list("amount_minor", flat=True))
        if held != came - back - lost - out:
            note = f"{held} in the ledger, {came} - {back} - {lost} - {out} by orders"
            yield Difference("gateway_balance", str(account), note)


def _total(orders: Any, name: str) -> int:
    rows = orders.values("pk", f"{name.split('__', maxsplit=1)[0]}__pk", name).distinct()
    return sum(row[name] or 0 for row in rows)


def _payouts() -> Iterator[Difference]:
    """Payouts are what they settle, and arrive."""
    for kind, subject, note in payout_checks.differences(timezone.now() - _SETTLED):
        yield Difference(kind, subject, note)


def _inbox() -> Iterator[Difference]:
    """Nothing waits long, and nothing was set aside."""
    old = timezone.now() - _SETTLED
    waiting = Q(outcome=PaymentEvent.Outcome.WAITING, received_at__lt=old)
    parked = Q(outcome=PaymentEvent.Outcome.PARKED)
    for event in PaymentEvent.objects.filter(waiting | parked).order_by("id"):
        yield Difference(f"event_{event.outcome}", event.external_id, event.note or event.kind)
    sending = Refund.objects.filter(state=Refund.State.SENDING, decided_at__lt=old)
    for refund in sending.exclude(order__disputes__state=Dispute.State.OPEN):
        yield Difference("refund_waits", refund.public_id, "the gateway has not answered yet")
    for refund in Refund.objects.filter(state=Refund.State.FAILED):
        yield Difference("refund_failed", refund.public_id, refund.answer)


def _shelf() -> Iterator[Difference]:
    """A model is for sale exactly while an offer for it can be bought."""
    offered = set(Offer.objects.on_sale().values_list("repos", flat=True)) - {None}
    flagged = set(ModelRepo.objects.filter(is_for_sale=True).values_list("pk", flat=True))
    for repo_id in sorted(offered ^ flagged):
        yield Difference("shelf", str(repo_id), "the model's mark and its offers disagree")


def _prices() -> Iterator[Difference]:
    """Search knows the prices that are asked, but for those that change at this moment."""
    offered = set(Offer.objects.on_sale().values_list("repos", flat=True)) - {None}
    priced = Listing.objects.filter(prices__isnull=False).values_list("repo_id", flat=True)
    now = timezone.now()
    asked = asked_for({*offered, *priced}, now)
    for listing in Listing.objects.filter(pk__in=asked).prefetch_related("prices"):
        known = {row.currency: row.amount_minor for row in listing.prices.all()}
        changes_at = listing.prices_change_at
        is_due = changes_at is not None and changes_at <= now
        if not is_due and known != asked[listing.pk].lowest:
            yield Difference("price", str(listing.pk), "search knows another price than its offers")
