"""The life of a repository over the protocol: made, moved, set, copied, deleted."""

import base64
import hashlib

import pytest
from django.test import Client

from accounts.models import Namespace, User
from accounts.viewer import Viewer
from catalog.content.ownership import owned_size
from catalog.content.quotas import usage_of
from catalog.models import (
    Commit,
    FileScan,
    LfsObject,
    ModelRepo,
    RepoLfsObject,
    RepoRedirect,
)
from licensing.delivery import copying
from store.core.models import Job
from tests.factories import add_files, make_org, make_repo, make_user, safetensors
from tests.hub.wire import BASE, JSON, commit, get_raw, heads, post, put, state, upload

WEIGHTS = safetensors(seed=3)
SHA = hashlib.sha256(WEIGHTS).hexdigest()


def create(client: Client, headers: dict, **body):
    return post(client, "/api/repos/create", body, headers)


def move(client: Client, headers: dict, old: str, new: str):
    return post(client, "/api/repos/move", {"fromRepo": old, "toRepo": new}, headers)


def test_files_and_license_are_in_the_first_commit(client: Client, write: dict) -> None:
    weights = base64.b64encode(WEIGHTS).decode()
    files = [
        {"path": "model.safetensors", "content": weights, "encoding": "base64"},
        {"path": "notes.txt", "content": "ünï"},
    ]

    answer = create(client, write, name="m", license="mit", files=files, resourceGroupId="x")

    repo = ModelRepo.objects.get()
    [only] = client.get("/api/models/alice/m/commits/main").json()
    info = client.get("/api/models/alice/m?blobs=true").json()
    sizes = {item["rfilename"]: item["size"] for item in info["siblings"]}
    assert answer.json()["id"] == repo.public_id
    assert only["title"] == "initial commit"
    assert only["authors"][0]["user"] == "alice"
    assert set(sizes) == {".gitattributes", "README.md", "model.safetensors", "notes.txt"}
    assert sizes["model.safetensors"] == len(WEIGHTS)
    assert info["cardData"] == {"license": "mit"}
    assert owned_size(repo, SHA) == len(WEIGHTS)  # an LFS file, as .gitattributes says
    raw = client.get("/alice/m/raw/main/model.safetensors").content
    assert raw.startswith(b"version https://git-lfs")
    assert b"".join(client.get("/alice/m/resolve/main/model.safetensors")) == WEIGHTS


def test_a_readme_of_ones_own_wins_over_the_license(client: Client, write: dict) -> None:
    create(client, write, name="m", license="mit", files=[{"path": "README.md", "content": "# Hi"}])

    assert b"".join(client.get("/alice/m/resolve/main/README.md")) == b"# Hi"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"name": "m", "license": "no-such"}, 400, '"license" must be one of'),
        ({"name": "m", "license": "mit\ntags: [x]"}, 400, '"license" must be one of'),
        ({"name": "m", "files": [{"path": ".git/x", "content": "x"}]}, 422, ".git"),
        (
            {
                "name": "m",
                "files": [
                    {
                        "path": "w.bin",
                        "content": "version https://git-lfs.github.com/spec/v1\n"
                        f"oid sha256:{SHA}\nsize {len(WEIGHTS)}\n",
                    }
                ],
            },
            422,
            "was not uploaded",
        ),
    ],
)
def test_refused_repositories_do_not_exist(
    client: Client, alice: User, write: dict, body: dict, status: int, words: str
) -> None:
    other = make_repo(alice, "other")
    add_files(alice, other, {"model.safetensors": WEIGHTS})
    before = state(other)

    answer = create(client, write, **body)

    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert state(other) == before


def test_first_files_have_a_limit(client: Client, alice: User, write: dict, settings) -> None:
    settings.ENV = settings.ENV.model_copy(update={"max_regular_file_bytes": 10})

    answer = create(client, write, name="m", files=[{"path": "a", "content": "x" * 11}])

    assert answer.status_code == 413
    assert ModelRepo.objects.count() == 0


def test_creating_again_tells_where_it_is(client: Client, repo: ModelRepo, write: dict) -> None:
    before = state(repo)

    answer = create(client, write, name="TINY", private=True)

    assert answer.status_code == 409
    assert answer.json() == {
        "error": "You already created this model repo: alice/tiny",
        "url": "http://testserver/alice/tiny",
    }
    assert state(repo) == before


