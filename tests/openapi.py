"""Holds every answer of the REST API against its published description."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from django.http import HttpResponse
from django.test import Client
from jsonschema import Draft202012Validator, FormatChecker

DESCRIPTION = Path(__file__).resolve().parent.parent / "docs/openapi.json"
UNDESCRIBED = ("/api/v1/openapi.json", "/api/v1/docs")


@cache
def description() -> dict[str, Any]:
    """The committed description."""
    found: dict[str, Any] = json.loads(DESCRIPTION.read_text())
    return found


@cache
def _strict_components() -> dict[str, Any]:
    """The schemas, with "nothing else" added to every answer's: what is not told, is not sent."""
    components: dict[str, Any] = json.loads(json.dumps(description()["components"]))
    for name, schema in components["schemas"].items():
        if name.endswith("Out") and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
    return components


def complaints(schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with ``value``."""
    whole = schema | {"components": _strict_components()}
    checker = Draft202012Validator(whole, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in checker.iter_errors(value)]


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """The described operation that ``method`` on ``path`` is."""
    templates = sorted(description()["paths"], key=lambda template: template.count("{"))
    for template in templates:
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path):
            found: dict[str, Any] | None = description()["paths"][template].get(method.lower())
            return found
    return None


def check(method: str, path: str, answer: HttpResponse) -> None:
    """Fail unless the answer is one that the description promises."""
    operation = operation_of(method, path)
    error = description()["components"]["responses"]["Error"]
    if operation is None:
        assert answer.status_code in {401, 404, 405, 429}, (method, path, answer.status_code)
        promised = error
    else:
        promised = operation["responses"].get(str(answer.status_code), error)
        assert answer.status_code >= 400 or promised is not error, (method, path, answer)
    content = promised.get("content", {})
    if "application/json" in content:
        assert answer["Content-Type"] == "application/json", (path, answer["Content-Type"])
        wrong = complaints(content["application/json"]["schema"], json.loads(answer.content))
        assert wrong == [], (method, path, answer.status_code, wrong)


class CheckedClient(Client):
    """Django's test client; answers under ``/api/v1`` are held against the description."""

    def request(self, **request: Any) -> Any:
        answer = super().request(**request)
        path = request["PATH_INFO"]
        if path.startswith("/api/v1/") and path not in UNDESCRIBED:
            check(request["REQUEST_METHOD"], path, answer)
        return answer
