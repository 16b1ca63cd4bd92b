"""Licenses and keys for tests."""

import hashlib
from dataclasses import replace
from typing import Any

from licensing.documents.document import (
    CoveredFile,
    CoveredModel,
    LicenseDocument,
    Licensee,
    Seats,
    Terms,
)

NOW_S = 1_700_000_000
DAY_S = 86_400


def covered(path: str, content: bytes) -> CoveredFile:
    """A licensed file with this content."""
    return CoveredFile(path, hashlib.sha256(content).hexdigest(), len(content))


MODEL = CoveredModel(
    id="6543210fedcba98765432100",
    name="alice/poet",
    revision="a" * 40,
    line="main",
    files=(covered("config.json", b"{}"), covered("model.safetensors", b"weights")),
)


def a_license(**changes: Any) -> LicenseDocument:
    """A license of bob's for alice's model."""
    made = LicenseDocument(
        store="https://models.example.org",
        license_id="0123456789abcdef01234567",
        issued_at=NOW_S,
        valid_from=NOW_S,
        file_expires_at=NOW_S + 30 * DAY_S,
        license_expires_at=NOW_S + 365 * DAY_S,
        licensee=Licensee(name="Zoë & Söhne 詩人", kind="organization", id="42"),
        seats=Seats(count=5, kind="people"),
        rights={"commercial": True, "derivatives": False, "credit": "required"},
        terms=Terms(sha256="b" * 64, title="Research license 1.0", url=""),
        offer="Research, one year",
        updates="major",
        is_test=False,
        models=(MODEL,),
    )
    return replace(made, **changes)
