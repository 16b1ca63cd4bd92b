"""The key of a license: shown to its holder, made anew; and suspending what it opens."""

import unicodedata
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import AuditEvent
from accounts.services import mailing
from accounts.services.audit import record
from accounts.viewer import Viewer
from catalog.models import Grant
from licensing.configured import license_key_again, new_license_key
from licensing.documents.keys import digest_of_key
from licensing.models import License
from licensing.services.extending import is_disputed, lock
from store.core.errors import ConflictError, InvalidError, StaleError

State = Grant.State
MAX_REASON_CHARS = 300


class LicenseRevokedError(ConflictError):
    """The license was taken back for good; nothing about it can be changed."""

    code = "license_revoked"


class ReasonRequiredError(InvalidError):
    """Suspending needs a reason, which the holder reads."""

    code = "reason_required"


@transaction.atomic
def reveal_key(viewer: Viewer, license_: License) -> str:
    """Return the key of a license for its holder, and note that it was shown.

    ``license_`` passed ``access.license_for(…, to="use")`` for this viewer.

    Raises:
        SealBrokenError: the secret of the site changed; the key works on, a new one can be made.
    """
    locked = lock(license_.pk)
    key = license_key_again(
        locked.public_id, rotation=locked.key_rotation, digest=locked.key_digest
    )
    _note("license.reveal", viewer, locked)
    return key


@transaction.atomic
def rotate_key(viewer: Viewer, license_: License, *, rotation: int | None = None) -> str:
    """Make a new key; the old one is dead at once, everywhere. Activations stay.

    ``license_`` passed ``access.license_for(…, to="manage")`` for this viewer.

    Args:
        viewer: Who does it.
        license_: Whose key.
        rotation: The number of the key they mean to replace; ``None``: whichever there is.

    Raises:
        StaleError: somebody made a new one before; nothing changed.
        LicenseRevokedError: there is nothing left to open.
    """
    locked = lock(license_.pk)
    _check_not_revoked(locked)
    if rotation is not None and rotation != locked.key_rotation:
        raise StaleError(
            _("This key was replaced before. Read the license again."),
            key_rotation=locked.key_rotation,
        )
    locked.key_rotation += 1
    key = new_license_key(locked.public_id, rotation=locked.key_rotation)
    locked.key_digest = digest_of_key(key)
    locked.save(update_fields=["key_rotation", "key_digest"])
    _tell(_note("license.rotate", viewer, locked))
    return key


@transaction.atomic
def suspend(viewer: Viewer, license_: License, reason: str) -> License:
    """Keep a license from opening anything until it is reinstated. Safe to repeat.

    ``license_`` passed ``access.license_for(…, to="police")`` for this viewer.

    Raises:
        ReasonRequiredError: no reason was given.
        LicenseRevokedError: it was taken back already.
    """
    text = _clean_reason(reason)
    locked = lock(license_.pk)
    _check_not_revoked(locked)
    if locked.suspended_at is not None:
        return locked
    locked.suspended_at, locked.suspended_for = timezone.now(), text
    locked.save(update_fields=["suspended_at", "suspended_for"])
    Grant.objects.filter(pk=locked.grant_id).update(state=State.FROZEN)
    _tell(_note("license.suspend", viewer, locked, reason=text))
    return locked


@transaction.atomic
def reinstate(viewer: Viewer, license_: License, reason: str = "") -> License:
    """Let a suspended license count again. What a dispute froze stays frozen. Safe to repeat.

    ``license_`` passed ``access.license_for(…, to="police")`` for this viewer.

    Raises:
        LicenseRevokedError: it was taken back meanwhile.
    """
    locked = lock(license_.pk)
    _check_not_revoked(locked)
    if locked.suspended_at is None:
        return locked
    locked.suspended_at, locked.suspended_for = None, ""
    locked.save(update_fields=["suspended_at", "suspended_for"])
    if not is_disputed(locked):
        Grant.objects.filter(pk=locked.grant_id).update(state=State.ACTIVE)
    _tell(_note("license.reinstate", viewer, locked, reason=reason))
    return locked


def _check_not_revoked(locked: License) -> None:
    if Grant.objects.filter(pk=locked.grant_id, state=State.REVOKED).exists():
        raise LicenseRevokedError(_("This license was taken back for good."))


def _clean_reason(reason: str) -> str:
    text = " ".join(unicodedata.normalize("NFC", reason).split())
    if not text or not text.isprintable() or len(text) > MAX_REASON_CHARS:
        raise ReasonRequiredError(
            _("Say why, in at most %(most)d characters; the holder reads it.")
            % {"most": MAX_REASON_CHARS}
        )
    return text


def _note(action: str, viewer: Viewer, locked: License, **detail: Any) -> AuditEvent:
    return record(
        action,
        actor=viewer.user,
        subject=locked.public_id,
        namespace=locked.holder,
        address=viewer.address,
        title=locked.title,
        **detail,
    )


def _tell(event: AuditEvent) -> None:
    """Write to those who hold the license: programs that use its key may stop."""
    mailing.ask(mailing.Letter.LICENSE, event.pk)
