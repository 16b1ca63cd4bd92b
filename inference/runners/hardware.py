"""What this machine offers to models, found without importing torch."""

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from django.conf import settings

from inference.runners.cards import card
from inference.runners.generation import box_pool


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
    if (found := card()) is not None:
        return Hardware("gpu", found.name, found.memory_bytes or allowed)
    return Hardware("cpu", f"{os.cpu_count()} cores", allowed)


def resident() -> tuple[int, int]:
    """Return how many models this process holds in memory, and their bytes."""
    if not box_pool.cache_info().currsize:  # none was asked for; asking now would start one
        return 0, 0
    held = box_pool().resident
    return len(held), sum(held.values())
