"""Room for files: counted before work, never overshot, charged to who sends them."""

import hashlib
from typing import Any

import pytest
from django.db.models import Sum
from django.test import Client

from accounts.models import Namespace, Role, User
from accounts.services.people import set_member
from accounts.viewer import Viewer
from catalog.content import uploads
from catalog.content.quotas import StorageQuotaError, usage_of
from catalog.history.refs import resolve
from catalog.models import GitObject, ModelRepo, RepoLfsObject, StagedFile, Upload
from catalog.services import staging
from catalog.services.repos import delete_repo, move_repo
from tests.factories import add_files, make_org, make_repo
from tests.threads import at_once

BIG = b"\0" + bytes(range(256)) * 400
SHA = hashlib.sha256(BIG).hexdigest()


def name_of(owner: str) -> Namespace:
    return Namespace.objects.get(name=owner)


def used(owner: str) -> int:
    return usage_of(name_of(owner)).used_bytes


def limit(owner: str, quota_bytes: int | None) -> None:
    Namespace.objects.filter(name=owner).update(storage_quota_bytes=quota_bytes)


def head(repo: ModelRepo) -> str:
    return resolve(repo, "main").commit_oid


def test_everything_that_takes_room_counts_once(alice: User, as_alice: Viewer) -> None:
    repo, twin = make_repo(alice), make_repo(alice, "twin")
    add_files(alice, repo, {"a.bin": BIG, "b.bin": BIG, "README.md": b"# Hi\n"})
    add_files(alice, twin, {"c.bin": BIG})

    git = GitObject.objects.aggregate(total=Sum("size_bytes"))["total"]
    assert used("alice") == git + len(BIG)
    repo.refresh_from_db()
    own = GitObject.objects.filter(repo=repo).aggregate(total=Sum("size_bytes"))["total"]
    assert repo.git_bytes == own

    upload = uploads.reserve(as_alice, repo, sha256="0" * 64, size_bytes=1000, allow_parts=False)
    staged = staging.stage(as_alice, repo, path="d.bin", size_bytes=500)
    assert used("alice") == git + len(BIG) + 1500
    uploads.abandon(upload)
    staging.discard(staged)

    add_files(alice, repo, {"README.md": b"# Hi\n"})  # nothing new
    assert used("alice") == git + len(BIG)
    delete_repo(as_alice, twin)
    delete_repo(as_alice, repo)
    assert used("alice") == 0


def test_an_upload_that_does_not_fit_is_refused_before_it_starts(
    client: Client, alice: User, bearer
) -> None:
    repo = make_repo(alice)
    limit("alice", used("alice") + len(BIG) - 1)
    body = {"operation": "upload", "objects": [{"oid": SHA, "size": len(BIG)}]}
    url = "/alice/tiny.git/info/lfs/objects/batch"

    def ask() -> dict[str, Any]:
        answer = client.post(url, body, content_type="application/json", headers=bearer(alice))
        found: dict[str, Any] = answer.json()["objects"][0]
        return found

    refused = ask()
    assert refused["error"]["code"] == 403
    assert "Delete what is no longer needed" in refused["error"]["message"]
    assert Upload.objects.count() == 0

    limit("alice", used("alice") + len(BIG))
    assert "actions" in ask()
    assert "actions" in ask()  # the open one, not a second one
    assert Upload.objects.get().charged_to == repo.namespace


@pytest.mark.django_db(transaction=True)
def test_many_at_once_do_not_overshoot() -> None:
    from tests.factories import make_user

    alice = make_user("alice")
    repo = make_repo(alice)
    limit("alice", used("alice") + 3500)

    def ask(number: int) -> bool:
        try:
            uploads.reserve(
                Viewer(user=alice),
                repo,
                sha256=f"{number:064x}",
                size_bytes=1000,
                allow_parts=False,
            )
        except StorageQuotaError:
            return False
        return True

    answers = at_once(ask, 10)

    assert sorted(answers) == [False] * 7 + [True] * 3
    assert Upload.objects.count() == 3


def test_a_commit_of_small_files_that_does_not_fit_changes_nothing(
    client: Client, alice: User, bearer
) -> None:
    import base64
    import json

    repo = make_repo(alice)
    limit("alice", used("alice") + 5000)
    before = (head(repo), GitObject.objects.count(), used("alice"))
    content = base64.b64encode(b"x" * 6000).decode()
    lines = [
        {"key": "header", "value": {"summary": "much"}},
        {"key": "file", "value": {"path": "a.txt", "content": content, "encoding": "base64"}},
    ]

    answer = client.post(
        "/api/models/alice/tiny/commit/main",
        "\n".join(json.dumps(line) for line in lines),
        content_type="application/x-ndjson",
        headers=bearer(alice),
    )

    assert answer.status_code == 403
    assert "Delete what is no longer needed" in answer.json()["error"]
    assert (head(repo), GitObject.objects.count(), used("alice")) == before


