"""The graphics card of this machine, found without importing torch."""

import subprocess
from functools import lru_cache
from typing import NamedTuple

from inference.box.limits import MIB, BoxLimits
from inference.box.setup import graphics_devices

_ASK = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")


class Card(NamedTuple):
    """A graphics card."""

    name: str
    memory_bytes: int
    """0: the driver's tool is not there to say."""


@lru_cache(maxsize=1)
def card() -> Card | None:
    """Return the first graphics card boxes may use; ``None``: there is none."""
    if not graphics_devices(BoxLimits()):
        return None
    try:
        said = subprocess.run(_ASK, capture_output=True, text=True, timeout=20, check=True)
        name, mebibytes = said.stdout.splitlines()[0].rsplit(",", 1)
        return Card(name.strip(), int(mebibytes) * MIB)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return Card("GPU", 0)
