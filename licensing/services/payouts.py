"""Paying sellers: what is available is booked, stated, and sent by a job.

available  → payable +, payouts -        one transaction: entries settled, statement issued
sent       → payouts +, gateway -        the gateway took it
failed     → payouts +, payable -        it is the seller's again, in the next payout
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Namespace
from accounts.viewer import Viewer
from licensing.gateways.registry import UnknownGatewayError, gateway_named
from licensing.models import (
    LedgerAccount,
    LedgerEntry,
    LedgerMovement,
    Payout,
    PayoutItem,
    PayoutPause,
)
from licensing.services import ledger, office
from licensing.services.ledger import Entry
from licensing.services.payout_accounts import BY_HAND, NoPayoutAccountError, payout_account
from licensing.services.payout_statements import issue_statement
from store.core.errors import ConflictError, InvalidError, StoreError
from store.core.jobs import JobName, enqueue

logger = logging.getLogger(__name__)
Account = LedgerAccount.Kind
Kind = LedgerMovement.Kind
State = Payout.State


class FuturePayoutError(InvalidError):
    """What will be available some day cannot be paid out today."""

    code = "future_payout"


class NotPausedError(ConflictError):
    """The seller's payouts are not paused."""

    code = "not_paused"


@dataclass(frozen=True, slots=True)
class Due:
    """What a seller could be paid now.

    Args:
        account: Their payable account.
        amount_minor: Available; zero or less is carried over.
        obstacle: Why it is not paid: ``too_little``, ``paused``, ``unknown_gateway``,
            ``no_account``; empty: it is.
    """

    account: LedgerAccount
    amount_minor: int
    obstacle: str


def due(until: datetime | None = None, *, least_minor: int | None = None) -> list[Due]:
    """Return what every seller could be paid, without paying it.

    Raises:
        FuturePayoutError: see ``run_payouts``.
    """
    moment, least = _moment(until), _least(least_minor)
    sums = _open(moment).values("account").annotate(total=Sum("amount_minor"))
    totals = {row["account"]: -row["total"] for row in sums.exclude(total=0)}
    accounts = LedgerAccount.objects.filter(pk__in=list(totals)).select_related("namespace")
    paused = set(PayoutPause.objects.values_list("namespace_id", flat=True))
    return [
        Due(
            row,
            totals[row.pk],
            _obstacle(
                row.namespace_id or 0,
                row.gateway,
                totals[row.pk],
                least,
                is_paused=row.namespace_id in paused,
            ),
        )
        for row in accounts.order_by("id")
    ]


def obstacle_of(seller: Namespace, gateway: str, amount_minor: int) -> str:
    """Return why a seller's available money at a gateway is not paid out; see ``Due.obstacle``."""
    is_paused = pause_of(seller) is not None
    return _obstacle(seller.pk, gateway, amount_minor, _least(None), is_paused=is_paused)


def run_payouts(
    until: datetime | None = None,
    *,
    least_minor: int | None = None,
    but: Collection[LedgerAccount] = (),
) -> list[Payout]:
    """Pay out what was available at a moment. Safe to repeat, and to run beside itself.

    Each seller, gateway and currency is a transaction of its own: what is wrong with one is
    logged, and the others are paid.

    Args:
        until: That moment; ``None``: now.
        least_minor: Less is carried over; ``None``: ``STORE_PAYOUT_LEAST_MINOR``.
        but: Payable accounts that are left alone.

    Raises:
        FuturePayoutError: the moment has not come yet; nothing is paid.
    """
    moment, least = _moment(until), _least(least_minor)
    made = []
    for row in due(moment, least_minor=least):
        if row.obstacle or row.account in but:
            continue
        try:
            payout = _pay(row.account, moment, least)
        except StoreError:
            logger.exception("no payout of %s", row.account)
        else:
            made += [payout] if payout is not None else []
    return made


def run_for_staff(viewer: Viewer, reason: str) -> list[Payout]:
    """Pay out what is available now, as a member of staff wishes. The wish is noted first.

    Raises:
        ForbiddenError: not staff.
        ReasonNeededError: no reason; nothing is paid.
    """
    office.staff_of(viewer)
    office.note(viewer, "payout.run", subject="", reason=office.clean_reason(reason))
    return run_payouts()


def run_scheduled() -> list[Payout]:
    """Pay out what was available at the start of the last day of payouts.

    Asked every day: whoever could not be paid on the day itself (paused, no account, the store
    was down) is paid on the next day they can be, and nobody twice. What a gateway had no money for
    is asked for again; what failed since that day waits for the next one, or else each day would
    have a failed payout, and a statement, of its own.
    """
    for payout in Payout.objects.filter(state=State.SENDING).exclude(failure=""):
        ask_to_send(payout)
    day = settings.ENV.payout_day
    if not day:
        return []
    today = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    until = today.replace(day=day)
    if until > today:
        last = today.month - 1 or 12
        until = until.replace(month=last, year=today.year - (last == 12))
    return run_payouts(until, but=_failed_since(until))


def _failed_since(moment: datetime) -> set[LedgerAccount]:
    """Return the payable accounts of which a payout was made since a moment, and failed."""
    failed = Payout.objects.filter(
        state=State.FAILED,
        created_at__gte=moment,
        namespace=OuterRef("namespace"),
        gateway=OuterRef("gateway"),
        currency=OuterRef("currency"),
    )
    return set(LedgerAccount.objects.filter(Exists(failed), kind=Account.PAYABLE))


