"""Garbage collection: from rows nobody needs to bytes nobody needs, safe beside live uploads.

Clients remember for three weeks what they uploaded and what dedup answers told them, and rely on
it without asking (Xet specification, §13 of our notes on it). So nothing goes within ``GRACE`` of
the last time somebody was led to believe it is here, and xorbs go in two passes: condemned first,
which a shard that names them takes back, and deleted a day later.

Every step looks for what is due and deals with it in small transactions, so a run that is killed
loses nothing, and the next one goes on.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from catalog.content.blobs import discard, lock
from catalog.content.stores import storage
from catalog.content.tables import forget
from catalog.models import (
    Attachment,
    GitObject,
    LfsObject,
    RepoLfsObject,
    XetClaim,
    XetFile,
    XetFileXorb,
    Xorb,
)

GRACE = timedelta(days=28)
"""From the last sign of use to collection; clients' own memory is 21 days."""
CONDEMNED_FOR = timedelta(hours=24)
"""Between the two passes over xorbs."""
ORPHAN_AFTER = timedelta(hours=48)
"""Stored bytes without a row: what is older was left by a crash, younger may be an upload."""
_BATCH = 200


@dataclass
class Collected:
    """What a run did."""

    released: int = 0
    """Files a repository owned and never committed, or has deleted for good."""
    objects: int = 0
    recipes: int = 0
    condemned: int = 0
    xorbs: int = 0
    orphans: int = 0
    freed_bytes: int = 0

    def to_json(self) -> dict[str, int]:
        """Return everything as plain JSON."""
        return asdict(self)


def collect(check: Callable[[], None] = lambda: None) -> Collected:
    """Run every step once; the job of that name, and the command ``gc``.

    ``check`` is called between transactions and may raise to stop.
    """
    done = Collected()
    for step in (_release, _objects, _recipes, _condemn, _xorbs, _orphans):
        for _ in step(done):
            check()
    return done


def _release(done: Collected) -> Iterator[None]:
    """Take files from repositories that never committed them or hold no commit of them now.

    So with claims, and with false ones also where they are committed: their content has been
    judged, and the verdict stays.
    """
    mine = GitObject.objects.filter(repo=OuterRef("repo"))
    committed = mine.filter(lfs_sha256=OuterRef("lfs_object_id"))
    due = RepoLfsObject.objects.filter(
        ~Exists(committed), created_at__lt=_limit(), lfs_object__touched_at__lt=_limit()
    )
    for batch in _batches(due):
        done.released += RepoLfsObject.objects.filter(~Exists(committed), pk__in=batch).delete()[0]
        yield
    useless = Q(is_false=True) | ~Exists(mine.filter(lfs_sha256=OuterRef("sha256")))
    claims = XetClaim.objects.filter(
        useless, created_at__lt=_limit(), file__touched_at__lt=_limit()
    )
    for batch in _batches(claims):
        done.released += claims.filter(pk__in=batch).delete()[0]
        yield


def _objects(done: Collected) -> Iterator[None]:
    shown = Exists(Attachment.objects.filter(content=OuterRef("pk")))
    owned = Exists(RepoLfsObject.objects.filter(lfs_object=OuterRef("pk")))
    due = LfsObject.objects.filter(~owned, ~shown, touched_at__lt=_limit())
    for batch in _batches(due):
        for sha256 in batch:
            with transaction.atomic():
                lock(sha256)  # nobody is given it from here on
                row = due.filter(pk=sha256).first()
                if row is None:
                    continue
                row.delete()
            done.objects += 1
            if row.is_whole and discard(sha256):
                done.freed_bytes += row.size_bytes
            yield


def _recipes(done: Collected) -> Iterator[None]:
    used = Exists(LfsObject.objects.filter(xet_file=OuterRef("pk")))
    claimed = Exists(XetClaim.objects.filter(file=OuterRef("pk")))
    due = XetFile.objects.filter(~used, ~claimed, touched_at__lt=_limit())
    for batch in _batches(due):
        with transaction.atomic():
            held = XetFile.objects.select_for_update(skip_locked=True).filter(pk__in=batch)
            ids = [row.pk for row in held]  # a shard that names one waits, or we skip it
            done.recipes += due.filter(pk__in=ids).delete()[1].get("catalog.XetFile", 0)
        yield


def _condemn(done: Collected) -> Iterator[None]:
    due = _unused_xorbs().filter(condemned_at=None)
    for batch in _batches(due):
        done.condemned += due.filter(pk__in=batch).update(condemned_at=timezone.now())
        yield


def _xorbs(done: Collected) -> Iterator[None]:
    due = _unused_xorbs().filter(condemned_at__lt=timezone.now() - CONDEMNED_FOR)
    for batch in _batches(due):
        with transaction.atomic():
            held = Xorb.objects.select_for_update(skip_locked=True).filter(pk__in=batch)
            ids = [row.pk for row in held.only("pk")]
            rows = list(due.filter(pk__in=ids).values_list("pk", "hash", "blob", "stored_bytes"))
            Xorb.objects.filter(pk__in=[row[0] for row in rows]).delete()
        for _, name, blob, stored_bytes in rows:
            forget(bytes(name))
            done.xorbs += 1
            if discard(blob):
                done.freed_bytes += stored_bytes
        yield


def _unused_xorbs() -> QuerySet[Xorb]:
    needed = Exists(XetFileXorb.objects.filter(xorb=OuterRef("pk")))
    return Xorb.objects.filter(~needed, touched_at__lt=_limit())


def _orphans(done: Collected) -> Iterator[None]:
    """Delete stored bytes that no row knows; a crash between storing and writing left them."""
    before_s = time.time() - ORPHAN_AFTER.total_seconds()
    old = (blob for blob in storage().blobs() if blob.modified_s < before_s)
    while batch := list(islice(old, _BATCH)):
        names = [blob.digest for blob in batch]
        known = set(Xorb.objects.filter(blob__in=names).values_list("blob", flat=True))
        known |= set(
            LfsObject.objects.filter(pk__in=names, is_whole=True).values_list("pk", flat=True)
        )
        for blob in batch:
            if blob.digest not in known and discard(blob.digest):
                done.orphans += 1
                done.freed_bytes += blob.size_bytes
        yield


def _batches(due: QuerySet[Any]) -> Iterator[list[Any]]:
    """Yield keys of rows that are due, some at a time, each row once."""
    last = None
    while True:
        rows = due.order_by("pk") if last is None else due.filter(pk__gt=last).order_by("pk")
        batch = list(rows.values_list("pk", flat=True)[:_BATCH])
        if not batch:
            return
        last = batch[-1]
        yield batch


def _limit() -> datetime:
    return timezone.now() - GRACE
