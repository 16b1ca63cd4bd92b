"""Reading a pack that a stranger sent: every object inflated, its id recomputed, on disk.

A pack is hostile until its last byte: counts, sizes, distances and checksums are claims. Nothing
is believed before it is bounded, nothing larger than one object is held in memory, and what was
unpacked waits in a scratch file until the whole is known to be good.
"""

import hashlib
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from dulwich.errors import ApplyDeltaError
from dulwich.pack import apply_delta

from catalog.history.errors import BadPackError, MissingBaseError, PackTooLargeError
from catalog.history.packsource import SIZE_BITS, PackSource
from catalog.models import GitObject

Kind = GitObject.Kind
Bases = Callable[[list[bytes]], Iterable[tuple[bytes, int, bytes]]]
"""Gives (id, git type number, content) of those of the objects that the repository has."""

MIB = 1024**2
OFS_DELTA, REF_DELTA = 6, 7
_HEADER_BYTES = 12
_ASKED_AT_ONCE = 100
_NAMES = {kind.value: kind.label.lower().encode() for kind in Kind}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one pack may hold."""

    blob_bytes: int
    """Largest file; above it git-lfs is the way."""
    objects: int = 250_000
    tree_bytes: int = 16 * MIB
    text_bytes: int = MIB
    """Largest commit or tag."""
    total_bytes: int = 4096 * MIB
    """Size of everything, unpacked."""
    work_bytes: int = 16_384 * MIB
    """Bytes read again because differences are told against them."""
    delta_depth: int = 250
    """Differences of differences; git makes at most 50 by itself."""

    def of(self, kind: int) -> int:
        """Return the largest size of an object of this kind, in bytes."""
        if kind == Kind.BLOB:
            return self.blob_bytes
        return self.tree_bytes if kind == Kind.TREE else self.text_bytes


class Unpacked:
    """The objects of a pack, by id (20 bytes). Contents lie in the scratch file.

    Args:
        scratch: An empty file open for reading and writing; the caller closes it.
    """

    def __init__(self, scratch: IO[bytes]) -> None:
        self._scratch = scratch
        self._end = 0
        self._numbers: dict[bytes, int] = {}
        self._kinds = bytearray()
        self._offsets, self._sizes = array("Q"), array("Q")
        self._depths = array("H")
        self.oversize: dict[bytes, int] = {}
        """Files above the limit: size by id. They are not kept; only their names are missing."""

    def __len__(self) -> int:
        return len(self._kinds)

    def __contains__(self, oid: bytes) -> bool:
        return oid in self._numbers

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._numbers)

    def kind(self, oid: bytes) -> int:
        """Return git's type number of an object that is here."""
        return self._kinds[self._numbers[oid]]

    def size(self, oid: bytes) -> int:
        """Return the size in bytes of an object that is here."""
        return self._sizes[self._numbers[oid]]

    def data(self, oid: bytes) -> bytes:
        """Return the content of an object that is here."""
        number = self._numbers[oid]
        return self.read(self._offsets[number], self._sizes[number])

    def depth(self, oid: bytes) -> int:
        """Return how many differences led to it."""
        return self._depths[self._numbers[oid]]

    def of_kind(self, kind: int) -> list[bytes]:
        """Return the ids of all objects of one kind, in the pack's order."""
        return [oid for oid, number in self._numbers.items() if self._kinds[number] == kind]

    def keep(self, data: bytes) -> int:
        """Append ``data`` to the scratch file; return where it begins."""
        offset = self._end
        self._scratch.seek(offset)
        self._scratch.write(data)
        self._end += len(data)
        return offset

    def read(self, offset: int, length: int) -> bytes:
        """Return what ``keep`` wrote."""
        self._scratch.seek(offset)
        return self._scratch.read(length)

    def add(self, kind: int, data: bytes, depth: int) -> bytes:
        """Keep an object and return its id. The same one again is a no-op."""
        oid = hashlib.sha1(b"%s %d\0" % (_NAMES[kind], len(data)))  # noqa: S324 - git's
        oid.update(data)
        found = oid.digest()
        if found not in self._numbers:
            self._numbers[found] = len(self._kinds)
            self._kinds.append(kind)
            self._offsets.append(self.keep(data))
            self._sizes.append(len(data))
            self._depths.append(depth)
        return found


def unpack(pack: IO[bytes], scratch: IO[bytes], *, limits: Limits, bases: Bases) -> Unpacked:
    """Unpack everything from the position of ``pack`` to its end.

    Args:
        pack: The pack, and nothing behind it.
        scratch: Where contents wait.
        limits: What is too much.
        bases: Finds objects of the repository that the pack only names.

    Raises:
        BadPackError: it is broken or not what it says.
        PackTooLargeError: it holds too much.
        MissingBaseError: it leaves out what the repository has not, or goes round in circles.
    """
    return _Unpacking(pack, scratch, limits, bases).run()


@dataclass(slots=True)
class _Delta:
    """A difference that waits for what it is against."""

    offset: int
    length: int
    place: int
    """Where its entry begins in the pack."""


