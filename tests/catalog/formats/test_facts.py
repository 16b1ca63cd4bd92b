import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from catalog.formats.facts import ModelFacts, model_facts
from catalog.formats.kinds import Kind
from catalog.formats.sources import AT_ONCE, FileSource
from catalog.formats.verdicts import FileReport, Verdict, judge, not_judged
from tests.catalog.formats.files import (
    CONFIG,
    TOKENIZER,
    as_json,
    gg_array,
    gg_file,
    gg_model,
    gg_string,
    gg_tensor,
    gg_text,
    gg_u32,
    report,
    reports,
    st_file,
    torch_file,
)

WEIGHTS = st_file({"w": ("F16", [8, 4]), "b": ("F32", [8])})
GOOD = {
    "model.safetensors": WEIGHTS,
    "config.json": as_json(CONFIG),
    "tokenizer.json": as_json(TOKENIZER),
}


def facts_of(contents: Mapping[str, bytes], **changes: bytes | None) -> ModelFacts:
    """Judge and put together ``contents`` with some files replaced or (``None``) removed."""
    names = {name.replace("__", "/").replace("_json", ".json"): v for name, v in changes.items()}
    merged = {k: v for k, v in {**contents, **names}.items() if v is not None}
    return model_facts(reports(merged))


def config(**changes: Any) -> bytes:
    return as_json(CONFIG | changes)


def test_a_whole_model_runs() -> None:
    assert facts_of(GOOD) == ModelFacts(
        architecture="GPT2LMHeadModel",
        model_type="gpt2",
        parameters=40,
        is_packed=False,
        dtype="F16",
        elements_by_dtype={"F16": 32, "F32": 8},
        quantization="",
        context_length=1024,
        vocabulary=257,
        hidden_size=8,
        layers=2,
        heads=2,
        formats=("safetensors",),
        has_tokenizer=True,
        has_chat_template=False,
        weights=("model.safetensors",),
        weights_bytes=len(WEIGHTS),
        is_runnable=True,
    )


