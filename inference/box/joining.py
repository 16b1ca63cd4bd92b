"""Two cohorts become one, a layer at a time between steps: nobody waits for all of a long text.

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
        self._rooms: list[tuple[torch.Tensor, torch.Tensor]] = []

    def is_on(self, cohorts: Sequence[Cohort]) -> bool:
        """Whether both are still there, of the same rows, and run equally often."""
        if any(cohort not in cohorts for cohort in self.both):
            return False
        if any(cohort.rows != rows for cohort, rows in zip(self.both, self._rows, strict=True)):
            return False
        first, second = self.both
        return self._lefts[1] - self._lefts[0] == first.tokens - second.tokens

    def advance(self) -> bool:
        """Lay one more layer together; return whether it was the last one."""
        layers = [list(cohort.layers()) for cohort in self.both]
        number = len(self._rooms)
        if number < len(layers[0]):
            some = layers[0][number]
            rows = sum(map(len, self._rows))
            self._rooms.append(
                (
                    room_like(some.keys, self._tokens, rows=rows),
                    room_like(some.values, self._tokens, rows=rows),
                )
            )
            for place in (0, 1):
                layers[place][number].move_to(*self._cleared(place, number))
        return len(self._rooms) == len(layers[0])

    def finish(self) -> bool:
        """Let the first cohort take in the second; return whether that was possible.

        It is not where one of them needed more room meanwhile: both go on by themselves.
        """
        first, second = self.both
        for place, cohort in enumerate(self.both):
            for number, layer in enumerate(cohort.layers()):
                if not layer.is_in(*self._part(place, number)):
                    return False
        first.take_in(second)
        for layer, rooms in zip(first.layers(), self._rooms, strict=True):
            layer.hold(*rooms, first.tokens)
        return True

    def _part(self, place: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a cohort's part of a layer's room, which begins with its first token."""
        rows, left = self._span(place), self._lefts[place]
        keys, values = self._rooms[number]
        return keys[rows, :, left:], values[rows, :, left:]

    def _cleared(self, place: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a part with zeros on its left: what is hidden still has to be a number."""
        rows, left = self._span(place), self._lefts[place]
        for room in self._rooms[number]:
            room[rows, :, :left] = 0
        return self._part(place, number)

    def _span(self, place: int) -> slice:
        begin = 0 if place == 0 else len(self._rows[0])
        return slice(begin, begin + len(self._rows[place]))
