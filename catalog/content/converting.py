"""Turning whole objects into recipes.

Files that came in one piece (LFS, the web form, imports) are cut as Xet clients cut them. Chunks
that some xorb has already are not stored again, so what two paths brought is kept once; the rest
goes into new xorbs, packed, which never takes more room than before but for the chunks' headers.
The recipe takes the whole object's place. Unless the site asks for a saving, that is done even
where there is none: only what has a recipe has a Xet hash, and only by that do clients copy a file
to another repository.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from catalog.content.blobs import discard, keep, lock
from catalog.content.recipes import Recipe
from catalog.content.stores import storage
from catalog.content.tables import known_xorbs
from catalog.content.xet.chunking import chunks_of
from catalog.content.xet.hashes import chunk_hash, file_hash, is_indexable
from catalog.content.xet.packing import pack
from catalog.content.xet.shards import Term
from catalog.content.xet.xorbs import FULL_BYTES, MAX_CHUNKS, XorbChunk, XorbReader, XorbTable
from catalog.models import (
    DedupChunk,
    LfsObject,
    RepoLfsObject,
    XetFile,
    XetFileXorb,
    Xorb,
)
from store.storage import BlobNotFoundError, Digest

_MAX_SIBLINGS = 64
"""Xorbs whose chunks are looked through, beside those this file makes."""


@dataclass
class _Pending:
    """A xorb being filled."""

    records: list[bytes] = field(default_factory=list)
    chunks: list[XorbChunk] = field(default_factory=list)
    raw_bytes: int = 0
    end: int = 0

    def has_room(self, size_bytes: int) -> bool:
        return len(self.chunks) < MAX_CHUNKS and self.raw_bytes + size_bytes <= FULL_BYTES

    def add(self, name: bytes, raw: bytes) -> int:
        """Append a chunk; return its place."""
        record = pack(raw)
        self.records.append(record)
        self.end += len(record)
        self.raw_bytes += len(raw)
        self.chunks.append(XorbChunk(name, self.end, len(raw)))
        return len(self.chunks) - 1


@dataclass
class _Made:
    """A xorb that was stored; its row comes with the recipe's."""

    table: XorbTable
    blob: Digest


class _Cutter:
    """Cuts one file: knows where chunks are, fills xorbs, and counts what is new."""

    def __init__(self) -> None:
        self.known: dict[bytes, tuple[bytes | int, int]] = {}
        """Xorb (its hash, or the number of one this file makes) and place of each chunk."""
        self.looked_at: set[bytes] = set()
        self.made: list[_Made] = []
        self.pending = _Pending()
        self.places: list[tuple[bytes | int, int, int]] = []
        """The same of each chunk of the file, and its size."""
        self.entries: list[tuple[bytes, int]] = []
        self.new_bytes = 0

    def cut(self, raw: bytes) -> None:
        """Take the next chunk."""
        name = chunk_hash(raw)
        self.entries.append((name, len(raw)))
        if name not in self.known and (len(self.entries) == 1 or is_indexable(name)):
            self._learn(name)
        if name in self.known:
            self.places.append((*self.known[name], len(raw)))
            return
        if not self.pending.has_room(len(raw)):
            self.store()
        place = self.pending.add(name, raw)
        self.known[name] = (len(self.made), place)
        self.places.append((len(self.made), place, len(raw)))

    def _learn(self, name: bytes) -> None:
        """Look through the files that use this chunk, like a client's dedup question."""
        hits = Xorb.objects.filter(pk__in=DedupChunk.objects.filter(hash=name).values("xorb"))
        files = XetFile.objects.filter(xorbs__in=hits).order_by("-id").distinct()[:2]
        names = [one for file in files for one in Recipe.from_bytes(bytes(file.terms)).xorbs]
        fresh = [one for one in dict.fromkeys(names) if one not in self.looked_at]
        for one in fresh[: _MAX_SIBLINGS - len(self.looked_at)]:
            self.looked_at.add(one)
            if (known := known_xorbs([one]).get(one)) is not None:
                for place, chunk in enumerate(known.table.chunks):
                    self.known.setdefault(chunk.hash, (one, place))

    def store(self) -> None:
        """Store the xorb that is full, or the last one."""
        if not self.pending.chunks:
            return
        table = XorbTable(self.pending.chunks)
        reader = XorbReader(io.BytesIO(b"".join(self.pending.records)), table.hash)
        blob, size_bytes = storage().put_unnamed(reader)
        self.made.append(_Made(table, blob))
        self.new_bytes += size_bytes
        self.pending = _Pending()

    def recipe(self) -> Recipe:
        """Return the terms: runs of chunks that lie one behind the other."""
        terms: list[Term] = []
        for xorb, place, size_bytes in self.places:
            name = self.made[xorb].table.hash if isinstance(xorb, int) else xorb
            last = terms[-1] if terms else None
            if last is not None and last.xorb == name and last.end == place:
                terms[-1] = Term(name, last.size_bytes + size_bytes, last.start, place + 1)
            else:
                terms.append(Term(name, size_bytes, place, place + 1))
        return Recipe(terms)


