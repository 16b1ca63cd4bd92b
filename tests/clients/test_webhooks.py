"""Webhooks by the hub's own client and command, delivered by a live store to real receivers."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import HfApi, WebhookInfo, WebhookWatchedItem
from huggingface_hub._webhooks_payload import WebhookPayload
from huggingface_hub.errors import BadRequestError, HfHubHTTPError
from standardwebhooks.webhooks import Webhook as Verifier

from tests import receivers
from tests.live import LiveStore
from tests.receivers import Receiver

WATCHED = [
    WebhookWatchedItem(type="user", name="julien-c"),
    WebhookWatchedItem(type="org", name="HuggingFaceH4"),
]
URL = "https://webhook.site/test"


@pytest.fixture
def me(publisher: HfApi) -> str:
    """The publisher's name."""
    return str(publisher.whoami()["name"])


def test_the_life_of_a_webhook(publisher: HfApi) -> None:
    made = publisher.create_webhook(url=URL, watched=WATCHED, domains=["repo"], secret="my-secret")
    assert made == WebhookInfo(
        id=made.id,
        url=URL,
        job=None,
        watched=WATCHED,
        domains=["repo"],
        secret="my-secret",
        disabled=False,
    )
    other = publisher.create_webhook(url=URL, watched=[{"type": "model", "name": "gpt2"}])
    assert (other.domains, other.secret) == (["repo", "discussion"], None)

    assert publisher.get_webhook(made.id).watched == WATCHED
    assert [item.id for item in publisher.list_webhooks()] == [made.id, other.id]
    assert publisher.list_webhooks()[0].secret is None

    moved = publisher.update_webhook(made.id, url="https://webhook.site/new")
    assert (moved.url, moved.watched, moved.domains) == (
        "https://webhook.site/new",
        WATCHED,
        ["repo"],
    )
    changed = publisher.update_webhook(
        made.id, watched=WATCHED[:1], domains=["discussion"], secret="another"
    )
    assert (changed.watched, changed.domains, changed.secret) == (
        WATCHED[:1],
        ["discussion"],
        "another",
    )
    assert publisher.disable_webhook(made.id).disabled is True
    assert publisher.get_webhook(made.id).disabled is True
    assert publisher.enable_webhook(made.id).disabled is False

    publisher.delete_webhook(made.id)
    with pytest.raises(HfHubHTTPError) as caught:
        publisher.get_webhook(made.id)
    assert caught.value.response.status_code == 404
    assert [item.id for item in publisher.list_webhooks()] == [other.id]


def test_refusals_are_readable(publisher: HfApi, store: LiveStore) -> None:
    with pytest.raises(BadRequestError, match="does not send to this address"):
        publisher.create_webhook(url="http://10.0.0.1/", watched=WATCHED)
    with pytest.raises(BadRequestError, match="Name at least one"):
        publisher.create_webhook(url=URL, watched=[])
    with pytest.raises(BadRequestError, match="runs no jobs"):
        publisher.create_webhook(job_id="abc", watched=WATCHED)
    with pytest.raises(HfHubHTTPError):
        HfApi(endpoint=store.url, token=False).list_webhooks()

    assert publisher.list_webhooks() == []


