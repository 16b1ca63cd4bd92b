"""What must be true of money at any moment, and what at rest."""

from collections import defaultdict
from datetime import timedelta

from django.db import connection
from django.db.models import Sum

from catalog.access import may_see_contents
from catalog.models import Grant
from licensing.gateways.sandbox import Sandbox
from licensing.models import (
    Coupon,
    Dispute,
    Invoice,
    InvoiceSeries,
    LedgerAccount,
    LedgerEntry,
    License,
    Order,
    OrderLine,
    Subscription,
)
from licensing.services import granting, ledger
from tests.licensing.selling.market import Market

Kind = LedgerAccount.Kind
SOLD = (Order.State.PAID, Order.State.FULFILLED, Order.State.DISPUTED, Order.State.REFUNDED)


def check_always() -> None:
    """What no fact, no crash and no order of events may break, even for a moment."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    assert ledger.off_balance() == []
    sums = LedgerEntry.objects.values_list("account__gateway", "account__currency")
    assert all(total == 0 for *_of, total in sums.annotate(total=Sum("amount_minor")))
    _nobody_gives_more_than_they_got()
    _no_license_without_payment()
    _no_coupon_is_overused()
    _licenses_last_as_their_subscriptions()
    _periods_cost_what_was_agreed()


def _nobody_gives_more_than_they_got() -> None:
    """No order leaves a seller, an upstream owner or a buyer with less than nothing."""
    rows = LedgerEntry.objects.values_list(
        "movement__order", "account__kind", "account__namespace_id"
    ).annotate(total=Sum("amount_minor"))
    for order_id, kind, owner, total in rows:
        if kind in {Kind.PAYABLE, Kind.DISPUTED, Kind.DEPOSITS}:
            assert total <= 0, f"order {order_id}: {kind} of {owner} is short by {total}"


def _no_coupon_is_overused() -> None:
    for coupon in Coupon.objects.exclude(most_uses=None):
        used = coupon.orders.exclude(state=Order.State.CANCELLED)
        assert used.count() <= coupon.most_uses, f"{coupon} was used too often"


def _licenses_last_as_their_subscriptions() -> None:
    """One that goes on has a day of grace; one that ends, or has ended, has none."""
    kept = Subscription.objects.exclude(line__license__grant__state=Grant.State.REVOKED)
    for row in kept.select_related("line__license__grant"):
        grace = granting.GRACE if row.state in granting.GOING else timedelta()
        assert row.line.license.grant.ends_at == row.paid_until + grace, f"{row} ends otherwise"


def _periods_cost_what_was_agreed() -> None:
    """The first ones what the discount leaves, the others the whole price; tax rates stay here."""
    kept = Subscription.objects.prefetch_related("renewals").select_related("line")
    for row in kept:
        for place, order in enumerate(sorted(row.renewals.all(), key=lambda order: order.pk)):
            line = order.lines.get()
            most = row.line.agreed_minor(place + 2)  # orders of one period may be several
            assert order.gross_minor in {most, row.line.gross_minor}, f"{order} costs otherwise"
            shares = sum(share.amount_minor for share in line.shares.all())
            assert 0 <= shares + line.fee_minor <= line.net_minor


def _no_license_without_payment() -> None:
    live = License.objects.filter(grant__state=Grant.State.ACTIVE).select_related("line__order")
    for held in live:
        order, line = held.line.order, held.line
        assert order.state == Order.State.FULFILLED, f"{order} gives something"
        assert line.taken_back_at is None
        assert order.paid_minor - order.refunded_minor >= sum(
            row.gross_minor - row.refunded_minor for row in order.lines.all()
        )
        disputes = Dispute.objects.filter(order=order, state=Dispute.State.OPEN)
        assert not disputes.exists(), f"{order} is disputed and gives something"


def check_at_rest(market: Market) -> None:
    """What must be true once every fact was told and every job has run."""
    held = ledger.balance(Kind.GATEWAY, gateway="sandbox", currency="EUR")
    assert held == Sandbox().held_minor("EUR"), "the bank holds something else"
    assert not Order.objects.filter(state=Order.State.PAID).exists()
    for line in OrderLine.objects.filter(order__renews=None, order__state=Order.State.FULFILLED):
        expected = 0 if line.taken_back_at and not License.objects.filter(line=line) else 1
        assert License.objects.filter(line=line).count() == expected
    _papers_add_up()
    _numbers_have_no_gaps()
    for repo in market.repos:
        grants = Grant.objects.in_force().filter(granted__repo=repo, holder__user=market.buyer)
        assert may_see_contents(market.buying, repo) == grants.exists()


def _papers_add_up() -> None:
    """Invoices less credit notes are what each seller's lines cost and was not given back."""
    papers: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for paper in Invoice.objects.order_by("id"):
        totals = papers[paper.order_ref, paper.seller_id]
        for at, name in enumerate(("net_minor", "tax_minor", "gross_minor")):
            totals[at] += paper.document["totals"][name]
    for (order_ref, seller_id), (net, tax, gross) in papers.items():
        lines = OrderLine.objects.filter(order__public_id=order_ref, seller_id=seller_id)
        assert net + tax == gross
        assert gross == sum(line.gross_minor - line.refunded_minor for line in lines)
        if gross == 0:
            assert net == tax == 0
    complete = Order.objects.filter(state=Order.State.FULFILLED, gross_minor__gt=0)
    for line in OrderLine.objects.filter(order__in=complete, gross_minor__gt=0, refunded_minor=0):
        assert (line.order.public_id, line.seller_id) in papers, "sold without an invoice"


def _numbers_have_no_gaps() -> None:
    for series in InvoiceSeries.objects.all():
        numbers = list(series.invoices.order_by("number").values_list("number", flat=True))
        assert numbers == list(range(1, series.last_number + 1))
