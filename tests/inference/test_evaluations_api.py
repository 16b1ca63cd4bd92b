"""Evaluations over REST: asked, read, paged, downloaded, noted; refused with nothing changed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from inference.models import EvaluationNote, EvaluationRun, Sample, Score, Suite
from inference.services import datasets, evaluations, suites
from store.core.models import Job
from tests.inference.measured import FIRST, add_samples, add_shards

MODEL = "/api/v1/models/alice/tiny/evaluations"
Headers = dict[str, str]
Bearer = Callable[..., Headers]
NOBODY: Headers = {}


@pytest.fixture
def of_bob(bob: User, bearer: Bearer) -> Headers:
    """A program with bob's token that may write."""
    return bearer(bob, "write")


@pytest.fixture
def done(tiny_repo: ModelRepo, as_bob: Viewer) -> EvaluationRun:
    """A run with three samples and a score."""
    run, _ = evaluations.ask(as_bob, tiny_repo, suites.builtin("next-word"))
    for index in range(3):
        Sample.objects.create(
            run=run,
            task="novels",
            index=index,
            prompt="Für",
            expected=" x",
            metrics={"acc": 1},
            facts={"logprobs": [-1.0]},
        )
    Score.objects.create(run=run, task="novels", metric="acc", value=1.0, low=0.4, high=1.0)
    Job.objects.update(state="done")
    EvaluationRun.objects.update(state="done", record={"seed": 1})
    run.refresh_from_db()
    return run


def post(client: Client, url: str, body: Any, headers: Headers | None = None) -> Any:
    """Post JSON."""
    return client.post(url, body, content_type="application/json", headers=headers or {})


def test_an_evaluation_is_asked_for_and_found(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers
) -> None:
    asked = post(client, MODEL, {"suite": "copying"}, of_bob)
    again = post(client, MODEL, {"suite": "copying", "revision": "main"}, of_bob)

    assert (asked.status_code, again.status_code) == (201, 200)
    body = asked.json()
    assert body["id"] == again.json()["id"]
    assert (body["state"], body["model"], body["by_store"]) == ("queued", "alice/tiny", False)
    assert body["progress"] == {"done": 0, "total": 0, "seconds_left": None}
    (listed,) = client.get(MODEL).json()["results"]
    assert listed["suite"]["key"] == "copying"
    assert client.get(f"{MODEL}?suite=text").json()["results"] == []
    assert client.get(f"/api/v1/evaluations/{body['id']}").json()["record"] == {}
    stopped = post(client, f"/api/v1/evaluations/{body['id']}/cancel", {}, of_bob).json()
    assert stopped["state"] == "cancelled"
    retried = post(client, f"/api/v1/evaluations/{body['id']}/retry", {}, of_bob).json()
    assert retried["state"] == "queued"


def test_refusals_are_typed_and_change_nothing(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, as_bob: Viewer, settings: Any
) -> None:
    own = datasets.add_dataset(as_bob, "mine", b'{"prompt": "a", "answer": "b"}')
    for headers, body, status, code in (
        ({}, {"suite": "copying"}, 401, "not_signed_in"),
        (of_bob, {"suite": "absent"}, 404, "suite_not_found"),
        (of_bob, {"suite": "lm-eval/arc_easy"}, 400, "task_not_allowed"),
        (of_bob, {"suite": "copying", "revision": "nowhere"}, 404, "revision_not_found"),
        (of_bob, {}, 400, "invalid"),
    ):
        answer = post(client, MODEL, body, headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), body
    assert client.get("/api/v1/evaluations/absent").status_code == 404
    assert client.get(f"/api/v1/suites/{own.public_id}").status_code == 404
    assert not EvaluationRun.objects.exists()


def test_samples_are_paged_and_downloaded(client: Client, done: EvaluationRun) -> None:
    url = f"/api/v1/evaluations/{done.public_id}/samples"

    first = client.get(f"{url}?limit=2").json()
    second = client.get(f"{url}?limit=2&cursor={first['next']}").json()

    found = [row["index"] for row in (*first["results"], *second["results"])]
    assert (found, second["next"]) == ([0, 1, 2], None)
    assert client.get(f"{url}?task=absent").json()["results"] == []
    assert client.get(f"{url}?cursor=nonsense").status_code == 400
    file = client.get(f"{url}.jsonl")
    lines = [json.loads(line) for line in file.getvalue().decode().splitlines()]
    assert file["Content-Type"] == "application/x-ndjson"
    assert [line["index"] for line in lines] == [0, 1, 2]
    assert lines[0]["prompt"] == "Für"


