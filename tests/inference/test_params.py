"""What may be asked for."""

from typing import Any

import pytest

from inference.box.params import SamplingParams
from inference.services.params import (
    MAX_PROMPT_CHARS,
    PRESETS,
    AskedParams,
    InvalidParamsError,
    check_prompt,
    read_params,
)


def test_numbers_may_come_as_text() -> None:
    asked = read_params(
        {"max_new_tokens": "16", "temperature": "0.5", "top_p": "1", "seed": "7", "stop": ["."]}
    )

    assert asked.model_dump() == {
        "max_new_tokens": 16,
        "temperature": 0.5,
        "top_p": 1.0,
        "top_k": 50,
        "repetition_penalty": 1.0,
        "seed": 7,
        "num_sequences": 1,
        "stop": (".",),
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "logit_bias": {},
        "logprobs": None,
        "num_beams": 1,
        "length_penalty": 1.0,
        "early_stopping": False,
        "prompt_logprobs": None,
        "score_only": False,
    }


def test_a_seed_is_drawn_when_none_is_given() -> None:
    assert len({read_params({}).seed for _ in range(5)}) > 1


@pytest.mark.parametrize(("word", "means"), [("true", True), ("false", False), ("never", "never")])
def test_beams_may_come_as_text(word: str, means: object) -> None:
    asked = read_params({"num_beams": "4", "length_penalty": "0.5", "early_stopping": word})

    assert (asked.num_beams, asked.length_penalty, asked.early_stopping) == (4, 0.5, means)
    assert (asked.temperature, asked.top_p, asked.top_k) == (0, 1, 0)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"num_beams": 9}, "less than or equal to 8"),
        ({"num_beams": 4, "temperature": 0.7}, "leave temperature, top_p and top_k out"),
        ({"num_beams": 4, "logprobs": 0}, "leave logprobs out"),
        ({"num_beams": 2, "num_sequences": 3}, "ask for fewer"),
        ({"early_stopping": "never"}, "set num_beams"),
    ],
)
def test_beams_that_do_not_mix_say_what_to_do(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidParamsError, match=words):
        read_params(values)


@pytest.mark.parametrize("values", [{"num_sequences": 2, "stop": ["\n", "."]}, {"num_beams": 2}])
def test_what_is_stored_is_what_the_box_takes(values: dict[str, Any]) -> None:
    asked = read_params(values)

    assert SamplingParams.model_validate(asked.model_dump(mode="json")).model_dump() == (
        asked.model_dump()
    )


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"max_new_tokens": 1025}, "max_new_tokens"),
        ({"max_new_tokens": 1.5}, "max_new_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": 1001}, "top_k"),
        ({"repetition_penalty": 0.4}, "repetition_penalty"),
        ({"repetition_penalty": 2.1}, "repetition_penalty"),
        ({"num_sequences": 0}, "num_sequences"),
        ({"num_sequences": 5}, "num_sequences"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": ["a" * 65]}, "stop"),
        ({"num_beams": 4096}, "num_beams"),
        ({"temperature": 0, "num_sequences": 2}, ""),
    ],
)
def test_every_value_has_bounds(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        read_params(values)

    fields: Any = caught.value.extra["fields"]
    assert list(fields) == [field]


def test_two_wrong_values_are_told_together() -> None:
    with pytest.raises(InvalidParamsError, match=r"top_p: .*; top_k: ") as caught:
        read_params({"top_p": 7, "top_k": -3})

    assert (caught.value.code, caught.value.status) == ("invalid_params", 400)


@pytest.mark.parametrize(("context", "most"), [(None, 100), (512, 100), (60, 59), (1, 1)])
def test_new_tokens_fit_the_context(context: int | None, most: int) -> None:
    assert read_params({"max_new_tokens": 100}).within(context).max_new_tokens == most


@pytest.mark.parametrize("prompt", ["", "a\0b", "\ud800", "x" * (MAX_PROMPT_CHARS + 1)])
def test_a_prompt_is_text_of_bounded_length(prompt: str) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        check_prompt(prompt)

    assert list(caught.value.extra["fields"]) == ["prompt"]  # type: ignore[call-overload]


def test_a_prompt_of_any_script_passes() -> None:
    for prompt in ("x" * MAX_PROMPT_CHARS, "从前有座山 🏔", " "):
        assert check_prompt(prompt) == prompt


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_is_allowed(preset: Any) -> None:
    asked = read_params(preset.values)

    assert {name: getattr(asked, name) for name in preset.values} == preset.values
    assert isinstance(asked, AskedParams)
