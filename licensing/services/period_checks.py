"""Is each license until when its orders say? Part of the reconciler."""

from collections.abc import Iterator

from django.db.models import Count, Q

from catalog.models import Grant
from licensing.models import License, Offer, Order, OrderLine, Subscription
from licensing.services import extending, granting, periods

Found = tuple[str, str, str]


def differences() -> Iterator[Found]:
    """Yield what does not agree, as (kind, subject, note)."""
    yield from _renewals()
    yield from _not_extended()
    yield from _terms()


def _renewals() -> Iterator[Found]:
    """A subscription has the periods that were paid, and its license lasts as long."""
    is_paid = Q(renewals__fulfilled_at__isnull=False, renewals__lines__taken_back_at=None)
    paid = Count("renewals", filter=is_paid, distinct=True)
    rows = Subscription.objects.annotate(paid=paid).select_related("line__license__grant")
    kept = rows.exclude(line__license__grant__state=Grant.State.REVOKED).order_by("id")
    for row in kept.iterator(chunk_size=500):
        ident, grant = row.line.license.public_id, row.line.license.grant
        if row.periods != 1 + row.paid:
            yield "periods", ident, f"{row.periods} periods, but {1 + row.paid} were paid"
        until = periods.after(grant.starts_at, row.line.interval, row.periods)
        if row.paid_until != until or grant.ends_at not in {until, until + granting.GRACE}:
            yield "license_end", ident, f"ends {grant.ends_at}, but is paid until {until}"


def _not_extended() -> Iterator[Found]:
    """An order for another term has added it once it is complete."""
    lines = OrderLine.objects.filter(
        order__extends__isnull=False, order__state=Order.State.FULFILLED, extended_at=None
    )
    for ident in lines.order_by("id").values_list("public_id", flat=True):
        yield "not_extended", ident, "paid and complete, but it added no term"


def _terms() -> Iterator[Found]:
    """A license with a term lasts as long as the terms of its orders, each counted once."""
    rows = License.objects.exclude(line__kind=Offer.Kind.SUBSCRIPTION)
    rows = rows.exclude(grant__state=Grant.State.REVOKED)
    is_endless = Q(line__term_days=None, grant__ends_at=None)
    rows = rows.exclude(is_endless).select_related("grant", "line").order_by("id")
    for row in rows.prefetch_related("extensions__lines").iterator(chunk_size=500):
        until = extending.end_by_orders(row)
        if row.grant.ends_at != until:
            note = f"ends {row.grant.ends_at}, but by its orders {until}"
            yield "license_end", row.public_id, note
