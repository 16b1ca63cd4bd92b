"""Real answers, shortened, for the REST API's description; each is tested against its schema."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_LISTING: dict[str, Any] = {
    "id": "regency/austen-gpt2-small",
    "url": "https://store.example/regency/austen-gpt2-small",
    "summary": "A GPT-2 of 2,222,208 parameters, trained from scratch on five novels.",
    "is_private": False,
    "task": "text-generation",
    "library": "transformers",
    "licenses": ["cc0-1.0"],
    "commercial_use": "yes",
    "languages": ["en"],
    "tags": ["transformers", "safetensors", "gpt2", "text-generation", "en", "license:cc0-1.0"],
    "base_models": [],
    "verdict": "clean",
    "is_runnable": True,
    "facts": {
        "architecture": "GPT2LMHeadModel",
        "parameters": 2222208,
        "dtype": "F16",
        "quantization": "",
        "context_length": 256,
        "vocabulary": 2048,
        "formats": ["safetensors"],
        "weights_bytes": 4449456,
        "total_bytes": 4612737,
    },
    "price_kinds": ["free", "paid"],
    "prices": [{"currency": "EUR", "amount_minor": 1900, "amount": "19.00"}],
    "likes": 12,
    "downloads": 340,
    "downloads_all_time": 2210,
    "created_at": "2026-11-24T02:19:05.471377Z",
    "updated_at": "2026-11-24T02:19:05.618798Z",
}
_COMMIT = "cb4140ed35905615e3243c1b1e84335458b421ba"


def _answer(name: str, value: Any, *statuses: str) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=statuses or ("200",))


MODELS = _answer(
    "One page",
    {
        "results": [_LISTING],
        "next": "WyJyZWxldmFuY2Uuc2NvcmVkIiwxLjA5LDNd",
        "total": 3,
        "currency": "EUR",
        "facets": [
            {
                "name": "license",
                "label": "License",
                "is_histogram": False,
                "values": [
                    {"value": "cc0-1.0", "label": "cc0-1.0", "count": 3, "is_selected": False}
                ],
            }
        ],
    },
)
MODEL = _answer(
    "A model",
    _LISTING
    | {
        "revision": _COMMIT,
        "not_runnable_reason": "",
        "card": {"license": "cc0-1.0", "language": ["en"], "pipeline_tag": "text-generation"},
        "card_warnings": [],
    },
    "200",
    "201",
)
NEW_MODEL = OpenApiExample("New", value={"name": "my-gpt", "is_private": True}, request_only=True)
MODEL_SETTINGS = OpenApiExample(
    "Rename and open", value={"name": "my-gpt-2", "is_private": False}, request_only=True
)
FILES = _answer(
    "One page",
    {
        "revision": _COMMIT,
        "results": [
            {
                "path": "model.safetensors",
                "size_bytes": 4449456,
                "oid": "1ad03b31c963ce3cacc92a48140ddd9c3539a670",
                "sha256": "036f61cfeb27b447d5361f2e343cc47d5d5272db266aee4ca567ef9b76e35f39",
                "verdict": "clean",
                "reason": "Its header is sound; weights are only numbers.",
                "download_url": "https://store.example/regency/austen-gpt2-small/resolve/"
                f"{_COMMIT}/model.safetensors",
            }
        ],
        "next": None,
        "total": 1,
    },
)
REVISIONS = _answer(
    "One page",
    {
        "results": [
            {
                "oid": _COMMIT,
                "parent_oid": "2ce7037928fa59c1b01c1d54748dc639c0ea6abb",
                "title": "Publish austen-gpt2-small",
                "message": "",
                "author": "ada",
                "authored_at": "2026-11-24T02:19:05Z",
            }
        ],
        "next": "WyIyY2U3MDM3OTI4ZmE1OWMxYjAxYzFkNTQ3NDhkYzYzOWMwZWE2YWJiIl0",
    },
)
FOUND = _answer(
    "One place",
    {
        "results": [
            {
                "model": "regency/austen-gpt2-small",
                "path": "model.safetensors",
                "size_bytes": 4449456,
                "verdict": "clean",
            }
        ]
    },
)
STORAGE = _answer(
    "A person in one organization",
    {
        "results": [
            {"namespace": "ada", "used_bytes": 0, "quota_bytes": 107374182400},
            {"namespace": "regency", "used_bytes": 11662545, "quota_bytes": None},
        ]
    },
)
