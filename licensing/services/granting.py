"""What a paid order gives its buyer, and takes back. Every function runs under the order's lock."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from catalog.models import Grant, GrantedRepo, ModelRepo
from catalog.reach import major_at
from licensing.configured import new_license_key
from licensing.documents.keys import digest_of_key
from licensing.models import (
    License,
    LicensedFile,
    Offer,
    Order,
    OrderLine,
    Subscription,
)
from licensing.services import extending, paperwork, periods
from licensing.services.covering import covered_files, head_of
from store.core.ids import new_public_id
from store.core.jobs import JobName, enqueue

State = Grant.State
GOING = (Subscription.State.ACTIVE, Subscription.State.OVERDUE)
GRACE = timedelta(days=1)
"""A subscription's license goes on so long after the paid period: gateways collect the next one
after it has begun (Stripe: about an hour). None is given once it is to end."""


def fulfil(order: Order) -> None:
    """Give every line its license, grant and paper. Safe to repeat: a line has at most one."""
    if order.renews is not None:
        _renew(order.renews)
    elif order.extends_id is not None:
        extending.extend(order)
    else:
        lines = order.lines.filter(taken_back_at=None)
        for line in lines.select_related("seller").order_by("position"):
            if not License.objects.filter(line=line).exists():
                _license(order, line)
    paperwork.invoice(order)


def _license(order: Order, line: OrderLine) -> License:
    now = timezone.now()
    grant = Grant.objects.create(
        holder=order.holder,
        updates=line.updates,
        starts_at=now,
        ends_at=_end(line, now),
    )
    public_id = new_public_id()
    row = License.objects.create(
        public_id=public_id,
        line=line,
        grant=grant,
        seller=line.seller,
        holder=order.holder,
        licensee=paperwork.licensee_name(order),
        title=line.title,
        key_digest=digest_of_key(new_license_key(public_id, rotation=0)),
        terms_id=line.terms_id,
        rights=line.rights,
        seats=line.seats,
        seat_kind=line.seat_kind,
        is_test=order.is_test,
        created_at=now,
    )
    for repo in line.repos.select_related("namespace"):
        commit_oid = head_of(repo)
        major = major_at(repo, commit_oid)
        GrantedRepo.objects.create(grant=grant, repo=repo, commit_oid=commit_oid, major=major)
        bind_files(row, repo, commit_oid)
    if line.kind == Offer.Kind.SUBSCRIPTION:
        paid_until = periods.after(now, line.interval, 1)
        Subscription.objects.create(line=line, paid_until=paid_until)
    return row


def bind_files(row: License, repo: ModelRepo, commit_oid: str) -> None:
    """Write down which bytes of a model a license is for."""
    LicensedFile.objects.bulk_create(
        (
            LicensedFile(license=row, repo=repo, path=path, sha256=sha256, size_bytes=size_bytes)
            for path, sha256, size_bytes in covered_files(repo, commit_oid)
        ),
        batch_size=1000,
    )


def _end(line: OrderLine, start: datetime) -> datetime | None:
    if line.kind == Offer.Kind.SUBSCRIPTION:
        return periods.after(start, line.interval, 1) + GRACE
    return start + timedelta(days=line.term_days) if line.term_days else None


def _renew(subscription: Subscription) -> None:
    """Carry a license on for another period, counted from its start."""
    grant = lock_grant(subscription)
    subscription.periods += 1
    subscription.attempts, subscription.next_try_at = 0, None
    if subscription.state == Subscription.State.OVERDUE:
        subscription.state = Subscription.State.ACTIVE
    _set_end(subscription, grant)


def lock_grant(subscription: Subscription) -> Grant:
    """Return the grant a subscription carries, locked, and read the subscription anew.

    Locks of orders come first.
    """
    grant = Grant.objects.select_for_update().get(license__line=subscription.line)
    subscription.refresh_from_db()
    return grant


def _set_end(subscription: Subscription, grant: Grant) -> None:
    """Write until when a subscription is paid and its license good, and save both."""
    subscription.paid_until = periods.after(
        grant.starts_at, subscription.line.interval, subscription.periods
    )
    subscription.save()
    goes_on = subscription.state in GOING
    grant.ends_at = subscription.paid_until + (GRACE if goes_on else timedelta())
    grant.save(update_fields=["ends_at"])


def revoke(line: OrderLine) -> None:
    """End what a line gave, at once. What a renewal gave is its period; the rest ends for good."""
    line.taken_back_at = timezone.now()
    line.save(update_fields=["taken_back_at"])
    subscription = line.order.renews
    rows = _lock_licenses(line.order)
    if subscription is not None and line.order.fulfilled_at is not None:
        _shorten(subscription)  # before that it has not lengthened anything
    for row in rows:
        if subscription is not None:
            _thaw(row)
        elif line.order.extends_id is not None or row.line_id == line.pk:
            extending.recount(row)
    if subscription is None and line.kind == Offer.Kind.SUBSCRIPTION:
        Subscription.objects.filter(line=line).update(state=Subscription.State.ENDED)
        have_gateway_told(line.order)


def _shorten(subscription: Subscription) -> None:
    """Take one paid period back, and collect no more."""
    grant = lock_grant(subscription)
    subscription.periods = max(0, subscription.periods - 1)
    if subscription.state in GOING:
        subscription.state = Subscription.State.ENDING
    _set_end(subscription, grant)
    have_gateway_told(subscription.line.order)


def have_gateway_told(first: Order) -> None:
    """Have the gateway told whether the subscription an order began goes on, as it is then.

    Also where none came of it here: the gateway began one with the first payment.
    """
    enqueue(JobName.TELL_GATEWAY, order_id=first.pk)


def freeze(order: Order) -> None:
    """Keep what an order gave from opening anything, until ``thaw``."""
    grants = [row.grant_id for row in _lock_licenses(order)]
    Grant.objects.filter(pk__in=grants, state=State.ACTIVE).update(state=State.FROZEN)


def thaw(order: Order) -> None:
    """Let grants open again what they did, where nothing else holds them."""
    for row in _lock_licenses(order):
        _thaw(row)


def _thaw(row: License) -> None:
    """Open a locked license again, unless it is suspended, revoked, or disputed elsewhere."""
    if row.suspended_at is None and not extending.is_disputed(row):
        Grant.objects.filter(pk=row.grant_id, state=State.FROZEN).update(state=State.ACTIVE)


def _lock_licenses(order: Order) -> list[License]:
    """Lock the licenses of an order, also those it renews or extends, until the transaction ends.

    Suspending and activating take the same locks, so that none of them works on what it read
    before.
    """
    mine = Q(line__order=order) | Q(extensions=order)
    if order.renews is not None:
        mine |= Q(line=order.renews.line)
    ids = License.objects.filter(mine).values("pk")
    return list(License.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk"))


def end_subscription(order: Order) -> bool:
    """Let the order's subscription end with what is paid; ``False``: it was ending already."""
    subscription = subscription_of(order)
    if subscription is None:
        return False
    grant = lock_grant(subscription)
    if subscription.state not in GOING:
        return False
    subscription.state = Subscription.State.ENDING
    subscription.next_try_at = None
    _set_end(subscription, grant)
    have_gateway_told(subscription.line.order)
    return True


