"""People with Xet clients."""

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import ModelRepo
from tests.factories import make_repo
from tests.hub.xet.calling import XetClient


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    """Alice's public model."""
    return make_repo(alice)


@pytest.fixture
def secret(alice: User) -> ModelRepo:
    """Alice's private model."""
    return make_repo(alice, "secret", is_private=True)


@pytest.fixture
def mine(client: Client, repo: ModelRepo, bearer, alice: User) -> XetClient:
    """Alice at her public model."""
    return XetClient(client, bearer(alice))


@pytest.fixture
def hidden(client: Client, secret: ModelRepo, bearer, alice: User) -> XetClient:
    """Alice at her private model."""
    return XetClient(client, bearer(alice), "alice/secret")


@pytest.fixture
def stranger(client: Client, repo: ModelRepo, bearer, bob: User) -> XetClient:
    """Bob at alice's public model."""
    return XetClient(client, bearer(bob))


@pytest.fixture
def bobs(client: Client, bearer, bob: User) -> XetClient:
    """Bob at a model of his own."""
    make_repo(bob, "own")
    return XetClient(client, bearer(bob), "bob/own")


@pytest.fixture
def visitor(client: Client, repo: ModelRepo) -> XetClient:
    """Nobody at alice's public model."""
    return XetClient(client, {})


def at_once(settings, size_bytes: int) -> None:
    """Hash so much of an upload while the client waits."""
    settings.ENV = settings.ENV.model_copy(update={"xet_verify_at_once_bytes": size_bytes})


@pytest.fixture
def verify_later(settings) -> None:
    """Every file is a claim until a job has read it."""
    at_once(settings, 0)
