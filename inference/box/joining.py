"""Two cohorts become one between steps, so little at a time that nobody waits for a long text.

While it goes on, both are run as before: each already lies in its part of a common room, where
their newest tokens stand side by side. At the end nothing is left to copy.
"""

from collections.abc import Sequence

import torch

from inference.box.cache import room_like, roomy
from inference.box.cohort import Cohort


class Joining:
    """What makes one cohort of two that ``can_join``.

    Args:
        first: Takes in ``second`` in the end.
        second: The other one. Both are run equally often meanwhile.
    """

    def __init__(self, first: Cohort, second: Cohort) -> None:
        self.both = (first, second)
        self._rows = [list(cohort.rows) for cohort in self.both]
        tokens = max(first.tokens, second.tokens)
        self._lefts = [tokens - cohort.tokens for cohort in self.both]
        self._tokens = roomy(tokens)
        self._done = 0
        self._rooms: list[torch.Tensor] = []
        """Of the keys of the first layer, of its values, of the keys of the second, and so on."""

    def is_on(self, cohorts: Sequence[Cohort]) -> bool:
        """Whether both are still there, of the same rows, and run equally often."""
        if any(cohort not in cohorts for cohort in self.both):
            return False
        if any(cohort.rows != rows for cohort, rows in zip(self.both, self._rows, strict=True)):
            return False
        first, second = self.both
        return self._lefts[1] - self._lefts[0] == first.tokens - second.tokens

    def advance(self) -> bool:
        """Lay one cohort's keys, or values, of one layer into the common room.

        Room for more tokens is new memory, which takes the longest: so little is done at once.

        Returns:
            Whether it was the last piece.
        """
        number, place = divmod(self._done, 2)
        layer_number, are_values = divmod(number, 2)
        layer = list(self.both[place].layers())[layer_number]
        if place == 0:
            states = layer.values if are_values else layer.keys
            self._rooms.append(room_like(states, self._tokens, rows=sum(map(len, self._rows))))
        room = self._rooms[number]
        # What is hidden still has to be a number.
        room[self._span(place), :, : self._lefts[place]] = 0
        layer.move_to(self._part(place, room), are_values=bool(are_values))
        self._done += 1
        return self._done == 4 * len(list(self.both[0].layers()))

    def finish(self) -> bool:
        """Let the first cohort take in the second; return whether that was possible.

        It is not where one of them needed more room meanwhile: both go on by themselves.
        """
        first, second = self.both
        pairs = list(zip(self._rooms[::2], self._rooms[1::2], strict=True))
        for place, cohort in enumerate(self.both):
            for layer, (keys, values) in zip(cohort.layers(), pairs, strict=True):
                if not layer.is_in(self._part(place, keys), self._part(place, values)):
                    return False
        first.take_in(second)
        for layer, (keys, values) in zip(first.layers(), pairs, strict=True):
            layer.hold(keys, values, first.tokens)
        return True

    def _part(self, place: int, room: torch.Tensor) -> torch.Tensor:
        """Return a cohort's part of a room, which begins with its first token."""
        return room[self._span(place), :, self._lefts[place] :]

    def _span(self, place: int) -> slice:
        begin = 0 if place == 0 else len(self._rows[0])
        return slice(begin, begin + len(self._rows[place]))
