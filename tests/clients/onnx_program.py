"""Writes the ONNX form of a GPT-2 as transformers.js wants it: ``python onnx_program.py FOLDER``.

A decoder with its cache (``past_key_values.N.key`` in, ``present.N.key`` out), as Optimum exports
it, in ``FOLDER/onnx/model.onnx``. A program of its own, for the exporter warns of itself.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache

PAST_TOKENS, NEW_TOKENS = 3, 4
"""Lengths of the example the model is traced with; both are free in the result."""


class Step(torch.nn.Module):
    """One call of the decoder, with everything it needs as plain tensors."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Any, _mask: Any, places: Any, *past: Any) -> tuple[Any, ...]:
        pairs = [(past[at], past[at + 1]) for at in range(0, len(past), 2)]
        total = past[0].shape[2] + ids.shape[1]
        sees = torch.arange(total)[None, :] <= places[0][:, None]
        given = self.model(
            input_ids=ids,
            attention_mask=torch.where(sees, 0.0, -1e9)[None, None],
            position_ids=places,
            past_key_values=DynamicCache(pairs),
            use_cache=True,
        )
        layers = given.past_key_values.layers
        return given.logits, *(part for layer in layers for part in (layer.keys, layer.values))


def export(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    config = model.config
    pairs = [f"{n}.{part}" for n in range(config.n_layer) for part in ("key", "value")]
    past = [f"past_key_values.{each}" for each in pairs]
    present = [f"present.{each}" for each in pairs]
    shape = (1, config.n_head, PAST_TOKENS, config.n_embd // config.n_head)
    total = PAST_TOKENS + NEW_TOKENS
    example = (
        torch.zeros(1, NEW_TOKENS, dtype=torch.int64),
        torch.ones(1, total, dtype=torch.int64),
        torch.arange(PAST_TOKENS, total)[None],
        *(torch.zeros(shape) for _ in past),
    )
    new, whole = {0: "batch", 1: "new"}, {0: "batch", 1: "total"}
    axes = {"input_ids": new, "position_ids": new, "attention_mask": whole, "logits": new}
    axes |= {name: {0: "batch", 2: "past"} for name in past}
    axes |= {name: {0: "batch", 2: "total"} for name in present}
    target = folder / "onnx" / "model.onnx"
    target.parent.mkdir()
    with torch.no_grad():
        torch.onnx.export(
            Step(model),
            example,
            str(target),
            input_names=["input_ids", "attention_mask", "position_ids", *past],
            output_names=["logits", *present],
            dynamic_axes=axes,
            dynamo=False,
        )


if __name__ == "__main__":
    export(Path(sys.argv[1]))
