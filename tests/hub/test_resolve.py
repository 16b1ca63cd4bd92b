"""Downloads: headers on every answer, ranges, empty files, names, renames."""

import hashlib

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import ModelRepo
from tests.factories import add_files, make_repo
from tests.hub.wire import get_raw, heads

URL = "/alice/tiny/resolve/main"
WEIGHTS = b"weights " * 100


@pytest.fixture
def filled(alice: User, repo: ModelRepo) -> ModelRepo:
    add_files(
        alice,
        repo,
        {"a.txt": b"hello", "empty.txt": b"", "w.bin": WEIGHTS, "sub dir/ü.md": b"x"},
    )
    return repo


def body_of(answer) -> bytes:
    return b"".join(answer)


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_small_file(client: Client, filled: ModelRepo, method: str) -> None:
    answer = getattr(client, method)(f"{URL}/a.txt")

    assert answer.status_code == 200
    assert answer["ETag"] == f'"{hashlib.sha1(b"blob 5" + bytes(1) + b"hello").hexdigest()}"'
    assert answer["X-Repo-Commit"] == heads(filled)[0][1]
    assert answer["Content-Length"] == "5"
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["Content-Disposition"] == ("inline; filename*=UTF-8''a.txt; filename=\"a.txt\";")
    assert answer["Content-Type"].startswith("text/plain")
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["Cache-Control"] == "no-cache"
    assert answer["Vary"].startswith("Authorization, Accept")
    assert "X-Linked-Etag" not in answer
    assert body_of(answer) == (b"hello" if method == "get" else b"")


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_large_file(client: Client, filled: ModelRepo, method: str) -> None:
    answer = getattr(client, method)(f"{URL}/w.bin")

    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    assert answer.status_code == 200
    assert answer["ETag"] == answer["X-Linked-Etag"] == f'"{sha256}"'
    assert answer["X-Linked-Size"] == answer["Content-Length"] == str(len(WEIGHTS))
    assert body_of(answer) == (WEIGHTS if method == "get" else b"")


@pytest.mark.parametrize(
    ("path", "header", "status", "content_range", "body"),
    [
        ("a.txt", "bytes=0-0", 206, "bytes 0-0/5", b"h"),
        ("a.txt", "bytes=-2", 206, "bytes 3-4/5", b"lo"),
        ("a.txt", "bytes=0-100000", 206, "bytes 0-4/5", b"hello"),
        ("a.txt", "bytes=5-", 416, "bytes */5", None),
        ("w.bin", "bytes=8-15", 206, "bytes 8-15/800", b"weights "),
        ("w.bin", "bytes=790-", 206, "bytes 790-799/800", WEIGHTS[790:]),
        ("w.bin", "bytes=800-900", 416, "bytes */800", None),
        ("empty.txt", "bytes=0-0", 200, "bytes */0", b""),
    ],
)
def test_ranges(
    client: Client,
    filled: ModelRepo,
    path: str,
    header: str,
    status: int,
    content_range: str,
    body: bytes | None,
) -> None:
    answer = client.get(f"{URL}/{path}", headers={"Range": header})

    assert (answer.status_code, answer["Content-Range"]) == (status, content_range)
    assert answer["X-Repo-Commit"]
    if body is not None:
        assert body_of(answer) == body


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        (f"{URL}/nope", 404, "EntryNotFound"),
        (f"{URL}/sub dir", 404, "EntryNotFound"),
        (f"{URL}/a.txt/below", 404, "EntryNotFound"),
        ("/alice/tiny/resolve/nope/a.txt", 404, "RevisionNotFound"),
        ("/alice/none/resolve/main/a.txt", 401, "RepoNotFound"),
        ("/alice/tiny/raw/main/nope", 404, "EntryNotFound"),
    ],
)
@pytest.mark.parametrize("method", ["get", "head"])
def test_missing_files(
    client: Client, filled: ModelRepo, method: str, url: str, status: int, code: str
) -> None:
    answer = getattr(client, method)(url)

    assert (answer.status_code, answer["X-Error-Code"]) == (status, code)
    assert answer["X-Error-Message"]
    assert answer["Cache-Control"] == "no-store"
    assert ("X-Repo-Commit" in answer) == (code == "EntryNotFound")


