"""Real answers for the REST API's description; each is tested against its schema."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_TOKEN: dict[str, Any] = {
    "id": 7,
    "name": "laptop",
    "tail": "x9Qk",
    "scopes": ["write"],
    "is_fine_grained": False,
    "created_at": "2026-11-24T02:19:05.471377Z",
    "expires_at": None,
    "last_used_at": None,
    "revoked_at": None,
}
_ORGANIZATION: dict[str, Any] = {
    "name": "regency",
    "full_name": "Regency Models",
    "bio": "Small models of old novels.",
    "homepage": "",
    "is_private_by_default": False,
    "members": [{"name": "ada", "full_name": "Ada Publisher", "role": "admin"}],
}


def _answer(name: str, value: Any, status: str = "200") -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=(status,))


def _body(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


ME = _answer(
    "Ada",
    {
        "name": "ada",
        "full_name": "Ada Publisher",
        "email": "ada@example.org",
        "is_staff": False,
        "organizations": {"regency": "admin"},
    },
)
TOKENS = _answer("One token", {"results": [_TOKEN]})
TOKEN_BODY = _body("Laptop", {"name": "laptop", "scopes": ["write"]})
NEW_TOKEN = _answer(
    "Its only showing", _TOKEN | {"token": "hf_0123456789abcdefghijklmnopqrstuvwx"}, "201"
)
ORGANIZATION_BODY = _body("A lab", {"name": "regency", "full_name": "Regency Models"})
NEW_ORGANIZATION = _answer("New", _ORGANIZATION, "201")
ORGANIZATION = _answer("A lab", _ORGANIZATION)
ROLE_BODY = _body("A writer", {"role": "write"})
