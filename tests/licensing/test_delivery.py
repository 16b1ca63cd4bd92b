"""The one door for bytes: who gets what, and how a file server answers."""

import io
import os
import zipfile
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import FileScan, ModelRepo
from catalog.services.repos import change_settings
from licensing.delivery import counting
from licensing.delivery.naming import content_type_for
from licensing.delivery.ranges import plan
from licensing.delivery.respond import LimitedFile, SentFile
from licensing.models import DownloadCount
from store.core.counts import BATCH
from store.core.valkey import valkey
from tests.factories import add_files, make_repo, safetensors

WEIGHTS = safetensors()


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    made = make_repo(alice)
    add_files(alice, made, {"model.safetensors": WEIGHTS, "notes.txt": b"hello world\n"})
    return made


def url(path: str, revision: str = "main") -> str:
    return f"/alice/tiny/resolve/{revision}/{path}"


def body(response) -> bytes:
    return b"".join(response) if response.streaming else response.content


def test_a_large_file_comes_whole(client: Client, repo: ModelRepo) -> None:
    response = client.get(url("model.safetensors"))

    assert response.status_code == 200
    assert body(response) == WEIGHTS
    assert response["X-Linked-Size"] == str(len(WEIGHTS))
    assert response["ETag"] == response["X-Linked-Etag"]
    assert len(response["ETag"]) == 66
    assert len(response["X-Repo-Commit"]) == 40
    assert response["Cache-Control"] == "no-cache"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response["Content-Disposition"].startswith("inline; filename*=UTF-8''model.safetensors")


@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=0-9", WEIGHTS[:10]), ("bytes=-5", WEIGHTS[-5:]), ("bytes=100-", WEIGHTS[100:])],
)
@pytest.mark.parametrize("path", ["model.safetensors"])
def test_ranges_of_large_files(
    client: Client, repo: ModelRepo, path: str, asked: str, part: bytes
) -> None:
    response = client.get(url(path), headers={"Range": asked})

    assert response.status_code == 206
    assert body(response) == part
    assert response["Content-Length"] == str(len(part))


def test_ranges_and_conditions_of_small_files(client: Client, repo: ModelRepo) -> None:
    whole = client.get(url("notes.txt"))
    part = client.get(url("notes.txt"), headers={"Range": "bytes=6-10"})
    outside = client.get(url("notes.txt"), headers={"Range": "bytes=50-"})
    known = client.get(url("notes.txt"), headers={"If-None-Match": whole["ETag"]})
    head = client.head(url("notes.txt"))

    assert whole.content == b"hello world\n"
    assert "X-Linked-Size" not in whole
    assert (part.status_code, part.content) == (206, b"world")
    assert (outside.status_code, outside["Content-Range"]) == (416, "bytes */12")
    assert (known.status_code, known.content) == (304, b"")
    assert (head.status_code, head.content, head["Content-Length"]) == (200, b"", "12")


def test_heads_and_known_tags_open_nothing(client: Client, repo: ModelRepo, settings) -> None:
    head = client.head(url("model.safetensors"))
    known = client.get(url("model.safetensors"), headers={"If-None-Match": head["ETag"]})

    assert (head.status_code, head["Content-Length"]) == (200, str(len(WEIGHTS)))
    assert known.status_code == 304
    assert counting.flush() == 0


def test_a_pinned_answer_never_changes(client: Client, repo: ModelRepo, alice: User) -> None:
    oid = client.head(url("notes.txt"))["X-Repo-Commit"]

    public = client.get(url("notes.txt", oid))
    change_settings_private(repo, alice)
    client.force_login(alice)
    private = client.get(url("notes.txt", oid))

    assert public["Cache-Control"] == "public, max-age=31536000, immutable"
    assert private["Cache-Control"] == "private, max-age=31536000, immutable"


def change_settings_private(repo: ModelRepo, owner: User) -> None:
    from accounts.viewer import Viewer

    change_settings(Viewer(user=owner), repo, is_private=True)


