"""What staff do about money: each deed has a reason, and leaves one event in the audit trail."""

from django.utils.translation import gettext as _

from accounts.models import AuditEvent, Namespace, User
from accounts.services.audit import record
from accounts.viewer import Viewer
from store.core.errors import ForbiddenError, InvalidError

MAX_REASON_CHARS = 300


class ReasonNeededError(InvalidError):
    """Staff must say why: the audit trail keeps it, and the person concerned may read it."""

    code = "reason_needed"


def staff_of(viewer: Viewer) -> User:
    """Return the member of staff who acts.

    Raises:
        UnauthenticatedError: nobody is signed in.
        ForbiddenError: they are no member of staff.
    """
    user = viewer.signed_in()
    if not viewer.is_staff:
        raise ForbiddenError(_("Only staff can do this."))
    return user


def clean_reason(text: str) -> str:
    """Return a reason on one line.

    Raises:
        ReasonNeededError: empty, too long, or with characters that are not text.
    """
    reason = " ".join(text.split())
    if not reason or len(reason) > MAX_REASON_CHARS or not reason.isprintable():
        raise ReasonNeededError(
            _("Give a reason of 1 to %(most)d characters.") % {"most": MAX_REASON_CHARS}
        )
    return reason


def note(
    viewer: Viewer,
    action: str,
    *,
    subject: str,
    reason: str,
    namespace: Namespace | None = None,
    **detail: object,
) -> AuditEvent:
    """Write the one event of a deed, in its transaction.

    Args:
        viewer: Who did it.
        action: ``thing.verb``.
        subject: Id of what it was done to.
        reason: Cleaned before.
        namespace: Whose affair it is; they see it in their own trail.
        **detail: JSON-able facts.
    """
    return record(
        action,
        actor=viewer.user,
        subject=subject,
        namespace=namespace,
        address=viewer.address,
        reason=reason,
        **detail,
    )
