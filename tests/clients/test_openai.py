"""The official OpenAI client against a running store, and a store that hands a model to another."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from huggingface_hub import HfApi

from tests import live
from tests.clients.models import save_tiny_gpt
from tests.inference.tiny import greedy

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
PROMPT = "It is a truth"


@dataclass
class Model:
    """A model in the store, and the folder it was made from."""

    store: live.LiveStore
    name: str
    folder: Path
    owner: str
    token: str

    def client(self, **options: Any) -> openai.OpenAI:
        """The official client, as its owner unless told otherwise."""
        return openai.OpenAI(
            **{"base_url": f"{self.store.url}/v1", "api_key": self.token, "timeout": 120} | options
        )


def publish(store: live.LiveStore, folder: Path, name: str = "gpt") -> Model:
    """Publish the folder as a new person's model."""
    owner, token = store.person()
    api = HfApi(endpoint=store.url, token=token)
    api.create_repo(f"{owner}/{name}")
    api.upload_folder(repo_id=f"{owner}/{name}", folder_path=folder)
    store.settled(f"{owner}/{name}", token)
    return Model(store, f"{owner}/{name}", folder, owner, token)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = save_tiny_gpt(tmp_path_factory.mktemp("openai") / "gpt", seed=3)
    (made / "chat_template.jinja").write_text(TEMPLATE)
    return made


@pytest.fixture(scope="module")
def model(store: live.LiveStore, folder: Path) -> Model:
    return publish(store, folder)


@pytest.fixture(scope="module")
def client(model: Model) -> openai.OpenAI:
    return model.client()


def test_models_are_listed_and_read(model: Model, client: openai.OpenAI) -> None:
    listed = {each.id: each for each in client.models.list()}

    assert listed[model.name].owned_by == model.owner
    assert client.models.retrieve(model.name).id == model.name
    assert client.models.retrieve(f"{model.name}@main").id == f"{model.name}@main"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nobody/nothing")
    assert caught.value.code == "model_not_found"


def test_a_completion_is_what_the_model_writes(model: Model, client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model=model.name, prompt=PROMPT, max_tokens=12, temperature=0
    )

    (choice,) = answer.choices
    assert choice.text == greedy(model.folder, PROMPT, 12)
    assert choice.finish_reason in {"length", "stop"}
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert len(answer.system_fingerprint or "") == 40
    assert answer._request_id


def test_a_chat_is_answered_by_the_models_own_template(model: Model, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=model.name,
        messages=[{"role": "user", "content": "Hi"}],
        max_completion_tokens=8,
        temperature=0,
        logprobs=True,
        top_logprobs=3,
    )

    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content == greedy(model.folder, "user: Hi\nassistant:", 8)
    assert choice.logprobs
    tokens = choice.logprobs.content or []
    assert answer.usage
    assert len(tokens) == answer.usage.completion_tokens
    for token in tokens:
        assert token.logprob == token.top_logprobs[0].logprob <= 0
        assert token.token == token.top_logprobs[0].token
        assert len(token.top_logprobs) == 3
        assert token.bytes is None or bytes(token.bytes).decode() == token.token


def test_streams_say_the_same_as_whole_answers(model: Model, client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": model.name,
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 10,
        "seed": 11,
        "n": 2,
        "logprobs": True,
    }
    whole = client.chat.completions.create(**asked)
    texts, tokens, ends, usage = ["", ""], [0, 0], ["", ""], None

    with client.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    ) as stream:
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                ends[choice.index] = choice.finish_reason or ends[choice.index]
                if choice.logprobs:
                    tokens[choice.index] += len(choice.logprobs.content or [])

    assert texts == [choice.message.content for choice in whole.choices]
    assert ends == [choice.finish_reason for choice in whole.choices]
    assert tokens == [len(choice.logprobs.content) for choice in whole.choices]
    assert usage == whole.usage


def test_several_prompts_are_streamed_side_by_side(model: Model, client: openai.OpenAI) -> None:
    prompts = [PROMPT, "He was", "They"]
    texts, pieces = [""] * 3, [0] * 3

    for chunk in client.completions.create(
        model=model.name, prompt=prompts, max_tokens=12, temperature=0, stream=True
    ):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            pieces[choice.index] += 1

    assert texts == [greedy(model.folder, prompt, 12) for prompt in prompts]
    assert min(pieces) > 2


def test_the_same_seed_writes_the_same(model: Model, client: openai.OpenAI) -> None:
    def ask(seed: int) -> str:
        answer = client.completions.create(
            model=model.name, prompt=PROMPT, max_tokens=16, seed=seed
        )
        return answer.choices[0].text

    assert ask(5) == ask(5) != ask(6)


def test_stop_echo_logprobs_bias_and_penalties(model: Model, client: openai.OpenAI) -> None:
    def ask(**more: Any) -> Any:
        answer = client.completions.create(
            model=model.name, prompt=PROMPT, max_tokens=12, temperature=0, **more
        )
        return answer.choices[0]

    plain = ask(logprobs=2)
    stop = next(c for c in plain.text[3:] if c.isalnum() or c == " ")

    cut = ask(stop=stop)
    assert cut.finish_reason == "stop"
    assert cut.text == plain.text.split(stop)[0]
    assert ask(echo=True).text == PROMPT + plain.text
    assert plain.logprobs.token_logprobs[0] <= 0
    assert len(plain.logprobs.top_logprobs[0]) == 2
    assert plain.logprobs.text_offset[0] == 0
    assert ask(logit_bias={"40": 100}).text != plain.text
    assert ask(frequency_penalty=2, presence_penalty=2).finish_reason


