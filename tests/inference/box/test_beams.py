"""Beam search: equal to transformers' own, beside others' streams, stopped, cancelled, refused."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import GenerationConfig

from inference.box.beam_messages import BeamRequest, BeamStepEvent
from inference.box.client import Box
from inference.box.engine import Engine
from inference.box.loading import RefusedError
from inference.box.params import SamplingParams
from inference.box.protocol import (
    DoneEvent,
    EndedEvent,
    Event,
    StartedEvent,
    TokenEvent,
)
from inference.box.talks import Talk
from tests.inference.box import tiny_models
from tests.inference.box.test_engine import request
from tests.inference.box.test_generating import ids_of, never, reasons_of, text_of
from tests.inference.box.test_scoring import ask


def asked(prompt: str = "The quick", name: str = "b", **params: Any) -> BeamRequest:
    chosen = {"num_beams": 4, "max_new_tokens": 20} | params
    return BeamRequest(id=name, prompt=prompt, params=SamplingParams(**chosen))


def expected(loaded: Any, prompt: str, **options: Any) -> list[list[int]]:
    """New ids of each text of transformers' own beam search, what fills short ones cut off."""
    given = loaded.tokenizer(prompt, return_tensors="pt")
    ends = sorted(loaded.end_ids)
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        **({"num_beams": 4, "max_new_tokens": 20} | options),
        do_sample=False,
        eos_token_id=ends,
        pad_token_id=ends[0],
    )
    rows = loaded.model.generate(**given, generation_config=config)
    rows = rows[:, given["input_ids"].shape[1] :].tolist()
    found = []
    for row in rows:
        cut = next((at + 1 for at, token in enumerate(row) if token in ends), len(row))
        found.append(row[:cut])
    return found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_beams": 8, "max_new_tokens": 35},
        {"length_penalty": -2.0},
        {"length_penalty": 3.0, "early_stopping": "never"},
        {"early_stopping": True},
        {"repetition_penalty": 1.6},
    ],
)
@pytest.mark.parametrize("prompt", ["The quick", "日本", " It is a truth"])
def test_equals_generate_token_by_token(gpt2: Any, prompt: str, options: dict[str, Any]) -> None:
    events = ask(gpt2, asked(prompt, **options))

    found = ids_of(events)
    assert found == expected(gpt2, prompt, **options)[0]
    assert len(set(found)) > 3
    assert text_of(events) == gpt2.tokenizer.decode(found, skip_special_tokens=True)


def test_equals_generate_on_other_architectures(tmp_path: Path, load: Callable[..., Any]) -> None:
    for make in (tiny_models.llama, tiny_models.gemma2, tiny_models.mamba):
        loaded = load(make(tmp_path / make.__name__))

        events = ask(loaded, asked())

        assert ids_of(events) == expected(loaded, "The quick")[0]


def test_beams_differ_from_the_greedy_text(gpt2: Any) -> None:
    assert expected(gpt2, "The quick")[0] != expected(gpt2, "The quick", num_beams=1)[0]


def test_several_texts_are_the_best_beams_in_order(gpt2: Any) -> None:
    events = ask(gpt2, asked(num_sequences=3))

    texts = [ids_of(events, index) for index in range(3)]
    assert texts == expected(gpt2, "The quick", num_return_sequences=3)
    assert len({tuple(ids) for ids in texts}) == 3


def test_the_events_come_in_order_and_count_every_beam(gpt2: Any) -> None:
    events = ask(gpt2, asked(num_sequences=2, max_new_tokens=10))

    assert isinstance(events[0], StartedEvent)
    steps = [event.new_tokens for event in events if isinstance(event, BeamStepEvent)]
    assert steps == [4 * count for count in range(1, len(steps) + 1)]
    done = events[-1]
    assert isinstance(done, DoneEvent)
    assert done.new_tokens == steps[-1] == 40
    assert 0 < done.first_token_s <= done.generate_s
    talk = Talk(asked(num_sequences=2, max_new_tokens=10))
    assert all(talk.take(event) for event in events)
    assert talk.is_over


