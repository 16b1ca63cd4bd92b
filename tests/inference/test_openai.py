"""The OpenAI-compatible API, view by view: shapes, refusals, and what is queued."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from catalog.models import ModelRepo, RepoAlias
from inference.models import GenerationRun, UsageRecord
from inference.services import quotas
from store.core.models import Job
from tests.factories import make_org, make_repo
from tests.inference.fakes import FakeBox
from tests.inference.test_trials import sell
from workers.runner import run_job

Headers = dict[str, str]
Bearer = Callable[..., Headers]
COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"


@pytest.fixture
def of_bob(bob: User, bearer: Bearer) -> Headers:
    """A program with bob's token that may read."""
    return bearer(bob, "read")


@pytest.fixture
def worker(fake_box: FakeBox, transactional_db: None) -> Iterator[FakeBox]:
    """A worker that takes what is queued, in a thread."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            for job in Job.objects.filter(state=Job.State.QUEUED, name="inference.generate"):
                run_job(job.pk)
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield fake_box
    over.set()
    thread.join(timeout=30)


def post(client: Client, path: str, headers: Headers, **values: Any) -> Any:
    usual: dict[str, Any] = {"model": "alice/tiny"}
    usual |= {"prompt": "Once upon"} if path == COMPLETIONS else {}
    return client.post(path, usual | values, content_type="application/json", headers=headers)


def pieces(answer: Any) -> list[Any]:
    """Read a stream: the JSON of each piece, and the word at its end."""
    lines = b"".join(answer.streaming_content).decode().split("\n\n")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [each if each == "[DONE]" else json.loads(each) for each in data]


def test_a_completion_has_the_shape_clients_expect(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, worker: FakeBox
) -> None:
    answer = post(client, COMPLETIONS, of_bob, echo=True)

    assert answer.status_code == 200, answer.content
    body = answer.json()
    run = GenerationRun.objects.get()
    assert body == {
        "id": f"cmpl-{run.public_id}",
        "object": "text_completion",
        "created": int(run.created_at.timestamp()),
        "model": "alice/tiny",
        "system_fingerprint": run.commit_oid,
        "choices": [
            {
                "index": 0,
                "finish_reason": "length",
                "text": "Once uponHello, world",
                "logprobs": None,
            }
        ],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
    }
    assert run.params["max_new_tokens"] == 16
    assert (run.params["temperature"], run.params["top_p"], run.params["top_k"]) == (1.0, 1.0, 0)
    assert answer["Access-Control-Allow-Origin"] == "*"


def test_a_stream_says_the_same_piece_by_piece(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, worker: FakeBox
) -> None:
    worker.texts = [["a", "b"], ["c"]]

    answer = post(
        client, COMPLETIONS, of_bob, n=2, stream=True, stream_options={"include_usage": True}
    )

    assert answer["Content-Type"] == "text/event-stream"
    *found, usage, done = pieces(answer)
    assert done == "[DONE]"
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 3)
    texts = ["", ""]
    for piece in found:
        assert piece["usage"] is None
        for choice in piece["choices"]:
            texts[choice["index"]] += choice["text"]
    assert texts == ["ab", "c"]
    ends = [choice["finish_reason"] for piece in found for choice in piece["choices"]]
    assert [end for end in ends if end] == ["length", "length"]


def test_several_prompts_are_streamed_side_by_side(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, worker: FakeBox
) -> None:
    worker.texts = [["a", "b"], ["c"]]

    answer = post(
        client,
        COMPLETIONS,
        of_bob,
        prompt=["Once upon", "Twice"],
        echo=True,
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    )

    *found, usage, done = pieces(answer)
    assert done == "[DONE]"
    assert usage["usage"] == {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}
    assert len({piece["id"] for piece in found}) == 1
    texts = [""] * 4
    for piece in found:
        for choice in piece["choices"]:
            texts[choice["index"]] += choice["text"]
    assert texts == ["Once uponab", "Once uponc", "Twiceab", "Twicec"]
    ends = [choice["finish_reason"] for piece in found for choice in piece["choices"]]
    assert [end for end in ends if end] == ["length"] * 4


def test_one_that_fails_ends_the_stream_and_stops_the_others(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, worker: FakeBox
) -> None:
    from inference.box.errors import ModelRefusedError

    never = threading.Event()
    worker.texts = [["word "] * 50]

    def before_token(count: int) -> None:
        if worker.asked[-1][0] == "first" and count == 2:
            raise ModelRefusedError("There are numbers that are none.", reason="not_finite")
        never.wait(0.1)

    worker.before_token = before_token

    answer = post(
        client, COMPLETIONS, of_bob, prompt=["first", "second"], stream=True, max_tokens=60
    )
    *found, failure = pieces(answer)
    answer.close()

    assert failure["error"]["code"] == "not_finite"
    assert {piece["choices"][0]["index"] for piece in found} <= {0, 1}
    states = dict(GenerationRun.objects.values_list("prompt", "state"))
    assert states == {"first": "failed", "second": "cancelled"}


def test_a_caller_who_goes_away_stops_the_run(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, worker: FakeBox
) -> None:
    waits = threading.Event()
    worker.texts = [["word "] * 50]
    worker.before_token = lambda count: None if count < 5 else (waits.wait(0.1), None)[1]

    answer = post(client, COMPLETIONS, of_bob, stream=True, max_tokens=60)
    next(iter(answer.streaming_content))
    answer.close()

    run = GenerationRun.objects.get()
    assert run.state == "cancelled"
    assert UsageRecord.objects.get().state == "cancelled"


@pytest.mark.parametrize(
    ("values", "status", "code", "param"),
    [
        ({"model": "tiny"}, 404, "model_not_found", None),
        ({"model": "alice/none"}, 404, "model_not_found", None),
        ({"model": "alice/secret"}, 404, "model_not_found", None),
        ({"model": "alice/tiny@v9"}, 404, "revision_not_found", None),
        ({"prompt": ""}, 400, "invalid_params", "prompt"),
        ({"prompt": []}, 400, "invalid_params", "prompt"),
        ({"prompt": ["a", ""]}, 400, "invalid_params", "prompt"),
        ({"prompt": ["a", 1]}, 400, "invalid_params", "prompt"),
        ({"prompt": [1, -2]}, 400, "invalid_params", "prompt"),
        ({"prompt": [1, True]}, 400, "invalid_params", "prompt"),
        ({"prompt": [[1], []]}, 400, "invalid_params", "prompt"),
        ({"prompt": ["a"] * 17}, 400, "invalid_params", "prompt"),
        ({"prompt": [1], "echo": True, "stream": True}, 400, "unsupported_parameter", "echo"),
        (
            {"echo": True, "logprobs": 1, "stream": True},
            400,
            "unsupported_parameter",
            "echo",
        ),
        ({"temperature": 3}, 400, "invalid_params", "temperature"),
        ({"temperature": "hot"}, 400, "invalid_params", "temperature"),
        ({"max_tokens": 0}, 400, "invalid_params", "max_tokens"),
        ({"max_tokens": 9999}, 400, "invalid_params", "max_tokens"),
        ({"n": 5}, 400, "invalid_params", "n"),
        ({"echo": True, "max_tokens": 0}, 400, "invalid_params", "max_tokens"),
        ({"logprobs": 1, "max_tokens": 0}, 400, "invalid_params", "max_tokens"),
        ({"suffix": "x"}, 400, "unsupported_parameter", "suffix"),
        ({"best_of": 3}, 400, "unsupported_parameter", "best_of"),
        ({"magic": 1}, 400, "unsupported_parameter", "magic"),
        ({"logit_bias": {"x": 1}}, 400, "invalid_params", "logit_bias"),
    ],
)
def test_refused_by_name_and_nothing_queued(
    client: Client,
    tiny_repo: ModelRepo,
    alice: User,
    of_bob: Headers,
    values: dict[str, Any],
    status: int,
    code: str,
    param: str | None,
) -> None:
    make_repo(alice, "secret", is_private=True)
    Job.objects.all().delete()

    answer = post(client, COMPLETIONS, of_bob, **values)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["type"] == "invalid_request_error"
    assert answer["X-Should-Retry"] == "false"
    assert not GenerationRun.objects.exists()
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("values", "code", "param"),
    [
        ({}, "invalid_params", "messages"),
        ({"messages": []}, "invalid_params", "messages"),
        ({"messages": [{"role": "user", "content": "x"}]}, "no_chat_template", None),
        ({"messages": [{"role": "tool", "content": "x"}]}, "invalid_params", "messages.0.role"),
        (
            {"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]},
            "unsupported_parameter",
            "tools",
        ),
        (
            {"messages": [{"role": "user", "content": "x"}], "top_logprobs": 2},
            "invalid_params",
            "top_logprobs",
        ),
        (
            {"messages": [{"role": "user", "content": "x", "name": "me"}]},
            "unsupported_parameter",
            "messages.0.name",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
            "invalid_params",
            None,
        ),
    ],
)
def test_bad_chats_are_refused_and_nothing_is_queued(
    client: Client,
    tiny_repo: ModelRepo,
    of_bob: Headers,
    values: dict[str, Any],
    code: str,
    param: str | None,
) -> None:
    answer = post(client, CHAT, of_bob, **values)

    error = answer.json()["error"]
    assert 400 <= answer.status_code < 500
    assert error["code"] == code
    assert param is None or error["param"] == param
    assert not GenerationRun.objects.exists()


def test_neutral_values_are_taken_for_nothing(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, worker: FakeBox
) -> None:
    answer = post(
        client, COMPLETIONS, of_bob, suffix=None, best_of=1, user="me", logit_bias={}, stop=None
    )

    assert answer.status_code == 200


def test_the_list_has_what_runs_and_the_caller_may_know(
    client: Client, tiny_repo: ModelRepo, alice: User, bearer: Bearer, settings: Any
) -> None:
    make_repo(alice, "words", files={"README.md": b"# Words\n"})

    found = client.get("/v1/models").json()

    assert found["object"] == "list"
    assert [each["id"] for each in found["data"]] == ["alice/tiny"]
    assert found["data"][0]["owned_by"] == "alice"
    ModelRepo.objects.update(is_private=True)
    assert client.get("/v1/models").json()["data"] == []
    assert len(client.get("/v1/models", headers=bearer(alice)).json()["data"]) == 1


def test_one_model_by_any_of_its_names(client: Client, tiny_repo: ModelRepo) -> None:
    RepoAlias.objects.create(name="tiny", repo=tiny_repo)

    named = [client.get(f"/v1/models/{name}") for name in ("alice/tiny", "tiny", "alice/tiny@main")]

    assert [answer.json()["id"] for answer in named] == ["alice/tiny", "tiny", "alice/tiny@main"]
    assert client.get("/v1/models/alice/none").json()["error"]["code"] == "model_not_found"


def test_a_dead_token_is_told_in_their_shape(client: Client, tiny_repo: ModelRepo) -> None:
    answer = client.get("/v1/models", headers={"Authorization": "Bearer hf_dead"})

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.json()["error"]["type"] == "authentication_error"


def test_a_cookie_is_nobody_here(
    tiny_repo: ModelRepo, bob: User, browser_of: Callable[[User], Client]
) -> None:
    answer = post(browser_of(bob), COMPLETIONS, {}, stream=True, prompt="")

    assert answer.json()["error"]["param"] == "prompt"
    ModelRepo.objects.update(is_private=True)
    assert post(browser_of(bob), COMPLETIONS, {}).status_code == 404


def test_other_addresses_and_methods_name_what_there_is(client: Client, db: None) -> None:
    missing = client.post("/v1/embeddings", {}, content_type="application/json")
    wrong = client.get(COMPLETIONS)

    assert missing.json()["error"]["code"] == wrong.json()["error"]["code"] == "unknown_url"
    assert "It has /v1/models" in missing.json()["error"]["message"]
    assert "is called by POST" in wrong.json()["error"]["message"]


def test_browsers_of_other_sites_may_ask(client: Client, db: None) -> None:
    answer = client.options(
        CHAT, headers={"Access-Control-Request-Headers": "authorization, x-stainless-os"}
    )

    assert answer.status_code == 204
    assert answer["Access-Control-Allow-Headers"] == "authorization, x-stainless-os"
    assert answer["Access-Control-Allow-Methods"] == "POST, OPTIONS"


def test_a_sold_model_is_refused_with_price_and_address(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers
) -> None:
    sell(tiny_repo, 0)

    answer = post(client, COMPLETIONS, of_bob)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (403, "purchase_required")
    assert '"Commercial" for' in error["message"]
    assert error["message"].endswith("Buy one at http://testserver/alice/tiny")
    assert not GenerationRun.objects.exists()


def test_demo_tokens_try_it_and_end(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, worker: FakeBox
) -> None:
    with transaction.atomic():
        sell(tiny_repo, 20)

    first = post(client, COMPLETIONS, of_bob)
    second = post(client, COMPLETIONS, of_bob, max_tokens=18)

    assert first.status_code == 200
    assert second.json()["error"]["code"] == "trial_used_up"
    record = UsageRecord.objects.get()
    assert (record.new_tokens, record.trial_tokens, record.prompt_tokens) == (3, 3, 2)


def test_a_run_that_takes_too_long_is_stopped(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, settings: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"completion_wait_s": 1})

    answer = post(client, COMPLETIONS, of_bob)

    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
    assert GenerationRun.objects.get().state == "cancelled"


@pytest.mark.parametrize("stream", [False, True])
def test_what_fails_is_told_by_status(
    client: Client,
    tiny_repo: ModelRepo,
    of_bob: Headers,
    worker: FakeBox,
    stream: bool,
) -> None:
    from inference.box.errors import ModelRefusedError

    worker.texts = []
    worker.error = ModelRefusedError("The prompt has 9 tokens.", reason="prompt_too_long")

    answer = post(client, COMPLETIONS, of_bob, stream=stream)

    if stream:  # it had begun: the stream itself says it
        (only,) = pieces(answer)
        assert only["error"]["code"] == "context_length_exceeded"
    else:
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "context_length_exceeded"
        assert answer.json()["error"]["message"] == "The prompt has 9 tokens."


def test_a_stream_waits_a_little_for_a_run_that_fails_at_once(
    client: Client,
    tiny_repo: ModelRepo,
    of_bob: Headers,
    worker: FakeBox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from inference.box.errors import ModelRefusedError

    def refuse(*_args: Any, **_options: Any) -> Any:
        raise ModelRefusedError("No.", reason="bad_template")

    monkeypatch.setattr(worker, "generate", refuse)

    answer = post(client, COMPLETIONS, of_bob, stream=True)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_template")


def test_tokens_left_are_told_and_run_out(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, worker: FakeBox, settings: Any
) -> None:
    changed = {"rate_limits": "on", "user_tokens_per_day": 20, "user_completions_requests": 3}
    settings.ENV = settings.ENV.model_copy(update=changed)

    first = post(client, COMPLETIONS, of_bob)
    second = post(client, COMPLETIONS, of_bob, max_tokens=18)

    assert first["X-RateLimit-Limit-Tokens"] == "20"
    assert first["RateLimit"].startswith('"completions";r=2;t=')
    assert (second.status_code, second.json()["error"]["code"]) == (429, "quota_exceeded")
    assert int(second["Retry-After"]) > 0
    assert second.json()["error"]["type"] == "rate_limit_error"
    client.get("/v1/models", headers=of_bob)
    too_many = client.get("/v1/models", headers=of_bob)
    assert (too_many.status_code, too_many.json()["error"]["code"]) == (429, "rate_limited")


def test_an_organization_pays(
    client: Client, tiny_repo: ModelRepo, bob: User, of_bob: Headers, worker: FakeBox, settings: Any
) -> None:
    team = make_org("team", bob="read")
    make_org("others")
    changed = {"rate_limits": "on", "user_tokens_per_day": 1, "organization_tokens_per_day": 100}
    settings.ENV = settings.ENV.model_copy(update=changed)

    paid = post(client, COMPLETIONS, of_bob | {"OpenAI-Organization": "team"})
    strange = post(client, COMPLETIONS, of_bob | {"OpenAI-Organization": "others"})

    assert paid.status_code == 200, paid.content
    record = UsageRecord.objects.get()
    assert (record.organization_id, record.payer) == (team.pk, f"organization:{team.pk}")
    assert (strange.status_code, strange.json()["error"]["code"]) == (404, "organization_not_found")
    assert quotas.left_of(record.payer, now=record.finished_at) == 97


# ── several prompts, tokens, and what a prompt says ─────────────────────────────────────────────


def test_several_prompts_are_answered_in_their_order(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, worker: FakeBox
) -> None:
    worker.texts = [["a"], ["b"]]

    answer = post(client, COMPLETIONS, of_bob, prompt=["one", "two words", "three"], n=2, echo=True)

    assert answer.status_code == 200, answer.content
    choices = answer.json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3, 4, 5]
    texts = [choice["text"] for choice in choices]
    assert texts == ["onea", "oneb", "two wordsa", "two wordsb", "threea", "threeb"]
    used = {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10}
    assert answer.json()["usage"] == used
    assert GenerationRun.objects.count() == UsageRecord.objects.count() == 3


def test_a_call_is_one_decision_of_the_quota(
    client: Client, tiny_repo: ModelRepo, bob: User, of_bob: Headers, worker: FakeBox, settings: Any
) -> None:
    changed = {"rate_limits": "on", "user_tokens_per_day": 100}
    settings.ENV = settings.ENV.model_copy(update=changed)

    refused = post(client, COMPLETIONS, of_bob, prompt=["a", "b", "c"], max_tokens=34)

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "quota_exceeded")
    assert refused.json()["error"]["extra"]["left"] == 100
    assert not GenerationRun.objects.exists()
    assert not Job.objects.filter(name="inference.generate").exists()
    taken = post(client, COMPLETIONS, of_bob, prompt=["a", "b", "c"], max_tokens=33)
    assert taken.status_code == 200, taken.content
    assert quotas.left_of(f"user:{bob.pk}", now=timezone.now()) == 91


def test_a_prompt_that_fails_stops_the_others(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, worker: FakeBox
) -> None:
    from inference.box.errors import ModelRefusedError

    worker.texts = []
    worker.error = ModelRefusedError("The prompt has 9 tokens.", reason="prompt_too_long")

    answer = post(client, COMPLETIONS, of_bob, prompt=["a", "b", "c"])

    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert not GenerationRun.objects.filter(state__in=GenerationRun.OPEN).exists()


def test_demo_tokens_do_not_tell_probabilities_of_prompts(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers
) -> None:
    sell(tiny_repo, 20)

    answer = post(client, COMPLETIONS, of_bob, echo=True, logprobs=1, max_tokens=0)

    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "prompt_logprobs")
    assert not GenerationRun.objects.exists()


def test_a_prompt_of_tokens_is_told_as_text(
    client: Client, tiny_repo: ModelRepo, of_bob: Headers, worker: FakeBox
) -> None:
    answer = post(client, COMPLETIONS, of_bob, prompt=[[5, 6], [7]], echo=True)

    assert answer.status_code == 200, answer.content
    texts = [choice["text"] for choice in answer.json()["choices"]]
    assert texts == ["<5><6>Hello, world", "<7>Hello, world"]
    first = GenerationRun.objects.order_by("pk")[0]
    assert (first.prompt, first.prompt_ids, first.question) == ("<5><6>", [5, 6], "<5><6>")
    assert GenerationRun(prompt_ids=[5, 6]).question == "5 6"  # before a worker has read it