def test_every_name_of_a_revision_works(client: Client, filled: ModelRepo) -> None:
    oid = heads(filled)[0][1]

    for name in ("main", "HEAD", "refs%2Fheads%2Fmain", "refs/heads/main", oid[:7], oid):
        for path in ("sub%20dir/%C3%BC.md", "sub%20dir%2F%C3%BC.md"):
            answer = get_raw(client, f"/Alice/TINY/resolve/{name}/{path}")
            assert (answer.status_code, body_of(answer)) == (200, b"x"), name


def test_a_full_commit_id_can_be_kept_for_ever(
    client: Client, alice: User, filled: ModelRepo, bearer
) -> None:
    oid = heads(filled)[0][1]
    make_repo(alice, "hidden", is_private=True)
    secret = heads(ModelRepo.objects.get(name="hidden"))[0][1]

    def kept(url: str, headers: dict | None = None) -> str:
        return client.get(url, headers=headers)["Cache-Control"]

    forever = "max-age=31536000, immutable"
    assert kept(f"/alice/tiny/resolve/{oid}/a.txt") == f"public, {forever}"
    assert kept(f"/alice/tiny/resolve/{oid[:9]}/a.txt") == "no-cache"
    assert (
        kept(f"/alice/hidden/resolve/{secret}/.gitattributes", bearer(alice))
        == f"private, {forever}"
    )


def test_the_hubs_second_address_of_a_file(client: Client, filled: ModelRepo) -> None:
    oid = heads(filled)[0][1]

    answer = get_raw(client, f"/api/resolve-cache/models/alice/tiny/{oid}/sub%20dir%2F%C3%BC.md")

    assert (answer.status_code, body_of(answer)) == (200, b"x")
    assert answer["X-Repo-Commit"] == oid


def test_raw_gives_what_git_stores(client: Client, filled: ModelRepo) -> None:
    pointer = client.get("/alice/tiny/raw/main/w.bin")
    part = client.get("/alice/tiny/raw/main/w.bin", headers={"Range": "bytes=0-6"})
    head = client.head("/alice/tiny/raw/main/w.bin")
    beyond = client.get("/alice/tiny/raw/main/w.bin", headers={"Range": "bytes=9000-"})
    kept = client.get("/alice/tiny/raw/main/w.bin", headers={"If-None-Match": str(pointer["ETag"])})
    small = client.get("/alice/tiny/raw/main/a.txt")

    assert pointer.content.startswith(b"version https://git-lfs.github.com/spec/v1\noid sha256:")
    assert pointer["Content-Length"] == head["Content-Length"] == str(len(pointer.content))
    assert (part.status_code, part.content) == (206, b"version")
    assert (beyond.status_code, kept.status_code, kept.content) == (416, 304, b"")
    assert pointer["Content-Type"].startswith("text/plain")
    assert "X-Linked-Size" not in pointer
    assert pointer["X-Repo-Commit"] == heads(filled)[0][1]
    assert body_of(small) == b"hello"


def test_saving_instead_of_showing(client: Client, filled: ModelRepo) -> None:
    answer = client.get(f"{URL}/a.txt?download=true")

    assert answer["Content-Disposition"].startswith("attachment; ")


def test_a_browser_asks_again_only_for_what_changed(client: Client, filled: ModelRepo) -> None:
    etag = client.head(f"{URL}/a.txt")["ETag"]

    same = client.get(f"{URL}/a.txt", headers={"If-None-Match": etag})
    other = client.get(f"{URL}/a.txt", headers={"If-None-Match": '"x"'})

    assert (same.status_code, other.status_code) == (304, 200)


def test_other_accept_headers_change_nothing(client: Client, filled: ModelRepo) -> None:
    headers = {"Accept": "application/vnd.xet-fileinfo+json, */*", "Range": "bytes=0-0"}

    answer = client.get(f"{URL}/a.txt", headers=headers)

    assert (answer.status_code, answer["Content-Range"]) == (206, "bytes 0-0/5")
