"""These readers know no database, no cache and no disk: their tests start none."""

import pytest


@pytest.fixture(autouse=True)
def clean_valkey() -> None:
    """Replaces the fixture of the same name: nothing to clean."""


@pytest.fixture(autouse=True)
def own_folders() -> None:
    """Replaces the fixture of the same name: no folders are used."""
