"""Telling a client which chunks it need not send: only of content it may read anyway.

A client asks for about one chunk in a thousand, so an answer names all xorbs of a file that
uses the one it asked for, not just that one, or it would leave holes (measured: 23 % of a changed
file sent with one xorb in each answer, under 10 % with all).
"""

import time
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.viewer import Viewer
from catalog.content.recipes import Recipe
from catalog.content.tables import KnownXorb, known_xorbs
from catalog.content.xet.hashes import from_hex
from catalog.content.xet.shards import dedup_answer
from catalog.models import DedupChunk, LfsObject, ModelRepo, XetFile, XetFileXorb, Xorb

LIFE = timedelta(days=7)
"""How long a client may use an answer; garbage collection waits much longer."""
_MAX_FILES = 4
_MAX_XORBS = 64
_MAX_CHUNKS = 200_000
"""10 MB of answer."""
_TOUCH_AFTER = timedelta(hours=12)


def find_chunks(viewer: Viewer, name: str) -> bytes | None:
    """Return the answer to a client that has a chunk, as a shard; ``None``: nothing to tell.

    Args:
        viewer: Only files they may read are told of.
        name: The chunk's hash as text.

    Raises:
        XetFormatError: it is no hash.
    """
    chunk = from_hex(name)
    hits = Xorb.objects.filter(
        pk__in=DedupChunk.objects.filter(hash=chunk).values("xorb"), condemned_at=None
    )
    matched = {bytes(found) for found in hits.values_list("hash", flat=True)}
    if not matched:
        return None
    xorbs = list(_bounded(_siblings(viewer, matched)))
    if not xorbs:
        return None
    _touch(xorbs)
    now_s = int(time.time())
    return dedup_answer(
        [known.table for known in xorbs],
        key=_site_key(),
        created_s=now_s,
        expires_s=now_s + int(LIFE.total_seconds()),
    )


def _siblings(viewer: Viewer, matched: set[bytes]) -> Iterator[bytes]:
    """Yield the xorbs of readable files that use a matched one, from that one on."""
    readable = ModelRepo.objects.visible_to(viewer)
    files = XetFile.objects.filter(  # recipes are long: nothing may compare whole rows
        Exists(LfsObject.objects.filter(xet_file=OuterRef("pk"), owners__repo__in=readable)),
        Exists(XetFileXorb.objects.filter(file=OuterRef("pk"), xorb__hash__in=matched)),
    )
    for terms in files.order_by("-id").values_list("terms", flat=True)[:_MAX_FILES]:
        names = Recipe.from_bytes(bytes(terms)).xorbs
        first = next((place for place, found in enumerate(names) if found in matched), 0)
        yield from names[first:]
        yield from names[:first]


def _bounded(names: Iterator[bytes]) -> Iterator[KnownXorb]:
    chunks = 0
    for count, name in enumerate(dict.fromkeys(names)):
        known = known_xorbs([name]).get(name)
        if known is None:
            continue
        chunks += len(known.table.chunks)
        if count == _MAX_XORBS or chunks > _MAX_CHUNKS:
            return
        yield known


def _touch(xorbs: list[KnownXorb]) -> None:
    """Remember that a client relies on these xorbs."""
    now = timezone.now()
    Xorb.objects.filter(
        pk__in=[known.id for known in xorbs], touched_at__lt=now - _TOUCH_AFTER
    ).update(touched_at=now, condemned_at=None)


def _site_key() -> bytes:
    """Return the key answers hide hashes under: one a site, so that clients keep one table."""
    return salted_hmac(
        "catalog.content.dedup", "chunk", secret=settings.SECRET_KEY, algorithm="sha256"
    ).digest()