@pytest.mark.parametrize("shard_size", ["10GB", "20KB"], ids=["whole", "shards"])
def test_what_transformers_saves_runs_and_is_counted_exactly(
    shard_size: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    shape = GPT2Config(vocab_size=300, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    model = GPT2LMHeadModel(shape)
    model.save_pretrained(tmp_path, max_shard_size=shard_size)
    (tmp_path / "tokenizer.json").write_bytes(as_json(TOKENIZER))
    found: dict[str, FileReport] = {}
    for path in tmp_path.iterdir():
        with path.open("rb") as file:
            found[path.name] = judge(FileSource(file), path.name, budget=AT_ONCE)

    facts = model_facts(found)

    assert {r.verdict for r in found.values()} == {Verdict.CLEAN}
    assert (len(facts.weights) > 1) is (shard_size == "20KB")
    assert facts.parameters == sum(p.numel() for p in model.parameters())
    assert facts.safetensors_parameters == {"F32": facts.parameters}
    assert (facts.architecture, facts.context_length, facts.vocabulary) == (
        "GPT2LMHeadModel", 32, 300,
    )  # fmt: skip
    assert facts.is_runnable, facts.not_runnable_reason


def test_a_gguf_alone_runs() -> None:
    data = gg_model()

    facts = facts_of({"small-F32.gguf": data})

    assert facts == ModelFacts(
        architecture="LlamaForCausalLM",
        model_type="llama",
        parameters=32,
        dtype="F32",
        elements_by_dtype={"F32": 32},
        context_length=128,
        vocabulary=4,
        hidden_size=8,
        layers=2,
        heads=2,
        formats=("gguf",),
        has_tokenizer=True,
        weights=("small-F32.gguf",),
        weights_bytes=len(data),
        is_runnable=True,
        gguf={"total": 32, "architecture": "llama", "context_length": 128},
    )
    assert facts.safetensors_parameters == {}


def quantized(type_id: int, size: int, file_type: int) -> bytes:
    pairs = [
        gg_text("general.architecture", "llama"),
        gg_u32("general.file_type", file_type),
        gg_text("tokenizer.ggml.model", "gpt2"),
        gg_text("tokenizer.chat_template", "{{ x }}"),
        gg_array("tokenizer.ggml.tokens", 8, 1, gg_string("a")),
    ]
    return gg_file(pairs, [gg_tensor("w", [256], type_id, 0)], bytes(size))


@pytest.mark.parametrize(
    ("name", "data", "memory_bytes", "least_bytes"),
    [
        ("m-Q4_K_M.gguf", quantized(12, 144, 15), 1024, 1024),
        ("m-Q8_0.gguf", quantized(8, 272, 7), 1024, 1024),
        ("m-F32.gguf", gg_model(), 128, 128),
    ],
)
def test_gguf_takes_what_it_is_unpacked_to(
    name: str, data: bytes, memory_bytes: int, least_bytes: int
) -> None:
    facts = facts_of({name: data})

    assert (facts.memory_bytes, facts.least_memory_bytes) == (memory_bytes, least_bytes)


def test_half_precision_takes_twice_its_size_on_a_processor() -> None:
    half = st_file({"w": ("F16", [1000])})

    facts = facts_of(GOOD, **{"model.safetensors": half})

    assert (facts.memory_bytes, facts.least_memory_bytes) == (4000, len(half))
    assert facts_of({}).memory_bytes == 0


def test_variants_of_the_same_weights_are_counted_once() -> None:
    contents = GOOD | {
        "m-Q4_K_M.gguf": quantized(12, 144, 15),
        "m-Q8_0.gguf": quantized(8, 272, 7),
        "pytorch_model.bin": torch_file({"w": torch.zeros(40)}),
    }

    facts = facts_of(contents)
    without = facts_of(contents, **{"model.safetensors": None})

    assert (facts.parameters, facts.formats) == (40, ("gguf", "pytorch", "safetensors"))
    assert facts.gguf is None
    files = {"m-Q4_K_M.gguf": "Q4_K_M", "m-Q8_0.gguf": "Q8_0"}
    assert facts.gguf_files == without.gguf_files == files
    # of several quantizations the largest
    assert without.weights == ("m-Q8_0.gguf",)
    assert (without.parameters, without.quantization, without.dtype) == (256, "Q8_0", "Q8_0")
    assert without.has_chat_template
    assert without.is_runnable


def test_gguf_runs_where_safetensors_do_not() -> None:
    facts = facts_of(GOOD, config_json=config(model_type="unheard"), **{"m.gguf": gg_model()})

    assert (facts.is_runnable, facts.weights) == (True, ("m.gguf",))


def index(*names: str) -> bytes:
    return as_json({"weight_map": {f"w{i}": name for i, name in enumerate(names)}})


def test_shards_are_added_up() -> None:
    contents = {k: v for k, v in GOOD.items() if k != "model.safetensors"} | {
        "model-00001-of-00002.safetensors": st_file({"a": ("F16", [5])}),
        "model-00002-of-00002.safetensors": st_file({"b": ("F32", [7])}),
        "model.safetensors.index.json": index(
            "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
        ),
        "stray.safetensors": st_file({"c": ("F32", [99])}),
    }

    facts = facts_of(contents)
    torn = facts_of(contents, **{"model-00002-of-00002.safetensors": None})
    unlisted = facts_of(
        contents, **{"model.safetensors.index.json": None, "stray.safetensors": None}
    )

    assert (facts.parameters, facts.is_runnable) == (12, True)
    assert facts.elements_by_dtype == {"F32": 7, "F16": 5}
    assert (torn.parameters, torn.not_runnable_code) == (None, "weights_incomplete")
    assert "model-00002-of-00002.safetensors" in torn.not_runnable_reason
    assert (unlisted.parameters, unlisted.not_runnable_code) == (12, "weights_misplaced")


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"model.safetensors": None}, "no_weights", "publish model.safetensors"),
        ({"config.json": None}, "no_config", "config.json is missing"),
        ({"config.json": b"{"}, "file_refused", "not valid JSON"),
        ({"config.json": bytes(range(256))}, "file_refused", "'config.json' is not loaded"),
        ({"config.json": config(model_type="x", architectures=["XForCausalLM"])},
         "unknown_architecture", "'XForCausalLM'"),
        ({"config.json": b"{}"}, "unknown_architecture", "'none given'"),
        ({"config.json": config(architectures=["GPT2Model"])}, "no_text_generator", "'GPT2Model'"),
        ({"config.json": config(model_type="bert", architectures=["BertForMaskedLM"])},
         "no_text_generator", "'BertForMaskedLM'"),
        ({"config.json": config(model_type="whisper", architectures=[])},
         "no_text_generator", "'whisper'"),
        ({"config.json": config(model_type="x", auto_map={"AutoModel": "a.B"})},
         "remote_code", "'auto_map'"),
        ({"config.json": config(auto_map={"AutoModel": "a.B"})}, "remote_code", "own code"),
        ({"tokenizer_config.json": as_json({"auto_map": {"a": "b"}})},
         "remote_code", "tokenizer_config.json asks"),
        ({"generation_config.json": as_json({"custom_generate": "x"})},
         "remote_code", "generation_config.json asks"),
        ({"special_tokens_map.json": as_json({"auto_map": 1})}, "remote_code", "special_tokens"),
        ({"config.json": config(quantization_config={"quant_method": "awq", "bits": 4})},
         "quantized", "awq-4bit"),
        ({"tokenizer.json": None}, "no_tokenizer", "publish tokenizer.json"),
        ({"tokenizer.json": b"{}"}, "file_refused", "'tokenizer.json' is not loaded"),
        ({"tokenizer_config.json": b"[]"}, "file_refused", "tokenizer_config.json"),
        ({"model.safetensors": b"junk"}, "file_refused", "'model.safetensors' is not loaded"),
        ({"model.safetensors": WEIGHTS[:-1]}, "file_refused", "Upload it again"),
        ({"model.safetensors": None, "weights.safetensors": WEIGHTS},
         "weights_misplaced", "rename weights.safetensors"),
        ({"model.safetensors": None, "sub/model.safetensors": WEIGHTS},
         "weights_misplaced", "folder sub/"),
        ({"model.safetensors": None, "pytorch_model.bin": torch_file({})},
         "pickle_only", "pickles"),
        ({"adapter_config.json": as_json({"base_model_name_or_path": "a/b", "peft_type": "LORA"})},
         "no_weights", "adapter_model.safetensors"),
        ({"adapter_config.json": as_json({"base_model_name_or_path": "a/b", "peft_type": "IA3"}),
          "adapter_model.safetensors": WEIGHTS}, "adapter_method", "not 'IA3'"),
        ({"adapter_config.json": as_json({"base_model_name_or_path": "a/b", "peft_type": "LORA"}),
          "adapter_model.safetensors": b"junk"}, "file_refused", "adapter_model.safetensors"),
        ({"adapter_config.json": as_json({"base_model_name_or_path": "a/b", "peft_type": "LORA",
          "auto_map": {"x": "m.M"}}), "adapter_model.safetensors": WEIGHTS},
         "remote_code", "adapter_config.json asks"),
        ({"adapter_config.json": as_json({"base_model_name_or_path": "/srv/x"})},
         "adapter", "does not name"),
    ],
)  # fmt: skip
def test_says_why_a_model_does_not_run(
    changes: dict[str, bytes | None], code: str, words: str
) -> None:
    facts = facts_of(GOOD, **changes)

    assert (facts.is_runnable, facts.not_runnable_code) == (False, code)
    assert words in facts.not_runnable_reason
    assert facts.not_runnable_reason.endswith((".", ")"))
    assert len(facts.not_runnable_reason) <= 300


