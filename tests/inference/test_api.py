"""Generations over REST: asked, followed, streamed, stopped; refused with nothing queued."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import ModelRepo
from inference.models import GenerationRun
from store.core.jobs import JobName
from store.core.models import Job
from tests.factories import make_repo
from tests.inference.fakes import FakeBox

URL = "/api/v1/generations"
Headers = dict[str, str]
Bearer = Callable[..., Headers]


def ask(client: Client, headers: Headers, **values: Any) -> Any:
    """Post a request for text."""
    body = {"model": "alice/tiny", "prompt": "Once upon", "max_new_tokens": 8} | values
    return client.post(URL, body, content_type="application/json", headers=headers)


@pytest.fixture
def of_bob(bob: User, bearer: Bearer) -> Headers:
    """A program with bob's token that may read."""
    return bearer(bob, "read")


def test_generation_from_ask_to_text(
    client: Client,
    tiny_repo: ModelRepo,
    of_bob: Headers,
    fake_box: FakeBox,
    run_jobs: Callable[[], list[Job]],
) -> None:
    """It is queued, runs in a worker, and its text is read by its id."""
    asked = ask(client, of_bob, temperature=0)
    assert asked.status_code == 201, asked.content
    queued = asked.json()
    head = client.get("/api/models/alice/tiny").json()["sha"]
    assert (queued["state"], queued["model"], queued["revision"]) == ("queued", "alice/tiny", head)
    assert queued["params"]["max_new_tokens"] == 8

    run_jobs()

    done = client.get(f"{URL}/{queued['id']}", headers=of_bob).json()
    assert (done["state"], done["texts"]) == ("done", ["Hello, world"])
    assert (done["finish_reasons"], done["new_tokens"]) == (["length"], 3)
    assert done["finished_at"] is not None


def test_generation_of_a_revision(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, alice: User, bearer: Bearer
) -> None:
    """``name@revision`` asks that state of the model; an unknown one is named."""
    commit = client.get("/api/models/alice/tiny").json()["sha"]
    tagged = client.post(
        "/api/models/alice/tiny/tag/main",
        {"tag": "v1"},
        content_type="application/json",
        headers=bearer(alice),
    )
    assert tagged.status_code == 200, tagged.content
    assert ask(client, of_bob, model="alice/tiny@v1").json()["revision"] == commit
    unknown = ask(client, of_bob, model="alice/tiny@v2")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "revision_not_found")
    assert GenerationRun.objects.count() == 1


def test_events_stream_the_text(
    client: Client,
    tiny_repo: ModelRepo,
    of_bob: Headers,
    fake_box: FakeBox,
    run_jobs: Callable[[], list[Job]],
) -> None:
    """An event stream may be asked for by its media type, and goes on after an id."""
    run_id = ask(client, of_bob).json()["id"]
    run_jobs()
    headers = of_bob | {"Accept": "text/event-stream"}
    whole = _events(client.get(f"{URL}/{run_id}/events", headers=headers))
    tokens = [event for event in whole if event["event"] == "token"]
    assert "".join(event["data"]["text"] for event in tokens) == "Hello, world"
    assert whole[-1]["event"] == "done"

    headers["Last-Event-ID"] = tokens[0]["id"]
    later = _events(client.get(f"{URL}/{run_id}/events", headers=headers))
    assert [event for event in later if event["event"] == "token"] == tokens[1:]
    assert later[-1]["event"] == "done"


def test_stopping_twice(client: Client, tiny_repo: ModelRepo, of_bob: Headers) -> None:
    """A stopped generation stays stopped; asking again is not an error."""
    run_id = ask(client, of_bob).json()["id"]
    answers = [client.post(f"{URL}/{run_id}/cancel", headers=of_bob) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json()["state"] for answer in answers] == ["cancelled", "cancelled"]
    assert Job.objects.get(name=JobName.GENERATE).state == Job.State.CANCELLED


def test_other_peoples_generations_do_not_exist(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, alice: User, bearer: Bearer
) -> None:
    """Not even for the model's publisher; nothing is stopped."""
    run_id = ask(client, of_bob).json()["id"]
    for headers in (bearer(alice), {}):
        answers = [
            client.get(f"{URL}/{run_id}", headers=headers),
            client.get(f"{URL}/{run_id}/events", headers=headers),
            client.post(f"{URL}/{run_id}/cancel", headers=headers),
        ]
        assert [answer.status_code for answer in answers] == [404] * 3
        assert {answer.json()["error"]["code"] for answer in answers} == {"run_not_found"}
    assert GenerationRun.objects.get().state == GenerationRun.State.QUEUED


@pytest.mark.parametrize(
    ("values", "status", "code"),
    [
        ({"model": "tiny"}, 404, "repo_not_found"),
        ({"model": "alice/none"}, 404, "repo_not_found"),
        ({"model": "alice/secret"}, 404, "repo_not_found"),
        ({"prompt": ""}, 400, "invalid_params"),
        ({"temperature": "hot"}, 400, "invalid"),
        ({"temperature": -1}, 400, "invalid_params"),
        ({"max_new_tokens": 0}, 400, "invalid_params"),
        ({"top_p": 1.5}, 400, "invalid_params"),
        ({"num_sequences": 10_000}, 400, "invalid_params"),
    ],
)
def test_refused_and_nothing_queued(
    client: Client,
    tiny_repo: ModelRepo,
    alice: User,
    of_bob: Headers,
    values: dict[str, Any],
    status: int,
    code: str,
) -> None:
    """Each refusal has a code; a private model looks like an absent one."""
    make_repo(alice, "secret", is_private=True)
    refused = ask(client, of_bob, **values)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert not GenerationRun.objects.exists()
    assert not Job.objects.filter(name=JobName.GENERATE).exists()


def test_nobody_signed_in(client: Client, tiny_repo: ModelRepo) -> None:
    """The REST door is for accounts; visitors have the playground."""
    refused = ask(client, {})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "not_signed_in")
    assert not GenerationRun.objects.exists()


def _events(answer: Any) -> list[dict[str, Any]]:
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/event-stream")
    found = []
    for block in b"".join(answer.streaming_content).decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            found.append(fields | {"data": json.loads(fields["data"])})
    return found
