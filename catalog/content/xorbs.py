"""Receiving xorbs: verified while they come, durable before their row."""

from contextlib import suppress
from functools import partial

from django.db import transaction
from django.utils import timezone

from accounts.models import Namespace
from catalog.content.blobs import discard, keep
from catalog.content.quotas import check_room, expect_room
from catalog.content.stores import storage
from catalog.content.tables import forget
from catalog.content.unpacked import raw_copy
from catalog.content.xet.hashes import from_hex
from catalog.content.xet.xorbs import MAX_BODY_BYTES, XorbReader, XorbTable
from catalog.models import Xorb
from store.core.bodies import Readable
from store.core.errors import NotFoundError, StoreError, TooLargeError
from store.storage import ByteSource, Digest, NamedSource, UploadNotFoundError

_BLOCK_BYTES = 1024 * 1024


class NothingSentError(NotFoundError):
    """A client commits a xorb it did not send."""

    code = "nothing_sent"


def check_body_size(size_bytes: int) -> None:
    """Refuse a body no xorb can have.

    Raises:
        TooLargeError: it has more bytes than 64 MiB of chunks can take.
    """
    if size_bytes > MAX_BODY_BYTES:
        raise TooLargeError(
            f"A xorb is sent in at most {MAX_BODY_BYTES} bytes.", max_bytes=MAX_BODY_BYTES
        )


def is_here(name: str) -> bool:
    """Tell whether a xorb is stored, and remember that a client was told so.

    Xorbs go by what is in them, so the answer tells nobody anything they can use.

    Raises:
        XetFormatError: the name is no hash.
    """
    row = Xorb.objects.filter(hash=from_hex(name)).values("pk", "blob").first()
    if row is None or not storage().exists(Digest(row["blob"])):  # lost: let it come again
        return False
    changed = Xorb.objects.filter(pk=row["pk"]).update(touched_at=timezone.now(), condemned_at=None)
    return bool(changed)


def receive_xorb(
    name: str, body: Readable, *, charged_to: Namespace, announced_bytes: int = 0
) -> bool:
    """Store a xorb unless it is here.

    Args:
        name: Its hash as text; what comes must have it.
        body: Read to its end.
        charged_to: Whose room it takes until a recipe uses it.
        announced_bytes: Refused at once where there is no room for so many; 0: not asked now.

    Returns:
        Whether it is new.

    Raises:
        XetFormatError, XetProofError: it is malformed, or something else; nothing is kept.
        StorageQuotaError: no room left.
    """
    try:
        if is_here(name):
            return False
        if announced_bytes:
            expect_room(charged_to, announced_bytes)
        with raw_copy(name) as copy:
            reader = XorbReader(body, from_hex(name), copy.write)
            digest, size_bytes = storage().put_unnamed(reader)
            is_new = _note(reader, digest, size_bytes, charged_to)
            copy.keep()
        return is_new
    finally:
        _read_on(body)


def _read_on(body: Readable) -> None:
    """Take what is left, or the client sees a broken connection, not the answer."""
    left = MAX_BODY_BYTES
    with suppress(OSError):  # the client went away
        while left > 0 and (block := body.read(_BLOCK_BYTES)):
            left -= len(block)


def take_xorb(name: str, drop: str, *, charged_to: Namespace) -> bool:
    """Verify and keep a xorb that a client sent straight to the object store.

    Returns:
        Whether it is new.

    Raises:
        NothingSentError: nothing was sent there.
        XetFormatError, XetProofError: it is malformed, or something else; nothing is kept.
        StorageQuotaError: no room left.
    """
    readers: list[XorbReader] = []

    def check(source: ByteSource) -> NamedSource:
        readers.append(XorbReader(source, from_hex(name)))
        return readers[-1]

    try:
        digest, size_bytes = storage().take_drop(drop, check)
    except UploadNotFoundError as exc:
        raise NothingSentError("Nothing was sent by this grant. Ask for a new one.") from exc
    return _note(readers[-1], digest, size_bytes, charged_to)


def _note(reader: XorbReader, digest: Digest, size_bytes: int, charged_to: Namespace) -> bool:
    try:
        return _write(reader.table, digest, size_bytes, charged_to)
    except StoreError:
        discard(digest)
        raise


@transaction.atomic
def _write(table: XorbTable, digest: Digest, size_bytes: int, charged_to: Namespace) -> bool:
    check_room(charged_to, size_bytes)
    keep(digest)
    _, is_new = Xorb.objects.get_or_create(
        hash=table.hash,
        defaults={
            "blob": digest,
            "raw_bytes": table.raw_ends[-1],
            "stored_bytes": size_bytes,
            "table": table.to_bytes(),
            "charged_to": charged_to,
        },
    )
    if not is_new:
        _heal(table, digest)
    return is_new


def _heal(table: XorbTable, digest: Digest) -> None:
    """Let a xorb stand on the bytes that just came, if its own were lost.

    The same chunks can be packed in several ways: what is not needed goes again.
    """
    row = Xorb.objects.select_for_update().get(hash=table.hash)
    row.touched_at, row.condemned_at = timezone.now(), None
    if not storage().exists(Digest(row.blob)):
        row.blob, row.stored_bytes, row.table = digest, table.stored_bytes, table.to_bytes()
        forget(table.hash)
    row.save()
    if row.blob != digest:
        transaction.on_commit(partial(discard, digest))