def resume_subscription(subscription: Subscription, grant: Grant) -> None:
    """Let a subscription that is to end go on. Its first order is locked, ``lock_grant`` called."""
    is_late = subscription.attempts > 0  # the period that is due was refused before
    subscription.state = Subscription.State.OVERDUE if is_late else Subscription.State.ACTIVE
    _set_end(subscription, grant)
    have_gateway_told(subscription.line.order)


def end_unpaid(subscription: Subscription, order: Order | None) -> bool:
    """End a subscription nobody paid for; ``False``: it was paid or ended meanwhile.

    Args:
        subscription: As it was when it was found unpaid.
        order: Of the period, cancelled; it may be open again if somebody went on meanwhile.
    """
    periods = subscription.periods
    with transaction.atomic():
        grant = lock_grant(subscription)
        if subscription.state not in GOING or subscription.periods != periods:
            return False
        if order is not None:
            order.refresh_from_db(fields=["state"])
            if order.state != Order.State.CANCELLED:
                return False
        subscription.state, subscription.next_try_at = Subscription.State.ENDED, None
        _set_end(subscription, grant)
        have_gateway_told(subscription.line.order)
    return True


def mark_overdue(order: Order, period_key: str) -> bool:
    """Note that a period could not be collected; ``False``: it was paid since, or is to end."""
    subscription = subscription_of(order)
    if subscription is None:
        return False
    lock_grant(subscription)
    paid = subscription.renewals.filter(idempotency_key=renewal_key(subscription, period_key))
    if subscription.state not in GOING or paid.exclude(paid_at=None).exists():
        return False
    subscription.state = Subscription.State.OVERDUE
    subscription.attempts += 1
    subscription.save(update_fields=["state", "attempts"])
    return True


def subscription_of(order: Order) -> Subscription | None:
    """Return the subscription an order began or renews."""
    if order.renews is not None:
        return order.renews
    return Subscription.objects.filter(line__order=order).first()


def renewal_key(subscription: Subscription, period_key: str) -> str:
    """Return the idempotency key of the order that pays one period."""
    return f"renewal:{subscription.public_id}:{period_key}"[:128]