def test_download_makes_a_browser_save(client: Client, repo: ModelRepo) -> None:
    response = client.get(url("notes.txt") + "?download=true")

    assert response["Content-Disposition"].startswith("attachment; ")


@pytest.mark.parametrize("verdict", ["pending", "unsafe", "error"])
def test_files_without_a_good_verdict_are_for_owners_only(
    client: Client, repo: ModelRepo, alice: User, bob: User, verdict: str
) -> None:
    FileScan.objects.filter(repo=repo, path="model.safetensors").update(
        verdict=verdict, reason="It runs code.", code="imports"
    )

    refused = client.get(url("model.safetensors"))
    client.force_login(bob)
    refused_too = client.head(url("model.safetensors"))
    client.force_login(alice)
    granted = client.get(url("model.safetensors"))

    assert (refused.status_code, refused_too.status_code, granted.status_code) == (403, 403, 200)
    assert body(granted) == WEIGHTS
    assert refused.json()["code"] == "file_blocked"
    assert refused.json()["extra"]["verdict"] == verdict
    assert ("it runs code." in refused.json()["error"]) == (verdict != "pending")


def test_files_that_were_never_scanned_wait(client: Client, repo: ModelRepo) -> None:
    FileScan.objects.filter(repo=repo).delete()

    response = client.get(url("notes.txt"))

    assert response.status_code == 403
    assert "is being checked" in response.json()["error"]


def test_a_disabled_repository_serves_staff_only(
    client: Client, repo: ModelRepo, staff: User, browser_of: Callable[[User], Client]
) -> None:
    ModelRepo.objects.filter(pk=repo.pk).update(disabled_reason="stolen")

    refused = client.get(url("notes.txt"))
    client.force_login(staff)
    by_password = client.get(url("notes.txt"))
    granted = browser_of(staff).get(url("notes.txt"))

    assert (refused.status_code, by_password.status_code) == (403, 403)
    assert refused.status_code == 403
    assert refused["X-Error-Message"] == "Access to this resource is disabled."
    assert granted.status_code == 200


def test_folders_and_absent_files_are_missing(client: Client, repo: ModelRepo, alice: User) -> None:
    add_files(alice, repo, {"sub/x.txt": b"x"})

    for path in ("sub", "none.txt"):
        response = client.get(url(path))
        assert response.status_code == 404
        assert response["X-Error-Code"] == "EntryNotFound"
        assert len(response["X-Repo-Commit"]) == 40
    assert client.get(url("x", "nope"))["X-Error-Code"] == "RevisionNotFound"


def test_nginx_sends_when_it_stands_in_front(client: Client, repo: ModelRepo, settings) -> None:
    settings.ENV = settings.ENV.model_copy(update={"delivery": "x-accel"})

    response = client.get(url("model.safetensors"))

    digest = response["ETag"].strip('"')
    assert response["X-Accel-Redirect"] == f"/_blobs/sha256/{digest[:2]}/{digest[2:4]}/{digest}"
    assert response.content == b""
    assert response["Content-Type"] == "application/octet-stream"


class Bucket:
    """Stands for a storage that hands out links."""

    def __init__(self, link: str | None) -> None:
        self.link = link

    def download_url(self, digest: str, **about) -> str | None:
        return f"{self.link}/{digest}?name={about['filename']}" if self.link else None


def test_the_object_store_sends_when_told(
    client: Client, repo: ModelRepo, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"delivery": "redirect"})
    monkeypatch.setattr("licensing.delivery.respond.storage", lambda: Bucket("https://s3.test"))

    head = client.head(url("model.safetensors"))
    probed = counting.flush()
    response = client.get(url("model.safetensors"))

    assert (response.status_code, probed) == (302, 0)
    assert response["Location"].startswith("https://s3.test/")
    assert response["X-Linked-Size"] == str(len(WEIGHTS))
    assert head["Location"] == response["Location"]
    assert counting.flush() == 1


def test_redirects_need_an_object_store(
    client: Client, repo: ModelRepo, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"delivery": "redirect"})
    monkeypatch.setattr("licensing.delivery.respond.storage", lambda: Bucket(None))

    with pytest.raises(RuntimeError, match="STORE_STORAGE=s3"):
        client.get(url("model.safetensors"))


