"""The local storage and power cuts, rehearsed on a disk of its own.

The disk is an ext4 image that writes nothing by itself for minutes. A writer is stopped and the
image copied: the copy holds what had reached the disk by then, and no more, as after a power cut.
"""

import hashlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.store.storage.lab import ROOT, python

WRITER = """
    import os, time
    from pathlib import Path
    from store.storage import LocalConfig, storage_from
    from tests.store.storage.lab import noise, put
    {before}
    store = storage_from(LocalConfig(Path({folder!r}) / "storage"))
    for number in range({count}):
        print(put(store, noise(3000 + number % 90_000, seed=number)), flush=True)
    time.sleep(60)
"""


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir()
    try:
        run("mount", "-o", "loop,commit=300", image, folder)
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("this machine lets nobody mount an image")
    try:
        yield folder
    finally:
        run("umount", folder)


def cut_power(
    tmp_path: Path, *, before: str = "", count: int = 1, after_s: float = 0.1
) -> tuple[set[str], dict[str, str]]:
    """Return the digests acknowledged before the cut, and name: sha256 of the files after it."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    image, copy = tmp_path / "disk.img", tmp_path / "copy.img"
    image.touch()
    run("truncate", "-s", "64M", image)
    run("mkfs.ext4", "-q", "-F", image)
    with mounted(image, tmp_path / "disk") as folder:
        program = WRITER.format(before=before, count=count, folder=str(folder))
        writer = subprocess.Popen(python(program), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert writer.stdout
            acknowledged = {writer.stdout.readline().strip()}
            time.sleep(after_s)
            writer.send_signal(signal.SIGSTOP)
            while Path(f"/proc/{writer.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
                time.sleep(0.01)  # it finishes the system call it is in
            run("cp", "--sparse=always", image, copy)
        finally:
            writer.kill()
            acknowledged |= set(writer.communicate(timeout=20)[0].split())
    with mounted(copy, tmp_path / "after") as folder:
        files = (folder / "storage" / "sha256").rglob("*")
        found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.is_file()}
    return acknowledged, found


@pytest.mark.parametrize(("count", "after_s"), [(1, 0.1), (10**6, 0.11), (10**6, 0.37)])
def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path, count, after_s) -> None:
    acknowledged, found = cut_power(tmp_path, count=count, after_s=after_s)

    assert len(acknowledged) >= 1
    assert acknowledged <= set(found)
    assert {name: digest for name, digest in found.items() if name != digest} == {}


@pytest.mark.parametrize(
    "sabotage",
    [
        "os.fsync = lambda fd: None",
        "import store.storage.local as it; it.sync_folder = lambda folder: None",
        "import store.storage.durable as it; it.TemporaryFile.sync = lambda file: None",
    ],
    ids=["all", "folders", "file"],
)
def test_the_rehearsal_notices_a_missing_sync(tmp_path: Path, sabotage: str) -> None:
    acknowledged, found = cut_power(tmp_path, before=sabotage)

    assert any(found.get(digest) != digest for digest in acknowledged)
