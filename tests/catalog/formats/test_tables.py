"""The committed tables are what the installed packages say."""

import gguf as official
from gguf.quants import _type_traits
from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from catalog.formats.architectures import CAUSAL_LM, GGUF_ARCHITECTURES, NO_TEXT_DECODERS
from catalog.formats.ggml_types import DEQUANTIZABLE, FILE_TYPES, GGML_TYPES, UNPACKED
from catalog.formats.gguf_values import _ARRAY, _SCALARS, _STRING

_RENAMED = {"gemma3": "gemma3_text", "gemma4": "gemma4_text"}
"""transformers loads these GGUF files as the text part of the model."""
_NOT_FOR_US = {
    "general", "tokenizer",  # sections of metadata, no architectures
    "t5", "umt5",  # translators
    "deci",  # transformers can read the file, but has no such model
}  # fmt: skip


def test_causal_models_are_those_of_transformers() -> None:
    assert dict(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) == CAUSAL_LM


def test_models_left_out_are_models() -> None:
    assert set(CAUSAL_LM) >= NO_TEXT_DECODERS
    assert not NO_TEXT_DECODERS & {"gpt2", "llama", "qwen3", "gpt_neox", "opt", "mamba"}


def test_gguf_architectures_are_those_of_transformers() -> None:
    supported = set(GGUF_SUPPORTED_ARCHITECTURES) - _NOT_FOR_US

    assert set(GGUF_ARCHITECTURES.values()) == {_RENAMED.get(name, name) for name in supported}
    assert set(GGUF_ARCHITECTURES.values()) <= set(CAUSAL_LM)


def test_gguf_architectures_are_words_of_ggml() -> None:
    words = set(official.MODEL_ARCH_NAMES.values())

    # transformers writes "mistral", llama.cpp calls the same thing "llama"
    assert set(GGUF_ARCHITECTURES) - words <= {"mistral"}


def test_ggml_types_are_those_of_the_package() -> None:
    theirs = {int(kind): (kind.name, *sizes) for kind, sizes in official.GGML_QUANT_SIZES.items()}

    assert {number: tuple(kind) for number, kind in GGML_TYPES.items()} == theirs


def test_file_types_are_those_of_the_package() -> None:
    theirs = {
        int(kind): kind.name.removeprefix("MOSTLY_").removeprefix("ALL_")
        for kind in official.LlamaFileType
        if kind is not official.LlamaFileType.GUESSED
    }

    assert theirs == FILE_TYPES


def test_types_the_engine_unpacks_are_those_of_the_package() -> None:
    assert {kind.name for kind in _type_traits} | {"F32", "F16"} == DEQUANTIZABLE
    assert {kind.name for kind in GGML_TYPES.values()} >= DEQUANTIZABLE | UNPACKED
    assert {k.name for k in GGML_TYPES.values() if k.block_elements == 1} == UNPACKED


def test_value_types_are_those_of_the_package() -> None:
    theirs = {int(kind): kind.name.lower() for kind in official.GGUFValueType}

    ours = {number: name for number, (name, _) in _SCALARS.items()}
    assert ours | {_STRING: "string", _ARRAY: "array"} == theirs
