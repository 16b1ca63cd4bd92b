"""A real job for the REST API's description; tested against its schema."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_JOB: dict[str, Any] = {
    "id": 4711,
    "name": "inference.generate",
    "model": "regency/austen-gpt2-small",
    "href": "/runs/8c46eaab35ae7f3e9dd3932e",
    "queue": "inference",
    "priority": 0,
    "state": "queued",
    "ahead": 2,
    "problem": "",
    "is_stuck": False,
    "attempts": 0,
    "max_attempts": 3,
    "progress": 0.0,
    "left_s": None,
    "waited_s": 1.4,
    "took_s": None,
    "spent_s": 0.0,
    "tokens": 0,
    "log": "",
    "error_code": "",
    "error": "",
    "can_retry": False,
    "created_at": "2026-11-24T02:19:05.471377Z",
    "started_at": None,
    "finished_at": None,
}
JOB = OpenApiExample("Waiting", value=_JOB, response_only=True, status_codes=("200",))
JOBS = OpenApiExample(
    "One job", value={"results": [_JOB], "next": None}, response_only=True, status_codes=("200",)
)
