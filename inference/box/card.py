"""The graphics card: whether a model goes there, and the memory it takes, for the box's process."""

import torch

_ROOM_FOR_CACHES = 1.1
"""Times the weights: less is not worth a card, as nothing could be written there."""


def device_for(weights_bytes: int) -> torch.device:
    """Return where to put a model: on the card if it has room for it now, else on the processor.

    Args:
        weights_bytes: What the weights take on a card.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    free_bytes, _all_bytes = torch.cuda.mem_get_info()
    has_room = weights_bytes * _ROOM_FOR_CACHES <= free_bytes
    return torch.device("cuda" if has_room else "cpu")


def card_peak() -> tuple[int, int]:
    """Return the most memory this process has had on its card, in bytes.

    Returns:
        What tensors held, and what torch had taken from the card for them and those to come;
        0 and 0 where this process uses no card.
    """
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return 0, 0
    return torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
