"""How long a writer waits while somebody's long prompt is read beside it.

Time is that of a clock which only the model's forward pass moves, so that what is tested is how the
engine divides it and not how busy this machine is. ``python -m bench generation`` has the seconds.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.box import engine
from inference.box.engine import Engine
from inference.box.protocol import TokenEvent
from tests.inference.box.test_engine import request
from tests.inference.box.test_generating import never

STEP_S = 0.003
LONG_TOKENS = 1000
MOST_STEPS = 3.0
"""A step of the writer's own, and at most two more."""


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("piece_steps", "token_steps"),
    [(0.2, 0.08), (1.0, 0.05), (1.45, 0.02), (1.3, 0.1), (1.0, 0.3), (0.1, 0.01)],
    ids=[
        *("dear tokens", "as measured", "small model"),
        *("slow machine", "dearest tokens", "graphics card"),
    ],
)
@pytest.mark.parametrize("unsteady", [0.0, 0.15])
def test_no_step_is_longer_than_three(
    wide_dir: Path,
    load: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    piece_steps: float,
    token_steps: float,
    unsteady: float,
) -> None:
    loaded, clock, luck = load(wide_dir), Clock(), random.Random(4)
    plain = loaded.model.forward

    def forward(*args: Any, **inputs: Any) -> Any:
        tokens = inputs["input_ids"].shape[1]
        steps = 1.0 if tokens == 1 else piece_steps + token_steps * tokens
        clock.now_s += STEP_S * steps * luck.uniform(1 - unsteady, 1 + unsteady)
        return plain(*args, **inputs)

    monkeypatch.setattr(loaded.model, "forward", forward)
    monkeypatch.setattr(engine, "time", clock)
    sharing = Engine(loaded, never)
    sharing.add(request("writer", "The", temperature=0, max_new_tokens=3500))
    for _ in range(20):
        sharing.step()

    sharing.add(request("long", "a " * (LONG_TOKENS // 2), max_new_tokens=2))
    took: list[float] = []
    is_read = False
    while not is_read:
        began = clock.now_s
        events = sharing.step()
        took.append((clock.now_s - began) / STEP_S)
        is_read = any(isinstance(event, TokenEvent) and event.id == "long" for event in events)

    assert len(took) > 10
    assert max(took) <= MOST_STEPS * (1 + unsteady)
    if piece_steps > 1.25:  # even the shortest piece is too long: no use in reading by twos
        assert len(took) < LONG_TOKENS / (8 if token_steps < 0.05 else 3)