def convert(sha256: str, report: Callable[[float], None]) -> dict[str, Any]:
    """Make a recipe of a whole object, if that saves enough; the job of that name. Repeatable."""
    row = LfsObject.objects.filter(pk=sha256, is_whole=True, xet_file=None).first()
    if row is None or not row.size_bytes:
        return {"converted": 0}
    cutter = _Cutter()
    try:
        _cut(row, cutter, report)
    except BaseException as error:
        _drop(cutter)
        if not isinstance(error, BlobNotFoundError):
            raise
        return {"converted": 0}
    saving = settings.ENV.xet_convert_saving
    if saving and cutter.new_bytes > row.size_bytes * (1 - saving):
        _drop(cutter)
        return {"converted": 0, "would_store_bytes": cutter.new_bytes}
    is_written = _write(row, cutter)
    _drop(cutter)
    # The whole object is left to garbage collection: somebody may be about to open it.
    return {"converted": int(is_written), "stored_bytes": cutter.new_bytes}


def _cut(row: LfsObject, cutter: _Cutter, report: Callable[[float], None]) -> None:
    done = 0
    with storage().open(Digest(row.sha256)) as source:
        for raw in chunks_of(source):
            cutter.cut(raw)
            done += len(raw)
            report(done / row.size_bytes)
    cutter.store()


def _drop(cutter: _Cutter) -> None:
    """Delete stored xorbs no row wants."""
    for made in cutter.made:
        discard(made.blob)


@transaction.atomic
def _write(row: LfsObject, cutter: _Cutter) -> bool:
    """Put the recipe in the object's place. ``False``: it went meanwhile, or a xorb did."""
    lock(row.sha256)
    owner = RepoLfsObject.objects.filter(lfs_object=row).order_by("id").first()
    if owner is None or not LfsObject.objects.filter(pk=row.pk, xet_file=None).exists():
        return False
    for made in cutter.made:
        _write_xorb(made, owner)
    recipe = cutter.recipe()
    held = Xorb.objects.select_for_update().filter(hash__in=recipe.xorbs).order_by("pk")
    ids = {bytes(name): pk for name, pk in held.values_list("hash", "pk")}
    if len(ids) < len(recipe.xorbs):
        transaction.set_rollback(True)
        return False
    file, is_new = XetFile.objects.get_or_create(
        hash=file_hash(cutter.entries),
        defaults={"size_bytes": row.size_bytes, "terms": recipe.to_bytes()},
    )
    if is_new:
        XetFileXorb.objects.bulk_create(
            XetFileXorb(file=file, xorb_id=ids[name]) for name in recipe.xorbs
        )
        _index(cutter, ids)
    needed = Exists(XetFileXorb.objects.filter(xorb=OuterRef("pk")))
    Xorb.objects.filter(needed, pk__in=ids.values()).update(
        is_used=True, condemned_at=None, touched_at=timezone.now()
    )
    LfsObject.objects.filter(pk=row.pk).update(xet_file=file, is_whole=False, cached_at=None)
    return True


def _write_xorb(made: _Made, owner: RepoLfsObject) -> None:
    keep(made.blob)
    Xorb.objects.get_or_create(
        hash=made.table.hash,
        defaults={
            "blob": made.blob,
            "raw_bytes": made.table.raw_ends[-1],
            "stored_bytes": made.table.stored_bytes,
            "table": made.table.to_bytes(),
            "charged_to": owner.charged_to,
        },
    )


def _index(cutter: _Cutter, ids: dict[bytes, int]) -> None:
    """Let the new chunks be found, and the first one of the file."""
    recipe = cutter.recipe()
    found = {(cutter.entries[0][0], recipe.terms[0].xorb)}
    for made in cutter.made:
        found |= {
            (one.hash, made.table.hash) for one in made.table.chunks if is_indexable(one.hash)
        }
    DedupChunk.objects.bulk_create(
        (DedupChunk(hash=chunk, xorb_id=ids[xorb]) for chunk, xorb in sorted(found) if xorb in ids),
        ignore_conflicts=True,
    )
