"""Counting what the matches of a search have in common."""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from catalog.search.amounts import amount_text, format_amount, range_text
from catalog.search.fields import FIELDS, MEASURES, Field, Measure
from catalog.search.matching import Matches
from catalog.search.query import SearchQuery

_REPEATED = ("task", "library", "language", "format")
"""Fields whose values the hub's rules also make tags."""


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One line of a facet, or one bar of a histogram."""

    value: str
    """As it stands in the URL; of a bar the range, as ``1M..3M`` with both ends open at need."""
    label: str
    count: int
    is_selected: bool
    query_string: str
    """The search with this value chosen; if it is already, without it."""


@dataclass(frozen=True, slots=True)
class Facet:
    """The values of one field among the matches, or a histogram of one measure.

    The condition on the field itself is left out of its own counts, so that they tell what
    another choice would give; of a field whose chosen values must all apply (``tag``) they tell
    what one more would leave.
    """

    name: str
    label: str
    values: list[FacetValue]
    is_histogram: bool = False
    low: str = ""
    """Of a histogram: the chosen least value, as typed into a form."""
    high: str = ""


def count_facets(matches: Matches, query: SearchQuery) -> list[Facet]:
    """Return every facet with its counts, in the order of ``FIELDS``, histograms last."""
    with matches.index.lock:
        counted = [
            (field, _count(matches, field, query.chosen(field.name)))
            for field in FIELDS
            if field.top
        ]
        bars = [(measure, _bars(matches, measure)) for measure in MEASURES]
    facets = [_facet(field, counts, query) for field, counts in counted]
    return facets + [_histogram(measure, counts, query) for measure, counts in bars]


def _count(matches: Matches, field: Field, chosen: tuple[str, ...]) -> list[tuple[str, int]]:
    """Return (value, count): the chosen ones, then those with the highest counts."""
    among = matches.wanted if field.needs_all else matches.apart_from(field.name)
    tally = matches.index.tally(among)
    if field.choices:
        counts = [(value, tally.count(field.name, value)) for value, _label in field.choices]
        return [(value, count) for value, count in counts if count or value in chosen]
    own = [(value, tally.count(field.name, value)) for value in chosen]
    best = tally.best(field.name, top=field.top, accept=_acceptable(matches, field, chosen))
    return sorted(own, key=_largest_first) + best


def _acceptable(matches: Matches, field: Field, chosen: tuple[str, ...]) -> Callable[[str], bool]:
    """Return what tells whether a value is worth a line: not chosen already, no derived tag."""
    if field.name == "tag":
        return lambda value: value not in chosen and not _is_derived(matches, value)
    return lambda value: value not in chosen


def _largest_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _is_derived(matches: Matches, tag: str) -> bool:
    """Whether a tag repeats what another facet shows, as far as the viewer may know."""
    sets = (matches.index.set_of(field, tag) for field in _REPEATED)
    return ":" in tag or any(matches.visible.intersect(ids) for ids in sets)


def _bars(matches: Matches, measure: Measure) -> list[int]:
    tally = matches.index.tally(matches.apart_from(measure.name))
    return [tally.count(measure.name, str(bar)) for bar in range(len(measure.edges) + 1)]


def _facet(field: Field, counts: list[tuple[str, int]], query: SearchQuery) -> Facet:
    chosen, texts = query.chosen(field.name), dict(field.choices)
    values = [
        FacetValue(
            value,
            _(texts[value]) if value in texts else value,
            count,
            value in chosen,
            query.toggled(field.name, value).query_string,
        )
        for value, count in counts
    ]
    return Facet(field.name, _(field.label), values)


def _histogram(measure: Measure, counts: list[int], query: SearchQuery) -> Facet:
    low, high = query.bounds(measure.name)
    values = []
    for bar, count in enumerate(counts):
        # bars hold [edge, next edge); ranges of a search include both ends
        least = measure.edges[bar - 1] if bar else None
        most = measure.edges[bar] - 1 if bar < len(measure.edges) else None
        ends = [_amount(end, measure) for end in (least, most)]
        value = "..".join(ends)
        reaches = (low is None or most is None or low <= most) and (
            high is None or least is None or least <= high
        )
        is_selected = (low, high) != (None, None) and reaches
        rest = query.with_(measure.name, value).query_string
        values.append(FacetValue(value, _bar_label(measure, bar), count, is_selected, rest))
    ends = [_amount(end, measure) for end in (low, high)]
    return Facet(measure.name, _(measure.label), values, True, *ends)


def _amount(amount: int | None, measure: Measure) -> str:
    return "" if amount is None else format_amount(amount, measure=measure.name)


def _bar_label(measure: Measure, bar: int) -> str:
    edges = [amount_text(edge, measure=measure.name) for edge in measure.edges]
    if bar == 0:
        return f"< {edges[0]}"
    if bar == len(edges):
        return f"≥ {edges[-1]}"
    return range_text(edges[bar - 1], edges[bar])
