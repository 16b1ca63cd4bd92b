"""Real answers for the API's description of licenses; each is tested against its schema."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_KEY = "GPTS-8W3KT-Q2R7N-0XJ5C-HV4PA-M9ZDB-FE"
_FINGERPRINT = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"
_FACTS: dict[str, Any] = {
    "id": "6a17c9e0b2d34f58a1c07e94",
    "title": "Commercial",
    "licensee": "Ada Byron",
    "is_test": True,
    "starts_at": "2026-11-26T09:12:44.120377Z",
    "ends_at": "2027-11-26T09:12:44.120377Z",
    "seats": {"count": 3, "kind": "machines", "used": 1},
    "rights": {
        "commercial_use": "yes",
        "derivatives": "yes",
        "redistribution": "no",
        "hosted_service": "conditional",
        "credit": True,
        "share_alike": False,
    },
    "terms_sha256": "036f61cfeb27b447d5361f2e343cc47d5d5272db266aee4ca567ef9b76e35f39",
    "updates": "all",
    "models": [
        {
            "id": "65f1c0a2b7e84d0f9a3b2c1d",
            "name": "regency/austen-gpt2-small",
            "revision": "cb4140ed35905615e3243c1b1e84335458b421ba",
        }
    ],
}
_LICENSE = _FACTS | {
    "code": "VALID",
    "message": "The license is valid.",
    "seller": "regency",
    "holder": "ada",
    "terms_title": "Commercial license",
    "created_at": "2026-11-26T09:12:44.120377Z",
    "key_rotation": 0,
    "suspended_for": "",
    "is_renewable": True,
}
_SUSPENDED = _LICENSE | {
    "code": "SUSPENDED",
    "message": "The license is suspended. Write to its seller.",
    "suspended_for": "The invoice bounced.",
    "is_renewable": False,
}
_ACTIVATION: dict[str, Any] = {
    "id": "6a17ca02b2d34f58a1c07e95",
    "fingerprint": _FINGERPRINT,
    "user": None,
    "label": "build server",
    "created_at": "2026-11-26T09:20:01.551020Z",
    "seen_at": "2026-11-26T09:20:01.551020Z",
    "held_until": None,
    "ended_at": None,
}
_LENT = _ACTIVATION | {
    "held_until": "2026-11-28T09:20:01Z",
    "ended_at": "2026-11-28T09:20:01Z",
}


def _answer(name: str, value: Any, *statuses: str) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=statuses or ("200",))


def _body(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


VALIDATE_BODY = _body(
    "A program on a machine, about to load a model",
    {
        "key": _KEY,
        "scope": {
            "fingerprint": _FINGERPRINT,
            "model": "regency/austen-gpt2-small",
            "revision": "cb4140ed35905615e3243c1b1e84335458b421ba",
            "entitlements": ["commercial_use"],
        },
    },
)
VALID = _answer(
    "Valid",
    {
        "code": "VALID",
        "is_valid": True,
        "message": "The license is valid.",
        "checked_at": "2026-11-26T09:21:10.004511Z",
        "license": _FACTS,
    },
)
NOT_FOUND = _answer(
    "Unknown, or no key at all",
    {
        "code": "NOT_FOUND",
        "is_valid": False,
        "message": "There is no such license. Copy its key from your library.",
        "checked_at": "2026-11-26T09:21:10.004511Z",
        "license": None,
    },
)
ACTIVATE_BODY = _body(
    "A machine", {"key": _KEY, "fingerprint": _FINGERPRINT, "label": "build server"}
)
SEAT_BODY = _body("A machine", {"key": _KEY, "fingerprint": _FINGERPRINT})
NEW_SEAT_BODY = _body("A machine", {"fingerprint": _FINGERPRINT, "label": "build server"})
ACTIVATED = _answer("A machine", _ACTIVATION, "200", "201")
ACTIVATION = _answer("A machine", _ACTIVATION)
DEACTIVATED = _answer("Free at once", _ACTIVATION | {"ended_at": "2026-11-26T10:00:00.120377Z"})
ACTIVATIONS = _answer("One machine", {"results": [_ACTIVATION]})
CHECKOUT_BODY = _body(
    "Two days on a train", {"key": _KEY, "fingerprint": _FINGERPRINT, "hours": 48}
)
HOURS_BODY = _body("Two days on a train", {"fingerprint": _FINGERPRINT, "hours": 48})
CHECKED_OUT = _answer(
    "A file",
    {
        "file": {
            "format": "gpt-store-license/1",
            "license": "eyJhbGciOiJFZERTQSJ9.eyJ2IjoxfQ.c2ln",
        },
        "file_name": "6a17c9e0b2d34f58a1c07e94.gpts-license",
        "expires_at": "2026-11-28T09:20:01Z",
        "activation": _LENT,
    },
    "201",
)
LICENSES = _answer("One license", {"results": [_LICENSE], "next": None})
LICENSE = _answer("A license", _LICENSE)
SUSPENDED = _answer("Suspended", _SUSPENDED)
KEY = _answer("The key", {"key": _KEY, "key_rotation": 0})
NEW_KEY = _answer("The new key", {"key": _KEY, "key_rotation": 1})
ROTATE_BODY = _body("The key that was read", {"key_rotation": 0})
SUSPEND_BODY = _body("Not paid", {"reason": "The invoice bounced."})
LICENSED_FILES = _answer(
    "One file",
    {
        "results": [
            {
                "model": "regency/austen-gpt2-small",
                "path": "model.safetensors",
                "sha256": "036f61cfeb27b447d5361f2e343cc47d5d5272db266aee4ca567ef9b76e35f39",
                "size_bytes": 4449456,
            }
        ],
        "next": None,
    },
)
UPDATES = _answer(
    "One update",
    {
        "results": [
            {
                "model": "regency/austen-gpt2-small",
                "commit": "2ce7037928fa59c1b01c1d54748dc639c0ea6abb",
                "title": "Train longer",
                "at": "2026-12-01T08:00:00Z",
                "is_covered": True,
            }
        ]
    },
)
_SUBSCRIPTION = {
    "license": _FACTS["id"],
    "state": "active",
    "interval": "month",
    "periods": 3,
    "paid_until": "2026-12-26T09:20:01Z",
    "next_charge_at": "2026-12-26T09:20:01Z",
    "is_resumable": False,
    "amount_minor": 2261,
    "later_amount_minor": None,
    "later_from": None,
    "currency": "EUR",
}
SUBSCRIPTION = _answer("Paid by the month", _SUBSCRIPTION)
SUBSCRIPTION_ENDED = _answer(
    "Good until it runs out",
    _SUBSCRIPTION | {"state": "ending", "next_charge_at": None, "is_resumable": True},
)
SUBSCRIPTION_RESUMED = _answer("It goes on as before", _SUBSCRIPTION)
RENEW_BODY = _body("In euros", {"currency": "EUR"})
RENEWAL = _answer(
    "Another year",
    {
        "quote": "6a17cb19b2d34f58a1c07e96",
        "license": _FACTS["id"],
        "expires_at": "2026-11-26T09:51:10.004511Z",
        "currency": "EUR",
        "net_minor": 1900,
        "tax_minor": 361,
        "gross_minor": 2261,
        "terms": [{"sha256": _FACTS["terms_sha256"], "title": "Commercial license"}],
    },
    "201",
)
