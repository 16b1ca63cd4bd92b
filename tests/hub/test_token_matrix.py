"""What each kind of token may do where: one written table, every cell tried.

Alice owns ``mine`` and ``other`` (private) and ``open`` (public); she is a member of ``acme``,
which owns ``team`` (private); bob let her into his gated ``bob/gated``. A fine-grained token
reaches nothing of this unless it lists it.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AccessToken, Permission, Scope, User
from accounts.services.tokens import create_token
from accounts.viewer import Viewer
from catalog.models import GitObject, Like, ModelRepo, Ref
from catalog.services import access_requests
from catalog.services.token_reach import Wanted, read_reach
from inference.models import GenerationRun
from tests.factories import make_org, make_repo

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
like open            401 302 302   403 403 403 403   403 403 403 403
generate mine        401 409 409   409 409 409 409   409 404 404 404
generate open        401 409 409   403 403 403 403   409 403 403 403
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


def _commit(client: Client, repo: str, headers: dict) -> Any:
    lines = [
        {"key": "header", "value": {"summary": "by a token"}},
        {"key": "file", "value": {"path": "new.txt", "content": "x", "encoding": "utf-8"}},
    ]
    return client.post(
        f"/api/models/{repo}/commit/main",
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
    make_repo(alice, "open", files=files)
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
