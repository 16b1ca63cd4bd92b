"""Keys and values with room to grow, and two cohorts that become one between steps."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.cache_utils import DynamicLayer

from inference.box.cache import GrowingLayer
from inference.box.cohort import Cohort, Prompt, read_together
from inference.box.joining import Joining
from inference.box.params import SamplingParams
from inference.box.protocol import GenerateRequest
from inference.box.sequences import Answer, running_of

WIDTH = 3
OPERATIONS = st.one_of(
    st.tuples(st.just("update"), st.integers(1, 90)),
    st.tuples(st.just("crop"), st.integers(1, 5)),
    st.tuples(st.just("repeat"), st.integers(2, 3)),
    st.tuples(st.just("move"), st.integers(0, 1)),
    st.tuples(st.just("drop"), st.integers(0, 3)),
)


def states(rows: int, tokens: int) -> torch.Tensor:
    return torch.randn(rows, 2, tokens, WIDTH)


@given(steps=st.lists(OPERATIONS, max_size=12), known=st.sampled_from([0, 40, 200]))
def test_a_layer_with_room_holds_what_a_plain_one_holds(
    steps: list[tuple[str, int]], known: int
) -> None:
    torch.manual_seed(1)
    ours = GrowingLayer(known)
    plain: Any = DynamicLayer()  # type: ignore[no-untyped-call]
    first = states(3, 7), states(3, 7)
    ours.update(*first)
    plain.update(*first)
    for what, number in steps:
        rows, tokens = plain.keys.shape[0], plain.get_seq_length()
        if what == "update":
            more = states(rows, number), states(rows, number)
            given_back = ours.update(*more)
            for found, expected in zip(given_back, plain.update(*more), strict=True):
                assert torch.equal(found, expected)
        elif what == "crop" and tokens > number:
            ours.crop(-number)
            plain.crop(-number)
        elif what == "repeat" and rows * number <= 12:
            ours.batch_repeat_interleave(number)
            plain.batch_repeat_interleave(number)
        elif what == "move":
            ours.move_to(states(rows + 1, tokens + 9)[:rows, :, 2:], are_values=bool(number))
        elif what == "drop" and rows > 1 and tokens > number:
            ours.keep_rows([(rows - 1, 0)], rows - 1, spare=number)
            order = torch.tensor([rows - 1, *range(1, rows - 1)])
            plain.batch_select_indices(order)
            plain.keys, plain.values = plain.keys[:, :, number:], plain.values[:, :, number:]
        assert ours.get_seq_length() == plain.get_seq_length()
        assert torch.equal(ours.keys, plain.keys)
        assert torch.equal(ours.values, plain.values)


def test_new_tokens_do_not_move_the_old_ones() -> None:
    layer = GrowingLayer(100)
    layer.update(states(2, 10), states(2, 10))
    assert layer.keys is not None
    place = layer.keys.data_ptr()

    for _ in range(90):
        layer.update(states(2, 1), states(2, 1))

    assert layer.keys.data_ptr() == place
    layer.update(states(2, 1), states(2, 1))
    assert layer.keys.data_ptr() != place


def prompt_of(loaded: Any, text: str, **params: Any) -> Prompt:
    asked = SamplingParams(**({"temperature": 0, "seed": 1, "max_new_tokens": 200} | params))
    request = GenerateRequest(id="r", prompt=text, params=asked)
    return Prompt(running_of(loaded, request, arrived=0.0))


def cohort_of(loaded: Any, text: str, **params: Any) -> Cohort:
    prompt = prompt_of(loaded, text, **params)
    prompt.read(10_000)
    return prompt.cohort()


def step(cohort: Cohort) -> None:
    """Let each row take its likeliest token."""
    for row, token in zip(cohort.rows, cohort.logits.argmax(dim=-1).tolist(), strict=True):
        add(row, token)
    cohort.forward()


def add(row: Answer, token: int) -> None:
    row.ids[row.length] = token
    row.length += 1


@pytest.fixture
def model(wide_dir: Path, load: Callable[..., Any]) -> Iterator[Any]:
    with torch.inference_mode():
        yield load(wide_dir)


def test_both_go_on_while_they_are_joined(model: Any) -> None:
    texts = ["It is a truth", "b"]
    plain = [cohort_of(model, text) for text in texts]
    first, second = (cohort_of(model, text) for text in texts)

    joining = Joining(first, second)
    while not joining.advance():
        for cohort in (first, second, *plain):
            step(cohort)
        assert joining.is_on([first, second])
        for one, other in zip((first, second), plain, strict=True):
            assert torch.allclose(one.logits, other.logits, atol=1e-5)
    assert joining.finish()

    for _ in range(70):  # past the room they had
        step(first)
        for cohort in plain:
            step(cohort)
        for place, other in enumerate(plain):
            assert torch.allclose(first.logits[place], other.logits[0], atol=1e-4)


def test_a_cohort_that_lost_a_row_meanwhile_is_not_joined(model: Any) -> None:
    first, second = cohort_of(model, "a b c", num_sequences=2, temperature=1), cohort_of(model, "d")
    joining = Joining(first, second)
    joining.advance()

    first.rows[0].reason = "stop"
    first.drop_ended()

    assert not joining.is_on([first, second])
    before = [row.ids.clone() for row in (*first.rows, *second.rows)]
    for cohort in (first, second):
        step(cohort)
        assert cohort.logits.isfinite().all()
    assert len(first.rows) == len(second.rows) == 1
    assert [row.length for row in (*first.rows, *second.rows)] == [
        1 + int((ids != 0).sum()) for ids in before
    ]


def test_one_that_ran_more_often_or_out_of_room_is_not_joined(model: Any) -> None:
    first, second = cohort_of(model, "a b c"), cohort_of(model, "d")
    joining = Joining(first, second)
    joining.advance()
    step(first)
    assert not joining.is_on([first, second])

    joining = Joining(first, second)
    while not joining.advance():
        pass
    for _ in range(80):
        step(first)
        step(second)
    assert joining.is_on([first, second])
    assert not joining.finish()
    assert len(first.rows) == len(second.rows) == 1


def test_prompts_read_together_are_what_they_are_alone(model: Any) -> None:
    texts = ["It is a truth universally", "b", "The quick"]
    counts = [1, 3, 2]

    def options(count: int) -> dict[str, Any]:
        return {"num_sequences": count, "temperature": 0 if count == 1 else 0.5}

    plain = [cohort_of(model, t, **options(n)) for t, n in zip(texts, counts, strict=True)]
    prompts = [prompt_of(model, t, **options(n)) for t, n in zip(texts, counts, strict=True)]

    together = read_together(prompts)

    for _ in range(5):
        expected = torch.cat([cohort.logits for cohort in plain])
        assert torch.allclose(together.logits, expected, atol=1e-4)
        for cohort in (together, *plain):
            step(cohort)
    assert [len(cohort.rows) for cohort in plain] == counts
    assert len(together.rows) == sum(counts)


def test_rows_from_the_end_take_the_places_of_those_that_went(model: Any) -> None:
    texts = ["It is a truth universally", "b", "The quick", "and then"]
    plain = {text: cohort_of(model, text) for text in texts}
    together = read_together([prompt_of(model, text) for text in texts])
    names = dict(zip(together.rows, texts, strict=True))
    for cohort in (together, *plain.values()):
        step(cohort)
    tokens = together.tokens

    together.rows[0].reason = "stop"  # the longest: the others share empty places
    together.drop_ended()

    assert [names[row] for row in together.rows] == ["and then", "b", "The quick"]
    assert together.tokens < tokens
    assert min(together.empty) == 0
    for _ in range(5):
        step(together)
        for text in texts[1:]:
            step(plain[text])
        for row, logits in zip(together.rows, together.logits, strict=True):
            assert torch.allclose(logits, plain[names[row]].logits[0], atol=1e-4)
