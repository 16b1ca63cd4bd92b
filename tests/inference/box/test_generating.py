"""One request in the step loop, against transformers' own ``generate``, in this process."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.box.engine import Engine
from inference.box.loading import RefusedError
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

PROMPTS = ["The quick", "日本", "a", " It is a truth universally acknowledged, that"]


def never(request_id: str) -> bool:
    return False


def run(loaded: Any, prompt: str, is_cancelled: Any = never, **params: Any) -> list[Event]:
    request = GenerateRequest(
        id="r", prompt=prompt, params=SamplingParams(**({"seed": 1} | params))
    )
    return list(generate(loaded, request, is_cancelled))


def generate(loaded: Any, request: GenerateRequest, is_cancelled: Any = never) -> Iterator[Event]:
    """One request alone; raises what it is refused for."""
    engine = Engine(loaded, is_cancelled)
    engine.add(request)
    while not engine.is_idle:
        for event in engine.step():
            if isinstance(event, ErrorEvent):
                raise RefusedError(event.code, event.message)
            yield event


def ids_of(events: list[Event], sequence: int = 0) -> list[int]:
    return [e.token_id for e in events if isinstance(e, TokenEvent) and e.sequence == sequence]


def text_of(events: list[Event], sequence: int = 0) -> str:
    parts = [
        e.text for e in events if isinstance(e, TokenEvent | EndedEvent) and e.sequence == sequence
    ]
    return "".join(parts)


def reasons_of(events: list[Event]) -> list[str]:
    return [e.finish_reason for e in events if isinstance(e, EndedEvent)]


def reference(loaded: Any, prompt: str, **options: Any) -> list[int]:
    """New ids of transformers' generate."""
    given = loaded.tokenizer(prompt, return_tensors="pt")
    ids = loaded.model.generate(**given, pad_token_id=0, **options)
    return list(ids[0, given["input_ids"].shape[1] :].tolist())


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_equals_generate_token_by_token(gpt2: Any, prompt: str) -> None:
    events = run(gpt2, prompt, temperature=0, max_new_tokens=30)

    expected = reference(gpt2, prompt, do_sample=False, max_new_tokens=30)
    assert ids_of(events) == expected
    assert len(set(expected)) > 3  # a model that wanders, not one that repeats itself
    assert text_of(events) == gpt2.tokenizer.decode(expected, skip_special_tokens=True)


