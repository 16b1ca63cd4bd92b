"""Lays the tokens of models with different tokenizers over the characters both have read.

A box tells what a token says by itself, at most ``CUT`` characters of it; bytes that are only a
part of a character are told as replacement characters. Where a token stands in the text is found
out from that, the text itself being known.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

CUT = 64
"""Characters of a token a box tells."""
_PART = "\N{REPLACEMENT CHARACTER}"
_LONGEST_PART = 3
"""Bytes of a character one replacement character may stand for."""
_MOST_WAYS = 64
"""Places that may be meant at once; a text that is more doubtful is aligned by what is sure."""

Span = tuple[int, int]
"""First character of a token, and the one after its last."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the text in which every model has whole tokens.

    Attributes:
        begin: Its first character.
        end: The character after its last.
        tokens: For each model the places of its tokens in it, maybe none.
    """

    begin: int
    end: int
    tokens: list[range]


def spans_of(text: str, pieces: Sequence[str]) -> list[Span]:
    """Return which characters each token covers.

    Two tokens that share a character, because each has some of its bytes, both cover it. Of two
    such characters in a row it may not be certain which one a token belongs to: it covers both.
    Spaces a tokenizer takes away are given to the token after them. A token that is not in the
    text, as a mark of its beginning, covers nothing; where tokens and text do not agree, those
    between two that do cover together what lies between.

    Args:
        text: What the model has read.
        pieces: Its tokens in order, as a box tells them.
    """
    exact = _exact(text, pieces)
    return _near(text, pieces) if exact is None else exact


def _exact(text: str, pieces: Sequence[str]) -> list[Span] | None:
    """Follow the tokens byte by byte; ``None``: they do not add up to the text."""
    raw = text.encode()
    came_from: list[dict[int, set[int]]] = []
    ways = {0}
    for piece in pieces:
        ends: dict[int, set[int]] = {}
        for at in ways:
            for end in _ends(raw, at, piece):
                ends.setdefault(end, set()).add(at)
        if not 0 < len(ends) <= _MOST_WAYS:
            return None
        came_from.append(ends)
        ways = set(ends)
    ways = {max(ways)}
    if raw[max(ways) :].strip():
        return None
    chars = [place for place, char in enumerate(text) for _byte in char.encode()]
    spans: list[Span] = []
    for ends in reversed(came_from):
        last = max(ways)
        ways = set().union(*(ends[end] for end in ways))
        begin = min(ways)
        end = chars[last - 1] + 1 if last else 0
        spans.append((chars[begin] if begin < last else end, end))
    spans.reverse()
    if spans and spans[-1][1] < len(text):  # spaces nobody has taken
        spans[-1] = (spans[-1][0], len(text))
    return spans


def _ends(raw: bytes, at: int, piece: str) -> list[int]:
    """Return where a token may end that begins at a byte."""
    ends = _ends_here(raw, at, piece)
    if ends:
        return ends
    words = at
    while raw[words : words + 1].isspace():
        words += 1
    if words > at:
        return _ends_here(raw, words, piece)
    if at == 0 and piece.startswith(" "):  # a space put before the text by its tokenizer
        return _ends_here(raw, 0, piece[1:])
    return []


def _ends_here(raw: bytes, at: int, piece: str) -> list[int]:
    whole = piece.encode()
    if raw.startswith(whole, at):
        ends = [at + len(whole)]
        if _PART not in piece:
            return ends
    else:
        ends = []
    parts = piece.count(_PART)
    if not parts:
        return []
    least = len(whole) - 3 * parts + parts  # written as UTF-8, the sign itself has three bytes
    for size in range(least, least + (_LONGEST_PART - 1) * parts + 1):
        end = at + size
        is_told = end <= len(raw) and raw[at:end].decode(errors="replace") == piece
        if is_told and end not in ends:
            ends.append(end)
    return ends


def _near(text: str, pieces: Sequence[str]) -> list[Span]:
    """Place the tokens that are found in order; give the others what lies between."""
    spans: list[Span] = []
    end, lost = 0, 0
    for piece in pieces:
        found = _found(text, piece, end)
        if found is None:
            lost += 1
            spans.append((end, end))
            continue
        begin = found[0]
        if lost:
            spans[-lost:] = [(end, begin)] * lost
        elif text[end:begin].isspace() or not spans:
            begin = end
        else:  # a long token is told in part
            spans[-1] = (spans[-1][0], begin)
        spans.append((begin, found[1]))
        end, lost = found[1], 0
    rest = max(lost, 1) if spans else 0
    if rest:
        spans[-rest:] = [(span[0], len(text)) for span in spans[-rest:]]
    return spans


def _found(text: str, piece: str, at: int) -> Span | None:
    """Return where a token stands at or soon after a place, with as much space as it has."""
    word = piece.strip()
    if not word or _PART in word:
        return None
    place = text.find(word, at, at + len(piece) + CUT)
    if place < 0:
        return None
    space = len(piece) - len(piece.lstrip())
    begin = place
    while begin > max(at, place - space) and text[begin - 1].isspace():
        begin -= 1
    return begin, place + len(word)


def stretches(length: int, spans: Sequence[Sequence[Span]]) -> list[Stretch]:
    """Cut a text wherever no token of any model goes on; never within a token.

    Args:
        length: Characters of the text, at least 1.
        spans: For each model what its tokens cover, in order.

    Returns:
        Stretches that together are the text; each token is in one of them.
    """
    is_inside = bytearray(length + 1)
    ends = {0, length}
    for of_model in spans:
        for begin, end in of_model:
            ends |= {begin, end}
            if end - begin > 1:
                is_inside[begin + 1 : end] = b"\1" * (end - begin - 1)
    cuts = sorted(end for end in ends if not is_inside[end])
    homes = [[_home(cuts, span) for span in of_model] for of_model in spans]
    return [
        Stretch(begin, end, [range(bisect_right(h, at - 1), bisect_right(h, at)) for h in homes])
        for at, (begin, end) in enumerate(pairwise(cuts))
    ]


def _home(cuts: list[int], span: Span) -> int:
    """Return the place of the stretch a token is in; one that covers nothing goes with the next."""
    return min(bisect_right(cuts, span[0]) - 1, len(cuts) - 2)
