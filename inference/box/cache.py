"""The keys and values a model keeps of what it has read, with room to grow."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from inference.box.loading import LoadedModel

_GROWTH = 4
"""Room is made for a quarter more than is needed."""
_LEAST_TOKENS = 64


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer that writes what is new behind what it has, instead of copying all of it each step.

    Others may assign ``keys`` and ``values``, as the cache does when it selects rows: what lies
    elsewhere than in the layer's own room is copied there with the next tokens.

    Args:
        tokens: What will surely come; room for so many is made at once.
    """

    def __init__(self, tokens: int = 0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tokens = tokens
        self._rooms: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add tokens; return all there are.

        Args:
            key_states: Shape ``(rows, heads, tokens, width)``.
            value_states: As ``key_states``; its width may be another.
            *args: What layers of other kinds take.
            **kwargs: What layers of other kinds take.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        has = self.get_seq_length()
        wanted = has + key_states.shape[-2]
        keys, values = self._rooms_for(key_states, value_states, has, wanted)
        keys[..., has:wanted, :] = key_states
        values[..., has:wanted, :] = value_states
        self.keys, self.values = keys[..., :wanted, :], values[..., :wanted, :]
        return self.keys, self.values

    def _rooms_for(
        self, key_states: Any, value_states: Any, has: int, wanted: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rooms of keys and values, which begin with what there is."""
        parts: Any = (self.keys, self.values)  # set, since the layer is initialized
        rooms = self._rooms
        is_large = rooms is not None and all(wanted <= room.shape[-2] for room in rooms)
        if rooms and is_large and all(map(_begins, rooms, parts)):
            return rooms
        tokens = max(self._tokens, roomy(wanted))
        keys, values = room_like(key_states, tokens), room_like(value_states, tokens)
        if has:
            keys[..., :has, :], values[..., :has, :] = parts
        self._rooms = keys, values
        return self._rooms

    def reset(self) -> None:
        """Forget everything."""
        self._rooms = None
        super().reset()

    def move_to(self, room: torch.Tensor, *, are_values: bool) -> None:
        """Copy the keys, or the values, to the beginning of another room and go on there.

        Args:
            room: Shape ``(rows, heads, tokens, width)``, with room for more tokens than there are.
            are_values: The values, not the keys.
        """
        has = self.get_seq_length()
        parts: Any = [self.keys, self.values]
        rooms = list(self._rooms_for(self.keys, self.values, has, has))
        room[..., :has, :] = parts[are_values]
        rooms[are_values] = room
        self.hold(rooms[0], rooms[1], has)

    def hold(self, keys: torch.Tensor, values: torch.Tensor, tokens: int) -> None:
        """Go on in rooms whose first ``tokens`` are set."""
        self._rooms = keys, values
        self.keys, self.values = keys[..., :tokens, :], values[..., :tokens, :]

    def is_in(self, keys: torch.Tensor, values: torch.Tensor) -> bool:
        """Whether what there is lies at the beginning of these rooms."""
        parts: Any = (self.keys, self.values)
        return all(map(_begins, (keys, values), parts))

    def keep_rows(self, moves: Sequence[tuple[int, int]], rows: int, *, spare: int) -> None:
        """Let rows go without copying those that stay.

        Args:
            moves: (from, to): rows that are laid into the places of others first.
            rows: So many stay, the first ones.
            spare: So many tokens on the left of all of them are forgotten.
        """
        has = self.get_seq_length()
        keys, values = self._rooms_for(self.keys, self.values, has, has)
        for source, target in moves:
            keys[target, :, spare:has] = keys[source, :, spare:has]
            values[target, :, spare:has] = values[source, :, spare:has]
        self.keys, self.values = keys[:rows, :, spare:has], values[:rows, :, spare:has]
        self._rooms = keys[:rows, :, spare:], values[:rows, :, spare:]


def roomy(tokens: int) -> int:
    """Return for how many tokens room is made where so many are needed."""
    return tokens + max(tokens // _GROWTH, _LEAST_TOKENS)


def room_like(states: torch.Tensor, tokens: int, *, rows: int | None = None) -> torch.Tensor:
    """Return room for so many tokens of so many rows, its numbers not set.

    Args:
        states: Keys or values, shape ``(rows, heads, tokens, width)``.
        tokens: Most it holds.
        rows: As many as ``states`` has by default.
    """
    its_rows, heads, _, width = states.shape
    return states.new_empty(its_rows if rows is None else rows, heads, tokens, width)


def _begins(room: torch.Tensor, part: torch.Tensor) -> bool:
    """Whether ``part`` is the beginning of ``room``, in all its rows."""
    return part.data_ptr() == room.data_ptr() and part.shape[:2] == room.shape[:2]


def new_cache(loaded: LoadedModel, *, tokens: int = 0) -> DynamicCache | None:
    """Return an empty cache, ``None`` for models that keep no keys and values (state spaces).

    Args:
        loaded: The model.
        tokens: What will surely be read, so that no room has to be made meanwhile.
    """
    if loaded.model._is_stateful:  # noqa: SLF001 - there is no public name for it
        return None
    cache = DynamicCache(config=loaded.model.config)
    cache.layers = [
        GrowingLayer(tokens) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


def is_plain(cache: DynamicCache | None) -> bool:
    """Whether all layers simply grow: such caches can be read in pieces, cut, padded and joined.

    Windows that slide, and what hybrids keep, cannot.
    """
    return cache is not None and all(type(layer) is GrowingLayer for layer in cache.layers)
