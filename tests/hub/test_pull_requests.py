"""Pull requests over the wire: proposing, who may, merging, and what a stranger cannot do by it."""

import hashlib
import re

import pytest
from django.test import Client

from accounts.models import Namespace, User
from accounts.services.tokens import authenticate
from accounts.viewer import VISITOR, Viewer
from catalog.content.quotas import usage_of
from catalog.history.refs import create_branch
from catalog.models import (
    Commit,
    Discussion,
    FileLock,
    FileScan,
    GitObject,
    Listing,
    ModelRepo,
    Ref,
    RepoEvent,
    RepoLfsObject,
)
from catalog.services import pulls
from catalog.services.publishing import AddFile, publish
from catalog.services.revisions import check_write_revision
from store.core.errors import StoreError
from tests.catalog.formats.files import seconds
from tests.factories import add_files, make_org, make_repo, make_user, proved_viewer, safetensors
from tests.hub.talk import BASE, JSON, commit, details, opened, post, proposed, put
from tests.hub.test_protocol import put as send
from tests.hub.test_protocol import upload

PICKLE = b"cposix\nsystem\n(S'true'\ntR."
WEIGHTS = safetensors()


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    made = make_repo(alice)
    add_files(alice, made, {"README.md": b"---\nlicense: mit\n---\n# Tiny\n", "a/b.txt": b"b\n"})
    return made


@pytest.fixture
def write(alice: User, bearer) -> dict:
    return bearer(alice, "write")


@pytest.fixture
def stranger(bob: User, bearer) -> dict:
    return bearer(bob, "write")


def heads(repo: ModelRepo) -> dict[str, str]:
    return dict(Ref.objects.filter(repo=repo).values_list("name", "oid"))


def state(repo: ModelRepo) -> list:
    """Everything a refused call could have changed."""
    return [
        heads(repo),
        Commit.objects.count(),
        GitObject.objects.count(),
        list(Discussion.objects.order_by("id").values()),
        RepoEvent.objects.count(),
        list(FileScan.objects.order_by("id").values_list("path", "verdict", "is_proposed")),
        list(ModelRepo.objects.values()),
        list(Listing.objects.values()),
        list(RepoLfsObject.objects.values_list("lfs_object_id", "charged_to_id")),
    ]


def used(name: str) -> int:
    return usage_of(Namespace.objects.get(name=name)).used_bytes


def large(client: Client, headers: dict, data: bytes, path: str) -> tuple[str, dict]:
    """Send a large file; return the line that commits it."""
    item = upload(client, headers, data)
    if "actions" in item:
        assert send(client, item["actions"]["upload"]["href"], data).status_code == 200
    oid = hashlib.sha256(data).hexdigest()
    return "lfsFile", {"path": path, "algo": "sha256", "oid": oid, "size": len(data)}


def read(client: Client, revision: str, path: str, headers: dict | None = None):
    return whole(client.get(f"/alice/tiny/resolve/{revision}/{path}", headers=headers or {}))


def whole(answer):
    """The answer, read to its end."""
    if answer.streaming:
        assert b"".join(answer)
    return answer


