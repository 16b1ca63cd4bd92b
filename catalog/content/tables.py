"""The chunk lists of xorbs, kept in memory for a while: they never change."""

import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock

from django.conf import settings
from django.db.models import Sum
from django.db.models.functions import Length

from catalog.content.xet.xorbs import ROW_BYTES, XorbTable
from catalog.models import Xorb
from store.core.errors import TransientError
from store.storage import Digest

_KEPT = 64
"""Tables a process keeps; one of a full xorb has up to 0.4 MB."""
_AT_ONCE = 8
"""Tables that are read together."""
_IN_MEMORY_CHUNKS = 100_000
"""Up to so many chunks, 4 MB, the tables of one request are in memory."""


@dataclass(frozen=True, slots=True)
class KnownXorb:
    """A xorb the store has."""

    id: int
    blob: Digest
    """Its stored bytes."""
    table: XorbTable


_kept: OrderedDict[bytes, KnownXorb] = OrderedDict()
_lock = Lock()
_turns = BoundedSemaphore(2)
"""Requests of a process that may have many tables in files at a time: each keeps it busy."""
_TURN_S = 30.0


def known_xorbs(names: Iterable[bytes]) -> dict[bytes, KnownXorb]:
    """Return those among the named xorbs that the store has, by hash.

    Only lists that were read before are not read again: which bytes a xorb has is asked each
    time, for another process may have packed it anew or collected it. Who writes rows that rely
    on it locks its row.
    """
    rows = Xorb.objects.filter(hash__in=set(names))
    stored = {bytes(raw): (pk, blob) for raw, pk, blob in rows.values_list("hash", "pk", "blob")}
    with _lock:
        kept = {name: _kept[name] for name in stored if name in _kept}
        found = {name: it for name, it in kept.items() if (it.id, it.blob) == stored[name]}
        for name in found:
            _kept.move_to_end(name)
    rows = rows.filter(hash__in=stored.keys() - found.keys())
    for pk, raw, blob, table in rows.values_list("id", "hash", "blob", "table"):
        found[bytes(raw)] = KnownXorb(pk, Digest(blob), XorbTable.from_bytes(bytes(table)))
        _keep(bytes(raw), found[bytes(raw)])
    return found


def in_groups(names: Iterable[bytes]) -> Iterator[dict[bytes, KnownXorb]]:
    """Yield the named xorbs that the store has a few at a time, in the order of their names.

    For who names any number of them: forget one group before asking for the next.
    """
    for group in _groups(names):
        found = known_xorbs(group)
        yield {name: found[name] for name in group if name in found}


@contextmanager
def spooled_tables(names: Iterable[bytes]) -> Iterator[Mapping[bytes, XorbTable]]:
    """Lend the tables of those among the named xorbs that the store has, by hash.

    For who needs any of them at any time. If they are many, their rows are in a file, and only
    where chunks end in the raw content is in memory: 4 bytes each, and that once it was asked for.

    Raises:
        TransientError: they are many, and others with many do not come to an end.
    """
    wanted = set(names)
    if chunk_count(wanted) <= _IN_MEMORY_CHUNKS:
        yield {name: known.table for name, known in known_xorbs(wanted).items()}
        return
    if not _turns.acquire(timeout=_TURN_S):
        raise TransientError("Other large uploads are being checked. Try again in a minute.")
    try:
        with _in_a_file(wanted) as found:
            yield found
    finally:
        _turns.release()


@contextmanager
def _in_a_file(wanted: Iterable[bytes]) -> Iterator[Mapping[bytes, XorbTable]]:
    settings.SPOOL_DIR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=settings.SPOOL_DIR) as spool:
        found: dict[bytes, XorbTable] = {}
        for group in _groups(wanted):
            rows = Xorb.objects.filter(hash__in=group)
            for name, table in rows.values_list("hash", "table"):
                begin, size_bytes = spool.tell(), spool.write(table)
                found[bytes(name)] = XorbTable.from_file(spool.fileno(), begin, size_bytes)
        spool.flush()
        yield found


def _groups(names: Iterable[bytes]) -> Iterator[list[bytes]]:
    ordered = list(dict.fromkeys(names))
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


def chunk_count(names: Iterable[bytes]) -> int:
    """Return how many chunks the named xorbs have, without reading their lists."""
    rows = Xorb.objects.filter(hash__in=set(names))
    table_bytes: int = rows.aggregate(total=Sum(Length("table")))["total"] or 0
    return table_bytes // ROW_BYTES


def forget(name: bytes) -> None:
    """Forget a xorb that is deleted."""
    with _lock:
        _kept.pop(name, None)


def _keep(name: bytes, known: KnownXorb) -> None:
    with _lock:
        _kept[name] = known
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)


def forget_all() -> None:
    """Forget everything: after a backup was restored, and between tests."""
    with _lock:
        _kept.clear()
