"""The later periods of subscriptions: each is an order of its own, with the first one's terms."""

import hashlib
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Role, Scope
from accounts.services.audit import record
from accounts.viewer import Viewer
from licensing.gateways.base import Fact, FactKind
from licensing.models import LineShare, Offer, Order, OrderLine, PaymentEvent, Subscription
from licensing.services import fees, granting, settling, taxing
from licensing.tax.amounts import Taxed
from store.core.errors import ConflictError, NotFoundError, StoreError

OPEN_FOR = timedelta(days=30)
"""A renewal nobody paid is cancelled after it, and with it the subscription."""
_HOLDERS = {Role.ADMIN, Role.WRITE}


class SubscriptionNotFoundError(NotFoundError):
    """The person has no such subscription."""

    code = "subscription_not_found"


class NotRenewableError(ConflictError):
    """The period cannot be priced, or was collected with another amount; people must look."""

    code = "not_renewable"


@transaction.atomic
def open_renewal(
    subscription: Subscription, key: str, *, collected_minor: int | None = None
) -> Order:
    """Return the order that pays one more period, made on first asking with this key.

    Price, seats and terms are those of the first order, without its discount once that has ended;
    the tax is that of today. What a gateway collected by itself is the sum the buyer agreed to:
    when the rate changed since, the tax is taken out of that sum, not put on top of it.

    Args:
        subscription: What is paid again.
        key: Of the period: the gateway's invoice, or a number of ours. At most 90 characters.
        collected_minor: What a gateway has collected for it; ``None``: nothing yet.

    Raises:
        NotRenewableError: it was collected with a sum nobody agreed to, or the tax is not known.
    """
    locked = Subscription.objects.select_for_update().get(pk=subscription.pk)
    full_key = granting.renewal_key(locked, key)
    if found := Order.objects.filter(renews=locked, idempotency_key=full_key).first():
        return found
    line = OrderLine.objects.select_related("order__holder", "seller").get(pk=locked.line_id)
    first, now = line.order, timezone.now()
    period = next_period(locked)
    amounts, tax = priced_again(line, first, period, collected_minor)
    order = Order.objects.create(
        buyer=first.buyer,
        holder=first.holder,
        idempotency_key=full_key,
        request_digest=hashlib.sha256(full_key.encode()).hexdigest(),
        gateway=first.gateway,
        is_test=first.is_test,
        currency=first.currency,
        net_minor=amounts.net_minor,
        tax_minor=amounts.tax_minor,
        gross_minor=amounts.gross_minor,
        billing=first.billing,
        terms_accepted_at=first.terms_accepted_at,
        renews=locked,
        created_at=now,
        expires_at=now + OPEN_FOR,
    )
    _copy(line, order, amounts, tax, is_discounted=line.is_discounted(period))
    return order


def next_period(subscription: Subscription) -> int:
    """Return the number of the period that is paid next; 1 was the first.

    One that was paid counts also before its license is carried on: a gateway may tell of several
    at once.
    """
    waiting = subscription.renewals.filter(paid_at__isnull=False, fulfilled_at=None, closed_at=None)
    return subscription.periods + waiting.count() + 1


def for_fact(first: Order, fact: Fact) -> tuple[Order, Fact]:
    """Return the order a collected period pays, locked, and the fact as one of that order.

    Money for a license that was taken back is a surplus of the first order, and goes back.

    Args:
        first: The order that began the subscription, locked.
        fact: ``FactKind.RENEWED``.

    Raises:
        TooEarlyError: the first period has not been paid yet.
        NotRenewableError: see ``open_renewal``.
    """
    subscription = Subscription.objects.filter(line__order=first).first()
    if subscription is None:
        if first.closed_at is not None:
            return first, replace(fact, kind=FactKind.PAID, is_exact=False)
        raise settling.TooEarlyError("Its subscription has not begun yet.")
    if first.state == Order.State.REFUNDED:
        return first, replace(fact, kind=FactKind.PAID, is_exact=False)
    order = open_renewal(subscription, fact.key, collected_minor=fact.amount_minor)
    return Order.objects.select_for_update().get(pk=order.pk), fact


def key_of_next(subscription: Subscription) -> str:
    """Return our key of the period that comes next, for ``open_renewal``."""
    return f"period-{subscription.periods + 1}"


def subscription_for(viewer: Viewer, public_id: str) -> Subscription:
    """Return a subscription the viewer may end or resume: who bought it, or buys for its holder.

    Raises:
        SubscriptionNotFoundError: there is none, or not theirs.
    """
    viewer.signed_in()
    rows = Subscription.objects.select_related("line__order__holder")
    found = rows.filter(public_id=public_id).first()
    if found is None or not may_end(viewer, found):
        raise SubscriptionNotFoundError(_("You have no such subscription."))
    return found


def may_end(viewer: Viewer, subscription: Subscription) -> bool:
    """Whether it is the viewer's to end or resume; what a token covers comes on top."""
    order = subscription.line.order
    is_buyer = viewer.user is not None and order.buyer_id == viewer.user.pk
    return is_buyer or viewer.role_in(order.holder_id) in _HOLDERS