def test_chains_of_renames_collapse(client: Client, alice: User, repo: ModelRepo, write: dict):
    add_files(alice, repo, {"w.bin": WEIGHTS})
    for old, new in (("tiny", "b"), ("b", "c"), ("c", "d")):
        assert move(client, write, f"alice/{old}", f"alice/{new}").status_code == 200

    for old in ("tiny", "b", "c"):
        answer = client.get(f"/api/models/alice/{old}")
        assert (answer.status_code, answer["Location"]) == (307, "/api/models/alice/d")
    assert RepoRedirect.objects.count() == 3

    assert move(client, write, "alice/d", "alice/tiny").status_code == 200
    assert client.get("/api/models/alice/tiny").status_code == 200
    assert client.get("/api/models/alice/b")["Location"] == "/api/models/alice/tiny"
    assert set(RepoRedirect.objects.values_list("name", flat=True)) == {"b", "c", "d"}


def test_an_old_id_leads_on_from_every_route(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    add_files(alice, repo, {"a b.txt": b"x"})
    move(client, write, "alice/tiny", "alice/new-id")
    new = "/api/models/alice/new-id"

    def location(answer) -> str:
        assert answer.status_code == 307
        return answer["Location"]

    for tail in (
        "",
        "/revision/refs%2Fheads%2Fmain",
        "/tree/main/a%20b?recursive=true",
        "/refs?include_prs=1",
        "/commits/main",
        "/auth-check",
        "/lfs-files",
        "/compare/main..main",
    ):
        assert location(get_raw(client, BASE + tail, headers=write)) == new + tail
    for tail in (
        "/paths-info/main",
        "/preupload/main",
        "/commit/main",
        "/branch/dev",
        "/tag/main",
        "/super-squash/main",
        "/lfs-files/batch",
        "/lfs-files/duplicate",
        "/duplicate",
    ):
        assert location(post(client, BASE + tail, {}, write)) == new + tail
    assert location(client.put(f"{BASE}/settings", {}, content_type=JSON, headers=write)) == (
        f"{new}/settings"
    )
    assert location(client.delete(f"{BASE}/branch/dev", headers=write)) == f"{new}/branch/dev"
    batch = post(client, "/alice/tiny.git/info/lfs/objects/batch", {"operation": "upload"}, write)
    assert location(batch) == "/alice/new-id.git/info/lfs/objects/batch"
    file = get_raw(client, "/alice/tiny/resolve/main/a%20b.txt?download=true")
    assert location(file) == "/alice/new-id/resolve/main/a%20b.txt?download=true"
    assert location(client.head("/ALICE/Tiny/raw/main/x")) == "/alice/new-id/raw/main/x"


def test_an_old_id_in_a_body_means_the_present_one(
    client: Client, repo: ModelRepo, write: dict
) -> None:
    move(client, write, "alice/tiny", "alice/b")

    again = move(client, write, "alice/tiny", "alice/c")
    repo.refresh_from_db()
    gone = client.delete(
        "/api/repos/delete",
        {"name": "tiny", "organization": "alice"},
        content_type=JSON,
        headers=write,
    )

    assert (again.status_code, repo.name, gone.status_code) == (200, "c", 200)
    assert ModelRepo.objects.count() == 0


def test_a_hidden_model_does_not_lead_on(
    client: Client, alice: User, bob: User, write: dict, bearer
) -> None:
    make_repo(alice, "old", is_private=True)
    move(client, write, "alice/old", "alice/now")

    stranger = client.get("/api/models/alice/old", headers=bearer(bob))
    nobody = client.get("/alice/old/resolve/main/.gitattributes")

    assert (stranger.status_code, stranger["X-Error-Code"]) == (404, "RepoNotFound")
    assert (nobody.status_code, nobody["X-Error-Code"]) == (401, "RepoNotFound")
    assert "now" not in stranger.content.decode()


def test_an_old_name_can_be_used_again_by_its_owner_alone(
    client: Client, alice: User, bob: User, repo: ModelRepo, write: dict, bearer
) -> None:
    make_org("acme", alice="write", bob="write")
    move(client, write, "alice/tiny", "acme/tiny")

    squatted = create(client, bearer(bob), name="tiny", organization="alice")
    again = create(client, write, name="tiny")

    assert (squatted.status_code, again.status_code) == (403, 200)
    assert client.get(BASE).json()["id"] == "alice/tiny"
    assert client.get("/api/models/acme/tiny").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"fromRepo": "alice/tiny"}, 400, "toRepo"),
        ({"toRepo": "alice/x"}, 400, "fromRepo"),
        ({"fromRepo": "alice/none", "toRepo": "alice/x"}, 404, "Repository Not Found"),
        ({"fromRepo": "alice/tiny", "toRepo": "alice/taken"}, 409, "already exists"),
        ({"fromRepo": "alice/tiny", "toRepo": "alice/TAKEN"}, 409, "already exists"),
        ({"fromRepo": "alice/tiny", "toRepo": "bob/tiny"}, 403, "publish"),
        ({"fromRepo": "alice/tiny", "toRepo": "nobody/tiny"}, 403, "publish"),
        ({"fromRepo": "alice/tiny", "toRepo": "alice/a--b"}, 400, ""),
        ({"fromRepo": "alice/tiny", "toRepo": "alice/x", "type": "space"}, 400, "models only"),
        ({"fromRepo": "bob/his", "toRepo": "alice/mine"}, 403, "may not change"),
    ],
)
def test_refused_renames_change_nothing(
    client: Client,
    alice: User,
    bob: User,
    repo: ModelRepo,
    write: dict,
    body: dict,
    status: int,
    words: str,
) -> None:
    make_repo(alice, "taken")
    make_repo(bob, "his")
    before = sorted(str(each) for each in ModelRepo.objects.select_related("namespace"))

    answer = post(client, "/api/repos/move", body, write)

    assert answer.status_code == status
    assert words in answer.json()["error"]
    if status == 409:
        assert answer.json()["error"].startswith("A model repository called alice/")
    after = sorted(str(each) for each in ModelRepo.objects.select_related("namespace"))
    assert after == before
    assert RepoRedirect.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"gated": "maybe"}, 400),
        ({"gated": True}, 400),
        ({"gated": []}, 400),
        ({"visibility": "secret"}, 400),
        ({"private": 1}, 400),
    ],
)
def test_refused_settings_change_nothing(
    client: Client, repo: ModelRepo, write: dict, body: dict, status: int
) -> None:
    answer = client.put(f"{BASE}/settings", body, content_type=JSON, headers=write)

    repo.refresh_from_db()
    assert answer.status_code == status
    assert (repo.is_private, repo.gate) == (False, "none")