def test_completed_downloads_are_counted_once_a_caller(client: Client, repo: ModelRepo) -> None:
    people = {"User-Agent": "hf_hub/2.4.0; python/3.11"}
    for _ in range(3):
        body(client.get(url("model.safetensors"), headers=people))
    body(client.get(url("model.safetensors"), headers=people | {"Range": "bytes=0-99"}))
    body(client.get(url("notes.txt"), headers=people))
    body(client.get(url("model.safetensors"), headers={"User-Agent": "x; is_ci/true"}))
    body(client.get(url("model.safetensors"), headers={"User-Agent": "GoogleBot/2"}))
    body(client.get(url("model.safetensors"), headers={"User-Agent": "Mozilla/5.0"}))

    counting.flush()

    rows = {row.kind: row for row in DownloadCount.objects.filter(repo=repo)}
    assert {kind: row.downloads for kind, row in rows.items()} == {
        "library": 1,
        "ci": 1,
        "bot": 1,
        "browser": 1,
    }
    assert rows["library"].files == 4
    assert rows["library"].sent_bytes == 3 * len(WEIGHTS) + 12
    repo.listing.refresh_from_db()
    assert (repo.listing.downloads, repo.listing.downloads_all_time) == (2, 2)


def test_a_crash_of_the_flush_counts_nothing_twice(client: Client, repo: ModelRepo) -> None:
    body(client.get(url("model.safetensors")))
    valkey().rename(counting.DOWNLOADS.waiting, counting.DOWNLOADS.flushing)
    valkey().hset(counting.DOWNLOADS.flushing, BATCH, "b1")
    fields = valkey().hgetall(counting.DOWNLOADS.flushing)
    counting.flush()
    assert DownloadCount.objects.get().files == 1

    valkey().hset(counting.DOWNLOADS.flushing, mapping=fields)  # the crash came before the delete
    counting.flush()

    assert DownloadCount.objects.get().files == 1
    assert not valkey().exists(counting.DOWNLOADS.flushing)


def test_what_a_crashed_flush_left_comes_before_what_is_new(
    client: Client, repo: ModelRepo
) -> None:
    body(client.get(url("model.safetensors")))
    valkey().rename(counting.DOWNLOADS.waiting, counting.DOWNLOADS.flushing)
    body(client.get(url("notes.txt")))

    written = counting.flush()

    assert written == 2
    assert DownloadCount.objects.get().files == 2
    assert not valkey().exists(counting.DOWNLOADS.flushing, counting.DOWNLOADS.waiting)


def test_counts_of_deleted_repositories_are_dropped(client: Client, repo: ModelRepo) -> None:
    body(client.get(url("model.safetensors")))
    repo.delete()

    counting.flush()

    assert DownloadCount.objects.count() == 0


