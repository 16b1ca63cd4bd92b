"""What one or two models made of the same text, laid over its characters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inference.services.aligning import Span, spans_of, stretches
from inference.services.showing import ShownToken, marked, with_chances

_MOST_DIFFERENCES = 5
_LEAST_BITS = 0.05
"""A smaller difference would read as 0.0 or 0.1 bits and is not worth a sentence."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of the text in which every model has whole tokens.

    Attributes:
        begin: Its first character.
        end: The character after its last.
        text: It.
        tokens: Of each model.
        bits: Surprise of each model, its tokens together; ``None``: not told of all of them.
    """

    begin: int
    end: int
    text: str
    tokens: list[list[ShownToken]]
    bits: list[float | None]

    @property
    def columns(self) -> list[tuple[list[ShownToken], float | None]]:
        """Tokens and surprise of each model."""
        return list(zip(self.tokens, self.bits, strict=True))

    @property
    def is_counted(self) -> bool:
        """Whether the surprise of every model is known."""
        return None not in self.bits

    @property
    def difference(self) -> float | None:
        """How many bits more the second model was surprised; ``None``: unknown, or only one."""
        if len(self.bits) < 2 or self.bits[0] is None or self.bits[1] is None:
            return None
        return self.bits[1] - self.bits[0]

    @property
    def shown(self) -> str:
        """Its text with signs for what cannot be seen."""
        return marked(self.text)

    @property
    def breaks(self) -> bool:
        """Whether a line ends with it."""
        return "\n" in self.text


@dataclass(frozen=True, slots=True)
class Total:
    """What a model made of the passages all models were asked about.

    Attributes:
        tokens: Its own count of them.
        bits: All its surprise.
        count_bytes: Bytes of these passages as UTF-8, the same for each model.
    """

    tokens: int
    bits: float
    count_bytes: int

    @property
    def bits_per_byte(self) -> float | None:
        """Surprise by what every tokenizer has in common; ``None`` of no bytes."""
        return self.bits / self.count_bytes if self.count_bytes else None


@dataclass(frozen=True, slots=True)
class Along:
    """All there is to show of a text.

    Attributes:
        passages: In order; together they are the text.
        totals: Of each model.
        spans: For each model which characters each of its tokens covers.
        tokens: Of each model, in order.
        most_bits: Largest surprise at one passage, the height of the curves.
        curves: For each model its surprise over the characters, as ``d`` of an SVG path in a plane
            of 100 x 100.
    """

    passages: list[Passage]
    totals: list[Total]
    spans: list[list[Span]]
    tokens: list[list[ShownToken]]
    most_bits: float
    curves: list[str]

    @property
    def differences(self) -> list[Passage]:
        """Where the second model was surprised more or less than the first, the most first."""
        known = [each for each in self.passages if abs(each.difference or 0.0) >= _LEAST_BITS]
        known.sort(key=lambda each: -abs(each.difference or 0.0))
        return known[:_MOST_DIFFERENCES]


def along(text: str, results: Sequence[dict[str, Any]]) -> Along:
    """Lay what models made of a text over its characters.

    Args:
        text: At least one character.
        results: Of each model, as an ``Explanation`` of kind ``tokens`` keeps it, the text being
            the answer.
    """
    tokens = [with_chances(result)[result["prompt_tokens"] :] for result in results]
    spans = [
        spans_of(text, [piece for _id, piece in result["tokens"][result["prompt_tokens"] :]])
        for result in results
    ]
    passages = [
        _passage(text, each.begin, each.end, [tokens[n][p.start : p.stop] for n, p in parts])
        for each in stretches(len(text), spans)
        for parts in [list(enumerate(each.tokens))]
    ]
    counted = [each for each in passages if each.is_counted]
    count_bytes = sum(len(each.text.encode()) for each in counted)
    most = max((bits for each in counted for bits in each.bits if bits is not None), default=0.0)
    return Along(
        passages=passages,
        totals=[
            Total(
                tokens=sum(len(each.tokens[number]) for each in counted),
                bits=math.fsum(each.bits[number] or 0.0 for each in counted),
                count_bytes=count_bytes,
            )
            for number in range(len(results))
        ],
        spans=spans,
        tokens=tokens,
        most_bits=most,
        curves=[_curve(passages, number, len(text), most) for number in range(len(results))],
    )


def word_around(text: str, passage: Passage) -> str:
    """Return the word a passage is a part of; empty: it is a whole one, or more, or none."""
    inner = passage.text.strip()
    if not inner or any(char.isspace() for char in inner):
        return ""
    begin = text.index(inner, passage.begin)
    end = begin + len(inner)
    first, last = begin, end
    while first and text[first - 1].isalnum():
        first -= 1
    while last < len(text) and text[last].isalnum():
        last += 1
    return "" if (first, last) == (begin, end) else text[first:last]


def _passage(text: str, begin: int, end: int, tokens: list[list[ShownToken]]) -> Passage:
    return Passage(begin, end, text[begin:end], tokens, [_bits(each) for each in tokens])


def _bits(tokens: list[ShownToken]) -> float | None:
    if any(token.percent is None for token in tokens):
        return None
    return math.fsum(token.bits for token in tokens)


def _curve(passages: Sequence[Passage], number: int, length: int, most: float) -> str:
    """Return steps, one for each passage; nothing where the surprise is not known."""
    parts: list[str] = []
    is_drawing = False
    for each in passages:
        bits = each.bits[number]
        if bits is None:
            is_drawing = False
            continue
        height = round(100 * (1 - bits / most), 2) if most else 100
        left, right = (round(100 * at / length, 3) for at in (each.begin, each.end))
        parts.append(f"V{height}H{right}" if is_drawing else f"M{left} {height}H{right}")
        is_drawing = True
    return "".join(parts)
