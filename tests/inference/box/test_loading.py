"""What is refused at the door, in this process: half models, detours, code, other formats."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import T5Config

from inference.box import loading
from inference.box.loading import RefusedError
from scripts.demo_models import gguf_file
from tests.inference.box import tiny_models

Load = Callable[..., Any]


def refusal_of(load: Load, folder: Path, **options: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        load(folder, **options)
    assert str(folder) not in caught.value.message  # no path of this machine
    return caught.value


def retensor(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite the weights after ``change``."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def test_facts_come_from_the_model_itself(gpt2: Any) -> None:
    facts = gpt2.facts()

    assert facts.architecture == "GPT2LMHeadModel"
    assert facts.model_type == "gpt2"
    assert facts.parameters == sum(p.numel() for p in gpt2.model.parameters()) == 37_760
    assert (facts.context_tokens, facts.vocabulary) == (64, 320)
    assert (facts.format, facts.dtype, facts.device) == ("safetensors", "float32", "cpu")
    assert facts.rss_bytes > 50_000_000
    assert not gpt2.model.training


def test_tied_weights_need_no_second_copy(gpt2_dir: Path, gpt2: Any) -> None:
    assert "lm_head.weight" not in load_file(gpt2_dir / "model.safetensors")

    head = gpt2.model.lm_head.weight

    assert head.data_ptr() == gpt2.model.transformer.wte.weight.data_ptr()


def test_a_missing_tensor_is_refused(gpt2_copy: Path, load: Load) -> None:
    retensor(gpt2_copy, lambda tensors: tensors.pop("transformer.h.1.mlp.c_fc.weight"))

    refusal = refusal_of(load, gpt2_copy)

    assert refusal.code == "bad_tensors"
    assert "missing" in refusal.message
    assert "transformer.h.1.mlp.c_fc.weight" in refusal.message


def test_a_file_that_matches_nothing_is_refused(gpt2_copy: Path, load: Load) -> None:
    save_file({"x": torch.zeros(2)}, gpt2_copy / "model.safetensors", metadata={"format": "pt"})

    refusal = refusal_of(load, gpt2_copy)

    assert refusal.code == "bad_tensors"
    assert "and " in refusal.message  # counts those it does not name


def test_an_unexpected_tensor_is_refused(gpt2_copy: Path, load: Load) -> None:
    retensor(gpt2_copy, lambda tensors: tensors.update(stray=torch.zeros(3)))

    refusal = refusal_of(load, gpt2_copy)

    assert refusal.code == "bad_tensors"
    assert "stray" in refusal.message


def test_another_shape_is_refused(gpt2_copy: Path, load: Load) -> None:
    name = "transformer.h.0.ln_1.weight"
    retensor(gpt2_copy, lambda tensors: tensors.update({name: torch.zeros(7)}))

    assert refusal_of(load, gpt2_copy).code == "bad_tensors"


def test_half_a_file_is_refused(gpt2_copy: Path, load: Load) -> None:
    path = gpt2_copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])

    assert refusal_of(load, gpt2_copy).code == "cannot_load"


def test_pickles_are_not_weights(gpt2_copy: Path, load: Load) -> None:
    tensors = load_file(gpt2_copy / "model.safetensors")
    (gpt2_copy / "pytorch_model.bin").write_bytes(tiny_models.pickled(tensors))
    (gpt2_copy / "model.safetensors").unlink()

    assert refusal_of(load, gpt2_copy).code == "no_weights"


def test_an_adapter_needs_its_base(gpt2_copy: Path, load: Load) -> None:
    (gpt2_copy / "adapter_config.json").write_text('{"base_model_name_or_path": "/etc"}')

    assert refusal_of(load, gpt2_copy).code == "unsupported"


@pytest.mark.parametrize("shard", ["../victim/model.safetensors", "/srv/m.safetensors", ".."])
def test_shards_of_other_folders_are_refused(gpt2_copy: Path, load: Load, shard: str) -> None:
    (gpt2_copy / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"transformer.wte.weight": shard}}
    (gpt2_copy / "model.safetensors.index.json").write_text(json.dumps(index))

    refusal = refusal_of(load, gpt2_copy)

    assert refusal.code == "bad_config"
    assert shard in refusal.message


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": [1]}', '{"weight_map": {"a": 1}}'])
def test_an_index_that_is_none_is_refused(gpt2_copy: Path, load: Load, text: str) -> None:
    (gpt2_copy / "model.safetensors.index.json").write_text(text)

    assert refusal_of(load, gpt2_copy).code == "bad_config"


def test_shards_of_the_folder_load(gpt2_copy: Path, load: Load, gpt2: Any) -> None:
    gpt2.model.save_pretrained(gpt2_copy, max_shard_size="50kB")
    (gpt2_copy / "model.safetensors").unlink()
    assert (gpt2_copy / "model.safetensors.index.json").exists()

    assert load(gpt2_copy).model.num_parameters() == 37_760


def test_code_is_never_run(gpt2_copy: Path, load: Load, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')\nclass C: ...\nclass M: ..."
    (gpt2_copy / "modeling.py").write_text(code)
    auto = {"AutoConfig": "modeling.C", "AutoModelForCausalLM": "modeling.M"}
    tiny_models.edit_json(gpt2_copy / "config.json", model_type="homemade", auto_map=auto)

    refusal = refusal_of(load, gpt2_copy)

    assert refusal.code == "bad_config"
    assert not marker.exists()


def test_code_beside_a_known_type_is_ignored(gpt2_copy: Path, load: Load, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (gpt2_copy / "modeling.py").write_text(f"open({str(marker)!r}, 'w')\nclass M: ...")
    auto = {"AutoModelForCausalLM": "modeling.M"}
    tiny_models.edit_json(gpt2_copy / "config.json", auto_map=auto)

    assert load(gpt2_copy).facts().architecture == "GPT2LMHeadModel"
    assert not marker.exists()


def test_models_that_do_not_continue_text_are_refused(gpt2_copy: Path, load: Load) -> None:
    T5Config().save_pretrained(gpt2_copy)

    refusal = refusal_of(load, gpt2_copy)

    assert refusal.code == "unsupported"
    assert "t5" in refusal.message


def test_quantized_safetensors_are_refused(gpt2_copy: Path, load: Load) -> None:
    tiny_models.edit_json(
        gpt2_copy / "config.json", quantization_config={"quant_method": "bitsandbytes"}
    )

    assert refusal_of(load, gpt2_copy).code == "unsupported"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model_type": 5}', '{"model_type": "gpt2", '])
def test_a_broken_configuration_is_refused(gpt2_copy: Path, load: Load, text: str) -> None:
    (gpt2_copy / "config.json").write_text(text)

    assert refusal_of(load, gpt2_copy).code == "bad_config"


def test_fields_that_point_elsewhere_are_dropped(gpt2_copy: Path, load: Load) -> None:
    tiny_models.edit_json(
        gpt2_copy / "config.json",
        _attn_implementation="somebody/kernels",
        fusion_config={"patch": True},
    )

    loaded = load(gpt2_copy)

    assert loaded.model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_broken_tokenizer_is_refused(gpt2_copy: Path, load: Load, name: str) -> None:
    (gpt2_copy / name).write_text('{"version": "1.0", ')

    assert refusal_of(load, gpt2_copy).code == "bad_tokenizer"


def test_of_the_generation_configuration_only_the_end_counts(gpt2_copy: Path, load: Load) -> None:
    wild = {"num_beams": 4096, "max_length": 10**9, "do_sample": True, "temperature": 1e-9}
    tiny_models.edit_json(gpt2_copy / "generation_config.json", eos_token_id=[7, 9], **wild)

    loaded = load(gpt2_copy)

    assert loaded.end_ids == {7, 9}


def test_without_any_end_there_is_none(gpt2: Any) -> None:
    class Bare:
        eos_token_id = None
        config = None
        generation_config = None

    assert loading._end_ids(Bare(), Bare()) == frozenset()


def test_the_context_is_the_models_or_the_tokenizers_or_a_default() -> None:
    class Config:
        def __init__(self, **fields: int) -> None:
            self.__dict__.update(fields)

        def get_text_config(self) -> "Config":
            return self

    class Words:
        model_max_length = 512

    class Endless:
        model_max_length = 10**30

    assert loading._context_tokens(Config(n_positions=128), Words()) == 128
    assert loading._context_tokens(Config(max_position_embeddings=-5), Words()) == 512
    assert loading._context_tokens(Config(), Endless()) == 2048


def test_a_folder_without_weights_says_so(tmp_path: Path, load: Load) -> None:
    assert refusal_of(load, tmp_path).code == "no_weights"


@pytest.fixture(scope="module")
def gguf_dir(gpt2_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    gguf_file.write(gpt2_dir, folder / "tiny-Q8_0.gguf")
    return folder


def test_a_gguf_loads_with_its_own_tokenizer_and_says_the_same(
    gguf_dir: Path, load: Load, gpt2: Any
) -> None:
    loaded = load(gguf_dir)

    facts = loaded.facts()
    assert (facts.format, facts.context_tokens, facts.vocabulary) == ("gguf", 64, 320)
    assert facts.parameters == 37_760
    for text in ("The quick brown", "日本語 🦊"):
        assert loaded.tokenizer(text)["input_ids"] == gpt2.tokenizer(text)["input_ids"]
    ids = torch.tensor([gpt2.tokenizer("The quick brown fox")["input_ids"]])
    with torch.inference_mode():
        difference = loaded.model(ids).logits - gpt2.model(ids).logits
    assert float(difference.abs().max()) < 0.5  # 8 bits of weights of size 0.4


def test_one_of_several_ggufs_is_chosen_by_name(gguf_dir: Path, tmp_path: Path, load: Load) -> None:
    data = (gguf_dir / "tiny-Q8_0.gguf").read_bytes()
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(data)

    assert refusal_of(load, tmp_path).code == "no_weights"
    assert refusal_of(load, tmp_path, gguf_file="c.gguf").code == "no_weights"
    assert load(tmp_path, gguf_file="b.gguf").source.gguf_file == "b.gguf"


def test_half_a_gguf_is_refused(gguf_dir: Path, tmp_path: Path, load: Load) -> None:
    data = (gguf_dir / "tiny-Q8_0.gguf").read_bytes()
    (tmp_path / "half.gguf").write_bytes(data[: len(data) // 2])

    assert refusal_of(load, tmp_path).code in {"bad_config", "cannot_load"}


def test_memory_that_runs_out_is_named(
    gpt2_dir: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **options: Any) -> Any:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr(loading._AUTO_MODEL, "from_pretrained", refuse)

    assert refusal_of(load, gpt2_dir).code == "out_of_memory"


def test_a_model_that_does_not_fit_the_device_is_refused(
    gpt2_dir: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Heavy:
        def to(self, device: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loading._AUTO_MODEL, "from_pretrained", lambda *a, **k: (Heavy(), {}))

    assert refusal_of(load, gpt2_dir).code == "out_of_memory"


def test_halves_are_widened_on_a_processor(gpt2_copy: Path, load: Load, gpt2: Any) -> None:
    gpt2.model.half().save_pretrained(gpt2_copy)
    gpt2.model.float()

    assert load(gpt2_copy).model.dtype == torch.float32


def test_bf16_stays_where_the_hardware_has_it(gpt2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stored:
        dtype: Any = torch.bfloat16

    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert loading._dtype(cpu, Stored()) == torch.float32
    assert loading._dtype(cuda, Stored()) == "auto"

    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert loading._dtype(cpu, Stored()) == torch.bfloat16
    Stored.dtype = "bfloat16"
    assert loading._dtype(cpu, Stored()) == torch.bfloat16
    Stored.dtype = "float16"
    assert loading._dtype(cpu, Stored()) == torch.float32
    assert loading._dtype(cpu, object()) == torch.float32