def hf(store: LiveStore, token: str, home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the hub's command."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "hf"), "webhooks", *args],
        env=os.environ | {"HF_ENDPOINT": store.url, "HF_TOKEN": token, "HF_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command(store: LiveStore, tmp_path: Path) -> None:
    _, token = store.person()

    made = hf(
        *(store, token, tmp_path, "create", "--url", URL, "--watch", "model:gpt2"),
        *("--watch", "org:HuggingFace", "--domain", "repo", "--secret", "s3cret"),
    )
    assert made.returncode == 0, made.stderr
    listed = json.loads(hf(store, token, tmp_path, "ls", "--format", "json").stdout)
    ident = listed[0]["id"]
    assert listed == [
        {
            "id": ident,
            "url": URL,
            "disabled": False,
            "domains": ["repo"],
            "watched": ["model:gpt2", "org:HuggingFace"],
        }
    ]
    for args in (("disable", ident), ("enable", ident), ("update", ident, "--url", URL + "2")):
        done = hf(store, token, tmp_path, *args)
        assert done.returncode == 0, done.stderr
    shown = hf(store, token, tmp_path, "info", ident, "--format", "json").stdout
    assert (json.loads(shown)["url"], "s3cret" in shown) == (URL + "2", False)
    assert hf(store, token, tmp_path, "delete", ident, "--yes").returncode == 0
    gone = hf(store, token, tmp_path, "info", ident)
    assert gone.returncode == 1
    assert "You have no such webhook" in gone.stderr


def test_what_happens_is_told(store: LiveStore, publisher: HfApi, me: str) -> None:
    with Receiver() as receiver:
        made = store.ask(
            "/api/settings/webhooks",
            publisher.token,
            body={
                "url": receiver.url,
                "watched": [{"type": "user", "name": me}],
                "secret": "my-secret",
            },
        )["webhook"]
        publisher.create_repo(f"{me}/tiny")
        commit = publisher.upload_file(
            path_or_fileobj=b"hello", path_in_repo="a.txt", repo_id=f"{me}/tiny"
        )
        publisher.update_repo_settings(f"{me}/tiny", private=True)
        publisher.move_repo(f"{me}/tiny", f"{me}/big")
        publisher.delete_repo(f"{me}/big")
        requests = list(receiver.wait_for(5))

    verifier = Verifier(made["signingKey"])
    told = {}
    for request in requests:
        verifier.verify(request.body, request.headers)
        assert request.headers["x-webhook-secret"] == "my-secret"
        payload = WebhookPayload.model_validate_json(request.body)
        assert payload.webhook.id == made["id"]
        told[payload.event.scope, payload.event.action] = json.loads(request.body)
    assert set(told) == {
        ("repo", "create"),
        ("repo.content", "update"),
        ("repo.config", "update"),
        ("repo", "move"),
        ("repo", "delete"),
    }
    [ref] = told["repo.content", "update"]["updatedRefs"]
    assert (ref["ref"], ref["newSha"]) == ("refs/heads/main", commit.oid)
    assert told["repo.config", "update"]["updatedConfig"] == {"private": True}
    assert told["repo", "move"]["movedTo"]["name"] == f"{me}/big"
    assert told["repo", "delete"]["repo"]["name"] == f"{me}/big"


def test_a_receiver_that_hangs_delays_nobody(store: LiveStore, publisher: HfApi, me: str) -> None:
    _, token = store.person()
    neighbour = HfApi(endpoint=store.url, token=token)
    watched = [WebhookWatchedItem(type="user", name=me)]
    publisher.create_repo(f"{me}/tiny")
    with Receiver(receivers.hang) as dead, Receiver() as well:
        for _ in range(8):
            publisher.create_webhook(url=dead.url, watched=watched)
        dead_until = time.monotonic() + 10
        publisher.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=f"{me}/tiny")
        dead.wait_for(4)
        neighbour.create_webhook(url=well.url, watched=watched)
        started = time.monotonic()
        publisher.upload_file(path_or_fileobj=b"2", path_in_repo="a", repo_id=f"{me}/tiny")
        committed = time.monotonic()
        [request] = well.wait_for(1)

        assert started < dead_until, "the machine is too slow to tell anything"
        assert request.at - committed < 5


def test_a_receiver_that_recovers_gets_it_later(
    store: LiveStore, publisher: HfApi, me: str
) -> None:
    publisher.create_repo(f"{me}/tiny")
    with Receiver(receivers.status(503, 200)) as receiver:
        publisher.create_webhook(
            url=receiver.url, watched=[WebhookWatchedItem(type="model", name=f"{me}/tiny")]
        )
        publisher.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=f"{me}/tiny")
        first, second = receiver.wait_for(2, within_s=60)

    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert 7 < second.at - first.at < 40
