"""Packs of strangers: git's own arrive whole, everything else is refused within bounds."""

import io
import random
import zlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from catalog.history.errors import BadPackError, MissingBaseError, PackTooLargeError
from catalog.history.unpacking import Limits, Unpacked, unpack
from store.core.errors import StoreError
from tests.catalog.history.packs import (
    BLOB,
    COMMIT,
    OFS_DELTA,
    REF_DELTA,
    TREE,
    appended,
    back,
    entry,
    git,
    number,
    oid_of,
    pack_of,
)

LIMITS = Limits(blob_bytes=100_000)
OLD = b"a text of some length\n" * 20
OLD_OID = oid_of(BLOB, OLD)


def opened(
    data: bytes, *, limits: Limits = LIMITS, there: Iterable[tuple[int, bytes]] = ()
) -> Unpacked:
    """Unpack ``data`` into a repository that has the objects ``there``."""
    known = {oid_of(kind, content): (kind, content) for kind, content in there}

    def bases(oids: list[bytes]) -> Iterable[tuple[bytes, int, bytes]]:
        return [(oid, *known[oid]) for oid in oids if oid in known]

    return unpack(io.BytesIO(data), io.BytesIO(), limits=limits, bases=bases)


def everything(unpacked: Unpacked) -> dict[str, tuple[int, bytes]]:
    return {oid.hex(): (unpacked.kind(oid), unpacked.data(oid)) for oid in unpacked}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of many versions of one file, so that git tells them by differences."""
    folder = tmp_path_factory.mktemp("git")
    git(folder, "init", "-q", "-b", "main")
    lines = [f"line {number} {number**7}\n" for number in range(300)]
    for version in range(40):
        lines[version * 7] = f"changed in {version}\n"
        (folder / "file.txt").write_text("".join(lines))
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", f"version {version}")
    git(folder, "tag", "-a", "v1", "-m", "first")
    git(folder, "repack", "-adfq", "--depth=50", "--window=50")
    return folder


def packed(folder: Path, *revisions: str, thin: bool = False, ofs: bool = True) -> bytes:
    options = [*(["--thin"] if thin else []), *(["--delta-base-offset"] if ofs else [])]
    wanted = "".join(f"{revision}\n" for revision in revisions).encode()
    return git(folder, "pack-objects", "--revs", "--stdout", "-q", *options, data=wanted)


@pytest.mark.parametrize("ofs", [True, False])
def test_what_git_packs_is_what_comes_out(folder: Path, ofs: bool) -> None:
    unpacked = opened(packed(folder, "main", "v1", ofs=ofs))

    named = git(folder, "rev-list", "--objects", "main", "v1").decode().split("\n")
    assert set(everything(unpacked)) == {line.split(" ")[0] for line in named if line}
    assert max(unpacked.depth(oid) for oid in unpacked) > 10  # there were differences
    for oid, (_kind, data) in everything(unpacked).items():
        kind = git(folder, "cat-file", "-t", oid).decode().strip()
        assert git(folder, "cat-file", kind, oid) == data


def test_a_thin_pack_takes_its_bases_from_the_repository(folder: Path) -> None:
    thin = packed(folder, "main", "^main~3", thin=True, ofs=False)
    old = everything(opened(packed(folder, "main~3")))

    unpacked = opened(thin, there=old.values())

    assert len(unpacked) == 9  # commits, trees, files
    with pytest.raises(MissingBaseError, match="told against an object that is not here"):
        opened(thin)


def test_a_base_may_come_after_what_is_told_against_it() -> None:
    new, newer = OLD + b"more", OLD + b"moreyet more"
    entries = [
        entry(REF_DELTA, appended(new, b"yet more"), between=oid_of(BLOB, new)),
        entry(REF_DELTA, appended(OLD, b"more"), between=OLD_OID),
        entry(BLOB, OLD),
    ]

    unpacked = opened(pack_of(*entries))

    assert {data for _kind, data in everything(unpacked).values()} == {OLD, new, newer}
    assert unpacked.depth(oid_of(BLOB, newer)) == 2


def test_offsets_through_waiting_entries() -> None:
    first = entry(REF_DELTA, appended(OLD, b"1"), between=OLD_OID)
    second = entry(OFS_DELTA, appended(OLD + b"1", b"2"), between=back(len(first)))

    unpacked = opened(pack_of(first, second), there=[(BLOB, OLD)])

    assert {data for _kind, data in everything(unpacked).values()} == {OLD + b"1", OLD + b"12"}


def test_the_same_object_twice_is_one() -> None:
    unpacked = opened(pack_of(entry(BLOB, OLD), entry(BLOB, OLD)))

    assert list(unpacked) == [OLD_OID]
    assert (len(unpacked), unpacked.size(OLD_OID), unpacked.of_kind(BLOB)) == (1, 440, [OLD_OID])


def test_an_empty_pack() -> None:
    assert list(opened(pack_of())) == []


def test_large_files_are_named_and_not_kept() -> None:
    large = b"\0" * 100_001
    delta = entry(REF_DELTA, appended(b"x" * 200, b"y"), between=oid_of(BLOB, large))

    unpacked = opened(pack_of(entry(BLOB, large), entry(BLOB, OLD), delta))

    assert unpacked.oversize == {oid_of(BLOB, large): 100_001}
    assert list(unpacked) == [OLD_OID]


GOOD = pack_of(entry(BLOB, OLD), entry(TREE, b""))
BAD = {
    "empty": b"",
    "not a pack": b"JUNK" + GOOD[4:],
    "version 3": pack_of(entry(BLOB, OLD), version=3),
    "cut in the head": GOOD[:9],
    "cut in an entry": GOOD[:40],
    "cut in the checksum": GOOD[:-3],
    "checksum": GOOD[:-1] + bytes([GOOD[-1] ^ 1]),
    "something behind": GOOD + b"x",
    "fewer than said": pack_of(entry(BLOB, OLD), count=2),
    "more than said": pack_of(entry(BLOB, OLD), entry(TREE, b""), count=1),
    "kind 0": pack_of(entry(0, OLD)),
    "kind 5": pack_of(entry(5, OLD)),
    "larger than it says": pack_of(entry(BLOB, b"x" * 5000, size=4999)),
    "smaller than it says": pack_of(entry(BLOB, b"x" * 5000, size=5001)),
    "nothing, it says": pack_of(entry(BLOB, b"x", size=0)),
    "endless size": pack_of(b"\xbf" + b"\xff" * 20 + b"\0" + zlib.compress(b"")),
    "not deflated": pack_of(b"\x35hello"),
    "points before the pack": pack_of(
        entry(BLOB, OLD), entry(OFS_DELTA, appended(OLD, b"x"), between=back(100_000))
    ),
    "points at itself": pack_of(
        entry(BLOB, OLD), entry(OFS_DELTA, appended(OLD, b"x"), between=back(0))
    ),
    "endless distance": pack_of(
        entry(BLOB, OLD), entry(OFS_DELTA, appended(OLD, b"x"), between=b"\xff" * 30 + b"\0")
    ),
    "points into an entry": pack_of(
        entry(BLOB, OLD), entry(OFS_DELTA, appended(OLD, b"x"), between=back(5))
    ),
    "against another size": pack_of(
        entry(BLOB, OLD), entry(REF_DELTA, appended(OLD + b"x", b"x"), between=OLD_OID)
    ),
    "copies what is not there": pack_of(
        entry(BLOB, b"abc"),
        entry(
            REF_DELTA,
            number(3) + number(200) + b"\xb0\xc8\0",
            between=oid_of(BLOB, b"abc"),
        ),
    ),
    "promises more": pack_of(
        entry(BLOB, b"abc"),
        entry(REF_DELTA, number(3) + number(9) + b"\x01x", between=oid_of(BLOB, b"abc")),
    ),
    "operation 0": pack_of(
        entry(BLOB, b"abc"),
        entry(REF_DELTA, number(3) + number(1) + b"\0", between=oid_of(BLOB, b"abc")),
    ),
    "no difference at all": pack_of(
        entry(BLOB, b"abc"), entry(REF_DELTA, b"\x80", between=oid_of(BLOB, b"abc"))
    ),
    "in circles": pack_of(
        entry(REF_DELTA, appended(b"abc", b"x"), between=b"\1" * 20),
        entry(REF_DELTA, appended(b"abc", b"y"), between=b"\2" * 20),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_broken_packs_are_refused(name: str) -> None:
    with pytest.raises((BadPackError, MissingBaseError)):
        opened(BAD[name])


def test_counts_and_sizes_are_not_believed() -> None:
    with pytest.raises(PackTooLargeError, match="at most 250000 new objects"):
        opened(pack_of(count=2**32 - 1))
    with pytest.raises(PackTooLargeError, match="A commit of"):
        opened(pack_of(entry(COMMIT, b"", size=2**40)))
    with pytest.raises(PackTooLargeError, match="A tree of"):
        opened(pack_of(entry(TREE, b"", size=17 * 1024**2)))
    with pytest.raises(PackTooLargeError, match="larger than any file"):
        opened(pack_of(entry(REF_DELTA, b"", size=2**40, between=OLD_OID)))
    with pytest.raises(PackTooLargeError, match="unpacks to more"):
        opened(pack_of(entry(BLOB, b"", size=2**50)))


def test_bombs_are_stopped_by_what_they_unpack_to() -> None:
    tight = replace(LIMITS, total_bytes=300_000)
    with pytest.raises(PackTooLargeError, match="unpacks to more than 300000"):
        opened(pack_of(*(entry(BLOB, bytes([n]) * 90_000) for n in range(4))), limits=tight)

    base = b"x" * 60_000
    deltas = [
        entry(REF_DELTA, appended(base, bytes([n])), between=oid_of(BLOB, base)) for n in range(9)
    ]
    with pytest.raises(PackTooLargeError, match="unpacks to more than 300000"):
        opened(pack_of(entry(BLOB, base), *deltas), limits=tight)


def test_work_that_unpacks_to_little_is_bounded_too() -> None:
    bases = [bytes([n]) * 50_000 for n in range(2)]
    oids = [oid_of(BLOB, base) for base in bases]
    tiny = number(50_000) + number(1) + b"\x01"
    deltas = [entry(REF_DELTA, tiny + bytes([n]), between=oids[n % 2]) for n in range(20)]

    with pytest.raises(PackTooLargeError, match="too much work"):
        opened(
            pack_of(*(entry(BLOB, base) for base in bases), *deltas),
            limits=replace(LIMITS, work_bytes=500_000),
        )


def test_differences_of_differences_end_somewhere() -> None:
    entries, text = [entry(BLOB, b"")], b""
    for _step in range(6):
        delta = entry(REF_DELTA, appended(text, b"x"), between=oid_of(BLOB, text))
        entries.append(delta)
        text += b"x"

    assert len(opened(pack_of(*entries), limits=replace(LIMITS, delta_depth=6))) == 7
    with pytest.raises(PackTooLargeError, match="more than 5 deep"):
        opened(pack_of(*entries), limits=replace(LIMITS, delta_depth=5))


def test_a_result_larger_than_any_file() -> None:
    base = b"x" * 60_000
    twice = number(60_000) + number(120_000) + bytes([0b1011_0000, 0x60, 0xEA]) * 2

    with pytest.raises(PackTooLargeError, match="Large files are for git-lfs"):
        opened(pack_of(entry(BLOB, base), entry(REF_DELTA, twice, between=oid_of(BLOB, base))))


def test_any_damage_is_noticed(folder: Path) -> None:
    whole = packed(folder, "main~35")
    good, chance = everything(opened(whole)), random.Random(7)

    for _round in range(400):
        at = chance.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[at] ^= 1 << chance.randrange(8)
        if chance.random() < 0.3:
            del damaged[at : at + chance.randrange(1, 9)]
        try:
            found = everything(opened(bytes(damaged)))
        except StoreError:
            continue
        assert found == good, at
