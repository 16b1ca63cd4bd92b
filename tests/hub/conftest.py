"""A repository and who may write to it."""

import pytest

from accounts.models import User
from catalog.models import ModelRepo
from tests.factories import make_repo


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


@pytest.fixture
def write(alice: User, bearer) -> dict:
    return bearer(alice, "write")
