"""What a paid order gives its buyer, and takes back. Every function runs under the order's lock."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from catalog.models import Grant, GrantedRepo, ModelRepo
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

State = Grant.State


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
        GrantedRepo.objects.create(grant=grant, repo=repo, commit_oid=commit_oid)
        bind_files(row, repo, commit_oid)
    if line.kind == Offer.Kind.SUBSCRIPTION:
        Subscription.objects.create(line=line, paid_until=grant.ends_at or now)
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
        return periods.after(start, line.interval, 1)
    return start + timedelta(days=line.term_days) if line.term_days else None


def _renew(subscription: Subscription) -> None:
    """Carry a license on for another period, counted from its start."""
    grant = Grant.objects.select_for_update().get(license__line=subscription.line)
    subscription.periods += 1
    subscription.paid_until = periods.after(
        grant.starts_at, subscription.line.interval, subscription.periods
    )
    subscription.attempts, subscription.next_try_at = 0, None
    if subscription.state == Subscription.State.OVERDUE:
        subscription.state = Subscription.State.ACTIVE
    subscription.save()
    grant.ends_at = subscription.paid_until
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
    Subscription.objects.filter(line=line).update(state=Subscription.State.ENDED)


def _shorten(subscription: Subscription) -> None:
    """Take one paid period back, and collect no more."""
    grant = Grant.objects.select_for_update().get(license__line=subscription.line)
    subscription.periods = max(0, subscription.periods - 1)
    subscription.paid_until = periods.after(
        grant.starts_at, subscription.line.interval, subscription.periods
    )
    subscription.state = Subscription.State.ENDING
    subscription.save()
    grant.ends_at = subscription.paid_until
    grant.save(update_fields=["ends_at"])


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


def credit(order: Order, ident: str, parts: Mapping[OrderLine, int]) -> None:
    """Write the credit notes of what goes back."""
    paperwork.credit_note(order, ident, parts)


def end_subscription(order: Order) -> bool:
    """Let the order's subscription end with what is paid; ``False``: it was ending already."""
    line = order.renews.line if order.renews is not None else order.lines.first()
    going = [Subscription.State.ACTIVE, Subscription.State.OVERDUE]
    rows = Subscription.objects.filter(line=line, state__in=going)
    return bool(rows.update(state=Subscription.State.ENDING))
