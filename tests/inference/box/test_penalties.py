"""Penalties and biases, against their formula worked out by hand."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from inference.box.loading import RefusedError
from inference.box.params import SamplingParams
from inference.box.protocol import TokenEvent
from inference.box.sampling import BiasProcessor, PenaltyProcessor, processors_of
from tests.inference.box.test_generating import ids_of, run

PROMPT = "The quick"


def test_penalties_follow_the_formula_and_leave_the_prompt_alone() -> None:
    seen = torch.tensor([[1, 1, 2, 3, 3, 3, 4]])  # a prompt of three, then 3, 3, 3, 4
    scores = torch.tensor([[5.0, 5.0, 5.0, 5.0, 5.0]])

    found = PenaltyProcessor(0.5, 0.25, prompt_tokens=3)(seen, scores)

    assert found.tolist() == [[5.0, 5.0, 5.0, 5 - 3 * 0.5 - 0.25, 5 - 0.5 - 0.25]]
    assert scores.tolist() == [[5.0] * 5]


def test_biases_are_added() -> None:
    scores = torch.zeros(1, 4)

    found = BiasProcessor({1: 2.5, 3: -100.0}, torch.device("cpu"))(torch.tensor([[0]]), scores)

    assert found.tolist() == [[0.0, 2.5, 0.0, -100.0]]


def test_zeros_do_nothing_at_all() -> None:
    assert len(processors_of(SamplingParams(temperature=0))) == 0


def test_greedy_text_with_penalties_is_the_argmax_of_penalised_logits(gpt2: Any) -> None:
    frequency, presence = 1.5, 0.5
    prompt = gpt2.tokenizer(PROMPT)["input_ids"]
    expected: list[int] = []
    with torch.inference_mode():
        for _step in range(12):
            logits = gpt2.model(torch.tensor([prompt + expected])).logits[0, -1]
            for token in set(expected):
                logits[token] -= expected.count(token) * frequency + presence
            expected.append(int(logits.argmax()))

    events = run(
        gpt2,
        PROMPT,
        temperature=0,
        max_new_tokens=12,
        frequency_penalty=frequency,
        presence_penalty=presence,
    )

    assert ids_of(events) == expected
    assert expected != ids_of(run(gpt2, PROMPT, temperature=0, max_new_tokens=12))


def test_a_bias_forces_and_forbids(gpt2: Any) -> None:
    forced = run(gpt2, PROMPT, temperature=0.8, max_new_tokens=4, logit_bias={17: 100})
    plain = ids_of(run(gpt2, PROMPT, temperature=0, max_new_tokens=1))
    without = run(gpt2, PROMPT, temperature=0, max_new_tokens=1, logit_bias={plain[0]: -100})

    assert ids_of(forced) == [17] * 4
    assert ids_of(without) != plain


def test_a_bias_for_no_token_is_refused(gpt2: Any) -> None:
    with pytest.raises(RefusedError, match="names token 320; this model has 320") as caught:
        run(gpt2, PROMPT, max_new_tokens=2, logit_bias={320: 1})

    assert caught.value.code == "unknown_token"


def test_each_token_says_what_it_is_where_probabilities_are_told(gpt2: Any) -> None:
    told = [e for e in run(gpt2, "日", max_new_tokens=4, logprobs=1) if isinstance(e, TokenEvent)]
    untold = [e for e in run(gpt2, "日", max_new_tokens=4) if isinstance(e, TokenEvent)]

    assert [e.token for e in told] == [gpt2.tokenizer.decode([e.token_id]) for e in told]
    assert [e.token for e in untold] == [""] * 4


@pytest.mark.parametrize(
    "bad",
    [
        {"frequency_penalty": 2.1},
        {"presence_penalty": -2.1},
        {"logit_bias": {1: 101}},
        {"logit_bias": {-1: 1}},
        {"logit_bias": {"x": 1}},
        {"logit_bias": dict.fromkeys(range(301), 1.0)},
    ],
)
def test_bounds(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SamplingParams(**bad)
