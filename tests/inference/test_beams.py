"""Beam search as people meet it: asked for, paid for, streamed, stopped, refused."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from inference.box.params import SamplingParams
from inference.engines.remote import RemoteEngine
from inference.forms import PlaygroundForm
from inference.models import GenerationRun, UsageRecord
from inference.services import quotas, runs, streams
from inference.services.code_samples import code_samples
from inference.services.params import InvalidParamsError, read_params
from store.core.models import Job
from store.env import RemoteEngine as RemoteSettings
from tests.inference import tiny
from tests.inference.conftest import jobs_done
from tests.inference.test_code_samples import body_of, call_of
from tests.inference.test_generation import _work
from workers.runner import run_job

Ask = Callable[..., GenerationRun]
BEAMS = {"num_beams": 4, "max_new_tokens": 12}


@pytest.fixture
def limited(settings: Any) -> None:
    """A person has 2,000 tokens a day."""
    changed = {"rate_limits": "on", "user_tokens_per_day": 2000}
    settings.ENV = settings.ENV.model_copy(update=changed)


def done(run: GenerationRun) -> GenerationRun:
    run_job(run.job_id or 0)
    run.refresh_from_db()
    return run


@pytest.mark.django_db(transaction=True)
def test_a_run_writes_what_transformers_writes_and_pays_for_every_beam(
    prompted: Ask, real_pool: Any, tiny_folder: Path, limited: None
) -> None:
    run = prompted("Once upon a time", **BEAMS, num_sequences=2, repetition_penalty=1.3)
    assert quotas.left_of(run.payer, now=run.created_at) == 2000 - 48

    done(run)

    assert (run.state, run.error) == ("done", "")
    assert run.texts == tiny.beams(
        tiny_folder, "Once upon a time", 12, num_return_sequences=2, repetition_penalty=1.3
    )
    assert run.new_tokens % 4 == 0
    assert 0 < run.new_tokens <= 48
    assert UsageRecord.objects.get().new_tokens == run.new_tokens
    assert quotas.left_of(run.payer, now=run.created_at) == 2000 - run.new_tokens


@pytest.mark.django_db(transaction=True)
def test_a_stream_counts_meanwhile_and_has_the_text_at_the_end(
    prompted: Ask, real_pool: Any
) -> None:
    run = done(prompted("Once", num_beams=2, max_new_tokens=200))

    events = [event for event in streams.read(run.public_id) if event.kind == "token"]
    counts = [event.data["new_tokens"] for event in events]
    assert counts == sorted(counts)
    with_text = [event.data for event in events if event.data["text"]]
    assert ["".join(data["text"] for data in with_text)] == run.texts
    assert {data["new_tokens"] for data in with_text} == {counts[-1]}


@pytest.mark.django_db(transaction=True)
def test_stopping_one_pays_for_what_was_computed(
    prompted: Ask, as_bob: Viewer, real_pool: Any, limited: None
) -> None:
    run = prompted("Once " * 20, num_beams=8, max_new_tokens=200)
    worker = threading.Thread(target=_work, args=(run.job_id,))
    worker.start()
    until = time.monotonic() + 30
    while streams.transcript(run.public_id).new_tokens < 16 and time.monotonic() < until:
        time.sleep(0.02)

    assert runs.cancel(as_bob, run) is True
    worker.join(timeout=30)

    assert not worker.is_alive()
    run.refresh_from_db()
    assert (run.state, run.texts) == ("cancelled", [""])
    assert 16 <= run.new_tokens < 1600
    assert quotas.left_of(run.payer, now=run.created_at) == 2000 - run.new_tokens
    again = done(prompted("Once", max_new_tokens=4))  # the box is whole
    assert again.state == "done"
    assert again.load_s is not None
    assert again.load_s < 1


@pytest.mark.django_db(transaction=True)
def test_one_that_takes_too_long_keeps_the_best_so_far(
    prompted: Ask, real_pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prompted("Once", num_beams=8, max_new_tokens=1000)
    monkeypatch.setattr(
        "inference.runners.generation._Attempt._is_out_of_time",
        lambda attempt: attempt.new_tokens > 40,
    )

    done(run)

    assert (run.state, run.finish_reasons) == ("done", ["time_limit"])
    assert run.texts[0]
    assert 40 < run.new_tokens < 8000


def test_more_beams_than_the_quota_has_are_refused_and_cost_nothing(
    prompted: Ask, limited: None, as_bob: Viewer
) -> None:
    with pytest.raises(quotas.QuotaExceededError):
        prompted(num_beams=8, max_new_tokens=251)

    assert (GenerationRun.objects.count(), Job.objects.count()) == (0, 0)
    assert prompted(num_beams=8, max_new_tokens=250).reserved_tokens == 2000


def test_a_server_elsewhere_has_none(prompted: Ask, settings: Any) -> None:
    remote = RemoteSettings(models="alice/*", base_url="http://10.0.0.7:8000/v1")  # type: ignore[arg-type]
    settings.ENV = settings.ENV.model_copy(update={"engines": (remote,)})

    with pytest.raises(InvalidParamsError, match="leave num_beams out"):
        prompted(**BEAMS)

    assert (GenerationRun.objects.count(), Job.objects.count()) == (0, 0)
    run = prompted()
    with RemoteEngine(remote).ready(run, alone=False, check=lambda: None) as model:
        words = model.generate("Once", SamplingParams(num_beams=2), request_id="r")
        with pytest.raises(Exception, match="leave num_beams out"):
            next(words)


def test_the_form_takes_beams_and_leaves_drawing_out() -> None:
    custom = {"prompt": "x", "preset": "custom", "temperature": "0.8", "top_k": "50"}
    beams = {"num_beams": "3", "length_penalty": "0.4", "early_stopping": "never"}
    form = PlaygroundForm(custom | beams | {"num_sequences": "2"})

    assert form.is_valid(), form.errors
    params = form.params()
    assert (params.num_beams, params.length_penalty, params.early_stopping) == (3, 0.4, "never")
    assert (params.temperature, params.num_sequences) == (0, 2)
    again = PlaygroundForm(PlaygroundForm.initial_of("x", params.model_dump(mode="json")))
    assert again.is_valid(), again.errors
    assert again.params() == params
    preset = PlaygroundForm({"prompt": "x", "preset": "beams"} | {"num_sequences": "3"})
    assert preset.is_valid(), preset.errors
    assert (preset.params().num_beams, preset.params().num_sequences) == (4, 3)
    drawn = PlaygroundForm(custom | beams | {"preset": "balanced"})
    assert drawn.is_valid(), drawn.errors
    assert (drawn.params().num_beams, drawn.params().temperature) == (1, 0.8)


def test_the_panel_explains_them(client: Client, tiny_repo: ModelRepo) -> None:
    page = client.get("/alice/tiny/playground").content.decode()

    assert 'name="num_beams"' in page
    assert "Every token of every beam counts" in page
    assert "no words appear before the end" in page


def test_code_samples_search_by_the_same_beams(tiny_repo: ModelRepo) -> None:
    params = read_params({**BEAMS, "num_sequences": 2, "early_stopping": True, "seed": 1})

    found = {
        sample.title: sample.code
        for sample in code_samples("http://s", tiny_repo, {}, "Once", params)
    }

    beams = {"num_beams": 4, "early_stopping": True}
    assert call_of(found["transformers"], "generate") == {
        "max_new_tokens": 12,
        "do_sample": False,
        "num_return_sequences": 2,
        **beams,
    }
    sent = {"model": "alice/tiny", "prompt": "Once", "max_tokens": 12, "n": 2}
    assert call_of(found["openai"], "completions.create") == sent | {"extra_body": beams}
    assert body_of(found["curl"]) == sent | beams


def test_by_rest(client: Client, tiny_repo: ModelRepo, bob: User, bearer: Any) -> None:
    def ask(**values: Any) -> Any:
        body = {"model": "alice/tiny", "prompt": "Once", **values}
        path = "/api/v1/generations"
        return client.post(path, body, content_type="application/json", headers=bearer(bob, "read"))

    asked = ask(num_beams=3, early_stopping="never", length_penalty=2)
    refused = ask(num_beams=3, temperature=0.5)

    assert asked.status_code == 201, asked.content
    params = asked.json()["params"]
    assert (params["num_beams"], params["early_stopping"], params["temperature"]) == (3, "never", 0)
    assert refused.status_code == 400
    assert "draws nothing" in refused.json()["error"]["message"]
    assert GenerationRun.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_by_the_openai_door(
    client: Client, tiny_repo: ModelRepo, bob: User, bearer: Any, real_pool: Any, tiny_folder: Path
) -> None:
    headers = bearer(bob, "read")

    def ask(**values: Any) -> Any:
        body = {"model": "alice/tiny", "prompt": "Once upon", "max_tokens": 12, **values}
        return client.post("/v1/completions", body, "application/json", headers=headers)

    with jobs_done(join_s=30):
        whole = ask(num_beams=4, n=2)
        streamed = ask(num_beams=4, stream=True)
        lines = b"".join(streamed.streaming_content).decode().split("\n\n")
    refused = [ask(num_beams=4, temperature=1), ask(num_beams=4, logprobs=1), ask(num_beams=9)]

    expected = tiny.beams(tiny_folder, "Once upon", 12, num_return_sequences=2)
    assert [choice["text"] for choice in whole.json()["choices"]] == expected
    assert whole.json()["usage"]["completion_tokens"] % 4 == 0
    pieces = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    texts = [choice["text"] for piece in pieces for choice in piece["choices"]]
    assert [text for text in texts if text] == expected[:1]
    assert [answer.status_code for answer in refused] == [400, 400, 400]
