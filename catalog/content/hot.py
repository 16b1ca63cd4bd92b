"""Keeping files whole that many people fetch by plain HTTP, beside their recipe.

Joining a file out of xorbs costs the web server a processor second a gigabyte; one object the
kernel, nginx or the object store sends by itself. A file that was joined to its end several times
in a day is therefore written out once by a job, under a budget; the oldest go first. The recipe
stays, so nothing depends on it.
"""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from redis.exceptions import RedisError

from catalog.content.blobs import keep
from catalog.content.reading import cooked, recipe_of
from catalog.content.stores import storage
from catalog.content.xet.xorbs import MIB
from catalog.models import LfsObject
from store.core.jobs import JobName, enqueue
from store.core.valkey import valkey
from store.storage import Digest

HOT_AFTER = 3
"""Whole transfers in a day."""
_DAY_S = 86400
_LEAST_BYTES = MIB


def joined(sha256: str, size_bytes: int) -> None:
    """Note that a file was sent whole out of its xorbs. Never fails the transfer it counts."""
    if size_bytes < _LEAST_BYTES or size_bytes > settings.ENV.xet_cache_bytes:
        return
    slot = f"joined:{sha256}"
    try:
        pipe = valkey().pipeline()
        pipe.incr(slot)
        pipe.expire(slot, _DAY_S)
        count = int(pipe.execute()[0])
    except RedisError:
        return
    if count == HOT_AFTER:
        enqueue(JobName.KEEP_WHOLE, key=sha256, sha256=sha256)


def keep_whole(sha256: str) -> dict[str, Any]:
    """Write a file out as one object, if it is still wanted; the job of that name. Repeatable."""
    row = LfsObject.objects.select_related("xet_file").filter(pk=sha256, is_whole=False).first()
    if row is None or not _make_room(row.size_bytes):
        return {"kept": 0}
    storage().put(_Pieces(row), Digest(sha256), row.size_bytes)
    with transaction.atomic():
        keep(sha256)
        changed = LfsObject.objects.filter(pk=sha256, is_whole=False).update(
            is_whole=True, cached_at=timezone.now()
        )
    return {"kept": changed}


def _make_room(size_bytes: int) -> bool:
    """Let go of what was kept longest until there is room. Garbage collection takes the bytes."""
    budget: int = settings.ENV.xet_cache_bytes
    kept = LfsObject.objects.filter(cached_at__isnull=False, xet_file__isnull=False)
    used = kept.aggregate(total=Sum("size_bytes"))["total"] or 0
    for row in kept.order_by("cached_at").iterator():
        if used + size_bytes <= budget:
            break
        kept.filter(pk=row.pk).update(is_whole=False, cached_at=None)
        used -= row.size_bytes
    return used + size_bytes <= budget


class _Pieces:
    """The content of a file as something to read from."""

    def __init__(self, row: LfsObject) -> None:
        self._pieces = cooked(recipe_of(row), 0, row.size_bytes)
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, empty at the end."""
        if not self._rest:
            self._rest = next(self._pieces, b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece
