"""What a box may use, and what its surroundings look like from inside."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MIB = 1024**2
GIB = 1024**3


class BoxLimits(BaseModel):
    """Limits of one box: times and memory are watched from outside, the kernel does the rest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory_bytes: Annotated[int, Field(ge=256 * MIB)] = 8 * GIB
    """Memory of its own the process may hold: as data limit in the kernel (on machines without
    a graphics card, whose driver reserves more than it uses) and watched from outside."""
    cpu_s: Annotated[int, Field(ge=1)] = 6 * 3600
    """CPU time over its whole life, in seconds; the kernel then ends it."""
    load_s: Annotated[float, Field(gt=0)] = 180.0
    """Wall time for starting Python, importing torch and loading the weights, in seconds."""
    generate_s: Annotated[float, Field(gt=0)] = 300.0
    """Wall time for one generation, in seconds."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """Threads of one matrix product. More than one is slower as soon as cores are shared."""
    open_files: Annotated[int, Field(ge=32)] = 256
    """Files open at a time."""
    device: Literal["auto", "cpu"] = "auto"
    """``auto`` takes a graphics card when there is one."""
    allow_unprotected: bool = False
    """Start even where the network cannot be cut off. Only for machines without strangers."""
