"""Large files on their way in: reserve, receive, verify, own.

The bytes must come through a repository's own upload before the repository owns them, even when
the store has the same content already: knowing a digest is not owning the bytes.
"""

import hashlib
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import Permission, User
from accounts.viewer import Viewer
from catalog.content.ownership import grant, owned_size, usable_size
from catalog.content.quotas import charged_for, check_room
from catalog.content.stores import storage
from catalog.models import ModelRepo, Upload
from store.core.bodies import Readable
from store.core.errors import InvalidError, NotFoundError, TooLargeError, UnprocessableError
from store.storage import (
    Digest,
    DigestMismatchError,
    PartListError,
    UploadNotFoundError,
    UploadPlan,
)

MAX_OPEN_UPLOADS = 2000
"""Uploads one person may have open at a time."""
IDLE = timedelta(days=7)
"""Uploads nobody touched for so long are swept. One in parts that was stopped goes on with those
that are here: a day would make people with slow lines, or at a weekend, begin anew."""


class WrongSizeError(UnprocessableError):
    """The size announced is not the size of the content."""

    code = "wrong_size"


def check_size(actual_bytes: int, announced_bytes: int) -> None:
    """Refuse a size that is not the object's.

    Raises:
        WrongSizeError: they differ.
    """
    if actual_bytes != announced_bytes:
        raise WrongSizeError(f"The object has {actual_bytes} bytes, not {announced_bytes}.")


def check_file_size(size_bytes: int) -> None:
    """Refuse a file that is larger than any may be.

    Raises:
        TooLargeError: it is.
    """
    if size_bytes > settings.ENV.max_file_bytes:
        raise TooLargeError(
            f"A file has at most {settings.ENV.max_file_bytes} bytes. Split the weights.",
            max_bytes=settings.ENV.max_file_bytes,
        )


def reserve(
    viewer: Viewer, repo: ModelRepo, *, sha256: str, size_bytes: int, allow_parts: bool
) -> Upload:
    """Open an upload, or return the open one of this person for this content.

    Any reader may upload objects; what protects the repository is the commit. A fine-grained
    token needs to write, or to discuss, in this very repository.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; the token only reads.
        TooLargeError: the file, or the number of open uploads, is over its limit.
        StorageQuotaError: whoever is charged has no room left.
    """
    user = check_may_upload(viewer, repo)
    check_file_size(size_bytes)
    there = Upload.objects.filter(repo=repo, user=user, sha256=sha256).first()
    if there is not None and there.size_bytes == size_bytes:
        return there
    if there is not None:
        abandon(there)
    return _open(repo, user, sha256, size_bytes, in_parts=allow_parts)


@transaction.atomic
def _open(repo: ModelRepo, user: User, sha256: str, size_bytes: int, *, in_parts: bool) -> Upload:
    charged_to = charged_for(repo, user)
    check_room(charged_to, size_bytes)  # and from here on one at a time
    if Upload.objects.filter(user=user).count() >= MAX_OPEN_UPLOADS:
        raise TooLargeError(f"You have {MAX_OPEN_UPLOADS} open uploads. Finish some first.")
    in_parts = in_parts and size_bytes > settings.ENV.multipart_chunk_bytes
    part_bytes = settings.ENV.multipart_chunk_bytes if in_parts else max(size_bytes, 1)
    plan_id = ""
    if in_parts or settings.ENV.storage == "s3":  # one piece to local disk needs no plan
        plan = storage().start(Digest(sha256), size_bytes, part_size_bytes=part_bytes)
        plan_id, part_bytes = plan.id, plan.part_size_bytes
    upload, is_new = Upload.objects.get_or_create(
        repo=repo,
        user=user,
        sha256=sha256,
        defaults={
            "charged_to": charged_to,
            "size_bytes": size_bytes,
            "part_bytes": part_bytes,
            "plan_id": plan_id,
        },
    )
    if not is_new and plan_id:  # somebody was faster with the same file
        storage().abort(UploadPlan(plan_id, Digest(sha256), size_bytes, part_bytes))
    return upload


def check_may_upload(viewer: Viewer, repo: ModelRepo) -> User:
    """Return the person if their session or token may bring large files to ``repo``.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; the token may not.
    """
    if viewer.allows(Permission.DISCUSS, repo.namespace_id, repo.public_id):
        return viewer.identified()
    return viewer.require_at(Permission.WRITE, repo.namespace_id, repo.public_id)


def plan_of(upload: Upload) -> UploadPlan:
    """Return the storage's view of an upload."""
    return UploadPlan(upload.plan_id, Digest(upload.sha256), upload.size_bytes, upload.part_bytes)


