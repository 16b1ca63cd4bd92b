"""A prompt told back with its probabilities, and prompts that come as tokens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.box import echoing
from inference.box.asking import PairItem, ScoreEvent, ScoreRequest
from inference.box.client import Box
from inference.box.conversation import TokenPrompt
from inference.box.echo_messages import EchoedEvent, EchoPartEvent, EchoRequest, EchoToken
from inference.box.engine import Engine
from inference.box.errors import ModelRefusedError
from inference.box.loading import RefusedError
from inference.box.params import SamplingParams
from inference.box.protocol import DoneEvent, GenerateRequest
from inference.box.talks import Talk
from tests.inference.box import tiny_models
from tests.inference.box.test_generating import ids_of, never, run, text_of
from tests.inference.box.test_scoring import ask

PROMPTS = ["The quick brown fox", "日本語 🦊", "a", " It is a truth universally acknowledged, that"]


def told(loaded: Any, **asked: Any) -> list[EchoToken]:
    request = EchoRequest(id="e", **asked)
    events = ask(loaded, request)
    talk = Talk(request)
    assert all(talk.take(event) for event in events), events
    assert talk.is_over
    assert isinstance(events[-1], EchoedEvent)
    return [token for event in events if isinstance(event, EchoPartEvent) for token in event.tokens]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_equals_a_direct_computation(gpt2: Any, prompt: str) -> None:
    tokens = told(gpt2, prompt=prompt, top=3)

    ids = gpt2.tokenizer(prompt)["input_ids"]
    with torch.inference_mode():
        logits = gpt2.model(input_ids=torch.tensor([ids])).logits[0].float()
    logprobs = torch.log_softmax(logits, dim=-1)
    assert [token.token_id for token in tokens] == ids
    assert "".join(token.text for token in tokens) == prompt
    assert (tokens[0].logprob, tokens[0].top) == (None, [])
    for place, token in enumerate(tokens[1:]):
        assert token.logprob == pytest.approx(float(logprobs[place, token.token_id]), abs=1e-5)
        values, best = logprobs[place].topk(3)
        assert [other.token_id for other in token.top] == best.tolist()
        assert [other.logprob for other in token.top] == pytest.approx(values.tolist(), abs=1e-5)


def test_equals_the_scores_to_the_last_digit(tmp_path: Path, load: Callable[..., Any]) -> None:
    for make in (tiny_models.gpt2, tiny_models.llama, tiny_models.gemma2):
        loaded = load(make(tmp_path / make.__name__))
        item = PairItem(context="It is", continuation=" a single man must want a wife.")

        tokens = told(loaded, prompt=item.context + item.continuation, top=1)

        events = ask(loaded, ScoreRequest(id="s", items=(item,)))
        score = next(event for event in events if isinstance(event, ScoreEvent))
        found = torch.tensor([token.logprob for token in tokens[-score.tokens :]])
        assert float(found.sum()) == score.logprob


def test_long_prompts_come_in_parts(wide_dir: Path, load: Callable[..., Any]) -> None:
    loaded = load(wide_dir)

    events = ask(loaded, EchoRequest(id="e", prompt="The dog, " * 60, top=20))

    parts = [event for event in events if isinstance(event, EchoPartEvent)]
    assert {len(part.tokens) for part in parts[:-1]} == {6}
    assert all(len(part.model_dump_json()) < 64 * 1024 for part in parts)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"prompt_ids": [3, 99_999]}, "unknown_token"),
        ({"prompt": "word " * 300}, "prompt_too_long"),
        ({"prompt": ""}, None),
    ],
)
def test_what_cannot_be_told_is_refused_at_once(
    gpt2: Any, asked: dict[str, Any], code: str | None
) -> None:
    engine = Engine(gpt2, never)
    request = EchoRequest(id="e", **asked, top=1)

    if code is None:  # the model's own beginning
        engine.ask(request)
        return
    with pytest.raises(RefusedError) as caught:
        engine.ask(request)
    assert caught.value.code == code
    assert engine.is_idle


def test_too_many_probabilities_are_refused(gpt2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echoing, "MAX_ECHOED", 10)

    with pytest.raises(RefusedError, match="ask for fewer alternatives"):
        ask(gpt2, EchoRequest(id="e", prompt="The quick brown fox", top=5))

    assert told(gpt2, prompt="The quick brown fox")  # its text has no such bound


def test_a_lying_box_is_found_out() -> None:
    def token(**changes: Any) -> EchoToken:
        return EchoToken(**({"token_id": 1, "token": "a", "text": "a"} | changes))

    def taken(*events: Any, **asked: Any) -> bool:
        talk = Talk(EchoRequest(id="e", **({"prompt_ids": [1, 2], "top": 1} | asked)))
        return all(talk.take(event) for event in events)

    def part(*tokens: EchoToken) -> EchoPartEvent:
        return EchoPartEvent(id="e", tokens=list(tokens))

    scored = token(token_id=2, logprob=-1.0)
    end = EchoedEvent(id="e", prompt_tokens=2)
    assert taken(part(token(), scored), end)
    assert not taken(end)
    assert not taken(part(token(), scored), EchoedEvent(id="e", prompt_tokens=3))
    assert not taken(part(token(), token(token_id=3, logprob=-1.0)))  # another token
    assert not taken(part(token(logprob=-1.0)))  # the first has none
    assert not taken(part(token(), token(token_id=2)))  # a score is missing
    assert not taken(part(token(), scored), part(token()))  # more than there are
    assert not taken(part(token(), scored), top=None)  # nobody asked


def test_tokens_are_read_as_they_are(gpt2: Any) -> None:
    ids = gpt2.tokenizer("The quick")["input_ids"]
    engine = Engine(gpt2, never)
    params = SamplingParams(seed=1, temperature=0, max_new_tokens=12)
    engine.add(GenerateRequest(id="t", prompt_ids=ids, params=params))
    engine.add(GenerateRequest(id="u", prompt="The quick", params=params))
    events: list[Any] = []
    while not engine.is_idle:
        events += engine.step()

    of = {name: [event for event in events if event.id == name] for name in "tu"}
    assert ids_of(of["t"]) == ids_of(of["u"])
    assert text_of(of["t"]) == text_of(run(gpt2, "The quick", temperature=0, max_new_tokens=12))


@pytest.mark.parametrize(
    ("ids", "options", "code"),
    [
        ([99_999], {}, "unknown_token"),
        ([5] * 64, {}, "prompt_too_long"),
        ([5], {"logit_bias": {99_999: 1.0}}, "unknown_token"),
    ],
)
def test_tokens_that_cannot_be_read_are_refused(
    gpt2: Any, ids: list[int], options: dict[str, Any], code: str
) -> None:
    engine = Engine(gpt2, never)

    with pytest.raises(RefusedError) as caught:
        engine.add(GenerateRequest(id="t", prompt_ids=ids, params=SamplingParams(**options)))

    assert caught.value.code == code
    assert engine.is_idle


def test_in_a_real_box(box: Box) -> None:
    asked = TokenPrompt(ids=[20, 21, 22])

    tokens = list(box.echo(asked, top=2, request_id="one"))
    events = list(box.generate(asked, SamplingParams(seed=1, max_new_tokens=3)))
    beams = list(box.generate(asked, SamplingParams(num_beams=2, max_new_tokens=3)))

    assert [token.token_id for token in tokens] == asked.ids
    for done in (events[-1], beams[-1]):
        assert isinstance(done, DoneEvent)
        assert done.prompt_tokens == 3
    with pytest.raises(ModelRefusedError) as caught:
        list(box.echo(TokenPrompt(ids=[99_999]), top=None, request_id="two"))
    assert caught.value.reason == "unknown_token"
