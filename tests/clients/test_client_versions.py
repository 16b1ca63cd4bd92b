"""Clients of three years against one store: up, down, and what need not be sent again.

Each has an environment of its own under ``var/clients``, made once (about 10 s and 30 MB each).
Which versions: the oldest that spoke Xet, with singular addresses and footers; one that asks the
LFS batch whether to use Xet; one of those that no longer ask; and the pinned one of this store.
"""

import fcntl
import re
import secrets
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.clients.programs import machines
from tests.clients.watching import WatchedLine, watched
from tests.live import ROOT, LiveStore

FOLDER = ROOT / "var/clients"
PINNED = version("huggingface_hub"), version("hf-xet")
VERSIONS = [
    ("0.30.2", "1.0.3"),
    ("0.36.2", "1.2.0"),
    ("1.18.0", "1.4.3"),
    ("1.28.0", "1.6.0"),
    PINNED,
]
SIZE_BYTES = 6 * 1024**2


def python_of(hub: str, xet: str) -> str:
    """Return the interpreter of an environment with these versions; it is made if need be."""
    if (hub, xet) == PINNED:
        return sys.executable
    folder = FOLDER / f"hub-{hub}-xet-{xet}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "done"
        if not done.exists():
            venv.create(folder, clear=True, symlinks=True)
            pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python")]
            wanted = [f"huggingface_hub=={hub}", f"hf-xet=={xet}"]
            made = subprocess.run(
                [*pip, "install", "--quiet", *wanted], capture_output=True, text=True, check=False
            )
            assert made.returncode == 0, f"{wanted} cannot be installed:\n{made.stderr}"
            done.touch()
    return str(folder / "bin/python")


@pytest.fixture(params=VERSIONS, ids=lambda pair: f"hub-{pair[0]}-xet-{pair[1]}")
def python(request: pytest.FixtureRequest) -> str:
    return python_of(*request.param)


@pytest.fixture
def line(store: LiveStore) -> Iterator[WatchedLine]:
    with watched(store.url) as running:
        yield running


def test_a_client_of_this_version(
    store: LiveStore, line: WatchedLine, python: str, tmp_path: Path
) -> None:
    name, token = store.person()
    repo = f"{name}/m"
    content = secrets.token_bytes(SIZE_BYTES)
    changed = content[:2_000_000] + secrets.token_bytes(600_000) + content[2_600_000:]
    source, other = tmp_path / "a.bin", tmp_path / "b.bin"
    source.write_bytes(content)
    other.write_bytes(changed)

    machine = machines(tmp_path, line.url, token, python=python)
    machine().do(["create", repo], ["upload", repo, str(source), "a.bin"])
    first = list(line.asked)
    line.clear()
    machine().do(["upload", repo, str(other), "b.bin"])
    second_bytes = line.sent_bytes
    store.settled(repo, token)
    line.clear()
    by_xet, plainly, both = tmp_path / "x", tmp_path / "y", tmp_path / "both"
    machine().do(["download", repo, "a.bin", str(by_xet)])
    fetched = list(line.asked)
    machine(HF_HUB_DISABLE_XET="1").do(["download", repo, "b.bin", str(plainly)])
    machine().do(["snapshot", repo, str(both)])

    assert any(re.search(r"/xet/(v1/)?xorb", asked) for asked in first), first
    assert any(re.search(r"/xet/(v\d/)?shards?", asked) for asked in first), first
    assert not any("/api/lfs/" in asked for asked in first)
    assert second_bytes < 0.25 * SIZE_BYTES
    assert any("GET /xet/data/" in asked for asked in fetched), fetched
    assert by_xet.read_bytes() == content
    assert plainly.read_bytes() == changed
    assert (both / "a.bin").read_bytes() == content
    assert (both / "b.bin").read_bytes() == changed


def test_one_uploads_and_another_reads(
    store: LiveStore, line: WatchedLine, python: str, tmp_path: Path
) -> None:
    """What one version packs every other unpacks; a plain upload in between changes nothing."""
    name, token = store.person()
    repo = f"{name}/m"
    contents = {each: secrets.token_bytes(400_000) for each in ("new", "old", "plain")}
    for each, content in contents.items():
        (tmp_path / each).write_bytes(content)

    newest, this = (
        machines(tmp_path, line.url, token, python=each) for each in (sys.executable, python)
    )

    def steps(*names: str) -> list[list[str]]:
        return [["upload", repo, str(tmp_path / each), f"{each}.bin"] for each in names]

    newest().do(["create", repo], *steps("new"))
    this().do(*steps("old"), ["upload_open", repo, str(tmp_path / "plain"), "plain.bin"])
    store.settled(repo, token)

    for machine in (this, newest):
        back = tmp_path / secrets.token_hex(4)
        machine().do(["snapshot", repo, str(back)])
        for each, content in contents.items():
            assert (back / f"{each}.bin").read_bytes() == content
