"""A usual file is judged in under 50 ms of processor time."""

import json
from collections.abc import Callable

import pytest
import torch

from catalog.formats.sources import BytesSource
from catalog.formats.verdicts import Verdict, judge
from tests.catalog.formats.files import (
    CONFIG,
    as_json,
    gg_array,
    gg_file,
    gg_string,
    gg_text,
    seconds,
    st_file,
    torch_file,
)

LIMIT_S = 0.05


def gpt2_vocabulary() -> bytes:
    tokens = b"".join(gg_string(f"token{i:05}") for i in range(50_257))
    merges = b"".join(gg_string(f"a{i:05} b") for i in range(50_000))
    return gg_file(
        [
            gg_text("general.architecture", "gpt2"),
            gg_array("tokenizer.ggml.tokens", 8, 50_257, tokens),
            gg_array("tokenizer.ggml.merges", 8, 50_000, merges),
        ]
    )


USUAL: dict[str, Callable[[], bytes]] = {
    "model.safetensors": lambda: st_file(
        {f"model.layers.{i}.self_attn.q_proj.weight": ("BF16", [1, 1]) for i in range(600)}
    ),
    "model.gguf": gpt2_vocabulary,
    "config.json": lambda: as_json(CONFIG),
    "tokenizer_config.json": lambda: as_json({"chat_template": "x" * 20_000}),
    "README.md": lambda: b"# A model\n" + b"Some words of a card.\n" * 2000,
    "pytorch_model.bin": lambda: torch_file(
        {f"layer.{i}.weight": torch.zeros(1) for i in range(148)}
    ),
    "tokenizer.json": lambda: json.dumps(
        {"model": {"type": "BPE", "vocab": {f"t{i}": i for i in range(20_000)},
                   "merges": [f"a{i} b" for i in range(20_000)]}}
    ).encode(),
}  # fmt: skip


@pytest.mark.parametrize("path", USUAL)
def test_a_usual_file_takes_little_time(path: str) -> None:
    source = BytesSource(USUAL[path]())

    assert judge(source, path).verdict in {Verdict.CLEAN, Verdict.UNKNOWN}
    assert seconds(lambda: judge(source, path)) < LIMIT_S


def test_a_thousand_small_files_take_under_a_second() -> None:
    sources = [(BytesSource(f"file {i}\n".encode() * 20), f"docs/{i}.txt") for i in range(1000)]

    assert seconds(lambda: [judge(source, path) for source, path in sources], runs=3) < 1
