"""The orders of a seller: their own lines, and nothing of what else the buyer chose."""

import re
from dataclasses import dataclass, field

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.utils.translation import gettext as _

from accounts.models import Namespace
from licensing.models import Dispute, Invoice, Order, OrderLine, Refund
from licensing.services.ordering import OrderNotFoundError
from licensing.services.paperwork import licensee_name
from licensing.services.refunds import REFUNDABLE
from store.core.errors import InvalidError

MAX_SEARCH_CHARS = 100
_PUBLIC_ID = re.compile(r"[0-9a-f]{24}")


class BadFilterError(InvalidError):
    """There is no such list of orders."""

    code = "bad_filter"


FILTERS: dict[str, Q] = {
    "": Q(),
    "asked": Q(refunds__state=Refund.State.ASKED),
    "refunded": Q(state=Order.State.REFUNDED),
    "disputed": Q(state=Order.State.DISPUTED),
    "test": Q(is_test=True),
}
"""Kinds of orders a list can be narrowed to; the empty one has all."""


@dataclass(slots=True)
class SoldOrder:
    """What a seller may see of one order. Amounts are minor units of the order's currency."""

    order: Order
    lines: list[OrderLine]
    """Theirs, with ``license`` where there is one, and ``shares``."""
    refunds: list[Refund] = field(default_factory=list)
    """Of their lines, or of the whole order; the newest first."""
    is_whole: bool = True
    """All lines of the order are theirs."""

    @property
    def buyer(self) -> str:
        """Name on the license."""
        return licensee_name(self.order)

    @property
    def title(self) -> str:
        """What was sold, in a line."""
        return ", ".join(line.title for line in self.lines)

    @property
    def gross_minor(self) -> int:
        """What the buyer paid for it."""
        return sum(line.gross_minor for line in self.lines)

    @property
    def refunded_minor(self) -> int:
        """What of that went back."""
        return sum(line.refunded_minor for line in self.lines)

    @property
    def asked(self) -> Refund | None:
        """The request that waits for an answer."""
        waiting = (row for row in self.refunds if row.state == Refund.State.ASKED)
        return next(waiting, None)

    def may_answer(self, refund: Refund) -> bool:
        """Whether the request is about nothing but lines of this seller."""
        return self.is_whole or refund.line_id is not None

    def can_give_back(self, line: OrderLine) -> bool:
        """Whether there is something of a line to give back."""
        return self.order.state in REFUNDABLE and line.taken_back_at is None


def orders_of(seller: Namespace, *, search: str = "", only: str = "") -> QuerySet[Order]:
    """Return the paid orders with lines of a seller, newest first, ready for ``sold``.

    Args:
        seller: Whose; the caller has passed ``seller_for``.
        search: Part of a buyer's name or a title, or the id of an order; empty: all.
        only: One of ``FILTERS``.

    Raises:
        BadFilterError: there is no such filter.
    """
    if only not in FILTERS:
        raise BadFilterError(
            _("Choose one of %(known)s.") % {"known": ", ".join(filter(None, FILTERS))}
        )
    mine = OrderLine.objects.filter(seller=seller)
    rows = Order.objects.filter(
        Exists(mine.filter(order=OuterRef("pk"))), paid_at__isnull=False
    ).filter(FILTERS[only])
    if only == "asked":
        rows = rows.filter(_is_theirs(seller))
    if word := search.strip()[:MAX_SEARCH_CHARS]:
        rows = rows.filter(_matching(mine, word))
    return _with_lines(rows.distinct(), seller).order_by("-pk")


def _is_theirs(seller: Namespace) -> Q:
    return Q(refunds__line=None) | Q(refunds__line__seller=seller)


def _matching(mine: QuerySet[OrderLine], word: str) -> Q:
    if _PUBLIC_ID.fullmatch(word):
        return Q(public_id=word)
    titled = mine.filter(order=OuterRef("pk"), title__icontains=word)
    named = Q(billing__name__icontains=word) | Q(holder__name__icontains=word)
    return named | Q(Exists(titled))


def _with_lines(rows: QuerySet[Order], seller: Namespace) -> QuerySet[Order]:
    lines = OrderLine.objects.filter(seller=seller).select_related("license__grant", "offer")
    lines = lines.prefetch_related("shares__namespace")
    refunds = Refund.objects.filter(Q(line=None, is_surplus=False) | Q(line__seller=seller))
    return rows.select_related("holder__user", "holder__organization").prefetch_related(
        Prefetch("lines", lines.order_by("position"), to_attr="sold_lines"),
        Prefetch("refunds", refunds.select_related("line").order_by("-pk"), to_attr="told_refunds"),
    )


def sold(order: Order) -> SoldOrder:
    """Return an order of ``orders_of`` as its seller sees it."""
    return SoldOrder(order, order.sold_lines, order.told_refunds)  # type: ignore[attr-defined]


def sold_order(seller: Namespace, public_id: str) -> SoldOrder:
    """Return one paid order with lines of a seller.

    Raises:
        OrderNotFoundError: there is none, or none of their lines is in it.
    """
    order = orders_of(seller).filter(public_id=public_id).first()
    if order is None:
        raise OrderNotFoundError(_("You sold no such order."))
    found = sold(order)
    found.is_whole = order.lines.count() == len(found.lines)
    return found


def line_of(found: SoldOrder, public_id: str) -> OrderLine:
    """Return a line of the seller's.

    Raises:
        OrderNotFoundError: it is none of theirs.
    """
    line = next((row for row in found.lines if row.public_id == public_id), None)
    if line is None:
        raise OrderNotFoundError(_("You sold no such line."))
    return line


def request_of(found: SoldOrder, public_id: str) -> Refund:
    """Return a request for a refund of what the seller sold.

    Raises:
        OrderNotFoundError: there is none in this order, or not of theirs.
    """
    refund = next((row for row in found.refunds if row.public_id == public_id), None)
    if refund is None:
        raise OrderNotFoundError(_("There is no such request."))
    return refund


def papers_of(seller: Namespace, order: Order) -> list[Invoice]:
    """Return the invoices and credit notes the seller issued for an order, in order."""
    return list(Invoice.objects.filter(seller=seller, order_ref=order.public_id).order_by("pk"))


def open_disputes(order: Order) -> list[Dispute]:
    """Return what the buyer's bank has not decided yet."""
    return list(order.disputes.filter(state=Dispute.State.OPEN).order_by("pk"))


def waiting_requests(seller: Namespace) -> int:
    """Return how many orders of a seller have a request for a refund that waits."""
    return orders_of(seller, only="asked").count()
