"""LoRA adapters: merged exactly as PEFT applies them, and half an adapter is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from inference.box.client import Box
from inference.box.errors import ModelRefusedError
from inference.box.loading import RefusedError
from inference.box.params import SamplingParams
from tests.inference.box.conftest import LIMITS
from tests.inference.box.test_generating import text_of

IDS = torch.tensor([[5, 9, 70, 33, 101]])
LORA: dict[str, Any] = {
    "r": 4,
    "lora_alpha": 16,
    "target_modules": ["c_attn", "c_fc"],
    "fan_in_fan_out": True,
}


def adapt(folder: Path, **changes: Any) -> torch.Tensor:
    """Put a trained-looking adapter into a model folder; return the scores PEFT computes with it.

    Returns:
        float32, shape ``(1, 5, vocabulary)``.
    """
    torch.manual_seed(3)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model: Any = peft.get_peft_model(base, peft.LoraConfig(**(LORA | changes)))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_" in name:
                value.normal_(0, 0.2)
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()
    model.eval()
    with torch.inference_mode():
        scores: torch.Tensor = model(input_ids=IDS).logits
    return scores


@pytest.mark.parametrize(
    "changes", [{}, {"use_rslora": True}, {"use_dora": True}, {"modules_to_save": ["ln_f"]}]
)
def test_scores_are_those_of_peft(
    gpt2_copy: Path, load: Callable[..., Any], changes: dict[str, Any]
) -> None:
    plain = load(gpt2_copy).model(input_ids=IDS).logits
    expected = adapt(gpt2_copy, **changes)

    loaded = load(gpt2_copy)

    with torch.inference_mode():
        scores = loaded.model(input_ids=IDS).logits
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(scores, plain, atol=1e-2)
    assert loaded.facts().architecture == "GPT2LMHeadModel"
    assert not any("lora" in name for name, _ in loaded.model.named_parameters())


def spoil(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    path = folder / "adapter" / "adapter_model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def drop_one(weights: dict[str, torch.Tensor]) -> None:
    del weights[min(weights)]


def add_one(weights: dict[str, torch.Tensor]) -> None:
    weights["base_model.model.transformer.wte.weight"] = torch.zeros(320, 32)


def misshape(weights: dict[str, torch.Tensor]) -> None:
    name = min(weights)
    weights[name] = torch.zeros(weights[name].shape[0] + 1, *weights[name].shape[1:])


def poison(weights: dict[str, torch.Tensor]) -> None:
    weights[min(weights)][0, 0] = float("nan")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (drop_one, "bad_tensors", "missing"),
        (add_one, "bad_tensors", "do not belong"),
        (misshape, "bad_tensors", "another shape"),
        (poison, "bad_adapter", "NaN"),
    ],
)
def test_half_an_adapter_is_refused(
    gpt2_copy: Path,
    load: Callable[..., Any],
    change: Callable[[dict[str, torch.Tensor]], None],
    code: str,
    words: str,
) -> None:
    adapt(gpt2_copy)
    spoil(gpt2_copy, change)

    with pytest.raises(RefusedError, match=words) as caught:
        load(gpt2_copy)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"init_lora_weights": "pissa"}, "changes its base"),
        ({"target_modules": ["nothing_like_it"]}, "nothing_like_it"),
        ({"peft_type": "IA3"}, "not IA3"),
        ({"peft_type": None}, "not None"),
        ({"r": -1}, "cannot be loaded"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    gpt2_copy: Path, load: Callable[..., Any], change: dict[str, Any], words: str
) -> None:
    adapt(gpt2_copy)
    path = gpt2_copy / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    with pytest.raises(RefusedError, match=words) as caught:
        load(gpt2_copy)
    assert caught.value.code == "bad_adapter"
    assert str(gpt2_copy) not in caught.value.message


def test_a_base_elsewhere_is_not_looked_for(gpt2_copy: Path, load: Callable[..., Any]) -> None:
    expected = adapt(gpt2_copy)
    path = gpt2_copy / "adapter" / "adapter_config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "/etc/passwd"})
    )

    scores = load(gpt2_copy).model(input_ids=IDS).logits
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-4)


def test_a_locked_in_box_runs_an_adapter(gpt2_copy: Path, gpt2_dir: Path) -> None:
    adapt(gpt2_copy)
    asked = SamplingParams(temperature=0, max_new_tokens=12)

    with Box.start(gpt2_copy, limits=LIMITS) as box, Box.start(gpt2_dir, limits=LIMITS) as base:
        assert text_of(box.generate("Once", asked)) != text_of(base.generate("Once", asked))
        assert text_of(box.generate("Once", asked)) == text_of(box.generate("Once", asked))

    shutil.rmtree(gpt2_copy / "adapter")
    (gpt2_copy / "adapter").mkdir()
    with pytest.raises(ModelRefusedError) as caught:
        Box.start(gpt2_copy, limits=LIMITS)
    assert caught.value.reason == "bad_adapter"
