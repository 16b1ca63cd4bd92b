"""Scores of texts: equal to lm-evaluation-harness to the last digit, in pieces, and cancelled."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from inference.box import scoring
from inference.box.asking import (
    MAX_SCORE_CHARS,
    PairItem,
    RollingItem,
    ScoreEvent,
    ScorePartEvent,
    ScoreRequest,
    ScoresDoneEvent,
)
from inference.box.client import Box
from inference.box.engine import Engine
from inference.box.errors import ModelRefusedError
from inference.box.params import SamplingParams
from inference.box.protocol import DoneEvent, ErrorEvent, Event, TokenEvent
from tests.inference.box import tiny_models
from tests.inference.box.test_engine import request
from tests.inference.box.test_generating import ids_of, never, run, text_of

PAIRS = [
    ("The quick", " brown fox"),
    ("The quick ", "brown fox"),
    ("", "It is a truth"),
    ("", "<|end|>It is"),
    ("<|end|>The", " dog"),
    ("日本", "語のテキスト"),
    ("a " * 90, "wife"),
    ("It is", " a single man must want a wife. " * 2),
]
TEXTS = ["", "a", "The quick brown fox", "<|end|>It is a truth", "naïve café 🦊 " * 40]


def hflm(folder: Path) -> Any:
    from lm_eval.models.huggingface import HFLM  # type: ignore[import-untyped]

    return HFLM(str(folder), device="cpu", batch_size=1, dtype="float32")


def instances(*arguments: Any) -> list[Any]:
    return [SimpleNamespace(args=each, task_name=None) for each in arguments]


def ask(loaded: Any, asked: Any, is_cancelled: Any = never) -> list[Event]:
    """Let an engine answer one question."""
    engine = Engine(loaded, is_cancelled)
    engine.ask(asked)
    events: list[Event] = []
    while not engine.is_idle:
        events += engine.step()
    return events


def score(loaded: Any, *items: Any, **options: Any) -> list[ScoreEvent]:
    events = ask(loaded, ScoreRequest(id="s", items=items, **options))
    found = [event for event in events if isinstance(event, ScoreEvent)]
    assert [event.item for event in found] == list(range(len(items))), events
    return found


@pytest.fixture(params=["gpt2", "llama", "gemma2"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make: Callable[[Path], Path] = getattr(tiny_models, request.param)
    return make(tmp_path / "model")


def test_scores_equal_the_harness_to_the_last_digit(
    folder: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_CHUNK_BYTES", 0)  # pieces of 64 rows
    theirs = hflm(folder)
    loaded = load(folder)

    pairs = score(loaded, *[PairItem(context=c, continuation=t) for c, t in PAIRS])
    texts = score(loaded, *[RollingItem(rolling=text) for text in TEXTS])

    expected = theirs.loglikelihood(instances(*PAIRS), disable_tqdm=True)
    assert [(event.logprob, event.is_greedy) for event in pairs] == expected
    rolling = theirs.loglikelihood_rolling(instances(*[(t,) for t in TEXTS]), disable_tqdm=True)
    assert [event.logprob for event in texts] == rolling
    assert [event.tokens for event in texts] == [len(theirs.tok_encode(text)) for text in TEXTS]


def test_long_texts_in_pieces_equal_the_harness(
    wide_dir: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_CHUNK_BYTES", 0)
    text = " ".join(tiny_models.TEXT * 20)
    pair = (text, text[:700])
    seen: list[int] = []
    plain = torch.nn.functional.log_softmax
    loaded = load(wide_dir)

    def counting(logits: torch.Tensor, dim: int) -> torch.Tensor:
        seen.append(logits.shape[1])
        return plain(logits, dim=dim)

    theirs = hflm(wide_dir)
    expected = theirs.loglikelihood(instances(pair), disable_tqdm=True)
    expected_text = theirs.loglikelihood_rolling(instances((text * 2,)), disable_tqdm=True)
    monkeypatch.setattr(scoring, "log_softmax", counting)

    (found,) = score(loaded, PairItem(context=pair[0], continuation=pair[1]))
    (rolled,) = score(loaded, RollingItem(rolling=text * 2))

    assert (found.logprob, found.is_greedy) == expected[0]
    assert rolled.logprob == expected_text[0]
    assert max(seen) < 64 + 32


def test_a_greedy_continuation_is_told(gpt2: Any) -> None:
    answer = text_of(run(gpt2, "The quick", temperature=0, max_new_tokens=5))

    own, other = score(
        gpt2,
        PairItem(context="The quick", continuation=answer),
        PairItem(context="The quick", continuation=" zzz"),
    )

    assert not other.is_greedy
    assert own.logprob > other.logprob


def test_tokens_are_told_and_add_up(wide_dir: Path, load: Callable[..., Any]) -> None:
    loaded = load(wide_dir)
    text = "The quick brown fox " * 300

    events = ask(loaded, ScoreRequest(id="s", items=(RollingItem(rolling=text),), per_token=True))

    parts = [event for event in events if isinstance(event, ScorePartEvent)]
    ids = [token for part in parts for token in part.token_ids]
    logprobs = [value for part in parts for value in part.logprobs]
    (total,) = [event for event in events if isinstance(event, ScoreEvent)]
    assert ids == loaded.tokenizer.encode(text)
    assert len(parts) > 1
    assert sum(logprobs) == pytest.approx(total.logprob, rel=1e-5)
    with torch.inference_mode():
        logits = loaded.model(input_ids=torch.tensor([[0, *ids[:99]]])).logits[0]
    expected = torch.log_softmax(logits, dim=-1)[torch.arange(100), torch.tensor(ids[:100])]
    assert logprobs[:100] == pytest.approx(expected.tolist(), abs=1e-4)
    assert isinstance(events[-1], ScoresDoneEvent)
    assert events[-1].tokens == len(ids)


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (PairItem(context="a", continuation=""), "empty_continuation"),
        (PairItem(context="", continuation=""), "empty_continuation"),
        (PairItem(context="a", continuation="z" * 400), "prompt_too_long"),
    ],
)
def test_what_cannot_be_scored_is_refused(gpt2: Any, item: PairItem, code: str) -> None:
    events = ask(gpt2, ScoreRequest(id="s", items=(item, PairItem(context="", continuation="a"))))

    (refusal,) = events
    assert isinstance(refusal, ErrorEvent)
    assert (refusal.id, refusal.code) == ("s", code)


def test_a_text_for_a_tokenizer_without_a_beginning_is_refused(
    gpt2_copy: Path, load: Callable[..., Any]
) -> None:
    loaded = load(gpt2_copy)
    loaded.tokenizer.bos_token = loaded.tokenizer.eos_token = None

    (refusal,) = ask(loaded, ScoreRequest(id="s", items=(RollingItem(rolling="a"),)))

    assert isinstance(refusal, ErrorEvent)
    assert refusal.code == "empty_prompt"


def test_too_much_at_once_is_no_request() -> None:
    items = (RollingItem(rolling="a" * MAX_SCORE_CHARS), RollingItem(rolling="a"))

    with pytest.raises(ValueError, match="characters at most"):
        ScoreRequest(id="s", items=items)


def test_scoring_goes_on_between_the_steps_of_a_writer(
    wide_dir: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.box.engine._SHORTEST_S", 1e-6)
    loaded = load(wide_dir)
    asked = ScoreRequest(id="s", items=(RollingItem(rolling="It is a truth " * 700),))
    expected = score(loaded, asked.items[0])
    engine = Engine(loaded, never)
    engine.add(request("w", "The", temperature=0, max_new_tokens=60))
    steps = [engine.step() for _ in range(3)]
    engine.ask(asked)

    while not engine.is_idle:
        steps.append(engine.step())

    (scored,) = [e for step in steps for e in step if isinstance(e, ScoreEvent)]
    assert scored == expected[0]
    at = next(n for n, step in enumerate(steps) if scored in step)
    assert at > 10  # not in one go
    for step in steps[1:at]:
        if not any(isinstance(event, DoneEvent) for step in steps[:at] for event in step):
            assert sum(isinstance(event, TokenEvent) for event in step) == 1
    written = ids_of([e for step in steps for e in step if not isinstance(e, ScoreEvent)], 0)
    assert written == ids_of(run(loaded, "The", temperature=0, max_new_tokens=60), 0)


def test_questions_take_turns_between_their_items(gpt2: Any) -> None:
    engine = Engine(gpt2, never)
    item = PairItem(context="The", continuation=" dog")
    for name in "ab":
        engine.ask(ScoreRequest(id=name, items=(item, item, item)))
    events: list[Any] = []
    while not engine.is_idle:
        events += engine.step()

    scored = [event.id for event in events if isinstance(event, ScoreEvent)]
    assert scored == ["a", "b", "a", "b", "a", "b"]


def test_cancelling_ends_it_in_its_middle(
    wide_dir: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.box.engine._ALONE_S", 1e-6)
    loaded = load(wide_dir)
    ended: set[str] = set()
    engine = Engine(loaded, ended.__contains__)
    engine.ask(ScoreRequest(id="s", items=(RollingItem(rolling="It is a truth " * 700),)))
    assert engine.step() == []

    ended.add("s")
    (event,) = engine.step()

    assert isinstance(event, ErrorEvent)
    assert (event.id, event.code) == ("s", "cancelled")
    assert engine.is_idle
    assert not any(module._forward_pre_hooks for module in loaded.model.modules())


def test_prompts_are_cut_as_the_harness_cuts_them(gpt2_dir: Path, gpt2: Any) -> None:
    theirs = hflm(gpt2_dir)
    contexts = ["The quick", "<|end|>It is", "a b c d " * 40]
    options = {"until": ["q", "  "], "max_gen_toks": 12, "do_sample": False}

    found = [
        text_of(_generated(gpt2, context, max_new_tokens=12, stop=("q", "  ")))
        for context in contexts
    ]

    expected = theirs.generate_until(
        instances(*[(context, options) for context in contexts]), disable_tqdm=True
    )
    assert found == expected


def _generated(loaded: Any, prompt: str, **params: Any) -> list[Event]:
    asked = request("g", prompt, temperature=0, **params)
    engine = Engine(loaded, never)
    engine.add(asked.model_copy(update={"left_truncate": True}))
    events: list[Event] = []
    while not engine.is_idle:
        events += engine.step()
    return events


def test_a_box_is_asked_and_cancelled_while_it_writes(box: Box) -> None:
    items = (PairItem(context="The", continuation=" dog"), RollingItem(rolling="It is " * 50))
    writing = box.generate("The", SamplingParams(seed=1, max_new_tokens=50))
    next(writing)

    found = list(box.ask(ScoreRequest(id="s1", items=items, per_token=True)))

    assert isinstance(found[-1], ScoresDoneEvent)
    assert [e.item for e in found if isinstance(e, ScoreEvent)] == [0, 1]
    long = ScoreRequest(id="s2", items=(RollingItem(rolling="It is a truth " * 3000),) * 8)
    asked = box.ask(long)
    next(asked)
    box.cancel("s2")
    with pytest.raises(ModelRefusedError) as caught:
        list(asked)
    assert caught.value.reason == "cancelled"
    assert len(list(writing)) > 10
    for _ in box.ask(long):
        break  # leaving early ends it
    with pytest.raises(ModelRefusedError):
        list(box.ask(ScoreRequest(id="s3", items=(PairItem(context="a", continuation=""),))))
    assert box.is_alive
