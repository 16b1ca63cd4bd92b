"""Going on with a subscription somebody ended, while what was paid still runs."""

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Scope
from accounts.services.audit import record
from accounts.viewer import Viewer
from catalog.models import Grant
from licensing.gateways.base import FactKind
from licensing.models import Order, PaymentEvent, Subscription
from licensing.services import granting, ordering, renewals, sellability, settling
from store.core.errors import ConflictError

State = Subscription.State


class NotResumableError(ConflictError):
    """The subscription cannot go on; ``extra.reason`` says why, stable.

    One of ``over``, ``revoked``, ``given_back``, ``open``, ``ended_by_gateway``.
    """

    code = "not_resumable"


def resume_subscription(viewer: Viewer, subscription: Subscription) -> Subscription:
    """Let a subscription somebody ended go on as before. Resuming what goes on changes nothing.

    The next period is collected when it is due, as if nobody had ended it; an order for it that was
    cancelled with the end is open again.

    Args:
        viewer: Who goes on with it. It commits them to pay, so a token needs the scope ``buy``,
            and its limit must have room for what is due this month.
        subscription: What goes on.

    Raises:
        UnauthenticatedError, MissingScopeError: see there.
        SubscriptionNotFoundError: not theirs.
        SpendLimitError: see ``ordering.count_resumed``.
        NotResumableError: with the reason. Nothing changes.
    """
    viewer.require(Scope.BUY)
    found = renewals.subscription_for(viewer, subscription.public_id)
    first = found.line.order
    with transaction.atomic():
        Order.objects.select_for_update().get(pk=first.pk)
        cancelled = found.renewals.filter(state=Order.State.CANCELLED).order_by("pk")
        waiting = list(cancelled.select_for_update())
        grant = granting.lock_grant(found)
        if found.state not in granting.GOING:
            if reason := _reason_against(found, grant):
                raise _refusal(reason)
            _go_on(viewer, found, grant, [order for order in waiting if _is_next(order, found)])
    found.refresh_from_db()
    return found


def is_resumable(subscription: Subscription, grant: Grant) -> bool:
    """Whether a subscription that is to end can go on.

    Args:
        subscription: With its line and that line's order.
        grant: What it carries.
    """
    return subscription.state == State.ENDING and not _reason_against(subscription, grant)


def _go_on(viewer: Viewer, subscription: Subscription, grant: Grant, waiting: list[Order]) -> None:
    """Let a locked subscription go on, and have its next period paid."""
    if viewer.token is not None:
        due = subscription.line.agreed_minor(renewals.next_period(subscription))
        ordering.count_resumed(viewer.token, subscription, due, is_ordered=bool(waiting))
    for order in waiting:
        settling.reopen(order, until=timezone.now() + renewals.OPEN_FOR)
        order.reminders.all().delete()  # who pays by transfer is asked anew
    granting.resume_subscription(subscription, grant)
    first = subscription.line.order
    record(
        "subscription.resume",
        actor=viewer.user,
        subject=first.public_id,
        namespace=first.holder,
        address=viewer.address,
        subscription=subscription.public_id,
    )


def _is_next(order: Order, subscription: Subscription) -> bool:
    """Whether an order is the store's own for the period that comes next."""
    key = renewals.key_of_next(subscription)
    return order.idempotency_key == granting.renewal_key(subscription, key)


def _reason_against(subscription: Subscription, grant: Grant) -> str:
    """Return why a subscription cannot go on; empty: it can.

    Only what somebody ended goes on, and on the same conditions as one nobody ended: those of
    ``settling`` for the money of a later period.
    """
    first = subscription.line.order
    if grant.state == Grant.State.REVOKED:
        return "revoked"
    if subscription.state != State.ENDING or subscription.paid_until <= timezone.now():
        return "over"
    kept = subscription.renewals.filter(fulfilled_at__isnull=False)
    if kept.filter(lines__taken_back_at__isnull=False).exists():
        return "given_back"
    if sellability.are_open(subscription.line.repos.all()):
        return "open"
    ended = PaymentEvent.objects.filter(
        gateway=first.gateway,
        order_ref=first.public_id,
        kind=FactKind.SUBSCRIPTION_ENDED.value,
    )
    return "ended_by_gateway" if ended.exists() else ""


def _refusal(reason: str) -> NotResumableError:
    words = {
        "over": _("What was paid has run out. Subscribe again."),
        "revoked": _("This license was taken back. Subscribe again."),
        "given_back": _(
            "A period was paid back, so the subscription ends with what is left. Subscribe again"
            " after it."
        ),
        "open": _("It is free for everybody now: there is nothing to pay for any more."),
        "ended_by_gateway": _(
            "The payment service has ended it for good. Subscribe again when what was paid has run"
            " out."
        ),
    }
    return NotResumableError(words[reason], reason=reason)
