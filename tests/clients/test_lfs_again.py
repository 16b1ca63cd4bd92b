"""LFS uploads of a client that speaks no Xet: an answer gets lost."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import live
from tests.clients.programs import Machine, machines
from tests.clients.test_client_versions import python_of
from tests.clients.watching import WatchedLine, watched
from tests.live import LiveStore

MIB = 1024**2
CLIENT = ("0.36.2", "1.2.0")


@pytest.fixture
def line(store: LiveStore) -> Iterator[WatchedLine]:
    with watched(store.url) as running:
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


def test_an_answer_that_is_lost(store: LiveStore, line: WatchedLine, tmp_path: Path) -> None:
    """The client itself sends what it got no answer to a second time."""
    lost: list[str] = []

    def lose_once(asked: str) -> None:
        if re.search(r"PUT /api/lfs/\w+\?", asked) and not lost:
            lost.append(asked)
            raise ConnectionResetError

    line.answered = lose_once

    uploaded(store, line, tmp_path, 2 * MIB, tries=1)

    assert lost
    assert line.asked.count(lost[0]) == 2