def test_an_empty_repository_says_so() -> None:
    facts = model_facts({})

    assert facts == replace(
        ModelFacts(), not_runnable_code="no_weights", not_runnable_reason="The repository is empty."
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"pairs": [gg_text("general.architecture", "t5")]}, "unknown_architecture"),
        ({"pairs": []}, "unknown_architecture"),
        ({"pairs": [gg_text("general.architecture", "gpt2")]}, "no_tokenizer"),
        (
            {"tensors": [gg_tensor("w", [128], 41, 0)], "data": bytes(32)},  # Q1_0
            "quantized",
        ),
    ],
)
def test_says_why_a_gguf_does_not_run(changes: dict[str, Any], code: str) -> None:
    facts = facts_of({"m.gguf": gg_model(**changes)})

    assert (facts.is_runnable, facts.not_runnable_code) == (False, code)


def test_a_damaged_gguf_does_not_run_and_a_good_one_beside_it_does() -> None:
    bad = gg_model()[:-40]

    alone = facts_of({"m.gguf": bad})
    both = facts_of({"m.gguf": bad + b"", "n.gguf": gg_model()})

    assert (alone.not_runnable_code, alone.parameters) == ("file_refused", None)
    assert (both.is_runnable, both.weights) == (True, ("n.gguf",))


def test_a_tokenizer_beside_a_gguf_is_enough() -> None:
    data = gg_model(pairs=[gg_text("general.architecture", "gpt2")])

    facts = facts_of({"m.gguf": data, "tokenizer.json": as_json(TOKENIZER)})

    assert (facts.is_runnable, facts.vocabulary) == (True, 4)


