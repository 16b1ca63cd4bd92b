"""The REST API's documentation as a page of the site, made from its own schema."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from drf_spectacular.generators import SchemaGenerator


@cache_control(max_age=300)
def docs_page(request: HttpRequest) -> HttpResponse:
    """Show every operation with its parameters and an example call."""
    generator: Any = SchemaGenerator()  # type: ignore[no-untyped-call]
    schema = generator.get_schema(request=None, public=True)
    return render(request, "api_docs.html", {"groups": _groups(schema), "info": schema["info"]})


def _groups(schema: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the operations by their first path segment."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in schema["paths"].items():
        name = path.removeprefix("/api/v1/").split("/")[0]
        for method, operation in methods.items():
            groups.setdefault(name, []).append(
                {
                    "method": method.upper(),
                    "path": path,
                    "id": operation["operationId"],
                    "summary": operation.get("summary", ""),
                    "description": operation.get("description", ""),
                    "parameters": [
                        {"description": "", **parameter}
                        for parameter in operation.get("parameters", [])
                    ],
                    "needs_token": {} not in operation.get("security", [{}]),
                    "has_body": "requestBody" in operation,
                    "body": _example(operation.get("requestBody", {})),
                    "answer": _example(_success(operation)),
                }
            )
    return groups


def _success(operation: dict[str, Any]) -> dict[str, Any]:
    return next((part for status, part in operation["responses"].items() if status < "3"), {})


def _example(part: dict[str, Any]) -> str:
    """Return the first example of a body or an answer as indented JSON; empty without one."""
    examples = part.get("content", {}).get("application/json", {}).get("examples", {})
    first = next(iter(examples.values()), None)
    return json.dumps(first["value"], indent=2, ensure_ascii=False) if first else ""
