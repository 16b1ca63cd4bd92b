"""The chunk lists of xorbs, kept in memory for a while: they never change."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

from django.db.models import Sum
from django.db.models.functions import Length

from catalog.content.xet.xorbs import ROW_BYTES, XorbTable
from catalog.models import Xorb
from store.storage import Digest

_KEPT = 64
"""Tables a process keeps; one of a full xorb has up to 0.4 MB."""


@dataclass(frozen=True, slots=True)
class KnownXorb:
    """A xorb the store has."""

    id: int
    blob: Digest
    """Its stored bytes."""
    table: XorbTable


_kept: OrderedDict[bytes, KnownXorb] = OrderedDict()
_lock = Lock()


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