def cancel_subscription(viewer: Viewer, subscription: Subscription) -> Subscription:
    """Let a subscription end with what is paid. Cancelling again changes nothing.

    A period that was due and not paid is not collected any more. Until the end of what is paid
    ``resuming.resume_subscription`` takes it back.

    Args:
        viewer: Who ends it; a token needs the scope ``write``.
        subscription: What is ended.

    Raises:
        UnauthenticatedError, MissingScopeError: see there.
        SubscriptionNotFoundError: not theirs.
    """
    viewer.require(Scope.WRITE)
    found = subscription_for(viewer, subscription.public_id)
    first = found.line.order
    with transaction.atomic():
        Order.objects.select_for_update().get(pk=first.pk)
        for renewal in found.renewals.filter(state=Order.State.OPEN).order_by("pk"):
            with suppress(settling.NotCancellableError):  # it was paid at this very moment
                settling.cancel(renewal.pk)
        if granting.end_subscription(first):
            record(
                "subscription.cancel",
                actor=viewer.user,
                subject=first.public_id,
                namespace=first.holder,
                address=viewer.address,
                subscription=found.public_id,
            )
    found.refresh_from_db()
    return found


def unwanted(since: datetime) -> list[Order]:
    """Return orders made after a moment of which a gateway may go on to collect for nothing.

    They were paid, began no subscription here, and the gateway has not said that it ended its own.
    """
    ended = PaymentEvent.objects.filter(
        gateway=OuterRef("gateway"),
        order_ref=OuterRef("public_id"),
        kind=FactKind.SUBSCRIPTION_ENDED.value,
    )
    rows = Order.objects.filter(
        ~Exists(ended),
        created_at__gte=since,
        closed_at__isnull=False,
        paid_minor__gt=0,
        renews=None,
        lines__kind=Offer.Kind.SUBSCRIPTION,
        lines__subscription=None,
    )
    return list(rows.order_by("id").distinct())


def priced_again(
    line: OrderLine, first: Order, period: int, collected_minor: int | None = None
) -> tuple[Taxed, dict[str, object]]:
    """Return what another period of a line costs, with today's tax, and the facts of that tax.

    Args:
        line: As it was ordered first.
        first: Its order.
        period: Its number; 1 was the first.
        collected_minor: See ``open_renewal``.

    Raises:
        NotRenewableError: see ``open_renewal``.
    """
    today = timezone.now().date()
    amount, agreed = line.unit_minor * line.quantity, line.agreed_minor(period)
    if line.is_discounted(period):
        amount -= line.discount_minor
    try:
        priced = taxing.taxed_again(
            line, first.billing, amount, included=_is_tax_included(line), on=today
        )
        if collected_minor is None or collected_minor == priced[0].gross_minor:
            return priced
        if collected_minor == agreed:
            return taxing.taxed_again(line, first.billing, collected_minor, included=True, on=today)
    except StoreError as error:
        raise NotRenewableError(f"The tax of the period is not known: {error.message}") from error
    raise NotRenewableError(f"{collected_minor} was collected, agreed was {agreed}.")


def _is_tax_included(line: OrderLine) -> bool:
    """Whether the price was shown with the tax; without any tax, as the offer shows it now."""
    listed = line.unit_minor * line.quantity
    if line.tax_minor:
        return line.gross_minor == listed - line.discount_minor
    if line.later_tax_minor:  # the discount left too little for any tax
        return line.later_gross_minor == listed
    return line.offer is not None and line.offer.is_tax_included


def _copy(
    line: OrderLine, order: Order, amounts: Taxed, tax: dict[str, object], *, is_discounted: bool
) -> None:
    """Write the renewal's one line, with today's fee and the agreed parts of upstream owners."""
    fee = fees.fee_on(amounts.net_minor, line.seller, order.created_at)
    row = OrderLine.objects.create(
        order=order,
        position=0,
        seller=line.seller,
        offer=line.offer,
        title=line.title,
        detail=line.detail,
        model_count=line.model_count,
        kind=Offer.Kind.SUBSCRIPTION,
        interval=line.interval,
        quantity=line.quantity,
        unit_minor=line.unit_minor,
        discount_minor=line.discount_minor if is_discounted else 0,
        net_minor=amounts.net_minor,
        tax_minor=amounts.tax_minor,
        gross_minor=amounts.gross_minor,
        tax=tax,
        fee_minor=fee,
        terms_id=line.terms_id,
        rights=line.rights,
        seats=line.seats,
        seat_kind=line.seat_kind,
        term_days=line.term_days,
        updates=line.updates,
    )
    row.repos.set(line.repos.all())
    parts = _shared(line, amounts.net_minor - fee, is_discounted=is_discounted)
    LineShare.objects.bulk_create(
        LineShare(
            line=row,
            namespace_id=share.namespace_id,
            repo_id=share.repo_id,
            basis_points=share.basis_points,
            amount_minor=part,
        )
        for share, part in parts
        if part
    )


def _shared(line: OrderLine, left: int, *, is_discounted: bool) -> list[tuple[LineShare, int]]:
    """Return what owners upstream get of a period, as was agreed for one of its price.

    Args:
        line: As it was ordered first.
        left: What the seller would get without them, in minor units.
        is_discounted: The period has the line's discount.
    """
    shares = list(line.shares.all())
    if is_discounted or line.later_net_minor is None:
        was = line.net_minor - line.fee_minor
        return [(share, share.amount_minor * left // was if was else 0) for share in shares]
    was = line.later_net_minor - fees.fee_on(
        line.later_net_minor, line.seller, line.order.created_at
    )
    return [(share, (share.later_minor or 0) * left // was if was else 0) for share in shares]
