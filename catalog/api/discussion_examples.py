"""Real answers, shortened, for the description of the discussions' API."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_LINE: dict[str, Any] = {
    "number": 2,
    "title": "Say which tokenizer",
    "status": "open",
    "is_pull_request": True,
    "is_pinned": False,
    "author": "bob",
    "comment_count": 1,
    "created_at": "2026-11-25T19:54:08.471377Z",
    "updated_at": "2026-11-25T19:54:09.103284Z",
    "url": "https://store.example/regency/austen-gpt2-small/discussions/2",
}
_HEAD = "cb4140ed35905615e3243c1b1e84335458b421ba"
_COMMENT: dict[str, Any] = {
    "id": "64b7f0c2a91e4d5f80c3b6aa",
    "kind": "comment",
    "author": "bob",
    "created_at": "2026-11-25T19:54:08.471377Z",
    "text": "The card does *not* say it.",
    "html": "<p>The card does <em>not</em> say it.</p>\n",
    "is_hidden": False,
    "edited_at": None,
    "facts": {},
}
_COMMIT: dict[str, Any] = {
    "id": "64b7f0c2a91e4d5f80c3b6ab",
    "kind": "commit",
    "author": "bob",
    "created_at": "2026-11-25T19:54:09.103284Z",
    "text": "",
    "html": "",
    "is_hidden": False,
    "edited_at": None,
    "facts": {"subject": "Say which tokenizer", "oid": _HEAD},
}


def _answer(name: str, value: Any, *statuses: str) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=statuses or ("200",))


def _request(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


DISCUSSIONS = _answer("One page", {"results": [_LINE], "next": None, "total": 1})
DISCUSSION = _answer(
    "A pull request",
    _LINE
    | {
        "events": [_COMMENT, _COMMIT],
        "proposal": {
            "base": "refs/heads/main",
            "ref": "refs/pr/2",
            "head_oid": _HEAD,
            "merge_oid": "",
            "changed_files": 1,
            "conflicts": [],
            "is_base_there": True,
        },
    },
    "200",
    "201",
)
NEW_DISCUSSION = _request("A question", {"title": "Which tokenizer?", "text": "BPE?"})
CHANGE = _request("Close it", {"status": "closed"})
COMMENT_IN = _request("A comment", {"text": "The card does *not* say it."})
COMMENT = _answer("A comment", _COMMENT, "200", "201")
MERGE_IN = _request("With thanks", {"text": "Thank you!"})
MERGED = _answer("Merged", {"merge_oid": _HEAD})
