"""Many requests in the step loop: none may change, delay or harm another."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.box import cohort, engine
from inference.box.engine import MAX_ROWS, Engine
from inference.box.params import SamplingParams
from inference.box.protocol import (
    DoneEvent,
    EndedEvent,
    ErrorEvent,
    Event,
    GenerateRequest,
    StartedEvent,
    TokenEvent,
)
from tests.inference.box import tiny_models
from tests.inference.box.test_generating import ids_of, never, run, text_of

PROMPTS = ["The quick", "日本", "a", " It is a truth universally acknowledged, that", "b b b b"]
SETTINGS: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 0.8, "seed": 3},
    {"temperature": 1.2, "top_k": 9, "num_sequences": 2},
    {"temperature": 0, "repetition_penalty": 1.5},
    {"temperature": 1.0, "top_p": 0.8, "seed": 11},
]


def request(name: str, prompt: str, **params: Any) -> GenerateRequest:
    return GenerateRequest(id=name, prompt=prompt, params=SamplingParams(**({"seed": 1} | params)))


def drive(
    loaded: Any, arrivals: Iterable[tuple[int, GenerateRequest]], is_cancelled: Any = never
) -> list[list[Event]]:
    """Let requests arrive before given steps; return what happened in each step."""
    started = Engine(loaded, is_cancelled)
    waiting = sorted(arrivals, key=lambda each: each[0])
    steps: list[list[Event]] = []
    while waiting or not started.is_idle:
        while waiting and waiting[0][0] <= len(steps):
            started.add(waiting.pop(0)[1])
        steps.append(started.step())
        assert len(steps) < 2000
    return steps


def of(steps: list[list[Event]], name: str) -> list[Event]:
    return [event for step in steps for event in step if getattr(event, "id", None) == name]


def alone(loaded: Any, prompt: str, **params: Any) -> list[list[int]]:
    events = run(loaded, prompt, **params)
    return [ids_of(events, index) for index in range(params.get("num_sequences", 1))]


@pytest.mark.parametrize("apart", [0, 1, 3])
def test_requests_that_come_and_go_write_what_they_write_alone(gpt2: Any, apart: int) -> None:
    asked = [
        (f"r{number}", prompt, settings | {"max_new_tokens": 8 + 3 * number})
        for number, (prompt, settings) in enumerate(zip(PROMPTS, SETTINGS, strict=True))
    ]

    steps = drive(
        gpt2,
        [
            (apart * place, request(name, prompt, **params))
            for place, (name, prompt, params) in enumerate(asked)
        ],
    )

    for name, prompt, params in asked:
        events = of(steps, name)
        found = [ids_of(events, index) for index in range(params.get("num_sequences", 1))]
        assert found == alone(gpt2, prompt, **params), name
        assert isinstance(events[0], StartedEvent)
        assert isinstance(events[-1], DoneEvent)


def test_the_same_with_llama_and_with_models_that_cannot_share_a_cache(
    llama_dir: Path, tmp_path: Path, load: Callable[..., Any]
) -> None:
    for folder in (llama_dir, tiny_models.mamba(tmp_path / "mamba")):
        loaded = load(folder)

        steps = drive(
            loaded,
            [
                (place, request(f"r{place}", prompt, temperature=0, max_new_tokens=10))
                for place, prompt in enumerate(PROMPTS)
            ],
        )

        for place, prompt in enumerate(PROMPTS):
            expected = alone(loaded, prompt, temperature=0, max_new_tokens=10)
            assert [ids_of(of(steps, f"r{place}"))] == expected


def test_rows_share_one_forward_pass(gpt2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    plain = gpt2.model.forward

    def counting(*args: Any, **inputs: Any) -> Any:
        rows.append(inputs["input_ids"].shape[0])
        return plain(*args, **inputs)

    monkeypatch.setattr(gpt2.model, "forward", counting)
    monkeypatch.setattr(cohort, "takes", lambda loaded, name: True)

    drive(gpt2, [(0, request(f"r{n}", "The", seed=n, max_new_tokens=20)) for n in range(6)])

    assert max(rows) == 6
    assert sum(rows[6:]) / len(rows[6:]) > 4  # after the six prompts


def test_a_long_prompt_is_read_in_pieces_between_the_steps_of_a_writer(
    wide_dir: Path, load: Callable[..., Any]
) -> None:
    loaded = load(wide_dir)
    long = "a " * 1000

    steps = drive(
        loaded,
        [
            (0, request("writer", "The", max_new_tokens=200)),
            (20, request("long", long, max_new_tokens=2)),
        ],
    )

    came = next(at for at, step in enumerate(steps) for e in step if e == of(steps, "long")[0])
    first = next(
        at for at, step in enumerate(steps)
        for e in step if isinstance(e, TokenEvent) and e.id == "long"
    )  # fmt: skip
    assert first - came >= 2  # it took several steps to read
    for step in steps[came:first]:  # and the writer wrote in each of them
        assert sum(isinstance(e, TokenEvent) and e.id == "writer" for e in step) == 1
    expected = run(loaded, long, max_new_tokens=2)
    assert text_of(of(steps, "long")) == text_of(expected)


def test_more_rows_than_fit_wait_their_turn(gpt2: Any) -> None:
    count = MAX_ROWS // 8 + 2

    steps = drive(
        gpt2,
        [
            (0, request(f"r{n}", "a", num_sequences=8, max_new_tokens=3, seed=n))
            for n in range(count)
        ],
    )

    open_rows, most = 0, 0
    for step in steps:
        open_rows += 8 * sum(isinstance(event, StartedEvent) for event in step)
        most = max(most, open_rows)
        open_rows -= sum(isinstance(event, EndedEvent) for event in step)
    assert most <= MAX_ROWS
    assert sum(isinstance(e, DoneEvent) for step in steps for e in step) == count


def test_cancelling_one_leaves_the_others(gpt2: Any) -> None:
    ended: set[str] = set()
    count = 0

    def is_cancelled(name: str) -> bool:
        nonlocal count
        count += 1
        if count > 12:
            ended.add("b")
        return name in ended

    steps = drive(
        gpt2,
        [(0, request(name, "The", temperature=0, max_new_tokens=20)) for name in "abc"],
        is_cancelled,
    )

    assert [e.finish_reason for e in of(steps, "b") if isinstance(e, EndedEvent)] == ["cancelled"]
    assert isinstance(of(steps, "b")[-1], DoneEvent)
    for name in "ac":
        assert [ids_of(of(steps, name))] == alone(gpt2, "The", temperature=0, max_new_tokens=20)


def test_a_request_that_is_cancelled_before_its_turn_ends_properly(gpt2: Any) -> None:
    steps = drive(gpt2, [(0, request("r", "The"))], lambda name: True)

    assert [type(event) for event in of(steps, "r")] == [StartedEvent, EndedEvent, DoneEvent]


class Faulty:
    """The model, failing in its middle when a batch has more than ``most_rows`` rows."""

    def __init__(self, model: Any, most_rows: int, error: Exception) -> None:
        self._model, self._most_rows, self._error = model, most_rows, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, **inputs: Any) -> Any:
        cache = inputs.get("past_key_values")
        if inputs["input_ids"].shape[0] > self._most_rows:
            layer = cache.layers[0]  # the first layer has seen the token, the others have not
            layer.update(layer.keys[..., :1, :], layer.values[..., :1, :])
            raise self._error
        return self._model(**inputs)


def test_what_fails_together_goes_on_one_by_one(gpt2: Any) -> None:
    error = RuntimeError("DefaultCPUAllocator: can't allocate memory")
    faulty = replace(gpt2, model=Faulty(gpt2.model, 2, error))

    steps = drive(
        faulty,
        [
            (place, request(f"r{place}", prompt, temperature=0, max_new_tokens=12))
            for place, prompt in enumerate(PROMPTS)
        ],
    )

    for place, prompt in enumerate(PROMPTS):
        expected = alone(gpt2, prompt, temperature=0, max_new_tokens=12)
        assert [ids_of(of(steps, f"r{place}"))] == expected


def test_a_request_that_needs_too_much_fails_alone(gpt2: Any) -> None:
    error = RuntimeError("DefaultCPUAllocator: can't allocate memory")
    faulty = replace(gpt2, model=Faulty(gpt2.model, 2, error))

    steps = drive(
        faulty,
        [
            (0, request("wide", "The", num_sequences=3, max_new_tokens=12)),
            (0, request("slim", "The", temperature=0, max_new_tokens=12)),
        ],
    )

    (refusal,) = [event for event in of(steps, "wide") if isinstance(event, ErrorEvent)]
    assert refusal.code == "out_of_memory"
    assert [ids_of(of(steps, "slim"))] == alone(gpt2, "The", temperature=0, max_new_tokens=12)


class Poisoned:
    """The model; a row whose newest token is ``poison`` gets scores that are no numbers."""

    def __init__(self, model: Any, poison: int) -> None:
        self._model, self._poison = model, poison

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, **inputs: Any) -> Any:
        output = self._model(**inputs)
        bad = inputs["input_ids"][:, -1] == self._poison
        output.logits[bad, -1, 0] = float("nan")
        return output


def test_scores_that_are_no_numbers_end_their_own_request(gpt2: Any) -> None:
    whole = alone(gpt2, "The quick", temperature=0, max_new_tokens=12)[0]
    others = alone(gpt2, "b b b b", temperature=0, max_new_tokens=12)[0]
    poison = next(token for token in whole if token not in others)
    poisoned = replace(gpt2, model=Poisoned(gpt2.model, poison))

    steps = drive(
        poisoned,
        [
            (0, request("bad", "The quick", temperature=0, max_new_tokens=12)),
            (0, request("good", "b b b b", temperature=0, max_new_tokens=12)),
        ],
    )

    (refusal,) = [event for event in of(steps, "bad") if isinstance(event, ErrorEvent)]
    assert refusal.code == "not_finite"
    assert not any(isinstance(event, DoneEvent) for event in of(steps, "bad"))
    assert ids_of(of(steps, "good")) == others


def test_logprobs_are_those_of_the_model(gpt2: Any) -> None:
    events = run(gpt2, "The quick", temperature=0.7, seed=3, max_new_tokens=6, logprobs=4)

    ids = gpt2.tokenizer("The quick")["input_ids"]
    for event in [event for event in events if isinstance(event, TokenEvent)]:
        with torch.inference_mode():
            logits = gpt2.model(torch.tensor([ids])).logits[0, -1]
        expected = torch.log_softmax(logits.float(), dim=-1)
        assert event.logprob == pytest.approx(float(expected[event.token_id]), abs=1e-4)
        best = expected.topk(4)
        assert [each.token_id for each in event.top] == best.indices.tolist()
        assert [each.logprob for each in event.top] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert event.top[0].text == gpt2.tokenizer.decode([event.top[0].token_id])
        ids = [*ids, event.token_id]


def test_nothing_is_told_of_tokens_unless_asked(gpt2: Any) -> None:
    plain = run(gpt2, "The", max_new_tokens=3)
    chosen_only = run(gpt2, "The", max_new_tokens=3, logprobs=0)

    for event in plain:
        assert not isinstance(event, TokenEvent) or (event.logprob is None and event.top == [])
    for event in chosen_only:
        assert not isinstance(event, TokenEvent) or (event.logprob is not None and event.top == [])
    assert ids_of(plain) == ids_of(chosen_only)


def test_lengths_that_differ_much_are_not_run_together(
    wide_dir: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WHOLE_TOKENS", 4096)
    loaded = load(wide_dir)
    widths: set[tuple[int, int]] = set()
    plain = loaded.model.forward

    def counting(*args: Any, **inputs: Any) -> Any:
        if (cache := inputs.get("past_key_values")) is not None and cache.get_seq_length():
            widths.add((inputs["input_ids"].shape[0], cache.get_seq_length() > 1000))
        return plain(*args, **inputs)

    monkeypatch.setattr(loaded.model, "forward", counting)
    monkeypatch.setattr(cohort, "takes", lambda loaded, name: True)

    drive(
        loaded,
        [
            (0, request("long", "a " * 1500, max_new_tokens=5)),
            (0, request("short", "The", max_new_tokens=5)),
        ],
    )

    assert widths == {(1, True), (1, False)}
