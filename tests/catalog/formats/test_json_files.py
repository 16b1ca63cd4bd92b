import json
from typing import Any

import pytest
from transformers import GenerationConfig, GPT2Config, LlamaConfig

from catalog.formats.errors import JsonError
from catalog.formats.file_facts import (
    AdapterFacts,
    ConfigFacts,
    GenerationConfigFacts,
    IndexFacts,
    OtherJsonFacts,
    TokenizerConfigFacts,
    TokenizerFacts,
    from_json,
    plain,
    to_json,
)
from catalog.formats.json_files import code_keys, read_file
from catalog.formats.sources import MIB, BytesSource
from catalog.formats.verdicts import Verdict
from tests.catalog.formats.files import (
    CONFIG,
    TOKENIZER,
    Hollow,
    as_json,
    case_name,
    judged,
)


def facts_of(path: str, value: Any) -> Any:
    report = judged(as_json(value), path)
    assert report.verdict is Verdict.CLEAN
    assert from_json(json.loads(json.dumps(to_json(report.facts)))) == report.facts
    return report.facts


def test_reads_config() -> None:
    assert facts_of("config.json", CONFIG) == ConfigFacts(
        architectures=("GPT2LMHeadModel",),
        model_type="gpt2",
        dtype="float16",
        context_length=1024,
        vocabulary=257,
        hidden_size=8,
        layers=2,
        heads=2,
        quantization="",
        code_keys=(),
    )


@pytest.mark.parametrize("config", [GPT2Config(), LlamaConfig()], ids=["gpt2", "llama"])
def test_reads_what_transformers_writes(config: Any) -> None:
    config.architectures = ["X"]

    found = facts_of("config.json", json.loads(config.to_json_string(use_diff=False)))

    assert found.context_length == config.max_position_embeddings
    assert found.vocabulary == config.vocab_size
    assert found.hidden_size == config.hidden_size
    assert found.layers == config.num_hidden_layers
    assert found.heads == config.num_attention_heads
    assert found.code_keys == ()


def test_looks_into_an_inner_config() -> None:
    found = facts_of("config.json", {"text_config": {"max_position_embeddings": 5, "n_layer": 3}})

    assert (found.context_length, found.layers) == (5, 3)


@pytest.mark.parametrize("number", [0, -1, 1.5, "7", True, None, 2**60, 10**30, [1]])
def test_believes_no_odd_number(number: Any) -> None:
    assert facts_of("config.json", {"vocab_size": number}).vocabulary is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"quant_method": "gptq", "bits": 4}, "gptq-4bit"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes-4bit"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes-8bit"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"bits": 10**9}, "unknown"),
        ({}, ""),
        ("gptq", ""),
    ],
)
def test_names_the_quantization(value: Any, expected: str) -> None:
    assert facts_of("config.json", {"quantization_config": value}).quantization == expected


