"""Speaking the protocol by hand: what the tests of this folder share."""

import hashlib
import json
from typing import Any

from django.test import Client

from catalog.models import Commit, GitObject, ModelRepo, Ref, RepoLfsObject
from store.wsgi import decode_path

JSON = "application/json"
LFS = "application/vnd.git-lfs+json"
BASE = "/api/models/alice/tiny"


def ndjson(*lines: tuple[str, dict]) -> bytes:
    return b"\n".join(json.dumps({"key": key, "value": value}).encode() for key, value in lines)


def commit(
    client: Client,
    headers: dict,
    *lines: tuple[str, dict],
    rev: str = "main",
    base: str = BASE,
    **header,
):
    head = {"summary": "change", "description": ""} | header
    return client.post(
        f"{base}/commit/{rev}",
        ndjson(("header", head), *lines),
        content_type="application/x-ndjson",
        headers=headers,
    )


def heads(repo: ModelRepo) -> list[tuple[str, str]]:
    return list(Ref.objects.filter(repo=repo).order_by("name").values_list("name", "oid"))


def state(repo: ModelRepo) -> tuple[Any, ...]:
    """What must not change when something is refused."""
    return (
        heads(repo),
        Commit.objects.filter(repo=repo).count(),
        GitObject.objects.filter(repo=repo).count(),
        RepoLfsObject.objects.filter(repo=repo).count(),
        ModelRepo.objects.count(),
    )


def upload(client: Client, headers: dict, data: bytes, repo: str = "alice/tiny") -> dict:
    """Send ``data`` the LFS way; return the batch answer's object."""
    oid = hashlib.sha256(data).hexdigest()
    answer = client.post(
        f"/{repo}.git/info/lfs/objects/batch",
        {
            "operation": "upload",
            "transfers": ["basic", "multipart"],
            "objects": [{"oid": oid, "size": len(data)}],
        },
        content_type=JSON,
        headers=headers,
    )
    [item] = answer.json()["objects"]
    return item


def put(client: Client, href: str, data: bytes):
    path = href.split("testserver", 1)[1]
    return client.generic("PUT", path, data, content_type="application/octet-stream")


def post(client: Client, path: str, body: Any = None, headers: dict | None = None):
    return client.post(path, {} if body is None else body, content_type=JSON, headers=headers)


def get_raw(client: Client, url: str, headers: dict | None = None):
    """GET with the path exactly as a client writes it: ``%2F`` stays one segment."""
    return client.get("/", PATH_INFO=decode_path(url), RAW_URI=url, headers=headers)


def next_page(answer) -> str:
    """The path of the next page, as ``Link`` has it; empty when this was the last."""
    link = answer.headers.get("Link", "")
    return link.split("testserver", 1)[1].split(">")[0] if link else ""
