"""The larger shape: nginx in front, and sending what lies on the disk (X-Accel-Redirect)."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests import live
from tests.clients.programs import curl, machines
from tests.clients.watching import watched
from tests.live import LiveStore
from tests.nginx_front import nginx_in_front

SIZE_BYTES = 5 * 1024**2
pytestmark = pytest.mark.xdist_group("live")  # one worker has all live stores


@pytest.fixture(scope="module")
def inner() -> Iterator[LiveStore]:
    """A store that lets nginx send."""
    running = live.start(STORE_DELIVERY="x-accel", STORE_TRUSTED_PROXIES="1")
    yield running
    live.discard(running)


@pytest.fixture(scope="module")
def outer_url(inner: LiveStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where clients are to go: nginx."""
    folder = tmp_path_factory.mktemp("front")
    folder.chmod(0o755)
    port = urlsplit(inner.url).port or 0
    with nginx_in_front(
        folder, web_port=port, objects_port=live.free_port(), blobs=inner.data_dir / "blobs"
    ) as front:
        yield f"http://127.0.0.1:{front}"


def test_there_and_back(inner: LiveStore, outer_url: str, tmp_path: Path) -> None:
    name, token = inner.person()
    repo, content = f"{name}/m", secrets.token_bytes(SIZE_BYTES)
    changed = b"".join(
        content[at : at + 900_000] + secrets.token_bytes(100_000)
        for at in range(0, SIZE_BYTES, 1_000_000)
    )
    (tmp_path / "a.bin").write_bytes(content)
    (tmp_path / "b.bin").write_bytes(changed)
    (tmp_path / "whole.bin").write_bytes(content[::-1])

    with watched(outer_url) as line:
        machine = machines(tmp_path, line.url, token)
        machine().do(
            ["create", repo],
            ["upload", repo, str(tmp_path / "a.bin"), "a.bin"],
            ["upload", repo, str(tmp_path / "b.bin"), "b.bin"],
            ["upload_open", repo, str(tmp_path / "whole.bin"), "whole.bin"],
        )
        inner.settled(repo, token)
        line.clear()
        machine().do(
            ["download", repo, "a.bin", str(tmp_path / "a")],
            ["download", repo, "b.bin", str(tmp_path / "b")],
            ["download", repo, "whole.bin", str(tmp_path / "w")],
        )
        pieces = line.count("GET /xet/data/")
        machine(HF_HUB_DISABLE_XET="1").do(
            ["download", repo, "b.bin", str(tmp_path / "c")],
            ["download", repo, "whole.bin", str(tmp_path / "v")],
        )

    assert pieces
    assert (tmp_path / "a").read_bytes() == content
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes() == changed
    assert (tmp_path / "w").read_bytes() == (tmp_path / "v").read_bytes() == content[::-1]
    for path, whole in (("b.bin", changed), ("whole.bin", content[::-1])):
        url = f"{outer_url}/{repo}/resolve/main/{path}"
        assert curl(url, "-r", "1000000-2999999") == whole[1_000_000:3_000_000]
        assert curl(url) == whole


def test_runs_of_chunks(inner: LiveStore, outer_url: str, tmp_path: Path) -> None:
    """A link is good for its run and parts of it, and nginx sends nothing else."""
    name, token = inner.person()
    repo = f"{name}/runs"
    (tmp_path / "a.bin").write_bytes(secrets.token_bytes(SIZE_BYTES))
    machines(tmp_path, outer_url, token)().do(
        ["create", repo], ["upload", repo, str(tmp_path / "a.bin"), "a.bin"]
    )
    head = httpx2.head(f"{outer_url}/{repo}/resolve/main/a.bin")
    auth = {"Authorization": f"Bearer {token}"}
    grant = httpx2.get(f"{outer_url}/api/models/{repo}/xet-read-token/main", headers=auth).json()

    recipe = httpx2.get(
        f"{grant['casUrl']}/v2/reconstructions/{head.headers['X-Xet-Hash']}",
        headers={
            "Authorization": f"Bearer {grant['accessToken']}",
            "Range": "bytes=1000000-3000000",
        },
    ).json()
    ((block,),) = recipe["xorbs"].values()
    first, last = block["ranges"][0]["bytes"]["start"], block["ranges"][0]["bytes"]["end"]

    def ask(*spans: tuple[int, int]) -> httpx2.Response:
        wanted = ", ".join(f"{start}-{end}" for start, end in spans)
        return httpx2.get(block["url"], headers={"Range": f"bytes={wanted}"})

    whole, part = ask((first, last)), ask((first + 7, first + 99))
    both = ask((first, first + 9), (last - 9, last))

    assert grant["casUrl"].startswith(outer_url)
    assert block["url"].startswith(outer_url)
    assert first > 0
    assert [whole.status_code, part.status_code, both.status_code] == [206, 206, 206]
    assert len(whole.content) == last - first + 1
    assert whole.headers["Content-Range"].startswith(f"bytes {first}-{last}/")
    assert part.content == whole.content[7:100]
    assert both.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert whole.content[:10] in both.content
    assert whole.content[-10:] in both.content
    for spans in ([(first - 1, last)], [(0, 0)], [(first, first), (last + 1, last + 1)]):
        refused = ask(*spans)
        assert refused.status_code == 403
        assert len(refused.content) < 1000
    assert httpx2.get(block["url"]).status_code == 403