def test_a_stranger_fills_only_their_own_room(alice: User, bob: User, as_bob: Viewer) -> None:
    repo = make_repo(alice)
    before = used("alice")

    upload = uploads.reserve(as_bob, repo, sha256=SHA, size_bytes=len(BIG), allow_parts=False)
    assert (used("alice"), used("bob")) == (before, len(BIG))
    import io

    uploads.receive(upload, io.BytesIO(BIG), announced_bytes=None)

    assert (used("alice"), used("bob")) == (before, len(BIG))
    limit("bob", len(BIG))
    with pytest.raises(StorageQuotaError):
        uploads.reserve(as_bob, repo, sha256="1" * 64, size_bytes=1, allow_parts=False)


def test_what_waits_does_not_count_twice_when_it_is_committed(
    alice: User, as_alice: Viewer
) -> None:
    import io

    repo = make_repo(alice)
    limit("alice", used("alice") + len(BIG) + 3000)

    staged = staging.stage(as_alice, repo, path="w.bin", size_bytes=len(BIG))
    staging.receive_piece(as_alice, repo, staged.public_id, offset=0, body=io.BytesIO(BIG))
    with pytest.raises(StorageQuotaError):
        staging.stage(as_alice, repo, path="v.bin", size_bytes=len(BIG))
    staging.commit_staged(as_alice, repo, revision="main", title="files")

    assert StagedFile.objects.count() == 0
    assert RepoLfsObject.objects.get().charged_to == repo.namespace


def test_a_model_moves_only_to_where_there_is_room(alice: User, as_alice: Viewer) -> None:
    repo = make_repo(alice)
    add_files(alice, repo, {"a.bin": BIG})
    make_org("acme", alice="admin")
    limit("acme", len(BIG))
    before = used("alice")

    with pytest.raises(StorageQuotaError):
        move_repo(as_alice, repo, namespace="acme", name="tiny")
    assert ModelRepo.objects.get().namespace.name == "alice"
    assert (used("alice"), used("acme")) == (before, 0)

    limit("acme", None)
    move_repo(as_alice, repo, namespace="acme", name="tiny")
    assert (used("alice"), used("acme")) == (0, before)


def test_whose_quota_holds(alice: User, settings) -> None:
    make_org("acme", alice="admin")
    settings.ENV = settings.ENV.model_copy(
        update={"user_storage_bytes": 7, "organization_storage_bytes": 0}
    )

    assert usage_of(name_of("alice")).quota_bytes == 7
    assert usage_of(name_of("acme")).quota_bytes is None
    limit("alice", 0)
    limit("acme", 9)
    assert usage_of(name_of("alice")).quota_bytes is None
    assert usage_of(name_of("acme")).quota_bytes == 9


def test_people_and_programs_see_their_room(
    client: Client, alice: User, bob: User, browser_of, bearer
) -> None:
    add_files(alice, make_repo(alice), {"a.bin": BIG})
    set_member(make_org("acme", alice="admin"), bob, Role.READ, actor=None)
    limit("alice", 10 * len(BIG))
    limit("acme", 0)

    page = browser_of(alice).get("/settings/storage", headers={"Accept": "text/html"})
    asked = client.get("/api/v1/storage", headers=bearer(alice, "read")).json()["results"]
    of_bob = client.get("/api/v1/storage", headers=bearer(bob, "read")).json()["results"]

    assert page.status_code == 200
    text = page.content.decode()
    assert "<progress" in text
    assert "without limit" in text
    assert ">tiny<" in text
    assert {room["namespace"]: room["quota_bytes"] for room in asked} == {
        "alice": 10 * len(BIG),
        "acme": None,
    }
    assert {room["namespace"] for room in of_bob} == {"bob", "acme"}
    assert client.get("/api/v1/storage").status_code == 401
    assert client.get("/settings/storage").status_code == 401


def test_commits_of_an_hour_are_limited(
    client: Client, alice: User, bearer, settings, rate_limits_on: None
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"user_commits_per_hour": 2})
    repo, headers = make_repo(alice), bearer(alice)
    line = (
        '{"key":"header","value":{"summary":"s"}}\n'
        '{"key":"file","value":{"path":"%d","content":"x"}}'
    )

    codes = [
        client.post(
            "/api/models/alice/tiny/commit/main",
            line % number,
            content_type="application/x-ndjson",
            headers=headers,
        ).status_code
        for number in range(3)
    ]

    assert codes == [200, 200, 429]
    assert repo.commits.count() == 3  # with the initial one


def test_a_token_that_only_reads_uploads_nothing(client: Client, alice: User, bearer) -> None:
    make_repo(alice)
    body = {"operation": "upload", "objects": [{"oid": SHA, "size": len(BIG)}]}

    answer = client.post(
        "/alice/tiny.git/info/lfs/objects/batch",
        body,
        content_type="application/json",
        headers=bearer(alice, "read"),
    )

    assert (answer.status_code, answer.json()["message"]) == (403, answer["X-Error-Message"])
    assert Upload.objects.count() == 0
