"""LFS uploads of a client that speaks no Xet: answers get lost, and the web server is killed.

``make crash`` kills before, in and after each step; the suite kills where the answer is lost.
"""

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import live
from tests.clients.programs import Machine, machines
from tests.clients.test_client_versions import python_of
from tests.clients.test_xet import kill_web
from tests.clients.watching import WatchedLine, watched
from tests.live import LiveStore

MIB = 1024**2
MOMENTS = ["before", "after", "answered"] if "STORE_CRASH_ROUNDS" in os.environ else ["answered"]
CLIENT = ("0.36.2", "1.2.0")
STEPS = {
    "a whole file": (2 * MIB, r"PUT /api/lfs/\w+\?"),
    "a part": (11 * MIB, r"PUT /api/lfs/\w+/2\?"),
    "putting parts together": (11 * MIB, r"POST /api/lfs/\w+/complete"),
    "verifying": (2 * MIB, r"POST \S+/objects/verify"),
    "the commit": (2 * MIB, r"POST /api/models/\S+/commit/"),
}


@pytest.fixture(scope="module")
def parted() -> Iterator[LiveStore]:
    """A store that takes files above 5 MiB in parts."""
    store = live.start(STORE_MULTIPART_CHUNK_BYTES=str(5 * MIB))
    yield store
    live.discard(store)


@pytest.fixture
def line(parted: LiveStore) -> Iterator[WatchedLine]:
    with watched(parted.url) as running:
        yield running


def uploaded(
    store: LiveStore, line: WatchedLine, folder: Path, size_bytes: int, *, tries: int
) -> None:
    """Upload a file, again while it fails, and read it back."""
    name, token = store.person()
    repo, content = f"{name}/m", secrets.token_bytes(size_bytes)
    source, back = folder / "a.bin", folder / "back"
    source.write_bytes(content)
    make = machines(folder, line.url, token, python=python_of(*CLIENT))
    one: Machine = make(HF_HUB_DISABLE_XET="1")
    one.do(["create", repo])
    err = "not tried"
    for _ in range(tries):
        process = one.start(["upload", repo, str(source), "a.bin"])
        _out, err = process.communicate(timeout=240)
        live.wait_ready(store)
        if process.returncode == 0:
            break
    else:
        pytest.fail(err)
    store.settled(repo, token)
    make(HF_HUB_DISABLE_XET="1").do(["download", repo, "a.bin", str(back)])
    assert back.read_bytes() == content


@pytest.mark.xdist_group("lfs_again")
@pytest.mark.parametrize("step", ["a whole file", "a part"])
def test_an_answer_that_is_lost(
    parted: LiveStore, line: WatchedLine, tmp_path: Path, step: str
) -> None:
    """The client itself sends what it got no answer to a second time."""
    size_bytes, pattern = STEPS[step]
    lost: list[str] = []

    def lose_once(asked: str) -> None:
        if re.search(pattern, asked) and not lost:
            lost.append(asked)
            raise ConnectionResetError

    line.answered = lose_once

    uploaded(parted, line, tmp_path, size_bytes, tries=1)

    assert lost
    assert line.asked.count(lost[0]) == 2


@pytest.mark.xdist_group("lfs_again")
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("step", STEPS)
def test_a_web_server_that_is_killed(
    parted: LiveStore, line: WatchedLine, tmp_path: Path, step: str, moment: str
) -> None:
    size_bytes, pattern = STEPS[step]
    kills: list[str] = []

    def kill_once(asked: str) -> None:
        if re.search(pattern, asked) and not kills:
            kills.append(asked)
            kill_web(parted)
            if moment == "answered":
                raise ConnectionResetError  # and nobody hears of it

    setattr(line, moment, kill_once)

    uploaded(parted, line, tmp_path, size_bytes, tries=3)

    assert kills
