"""Another term for a license one has: a new order of the same offer, which extends it.

What a license comes to is worked out anew from its orders whenever one of them is fulfilled or
taken back, so orders, refunds and the end of the license agree in whatever order they come.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.models import Grant
from licensing.access import no_such_license
from licensing.models import Dispute, License, Offer, Order, OrderLine
from store.core.errors import ConflictError

State = Grant.State


class NotExtendableError(ConflictError):
    """The license cannot be given another term like this; ``extra.reason`` says why, stable.

    One of ``endless``, ``subscription``, ``revoked``, ``suspended``, ``other_offer``,
    ``quantity``.
    """

    code = "not_extendable"


def check(public_id: str, *, holder_id: int, items: Sequence[tuple[Offer, int]]) -> None:
    """Refuse an order that does not fit the license it is to extend.

    Args:
        public_id: The license's.
        holder_id: The name space the order is for.
        items: Offers and quantities of the order.

    Raises:
        LicenseNotFoundError: the name space holds no such license.
        NotExtendableError: with the reason.
    """
    rows = License.objects.select_related("grant", "line")
    row = rows.filter(public_id=public_id, holder_id=holder_id).first()
    if row is None:
        raise no_such_license()
    if reason := reason_against(row):
        raise refusal(reason)
    if len(items) != 1 or items[0][0].pk != row.line.offer_id:
        raise refusal("other_offer")
    offer, quantity = items[0]
    if offer.kind == Offer.Kind.SUBSCRIPTION or offer.term_days is None:
        raise refusal("other_offer")
    if quantity != row.line.quantity:
        raise refusal("quantity", quantity=row.line.quantity)


def reason_against(row: License) -> str:
    """Return why a license cannot be extended, whatever is for sale; empty: it can."""
    if row.line.kind == Offer.Kind.SUBSCRIPTION:
        return "subscription"
    if row.grant.ends_at is None:
        return "endless"
    if row.grant.state == State.REVOKED:
        return "revoked"
    return "suspended" if row.grant.state == State.FROZEN else ""


def refusal(reason: str, **extra: object) -> NotExtendableError:
    """Return the refusal with this reason."""
    words = {
        "subscription": _("A subscription renews itself."),
        "endless": _("This license never ends."),
        "revoked": _("This license was taken back. Buy a new one."),
        "suspended": _("This license is suspended or disputed. Settle that first."),
        "other_offer": _("Order the license's own offer, alone. If it is gone, buy a new license."),
        "quantity": _("Order the number of units the license has."),
    }
    return NotExtendableError(words[reason], reason=reason, **extra)


def extend(order: Order) -> None:
    """Add the term an order paid for to the license it extends. Safe to repeat.

    Runs under the order's lock.
    """
    row = lock(order.extends_id or 0)
    OrderLine.objects.filter(order=order, extended_at=None).update(extended_at=timezone.now())
    recount(row)


def lock(license_id: int) -> License:
    """Lock a license until the transaction ends; the lock of its order, if any, comes first."""
    return License.objects.select_for_update(no_key=True).get(pk=license_id)


def recount(row: License) -> None:
    """Work out a locked license from its orders: until when it is, and what it allows.

    Each line that was not taken back gives its term: the first from the beginning, later ones
    from the end of what was before them or from when they were paid. The newest one's terms,
    rights and seats count. With none left the license is revoked.
    """
    grant = Grant.objects.select_for_update(no_key=True).get(pk=row.grant_id)
    first = OrderLine.objects.get(pk=row.line_id)
    added = OrderLine.objects.filter(order__extends=row, extended_at__isnull=False)
    lines = [first, *added.order_by("extended_at", "id")]
    standing = [line for line in lines if line.taken_back_at is None]
    if not standing:
        grant.state = State.REVOKED
        grant.save(update_fields=["state"])
        return
    if len(lines) > 1:
        grant.ends_at = _end(grant.starts_at, standing)
    newest = standing[-1]
    row.terms_id, row.rights = newest.terms_id, newest.rights
    row.seats, row.seat_kind = newest.seats, newest.seat_kind
    row.save(update_fields=["terms", "rights", "seats", "seat_kind"])
    grant.updates = newest.updates
    is_held = row.suspended_at is not None or is_disputed(row)
    grant.state = State.FROZEN if is_held else State.ACTIVE
    grant.save(update_fields=["state", "ends_at", "updates"])


def end_by_orders(row: License) -> datetime | None:
    """Return until when a license is by the terms of its orders; ``None``: it never ends.

    Args:
        row: No subscription, and not taken back; with its grant, line and extensions.
    """
    added = [line for order in row.extensions.all() for line in order.lines.all()]
    added = sorted(
        (line for line in added if line.extended_at is not None),
        key=lambda line: (line.extended_at, line.pk),
    )
    standing = [line for line in (row.line, *added) if line.taken_back_at is None]
    if not added and row.line.term_days is None:
        return None
    return _end(row.grant.starts_at, standing)


def _end(start: datetime, standing: list[OrderLine]) -> datetime:
    end = start
    for line in standing:
        begins = max(end, line.extended_at or start)
        end = begins + timedelta(days=line.term_days or 0)
    return end


def orders_of(row: License) -> QuerySet[Order]:
    """Return every order a license follows from: the first, renewals and extensions."""
    mine = Q(lines__license=row) | Q(renews__line__license=row) | Q(extends=row)
    return Order.objects.filter(mine).distinct()


def is_disputed(row: License) -> bool:
    """Whether a payment of any order behind the license is disputed now."""
    open_ones = Dispute.objects.filter(state=Dispute.State.OPEN)
    return open_ones.filter(order__in=orders_of(row)).exists()