def test_a_draft_takes_commits_and_is_published(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    main = heads(repo)["refs/heads/main"]
    number = opened(client, stranger, pull=True, title="Say more")
    draft = details(client, number)
    same = client.get(f"{BASE}/commits/refs%2Fpr%2F1").json()
    committed = commit(client, stranger, put("more.txt", "more\n"), to="refs/pr/1")
    published = post(client, "/1/status", stranger, status="open").json()["newStatus"]

    assert (draft["status"], draft["isPullRequest"]) == ("draft", True)
    assert draft["changes"] == {"base": "refs/heads/main"}
    assert (draft["filesWithConflicts"], draft["diff"]) == ([], "")
    assert [item["id"] for item in same] == [item["id"] for item in commits(client, "main")]
    oid = committed.json()["commitOid"]
    assert "pullRequestUrl" not in committed.json()
    assert published["data"] == {"status": "open"}
    found = details(client, 1)
    assert [event["type"] for event in found["events"]] == ["comment", "commit", "status-change"]
    assert found["events"][1]["data"] == {"subject": "change", "oid": oid}
    assert found["diff"].startswith("diff --git a/more.txt b/more.txt\n")
    assert "+more\n" in found["diff"]
    assert "diff" not in details(client, 1, query="")
    assert heads(repo) == {"refs/heads/main": main, "refs/pr/1": oid}
    refs = client.get(f"{BASE}/refs?include_prs=1").json()
    assert refs["pullRequests"] == [{"name": "1", "ref": "refs/pr/1", "targetCommit": oid}]
    assert "pullRequests" not in client.get(f"{BASE}/refs").json()
    assert commits(client, "refs/pr/1")[0]["authors"][0]["user"] == "bob"
    assert read(client, "refs/pr/1", "more.txt").content == b"more\n"


def commits(client: Client, revision: str) -> list[dict]:
    return client.get(f"{BASE}/commits/{revision.replace('/', '%2F')}").json()


def test_create_pr_opens_one_from_any_branch(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    create_branch(repo, "dev")
    add_dev = commit(client, write, put("dev.txt"), to="dev").json()["commitOid"]
    before = heads(repo)

    answer = commit(
        client,
        stranger,
        put("new.txt"),
        to="dev?create_pr=1",
        summary="Add it",
        description="Because.",
        parentCommit=add_dev[:7],
    )

    body = answer.json()
    assert body["pullRequestUrl"] == "http://testserver/alice/tiny/discussions/1"
    assert body["commitUrl"] == f"http://testserver/alice/tiny/commit/{body['commitOid']}"
    assert heads(repo) == before | {"refs/pr/1": body["commitOid"]}
    found = details(client, 1)
    assert (found["title"], found["status"]) == ("Add it", "open")
    assert found["changes"] == {"base": "refs/heads/dev"}
    assert found["events"][0]["data"]["latest"]["raw"] == "Because."
    merged = post(client, "/1/merge", write)
    assert merged.status_code == 200
    assert heads(repo)["refs/heads/main"] == before["refs/heads/main"]
    assert read(client, "dev", "new.txt").status_code == 200


def test_odd_titles_of_commits_become_titles(
    client: Client, repo: ModelRepo, stranger: dict
) -> None:
    numbers = [
        proposed(client, stranger, put(f"{at}.txt"), summary=summary)
        for at, summary in enumerate(["x", "y" * 900, "tab\there"])
    ]

    titles = [details(client, number)["title"] for number in numbers]
    assert titles == ["Commit: x", "y" * 299 + "…", "tab here"]


def test_a_proposal_that_changes_nothing_is_one_all_the_same(
    client: Client, repo: ModelRepo, stranger: dict
) -> None:
    number = proposed(client, stranger, put("a/b.txt", "b\n"))

    assert details(client, number)["diff"] == ""
    assert heads(repo)["refs/pr/1"] == heads(repo)["refs/heads/main"]


def test_preupload_for_a_proposal(client: Client, repo: ModelRepo, stranger: dict) -> None:
    files = {"files": [{"path": "a/b.txt", "sample": "", "size": 2}]}

    def ask(revision: str):
        url = f"{BASE}/preupload/{revision}"
        return client.post(url, files, content_type=JSON, headers=stranger)

    assert ask("main").status_code == 403
    assert ask("main?create_pr=1").json()["files"][0]["uploadMode"] == "regular"
    head = heads(repo)["refs/heads/main"]
    for wrong in (head, "nope", "refs%2Fpr%2F1"):
        answer = ask(f"{wrong}?create_pr=1")
        assert (answer.status_code, answer["X-Error-Code"]) == (404, "RevisionNotFound")
    opened(client, stranger, pull=True)
    assert ask("refs/pr/1").json()["files"][0]["oid"]


def test_rules_a_stranger_sends_cost_little(
    client: Client, repo: ModelRepo, stranger: dict
) -> None:
    """Whoever may read a model may ask, and says by which rules."""
    files = [{"path": "/".join(["a" * 14] * 64)}, {"path": "a" * 250}]
    rules = {
        "gitAttributes": "**/" * 600 + "b filter=lfs\n" + "*a" * 1000 + "b filter=lfs\n",
        "gitIgnore": "*a" * 1000 + "b\n" + "/**/*a" * 300 + "b\n",
    }
    answers = []

    def ask() -> None:
        url = f"{BASE}/preupload/main?create_pr=1"
        body = {"files": files} | rules
        answers.append(client.post(url, body, content_type=JSON, headers=stranger))

    assert seconds(ask, runs=2) < 0.5
    for item in answers[0].json()["files"]:
        assert (item["uploadMode"], item["shouldIgnore"]) == ("regular", False)


def test_who_may_write_to_which_revision(
    client: Client, repo: ModelRepo, alice: User, bob: User, stranger: dict, staff: User, token_for
) -> None:
    opened(client, stranger, pull=True)
    mine, author, other = Viewer(user=alice), Viewer(user=bob), proved_viewer(staff)
    reading = authenticate(token_for(bob, "read"))
    table = [
        (mine, "main", False, True),
        (author, "main", False, False),
        (author, "main", True, True),
        (author, "None", True, True),
        (reading, "None", True, False),
        (VISITOR, "None", True, False),
        (VISITOR, "refs/pr/1", False, False),
        (author, "refs/pr/1", False, True),
        (reading, "refs/pr/1", False, False),
        (mine, "refs/pr/1", False, True),
        (other, "refs/pr/1", False, False),
        (mine, "refs/pr/2", False, False),
        (author, "refs/pr/1/x", False, False),
    ]

    for viewer, revision, create_pr, allowed in table:
        try:
            check_write_revision(viewer, repo, revision, create_pr=create_pr)
        except StoreError:
            assert not allowed, (viewer, revision, create_pr)
        else:
            assert allowed, (viewer, revision, create_pr)


def test_refused_proposals_change_nothing(
    client: Client, repo: ModelRepo, alice: User, bob: User, write: dict, stranger: dict, bearer
) -> None:
    number = opened(client, stranger, pull=True)
    closed = opened(client, stranger, pull=True)
    post(client, f"/{closed}/status", stranger, status="closed")
    opened(client, stranger)
    make_org("crowd", bob="admin")
    head = heads(repo)["refs/heads/main"]
    eve = bearer(make_user("eve"), "write")
    before = state(repo)
    line = put("x.txt")
    refused = [
        (stranger, "main", {}, 403),
        ({}, "main?create_pr=1", {}, 401),
        (bearer(bob, "read"), "main?create_pr=1", {}, 403),
        (stranger, f"{head}?create_pr=1", {}, 404),
        (stranger, "nope?create_pr=1", {}, 404),
        (stranger, "refs%2Fpr%2F1?create_pr=1", {}, 404),
        (stranger, "main?create_pr=1", {"parentCommit": "abcdef0"}, 412),
        (stranger, "main?create_pr=1", {"summary": " "}, 400),
        (eve, f"refs/pr/{number}", {}, 403),
        (stranger, f"refs/pr/{closed}", {}, 403),
        (write, f"refs/pr/{closed}", {}, 403),
        (stranger, "refs/pr/3", {}, 404),
        (stranger, "refs/pr/77", {}, 404),
        (write, "refs/pr/77", {}, 404),
    ]

    for headers, to, header, status in refused:
        revision, _, query = to.partition("?")
        answer = commit(
            client,
            headers,
            line,
            to=revision.replace("%2F", "/") + (f"?{query}" if query else ""),
            **header,
        )
        assert (to, answer.status_code) == (to, status), answer.content
    bad = commit(client, stranger, ("file", {"path": "../x", "content": ""}), to="main?create_pr=1")
    unknown = ("lfsFile", {"path": "w.bin", "oid": "1" * 64, "algo": "sha256"})
    foreign = commit(client, stranger, unknown, to="main?create_pr=1")

    assert (bad.status_code, foreign.status_code) == (422, 422)
    assert state(repo) == before


def test_too_many_open_pull_requests(
    client: Client, repo: ModelRepo, stranger: dict, write: dict, monkeypatch
) -> None:
    monkeypatch.setattr(pulls, "MAX_OPEN", 1)
    opened(client, stranger, pull=True)
    before = state(repo)

    drafted = post(client, "", stranger, title="Hello", pullRequest=True)
    sent = commit(client, stranger, put("x"), to="main?create_pr=1")

    for answer in (drafted, sent):
        assert (answer.status_code, answer.json()["code"]) == (403, "too_many_pull_requests")
    assert state(repo) == before
    post(client, "/1/status", stranger, status="closed")
    assert opened(client, stranger, pull=True) == 2
    assert [opened(client, write, pull=True) for _ in range(2)] == [3, 4]


def test_merging_when_the_branch_stood_still(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    base = heads(repo)["refs/heads/main"]
    number = proposed(client, stranger, put("a/b.txt", "B\n"), summary="Shout")
    proposal = heads(repo)["refs/pr/1"]

    answer = post(client, f"/{number}/merge", write, comment="Thanks")

    merged = heads(repo)["refs/heads/main"]
    assert answer.json()["mergeCommitId"] == merged
    found = details(client, number)
    assert (found["status"], found["changes"]["mergeCommitId"]) == ("merged", merged)
    assert [event["type"] for event in found["events"]] == [
        "comment",
        "commit",
        "comment",
        "status-change",
    ]
    assert found["events"][3]["data"] == {"status": "merged"}
    assert "+B" in found["diff"]
    row = Commit.objects.get(repo=repo, oid=merged)
    assert (row.title, row.author, row.parent_oid) == ("Shout (#1)", "alice", base)
    assert "Co-authored-by: bob <bob@users.noreply>" in row.message
    assert proposal in row.message
    raw = bytes(GitObject.objects.get(repo=repo, oid=merged).data)
    assert re.findall(rb"parent ([0-9a-f]{40})", raw) == [base.encode(), proposal.encode()]
    assert read(client, "main", "a/b.txt").content == b"B\n"
    assert Listing.objects.get().head_oid == merged
    before = state(repo)
    for path, body in (("merge", {}), ("status", {"status": "open"})):
        assert post(client, f"/{number}/{path}", write, **body).status_code == 409
    assert commit(client, stranger, put("z"), to="refs/pr/1").status_code == 403
    assert state(repo) == before


def test_merging_when_the_branch_moved(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    lines = [put("new/deep.txt", "new\n"), ("deletedFile", {"path": "a/b.txt"}), put("same.txt")]
    number = proposed(client, stranger, *lines)
    commit(client, write, put("other.txt", "other\n"), put("same.txt"), to="main")

    found = details(client, number)
    answer = post(client, f"/{number}/merge", write)

    assert found["filesWithConflicts"] == []
    assert answer.status_code == 200
    tree = client.get(f"{BASE}/tree/main?recursive=true").json()
    assert {item["path"] for item in tree if item["type"] == "file"} == {
        ".gitattributes",
        "README.md",
        "new/deep.txt",
        "other.txt",
        "same.txt",
    }


@pytest.mark.parametrize(
    ("theirs", "ours", "path"),
    [
        ([put("a/b.txt", "1\n")], [put("a/b.txt", "2\n")], "a/b.txt"),
        ([put("a/b.txt", "1\n")], [("deletedFile", {"path": "a/b.txt"})], "a/b.txt"),
        ([("deletedFolder", {"path": "a/"})], [put("a/b.txt", "2\n")], "a/b.txt"),
        ([put("n.txt", "1\n")], [put("n.txt", "2\n")], "n.txt"),
        ([put("n", "1\n")], [put("n/inside", "2\n")], "n"),
        ([put("n/inside", "1\n")], [put("n", "2\n")], "n/inside"),
    ],
)
def test_conflicts_are_named_and_refused(
    client: Client, repo: ModelRepo, write: dict, stranger: dict, theirs, ours, path: str
) -> None:
    number = proposed(client, stranger, *theirs, put("fine.txt"))
    assert commit(client, write, *ours, to="main").status_code == 200
    before = state(repo)

    answer = post(client, f"/{number}/merge", write, comment="Now")

    assert (answer.status_code, answer.json()["code"]) == (409, "merge_conflict")
    assert answer.json()["extra"] == {"files": [path]}
    assert details(client, number)["filesWithConflicts"] == [path]
    assert state(repo) == before


def test_a_folder_may_become_a_file(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    lines = [("deletedFolder", {"path": "a/"}), put("a", "now a file\n")]
    number = proposed(client, stranger, *lines)
    commit(client, write, put("other.txt"), to="main")

    assert details(client, number)["filesWithConflicts"] == []
    assert post(client, f"/{number}/merge", write).status_code == 200
    assert read(client, "main", "a").content == b"now a file\n"


def test_drafts_closed_ones_and_orphans_are_not_merged(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    create_branch(repo, "dev")
    opened(client, stranger, pull=True)
    proposed(client, stranger, put("x.txt"))
    post(client, "/2/status", stranger, status="closed")
    commit(client, stranger, put("y.txt"), to="dev?create_pr=1")
    assert client.delete(f"{BASE}/branch/dev", headers=write).status_code == 200
    before = state(repo)

    answers = [post(client, f"/{number}/merge", write) for number in (1, 2, 3)]
    strangers = post(client, "/2/merge", stranger)

    codes = [(answer.status_code, answer.json()["code"]) for answer in answers]
    assert codes == [(409, "not_open"), (409, "not_open"), (409, "base_gone")]
    assert strangers.status_code == 403
    assert details(client, 3)["filesWithConflicts"] is True
    assert state(repo) == before


def test_an_empty_draft_can_be_merged(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    base = heads(repo)["refs/heads/main"]
    number = opened(client, stranger, pull=True, title="Nothing yet")
    post(client, f"/{number}/status", stranger, status="open")

    assert post(client, f"/{number}/merge", write).status_code == 200

    row = Commit.objects.get(oid=heads(repo)["refs/heads/main"])
    assert (row.title, row.parent_oid, row.message) == ("Nothing yet (#1)", base, "")
    assert details(client, number)["changes"]["mergeCommitId"] == row.oid


def test_a_proposal_is_no_part_of_the_listing(
    client: Client, repo: ModelRepo, alice: User, stranger: dict, write: dict, run_jobs
) -> None:
    add_files(alice, repo, {"model.safetensors": WEIGHTS})
    names = [
        "updated_at", "head_oid", "verdict", "total_bytes", "file_count", "tags", "licenses"
    ]  # fmt: skip
    before = (Listing.objects.values(*names).get(), ModelRepo.objects.values().get())

    number = proposed(
        client,
        stranger,
        put("README.md", "---\nlicense: gpl\n---\n# Mine\n"),
        large(client, stranger, PICKLE, "evil.pkl"),
        ("deletedFile", {"path": "model.safetensors"}),
    )
    FileScan.objects.filter(path="evil.pkl").update(verdict="pending")
    from catalog.services.scanning import scan_commit

    scan_commit(repo.pk, heads(repo)["refs/pr/1"])
    run_jobs()

    after = (Listing.objects.values(*names).get(), ModelRepo.objects.values().get())
    assert after == before
    page = client.get("/alice/tiny", headers={"Accept": "text/html"}).content.decode()
    assert "evil.pkl" not in page
    assert client.get(f"{BASE}").json()["sha"] == before[0]["head_oid"]
    sha256 = hashlib.sha256(PICKLE).hexdigest()
    found = client.get(f"/api/v1/models/by-hash/{sha256}").json()
    assert found["results"] == []
    assert FileScan.objects.get(path="evil.pkl").verdict == "unsafe"
    assert post(client, f"/{number}/merge", write).status_code == 200
    assert FileScan.objects.get(path="evil.pkl").is_proposed is False
    assert Listing.objects.get().verdict == "unsafe"


def test_unsafe_proposals_are_for_their_author_and_the_writers(
    client: Client, repo: ModelRepo, alice: User, bob: User, stranger: dict, write: dict, bearer
) -> None:
    carol = bearer(make_user("carol"), "write")
    evil = large(client, stranger, PICKLE, "evil.pkl")
    proposed(client, stranger, evil, put("config.json", '{"a": 1, "a": 2}'))
    oid = heads(repo)["refs/pr/1"]
    assert FileScan.objects.get(path="evil.pkl").verdict == "unsafe"
    FileScan.objects.filter(path="config.json").update(verdict="unsafe")

    for path in ("evil.pkl", "config.json"):
        for revision in ("refs/pr/1", oid):
            for headers in (stranger, write):
                assert read(client, revision, path, headers).status_code == 200
            for headers in ({}, carol):
                answer = read(client, revision, path, headers)
                assert (answer.status_code, answer.json()["code"]) == (403, "file_blocked")
                raw = client.get(f"/alice/tiny/raw/{revision}/{path}", headers=headers)
                assert raw.status_code == 403
    assert '"a"' in details(client, 1, stranger)["diff"]
    assert '"a"' in details(client, 1, write)["diff"]
    assert '"a"' not in details(client, 1, carol)["diff"]
    assert "config.json" in details(client, 1)["diff"]
    for headers, is_shown in (({}, False), (stranger, True)):
        page = client.get(
            f"/alice/tiny/blob/{oid}/config.json", headers=headers | {"Accept": "text/html"}
        ).content.decode()
        assert ("not found harmless" not in page) is is_shown
    html = {"Accept": "text/html"}
    for path in (f"commit/{oid}", "compare?from=main&to=refs/pr/1", "compare?from=refs/pr/1"):
        for headers, is_shown in (({}, False), (carol, False), (stranger, True), (write, True)):
            page = client.get(f"/alice/tiny/{path}", headers=headers | html).content.decode()
            assert ("&quot;a&quot;: 1" in page) is is_shown, (path, is_shown)
            assert "config.json" in page
    names = client.get(f"/alice/tiny/archive/{oid}.zip", headers=carol)
    assert b"NOT-INCLUDED.txt" in b"".join(names)
    theirs = client.get(f"/alice/tiny/archive/{oid}.zip", headers=stranger)
    assert b"NOT-INCLUDED.txt" not in b"".join(theirs)


def test_a_proposal_opens_nothing_that_is_closed(
    client: Client, repo: ModelRepo, alice: User, bob: User, stranger: dict
) -> None:
    """Neither by its own ref, nor by naming an unsafe file of a branch anew."""
    add_files(alice, repo, {"theirs.pkl": PICKLE})
    sha256 = hashlib.sha256(PICKLE).hexdigest()
    opened(client, stranger, pull=True)
    copy = ("lfsFile", {"path": "copy.pkl", "algo": "sha256", "oid": sha256})

    commit(client, stranger, copy, to="refs/pr/1")

    assert read(client, "refs/pr/1", "theirs.pkl", stranger).status_code == 403
    assert read(client, "refs/pr/1", "copy.pkl", stranger).status_code == 403
    assert read(client, heads(repo)["refs/pr/1"], "copy.pkl", stranger).status_code == 403


def test_a_proposal_blocks_nothing_that_is_open(
    client: Client, repo: ModelRepo, alice: User, stranger: dict
) -> None:
    """The same bytes under a name that lies must not spoil the file of the branch."""
    add_files(alice, repo, {"model.safetensors": WEIGHTS})
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    copy = ("lfsFile", {"path": "program.pkl", "algo": "sha256", "oid": sha256})
    delete = ("deletedFile", {"path": "model.safetensors"})
    proposed(client, stranger, copy, delete)
    FileScan.objects.filter(path="model.safetensors").update(scanner_version="older")
    FileScan.objects.filter(path="program.pkl").update(verdict="unsafe")
    back = ("lfsFile", {"path": "model.safetensors", "algo": "sha256", "oid": sha256})

    assert commit(client, stranger, back, to="refs/pr/1").status_code == 200

    assert FileScan.objects.get(path="model.safetensors").scanner_version == "older"
    lfs = whole(client.get(f"/alice/tiny.git/info/lfs/objects/{sha256}"))
    assert lfs.status_code == 200


def test_knowing_a_hash_on_its_way_in_is_not_having_it(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    line = large(client, write, WEIGHTS, "secret.safetensors")  # sent, not committed
    before = state(repo)

    asked = upload(client, stranger, WEIGHTS)
    taken = commit(client, stranger, line, to="main?create_pr=1")

    assert "actions" in asked  # as if nobody had it
    assert (taken.status_code, taken.json()["code"]) == (422, "lfs_object_missing")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{line[1]['oid']}\nsize 1\n"
    assert commit(client, stranger, put("p", pointer), to="main?create_pr=1").status_code == 422
    assert state(repo) == before
    proposed(client, stranger, large(client, stranger, WEIGHTS, "mine.safetensors"))
    assert commit(client, write, line, to="main").status_code == 200


def test_the_author_pays_until_it_is_merged(
    client: Client, repo: ModelRepo, stranger: dict, write: dict
) -> None:
    alices = used("alice")
    number = proposed(
        client,
        stranger,
        put("n.txt", "n" * 5000),
        large(client, stranger, WEIGHTS, "w.safetensors"),
    )
    bobs = used("bob")

    assert used("alice") == alices
    assert bobs > 5000 + len(WEIGHTS)
    Namespace.objects.filter(name="alice").update(storage_quota_bytes=alices + 6000)
    before = state(repo)
    refused = post(client, f"/{number}/merge", write)
    assert (refused.status_code, refused.json()["code"]) == (403, "storage_quota")
    assert state(repo) == before

    Namespace.objects.filter(name="alice").update(storage_quota_bytes=None)
    assert post(client, f"/{number}/merge", write).status_code == 200
    assert used("bob") == 0
    assert used("alice") >= alices + bobs


def test_owners_do_not_fill_the_room_of_authors(
    client: Client, repo: ModelRepo, stranger: dict, write: dict
) -> None:
    proposed(client, stranger, put("x.txt"))
    before = (used("alice"), used("bob"))

    commit(client, write, put("y.txt", "y" * 5000), to="refs/pr/1")

    assert used("bob") == before[1]
    assert used("alice") > before[0] + 5000


def test_former_members_pay_for_themselves(client: Client, alice: User, bob: User, bearer) -> None:
    from accounts.services.people import set_member

    team = make_org("acme", alice="admin", bob="write")
    made = make_repo(alice, "shared", namespace="acme")
    pull = pulls.open_pull_request(Viewer(user=bob), made, title="Mine", text="")
    assert pull.charged_to is None
    set_member(team, bob, None, actor=alice)
    before = used("acme")

    publish(
        Viewer(user=bob),
        made,
        revision="refs/pr/1",
        operations=[AddFile("x.txt", b"x" * 5000)],
        title="Late",
    )

    assert (used("acme"), used("bob") > 5000) == (before, True)


def test_where_discussions_are_off_proposals_rest(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    opened(client, stranger, pull=True)
    switch = {"discussionsDisabled": True}
    client.put(f"{BASE}/settings", switch, content_type=JSON, headers=write)
    before = state(repo)

    for to in ("refs/pr/1", "main?create_pr=1"):
        assert commit(client, stranger, put("x"), to=to).status_code == 403
    assert post(client, "/1/merge", write).status_code == 403
    assert state(repo) == before


def test_a_full_author_proposes_nothing(
    client: Client, repo: ModelRepo, bob: User, stranger: dict
) -> None:
    Namespace.objects.filter(name="bob").update(storage_quota_bytes=1000)
    before = state(repo)

    answer = commit(client, stranger, put("n.txt", "n" * 5000), to="main?create_pr=1")

    assert (answer.status_code, answer.json()["code"]) == (403, "storage_quota")
    assert state(repo) == before


def test_private_models_take_proposals_of_their_readers_only(
    client: Client, alice: User, bob: User, stranger: dict
) -> None:
    make_repo(alice, "hidden", is_private=True)
    lines = b'{"key": "header", "value": {"summary": "x"}}\n'

    def send_to(name: str, path: str):
        return client.post(
            f"/api/models/alice/{name}/{path}",
            lines,
            content_type="application/x-ndjson",
            headers=stranger,
        )

    for path in ("commit/main?create_pr=1", "preupload/main?create_pr=1", "commit/refs/pr/1"):
        hidden, gone = send_to("hidden", path), send_to("gone", path)
        assert (hidden.status_code, hidden["X-Error-Code"]) == (404, "RepoNotFound")
        assert gone.status_code == 404
        assert hidden.content == gone.content.replace(b"gone", b"hidden")


def test_a_merge_leaves_files_alone_that_others_have_locked(
    client: Client, alice: User, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    number = proposed(client, stranger, put("x.txt"))
    make_user("dan")
    lock = FileLock.objects.create(repo=repo, path="x.txt", owner=User.objects.get(username="dan"))
    before = (heads(repo), RepoEvent.objects.count(), Discussion.objects.get().status)

    refused = post(client, f"/{number}/merge", write, comment="In with it")

    assert (refused.status_code, refused.json()["code"]) == (403, "file_locked")
    assert (heads(repo), RepoEvent.objects.count(), Discussion.objects.get().status) == before
    lock.owner = alice
    lock.save()
    assert post(client, f"/{number}/merge", write).status_code == 200


def test_listeners_hear_of_proposals(
    client: Client, repo: ModelRepo, write: dict, stranger: dict
) -> None:
    base = heads(repo)["refs/heads/main"]
    RepoEvent.objects.all().delete()
    number = proposed(client, stranger, put("x.txt"))
    post(client, f"/{number}/merge", write)

    rows = RepoEvent.objects.exclude(scope="discussion.comment").order_by("id")
    heard = list(rows.values_list("scope", "action", "facts"))

    assert [(scope, action) for scope, action, _ in heard] == [
        ("discussion", "create"),
        ("discussion", "update"),
        ("discussion", "update"),
        ("repo.content", "update"),
    ]
    merged = heads(repo)["refs/heads/main"]
    assert heard[0][2]["base"] == "refs/heads/main"
    assert heard[1][2]["commit"] == heads(repo)["refs/pr/1"]
    assert (heard[2][2]["status"], heard[2][2]["merge_commit"]) == ("merged", merged)
    assert heard[3][2]["updated_refs"] == [{"ref": "refs/heads/main", "old": base, "new": merged}]
