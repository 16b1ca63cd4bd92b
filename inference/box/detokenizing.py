"""Turns a stream of token ids into text that can be shown at once, and ends it at stop texts."""

from collections.abc import Callable, Sequence

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
CONTEXT_TOKENS = 6
"""Tokens of the prompt that are decoded along, so that a leading space is not lost."""
_LONGEST_HELD_TOKENS = 64
"""A character needs at most four bytes, a token holds at least one; longer runs are garbage."""


class Detokenizer:
    """Text of one sequence, token by token.

    A token may hold part of a character, and its text may depend on its neighbors. So the last
    tokens are decoded together with new ones and only what is new and complete is given out.

    Args:
        decode: Gives the text of token ids.
        prompt_ids: The prompt; only its last few tokens are used.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], prompt_ids: Sequence[int]) -> None:
        self._decode = decode
        self._ids = list(prompt_ids[-CONTEXT_TOKENS:])
        self._begin = 0
        self._read = len(self._ids)
        self._given_chars = 0

    def push(self, token_id: int) -> str:
        """Take one more token; return the text that is certain now, maybe none."""
        self._ids.append(token_id)
        fresh = self._fresh()
        held_tokens = len(self._ids) - self._read
        if fresh.endswith(REPLACEMENT) and held_tokens < _LONGEST_HELD_TOKENS:
            certain = fresh.rstrip(REPLACEMENT)  # the last characters may still change
            piece = certain[self._given_chars :]
            self._given_chars = max(self._given_chars, len(certain))
            return _storable(piece)
        return self._give(fresh)

    def finish(self) -> str:
        """Return what was held back: an incomplete character stays a replacement character."""
        return self._give(self._fresh())

    def _fresh(self) -> str:
        before = self._decode(self._ids[self._begin : self._read])
        return self._decode(self._ids[self._begin :])[len(before) :]

    def _give(self, fresh: str) -> str:
        piece = fresh[self._given_chars :]
        self._given_chars = 0
        is_long = len(self._ids) - self._read >= _LONGEST_HELD_TOKENS
        if fresh or is_long:  # tokens without text (special ones) stay as context for the next
            self._begin, self._read = self._read, len(self._ids)
        return _storable(piece)


def _storable(text: str) -> str:
    return text.replace("\x00", REPLACEMENT)


class StopTexts:
    """Cuts a stream of text before the first stop text, holding back what may be its beginning.

    Args:
        stops: Texts that end the answer; none of them empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.is_reached = False
        """A stop text has come; everything after it is dropped."""

    def push(self, piece: str) -> str:
        """Take more text; return what certainly belongs to the answer."""
        if not self._stops or self.is_reached:
            return "" if self.is_reached else piece
        text = self._held + piece
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.is_reached = True
            self._held = ""
            return text[: min(found)]
        keep = self._held_chars(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """Return what was held back: no stop text came."""
        held, self._held = self._held, ""
        return held

    def _held_chars(self, text: str) -> int:
        """Length of the longest end of ``text`` that begins a stop text."""
        return max(
            length
            for stop in self._stops
            for length in range(min(len(stop) - 1, len(text)) + 1)
            if text.endswith(stop[:length])
        )
