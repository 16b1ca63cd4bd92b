"""People and teams whose listings the search tests look for."""

import pytest

from accounts.models import User
from tests.factories import make_org


@pytest.fixture
def publishers(alice: User, bob: User) -> None:
    """Alice, Bob, and a team that Alice may read."""
    make_org("team", alice="read")
