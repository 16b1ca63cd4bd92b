"""What each kind of token may do where: one written table, every cell tried.

Alice owns ``mine`` and ``other`` (private) and ``open`` (public); she is a member of ``acme``,
which owns ``team`` (private); bob let her into his gated ``bob/gated``. A fine-grained token
reaches nothing of this unless it lists it.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AccessToken, Permission, Scope, User
from accounts.services.tokens import create_token
from accounts.viewer import Viewer
from catalog.models import (
    Attachment,
    Collection,
    Community,
    Discussion,
    DiscussionEvent,
    FileLock,
    Follow,
    GitObject,
    Like,
    ModelRepo,
    Ref,
    RepoLfsObject,
)
from catalog.services import access_requests
from catalog.services.branches import add_branch
from catalog.services.discussions import open_discussion
from catalog.services.publishing import AddFile, publish
from catalog.services.pulls import open_pull_request
from catalog.services.token_reach import Wanted, read_reach
from inference.models import GenerationRun
from tests.clients.test_discussions import png
from tests.factories import add_files, make_org, make_repo, safetensors
from tests.hub.test_git import said

JSON = "application/json"
READ, WRITE, DISCUSS, SETTINGS = (
    Permission.READ,
    Permission.WRITE,
    Permission.DISCUSS,
    Permission.SETTINGS,
)
KINDS = (
    *("visitor", "read", "write"),
    *("mine:read", "mine:write", "mine:settings", "mine:discuss"),
    *("alice:write", "acme:read", "gated", "discuss all"),
)
"""Classic tokens by scope; fine-grained ones by ``place:permission``."""

# The columns are KINDS. A private model that a token does not list is as absent as to a stranger
# (404); what it may read but not change is 403; a visitor is asked to sign in (401).
#
#                    visitor read write | mine: read write settings discuss | alice acme gated disc.
TABLE = """
info mine            401 200 200   200 200 200 200   200 404 404 404
info other           401 200 200   404 404 404 404   200 404 404 404
info open            200 200 200   200 200 200 200   200 200 200 200
info team            401 200 200   404 404 404 404   404 200 404 404
file mine            401 200 200   200 200 200 200   200 404 404 404
file other           401 200 200   404 404 404 404   200 404 404 404
file open            200 200 200   200 200 200 200   200 200 200 200
file team            401 200 200   404 404 404 404   404 200 404 404
file gated           401 200 200   403 403 403 403   403 403 200 403
archive mine         404 200 200   200 200 200 200   200 404 404 404
archive other        404 200 200   404 404 404 404   200 404 404 404
auth-check mine      401 200 200   200 200 200 200   200 404 404 404
auth-check gated     401 200 200   403 403 403 403   403 403 200 403
auth-check/write mine 401 403 200  403 200 403 403   200 404 404 404
auth-check/write open 401 403 200  403 403 403 403   200 403 403 403
commit mine          401 403 200   403 200 403 403   200 404 404 404
commit other         401 403 200   404 404 404 404   200 404 404 404
commit open          401 403 200   403 403 403 403   200 403 403 403
commit team          401 403 200   404 404 404 404   404 403 404 404
preupload mine       401 403 200   403 200 403 403   200 404 404 404
lfs upload mine      401 403 200   403 200 403 200   200 404 404 404
lfs upload open      401 403 200   403 403 403 403   200 403 403 200
branch mine          401 403 200   403 200 403 403   200 404 404 404
tag open             401 403 200   403 403 403 403   200 403 403 403
settings mine        401 403 200   403 403 200 403   403 404 404 404
settings open        401 403 200   403 403 403 403   403 403 403 403
create alice         401 403 200   403 403 403 403   200 403 403 403
create acme          401 403 200   403 403 403 403   403 403 403 403
move mine            401 403 200   403 403 403 403   403 404 404 404
delete other         401 403 200   404 404 404 404   403 404 404 404
requests gated2      401 403 200   403 403 403 403   200 403 403 403
ask bob/closed       401 403 303   403 403 403 403   403 403 403 403
like open            401 403 302   403 403 403 403   403 403 403 403
generate mine        401 409 409   409 409 409 409   409 404 404 404
generate open        401 409 409   403 403 403 403   409 403 403 403
open a thread: mine  401 403 200   403 403 403 200   403 404 404 404
open a thread: open  401 403 200   403 403 403 403   403 403 403 200
comment open         401 403 200   403 403 403 403   403 403 403 200
rename open          401 403 200   403 403 403 403   200 403 403 403
close open           401 403 200   403 403 403 403   200 403 403 403
hide open            401 403 200   403 403 403 403   200 403 403 403
pin open             401 403 200   403 403 403 403   200 403 403 403
merge open           401 403 200   403 403 403 403   200 403 403 403
commit to a PR open  401 403 200   403 403 403 403   200 403 403 403
commit to a PR mine  401 403 200   403 200 403 200   200 404 404 404
draft mine           401 403 200   403 403 403 200   403 404 404 404
propose open         401 403 200   403 403 403 403   403 403 403 200
propose bob/shown    401 403 200   403 403 403 403   403 403 403 200
preupload to propose 401 403 200   403 403 403 403   403 403 403 200
attach               401 403 200   403 403 403 200   403 403 403 200
threads off mine     401 403 200   403 403 200 403   403 404 404 404
lock mine            401 403 201   403 201 403 403   201 404 404 404
verify locks mine    401 403 200   403 200 403 403   200 404 404 404
git fetch mine       401 200 200   200 200 200 200   200 404 404 404
git fetch gated      401 200 200   403 403 403 403   403 403 200 403
git push mine        401 403 200   403 200 403 403   200 404 404 404
git push open        401 403 200   403 403 403 403   200 403 403 403
annotated tag mine   401 403 200   403 200 403 403   200 404 404 404
empty branch mine    401 403 200   403 200 403 403   200 404 404 404
squash mine          401 403 200   403 200 403 403   200 404 404 404
lfs-files mine       401 403 200   403 200 403 403   200 404 404 404
delete files mine    401 403 200   403 200 403 403   200 404 404 404
duplicate open       401 403 200   403 403 403 403   200 403 403 403
duplicate gated      401 403 200   403 403 403 403   403 403 403 403
share open to mine   401 403 200   403 200 403 200   200 404 404 404
xet read mine        401 200 200   200 200 200 200   200 404 404 404
xet read gated       401 200 200   403 403 403 403   403 403 200 403
xet write mine       401 403 200   403 200 403 403   200 404 404 404
xet propose open     401 403 200   403 403 403 403   403 403 403 200
lines mine           401 200 200   200 200 200 200   200 404 404 404
lines gated          401 200 200   403 403 403 403   403 403 200 403
my repositories      401 200 200   200 200 200 200   200 200 200 200
their repositories   401 200 200   403 403 403 403   403 200 403 403
follow bob           401 403 200   403 403 403 403   403 403 403 403
new collection       401 403 200   403 403 403 403   403 403 403 403
webhooks             401 403 200   403 403 403 403   403 403 403 403
whoami               401 200 200   200 200 200 200   200 200 200 200
me                   401 200 200   200 200 200 200   200 200 200 200
tokens               401 403 403   403 403 403 403   403 403 403 403
new token            401 403 403   403 403 403 403   403 403 403 403
new organization     401 403 201   403 403 403 403   403 403 403 403
storage              401 200 200   403 403 403 403   403 403 403 403
settings pages       302 403 403   403 403 403 403   403 403 403 403
"""


def rows() -> dict[str, list[int]]:
    """The table, by call."""
    found = {}
    for line in TABLE.strip().splitlines():
        words = line.split()
        cells = [int(word) for word in words if word.isdecimal() and len(word) == 3]
        name = " ".join(word for word in words if not (word.isdecimal() and len(word) == 3))
        assert len(cells) == len(KINDS), line
        found[name] = cells
    return found


EXPECTED = rows()


def _commit(client: Client, repo: str, headers: dict, *, to: str = "main") -> Any:
    lines = [
        {"key": "header", "value": {"summary": "by a token"}},
        {"key": "file", "value": {"path": "new.txt", "content": "x", "encoding": "utf-8"}},
    ]
    return client.post(
        f"/api/models/{repo}/commit/{to}",
        "\n".join(map(json.dumps, lines)),
        content_type="application/x-ndjson",
        headers=headers,
    )


def _send(method: str, path: str, body: Any) -> Callable[[Client, dict], Any]:
    return lambda client, headers: client.generic(
        method, path, json.dumps(body), content_type=JSON, headers=headers
    )


def _get(path: str) -> Callable[[Client, dict], Any]:
    return lambda client, headers: client.get(path, headers=headers)


def _lfs(repo: str) -> Callable[[Client, dict], Any]:
    body = {"operation": "upload", "objects": [{"oid": "a" * 64, "size": 3}]}
    send = _send("POST", f"/{repo}.git/info/lfs/objects/batch", body)

    def call(client: Client, headers: dict) -> Any:
        """Answer with the status of the object, which git-lfs has in the body."""
        answer = send(client, headers)
        if answer.status_code == 200:
            fault = answer.json()["objects"][0].get("error", {})
            answer.status_code = fault.get("code", 200)
        return answer

    return call


def _push(repo: str) -> Callable[[Client, dict], Any]:
    """Return a push that deletes the branch ``dev``: it needs no pack."""

    def call(client: Client, headers: dict) -> Any:
        """Answer 409 where git would print that nothing was deleted."""
        dev = Ref.objects.get(repo__name=repo.partition("/")[2], name="refs/heads/dev")
        order = f"{dev.oid} {'0' * 40} {dev.name}\0report-status"
        answer = client.generic(
            "POST",
            f"/{repo}/git-receive-pack",
            said(order, b"0000"),
            content_type="application/x-git-receive-pack-request",
            headers=headers,
        )
        if answer.status_code == 200 and Ref.objects.filter(pk=dev.pk).exists():
            answer.status_code = 409
        return answer

    return call


THREAD = "/api/models/alice/open/discussions/1"
WEIGHTS = safetensors(seed=5)
PICTURE = png()
NAMES = {
    "mine": "alice/mine",
    "other": "alice/other",
    "open": "alice/open",
    "team": "acme/team",
    "gated": "bob/gated",
}
CALLS: dict[str, Callable[[Client, dict], Any]] = {
    **{f"info {key}": _get(f"/api/models/{name}") for key, name in NAMES.items()},
    **{f"file {key}": _get(f"/{name}/resolve/main/a.txt") for key, name in NAMES.items()},
    **{f"archive {key}": _get(f"/{name}/archive/main.zip") for key, name in NAMES.items()},
    **{f"auth-check {key}": _get(f"/api/models/{name}/auth-check") for key, name in NAMES.items()},
    **{
        f"auth-check/write {key}": _get(f"/api/models/{name}/auth-check/write")
        for key, name in NAMES.items()
    },
    **{
        f"commit {key}": lambda client, headers, name=name: _commit(client, name, headers)
        for key, name in NAMES.items()
    },
    "preupload mine": _send(
        "POST",
        "/api/models/alice/mine/preupload/main",
        {"files": [{"path": "a.txt", "sample": "", "size": 0}]},
    ),
    "lfs upload mine": _lfs("alice/mine"),
    "lfs upload open": _lfs("alice/open"),
    "branch mine": _send("POST", "/api/models/alice/mine/branch/b", {}),
    "tag open": _send("POST", "/api/models/alice/open/tag/main", {"tag": "v1"}),
    "settings mine": _send("PUT", "/api/models/alice/mine/settings", {"gated": "auto"}),
    "settings open": _send("PUT", "/api/models/alice/open/settings", {"gated": "auto"}),
    "create alice": _send("POST", "/api/repos/create", {"name": "fresh"}),
    "create acme": _send("POST", "/api/repos/create", {"name": "fresh", "organization": "acme"}),
    "move mine": _send(
        "POST", "/api/repos/move", {"fromRepo": "alice/mine", "toRepo": "alice/moved"}
    ),
    "delete other": _send("DELETE", "/api/repos/delete", {"name": "alice/other"}),
    "requests gated2": _get("/api/models/alice/gated2/user-access-request/pending"),
    "ask bob/closed": lambda client, headers: client.post(
        "/bob/closed/ask-access", headers=headers
    ),
    "like open": lambda client, headers: client.post(
        "/alice/open/like", {"liked": "true"}, headers=headers
    ),
    **{
        f"generate {key}": _send(
            "POST", "/api/v1/generations", {"model": f"alice/{key}", "prompt": "x"}
        )
        for key in ("mine", "open")
    },
    **{
        f"open a thread: {key}": _send(
            "POST", f"/api/models/alice/{key}/discussions", {"title": "By a token"}
        )
        for key in ("mine", "open")
    },
    "draft mine": _send(
        "POST", "/api/models/alice/mine/discussions", {"title": "Mine", "pullRequest": True}
    ),
    "comment open": _send("POST", f"{THREAD}/comment", {"comment": "words"}),
    "rename open": _send("POST", f"{THREAD}/title", {"title": "Another"}),
    "close open": _send("POST", f"{THREAD}/status", {"status": "closed"}),
    "hide open": lambda client, headers: client.post(
        f"{THREAD}/comment/{DiscussionEvent.objects.get(text='said').public_id}/hide",
        content_type=JSON,
        headers=headers,
    ),
    "pin open": _send("POST", f"{THREAD}/pin", {"pinned": True}),
    "merge open": _send("POST", "/api/models/alice/open/discussions/2/merge", {}),
    "commit to a PR open": lambda client, headers: _commit(
        client, "alice/open", headers, to="refs%2Fpr%2F2"
    ),
    "commit to a PR mine": lambda client, headers: _commit(
        client, "alice/mine", headers, to="refs%2Fpr%2F1"
    ),
    "propose open": lambda client, headers: _commit(
        client, "alice/open", headers, to="main?create_pr=1"
    ),
    "propose bob/shown": lambda client, headers: _commit(
        client, "bob/shown", headers, to="main?create_pr=1"
    ),
    "preupload to propose": _send(
        "POST",
        "/api/models/alice/open/preupload/main?create_pr=1",
        {"files": [{"path": "a.txt", "sample": "", "size": 0}]},
    ),
    "attach": lambda client, headers: client.post(
        "/uploads", PICTURE, content_type="image/png", headers=headers
    ),
    "threads off mine": _send(
        "PUT", "/api/models/alice/mine/settings", {"discussionsDisabled": True}
    ),
    "lock mine": _send("POST", "/alice/mine.git/info/lfs/locks", {"path": "a.txt"}),
    "verify locks mine": _send("POST", "/alice/mine.git/info/lfs/locks/verify", {}),
    "git fetch mine": _get("/alice/mine.git/info/refs?service=git-upload-pack"),
    "git fetch gated": _get("/bob/gated.git/info/refs?service=git-upload-pack"),
    **{f"git push {key}": _push(f"alice/{key}") for key in ("mine", "open")},
    "annotated tag mine": _send(
        "POST", "/api/models/alice/mine/tag/main", {"tag": "v1", "message": "first"}
    ),
    "empty branch mine": _send("POST", "/api/models/alice/mine/branch/e", {"emptyBranch": True}),
    "squash mine": _send("POST", "/api/models/alice/mine/super-squash/main", {}),
    "lfs-files mine": _get("/api/models/alice/mine/lfs-files"),
    "delete files mine": _send(
        "POST", "/api/models/alice/mine/lfs-files/batch", {"deletions": {"sha": ["a" * 64]}}
    ),
    "duplicate open": _send(
        "POST", "/api/models/alice/open/duplicate", {"repository": "alice/copy"}
    ),
    "duplicate gated": _send(
        "POST", "/api/models/bob/gated/duplicate", {"repository": "alice/copy"}
    ),
    "share open to mine": _send(
        "POST",
        "/api/models/alice/open/lfs-files/duplicate",
        {
            "target": {"type": "model", "name": "alice/mine"},
            "files": [{"sha256": hashlib.sha256(WEIGHTS).hexdigest(), "filename": "w"}],
        },
    ),
    "xet read mine": _get("/api/models/alice/mine/xet-read-token/main"),
    "xet read gated": _get("/api/models/bob/gated/xet-read-token/main"),
    "xet write mine": _get("/api/models/alice/mine/xet-write-token/main"),
    "xet propose open": _get("/api/models/alice/open/xet-write-token/main?create_pr=1"),
    "lines mine": _get("/api/models/alice/mine/compare/main..main?raw=1"),
    "lines gated": _get("/api/models/bob/gated/compare/main..main?raw=1"),
    "my repositories": _get("/api/settings/repositories"),
    "their repositories": _get("/api/organizations/acme/settings/repositories"),
    "follow bob": _send("POST", "/api/users/bob/follow", {}),
    "new collection": _send(
        "POST", "/api/collections", {"title": "Mine", "namespace": "alice", "description": "d"}
    ),
    "webhooks": _get("/api/settings/webhooks"),
    "whoami": _get("/api/whoami-v2"),
    "me": _get("/api/v1/me"),
    "tokens": _get("/api/v1/tokens"),
    "new token": _send("POST", "/api/v1/tokens", {"name": "x", "scopes": ["admin"]}),
    "new organization": _send("POST", "/api/v1/organizations", {"name": "another"}),
    "storage": _get("/api/v1/storage"),
    "settings pages": lambda client, headers: client.get(
        "/settings/tokens", headers={"Accept": "text/html"} | headers
    ),
}


@pytest.fixture
def world(alice: User, bob: User) -> None:
    """Everything the table speaks of."""
    files = {"a.txt": b"contents"}
    make_org("acme", alice="write")
    for name in ("mine", "other"):
        make_repo(alice, name, files=files, is_private=True)
    shown = make_repo(alice, "open", files=files)
    make_repo(bob, "shown", files=files)
    add_files(alice, shown, {"w.safetensors": WEIGHTS})
    for name in ("mine", "open"):
        add_branch(Viewer(user=alice), ModelRepo.objects.get(name=name), "dev")
    as_bob = Viewer(user=bob)
    open_discussion(as_bob, shown, title="A thread", text="said")
    publish(
        as_bob,
        shown,
        revision="main",
        operations=[AddFile("b.txt", b"b")],
        title="Propose",
        create_pr=True,
    )
    mine = ModelRepo.objects.get(name="mine")
    open_pull_request(Viewer(user=alice), mine, title="Her own", text="")
    make_repo(alice, "team", files=files, is_private=True, namespace="acme")
    make_repo(alice, "gated2", files=files)
    gated = make_repo(bob, "gated", files=files)
    make_repo(bob, "closed", files=files)
    ModelRepo.objects.filter(name__in=["gated", "gated2", "closed"]).update(gate="manual")
    gated.refresh_from_db()
    access_requests.grant(Viewer(user=bob), gated, "alice")


def token_of(alice: User, kind: str) -> dict[str, str]:
    """Headers of one kind of token of alice's."""
    if kind == "visitor":
        return {}
    as_alice = Viewer(user=alice)
    if kind in {"read", "write"}:
        text = create_token(alice, name=kind, scopes=[Scope(kind)])[1]
        return {"Authorization": f"Bearer {text}"}
    place, _, what = kind.partition(":")
    permission = {"read": READ, "write": WRITE, "settings": SETTINGS, "discuss": DISCUSS}.get(what)
    wanted = []
    if permission is not None:
        name = "alice/mine" if place == "mine" else place
        wanted = [Wanted(name, frozenset({permission}))]
    reach = read_reach(
        as_alice,
        wanted,
        everywhere=frozenset({DISCUSS}) if kind == "discuss all" else frozenset(),
        has_gated=kind == "gated",
    )
    text = create_token(alice, name=kind, scopes=[], reach=reach)[1]
    return {"Authorization": f"Bearer {text}"}