def pause_of(namespace: Namespace) -> PayoutPause | None:
    """Return why a seller is not paid out; ``None``: they are."""
    return PayoutPause.objects.filter(namespace=namespace).first()


@transaction.atomic
def pause(viewer: Viewer, namespace: Namespace, reason: str) -> PayoutPause:
    """Pay a seller nothing until ``resume``; they read the reason. A new one replaces the old.

    What was booked and is not sent yet waits as well.

    Raises:
        ForbiddenError: not staff.
        ReasonNeededError: no reason.
    """
    user, text = office.staff_of(viewer), office.clean_reason(reason)
    row, _new = PayoutPause.objects.update_or_create(
        namespace=namespace,
        defaults={"reason": text, "paused_by": user, "paused_at": timezone.now()},
    )
    office.note(viewer, "payout.pause", subject=namespace.name, namespace=namespace, reason=text)
    return row


@transaction.atomic
def resume(viewer: Viewer, namespace: Namespace, reason: str) -> None:
    """Pay a seller again; what waited is sent.

    Raises:
        ForbiddenError: not staff.
        ReasonNeededError: no reason.
        NotPausedError: nothing is paused.
    """
    office.staff_of(viewer)
    text = office.clean_reason(reason)
    gone, _each = PayoutPause.objects.filter(namespace=namespace).delete()
    if not gone:
        raise NotPausedError(_("The payouts of %(name)s are not paused.") % {"name": namespace})
    for payout in namespace.payouts.filter(state=State.SENDING):
        ask_to_send(payout)
    office.note(viewer, "payout.resume", subject=namespace.name, namespace=namespace, reason=text)


def ask_to_send(payout: Payout) -> None:
    """Ask for the job that has a payout sent; an open one is not doubled."""
    enqueue(JobName.PAY_OUT, key=f"payout-{payout.pk}", payout_id=payout.pk)


@transaction.atomic
def _pay(account: LedgerAccount, moment: datetime, least: int) -> Payout | None:
    """Book the payout of one account; ``None``: meanwhile there is nothing to pay.

    The account's row is the lock: another run waits here, and then finds the entries settled.
    Bookings go on meanwhile, what they add is in the next payout.
    """
    LedgerAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    rows = _open(moment).filter(account=account)
    rows = rows.select_related("movement__order", "line", "account")
    entries = list(rows.prefetch_related("line__shares").order_by("id"))
    amount = -sum(entry.amount_minor for entry in entries)
    if amount < least or PayoutPause.objects.filter(namespace=account.namespace).exists():
        return None
    gateway, owner = gateway_named(account.gateway), _owner(account)
    payout = Payout.objects.create(
        namespace=owner,
        gateway=account.gateway,
        currency=account.currency,
        amount_minor=amount,
        until=moment,
        account=payout_account(owner, account.gateway) if account.gateway in BY_HAND else "",
    )
    book(payout, Kind.PAYOUT, {Account.PAYABLE: amount, Account.PAYOUTS: -amount})
    own = LedgerEntry.objects.get(account=account, movement__key=_key(payout, Kind.PAYOUT))
    settled = [PayoutItem(payout=payout, entry=entry) for entry in (*entries, own)]
    PayoutItem.objects.bulk_create(settled, batch_size=1000)
    payout.statement = issue_statement(payout, entries, is_test=gateway.is_test)
    payout.save(update_fields=["statement"])
    ask_to_send(payout)
    return payout


def book(payout: Payout, kind: LedgerMovement.Kind, amounts: dict[LedgerAccount.Kind, int]) -> None:
    """Book a step of a payout, once."""
    owners = {Account.PAYABLE: payout.namespace_id, Account.PAYOUTS: payout.namespace_id}
    ledger.book(
        kind,
        _key(payout, kind),
        [
            Entry(account, amount, LedgerEntry.Purpose.MONEY, owners.get(account))
            for account, amount in amounts.items()
        ],
        gateway=payout.gateway,
        currency=payout.currency,
    )


def _key(payout: Payout, kind: LedgerMovement.Kind) -> str:
    return f"{kind}:{payout.public_id}"


def _open(moment: datetime) -> QuerySet[LedgerEntry]:
    """Return what no payout has settled and was available at a moment.

    What was taken back since then counts already, lest it is paid out and asked back.
    """
    then = Q(available_at__lte=moment)
    taken_since = Q(amount_minor__gt=0, available_at__lte=timezone.now())
    rows = LedgerEntry.objects.filter(account__kind=Account.PAYABLE, settled_by=None)
    return rows.filter(then | taken_since)


def _obstacle(
    owner_id: int, gateway: str, amount_minor: int, least: int, *, is_paused: bool
) -> str:
    if amount_minor < least:
        return "too_little"
    if is_paused:
        return "paused"
    try:
        gateway_named(gateway)
        payout_account(Namespace.objects.get(pk=owner_id), gateway)
    except UnknownGatewayError:
        return "unknown_gateway"
    except NoPayoutAccountError:
        return "no_account"
    return ""


def _owner(account: LedgerAccount) -> Namespace:
    """Return the seller of a payable account; a constraint sees to it that there is one."""
    return Namespace.objects.get(pk=account.namespace_id or 0)


def _moment(until: datetime | None) -> datetime:
    now = timezone.now()
    if until is not None and until > now:
        raise FuturePayoutError(_("That day has not come yet. Pay out what is available now."))
    return until or now


def _least(least_minor: int | None) -> int:
    return max(1, settings.ENV.payout_least_minor if least_minor is None else least_minor)
