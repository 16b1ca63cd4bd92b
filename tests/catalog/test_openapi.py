"""The description of the REST API is current, and its examples are what it describes."""

from typing import Any

import pytest
from django.test import Client

from tests.openapi import complaints, description


def test_the_committed_description_is_current(client: Client, db: None) -> None:
    served = client.get("/api/v1/openapi.json").json()

    assert served["openapi"].startswith("3.1")
    assert served == description()


def contents(where: str) -> list[Any]:
    """(operation, content) of every body or answer in JSON."""
    found = []
    for methods in description()["paths"].values():
        for operation in methods.values():
            parts = operation["responses"].values() if where == "responses" else [operation]
            for part in parts:
                holder = part if where == "responses" else part.get("requestBody", {})
                content = holder.get("content", {}).get("application/json")
                if content:
                    found.append((operation["operationId"], content))
    return found


@pytest.mark.parametrize("where", ["responses", "requestBody"])
def test_every_operation_has_an_example_that_fits(where: str) -> None:
    found = contents(where)
    assert len(found) > 5

    for name, content in found:
        assert content.get("examples"), f"{name} has no example"
        for example in content["examples"].values():
            assert complaints(content["schema"], example["value"]) == [], name


def test_errors_are_described_everywhere() -> None:
    for methods in description()["paths"].values():
        for operation in methods.values():
            assert operation["responses"]["default"] == {"$ref": "#/components/responses/Error"}


def test_a_wrong_answer_would_be_noticed() -> None:
    schema = {"$ref": "#/components/schemas/MeOut"}

    assert complaints(schema, {"name": "ada"}) != []
    assert complaints(schema, {"name": 1}) != []