@dataclass
class _Unpacking:
    pack: IO[bytes]
    scratch: IO[bytes]
    limits: Limits
    bases: Bases
    total: int = 0
    work: int = 0
    places: dict[int, bytes] = field(default_factory=dict)
    """Where an entry begins → its object's id."""
    by_oid: dict[bytes, list[_Delta]] = field(default_factory=dict)
    by_place: dict[int, list[_Delta]] = field(default_factory=dict)
    last_base: tuple[bytes, bytes] = (b"", b"")

    def run(self) -> Unpacked:
        self.out = Unpacked(self.scratch)
        source = PackSource(self.pack)
        count = self._header(source)
        for _number in range(count):
            self._entry(source)
        source.finish()
        self._against_repository()
        if (self.by_oid or self.by_place) and not self.out.oversize:
            lost = next(iter(self.by_oid), b"").hex()
            raise MissingBaseError(
                f"The pack is told against an object that is not here: {lost}", oid=lost
            )
        return self.out

    def _header(self, source: PackSource) -> int:
        magic, version, count = struct.unpack(">4sLL", source.take(_HEADER_BYTES))
        if magic != b"PACK" or version != 2:
            raise BadPackError("This is no pack of version 2.")
        if count > self.limits.objects:
            raise PackTooLargeError(
                f"A push has at most {self.limits.objects} new objects, not {count}."
                " Push older commits first, in several steps.",
                max_objects=self.limits.objects,
            )
        return int(count)

    def _entry(self, source: PackSource) -> None:
        place = source.place
        kind, size = source.size_line()
        if kind in {OFS_DELTA, REF_DELTA}:
            self._delta(source, kind, size, place)
            return
        if kind not in _NAMES:
            raise BadPackError(f"The pack has an entry of the unknown kind {kind}.")
        if kind == Kind.BLOB and size > self.limits.blob_bytes:
            self._count(size)
            self.places[place] = oid = source.hashed(size)
            self.out.oversize[oid] = size
            return
        self._check_size(kind, size)
        self._done(self.out.add(kind, source.inflated(size), 0), place)

    def _delta(self, source: PackSource, kind: int, size: int, place: int) -> None:
        against_oid, against_place = b"", 0
        if kind == REF_DELTA:
            against_oid = source.take(20)
        else:
            against_place = place - source.distance()
            against_oid = self.places.get(against_place, b"")
        if size > self.limits.blob_bytes + MIB:
            raise PackTooLargeError("A difference in the pack is larger than any file may be.")
        self._count(size)
        data = source.inflated(size)
        waiting = _Delta(self.out.keep(data), len(data), place)
        if kind == OFS_DELTA and not against_oid:
            if not 0 < against_place < place:
                raise BadPackError("An entry of the pack refers to a place outside of it.")
            self.by_place.setdefault(against_place, []).append(waiting)
        elif against_oid in self.out:
            self._resolve(waiting, against_oid)
        else:
            self.by_oid.setdefault(against_oid, []).append(waiting)

    def _resolve(self, delta: _Delta, base: bytes) -> None:
        depth = self.out.depth(base) + 1
        self._done(self._applied(delta, self.out.kind(base), base, None, depth), delta.place)

    def _applied(
        self, delta: _Delta, kind: int, base: bytes, given: bytes | None, depth: int
    ) -> bytes:
        """Apply a difference and keep the object; return its id."""
        if depth > self.limits.delta_depth:
            raise PackTooLargeError(
                f"The pack has differences more than {self.limits.delta_depth} deep."
                " Run `git repack -adf` and push again."
            )
        source = self._base(base) if given is None else given
        told = self.out.read(delta.offset, delta.length)
        old_size, new_size = _told_sizes(told)
        if old_size != len(source):
            raise BadPackError("A difference in the pack is told against something else.")
        self._check_size(kind, new_size)
        try:
            data = b"".join(apply_delta(source, told))
        except (ApplyDeltaError, ValueError) as exc:
            raise BadPackError("A difference in the pack is broken.") from exc
        return self.out.add(kind, data, depth)

    def _base(self, oid: bytes) -> bytes:
        if self.last_base[0] != oid:
            data = self.out.data(oid)
            self.work += len(data)
            if self.work > self.limits.work_bytes:
                raise PackTooLargeError("The pack takes too much work. Push in several steps.")
            self.last_base = (oid, data)
        return self.last_base[1]

    def _done(self, oid: bytes, place: int) -> None:
        """Note an object, and resolve what waited for it, and what waited for that."""
        self.places[place] = oid
        ready = [(oid, place)]
        while ready:
            base, where = ready.pop()
            waiting = self.by_oid.pop(base, []) + self.by_place.pop(where, [])
            for delta in waiting:
                depth = self.out.depth(base) + 1
                found = self._applied(delta, self.out.kind(base), base, None, depth)
                self.places[delta.place] = found
                ready.append((found, delta.place))

    def _against_repository(self) -> None:
        """Resolve what is told against objects the repository has already (a thin pack)."""
        wanted = list(self.by_oid)
        for start in range(0, len(wanted), _ASKED_AT_ONCE):
            asked = [oid for oid in wanted[start : start + _ASKED_AT_ONCE] if oid in self.by_oid]
            for base, kind, data in self.bases(asked):
                for delta in self.by_oid.pop(base, []):
                    self._done(self._applied(delta, kind, base, data, 1), delta.place)

    def _check_size(self, kind: int, size: int) -> None:
        most = self.limits.of(kind)
        if size > most:
            raise PackTooLargeError(
                f"A {_NAMES[kind].decode()} of {size} bytes is pushed; at most {most} are taken."
                " Large files are for git-lfs.",
                max_bytes=most,
            )
        self._count(size)

    def _count(self, size: int) -> None:
        self.total += size
        if self.total > self.limits.total_bytes:
            raise PackTooLargeError(
                f"The push unpacks to more than {self.limits.total_bytes} bytes."
                " Push older commits first, in several steps."
            )


def _told_sizes(told: bytes) -> tuple[int, int]:
    """Return the sizes before and after that a difference begins with."""
    sizes, index = [], 0
    for _which in range(2):
        size = shift = 0
        while True:
            if index >= len(told) or shift > SIZE_BITS:
                raise BadPackError("A difference in the pack is broken.")
            byte = told[index]
            size |= (byte & 0x7F) << shift
            index, shift = index + 1, shift + 7
            if not byte & 0x80:
                break
        sizes.append(size)
    return sizes[0], sizes[1]
