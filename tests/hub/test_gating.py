"""Gated models over the wire (contract 1.6, 3.3, 7.4, 11.7, 14), and every way bytes leave."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import AccessRequest, ModelRepo, Ref, RepoEvent
from catalog.services import access_requests
from inference.models import GenerationRun
from licensing.delivery import counting
from store.core.models import Job
from tests.factories import add_files, make_org, make_repo, make_user, safetensors
from tests.hub.talk import proposed, put
from tests.hub.test_git import said

JSON = "application/json"
BASE = "/api/models/alice/tiny/user-access-request"
MESSAGE = (
    "Access to model alice/tiny is restricted and you are not in the authorized list."
    " Visit http://testserver/alice/tiny to ask for access."
)
WEIGHTS = safetensors(seed=3)
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
SECRET = "do-not-show-me"


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    repo = make_repo(alice, files={"README.md": b"# Tiny\n", "notes.txt": SECRET.encode()})
    add_files(alice, repo, {"model.safetensors": WEIGHTS, "notes.txt": (SECRET + "2").encode()})
    ModelRepo.objects.filter(pk=repo.pk).update(gate="manual")
    repo.refresh_from_db()
    return repo


def head_of(client: Client, headers: dict) -> str:
    sha: str = client.get("/api/models/alice/tiny", headers=headers).json()["sha"]
    return sha


def first_of(client: Client) -> str:
    """Return the id of the oldest commit."""
    sha: str = client.get("/api/models/alice/tiny/commits/main").json()[-1]["id"]
    return sha


def post(client: Client, path: str, body: Any, headers: dict):
    return client.post(f"{BASE}/{path}", json.dumps(body), content_type=JSON, headers=headers)


def state() -> tuple[Any, ...]:
    return (
        list(AccessRequest.objects.order_by("id").values_list("user_id", "status", "reason")),
        RepoEvent.objects.count(),
        Job.objects.count(),
    )


DOORS: dict[str, Callable[[Client, dict], Any]] = {
    "resolve": lambda c, h: c.get("/alice/tiny/resolve/main/notes.txt", headers=h),
    "resolve range": lambda c, h: c.get(
        "/alice/tiny/resolve/main/model.safetensors", headers=h | {"Range": "bytes=0-9"}
    ),
    "resolve head": lambda c, h: c.head("/alice/tiny/resolve/main/model.safetensors", headers=h),
    "resolve by commit": lambda c, h: c.get(
        f"/alice/tiny/resolve/{head_of(c, h)}/notes.txt", headers=h
    ),
    "resolve of nothing": lambda c, h: c.get("/alice/tiny/resolve/main/no.txt", headers=h),
    "raw": lambda c, h: c.get("/alice/tiny/raw/main/notes.txt", headers=h),
    "auth-check": lambda c, h: c.get("/api/models/alice/tiny/auth-check", headers=h),
    "lfs batch": lambda c, h: c.post(
        "/alice/tiny.git/info/lfs/objects/batch",
        {"operation": "download", "objects": [{"oid": SHA256, "size": len(WEIGHTS)}]},
        content_type=JSON,
        headers=h,
    ),
    "lfs object": lambda c, h: c.get(f"/alice/tiny.git/info/lfs/objects/{SHA256}", headers=h),
    "resolve-cache": lambda c, h: c.get(
        "/api/resolve-cache/models/alice/tiny/main/notes.txt", headers=h
    ),
    "xet-read-token": lambda c, h: c.get("/api/models/alice/tiny/xet-read-token/main", headers=h),
    "safetensors-metadata": lambda c, h: c.get(
        "/api/models/alice/tiny/safetensors-metadata/model.safetensors", headers=h
    ),
    "compare raw": lambda c, h: c.get(
        f"/api/models/alice/tiny/compare/{first_of(c)}..main?raw=1", headers=h
    ),
    "duplicate": lambda c, h: c.post(
        "/api/models/alice/tiny/duplicate",
        {"repository": "copy"},
        content_type=JSON,
        headers=h,
    ),
    "lfs-files/duplicate": lambda c, h: c.post(
        "/api/models/alice/tiny/lfs-files/duplicate",
        {
            "target": {"type": "model", "name": "alice/tiny"},
            "files": [{"sha256": SHA256, "filename": "model.safetensors"}],
        },
        content_type=JSON,
        headers=h,
    ),
}
"""Every route of the protocol that hands out contents."""
PERSONAL = {"duplicate", "lfs-files/duplicate"}
"""Those that ask who it is first: a visitor hears of no gate."""


@pytest.mark.parametrize("door", DOORS)
def test_no_door_opens_without_access(
    client: Client, repo: ModelRepo, bob: User, bearer, door: str
) -> None:
    call = DOORS[door]

    visitor, stranger = call(client, {}), call(client, bearer(bob, "read"))

    for answer, status in ((visitor, 401), (stranger, 403)):
        assert answer.status_code == status
        if answer is visitor and door in PERSONAL:
            continue
        assert answer["X-Error-Code"] == "GatedRepo"
        assert answer["X-Error-Message"] == MESSAGE
        assert answer["Cache-Control"] == "no-store"
        if door != "resolve head":
            assert answer.json()["error"] == MESSAGE
            assert SECRET not in answer.content.decode()
    assert counting.flush() == 0
    assert ModelRepo.objects.count() == 1


@pytest.mark.parametrize("door", DOORS)
def test_every_door_opens_to_people_who_were_let_in(
    client: Client, repo: ModelRepo, alice: User, bob: User, bearer, door: str
) -> None:
    access_requests.grant(Viewer(user=alice), repo, "bob")

    answers = [DOORS[door](client, bearer(who)) for who in (alice, bob)]
    for answer in answers:
        if answer.streaming:
            answer.getvalue()

    wanted = {"resolve range": 206, "resolve of nothing": 404}.get(door, 200)
    assert [answer.status_code for answer in answers] == [wanted, wanted]


def test_git_sends_no_contents_without_access(
    client: Client, repo: ModelRepo, alice: User, bob: User, bearer
) -> None:
    def answers(headers: dict) -> list[Any]:
        oid = Ref.objects.get(repo=repo, name="refs/heads/main").oid
        body = said("command=fetch", b"0001", f"want {oid}", "done", b"0000")
        return [
            client.get("/alice/tiny/info/refs?service=git-upload-pack", headers=headers),
            client.generic(
                "POST",
                "/alice/tiny/git-upload-pack",
                body,
                content_type="application/x-git-upload-pack-request",
                headers=headers | {"Git-Protocol": "version=2"},
            ),
        ]

    for headers, status in (({}, 401), (bearer(bob), 403)):
        for answer in answers(headers):
            assert answer.status_code == status
            assert answer["Content-Type"] == "text/plain; charset=utf-8"
            assert b"restricted" in answer.content

    access_requests.grant(Viewer(user=alice), repo, "bob")

    for answer in answers(bearer(bob)):
        assert answer.status_code == 200
        assert b"restricted" not in b"".join(answer)


def test_differences_name_files_and_keep_their_lines(
    client: Client, repo: ModelRepo, alice: User, bob: User, bearer, browser_of
) -> None:
    number = proposed(
        client, bearer(alice), put("notes.txt", f"{SECRET}3"), put("README.md", SECRET)
    )
    mine = proposed(client, bearer(bob), put("notes.txt", "other words"))
    apart = f"/api/models/alice/tiny/compare/{first_of(client)}..main"
    proposal = f"/api/models/alice/tiny/compare/main..refs%2Fpr%2F{number}"
    html = {"Accept": "text/html"}

    def seen(headers: dict, browser: Client) -> dict[str, str]:
        talk = f"/discussions/{number}"
        answers = {
            "json": client.get(apart, headers=headers),
            "json of a proposal": client.get(proposal, headers=headers),
            "details": client.get(f"/api/models/alice/tiny{talk}?diff=1", headers=headers),
            "own": client.get(f"/api/models/alice/tiny/discussions/{mine}?diff=1", headers=headers),
            "thread": browser.get(f"/alice/tiny{talk}", headers=html),
            "changes": browser.get(f"/alice/tiny{talk}/changes", headers=html),
        }
        assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(
            answers, 200
        )
        return {name: answer.content.decode() for name, answer in answers.items()}

    for headers, browser in (({}, client), (bearer(bob), browser_of(bob))):
        for text in seen(headers, browser).values():
            assert SECRET not in text
        shut = seen(headers, browser)
        assert all("notes.txt" in shut[name] for name in ("json", "details", "own", "changes"))
        assert "no access to the contents" in shut["changes"]

    access_requests.grant(Viewer(user=alice), repo, "bob")

    open_ = seen(bearer(bob), browser_of(bob))
    assert [name for name, text in open_.items() if SECRET in text] == [
        *("json", "json of a proposal", "details", "own", "changes"),
    ]


def test_a_copy_of_a_gated_model_is_gated_from_the_first(
    client: Client, repo: ModelRepo, alice: User, bob: User, bearer
) -> None:
    access_requests.grant(Viewer(user=alice), repo, "bob")

    made = DOORS["duplicate"](client, bearer(bob))

    assert made.json()["name"] == "bob/copy"
    copy = ModelRepo.objects.get(name="copy")
    assert (copy.gate, copy.is_private) == ("manual", False)
    assert client.get("/bob/copy/resolve/main/notes.txt").status_code == 401
    assert not RepoEvent.objects.filter(repo=copy, scope="repo.config").exists()


def test_pages_and_the_playground_keep_the_contents_too(
    client: Client, repo: ModelRepo, browser_of, bob: User, as_bob: Viewer
) -> None:
    html = {"Accept": "text/html"}
    head = head_of(client, {})
    paths = {
        "file": "/alice/tiny/blob/main/notes.txt",
        "weights": "/alice/tiny/blob/main/model.safetensors",
        "commit": f"/alice/tiny/commit/{head}",
        "compare": f"/alice/tiny/compare?from={head}^&to=main",
        "archive": "/alice/tiny/archive/main.zip",
    }
    for browser in (client, browser_of(bob)):
        answers = {name: browser.get(path, headers=html) for name, path in paths.items()}
        asked = browser.post("/alice/tiny/playground", {"prompt": "hello"}, headers=html)

        assert {name: answer.status_code for name, answer in answers.items()} == {
            "file": 200,
            "weights": 200,
            "commit": 200,
            "compare": answers["compare"].status_code,
            "archive": 403,
        }
        for answer in answers.values():
            assert SECRET not in answer.content.decode()
        assert "You cannot see this file yet" in answers["file"].content.decode()
        assert "notes.txt" in answers["commit"].content.decode()
        assert asked.status_code == 403
    assert GenerationRun.objects.count() == 0


def test_rest_generations_are_gated(client: Client, repo: ModelRepo, bob: User, bearer) -> None:
    answer = client.post(
        "/api/v1/generations",
        {"model": "alice/tiny", "prompt": "hello"},
        content_type=JSON,
        headers=bearer(bob),
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "gated_repo")
    assert GenerationRun.objects.count() == 0


def test_what_is_not_contents_stays_open(client: Client, repo: ModelRepo) -> None:
    for path in ("", "/tree/main", "/refs", "/commits/main", "/revision/main"):
        assert client.get(f"/api/models/alice/tiny{path}").status_code == 200
    info = client.get("/api/models/alice/tiny").json()
    assert info["gated"] == "manual"
    assert client.get("/alice/tiny").status_code == 200


def test_nothing_gated_is_cached_for_others(
    client: Client, repo: ModelRepo, alice: User, bearer
) -> None:
    head = head_of(client, {})

    answer = client.get(f"/alice/tiny/resolve/{head}/notes.txt", headers=bearer(alice))

    assert answer["Cache-Control"] == "private, max-age=31536000, immutable"


def test_lists_know_the_gate(client: Client, repo: ModelRepo, alice: User) -> None:
    make_repo(alice, "open")

    def ids(query: str) -> list[str]:
        return [item["id"] for item in client.get(f"/api/models?{query}").json()]

    assert ids("gated=true") == ["alice/tiny"]
    assert ids("gated=false") == ["alice/open"]
    assert client.get("/api/models?gated=maybe").status_code == 400
    [item] = client.get("/api/models?gated=true&full=true").json()
    assert item["gated"] == "manual"


@pytest.mark.parametrize("gated", ["auto", "manual", False])
def test_settings_set_the_gate(client: Client, alice: User, bearer, gated: str | bool) -> None:
    make_repo(alice)

    answer = client.put(
        "/api/models/alice/tiny/settings",
        json.dumps({"gated": gated}),
        content_type=JSON,
        headers=bearer(alice),
    )

    assert (answer.status_code, answer.json()["gated"]) == (200, gated)
    assert client.get("/api/models/alice/tiny").json()["gated"] == gated


@pytest.mark.parametrize("gated", [True, "open", 1, ["auto"], {}])
def test_settings_refuse_other_gates(
    client: Client, alice: User, bob: User, bearer, gated: Any
) -> None:
    repo = make_repo(alice)
    body = json.dumps({"gated": gated})
    path = "/api/models/alice/tiny/settings"

    answers = [
        client.put(path, body, content_type=JSON, headers=bearer(alice)),
        client.put(path, json.dumps({"gated": "auto"}), content_type=JSON, headers=bearer(bob)),
        client.put(
            path, json.dumps({"gated": "auto"}), content_type=JSON, headers=bearer(alice, "read")
        ),
    ]

    assert [answer.status_code for answer in answers] == [400, 403, 403]
    repo.refresh_from_db()
    assert repo.gate == "none"


def test_a_request_as_its_publisher_reads_it(
    client: Client, alice: User, bob: User, bearer, as_bob: Viewer
) -> None:
    card = b"---\nextra_gated_fields:\n  Zeta: text\n  Agree: checkbox\n---\n"
    repo = make_repo(alice, files={"README.md": card})
    ModelRepo.objects.filter(pk=repo.pk).update(gate="manual")
    repo.refresh_from_db()
    asked = access_requests.ask(as_bob, repo, {"Zeta": "z", "Agree": "on"})
    access_requests.grant(Viewer(user=alice), repo, make_user("dora").username)

    [pending] = client.get(f"{BASE}/pending", headers=bearer(alice)).json()
    [by_hand] = client.get(f"{BASE}/accepted", headers=bearer(alice)).json()

    assert pending["requestId"] == asked.public_id
    assert pending["fields"] == {"Zeta": "z", "Agree": True}
    assert pending["user"]["user"] == "bob"
    assert pending["user"]["email"] == "bob@example.org"
    assert pending["timestamp"].endswith("Z")
    assert "grantedBy" not in pending
    assert by_hand["user"]["user"] == "dora"
    assert "email" not in by_hand["user"]
    assert by_hand["grantedBy"]["user"] == "alice"
    assert "fields" not in by_hand


def test_lists_go_on_by_link(client: Client, alice: User, repo: ModelRepo, bearer) -> None:
    headers = bearer(alice)
    for number in range(3):
        access_requests.ask(Viewer(user=make_user(f"person{number}")), repo, {})

    first = client.get(f"{BASE}/pending?limit=2", headers=headers)
    link = first["Link"]
    second = client.get(link.split("<http://testserver")[1].split(">")[0], headers=headers)

    names = [row["user"]["user"] for row in (*first.json(), *second.json())]
    assert names == ["person2", "person1", "person0"]
    assert 'rel="next"' in link
    assert "Link" not in second


def test_handling(client: Client, alice: User, bob: User, repo: ModelRepo, bearer) -> None:
    headers = bearer(alice)
    asked = access_requests.ask(Viewer(user=bob), repo, {})

    accepted = post(client, "handle", {"user": "bob", "status": "accepted"}, headers)
    again = post(client, "handle", {"user": "bob", "status": "accepted"}, headers)
    rejected = post(
        client,
        "handle",
        {"requestId": asked.public_id, "status": "rejected", "rejectionReason": "no"},
        headers,
    )
    reopened = post(client, "handle", {"user": "bob", "status": "pending"}, headers)

    assert [each.status_code for each in (accepted, again, rejected, reopened)] == [
        200,
        400,
        200,
        200,
    ]
    assert rejected.json()["rejectionReason"] == "no"
    asked.refresh_from_db()
    assert (asked.status, asked.reason) == ("pending", "")


def test_refusals_change_nothing(
    client: Client, alice: User, bob: User, repo: ModelRepo, bearer
) -> None:
    access_requests.ask(Viewer(user=bob), repo, {})
    owner, reader, stranger = bearer(alice), bearer(alice, "read"), bearer(bob)
    before = state()
    good = {"user": "bob", "status": "accepted"}

    answers = {
        "by a reader's token": post(client, "handle", good, reader),
        "by a stranger": post(client, "handle", good, stranger),
        "by nobody": post(client, "handle", good, {}),
        "unknown person": post(client, "handle", good | {"user": "zoe"}, owner),
        "nobody named": post(client, "handle", {"status": "accepted"}, owner),
        "two named": post(client, "handle", good | {"requestId": "x"}, owner),
        "no status": post(client, "handle", {"user": "bob"}, owner),
        "bad status": post(client, "handle", good | {"status": "withdrawn"}, owner),
        "status is no text": post(client, "handle", good | {"status": 1}, owner),
        "user is no text": post(client, "handle", good | {"user": ["bob"]}, owner),
        "same status": post(client, "handle", good | {"status": "pending"}, owner),
        "reason to accept": post(client, "handle", good | {"rejectionReason": "x"}, owner),
        "body is no object": post(client, "handle", [], owner),
        "grant to nobody": post(client, "grant", {"user": "zoe"}, owner),
        "grant without name": post(client, "grant", {}, owner),
        "grant by a stranger": post(client, "grant", {"user": "bob"}, stranger),
        "grant to the owner": post(client, "grant", {"user": "alice"}, owner),
        "cancel without request": post(client, "cancel", {}, owner),
        "batch of nothing": post(client, "batch", {"requestIds": [], "status": "accepted"}, owner),
        "batch of no ids": post(client, "batch", {"requestIds": "x", "status": "accepted"}, owner),
        "batch by a stranger": post(
            client, "batch", {"requestIds": ["x"], "status": "accepted"}, stranger
        ),
        "list by a stranger": client.get(f"{BASE}/pending", headers=stranger),
        "list by nobody": client.get(f"{BASE}/pending"),
        "list of no status": client.get(f"{BASE}/withdrawn", headers=owner),
        "list by GET of handle": client.get(f"{BASE}/handle", headers=owner),
    }

    assert {name: answer.status_code for name, answer in answers.items()} == {
        "by a reader's token": 403,
        "by a stranger": 403,
        "by nobody": 401,
        "unknown person": 404,
        "nobody named": 400,
        "two named": 400,
        "no status": 400,
        "bad status": 400,
        "status is no text": 400,
        "user is no text": 400,
        "same status": 400,
        "reason to accept": 400,
        "body is no object": 400,
        "grant to nobody": 404,
        "grant without name": 400,
        "grant by a stranger": 403,
        "grant to the owner": 400,
        "cancel without request": 404,
        "batch of nothing": 400,
        "batch of no ids": 400,
        "batch by a stranger": 403,
        "list by a stranger": 403,
        "list by nobody": 401,
        "list of no status": 400,
        "list by GET of handle": 405,
    }
    assert state() == before


def test_a_model_without_a_gate_has_no_requests(client: Client, alice: User, bearer) -> None:
    make_repo(alice)
    headers = bearer(alice)

    answers = [
        client.get(f"{BASE}/pending", headers=headers),
        post(client, "handle", {"user": "bob", "status": "accepted"}, headers),
        post(client, "grant", {"user": "bob"}, headers),
    ]

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert AccessRequest.objects.count() == 0


def test_a_hidden_model_has_no_requests_for_strangers(
    client: Client, alice: User, bob: User, repo: ModelRepo, bearer
) -> None:
    ModelRepo.objects.filter(pk=repo.pk).update(is_private=True)
    headers = bearer(bob)

    answers = [
        client.get(f"{BASE}/pending", headers=headers),
        post(client, "grant", {"user": "bob"}, headers),
        post(client, "cancel", {}, headers),
        client.post("/alice/tiny/ask-access", {}, headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 404]
    assert answers[0]["X-Error-Code"] == "RepoNotFound"
    assert AccessRequest.objects.count() == 0


def test_batch_and_cancel(client: Client, alice: User, bob: User, repo: ModelRepo, bearer) -> None:
    asked = access_requests.ask(Viewer(user=bob), repo, {})

    batch = post(
        client,
        "batch",
        {"requestIds": [asked.public_id, "missing"], "status": "accepted"},
        bearer(alice),
    )
    cancelled = post(client, "cancel", {}, bearer(bob))

    assert batch.json()["handled"] == 1
    assert [item["requestId"] for item in batch.json()["failed"]] == ["missing"]
    assert cancelled.status_code == 200
    asked.refresh_from_db()
    assert asked.status == "withdrawn"


def test_asking_by_a_program(client: Client, alice: User, bob: User, bearer) -> None:
    card = b"---\nextra_gated_fields: {Company: text}\n---\n"
    repo = make_repo(alice, files={"README.md": card})
    ModelRepo.objects.filter(pk=repo.pk).update(gate="auto")

    missing = client.post("/alice/tiny/ask-access", {}, headers=bearer(bob))
    done = client.post("/alice/tiny/ask-access", {"Company": "Acme"}, headers=bearer(bob))
    visitor = client.post("/alice/tiny/ask-access", {"Company": "Acme"})

    assert (missing.status_code, missing.json()["code"]) == (400, "bad_answers")
    assert (done.status_code, done["Location"]) == (303, "/alice/tiny")
    assert visitor.status_code == 401
    assert client.get("/api/models/alice/tiny/auth-check", headers=bearer(bob)).status_code == 200


def test_members_of_any_role_pass(client: Client, alice: User, bob: User, bearer) -> None:
    make_org("acme", alice="admin", bob="read")
    repo = make_repo(alice, namespace="acme", files={"a.txt": b"a"})
    ModelRepo.objects.filter(pk=repo.pk).update(gate="manual")

    got = client.get("/acme/tiny/resolve/main/a.txt", headers=bearer(bob))

    assert (got.status_code, got.content) == (200, b"a")


def test_a_sold_model_without_a_gate_has_no_requests(
    client: Client, alice: User, bob: User, repo: ModelRepo, bearer
) -> None:
    access_requests.grant(Viewer(user=alice), repo, "bob")  # while it was gated
    ModelRepo.objects.filter(pk=repo.pk).update(gate="none", is_for_sale=True)
    mine, theirs = bearer(alice, "write"), bearer(bob, "write")

    lists = [client.get(f"{BASE}/{name}", headers=mine) for name in ("pending", "accepted")]
    refused = client.get(f"{BASE}/accepted", headers=theirs)
    odd = client.get(f"{BASE}/nonsense", headers=mine)
    before = state()
    granted = post(client, "grant", {"user": "bob"}, mine)

    assert [(answer.status_code, answer.json()) for answer in lists] == [(200, []), (200, [])]
    assert (refused.status_code, odd.status_code, granted.status_code) == (403, 400, 400)
    assert state() == before
