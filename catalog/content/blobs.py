"""Bringing rows and stored bytes together, so that neither is ever without the other.

Bytes are stored before their row is written, and a row is deleted before its bytes. What may
come between is somebody else's doing with the same digest; both sides therefore hold a lock on
the digest itself while they write the row, or look whether there still is one.
"""

from django.db import connection, transaction

from catalog.content.stores import storage
from catalog.models import LfsObject, Xorb
from store.core.errors import TransientError
from store.storage import Digest


class LostBytesError(TransientError):
    """What was just stored was collected as garbage at the same moment; sending it again heals."""

    code = "bytes_lost"


def keep(digest: str) -> None:
    """Make sure bytes stay that were just stored. Call it in the transaction that writes the row.

    Raises:
        LostBytesError: they are gone already; nothing may be written.
    """
    lock(digest)
    if not storage().exists(Digest(digest)):
        raise LostBytesError("The store lost this while it was sent. Send it again.")


def discard(digest: str) -> bool:
    """Delete stored bytes unless a row needs them. Call it after the row's deletion committed."""
    with transaction.atomic():
        lock(digest)
        is_needed = (
            LfsObject.objects.filter(sha256=digest, is_whole=True).exists()
            or Xorb.objects.filter(blob=digest).exists()
        )
        if not is_needed:
            storage().delete(Digest(digest))
    return not is_needed


def lock(digest: str) -> None:
    """Wait until no other transaction decides about this digest; held to the end of this one."""
    number = int.from_bytes(bytes.fromhex(digest.rpartition("-")[2][:16]), "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])