def test_settings_and_info_agree(client: Client, repo: ModelRepo, write: dict, bob: User, bearer):
    def change(headers: dict, **body):
        return client.put(f"{BASE}/settings", body, content_type=JSON, headers=headers)

    changed = change(write, visibility="private", gated="manual", discussionsDisabled=True)
    info = client.get(BASE, headers=write).json()

    assert changed.json() == {
        "private": True,
        "visibility": "private",
        "gated": "manual",
        "discussionsDisabled": True,
    }
    assert (info["private"], info["gated"]) == (True, "manual")
    assert change(bearer(bob), private=False).status_code == 404
    assert change(write, private=False, gated=False).json()["gated"] is False
    assert change(bearer(bob), private=True).status_code == 403
    assert change({}, private=True).status_code == 401


@pytest.mark.parametrize(
    "odd",
    [
        {"gatedNotificationsEmail": "else@example.org"},
        {"gatedNotificationsMode": "bulk"},
        {"discussionsDisabled": "yes"},
        {"gated": "maybe"},
    ],
)
def test_settings_there_are_not(
    client: Client, repo: ModelRepo, write: dict, odd: dict[str, str]
) -> None:
    before = client.get(BASE, headers=write).json()
    body = {"private": True} | odd

    answer = client.put(f"{BASE}/settings", body, content_type=JSON, headers=write)

    assert answer.status_code == 400
    assert next(iter(odd)) in answer.json()["error"]
    assert client.get(BASE, headers=write).json() == before


def test_an_old_id_that_stands_in_the_address_twice(client: Client, db: None, bearer) -> None:
    owner = make_user("dels")  # "/api/models/dels/dels" has "dels/dels" twice
    make_repo(owner, "dels")
    assert move(client, bearer(owner, "write"), "dels/dels", "dels/new").status_code == 200
    refs = ".git/info/refs?service=git-upload-pack"

    for path, new in (
        ("/api/models/dels/dels", "/api/models/dels/new"),
        ("/api/models/dels/dels/tree/main/dels/dels", "/api/models/dels/new/tree/main/dels/dels"),
        ("/dels/dels/resolve/main/a?x=dels/dels", "/dels/new/resolve/main/a?x=dels/dels"),
        (f"/dels/dels{refs}", f"/dels/new{refs}"),
        ("/api/resolve-cache/models/dels/dels/main/s", "/api/resolve-cache/models/dels/new/main/s"),
    ):
        assert client.get(path).headers.get("Location") == new, path


