"""What this machine offers to models, found without importing torch."""

import os
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from django.conf import settings

from inference.box.limits import BoxLimits
from inference.box.setup import graphics_devices
from inference.runners.generation import box_pool

MIB = 1024**2
_ASK_CARD = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class Hardware:
    """What models run on here."""

    device: Literal["cpu", "gpu"]
    name: str
    memory_bytes: int
    """Memory one model may have, in bytes."""


@lru_cache(maxsize=1)
def hardware() -> Hardware:
    """Return what models run on in this process."""
    env = settings.ENV
    allowed = int(min(env.box_memory_bytes, env.model_memory_bytes))
    if graphics_devices(BoxLimits()):
        card = _card()
        return Hardware("gpu", card[0], card[1]) if card else Hardware("gpu", "GPU", allowed)
    return Hardware("cpu", f"{os.cpu_count()} cores", allowed)


def resident() -> tuple[int, int]:
    """Return how many models this process holds in memory, and their bytes."""
    if not box_pool.cache_info().currsize:  # none was asked for; asking now would start one
        return 0, 0
    held = box_pool().resident
    return len(held), sum(held.values())


def _card() -> tuple[str, int] | None:
    """Return name and memory of the first graphics card; ``None``: the driver's tool is absent."""
    try:
        said = subprocess.run(_ASK_CARD, capture_output=True, text=True, timeout=20, check=True)
        name, mebibytes = said.stdout.splitlines()[0].rsplit(",", 1)
        return name.strip(), int(mebibytes) * MIB
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