def test_errors_are_the_clients_own(model: Model, client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as dead:
        model.client(api_key="hf_dead").models.list()
    assert dead.value.code == "invalid_api_key"

    wrongs: list[dict[str, Any]] = [{"temperature": 9}, {"max_tokens": 100_000}, {"n": 100}]
    for wrong in wrongs:
        with pytest.raises(openai.BadRequestError) as bad:
            client.completions.create(model=model.name, prompt="x", **wrong)
        assert bad.value.param == next(iter(wrong))

    with pytest.raises(openai.BadRequestError) as unknown:
        client.chat.completions.create(
            model=model.name,
            messages=[{"role": "user", "content": "x"}],
            tools=[{"type": "function", "function": {"name": "f"}}],
        )
    assert (unknown.value.code, unknown.value.param) == ("unsupported_parameter", "tools")

    with pytest.raises(openai.BadRequestError) as long:
        client.completions.create(model=model.name, prompt=PROMPT * 100)
    assert long.value.code == "context_length_exceeded"

    with pytest.raises(openai.BadRequestError) as streamed:
        client.completions.create(model=model.name, prompt=PROMPT * 100, stream=True)
    assert streamed.value.code == "context_length_exceeded"

    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model=model.name, input="x")


def test_visitors_may_ask_too(model: Model) -> None:
    answer = model.client(api_key="none").completions.create(
        model=model.name,
        prompt=PROMPT,
        max_tokens=4,
        extra_headers={"Authorization": openai.Omit()},
    )

    assert answer.usage
    assert answer.usage.completion_tokens <= 4


def test_a_stream_that_is_closed_stops_its_run(model: Model, client: openai.OpenAI) -> None:
    stream = client.completions.create(
        model=model.name, prompt="a", max_tokens=40, stream=True, logit_bias={"0": -100}
    )
    chunk = next(iter(stream))
    stream.close()

    path = f"/api/v1/generations/{chunk.id.removeprefix('cmpl-')}"
    for _ in range(100):
        state = model.store.ask(path, model.token)["state"]
        if state in {"cancelled", "done"}:  # it is a fast model
            return
    raise AssertionError(state)


# ── a second store, which has the first one run its model, and counts ───────────────────────────


@pytest.fixture(scope="module")
def second(model: Model) -> Iterator[live.LiveStore]:
    engine = {
        "models": "*/far",
        "base_url": f"{model.store.url}/v1",
        "model": model.name,
        "api_key": model.token,
    }
    running = live.start(
        STORE_ENGINES=json.dumps([engine]),
        STORE_RATE_LIMITS="on",
        STORE_USER_TOKENS_PER_DAY="60",
    )
    yield running
    live.discard(running)


@pytest.fixture(scope="module")
def far(second: live.LiveStore, tmp_path_factory: pytest.TempPathFactory) -> Model:
    card = tmp_path_factory.mktemp("far")
    (card / "README.md").write_text("---\nlicense: mit\n---\n# Runs elsewhere\n")
    return publish(second, card, "far")


def test_another_store_runs_it_and_this_one_counts(model: Model, far: Model) -> None:
    client = far.client()

    listed = [each.id for each in client.models.list()]
    text = client.completions.create(model=far.name, prompt=PROMPT, max_tokens=12, temperature=0)
    chat = client.chat.completions.create(
        model=far.name,
        messages=[{"role": "user", "content": "Hi"}],
        max_tokens=8,
        temperature=0,
        logprobs=True,
        top_logprobs=2,
    )

    assert far.name in listed
    assert text.choices[0].text == greedy(model.folder, PROMPT, 12)
    assert text.usage
    assert text.usage.prompt_tokens > 1
    assert chat.choices[0].message.content == greedy(model.folder, "user: Hi\nassistant:", 8)
    assert chat.choices[0].logprobs
    content = chat.choices[0].logprobs.content or []
    assert [len(token.top_logprobs) for token in content] == [2] * len(content)
    assert "".join(token.token for token in content) == chat.choices[0].message.content


def test_the_day_ends_in_a_rate_limit(far: Model) -> None:
    name, token = far.store.person(f"u{secrets.token_hex(4)}")
    client = far.client(api_key=token)

    first = client.completions.with_raw_response.create(
        model=far.name, prompt=PROMPT, max_tokens=30
    )
    with pytest.raises(openai.RateLimitError) as caught:
        client.completions.create(model=far.name, prompt=PROMPT, max_tokens=60)

    assert first.headers["x-ratelimit-limit-tokens"] == "60"
    assert int(first.headers["x-ratelimit-remaining-tokens"]) < 60
    assert caught.value.code == "quota_exceeded"
    assert int(caught.value.response.headers["retry-after"]) > 0
    assert name