def test_deleting_what_is_not_there_or_not_yours(
    client: Client, repo: ModelRepo, write: dict, bob: User, bearer
) -> None:
    def delete(headers: dict, **body):
        return client.delete("/api/repos/delete", body, content_type=JSON, headers=headers)

    answers = [
        delete(write, name="none"),
        delete(write, name="tiny", organization="bob"),
        delete(bearer(bob), name="tiny", organization="alice"),
        delete({}, name="tiny", organization="alice"),
        delete(write),
        delete(write, name="tiny", type="dataset"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 403, 401, 400, 400]
    assert answers[0]["X-Error-Code"] == "RepoNotFound"
    assert answers[0]["X-Request-Id"]
    assert ModelRepo.objects.get() == repo


def test_a_duplicate_has_the_files_and_not_the_history(
    client: Client, alice: User, bob: User, repo: ModelRepo, bearer
) -> None:
    add_files(alice, repo, {"README.md": b"---\nlicense: mit\n---\n", "sub/w.safetensors": WEIGHTS})
    as_bob = bearer(bob)

    answer = post(client, f"{BASE}/duplicate", {"repository": "bob/copy"}, as_bob)

    assert answer.json()["url"] == "http://testserver/bob/copy"
    assert answer.json()["filesCopyPending"] is False
    titles = [item["title"] for item in client.get("/api/models/bob/copy/commits/main").json()]
    assert titles == ["Duplicate from alice/tiny", "initial commit"]
    ours = client.get(f"{BASE}/tree/main?recursive=true").json()
    assert client.get("/api/models/bob/copy/tree/main?recursive=true").json() == ours
    assert b"".join(client.get("/bob/copy/resolve/main/sub/w.safetensors")) == WEIGHTS
    info = client.get("/api/models/bob/copy?securityStatus=true").json()
    assert info["safetensors"]["total"] == 4096
    assert info["securityRepoStatus"] == {"scansDone": True, "filesWithIssues": []}
    assert LfsObject.objects.count() == 1
    copy = ModelRepo.objects.get(name="copy")
    assert RepoLfsObject.objects.get(repo=copy).charged_to == Namespace.objects.get(name="bob")
    assert usage_of(Namespace.objects.get(name="bob")).used_bytes == copy.git_bytes + len(WEIGHTS)


def test_duplicates_keep_secrets_and_gates(
    client: Client, alice: User, write: dict, bob: User, bearer
) -> None:
    make_repo(alice, "hidden", is_private=True)
    gated = make_repo(alice, "gated")
    ModelRepo.objects.filter(pk=gated.pk).update(gate="manual")

    secret = post(client, "/api/models/alice/hidden/duplicate", {"repository": "alice/h2"}, write)
    shown = post(
        client,
        "/api/models/alice/hidden/duplicate",
        {"repository": "alice/h3", "visibility": "public"},
        write,
    )
    gate = post(client, "/api/models/alice/gated/duplicate", {"repository": "alice/g2"}, write)

    assert [answer.status_code for answer in (secret, shown, gate)] == [200, 200, 200]
    assert ModelRepo.objects.get(name="h2").is_private
    assert not ModelRepo.objects.get(name="h3").is_private
    assert ModelRepo.objects.get(name="g2").gate == "manual"


@pytest.mark.parametrize(
    ("source", "body", "status", "words"),
    [
        ("alice/tiny", {}, 400, "repository"),
        ("alice/tiny", {"repository": "bob/his"}, 409, "already created"),
        ("alice/tiny", {"repository": "alice/x"}, 403, "publish"),
        ("alice/tiny", {"repository": "bob/a--b"}, 400, ""),
        ("alice/none", {"repository": "bob/x"}, 404, "Not Found"),
        ("alice/hidden", {"repository": "bob/x"}, 404, "Not Found"),
        ("alice/down", {"repository": "bob/x"}, 403, "disabled"),
        ("alice/bad", {"repository": "bob/x"}, 403, "is not served"),
        ("alice/big", {"repository": "bob/x"}, 403, "uses"),
    ],
)
def test_refused_duplicates_do_not_exist(
    client: Client,
    alice: User,
    bob: User,
    repo: ModelRepo,
    bearer,
    source: str,
    body: dict,
    status: int,
    words: str,
) -> None:
    make_repo(bob, "his")
    make_repo(alice, "hidden", is_private=True)
    ModelRepo.objects.filter(pk=make_repo(alice, "down").pk).update(disabled_reason="stolen")
    bad = make_repo(alice, "bad", files={"x.txt": b"x"})
    FileScan.objects.filter(repo=bad, path="x.txt").update(verdict="unsafe", reason="Bad")
    add_files(alice, make_repo(alice, "big"), {"w.bin": bytes(200_000)})
    Namespace.objects.filter(name="bob").update(storage_quota_bytes=100_000)
    before = (ModelRepo.objects.count(), RepoLfsObject.objects.count(), Commit.objects.count())

    answer = post(client, f"/api/models/{source}/duplicate", body, bearer(bob))

    assert answer.status_code == status
    assert words in answer.json()["error"]
    if status == 409:
        assert answer.json()["url"] == "http://testserver/bob/his"
    after = (ModelRepo.objects.count(), RepoLfsObject.objects.count(), Commit.objects.count())
    assert after == before


def test_a_large_duplicate_fills_by_itself(
    client: Client, alice: User, bob: User, repo: ModelRepo, bearer, run_jobs, monkeypatch
) -> None:
    monkeypatch.setattr(copying, "FILES_AT_ONCE", 1)
    add_files(alice, repo, {"a.txt": b"a", "w.safetensors": WEIGHTS})

    answer = post(client, f"{BASE}/duplicate", {"repository": "bob/copy"}, bearer(bob))
    waiting = client.get("/api/models/bob/copy/tree/main").json()
    jobs = run_jobs()

    assert answer.json()["filesCopyPending"] is True
    assert [line["path"] for line in waiting] == [".gitattributes"]
    [job] = [job for job in jobs if job.name == "licensing.duplicate_repo"]
    assert (job.state, job.result) == (Job.State.DONE, {"files": 3})
    assert b"".join(client.get("/bob/copy/resolve/main/w.safetensors")) == WEIGHTS
    args = job.args
    assert copying.finish_duplicate(**args) == 3  # a second delivery adds nothing
    assert len(client.get("/api/models/bob/copy/commits/main").json()) == 2


def test_a_large_duplicate_stops_when_rights_are_gone(
    client: Client, alice: User, bob: User, repo: ModelRepo, bearer, monkeypatch
) -> None:
    monkeypatch.setattr(copying, "FILES_AT_ONCE", 0)
    post(client, f"{BASE}/duplicate", {"repository": "bob/copy"}, bearer(bob))
    args = Job.objects.get(name="licensing.duplicate_repo").args

    ModelRepo.objects.filter(pk=repo.pk).update(is_private=True)

    assert copying.finish_duplicate(**args) == 0
    ModelRepo.objects.filter(pk=args["target_id"]).delete()
    assert copying.finish_duplicate(**args) == 0


def test_large_files_are_shared_between_repositories_one_may_use(
    client: Client, alice: User, bob: User, repo: ModelRepo, bearer
) -> None:
    add_files(alice, repo, {"w.safetensors": WEIGHTS})
    make_repo(bob, "his")
    as_bob = bearer(bob)
    body = {
        "target": {"type": "model", "name": "bob/his"},
        "files": [{"xetHash": "0" * 64, "sha256": SHA, "filename": "w.safetensors"}],
    }

    shared = post(client, f"{BASE}/lfs-files/duplicate", body, as_bob)
    named = commit(
        client,
        as_bob,
        ("lfsFile", {"path": "copy.safetensors", "algo": "sha256", "oid": SHA}),
        base="/api/models/bob/his",
    )

    assert (shared.status_code, shared.json()) == (200, {"failed": []})
    assert named.status_code == 200
    assert b"".join(client.get("/bob/his/resolve/main/copy.safetensors")) == WEIGHTS


def test_a_hash_is_shared_by_nobody_who_may_not_read_it(
    client: Client, alice: User, bob: User, bearer
) -> None:
    hidden = make_repo(alice, "hidden", is_private=True)
    add_files(alice, hidden, {"w.safetensors": WEIGHTS})
    blocked = make_repo(alice, "blocked")
    add_files(alice, blocked, {"w.safetensors": WEIGHTS})
    FileScan.objects.filter(repo=blocked, path="w.safetensors").update(verdict="pending")
    make_repo(alice, "open")
    his = make_repo(bob, "his")
    as_bob = bearer(bob)

    def share(source: str, target: str = "bob/his", headers: dict = as_bob, sha256: str = SHA):
        body = {"target": {"name": target}, "files": [{"sha256": sha256, "filename": "w"}]}
        return post(client, f"/api/models/{source}/lfs-files/duplicate", body, headers)

    before = state(his)
    foreign, absent = share("alice/open"), share("alice/open", sha256="0" * 64)

    assert share("alice/hidden").status_code == 404
    assert foreign.status_code == 200
    assert foreign.json()["failed"][0]["error"] == absent.json()["failed"][0]["error"]
    assert "being checked" in share("alice/blocked").json()["failed"][0]["error"]
    assert share("alice/open", "alice/hidden").status_code == 404
    assert share("alice/blocked", headers={}).status_code == 401
    assert state(his) == before


def test_sharing_checks_its_body_and_the_room(
    client: Client, alice: User, bob: User, repo: ModelRepo, bearer
) -> None:
    add_files(alice, repo, {"w.safetensors": WEIGHTS})
    his = make_repo(bob, "his")
    Namespace.objects.filter(name="bob").update(storage_quota_bytes=100)
    before, url = state(his), f"{BASE}/lfs-files/duplicate"
    target = {"type": "model", "name": "bob/his"}
    good = {"sha256": SHA, "filename": "w"}

    full = post(client, url, {"target": target, "files": [good]}, bearer(bob))
    wrong = [
        post(client, url, body, bearer(bob)).status_code
        for body in (
            {},
            {"target": target},
            {"target": "bob/his", "files": [good]},
            {"target": {"name": "bob/his", "type": "space"}, "files": [good]},
            {"target": target, "files": [3]},
            {"target": target, "files": [{"sha256": "x"}]},
            {"target": target, "files": [good] * 501},
        )
    ]
    reader = post(client, url, {"target": target, "files": [good]}, bearer(bob, "read"))

    assert "uses" in full.json()["failed"][0]["error"]
    assert wrong == [400] * 7
    assert reader.status_code == 403
    assert state(his) == before


def test_an_old_target_id_means_the_present_one(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    add_files(alice, repo, {"w.safetensors": WEIGHTS})
    target = make_repo(alice, "before")
    move(client, write, "alice/before", "alice/after")

    body = {"target": {"name": "alice/before"}, "files": [{"sha256": SHA}]}
    answer = post(client, f"{BASE}/lfs-files/duplicate", body, write)

    assert answer.json() == {"failed": []}
    assert owned_size(target, SHA) == len(WEIGHTS)


def test_what_ones_repositories_take(
    client: Client, alice: User, bob: User, repo: ModelRepo, write: dict, bearer
) -> None:
    add_files(alice, repo, {"w.safetensors": WEIGHTS})
    make_repo(alice, "hidden", is_private=True)
    make_org("acme", alice="read")
    Namespace.objects.filter(name="alice").update(storage_quota_bytes=10 * len(WEIGHTS))

    first = client.get("/api/settings/repositories?limit=1", headers=write)
    rest = client.get(first["Link"].split("testserver")[1].split(">")[0], headers=write)

    [mine] = first.json()
    repo.refresh_from_db()
    assert mine["id"] == "alice/tiny"
    assert mine["type"] == "model"
    assert mine["visibility"] == "public"
    assert mine["storage"] == repo.git_bytes + len(WEIGHTS)
    assert 10 < mine["storagePercent"] < 20
    assert [row["visibility"] for row in rest.json()] == ["private"]
    org = "/api/organizations/acme/settings/repositories"
    assert client.get(org, headers=write).json() == []
    assert client.get(org, headers=bearer(bob)).status_code == 403
    assert client.get(org).status_code == 401
    assert client.get("/api/settings/repositories").status_code == 401
    unknown = client.get("/api/organizations/nobody/settings/repositories", headers=write)
    assert unknown.status_code == 404


def test_uploading_after_a_rename_reaches_the_model(
    client: Client, alice: User, repo: ModelRepo, write: dict
) -> None:
    move(client, write, "alice/tiny", "alice/moved")

    item = upload(client, write, WEIGHTS, "alice/moved")
    put(client, item["actions"]["upload"]["href"], WEIGHTS)

    assert owned_size(ModelRepo.objects.get(pk=repo.pk), SHA) == len(WEIGHTS)
    assert heads(repo)
    assert Viewer(user=alice).can_write(repo.namespace_id)
