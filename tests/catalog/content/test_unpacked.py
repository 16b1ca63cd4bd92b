"""Raw copies of xorbs that have just come: a cache that may fail in any way, and lies to nobody."""

import os
import time
from pathlib import Path

import pytest

from catalog.content import unpacked
from catalog.content.unpacked import forget_raw, kept_raw, raw_copy, sweep_raw
from catalog.content.xet.hashes import to_hex
from catalog.content.xet.packing import GROUPED_LZ4, LZ4, STORED

XORB = bytes(range(32))
NAME = to_hex(XORB)
CHUNKS = [b"first " * 1000, b"second " * 300_000]
RAW = b"".join(CHUNKS)


@pytest.fixture(autouse=True)
def folder(settings, tmp_path: Path) -> Path:
    """Where copies lie."""
    settings.SPOOL_DIR = tmp_path
    return tmp_path / "raw"


def keep(schemes: tuple[int, ...] = (LZ4, STORED), *, is_whole: bool = True) -> None:
    with raw_copy(NAME) as copy:
        for chunk, scheme in zip(CHUNKS, schemes, strict=True):
            copy.write(chunk, scheme)
        if is_whole:
            copy.keep()


def found() -> bytes | None:
    raw = kept_raw(XORB, len(RAW))
    return None if raw is None else b"".join(raw.blocks(0, len(RAW)))


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.exists() else []


@pytest.mark.parametrize("first", [LZ4, GROUPED_LZ4])
def test_what_was_unpacked_is_kept_until_it_is_forgotten(folder: Path, first: int) -> None:
    keep((first, STORED))

    held = kept_raw(XORB, len(RAW))
    assert held is not None
    assert found() == b"".join(held.blocks(0, len(RAW))) == RAW
    forget_raw(XORB)
    assert (found(), files(folder)) == (None, [])
    assert b"".join(held.blocks(0, len(RAW))) == RAW  # whoever reads it goes on
    forget_raw(XORB)


def test_reading_a_long_one_takes_little_memory(folder: Path) -> None:
    size_bytes, start = 32 * 1024**2, 4097
    with raw_copy(NAME) as copy:
        for number in range(256):
            copy.write(number.to_bytes() * (128 * 1024), LZ4)
        copy.keep()
    raw = kept_raw(XORB, size_bytes)
    assert raw is not None
    before, most, read = mapped_bytes(), 0, 0

    for block in raw.blocks(start, size_bytes):
        place = start + read
        assert block[0] == place // (128 * 1024)
        assert block[-1] == (place + len(block) - 1) // (128 * 1024)
        read += len(block)
        most = max(most, mapped_bytes())

    assert read == size_bytes - start
    assert most - before < 4 * 1024**2


def mapped_bytes() -> int:
    """Memory of files this process is charged with."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssFile:")[1].split()[0]) * 1024


def test_what_unpacks_to_very_much_is_not_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacked, "MAX_COPY_BYTES", len(RAW) - 1)

    keep()

    assert (found(), files(folder)) == (None, [])


def test_what_was_not_packed_is_not_copied(folder: Path) -> None:
    keep((STORED, LZ4))

    assert (found(), files(folder)) == (None, [])


def test_what_was_not_verified_leaves_nothing(folder: Path) -> None:
    keep(is_whole=False)

    assert (found(), files(folder)) == (None, [])


def test_a_short_copy_is_none(folder: Path) -> None:
    keep()
    os.truncate(folder / NAME, len(RAW) - 1)

    assert found() is None


def test_a_disk_that_is_broken_costs_the_copy_alone(folder: Path) -> None:
    folder.write_text("no folder")

    keep()

    assert found() is None


@pytest.mark.parametrize("at", ["write", "close"])
def test_a_disk_that_is_full_costs_the_copy_alone(folder: Path, at: str) -> None:
    with raw_copy(NAME) as copy, Path("/dev/full").open("wb") as full:
        copy.write(b"x", LZ4)
        assert copy._file is not None
        copy._file.close()
        copy._file = full
        copy.write(RAW if at == "write" else b"x", LZ4)
        copy.write(b"y", LZ4)
        copy.keep()

    assert (found(), files(folder)) == (None, [])


def test_there_is_no_more_of_them_than_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "MAX_BYTES", 1000)
    folder.mkdir()
    (folder / "other").write_bytes(bytes(1000))

    keep()

    assert (found(), files(folder)) == (None, ["other"])


def test_copies_nobody_came_for_are_swept(folder: Path) -> None:
    keep()
    (folder / "young").write_bytes(b"x")
    long_ago = time.time() - unpacked.MAX_AGE_S - 5
    os.utime(folder / NAME, (long_ago, long_ago))

    sweep_raw()

    assert files(folder) == ["young"]
