"""Discussions over the wire, for the tests of several subjects."""

import json
from typing import Any

from django.test import Client

JSON = "application/json"
BASE = "/api/models/alice/tiny"


def post(client: Client, path: str, headers: dict, **body: Any):
    """POST JSON to a route of alice/tiny's discussions."""
    url = f"{BASE}/discussions{path}"
    return client.post(url, body or None, content_type=JSON, headers=headers)


def opened(client: Client, headers: dict, *, pull: bool = False, title: str = "A title") -> int:
    """Open a discussion or a draft; return its number."""
    answer = post(client, "", headers, title=title, description="Why", pullRequest=pull)
    assert answer.status_code == 200, answer.content
    return answer.json()["num"]


def details(client: Client, number: int, headers: dict | None = None, query: str = "?diff=1"):
    """Read one."""
    answer = client.get(f"{BASE}/discussions/{number}{query}", headers=headers or {})
    assert answer.status_code == 200, answer.content
    return answer.json()


def commit(client: Client, headers: dict, *lines: tuple[str, dict], to: str, **header: Any):
    """Commit NDJSON lines; ``to`` is a revision with its query."""
    head = {"summary": "change", "description": ""} | header
    body = "\n".join(
        json.dumps({"key": key, "value": value}) for key, value in [("header", head), *lines]
    )
    return client.post(
        f"{BASE}/commit/{to}", body, content_type="application/x-ndjson", headers=headers
    )


def put(path: str, content: str = "x\n") -> tuple[str, dict]:
    """A line that writes a small file."""
    return "file", {"path": path, "content": content}


def proposed(client: Client, headers: dict, *lines: tuple[str, dict], **header: Any) -> int:
    """Open a pull request with one commit; return its number."""
    answer = commit(client, headers, *lines, to="main?create_pr=1", **header)
    assert answer.status_code == 200, answer.content
    return int(answer.json()["pullRequestUrl"].rsplit("/", 1)[1])
