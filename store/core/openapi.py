"""What all operations of the REST API share in its OpenAPI description."""

from typing import Any

ERROR_SCHEMA = {
    "type": "object",
    "description": "Every refusal. `code` is stable; `message` says what to do next.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "extra"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "extra": {"type": "object", "description": "Details, by code."},
            },
        }
    },
}
_EXAMPLE = {
    "error": {"code": "repo_not_found", "message": "There is no model a/b here.", "extra": {}}
}
_HEADERS = {
    "RateLimit": {
        "schema": {"type": "string"},
        "description": 'How much is left of the caller\'s window: `"api";r=499;t=230`.',
    },
    "Retry-After": {
        "schema": {"type": "integer"},
        "description": "With 429: seconds until the next try.",
    },
}
ERROR_RESPONSE = {
    "description": "The request was refused (any status from 400 on); nothing was changed.",
    "headers": _HEADERS,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/Error"},
            "examples": {"Error": {"value": _EXAMPLE}},
        }
    },
}


def add_common_parts(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add to a generated schema what refusals look like.

    A postprocessing hook of drf-spectacular.
    """
    components = result.setdefault("components", {})
    components.setdefault("responses", {})["Error"] = ERROR_RESPONSE
    components.setdefault("schemas", {})["Error"] = ERROR_SCHEMA
    for methods in result["paths"].values():
        for operation in methods.values():
            operation["responses"]["default"] = {"$ref": "#/components/responses/Error"}
    return result
