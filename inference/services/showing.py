"""Turns the stored numbers of an explanation into what a page shows."""

import base64
import math
from dataclasses import dataclass, field, replace
from typing import Any

from inference.services.heatmap import data_uri, heatmap_png

_MARKS = {chr(code): chr(0x2400 + code) for code in range(32)} | {"\n": "⏎", "\t": "⇥"}
_LIKELY = (0.5, 0.2, 0.05, 0.01, 0.0)
"""Least probability of each shade, from likely to surprising."""
_PLOT_BITS = 16.0
"""Height of the surprise plot: one choice in 65,536."""
_SHADES = 5
_LEAST_WEIGHT = 0.0005
"""Attention below it is not listed: it would read as 0.0 %."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that could have come."""

    text: str
    percent: float
    chances: list[float] = field(default_factory=list)
    """Of a walk: percent at each temperature."""
    logit: float = 0.0


@dataclass(frozen=True, slots=True)
class ShownToken:
    """A token as a page shows it.

    Attributes:
        position: Place in the whole text, from 0.
        text: With marks for line ends and the like, never empty.
        raw: As the model says it.
        breaks: Whether a line ends with it.
        shade: 1 to 5, how strongly it is coloured; 0: not at all.
        percent: Its probability, or its share of a saliency.
        bits: Surprise; bar and ``top`` of the plot come from it.
    """

    position: int
    text: str
    raw: str = ""
    breaks: bool = False
    is_answer: bool = False
    is_target: bool = False
    shade: int = 0
    percent: float | None = None
    bits: float = 0.0
    rank: int = 0
    effect: float = 0.0
    top: list[Candidate] = field(default_factory=list)

    @property
    def bar(self) -> float:
        """Height of its bar in the plot, 0 to 64."""
        return round(min(self.bits, _PLOT_BITS) / _PLOT_BITS * 64, 1)

    @property
    def bar_top(self) -> float:
        """Where the bar begins, from above."""
        return 64 - self.bar

    @property
    def card(self) -> str:
        """What a pointer or the focus shows: probability, rank, what else was likely."""
        if self.percent is None:
            return ""
        if not self.rank:
            return f"{self.percent:.1f} %"
        lines = [f"{self.percent:.2g} %  ·  #{self.rank}  ·  {self.bits:.1f} bit"]
        return "\n".join([*lines, *(f"{each.percent:5.1f} %  {each.text}" for each in self.top)])


def marked(text: str) -> str:
    """Return a token with signs for what cannot be seen."""
    shown = "".join(_MARKS.get(char, char) for char in text)
    if not shown:
        return "∅"
    return "␣" * len(shown) if shown.isspace() else shown


def tokens_of(result: dict[str, Any]) -> list[ShownToken]:
    """Return all tokens, without numbers."""
    return [
        ShownToken(
            position=place,
            text=marked(text),
            raw=text,
            breaks="\n" in text,
            is_answer=place >= result["prompt_tokens"],
            is_target=place == result["target"],
        )
        for place, (_token_id, text) in enumerate(result["tokens"])
    ]


def with_chances(result: dict[str, Any]) -> list[ShownToken]:
    """Return all tokens, and how likely each was as far as it is known."""
    first, shown = result["chances_from"], []
    for token in tokens_of(result):
        if token.position < first:
            shown.append(token)
            continue
        chance = result["chances"][token.position - first]
        shown.append(_with_chance(token, chance))
    return shown


def _with_chance(token: ShownToken, chance: dict[str, Any]) -> ShownToken:
    probability = math.exp(min(0.0, chance["logprob"]))
    return replace(
        token,
        is_target=False,
        shade=next(n for n, least in enumerate(_LIKELY, 1) if probability >= least),
        percent=100 * probability,
        bits=max(0.0, -chance["logprob"] / math.log(2)),
        rank=chance["rank"],
        top=_candidates(chance),
    )


def _candidates(chance: dict[str, Any]) -> list[Candidate]:
    return [
        Candidate(marked(text), 100 * math.exp(min(0.0, logprob)))
        for _token_id, text, logprob in chance["top"]
    ]