def test_counting_never_fails_a_download(
    client: Client, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redis.exceptions import ConnectionError as Gone

    def gone():
        raise Gone("no")

    monkeypatch.setattr("licensing.delivery.counting.valkey", gone)

    assert body(client.get(url("model.safetensors"))) == WEIGHTS


def test_signed_in_callers_are_told_apart_by_account(alice: User) -> None:
    from accounts.viewer import Viewer

    at_home, at_work = Viewer(user=alice, address="1.1.1.1"), Viewer(user=alice, address="2.2.2.2")
    other = Viewer(address="1.1.1.1")

    assert counting.caller_key(at_home, "a") == counting.caller_key(at_work, "b")
    assert counting.caller_key(at_home, "a") != counting.caller_key(other, "a")
    assert counting.caller_key(other, "a") != counting.caller_key(other, "b")


def test_the_window_of_recent_downloads_moves(repo: ModelRepo) -> None:
    from datetime import timedelta

    from django.utils import timezone

    day = timezone.now().date() - timedelta(days=40)
    DownloadCount.objects.create(
        repo=repo, commit_oid="a" * 40, day=day, kind="library", downloads=5
    )

    counting.refresh_counters()

    repo.listing.refresh_from_db()
    assert (repo.listing.downloads, repo.listing.downloads_all_time) == (0, 5)


def test_everything_as_one_zip(client: Client, repo: ModelRepo) -> None:
    response = client.get("/alice/tiny/archive/main.zip")

    data = body(response)
    assert response["Content-Length"] == str(len(data))
    assert response["Content-Disposition"].startswith("attachment; filename*=UTF-8''tiny-")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.read("model.safetensors") == WEIGHTS
        assert archive.read("notes.txt") == b"hello world\n"
        assert {item.compress_type for item in archive.infolist()} == {zipfile.ZIP_STORED}
    counting.flush()
    assert DownloadCount.objects.get().downloads == 1


def test_blocked_files_are_named_in_the_zip(client: Client, repo: ModelRepo) -> None:
    FileScan.objects.filter(path="notes.txt").update(verdict="unsafe", reason="Bad.")

    data = body(client.get("/alice/tiny/archive/main.zip"))

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert "notes.txt" not in archive.namelist()
        assert b"notes.txt is not served" in archive.read("NOT-INCLUDED.txt")


def test_an_archive_of_nothing_is_missing(client: Client, repo: ModelRepo) -> None:
    FileScan.objects.filter(repo=repo).update(verdict="pending")

    response = client.get("/alice/tiny/archive/main.zip")

    assert response.status_code == 404
    assert "no file to download" in response.json()["error"]


def test_git_lfs_gets_objects_of_this_repository_only(
    client: Client, repo: ModelRepo, bob: User
) -> None:
    digest = client.head(url("model.safetensors"))["ETag"].strip('"')
    make_repo(bob, "other")

    here = client.get(f"/alice/tiny.git/info/lfs/objects/{digest}")
    elsewhere = client.get(f"/bob/other.git/info/lfs/objects/{digest}")
    FileScan.objects.filter(path="model.safetensors").update(verdict="unsafe")
    blocked = client.get(f"/alice/tiny.git/info/lfs/objects/{digest}")

    assert body(here) == WEIGHTS
    assert (elsewhere.status_code, elsewhere["X-Error-Code"]) == (404, "EntryNotFound")
    assert blocked.status_code == 403


def test_a_limited_file_knows_how_far_it_came(tmp_path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    source = path.open("rb")
    source.seek(2)
    part = LimitedFile(source, 2, 5)

    assert part.readable()
    assert os.lseek(part.fileno(), 0, os.SEEK_CUR) == 2
    assert part.read(3) == b"234"
    assert not part.is_complete
    assert os.lseek(part.fileno(), 0, os.SEEK_CUR) == 5
    assert part.seek(7) == 7  # what socket.sendfile does at its end
    assert part.is_complete
    assert part.read() == b""
    part.close()
    part.close()
    assert source.closed


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("a.html", "html", "text/plain; charset=utf-8"),
        ("a.svg", "svg", "text/plain; charset=utf-8"),
        ("a.json", "json", "application/json"),
        ("a.png", "png", "image/png"),
        ("a.html", "", "application/octet-stream"),
        ("a.zip", "zip", "application/zip"),
        ("a.safetensors", "safetensors", "application/octet-stream"),
        ("a.svg", "binary", "application/octet-stream"),
    ],
)
def test_types_no_browser_runs(path: str, kind: str, expected: str) -> None:
    assert content_type_for(path, kind) == expected


@pytest.mark.parametrize(("taken", "noted"), [(3, []), (5, ["done"])])
def test_only_complete_answers_are_noted(
    tmp_path, monkeypatch: pytest.MonkeyPatch, taken: int, noted: list[str]
) -> None:
    monkeypatch.setattr("django.http.response.signals.request_finished.send", lambda **_: None)
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    what = plan("GET", 10, '"tag"', {"Range": "bytes=5-9"})
    said: list[str] = []
    source = path.open("rb")
    source.seek(5)
    answer = SentFile(source, what, lambda: said.append("done"))

    answer.part.read(taken)
    answer.close()
    answer.close()

    assert said == noted
    assert source.closed