def direct_url(upload: Upload, number: int = 1) -> str | None:
    """Return a link of the object store to PUT a part to; ``None``: we receive it ourselves."""
    if not upload.plan_id:
        return None
    return storage().part_url(plan_of(upload), number, expires_s=settings.ENV.upload_link_s)


def receive(upload: Upload, body: Readable, *, announced_bytes: int | None) -> None:
    """Store a whole file, hashing while it comes; then the repository owns it.

    Raises:
        WrongSizeError: ``Content-Length`` is not the announced size.
        DigestMismatchError: the bytes are others; nothing is kept.
        StorageFullError: no room; nothing is kept.
    """
    if announced_bytes is not None:
        check_size(upload.size_bytes, announced_bytes)
    storage().put(body, Digest(upload.sha256), upload.size_bytes)
    _own(upload)


def receive_part(upload: Upload, number: int, body: Readable) -> str:
    """Store one part and return its tag. Sending a part again replaces it.

    Raises:
        InvalidError: the file comes in one piece, or there is no such part.
        SizeMismatchError: the part has another size than it must.
    """
    if not upload.plan_id:
        raise InvalidError("This file comes in one piece.")
    try:
        tag = storage().put_part(plan_of(upload), number, body)
    except UploadNotFoundError:
        complete(upload)  # unless it ended well: another request put all parts together meanwhile
        return upload.sha256
    # The row is gone if that other request has just done so: no reason to fail.
    Upload.objects.filter(pk=upload.pk).update(touched_at=timezone.now())
    return tag


def is_usable(repo: ModelRepo, user: User, sha256: str, size_bytes: int) -> bool:
    """Whether ``repo`` has these bytes and ``user``, who had an upload of them, may use them.

    Says no more than asking for the same upload again does.
    """
    return usable_size(Viewer(user=user), repo, sha256) == size_bytes


def check_again(pieces: Iterable[bytes], size_bytes: int, sha256: str = "") -> str:
    """Read bytes that were stored by an upload before, and keep nothing of them.

    Args:
        pieces: The bytes.
        size_bytes: How many there must be.
        sha256: What they must hash to; empty: a part, whose hash nobody knows any more.

    Returns:
        Their sha256: what receiving a part answers as its tag.

    Raises:
        WrongSizeError, DigestMismatchError: they are others.
    """
    found, received_bytes = hashlib.sha256(), 0
    for piece in pieces:
        found.update(piece)
        received_bytes += len(piece)
    check_size(size_bytes, received_bytes)
    if sha256 and found.hexdigest() != sha256:
        raise DigestMismatchError("The bytes do not have the promised sha256. Send the file again.")
    return found.hexdigest()


def complete(upload: Upload, parts: list[tuple[int, str]] | None = None) -> None:
    """Put the parts together; digest and size of the whole are checked before it is visible.

    Raises:
        PartListError: parts are missing or their tags are not those that were answered.
        DigestMismatchError: the whole is not what was announced; nothing is kept.
    """
    if not upload.plan_id:
        raise InvalidError("This file comes in one piece.")
    storage().complete(plan_of(upload), parts)
    _own(upload)


def settle(repo: ModelRepo, user: User, sha256: str) -> int | None:
    """Return the size of an object the repository owns, after verifying a direct upload of it.

    A file sent straight to the object store is not visible until it is verified here.
    ``None``: nothing of the kind was uploaded to this repository.

    Raises:
        DigestMismatchError: what was sent is something else; nothing is kept.
    """
    size_bytes = owned_size(repo, sha256, by=user)
    if size_bytes is not None:
        return size_bytes
    upload = Upload.objects.filter(repo=repo, user=user, sha256=sha256).first()
    if upload is None or not upload.plan_id:
        return None
    try:
        complete(upload)
    except (PartListError, UploadNotFoundError) as exc:
        raise NotFoundError("This object was not sent completely. Upload it again.") from exc
    return upload.size_bytes


def abandon(upload: Upload) -> None:
    """End an upload without its file."""
    if upload.plan_id:
        storage().abort(plan_of(upload))
    upload.delete()


def sweep_uploads() -> int:
    """Abandon uploads nobody touched for a week; the job of that name. Returns how many."""
    idle = Upload.objects.filter(touched_at__lt=timezone.now() - IDLE)
    count = 0
    for upload in idle:
        abandon(upload)
        count += 1
    storage().sweep(older_than_s=IDLE.total_seconds())
    return count


@transaction.atomic
def _own(upload: Upload) -> None:
    grant(
        upload.repo,
        upload.sha256,
        upload.size_bytes,
        by=upload.user,
        charged_to=upload.charged_to,
    )
    Upload.objects.filter(pk=upload.pk).delete()