@pytest.mark.parametrize(
    "change",
    [
        lambda events: [events[1]],  # a step before the beginning
        lambda events: [events[0], events[1], events[1]],  # no step further
        lambda events: [events[0], events[1].model_copy(update={"new_tokens": 41})],
        lambda events: [*events[:-3], events[-3], events[1].model_copy(update={"new_tokens": 40})],
        lambda events: [*events[:-1], events[-1].model_copy(update={"new_tokens": 39})],
    ],
)
def test_a_lying_box_is_found_out(gpt2: Any, change: Callable[[list[Any]], list[Event]]) -> None:
    talk = Talk(asked(max_new_tokens=10))
    events = change(ask(gpt2, asked(max_new_tokens=10)))

    *before, last = [talk.take(event) for event in events]

    assert all(before)
    assert not last


def test_a_text_ends_before_a_stop_text(gpt2: Any) -> None:
    whole = text_of(ask(gpt2, asked(max_new_tokens=30)))
    stop = whole[6:9]

    events = ask(gpt2, asked(max_new_tokens=30, stop=(stop,), num_sequences=2))

    for index in range(2):
        assert stop not in text_of(events, index)
    assert "stop" in reasons_of(events)


def test_a_text_that_ends_by_itself_says_so(gpt2: Any) -> None:
    loaded = replace(gpt2, end_ids=frozenset(range(150)))

    events = ask(loaded, asked(early_stopping=True, max_new_tokens=40))

    found = ids_of(events)
    assert found == expected(loaded, "The quick", early_stopping=True, max_new_tokens=40)[0]
    assert found[-1] < 150
    assert reasons_of(events) == ["stop"]
    assert 0 < events[-1].new_tokens < 160  # type: ignore[union-attr]


def test_what_the_publisher_wrote_into_its_settings_does_not_count(
    gpt2_copy: Path, gpt2: Any, load: Callable[..., Any]
) -> None:
    path = gpt2_copy / "generation_config.json"
    written = json.loads(path.read_text()) if path.exists() else {}
    tricks = {"min_new_tokens": 25, "no_repeat_ngram_size": 1, "length_penalty": -4.0}
    path.write_text(json.dumps(written | tricks))

    events = ask(load(gpt2_copy), asked())

    assert ids_of(events) == expected(gpt2, "The quick")[0]


def test_cancelled_keeps_the_best_so_far(wide_dir: Path, load: Callable[..., Any]) -> None:
    loaded = load(wide_dir)
    steps = 0

    def soon(_name: str) -> bool:
        return steps > 3

    engine = Engine(loaded, soon)
    engine.ask(asked(max_new_tokens=500, num_sequences=2))
    events: list[Event] = []
    while not engine.is_idle:
        events += engine.step()
        steps += 1

    assert reasons_of(events) == ["cancelled", "cancelled"]
    done = events[-1]
    assert isinstance(done, DoneEvent)
    written = len(ids_of(events))
    assert 0 < written < 500
    assert done.new_tokens == 4 * max(written, len(ids_of(events, 1)))


def test_cancelled_before_it_began_or_while_it_reads(gpt2: Any) -> None:
    events = ask(gpt2, asked(), is_cancelled=lambda _name: True)

    assert [type(event) for event in events] == [StartedEvent, EndedEvent, DoneEvent]
    assert reasons_of(events) == ["cancelled"]
    assert events[-1].new_tokens == 0  # type: ignore[union-attr]


def test_a_prompt_being_read_is_broken_off(wide_dir: Path, load: Callable[..., Any]) -> None:
    loaded = load(wide_dir)
    steps = 0
    engine = Engine(loaded, lambda _name: steps > 0)
    engine.add(request("other", "The", max_new_tokens=300, temperature=1))  # short pieces of time
    engine.step()
    engine.ask(asked("word " * 1000, max_new_tokens=20))
    events: list[Event] = []
    while not engine.is_idle and steps < 50:
        events += [event for event in engine.step() if getattr(event, "id", "") == "b"]
        steps += 1

    assert isinstance(events[-1], DoneEvent)
    assert events[-1].new_tokens == 0