def everything() -> tuple[Any, ...]:
    """What a refused call leaves as it was."""
    return (
        list(ModelRepo.objects.order_by("pk").values("name", "namespace_id", "gate", "is_private")),
        list(Ref.objects.order_by("pk").values("name", "oid")),
        GitObject.objects.count(),
        Like.objects.count(),
        list(Discussion.objects.order_by("pk").values("title", "status", "is_pinned")),
        DiscussionEvent.objects.filter(is_hidden=False).count(),
        Community.objects.filter(is_disabled=True).count(),
        Attachment.objects.count(),
        FileLock.objects.count(),
        RepoLfsObject.objects.count(),
        Collection.objects.count(),
        Follow.objects.count(),
        AccessToken.objects.count(),
        GenerationRun.objects.count(),
    )


def test_the_table_has_a_call_for_every_line() -> None:
    assert set(EXPECTED) <= set(CALLS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_cell(client: Client, alice: User, world: None, kind: str) -> None:
    headers = token_of(alice, kind)
    column = KINDS.index(kind)
    got, changed = {}, []
    from django.db import transaction

    for name in EXPECTED:
        before = everything()
        with transaction.atomic():  # each call meets the same world
            answer = CALLS[name](client, headers)
            if answer.streaming:
                answer.getvalue()
            got[name] = answer.status_code
            if answer.status_code >= 400 and everything() != before:
                changed.append(name)
            transaction.set_rollback(True)

    assert got == {name: cells[column] for name, cells in EXPECTED.items()}
    assert changed == []
