"""Writes the cards: figures from ``training.json`` into texts, and the loss curve as a picture."""

import json
import math
from importlib import import_module
from pathlib import Path
from string import Template
from typing import Any

TEXTS = Path(__file__).resolve().parent / "cards_text"
_MODE = 0o644


def write(folder: Path, *, context_tokens: int, vocabulary: int) -> None:
    """Write ``README.md`` (and ``loss.png`` for a trained model) of one model folder.

    Raises:
        KeyError: the text names a figure that was not measured.
    """
    facts = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    text = Template((TEXTS / f"{folder.name}.md").read_text(encoding="utf-8"))
    fields = figures(facts) | {"context": str(context_tokens), "vocabulary": f"{vocabulary:,}"}
    card = folder / "README.md"
    card.write_text(text.substitute(fields), encoding="utf-8")
    card.chmod(_MODE)
    if "curve" in facts:
        draw_curve(facts["curve"], folder / "loss.png")


def figures(facts: dict[str, Any]) -> dict[str, str]:
    """Return every figure a card may name, written for people."""
    fields = {
        "parameters": f"{facts['parameters']:,}",
        "hardware": facts["hardware"],
        "torch": facts["libraries"]["torch"].split("+")[0],
        "transformers": facts["libraries"]["transformers"],
        "samples": samples(facts["samples"]),
    }
    short = {"held_out": "held", "unseen_novel": "unseen"}
    for name, measured in facts["quality"].items():
        prefix = short.get(name, name)
        fields |= {
            f"{prefix}_loss": f"{measured['loss']:.3f}",
            f"{prefix}_ppl": f"{math.exp(measured['loss']):.1f}",
            f"{prefix}_bpb": f"{measured['bits_per_byte']:.3f}",
            f"{prefix}_tokens": f"{measured['tokens']:,}",
        }
    return fields | (_of_training(facts) if "recipe" in facts else _of_quantizing(facts))


def _of_training(facts: dict[str, Any]) -> dict[str, str]:
    recipe = facts["recipe"]
    return {
        "training_minutes": f"{facts['training_cpu_s'] / 60:.0f}",
        "seen_tokens": f"{facts['training_tokens_seen']:,}",
        "epochs": f"{facts['training_tokens_seen'] / facts['train_tokens']:.1f}",
        "train_chapters": f"{facts['train_chapters']:,}",
        "train_tokens": f"{facts['train_tokens']:,}",
        "train_bytes": f"{facts['train_bytes']:,}",
        "held_chapters": str(facts["held_out_chapters"]),
        "peak_rate": f"{recipe['peak_rate']:g}",
        **{name: str(recipe[name]) for name in ("steps", "batch", "warmup", "seed")},
        "weight_decay": f"{recipe['weight_decay']:g}",
    }


def _of_quantizing(facts: dict[str, Any]) -> dict[str, str]:
    agreement = facts["agreement"]
    return {
        "file": facts["file"],
        "size_bytes": f"{facts['size_bytes']:,}",
        "original_bytes": f"{facts['original_bytes']:,}",
        "tokens": f"{facts['quality']['original']['tokens']:,}",
        "same_choice": f"{agreement['same_choice'] * 100:.1f}",
        "positions": f"{agreement['positions']:,}",
        "largest": f"{agreement['largest_logit_difference']:.2f}",
    }


def samples(made: list[dict[str, str]]) -> str:
    """Return the samples as quotations, the prompt in bold."""
    parts = []
    for sample in made:
        text = f"**{sample['prompt']}**{sample['text']} …"
        quoted = "\n".join(f"> {line}".rstrip() for line in text.splitlines())
        parts.append(f"{sample['how'].capitalize()}:\n\n{quoted}")
    return "\n\n".join(parts)


def draw_curve(curve: list[tuple[int, float, float]], path: Path) -> None:
    """Draw training and held-out loss over the steps, labelled at the lines."""
    # looked up late and untyped: the store itself and its tests are installed without it
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("Agg")
    plt: Any = import_module("matplotlib.pyplot")
    steps = [point[0] for point in curve]
    figure, axes = plt.subplots(figsize=(7.2, 3.6), dpi=100)
    for column, label, color in ((1, "training", "#6b7b83"), (2, "held out", "#0f6b6b")):
        values = [point[column] for point in curve]
        axes.plot(steps[1:], values[1:], color=color, linewidth=2)
        place = (6, 4 if column == 2 else -12)
        axes.annotate(
            f"{label} {values[-1]:.2f}",
            (steps[-1], values[-1]),
            xytext=place,
            textcoords="offset points",
            color=color,
            annotation_clip=False,
        )
    axes.set_xlim(0, steps[-1])
    axes.margins(y=0.1)
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats per token")
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.subplots_adjust(left=0.09, right=0.83, top=0.96, bottom=0.14)
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)
    path.chmod(_MODE)