def with_shares(result: dict[str, Any]) -> list[ShownToken]:
    """Return all tokens; those before the target coloured by what they did for it."""
    shares, effects = result["saliency"]["shares"], result["saliency"]["effects"]
    most = max([*shares, 1e-9])
    shown = []
    for token in tokens_of(result):
        if token.position >= len(shares):
            shown.append(token)
            continue
        share = shares[token.position]
        shown.append(
            replace(
                token,
                is_target=False,
                shade=math.ceil(_SHADES * share / most) if share > 0 else 0,
                percent=100 * share,
                effect=effects[token.position],
            )
        )
    return shown


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A tile of attention as a page shows it."""

    picture: str
    first: int
    last: int
    cell: int
    strongest_percent: float
    looked: list[tuple[ShownToken, float]]
    rows: list[tuple[str, str, float]]
    """For each row of the picture: its tokens, where it looks most, how strongly (percent)."""
    windows: list[tuple[int, int]]
    """First and last token of each part that can be looked at closely."""


def heat_map(result: dict[str, Any]) -> HeatMap:
    """Return the picture and the same in words."""
    tile = result["attention"]
    levels, side = base64.b64decode(tile["cells"]), tile["side"]
    tokens = tokens_of(result)
    last = tile["first"] + tile["window"] - 1
    rows = []
    for row in range(side):
        line = levels[row * side : (row + 1) * side]
        best = max(range(side), key=line.__getitem__)
        weight = 100 * line[best] / 255 * tile["scale"]
        rows.append((_span(tokens, tile, row), _span(tokens, tile, best), weight))
    step = 64
    return HeatMap(
        picture=data_uri(heatmap_png(levels, side)),
        first=tile["first"],
        last=last,
        cell=tile["cell"],
        strongest_percent=100 * tile["scale"],
        looked=[
            (tokens[each["position"]], 100 * each["weight"])
            for each in tile["looked"]
            if each["weight"] >= _LEAST_WEIGHT
        ],
        rows=rows,
        windows=[
            (at, min(at + step, len(tokens)) - 1)
            for at in range(0, len(tokens), step)
            if len(tokens) > step
        ],
    )


def _span(tokens: list[ShownToken], tile: dict[str, Any], cell: int) -> str:
    """Return the tokens of one row or column of a tile, shortened."""
    begin = tile["first"] + cell * tile["cell"]
    end = min(begin + tile["cell"], tile["first"] + tile["window"])
    words = "".join(token.text for token in tokens[begin : begin + 4])
    if end - begin == 1:
        return f"{begin} {tokens[begin].text}"
    return f"{begin}-{end - 1} {words if end - begin <= 4 else words + '…'}"


def lens_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return for each layer what it would say, and where the token that came stands."""
    return [
        {
            "layer": layer,
            "percent": 100 * math.exp(min(0.0, chance["logprob"])),
            "rank": chance["rank"],
            "top": _candidates(chance),
        }
        for layer, chance in enumerate(result["lens"])
    ]


@dataclass(frozen=True, slots=True)
class Walk:
    """The stations from a prompt to its next token."""

    tokens: list[tuple[int, str]]
    dimensions: int
    vectors: list[tuple[str, list[float]]]
    attention: list[tuple[str, list[float]]]
    """Percent, row by row."""
    picture: str
    candidates: list[Candidate]
    rest_percent: float
    """Of all other tokens, at the chosen temperature."""
    vocabulary: int
    draws: list[str]
    temperature: float
    script: dict[str, Any]
    """All temperatures' numbers, for the slider."""


def walk_of(result: dict[str, Any], step: int) -> Walk:
    """Return the walk as a page shows it.

    Args:
        result: As stored.
        step: Place of the chosen temperature among those that were computed.
    """
    walk, temperatures = result["walk"], result["temperatures"]
    texts = [marked(text) for _token_id, text in result["tokens"]]
    scores = walk["scores"]
    percent = [[100 * chance for chance in score["chances"]] for score in scores]
    rests = [max(0.0, 100 - sum(each[at] for each in percent)) for at in range(len(temperatures))]
    draws = [[marked(text) for text in drawn] for drawn in walk["draws"]]
    levels = bytes(round(255 * weight) for row in walk["attention"] for weight in row)
    return Walk(
        tokens=[(token_id, marked(text)) for token_id, text in result["tokens"]],
        dimensions=walk["dimensions"],
        vectors=list(zip(texts, walk["embeddings"], strict=True)),
        attention=[
            (text, [100 * weight for weight in row])
            for text, row in zip(texts, walk["attention"], strict=False)
        ],
        picture=data_uri(heatmap_png(levels, len(texts))) if levels else "",
        candidates=[
            Candidate(marked(score["text"]), chances[step], chances, score["logit"])
            for score, chances in zip(scores, percent, strict=True)
        ],
        rest_percent=rests[step],
        vocabulary=walk["vocabulary"],
        draws=draws[step],
        temperature=temperatures[step],
        script={
            "temperatures": temperatures,
            "chances": [[round(each, 2) for each in chances] for chances in percent],
            "rests": [round(rest, 2) for rest in rests],
            "draws": draws,
        },
    )
