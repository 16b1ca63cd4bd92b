"""Pictures, sounds and films that people show in comments.

They are sent before the comment is written, so they have an address at once. What no comment
shows after a day is swept.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterable
from datetime import timedelta
from typing import IO

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Namespace, Permission
from accounts.services.limits import count_comment
from accounts.viewer import Viewer
from catalog.content.ownership import hold
from catalog.content.quotas import check_room
from catalog.content.stores import storage
from catalog.formats.errors import FormatError
from catalog.formats.media import media_type_of
from catalog.formats.sources import FileSource, OverBudgetError
from catalog.models import Attachment, ModelRepo
from store.core.errors import NotFoundError, StoreError, TooLargeError
from store.core.ui.figures import size_text
from store.storage import Digest

UNUSED = timedelta(days=1)
_NAME = re.compile(r"([0-9a-f]{24})\.([a-z0-9]{3,4})")


class UnsupportedMediaError(StoreError):
    """The bytes are no picture, sound or film of a kind that is taken."""

    code = "unsupported_media"
    status = 415


class AttachmentNotFoundError(NotFoundError):
    """There is no such attachment, or it is in a comment the viewer may not read."""

    code = "attachment_not_found"


def most_bytes() -> int:
    """Return the size of the largest attachment of any kind."""
    return max(settings.ENV.max_picture_bytes, settings.ENV.max_media_bytes)


def receive(viewer: Viewer, chunks: Iterable[bytes]) -> Attachment:
    """Keep what somebody sends to show in a comment.

    Args:
        viewer: Who sends it, and is charged for it.
        chunks: The bytes, bounded by ``most_bytes``.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; the token only reads.
        UnsupportedMediaError: its bytes are no picture, sound or film that is taken.
        TooLargeError: it is larger than its kind may be.
        StorageQuotaError: the viewer has no room left.
        RateLimitedError: too many on one day.
    """
    user = viewer.require_somewhere(Permission.DISCUSS)
    count_comment(user.pk)
    settings.SPOOL_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=settings.SPOOL_DIR) as spool:
        digest, size_bytes = hashlib.sha256(), 0
        for chunk in chunks:
            digest.update(chunk)
            size_bytes += len(chunk)
            spool.write(chunk)
        media_type = _checked_type(spool, size_bytes)
        namespace, sha256 = Namespace.objects.get(user=user), digest.hexdigest()
        with transaction.atomic():
            check_room(namespace, size_bytes)
        spool.seek(0)
        storage().put(spool, Digest(sha256), size_bytes)
    with transaction.atomic():
        check_room(namespace, size_bytes)  # again: others may have been faster
        content, _is_new = hold(sha256, size_bytes)
        return Attachment.objects.create(
            user=user,
            charged_to=namespace,
            content=content,
            size_bytes=size_bytes,
            media_type=media_type,
        )


def _checked_type(spool: IO[bytes], size_bytes: int) -> str:
    try:
        media_type = media_type_of(FileSource(spool))  # type: ignore[arg-type]
    except (FormatError, OverBudgetError) as exc:
        raise UnsupportedMediaError(_("This picture is damaged. Save it again.")) from exc
    if not media_type:
        raise UnsupportedMediaError(
            _("Attach PNG, JPEG, GIF or WebP pictures, MP4, MOV or WebM films, MP3 or WAV sounds.")
        )
    is_picture = media_type.startswith("image/")
    env = settings.ENV
    most = env.max_picture_bytes if is_picture else env.max_media_bytes
    if size_bytes > most:
        raise TooLargeError(
            _("This attachment is larger than %(most)s.") % {"most": size_text(most)},
            max_bytes=most,
        )
    return media_type


def attachment_for(viewer: Viewer, name: str) -> Attachment:
    """Return the attachment at ``/uploads/name`` if ``viewer`` may see it.

    As long as no comment shows it, its address is the secret of whoever sent it. From then on it
    is for those who may read one of the comments.

    Raises:
        AttachmentNotFoundError: there is none, or it is hidden.
    """
    match = _NAME.fullmatch(name)
    found = None
    if match is not None:
        rows = Attachment.objects.select_related("content")
        found = rows.filter(public_id=match[1]).first()
    if found is None or found.name != name or not _may_see(viewer, found):
        raise AttachmentNotFoundError(_("There is no such attachment."))
    return found


def _may_see(viewer: Viewer, attachment: Attachment) -> bool:
    if viewer.user is not None and viewer.user.pk == attachment.user_id:
        return True
    repos = set(attachment.comments.values_list("discussion__repo_id", flat=True))
    visible = ModelRepo.objects.visible_to(viewer)
    return not repos or visible.filter(pk__in=repos).exists()


def sweep_attachments() -> int:
    """Forget attachments that no comment shows; part of the job that sweeps uploads.

    Their bytes go to the collector once nothing else names them. Returns how many.
    """
    unused = Attachment.objects.filter(created_at__lt=timezone.now() - UNUSED, comments=None)
    return unused.delete()[0]
