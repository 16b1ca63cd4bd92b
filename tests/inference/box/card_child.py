"""A box's process in which torch says it uses a graphics card; all else is real."""

import torch

from inference.box.child import main

ALLOCATED_BYTES, RESERVED_BYTES = 3_000_000_000, 4_000_000_000

if __name__ == "__main__":
    torch.cuda.is_initialized = lambda: True
    torch.cuda.max_memory_allocated = lambda device=None: ALLOCATED_BYTES
    torch.cuda.max_memory_reserved = lambda device=None: RESERVED_BYTES
    main()