def test_greedy_equals_generate_on_llama_and_mamba(
    llama_dir: Path, tmp_path: Path, load: Callable[..., Any]
) -> None:
    for folder in (llama_dir, tiny_models.mamba(tmp_path / "mamba")):
        loaded = load(folder)

        events = run(loaded, "The quick", temperature=0, max_new_tokens=25)

        expected = reference(loaded, "The quick", do_sample=False, max_new_tokens=25)
        assert ids_of(events) == expected


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 1.0},
        {"temperature": 0.7, "top_p": 0.9},
        {"temperature": 1.3, "top_k": 7},
        {"temperature": 0.9, "top_k": 40, "top_p": 0.8, "repetition_penalty": 1.4},
    ],
)
def test_one_seeded_sequence_equals_a_seeded_generate(gpt2: Any, params: dict[str, Any]) -> None:
    events = run(gpt2, "The quick", max_new_tokens=30, seed=5, **params)

    options = {"top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0} | params
    torch.manual_seed(5)
    expected = reference(gpt2, "The quick", do_sample=True, max_new_tokens=30, **options)
    assert ids_of(events) == expected


def test_greedy_with_a_repetition_penalty_equals_generate(gpt2: Any) -> None:
    events = run(gpt2, "a", temperature=0, repetition_penalty=1.8, max_new_tokens=20)

    options = {"do_sample": False, "repetition_penalty": 1.8, "max_new_tokens": 20}
    assert ids_of(events) == reference(gpt2, "a", **options)


def test_a_seed_repeats_exactly_and_another_does_not(gpt2: Any) -> None:
    first, again, other = (
        run(gpt2, "The", max_new_tokens=20, seed=seed, num_sequences=3) for seed in (4, 4, 9)
    )

    assert [ids_of(first, i) for i in range(3)] == [ids_of(again, i) for i in range(3)]
    assert ids_of(first) != ids_of(other)


def test_each_sequence_is_what_its_own_seed_draws_alone(gpt2: Any) -> None:
    together = run(gpt2, "The", max_new_tokens=20, seed=4, num_sequences=3)

    alone = [run(gpt2, "The", max_new_tokens=20, seed=4 + index) for index in range(3)]
    assert [ids_of(together, i) for i in range(3)] == [ids_of(events) for events in alone]


def test_events_come_in_order_and_count_right(gpt2: Any) -> None:
    events = run(gpt2, "The quick", max_new_tokens=6, num_sequences=2, seed=3)

    assert events[0] == StartedEvent(
        id="r", prompt_tokens=len(gpt2.tokenizer("The quick")["input_ids"]), max_new_tokens=6
    )
    for sequence in (0, 1):
        numbers = [e.number for e in events if isinstance(e, TokenEvent) and e.sequence == sequence]
        assert numbers == list(range(6))
    assert [e.sequence for e in events if isinstance(e, TokenEvent)] == [0, 1] * 6
    assert reasons_of(events) == ["length", "length"]
    done = events[-1]
    assert isinstance(done, DoneEvent)
    assert done.new_tokens == 12
    assert 0 < done.first_token_s <= done.generate_s
    assert done.rss_bytes > 10_000_000


def test_a_sequence_that_ends_leaves_the_others_unchanged(gpt2: Any) -> None:
    plain = run(gpt2, "The", max_new_tokens=20, seed=4, num_sequences=3)
    end = ids_of(plain, 1)[4]  # make something the second sequence says its end
    ending = replace(gpt2, end_ids=frozenset({end}))

    events = run(ending, "The", max_new_tokens=20, seed=4, num_sequences=3)

    for sequence in range(3):
        whole = ids_of(plain, sequence)
        cut = whole.index(end) + 1 if end in whole else 20
        assert ids_of(events, sequence) == whole[:cut]
    assert len(ids_of(events, 1)) <= 5
    assert "stop" in reasons_of(events)


def test_the_end_token_ends_the_text_and_gives_none(gpt2: Any) -> None:
    whole = ids_of(run(gpt2, "The quick", temperature=0, max_new_tokens=12))
    ending = replace(gpt2, end_ids=frozenset({whole[5]}))

    events = run(ending, "The quick", temperature=0, max_new_tokens=12)

    cut = whole.index(whole[5])
    assert ids_of(events) == whole[: cut + 1]
    assert text_of(events) == gpt2.tokenizer.decode(whole[:cut])
    assert reasons_of(events) == ["stop"]


def test_a_stop_text_cuts_before_itself(gpt2: Any) -> None:
    whole = text_of(run(gpt2, "The quick", temperature=0, max_new_tokens=40))
    stop = whole[10:13]

    events = run(gpt2, "The quick", temperature=0, max_new_tokens=40, stop=(stop, "never said"))

    assert text_of(events) == whole[: whole.index(stop)]
    assert reasons_of(events) == ["stop"]
    assert len(ids_of(events)) < 40


def test_a_stop_text_that_only_begins_is_given_out_at_the_end(gpt2: Any) -> None:
    whole = text_of(run(gpt2, "The quick", temperature=0, max_new_tokens=12))

    stop = whole[-2:] + "\N{SNOWMAN}"
    events = run(gpt2, "The quick", temperature=0, max_new_tokens=12, stop=(stop,))

    assert text_of(events) == whole
    assert reasons_of(events) == ["length"]


def test_cancel_acts_within_one_token(gpt2: Any) -> None:
    steps = iter([False, False, False, True])  # asked once before each step

    events = run(gpt2, "The", lambda _: next(steps), max_new_tokens=50, num_sequences=2)

    assert [len(ids_of(events, i)) for i in range(2)] == [3, 3]
    assert reasons_of(events) == ["cancelled", "cancelled"]
    assert isinstance(events[-1], DoneEvent)


def test_a_prompt_that_fills_the_context_is_refused(gpt2: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        run(gpt2, "a " * 200)

    assert caught.value.code == "prompt_too_long"
    assert "63 at most" in caught.value.message


def test_the_answer_is_clamped_to_what_the_context_leaves(gpt2: Any) -> None:
    prompt = "a b c d"
    used = len(gpt2.tokenizer(prompt)["input_ids"])

    events = run(gpt2, prompt, temperature=0, max_new_tokens=4000)

    assert events[0] == StartedEvent(id="r", prompt_tokens=used, max_new_tokens=64 - used)
    assert len(ids_of(events)) == 64 - used
    assert reasons_of(events) == ["length"]


def test_an_empty_prompt_begins_with_the_start_token(gpt2: Any) -> None:
    events = run(gpt2, "", temperature=0, max_new_tokens=5)

    assert events[0] == StartedEvent(id="r", prompt_tokens=1, max_new_tokens=5)
    given = torch.tensor([[0]])
    expected = gpt2.model.generate(given, do_sample=False, max_new_tokens=5, pad_token_id=0)
    assert ids_of(events) == expected[0, 1:].tolist()


class FakeTokenizer:
    """Gives fixed ids."""

    bos_token_id = None

    def __init__(self, ids: list[int] | None) -> None:
        self.ids = ids

    def __call__(self, text: str, **_options: Any) -> dict[str, list[int]]:
        if self.ids is None:
            raise KeyError(text)
        return {"input_ids": self.ids}

    def decode(self, ids: Any, **options: Any) -> str:
        return "x" * len(ids)


@pytest.mark.parametrize(
    ("ids", "code"), [([], "empty_prompt"), ([320], "bad_tokenizer"), (None, "bad_tokenizer")]
)
def test_a_tokenizer_that_does_not_fit_is_refused(
    gpt2: Any, ids: list[int] | None, code: str
) -> None:
    broken = replace(gpt2, tokenizer=FakeTokenizer(ids), end_ids=frozenset())

    with pytest.raises(RefusedError) as caught:
        run(broken, "")

    assert caught.value.code == code


def test_without_a_start_token_an_end_token_begins(gpt2: Any) -> None:
    bare = replace(gpt2, tokenizer=FakeTokenizer([]), end_ids=frozenset({9, 4}))

    events = run(bare, "", temperature=0, max_new_tokens=2)

    assert events[0] == StartedEvent(id="r", prompt_tokens=1, max_new_tokens=2)


class BrokenModel:
    """Fails, or gives numbers that are none."""

    _is_stateful = True

    def __init__(self, gpt2: Any, failure: Exception | None) -> None:
        self._gpt2 = gpt2
        self._failure = failure

    def get_input_embeddings(self) -> Any:
        return self._gpt2.model.get_input_embeddings()

    def forward(self, **inputs: Any) -> Any:
        if self._failure:
            raise self._failure
        output = self._gpt2.model(input_ids=inputs["input_ids"])
        output.logits[0, -1, 3] = float("nan")
        return output

    __call__ = forward


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (None, "not_finite"),
        (RuntimeError("shapes do not match\nsecond line"), "cannot_generate"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
    ],
)
def test_a_model_that_fails_says_why(gpt2: Any, failure: Exception | None, code: str) -> None:
    broken = replace(gpt2, model=BrokenModel(gpt2, failure))

    with pytest.raises(RefusedError) as caught:
        run(broken, "The")

    assert caught.value.code == code
    assert "second line" not in caught.value.message


def test_texts_flow_while_tokens_are_made(gpt2: Any) -> None:
    request = GenerateRequest(
        id="r", prompt="The", params=SamplingParams(seed=1, max_new_tokens=50)
    )
    events: Iterator[Event] = generate(gpt2, request, never)
    assert isinstance(next(events), StartedEvent)

    first = next(events)

    assert isinstance(first, TokenEvent)  # before the other 49 exist
    assert first.number == 0
