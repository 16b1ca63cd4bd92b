"""What the log says, and what it keeps to itself."""

import pytest
from django.test import Client


def test_not_ready_yet_is_no_error_in_the_log(
    client: Client, db: None, caplog: pytest.LogCaptureFixture
) -> None:
    asked = client.get("/readyz")
    missing = client.get("/api/v1/models/nobody/nothing")

    said = [record.getMessage() for record in caplog.records if record.name == "django.request"]
    assert (asked.status_code, missing.status_code) == (503, 404)
    assert said == ["Not Found: /api/v1/models/nobody/nothing"]
