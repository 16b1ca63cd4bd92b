"""Several prompts, tokens and their probabilities: the OpenAI client, and lm-evaluation-harness."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel

from tests import live
from tests.clients.models import save_tiny_gpt
from tests.clients.test_openai import Model, publish
from tests.inference.tiny import greedy

PROMPTS = ["It is a truth", "Once upon a time"]


class Direct:
    """The same model in this process."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = GPT2LMHeadModel.from_pretrained(folder).eval()

    def ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text)["input_ids"])

    def logprobs(self, ids: list[int]) -> torch.Tensor:
        """Of every token of the vocabulary after each token, shape ``(tokens, vocabulary)``."""
        with torch.inference_mode():
            logits = self.model(input_ids=torch.tensor([ids])).logits[0].float()
        return torch.log_softmax(logits, dim=-1)


@pytest.fixture(scope="module")
def model(store: live.LiveStore, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return publish(store, save_tiny_gpt(tmp_path_factory.mktemp("many") / "gpt", seed=5))


@pytest.fixture(scope="module")
def client(model: Model) -> openai.OpenAI:
    return model.client()


@pytest.fixture(scope="module")
def direct(model: Model) -> Direct:
    return Direct(model.folder)


def test_choices_are_numbered_prompt_by_prompt(
    model: Model,
    client: openai.OpenAI,
) -> None:
    answer = client.completions.create(
        model=model.name, prompt=PROMPTS, max_tokens=8, temperature=0, n=1, echo=True
    )

    assert [choice.index for choice in answer.choices] == [0, 1]
    wanted = [prompt + greedy(model.folder, prompt, 8) for prompt in PROMPTS]
    assert [choice.text for choice in answer.choices] == wanted
    drawn = client.completions.create(model=model.name, prompt=PROMPTS, max_tokens=4, n=2, seed=3)
    alone = [
        client.completions.create(model=model.name, prompt=prompt, max_tokens=4, n=2, seed=3)
        for prompt in PROMPTS
    ]
    apart = [choice.text for each in alone for choice in each.choices]
    assert [choice.text for choice in drawn.choices] == apart


def test_tokens_go_on_as_their_text_does(
    model: Model,
    client: openai.OpenAI,
    direct: Direct,
) -> None:
    ids = [direct.ids(prompt) for prompt in PROMPTS]

    one = client.completions.create(model=model.name, prompt=ids[0], max_tokens=8, temperature=0)
    two = client.completions.create(
        model=model.name, prompt=ids, max_tokens=8, temperature=0, echo=True
    )

    wanted = [greedy(model.folder, prompt, 8) for prompt in PROMPTS]
    assert one.choices[0].text == wanted[0]
    assert [choice.text for choice in two.choices] == [
        prompt + text for prompt, text in zip(PROMPTS, wanted, strict=True)
    ]
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=model.name, prompt=[10**6], max_tokens=1)
    assert caught.value.code == "unknown_token"


@pytest.mark.parametrize("most", [0, 3])
def test_probabilities_of_a_prompt_are_the_models(
    model: Model,
    client: openai.OpenAI,
    direct: Direct,
    most: int,
) -> None:
    ids = direct.ids(PROMPTS[0])

    answer = client.completions.create(
        model=model.name, prompt=ids, max_tokens=most, temperature=0, echo=True, logprobs=2
    )

    (choice,) = answer.choices
    told = choice.logprobs
    assert told
    assert told.tokens
    assert told.token_logprobs
    assert told.top_logprobs
    assert answer.usage
    assert answer.usage.completion_tokens == len(told.tokens) - len(ids) <= most
    first: list[Any] = [told.token_logprobs[0], told.top_logprobs[0]]
    assert first == [None, None]
    table = direct.logprobs(ids)
    for place in range(1, len(ids)):
        expected = float(table[place - 1, ids[place]])
        assert told.token_logprobs[place] == pytest.approx(expected, abs=1e-5)
        best = table[place - 1].topk(2).values.tolist()
        assert sorted(told.top_logprobs[place].values(), reverse=True) == pytest.approx(
            best, abs=1e-5
        )
    assert told.text_offset
    for token, offset in zip(told.tokens, told.text_offset, strict=True):
        assert choice.text[offset:].startswith(token) or "\ufffd" in token or token.startswith("<")
    assert choice.text.startswith(PROMPTS[0])
    assert choice.finish_reason in {"length", "stop"}


def test_the_harness_measures_over_the_api_what_it_measures_itself(
    model: Model,
    store: live.LiveStore,
) -> None:
    pytest.importorskip("tenacity", reason="lm-eval's API models need it")
    from lm_eval.models.huggingface import HFLM  # type: ignore[import-untyped]
    from lm_eval.models.openai_completions import (  # type: ignore[import-untyped]
        LocalCompletionsAPI,
    )

    pairs = [
        ("It is a truth", " universally acknowledged"),
        ("Once upon", " a time there was a small store"),
        ("", "The models wrote stories"),
        ("The stories ", "were short."),
    ]
    asked = [SimpleNamespace(args=pair, task_name=None) for pair in pairs]
    api = LocalCompletionsAPI(
        model=model.name,
        base_url=f"{store.url}/v1/completions",
        tokenizer=str(model.folder),
        tokenizer_backend="huggingface",
        batch_size=2,
        max_retries=1,
        header={"Authorization": f"Bearer {model.token}"},
    )
    own = HFLM(str(model.folder), device="cpu", batch_size=1, dtype="float32")

    found: list[Any] = api.loglikelihood(asked, disable_tqdm=True)

    expected = own.loglikelihood(asked, disable_tqdm=True)
    assert [greedily for _sum, greedily in found] == [greedily for _sum, greedily in expected]
    sums = [value for value, _greedily in found]
    assert sums == pytest.approx([value for value, _greedily in expected], abs=1e-5)
