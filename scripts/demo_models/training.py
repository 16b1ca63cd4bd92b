"""The training loop: one process, one thread, AdamW, resumable, stopped by its number of steps."""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

CHECK_EVERY = 100
"""Steps between two points of the loss curve; every second one also writes a checkpoint."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result, besides the texts.

    Attributes:
        steps: Optimizer steps.
        batch: Sequences in a step.
        context: Tokens in a sequence.
        peak_rate: Highest learning rate; warms up from 0 over ``warmup`` steps and falls along a
            half cosine to a twentieth.
        warmup: Steps of warm-up.
        weight_decay: On matrices only, not on biases, norms and embeddings of positions.
        seed: Seeds the weights and the order of the samples.
    """

    steps: int
    batch: int = 8
    context: int = 256
    peak_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.1
    seed: int = 1811

    def rate(self, step: int) -> float:
        """Learning rate of ``step``, counted from 0."""
        if step < self.warmup:
            return self.peak_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.peak_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


@dataclass
class Progress:
    """What a checkpoint carries besides weights.

    Attributes:
        step: Steps done.
        cpu_s: CPU seconds of the process spent in training so far.
        curve: ``(step, train loss, held-out loss)`` at each check, in nats per token.
    """

    step: int
    cpu_s: float
    curve: list[tuple[int, float, float]]


def _optimizer(model: Any, recipe: Recipe) -> torch.optim.AdamW:
    matrices = [p for name, p in model.named_parameters() if p.dim() > 1 and "wpe" not in name]
    others = [p for name, p in model.named_parameters() if p.dim() == 1 or "wpe" in name]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.95), fused=True)


def _samples(tokens: torch.Tensor, recipe: Recipe, generator: torch.Generator) -> torch.Tensor:
    starts = torch.randint(
        len(tokens) - recipe.context, (recipe.batch,), generator=generator
    ).tolist()
    return torch.stack([tokens[start : start + recipe.context] for start in starts])


@torch.inference_mode()
def _held_out_loss(model: Any, tokens: Any, recipe: Recipe) -> float:
    """Mean loss over windows side by side; cheaper and a little higher than the strided one."""
    model.eval()
    windows = tokens[: len(tokens) // recipe.context * recipe.context].view(-1, recipe.context)
    losses = [float(model(input_ids=rows, labels=rows).loss) for rows in windows.split(16)]
    model.train()
    return sum(losses) / len(losses)


class Run:
    """One training run with its checkpoints in ``folder``; start it again to go on.

    Args:
        model: Freshly made or loaded; trained in place.
        train: Token ids to learn from, shape ``(n,)``.
        held_out: Token ids to watch, shape ``(m,)``.
        recipe: Settings.
        folder: Where checkpoints go; one of other settings is ignored.
    """

    def __init__(
        self,
        model: Any,
        *,
        train: torch.Tensor,
        held_out: torch.Tensor,
        recipe: Recipe,
        folder: Path,
    ) -> None:
        self.model = model
        self.train = train
        self.held_out = held_out
        self.recipe = recipe
        self.checkpoint = folder / "checkpoint.pt"
        self.optimizer = _optimizer(model, recipe)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.progress = Progress(step=0, cpu_s=0.0, curve=[])
        folder.mkdir(parents=True, exist_ok=True)

    def finish(self) -> Progress:
        """Train up to the recipe's last step and return the curve."""
        self._resume()
        self.model.train()
        if not self.progress.curve:
            start = round(_held_out_loss(self.model, self.held_out, self.recipe), 4)
            self.progress.curve.append((0, start, start))
        recent: list[float] = []
        started, before_s = time.process_time(), self.progress.cpu_s
        while self.progress.step < self.recipe.steps:
            recent.append(self._step())
            self.progress.cpu_s = before_s + time.process_time() - started
            if self.progress.step % CHECK_EVERY == 0 or self.progress.step == self.recipe.steps:
                self._check(sum(recent) / len(recent))
                recent.clear()
        self.model.eval()
        return self.progress

    def _step(self) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.progress.step)
        rows = _samples(self.train, self.recipe, self.generator)
        loss = self.model(input_ids=rows, labels=rows).loss
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.progress.step += 1
        return float(loss.detach())

    def _check(self, train_loss: float) -> None:
        held_out = _held_out_loss(self.model, self.held_out, self.recipe)
        self.progress.curve.append((self.progress.step, round(train_loss, 4), round(held_out, 4)))
        print(
            f"step {self.progress.step}/{self.recipe.steps}  train {train_loss:.3f}  "
            f"held out {held_out:.3f}  {self.progress.cpu_s:.0f} CPU s",
            flush=True,
        )
        if self.progress.step % (2 * CHECK_EVERY) == 0 or self.progress.step == self.recipe.steps:
            self._save()

    def _save(self) -> None:
        state = {
            "recipe": json.dumps(asdict(self.recipe), sort_keys=True),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
            "progress": asdict(self.progress),
        }
        partial = self.checkpoint.with_suffix(".part")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def _resume(self) -> None:
        if not self.checkpoint.is_file():
            return
        state: dict[str, Any] = torch.load(self.checkpoint, weights_only=True)
        if state["recipe"] != json.dumps(asdict(self.recipe), sort_keys=True):
            print(f"{self.checkpoint} is of another recipe; starting anew")
            return
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch"])
        self.progress = Progress(**state["progress"])
        print(f"going on from step {self.progress.step}", flush=True)
