"""Having payouts sent, and what came of it. Safe to repeat, and after a crash at any point."""

import logging

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from licensing.gateways.base import GatewayRefusedError, NoMoneyThereError
from licensing.gateways.registry import gateway_named
from licensing.models import LedgerAccount, LedgerMovement, Payout
from licensing.services import office
from licensing.services.payout_accounts import BY_HAND, NoPayoutAccountError, payout_account
from licensing.services.payouts import ask_to_send, book, pause_of
from store.core.errors import ConflictError, InvalidError

logger = logging.getLogger(__name__)
Account = LedgerAccount.Kind
Kind = LedgerMovement.Kind
State = Payout.State
MAX_REFERENCE_CHARS = 128
_MAX_FAILURE_CHARS = 300


class PayoutClosedError(ConflictError):
    """The payout is sent or failed already; ``extra.state`` says which."""

    code = "payout_closed"


class SentByGatewayError(ConflictError):
    """The gateway sends this payout: nobody else can say that it was sent, or was not."""

    code = "sent_by_gateway"


class BadReferenceError(InvalidError):
    """A transfer is known by the bank's reference of it."""

    code = "bad_reference"


def send(payout_id: int) -> str:
    """Have a payout sent; the work of the job. The key of the call is the payout's own id.

    Where it goes is written down before the gateway is asked. From then on only the gateway's own
    answer ends it: a missing account proves nothing any more, as the money may have left.

    Returns:
        The state afterwards; ``sending`` for what staff must transfer, for a paused seller, and
        while the store has too little at the gateway: it is asked again every day.

    Raises:
        GatewayError: try again.
        UnknownGatewayError: the site has no such gateway any more; the payout waits.
    """
    payout = Payout.objects.select_related("namespace").get(pk=payout_id)
    if payout.state != State.SENDING or payout.gateway in BY_HAND or pause_of(payout.namespace):
        return payout.state
    gateway = gateway_named(payout.gateway)
    try:
        if not payout.account:
            payout.account = payout_account(payout.namespace, payout.gateway)
            payout.save(update_fields=["account"])
        sent = gateway.pay_out(
            account=payout.account,
            amount_minor=payout.amount_minor,
            currency=payout.currency,
            key=payout.public_id,
        )
    except NoMoneyThereError as error:
        waiting = Payout.objects.filter(pk=payout_id, state=State.SENDING)
        waiting.update(failure=error.message[:_MAX_FAILURE_CHARS])
        return State.SENDING
    except (GatewayRefusedError, NoPayoutAccountError) as error:
        return settle_payout(payout_id, failure=error.message).state
    return settle_payout(payout_id, external_id=sent).state


@transaction.atomic
def settle_payout(payout_id: int, *, external_id: str = "", failure: str = "") -> Payout:
    """Book what the gateway said of a payout. Safe to repeat: the first answer counts.

    Args:
        payout_id: Its row.
        external_id: The gateway's id of it: it was sent.
        failure: Why it was not: the money is the seller's again.
    """
    payout = Payout.objects.select_for_update().get(pk=payout_id)
    if payout.state != State.SENDING:
        if (payout.state == State.FAILED) != bool(failure):
            logger.error("payout %s is %s, and was told otherwise", payout.public_id, payout.state)
        return payout
    if failure:
        _fail(payout, failure)
    else:
        _sent(payout, external_id)
    return payout


def send_again(viewer: Viewer, payout: Payout, reason: str) -> None:
    """Ask once more for a payout that waits, after its job gave up.

    Raises:
        ForbiddenError, ReasonNeededError: see there.
        PayoutClosedError: it does not wait.
    """
    office.staff_of(viewer)
    text = office.clean_reason(reason)
    with transaction.atomic():
        locked = _locked(payout)
        _check_open(locked)
        ask_to_send(locked)
        _note(viewer, "payout.send_again", locked, text)


def mark_sent(viewer: Viewer, payout: Payout, reference: str, reason: str) -> Payout:
    """Say that staff transferred a payout the gateway cannot send.

    Args:
        viewer: A member of staff.
        payout: One of a gateway in ``BY_HAND``.
        reference: The bank's number of the transfer.
        reason: For the audit trail.

    Raises:
        ForbiddenError, ReasonNeededError, BadReferenceError: see there.
        SentByGatewayError: its gateway sends it.
        PayoutClosedError: it was sent or failed before. Nothing changes.
    """
    office.staff_of(viewer)
    text, known = office.clean_reason(reason), reference.strip()
    if not 1 <= len(known) <= MAX_REFERENCE_CHARS or not known.isprintable():
        raise BadReferenceError(
            _("Give the bank's reference, up to %(most)d characters.")
            % {"most": MAX_REFERENCE_CHARS}
        )
    with transaction.atomic():
        locked = _locked(payout)
        _check_open(locked)
        _check_by_hand(locked)
        _sent(locked, known)
        _note(viewer, "payout.sent", locked, text, reference=known)
    return locked


def mark_failed(viewer: Viewer, payout: Payout, reason: str) -> Payout:
    """Say that a payout did not arrive: the money is the seller's again, in the next payout.

    One that was sent may come back from the bank days later. One that a gateway is sending is the
    gateway's to fail.

    Raises:
        ForbiddenError, ReasonNeededError: see there.
        SentByGatewayError: its gateway is at it.
        PayoutClosedError: it failed before. Nothing changes.
    """
    office.staff_of(viewer)
    text = office.clean_reason(reason)
    with transaction.atomic():
        locked = _locked(payout)
        if locked.state == State.FAILED:
            raise _closed(locked)
        if locked.state == State.SENDING:
            _check_by_hand(locked)
        _fail(locked, text)
        _note(viewer, "payout.failed", locked, text)
    return locked


def _locked(payout: Payout) -> Payout:
    return Payout.objects.select_for_update(of=("self",)).get(pk=payout.pk)


def _check_open(payout: Payout) -> None:
    if payout.state != State.SENDING:
        raise _closed(payout)


def _check_by_hand(payout: Payout) -> None:
    if payout.gateway not in BY_HAND:
        raise SentByGatewayError(
            _("'%(gateway)s' sends this payout itself. Send it again instead, or ask there.")
            % {"gateway": payout.gateway}
        )


def _closed(payout: Payout) -> PayoutClosedError:
    return PayoutClosedError(
        _("This payout is closed: %(state)s.") % {"state": payout.get_state_display()},
        state=payout.state,
    )


def _sent(payout: Payout, external_id: str) -> None:
    amount = payout.amount_minor
    book(payout, Kind.PAYOUT_SENT, {Account.PAYOUTS: amount, Account.GATEWAY: -amount})
    payout.state, payout.external_id, payout.closed_at = State.SENT, external_id, timezone.now()
    payout.failure = ""
    payout.save(update_fields=["state", "external_id", "closed_at", "failure"])


def _fail(payout: Payout, why: str) -> None:
    """Give the money back to the seller: from its way, or from where it had left already."""
    amount = payout.amount_minor
    source = Account.PAYOUTS if payout.state == State.SENDING else Account.GATEWAY
    book(payout, Kind.PAYOUT_FAILED, {source: amount, Account.PAYABLE: -amount})
    payout.state, payout.closed_at = State.FAILED, timezone.now()
    payout.failure = why[:_MAX_FAILURE_CHARS]
    payout.save(update_fields=["state", "failure", "closed_at"])


def _note(viewer: Viewer, action: str, payout: Payout, reason: str, **detail: object) -> None:
    office.note(
        viewer,
        action,
        subject=payout.public_id,
        namespace=payout.namespace,
        reason=reason,
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        gateway=payout.gateway,
        **detail,
    )
