"""The local storage and crashes: order of syncs, killed writers."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from store.storage import (
    BlobStore,
    LocalConfig,
    storage_from,
)
from tests.store.storage.lab import MIB, ROOT, digest_of, files_below, noise, put, python


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of system calls that matter for durability, with what they were called on."""
    log: list[str] = []

    def target(arg: object) -> str:
        path = Path(f"/proc/self/fd/{arg}").readlink() if isinstance(arg, int) else Path(str(arg))
        return "TEMP" if path.name.startswith(".") else path.name

    def record(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args, **kwargs):
            log.append(f"{name} {target(args[0])}")
            return real(*args, **kwargs)

        return call

    for name in ("fsync", "link", "fchmod", "unlink"):
        monkeypatch.setattr(os, name, record(name, getattr(os, name)))
    return log


def test_syncs_the_file_then_names_it_then_syncs_the_folders(
    local: BlobStore, calls: list[str]
) -> None:
    digest = put(local, b"hello")

    assert calls == [
        "fchmod TEMP",
        "fsync TEMP",
        "link TEMP",
        f"fsync {digest[2:4]}",
        f"fsync {digest[:2]}",
        "fsync sha256",
        "unlink TEMP",
    ]


def test_syncs_as_much_when_another_writer_was_first(local: BlobStore, calls: list[str]) -> None:
    digest = put(local, b"hello")
    calls.clear()

    put(local, b"hello")

    assert calls[1:6] == [
        "fsync TEMP",
        "link TEMP",
        f"fsync {digest[2:4]}",
        f"fsync {digest[:2]}",
        "fsync sha256",
    ]


def test_the_kernel_sees_the_same_order(root: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed; the test above checks the order inside Python")
    digest = digest_of(b"hello")
    program = f"""
        import io
        from pathlib import Path
        from store.storage import LocalConfig, storage_from
        store = storage_from(LocalConfig(Path({str(root)!r})))
        store.put(io.BytesIO(b"hello"), {digest!r}, 5)
    """
    trace = root.with_name("trace")
    run = [strace, "-f", "-y", "-o", str(trace)]
    run += ["-e", "trace=fsync,fdatasync,link,linkat,rename,renameat,renameat2,write"]
    subprocess.run([*run, *python(program)], cwd=ROOT, check=True, timeout=60)

    lines = [line for line in trace.read_text().splitlines() if str(root) in line]
    steps = [
        re.sub(r"^\d+ +(\w+)\(.*?" + re.escape(str(root)) + r"/([\w.]+(?:/[\w.]+)*).*", r"\1 \2", x)
        for x in lines
    ]
    steps = [re.sub(r"/\.[0-9a-f]{32}", "/TEMP", step) for step in steps]
    assert steps == [
        "write tmp/TEMP",
        "fsync tmp/TEMP",
        "link tmp/TEMP",
        f"fsync sha256/{digest[:2]}/{digest[2:4]}",
        f"fsync sha256/{digest[:2]}",
        "fsync sha256",
    ]


def slow_writer(root: Path, size_bytes: int, pause_at: int) -> subprocess.Popen[bytes]:
    """Start a process that puts ``noise(size_bytes)`` and stops for good at a byte."""
    program = f"""
        import sys, time
        from pathlib import Path
        from store.storage import LocalConfig, storage_from
        from tests.store.storage.lab import Source, digest_of, noise
        data = noise({size_bytes})
        def pause(position):
            if position >= {pause_at}:
                print("here", flush=True)
                time.sleep(60)
        store = storage_from(LocalConfig(Path({str(root)!r})))
        store.put(Source(data, before=pause), digest_of(data), len(data))
    """
    return subprocess.Popen(python(program), cwd=ROOT, stdout=subprocess.PIPE)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=20)
    assert process.stdout
    process.stdout.close()


@pytest.mark.parametrize("pause_at", [0, 3 * MIB, 5 * MIB])
def test_a_writer_killed_on_the_way_leaves_nothing_visible(root: Path, pause_at: int) -> None:
    writer = slow_writer(root, 5 * MIB, pause_at)
    assert writer.stdout
    assert writer.stdout.readline() == b"here\n"
    kill(writer)
    store = storage_from(LocalConfig(root))

    assert list(store.blobs()) == []
    assert not store.exists(digest_of(noise(5 * MIB)))
    (left,) = files_below(root)
    assert left.startswith("tmp/")
    assert store.sweep(older_than_s=3600) == 0
    assert store.sweep(older_than_s=-60) == 1
    assert files_below(root) == []
    assert put(store, noise(5 * MIB)) == digest_of(noise(5 * MIB))


def test_writers_killed_at_any_instant_leave_only_whole_blobs(root: Path) -> None:
    program = f"""
        from pathlib import Path
        from store.storage import LocalConfig, storage_from
        from tests.store.storage.lab import noise, put
        store = storage_from(LocalConfig(Path({str(root)!r})))
        print("here", flush=True)
        for number in range(100_000):
            put(store, noise(20_000 + number, seed=number))
    """
    for round_ in range(12):
        process = subprocess.Popen(python(program), cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.004 * round_)
        kill(process)

    blobs = list(storage_from(LocalConfig(root)).blobs())
    assert blobs
    for blob in blobs:
        path = root / "sha256" / blob.digest[:2] / blob.digest[2:4] / blob.digest
        assert hashlib.sha256(path.read_bytes()).hexdigest() == blob.digest