def test_strangers_texts_are_cut_and_cleaned() -> None:
    found = facts_of(
        "config.json",
        {"architectures": ["a\0b\u202e" + "x" * 500, 7, ""] + ["y"] * 99, "model_type": ["gpt2"]},
    )

    assert found.architectures[0] == "ab" + "x" * 118
    assert len(found.architectures) == 30
    assert found.model_type == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"auto_map": {"AutoModel": "a.B"}}, ("auto_map",)),
        ({"auto_map": {}}, ()),
        ({"a": {"b": [{"auto_map": {"x": "y"}}]}}, ("a.b.auto_map",)),
        ({"trust_remote_code": True}, ("trust_remote_code",)),
        ({"trust_remote_code": False}, ()),
        ({"custom_generate": "x"}, ("custom_generate",)),
        ({"custom_pipelines": {"x": {"impl": "a.B"}}}, ("custom_pipelines",)),
        ({"auto_mapping": {"parent_library": "os"}}, ("auto_mapping",)),
        ({"attn_implementation": "eager"}, ()),
        ({"_attn_implementation_autoset": True}, ()),
        ({"_attn_implementation": None}, ()),
        ({"attn_implementation": "evil/kernels"}, ("attn_implementation",)),
        (
            {"_attn_implementation_internal": "flash_attention_2"},
            ("_attn_implementation_internal",),
        ),
        ({"attn_implementation": {"text": "sdpa", "vision": "evil/x"}}, ("attn_implementation",)),
        ({"experts_implementation": 7}, ("experts_implementation",)),
        ({"conv_kernel": 4}, ()),
        ({"kernel": "org/name"}, ("kernel",)),
        ({"tokenizer_file": "/etc/passwd"}, ("tokenizer_file",)),
        ({"tokenizer_file": "../x"}, ("tokenizer_file",)),
        ({"tokenizer_file": "a/../../x"}, ("tokenizer_file",)),
        ({"tokenizer_file": "C:\\x"}, ("tokenizer_file",)),
        ({"tokenizer_file": "file:///x"}, ("tokenizer_file",)),
        ({"tokenizer_file": "~/x"}, ("tokenizer_file",)),
        ({"data_url": "http://169.254.169.254/"}, ("data_url",)),
        ({"tokenizer_file": "tokenizer.json"}, ()),
        ({"_name_or_path": "/home/me/out"}, ()),
        ({"special_tokens_map_file": "/root/x.json"}, ()),
        ({"bos_token": "/think"}, ()),
    ],
)
def test_names_keys_that_ask_for_code(value: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert facts_of("config.json", value).code_keys == expected
    assert facts_of("tokenizer_config.json", value).code_keys == expected
    assert facts_of("generation_config.json", value).code_keys == expected
    assert facts_of("processor_config.json", value) == OtherJsonFacts(expected)


def test_names_few_of_many_keys() -> None:
    assert len(code_keys([{"a" + "b" * 99 + str(i): {"auto_map": "x"}} for i in range(99)])) == 32


def test_reads_tokenizer_config() -> None:
    value = {
        "tokenizer_class": "GPT2Tokenizer",
        "model_max_length": 1000000000000000019884624838656,
        "chat_template": "{{ x }}",
    }

    assert facts_of("tokenizer_config.json", value) == TokenizerConfigFacts(
        "GPT2Tokenizer", None, has_chat_template=True, code_keys=()
    )


def test_reads_a_tokenizer_config_as_large_as_gemmas() -> None:
    token = {"content": "<unused>", "lstrip": False, "normalized": False, "special": True}
    value = {"added_tokens_decoder": {str(i): token | {"x": "y" * 80} for i in range(6_400)}}
    assert len(as_json(value)) > MIB

    assert facts_of("tokenizer_config.json", value).code_keys == ()


def test_reads_generation_config() -> None:
    written = json.loads(GenerationConfig(max_new_tokens=50, temperature=0.7).to_json_string())

    found = facts_of("generation_config.json", written | {"num_beams": 10**18, "x": "y"})

    assert isinstance(found, GenerationConfigFacts)
    assert found.values["max_new_tokens"] == 50
    assert found.values["temperature"] == 0.7
    assert "num_beams" not in found.values
    assert "x" not in found.values


def test_reads_tokenizers() -> None:
    unigram = {"model": {"type": "Unigram", "vocab": [["a", -1.0], ["b", -2.0], [], 7, [8]]}}
    odd = {"model": {"vocab": {"a": 0}, "merges": "x"}, "added_tokens": [{"content": "a"}, 7, {}]}

    assert facts_of("tokenizer.json", TOKENIZER) == TokenizerFacts("BPE", 4, 1)
    assert facts_of("tokenizer.json", unigram) == TokenizerFacts("Unigram", 2, 0)
    assert facts_of("tokenizer.json", odd) == TokenizerFacts("BPE", 1, 0)


def test_reads_the_list_of_shards() -> None:
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    value = {"metadata": {"total_size": 99}, "weight_map": names | {"c": names["a"]}}

    assert facts_of("model.safetensors.index.json", value) == IndexFacts(
        (names["a"], names["b"]), 3, 99
    )
    assert facts_of("pytorch_model.bin.index.json", {"weight_map": names}).total_bytes is None


@pytest.mark.parametrize(
    "name",
    [
        "../victim/model.safetensors", "/srv/model.safetensors", "..", "a/b.safetensors",
        "a\\b.safetensors", "C:x.safetensors", "a\0b", "", ".hidden", "~x", "a..b", 7, None, ["a"],
        "http://x/y",
    ],
)  # fmt: skip
def test_a_list_of_shards_that_points_elsewhere_is_unsafe(name: Any) -> None:
    data = as_json({"weight_map": {"w": "model.safetensors", "x": name}})

    report = judged(data, "model.safetensors.index.json")

    assert (report.verdict, report.code) == (Verdict.UNSAFE, "index_path")
    assert report.facts is None


def test_reads_adapter_config() -> None:
    value = {"peft_type": "LORA", "base_model_name_or_path": "openai-community/gpt2", "r": 8}

    assert facts_of("adapter_config.json", value) == AdapterFacts(
        "LORA", "openai-community/gpt2", 8, ()
    )


@pytest.mark.parametrize("base", ["/srv/other", "../other", "a/b/c", "a/..", "", 7, None, "x y"])
def test_an_adapter_that_names_a_path_names_no_base(base: Any) -> None:
    assert facts_of("adapter_config.json", {"base_model_name_or_path": base}).base_model == ""


@pytest.mark.parametrize(
    ("path", "data", "code"),
    [
        ("config.json", b"{" + b" " * MIB + b"}", "json_too_large"),
        ("config.json", b'{"a": NaN}', "json_not_a_number"),
        ("config.json", b'{"a": 1, "a": 2}', "json_duplicate_key"),
        ("config.json", b"[" * 1000, "json_too_deep"),
        ("config.json", b"[]", "json_no_object"),
        ("config.json", b"not json", "json_syntax"),
        ("config.json", b"", "json_syntax"),
        ("CONFIG.JSON", b"{", "json_syntax"),
        ("deep/er/config.json", b"{", "json_syntax"),
        ("tokenizer.json", b"{}", "tokenizer_shape"),
        ("tokenizer.json", b'{"model": []}', "tokenizer_shape"),
        ("tokenizer.json", b'{"model": {"vocab": 7}}', "tokenizer_shape"),
        ("model.safetensors.index.json", b"{}", "index_shape"),
        ("model.safetensors.index.json", b'{"weight_map": {}}', "index_shape"),
        ("vocab.json", b'{"a": "b"}', "vocabulary_shape"),
        ("added_tokens.json", b'{"a": true}', "vocabulary_shape"),
    ],
    ids=case_name,
)
def test_a_file_loaders_read_otherwise_is_unknown(path: str, data: bytes, code: str) -> None:
    report = judged(data, path)

    assert (report.verdict, report.code) == (Verdict.UNKNOWN, code)
    assert report.facts is None


def test_too_many_shards_are_refused() -> None:
    value = {"weight_map": {str(i): f"m{i}.safetensors" for i in range(10_001)}}

    assert judged(as_json(value), "model.safetensors.index.json").code == "index_shape"


def test_words_of_a_vocabulary_are_no_settings() -> None:
    assert facts_of("vocab.json", {"auto_map": 0, "x_file": 1}) == OtherJsonFacts(())


def test_a_large_file_is_refused_unread() -> None:
    with pytest.raises(JsonError) as caught:
        read_file(Hollow(b"{", 20 * MIB), "config.json")

    assert caught.value.code == "json_too_large"


def test_other_names_are_not_read() -> None:
    assert read_file(BytesSource(b"not json"), "trainer_state.json") is None
    assert judged(b'{"loss": NaN}', "trainer_state.json").verdict is Verdict.CLEAN


def test_plain_takes_texts_only() -> None:
    assert [plain(7), plain(None), plain("a\nb"), plain("x" * 9, 3)] == ["", "", "ab", "xxx"]