def test_nobody_reads_along_and_a_stopped_run_says_how_far_it_was(
    client: Client, tiny_repo: ModelRepo, alice: User, bearer: Bearer
) -> None:
    of_alice = bearer(alice, "write")  # the publisher, who would stop it before a bad score
    asked = post(client, MODEL, {"suite": "copying"}, of_alice).json()
    run = EvaluationRun.objects.get(public_id=asked["id"])
    add_shards(run, done=2, total=5)
    add_samples(run, [0.0] * 20)
    EvaluationRun.objects.update(state="running", started_at=FIRST)
    url = f"/api/v1/evaluations/{run.public_id}"

    for tail in ("/samples", "/samples.jsonl"):
        answer = client.get(url + tail, headers=of_alice)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "samples_not_yet")
        assert "20 of 50 samples are done" in answer.json()["error"]["message"]
    assert "What is 0 + 1?" not in client.get(f"/alice/tiny/evaluations/{asked['id']}").text
    assert Sample.objects.filter(run=run).count() == 20

    assert post(client, f"{url}/cancel", {}, of_alice).json()["state"] == "cancelled"

    (listed,) = client.get(MODEL).json()["results"]  # a visitor sees that it was, and its answers
    assert (listed["id"], listed["state"]) == (asked["id"], "cancelled")
    assert client.get(url).json()["progress"]["done"] == 20
    assert len(client.get(f"{url}/samples").json()["results"]) == 20
    for page in ("/alice/tiny/evaluations", f"/alice/tiny/evaluations/{asked['id']}"):
        assert "Stopped after 20 of 50 samples" in client.get(page).text


def test_a_private_run_is_not_there_for_others(
    client: Client, tiny_repo: ModelRepo, as_bob: Viewer, of_bob: Headers, alice: User, bearer: Any
) -> None:
    suite = datasets.add_dataset(as_bob, "mine", b'{"prompt": "a", "answer": "b"}')
    run, _ = evaluations.ask(as_bob, tiny_repo, suite)
    Job.objects.update(state="done")
    EvaluationRun.objects.update(state="done")
    of_alice = bearer(alice, "admin")
    url = f"/api/v1/evaluations/{run.public_id}"

    for tail in ("", "/samples", "/samples.jsonl", "/notes"):
        assert client.get(url + tail, headers=of_bob).status_code == 200
        for headers in (NOBODY, of_alice):
            hidden = client.get(url + tail, headers=headers)
            absent = client.get(f"/api/v1/evaluations/{'0' * 24}{tail}", headers=headers)
            assert hidden.status_code == absent.status_code == 404
            assert hidden.json() == absent.json()
    assert client.get(MODEL).json()["results"] == []
    assert len(client.get(MODEL, headers=of_bob).json()["results"]) == 1
    EvaluationRun.objects.update(record={"scores_only": True})
    told = client.get(f"{url}/samples", headers=of_bob)
    assert (told.status_code, told.json()["error"]["code"]) == (403, "scores_only")


def test_the_publisher_notes_something(
    client: Client, done: EvaluationRun, of_bob: Headers, alice: User, bearer: Bearer
) -> None:
    url = f"/api/v1/evaluations/{done.public_id}/notes"

    noted = post(client, url, {"text": "We dispute this."}, bearer(alice, "write"))

    assert noted.status_code == 201
    (note,) = client.get(url).json()["results"]
    assert (note["author"], note["text"]) == ("alice", "We dispute this.")
    assert post(client, url, {"text": "I too."}, of_bob).status_code == 403
    assert post(client, url, {"text": "I too."}).status_code == 401
    assert post(client, url, {"text": "x"}, bearer(alice, "read")).status_code == 403
    assert EvaluationNote.objects.count() == 1
    for method in (client.put, client.patch, client.delete):  # nobody edits or removes a run
        gone = method(f"/api/v1/evaluations/{done.public_id}", headers=bearer(alice, "admin"))
        assert gone.status_code == 405
    assert EvaluationRun.objects.get().scores.count() == 1


def test_suites_are_listed_read_made_and_deleted(client: Client, of_bob: Headers, db: None) -> None:
    listed = client.get("/api/v1/suites").json()
    assert {"text", "speed", "quick"} <= {suite["key"] for suite in listed["results"]}
    body = {"name": "mine", "jsonl": '{"prompt": "a", "answer": "b"}\n'}

    made = post(client, "/api/v1/suites", body, of_bob)

    assert made.status_code == 201
    url = f"/api/v1/suites/{made.json()['id']}"
    assert client.get(url, headers=of_bob).json()["spec"]["tasks"][0]["rows"]
    assert client.get(url).status_code == 404
    assert "bob/mine" not in str(client.get("/api/v1/suites").json())
    assert "bob/mine" in str(client.get("/api/v1/suites", headers=of_bob).json())
    assert post(client, "/api/v1/suites", body | {"jsonl": "x"}, of_bob).status_code == 400
    assert post(client, "/api/v1/suites", body).status_code == 401
    assert client.delete(url).status_code == 401
    assert client.delete(url, headers=of_bob).status_code == 204
    assert not Suite.objects.filter(kind="dataset").exists()


def test_a_list_costs_few_queries(
    client: Client, done: EvaluationRun, as_bob: Viewer, tiny_repo: ModelRepo
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as one:
        client.get(MODEL)
    for key in ("bias", "text", "copying"):
        evaluations.ask(as_bob, tiny_repo, suites.builtin(key))
    with CaptureQueriesContext(connection) as four:
        client.get(MODEL)

    assert len(four) - len(one) <= 2 * 3  # progress and place of each
