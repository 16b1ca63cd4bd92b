"""Xet where the weights lie in an object store: clients send and fetch xorbs there themselves."""

import secrets
from pathlib import Path

from tests.clients.programs import machines
from tests.clients.watching import watched
from tests.live import LiveStore

SIZE_BYTES = 5 * 1024**2


def test_there_and_back(s3_store: LiveStore, tmp_path: Path) -> None:
    name, token = s3_store.person()
    repo, content = f"{name}/m", secrets.token_bytes(SIZE_BYTES)
    changed = content[:1_000_000] + secrets.token_bytes(300_000) + content[1_300_000:]
    (tmp_path / "a.bin").write_bytes(content)
    (tmp_path / "b.bin").write_bytes(changed)

    with watched(s3_store.url) as line:
        machine = machines(tmp_path, line.url, token)
        machine().do(
            ["create", repo],
            ["upload", repo, str(tmp_path / "a.bin"), "a.bin"],
            ["upload", repo, str(tmp_path / "b.bin"), "b.bin"],
        )
        sent, grants = line.sent_bytes, line.count("POST /xet/v1/xorb-grants/")
        s3_store.settled(repo, token)
        line.clear()
        machine().do(
            ["download", repo, "a.bin", str(tmp_path / "a")],
            ["download", repo, "b.bin", str(tmp_path / "b")],
        )
        got, pieces = line.got_bytes, line.count("GET /xet/data/")
        machine(HF_HUB_DISABLE_XET="1").do(["download", repo, "b.bin", str(tmp_path / "c")])

    assert grants >= 2
    assert sent < 300_000
    assert (pieces, got < 300_000) == (0, True)
    assert (tmp_path / "a").read_bytes() == content
    assert (tmp_path / "b").read_bytes() == changed
    assert (tmp_path / "c").read_bytes() == changed
