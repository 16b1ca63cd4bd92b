"""Memory of a graphics card, as torch counts it for the box's own process."""

import torch


def card_peak() -> tuple[int, int]:
    """Return the most memory this process has had on its card, in bytes.

    Returns:
        What tensors held, and what torch had taken from the card for them and those to come;
        0 and 0 where this process uses no card.
    """
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return 0, 0
    return torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