def test_others_write_meanwhile_what_they_write_alone(gpt2: Any) -> None:
    engine = Engine(gpt2, never)
    engine.ask(asked(max_new_tokens=40, num_beams=8))
    engine.ask(asked(" It is", name="c", max_new_tokens=40))
    engine.add(request("r", "The", temperature=0, max_new_tokens=30))
    events: list[Event] = []
    while not engine.is_idle:
        events += engine.step()

    def of(name: str) -> list[Event]:
        return [event for event in events if getattr(event, "id", None) == name]

    assert ids_of(of("b")) == expected(gpt2, "The quick", num_beams=8, max_new_tokens=40)[0]
    assert ids_of(of("c")) == expected(gpt2, " It is", max_new_tokens=40)[0]
    alone = expected(gpt2, "The", num_beams=1, max_new_tokens=30)[0]
    assert ids_of(of("r")) == alone
    order = [getattr(event, "id", "") for event in events if isinstance(event, BeamStepEvent)]
    assert {"b", "c"} == set(order[:8])  # they take turns


def test_too_long_a_prompt_is_refused_and_nothing_is_asked(gpt2: Any) -> None:
    engine = Engine(gpt2, never)

    with pytest.raises(RefusedError) as caught:
        engine.ask(asked("word " * 200))

    assert caught.value.code == "prompt_too_long"
    assert engine.is_idle


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"num_beams": 9}, "less than or equal to 8"),
        ({"num_beams": 4, "temperature": 0.7}, "draws nothing"),
        ({"num_beams": 4, "top_p": 0.9}, "draws nothing"),
        ({"num_beams": 4, "frequency_penalty": 1}, "repetition_penalty works"),
        ({"num_beams": 4, "presence_penalty": 1}, "repetition_penalty works"),
        ({"num_beams": 4, "logit_bias": {3: 1.0}}, "repetition_penalty works"),
        ({"num_beams": 4, "logprobs": 2}, "leave logprobs out"),
        ({"num_beams": 2, "num_sequences": 3}, "ask for fewer"),
        ({"length_penalty": 2}, "set num_beams"),
        ({"early_stopping": True}, "set num_beams"),
        ({"num_beams": 2, "early_stopping": "soon"}, "never"),
    ],
)
def test_what_does_not_mix_is_refused_in_words(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SamplingParams(**values)


def test_what_is_not_named_is_what_beams_take() -> None:
    params = SamplingParams(num_beams=3, num_sequences=2, max_new_tokens=10)

    assert (params.temperature, params.top_p, params.top_k) == (0, 1, 0)
    assert params.most_computed_tokens == 30
    assert SamplingParams(num_sequences=2, max_new_tokens=10).most_computed_tokens == 20


def test_in_a_real_box_beside_a_stream(box: Box, wide_dir: Path, load: Callable[..., Any]) -> None:
    loaded = load(wide_dir)
    pauses: list[float] = []

    def stream() -> None:
        last = time.monotonic()
        for event in box.generate("The", SamplingParams(seed=2, max_new_tokens=2000)):
            if isinstance(event, TokenEvent):
                now = time.monotonic()
                pauses.append(now - last)
                last = now

    thread = threading.Thread(target=stream)
    thread.start()
    params = SamplingParams(num_beams=8, max_new_tokens=60)
    events = list(box.generate("The quick", params))
    was_going_on = thread.is_alive()
    thread.join()

    assert ids_of(events) == expected(loaded, "The quick", num_beams=8, max_new_tokens=60)[0]
    assert was_going_on
    assert len(pauses) > 50
    assert torch.tensor(pauses[1:]).median() < 0.25


def test_leaving_early_ends_it_and_the_box_lives(box: Box) -> None:
    params = SamplingParams(num_beams=8, max_new_tokens=2000)

    for event in box.generate("The quick", params):
        if isinstance(event, BeamStepEvent):
            break

    assert box.ping() < 5
    assert box.is_alive
