"""Getting bytes with real programs: in parts, after a cut, all at once."""

import hashlib
import os
import secrets
import subprocess
import zipfile
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download

from tests.clients.cutting import bad_line
from tests.live import LiveStore

SIZE_BYTES = 40 * 1024 * 1024
"""The hub client keeps what it got in steps of 10 MB."""
CONTENT = hashlib.shake_128(b"weights").digest(SIZE_BYTES)


@pytest.fixture(scope="module")
def repo(store: LiveStore, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A public model with one large and two small files."""
    name, token = store.person()
    repo = f"{name}/m-{secrets.token_hex(3)}"
    folder = tmp_path_factory.mktemp("model")
    (folder / "weights.bin").write_bytes(CONTENT)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# M\n")
    (folder / "sub dir").mkdir()
    (folder / "sub dir/ü.txt").write_text("deep\n")
    api = HfApi(endpoint=store.url, token=token)
    api.create_repo(repo)
    api.upload_folder(repo_id=repo, folder_path=folder)
    store.settled(repo, token)
    return repo


def curl(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["curl", "-sS", *args], cwd=cwd, capture_output=True, check=False)


def test_hub_client_goes_on_after_every_cut(store: LiveStore, repo: str, tmp_path: Path) -> None:
    with bad_line(store.url, after_bytes=12_000_000, cuts=3) as line:
        path = hf_hub_download(
            repo, "weights.bin", endpoint=line.url, cache_dir=tmp_path, token=False
        )
        asked = [request.lower() for request in line.asked]

    assert line.done == 3
    assert Path(path).read_bytes() == CONTENT
    ranges = [request for request in asked if b"\r\nrange: bytes=" in request]
    assert len(ranges) >= 3, asked


def test_curl_goes_on_where_it_was_cut(store: LiveStore, repo: str, tmp_path: Path) -> None:
    with bad_line(store.url, after_bytes=SIZE_BYTES // 2, cuts=1) as line:
        url = f"{line.url}/{repo}/resolve/main/weights.bin"
        cut = curl("-fL", "-C", "-", "-O", url, cwd=tmp_path)
        have = (tmp_path / "weights.bin").stat().st_size
        again = curl("-fL", "-C", "-", "-O", url, cwd=tmp_path)

    assert cut.returncode == 18  # a partial file
    assert 0 < have < SIZE_BYTES
    assert again.returncode == 0
    assert (tmp_path / "weights.bin").read_bytes() == CONTENT


def test_curl_takes_a_part(store: LiveStore, repo: str) -> None:
    url = f"{store.url}/{repo}/resolve/main/weights.bin"

    part = curl("-r", "1000-1999", url)
    tail = curl("-r", "-10", url)
    head = curl("-I", url).stdout.decode().lower()
    beyond = curl("-o", "/dev/null", "-w", "%{http_code}", "-r", f"{SIZE_BYTES}-", url)

    assert part.stdout == CONTENT[1000:2000]
    assert tail.stdout == CONTENT[-10:]
    assert f"content-length: {SIZE_BYTES}" in head
    assert hashlib.sha256(CONTENT).hexdigest() in head
    assert beyond.stdout == b"416"


def test_all_as_one_zip(store: LiveStore, repo: str, tmp_path: Path) -> None:
    done = curl("-fOJL", f"{store.url}/{repo}/archive/main.zip", cwd=tmp_path)

    assert done.returncode == 0
    (path,) = tmp_path.iterdir()
    assert path.name.startswith(repo.rpartition("/")[2])
    with zipfile.ZipFile(path) as zipped:
        assert zipped.testzip() is None
        assert zipped.read("weights.bin") == CONTENT
        assert zipped.read("sub dir/ü.txt") == b"deep\n"
        assert all(item.compress_type == zipfile.ZIP_STORED for item in zipped.infolist())


def test_an_upload_that_is_cut_is_sent_again(store: LiveStore, tmp_path: Path) -> None:
    name, token = store.person()
    repo = f"{name}/m-{secrets.token_hex(3)}"
    content = os.urandom(3 * 1024 * 1024)
    (tmp_path / "a.bin").write_bytes(content)
    spooled_before = spooled(store)

    with bad_line(store.url, after_bytes=len(content) // 2, cuts=1, upwards=True) as line:
        api = HfApi(endpoint=line.url, token=token)
        api.create_repo(repo)
        api.upload_file(path_or_fileobj=tmp_path / "a.bin", path_in_repo="a.bin", repo_id=repo)
        assert line.done == 1
    store.settled(repo, token)

    assert curl(f"{store.url}/{repo}/resolve/main/a.bin").stdout == content
    assert spooled(store) <= spooled_before  # uploads others gave up are swept later


def spooled(store: LiveStore) -> set[Path]:
    """The files that wait somewhere between a client and the storage."""
    return {path for path in (store.data_dir / "spool").rglob("*") if path.is_file()}