def test_a_gguf_in_parts_is_added_up_but_does_not_run() -> None:
    parts = {f"m-0000{i}-of-00002.gguf": gg_model() for i in (1, 2)}

    facts = facts_of(parts | {"mmproj-m.gguf": gg_model(data=bytes(128))})
    torn = facts_of({"m-00001-of-00003.gguf": gg_model()})

    assert (facts.parameters, facts.not_runnable_code) == (64, "weights_misplaced")
    assert "in parts" in facts.not_runnable_reason
    assert torn.not_runnable_code == "weights_incomplete"
    assert "and 1 more" in torn.not_runnable_reason


def test_a_file_still_checked_holds_the_model_back() -> None:
    files = reports(GOOD)

    for path in GOOD:
        facts = model_facts({**files, path: not_judged(10)})
        assert (facts.not_runnable_code, facts.is_runnable) == ("still_checked", False)
        assert "still being checked" in facts.not_runnable_reason


def test_an_adapter_is_described() -> None:
    adapter = {"peft_type": "LORA", "base_model_name_or_path": "openai/gpt2", "r": 8}
    contents = {
        "adapter_config.json": as_json(adapter),
        "adapter_model.safetensors": st_file({"lora_A": ("F32", [8, 4])}),
    }

    facts = facts_of(contents)

    assert (facts.is_adapter, facts.adapter_method, facts.adapter_base) == (
        True, "LORA", "openai/gpt2",
    )  # fmt: skip
    assert (facts.parameters, facts.weights) == (32, ("adapter_model.safetensors",))
    assert facts_of(contents, **{"adapter_model.safetensors": None}).weights == ()


def test_packed_weights_are_marked() -> None:
    facts = facts_of(
        GOOD,
        config_json=config(quantization_config={"quant_method": "gptq", "bits": 4}),
        **{"model.safetensors": st_file({"qweight": ("I32", [9])})},
    )

    assert (facts.is_packed, facts.quantization, facts.parameters) == (True, "gptq-4bit", 9)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"tokenizer.model": b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02"}, 1),
        ({"tokenizer.json": as_json(TOKENIZER)}, 4),
        ({}, None),
    ],
)
def test_takes_the_vocabulary_from_the_tokenizer_if_need_be(
    extra: dict[str, bytes], expected: int | None
) -> None:
    assert facts_of({"config.json": b"{}"} | extra).vocabulary == expected


@pytest.mark.parametrize(
    "extra",
    [
        {"chat_template.jinja": b"{{ x }}"},
        {"tokenizer_config.json": as_json({"chat_template": "{{ x }}"})},
    ],
)
def test_finds_chat_templates(extra: dict[str, bytes]) -> None:
    assert facts_of(GOOD | extra).has_chat_template


def test_formats_count_what_is_served() -> None:
    files = {
        "tf_model.h5": report(kind=Kind.HDF5, verdict=Verdict.UNKNOWN),
        "model.onnx": report(kind=Kind.ONNX, verdict=Verdict.UNKNOWN),
        "flax_model.msgpack": report(kind=Kind.MSGPACK, verdict=Verdict.UNKNOWN),
        "pytorch_model.bin": report(kind=Kind.TORCH_ZIP, verdict=Verdict.UNSAFE),
        "optimizer.pt": report(kind=Kind.TORCH_ZIP, verdict=Verdict.UNKNOWN),
    }

    assert model_facts(files).formats == ("jax", "onnx", "tf")


def test_architecture_comes_from_the_type_when_no_class_is_named() -> None:
    facts = facts_of(GOOD, config_json=config(architectures=[]))

    assert (facts.architecture, facts.is_runnable) == ("GPT2LMHeadModel", True)


def test_an_unknown_gguf_architecture_keeps_its_word() -> None:
    facts = facts_of({"m.gguf": gg_model(pairs=[gg_text("general.architecture", "mpt2")])})

    assert (facts.architecture, facts.model_type) == ("mpt2", "mpt2")
    assert facts_of({"m.gguf": gg_model(pairs=[])}).architecture == ""


def test_becomes_json() -> None:
    stored = json.loads(json.dumps(facts_of(GOOD).to_json()))

    assert stored["safetensors_parameters"] == {"F16": 32, "F32": 8}
    assert stored["weights"] == ["model.safetensors"]
