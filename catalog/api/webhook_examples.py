"""Real answers for the REST API's description of webhooks; each is tested against its schema."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_WEBHOOK: dict[str, Any] = {
    "id": "65f1c0a2b7e84d0f9a3b2c1d",
    "url": "https://ci.example.org/hooks/models",
    "watched": [{"type": "model", "name": "regency/austen-gpt2-small"}],
    "domains": ["repo"],
    "has_secret": False,
    "is_enabled": True,
    "disabled_reason": "",
    "failures": 0,
    "failing_since": None,
    "delivered_at": "2026-11-25T02:19:06.120377Z",
    "skipped": 0,
    "created_at": "2026-11-24T02:19:05.471377Z",
}
_KEY = {"signing_key": "whsec_Nm5jJWh8YlJpVDl6c0FmRG5xTTVvS3hQdzJZdkNyRTE="}
_DELIVERY: dict[str, Any] = {
    "id": "65f1c0f3b7e84d0f9a3b2c2e",
    "message_id": "msg_65f1c0f3b7e84d0f9a3b2c2e",
    "scope": "repo.content",
    "action": "update",
    "model": "regency/austen-gpt2-small",
    "is_test": False,
    "state": "delivered",
    "next_try_at": None,
    "created_at": "2026-11-25T02:19:05.471377Z",
    "ended_at": "2026-11-25T02:19:06.120377Z",
    "attempts": [
        {"at": "2026-11-25T02:19:06.001377Z", "duration_ms": 118, "status": 200, "error": ""}
    ],
}
_WAITING = _DELIVERY | {
    "state": "waiting",
    "next_try_at": "2026-11-25T02:19:05.471377Z",
    "ended_at": None,
    "attempts": [],
}


def _answer(name: str, value: Any, status: str = "200") -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=(status,))


def _body(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


WEBHOOKS = _answer("One webhook", {"results": [_WEBHOOK]})
WEBHOOK = _answer("A webhook", _WEBHOOK)
NEW_BODY = _body(
    "Every commit of one model",
    {
        "url": _WEBHOOK["url"],
        "watched": _WEBHOOK["watched"],
        "domains": ["repo"],
    },
)
NEW_WEBHOOK = _answer("With its key", _WEBHOOK | _KEY, "201")
NEW_KEY = _answer("With its new key", _WEBHOOK | _KEY, "201")
CHANGE_BODY = _body("Switch off", {"is_enabled": False})
DELIVERIES = _answer("One page", {"results": [_DELIVERY], "next": None})
DELIVERY = _answer(
    "A delivery",
    _DELIVERY | {"payload": '{"event":{"action":"update","scope":"repo.content"}}'},
)
SENT = _answer("On its way", _WAITING, "202")
