"""What goes on while Valkey is away: nobody is counted, and nobody is kept out."""

import logging

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import ModelRepo
from store.core import ratelimit
from tests.factories import make_repo
from tests.hub.talk import commit, opened, post, put
from tests.hub.xet.calling import XetClient, made

pytestmark = pytest.mark.usefixtures("valkey_away")


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


def test_xet_serves_and_takes(client: Client, repo: ModelRepo, alice: User, bearer) -> None:
    """Tokens, an upload, a commit and what it can be put together from, for anybody."""
    mine, visitor = XetClient(client, bearer(alice)), XetClient(client, {})
    weights = made()

    mine.publish({"a.bin": weights})

    for reader in (mine, visitor):
        answer = reader.get(f"/v2/reconstructions/{weights.file}")
        assert answer.status_code == 200
        assert reader.fetch(answer.json()) == weights.content


def test_people_commit_and_talk(
    client: Client,
    repo: ModelRepo,
    alice: User,
    bob: User,
    bearer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is said once, not at each request."""
    monkeypatch.setattr(ratelimit, "_warned_at", float("-inf"))
    with caplog.at_level(logging.WARNING, logger="store.core.ratelimit"):
        answer = commit(client, bearer(alice), put("a.txt", "words\n"), to="main")
        number = opened(client, bearer(bob))
        said = post(client, f"/{number}/comment", bearer(bob), comment="Hello")

    assert answer.status_code == 200, answer.content
    assert client.get("/alice/tiny/resolve/main/a.txt").status_code == 200
    assert said.status_code == 200, said.content
    said_once = [one.message for one in caplog.records if one.name == "store.core.ratelimit"]
    assert said_once == ["requests are not limited: Valkey does not answer"]
