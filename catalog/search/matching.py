"""From a search to the set of listings that match, for one viewer."""

from dataclasses import dataclass

from pyroaring import BitMap

from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.search.asking import AMONG, IDS, ask
from catalog.search.documents import question_sql, question_words
from catalog.search.fields import FIELDS, MEASURE, MEASURES
from catalog.search.index import FacetIndex, current_index
from catalog.search.prices import USUAL, currencies_of, in_range
from catalog.search.query import PRICE_RANGE, SearchQuery

_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Matches:
    """The listings that match, and what each condition alone would leave.

    Args:
        index: As of the question.
        visible: What the viewer may know of.
        conditions: The listings each condition holds for, by field, seen or unseen.
        wanted: Visible, and every condition holds.
        currencies: Of the visible listings' prices, what most have first.
        currency: In which prices are compared.
    """

    index: FacetIndex
    visible: BitMap
    conditions: dict[str, BitMap]
    wanted: BitMap
    currencies: tuple[str, ...]
    currency: str

    def apart_from(self, name: str) -> BitMap:
        """Return what matches when the condition on ``name`` is left out."""
        if name not in self.conditions:
            return self.wanted
        others = (ids for other, ids in self.conditions.items() if other != name)
        return BitMap.intersection(self.visible, *others)


def match(viewer: Viewer, query: SearchQuery, *, currency: str = "") -> Matches:
    """Find what matches ``query`` among what ``viewer`` may know of.

    Args:
        viewer: Who asks.
        query: What for.
        currency: In which to compare prices if ``query`` does not say; empty: the one most have.
    """
    roles = list(viewer.roles)  # a query, when it is the first time: before the lock
    listed = listed_one_by_one(viewer)
    index = current_index()
    with index.lock:
        seen = index.visible(roles)
    known = currencies_of(index, seen)
    currency = query.currency or currency or next(iter(known), USUAL)
    conditions = _asked(index, query, currency)
    with index.lock:
        if query.author:
            conditions["author"] = index.by_author(query.author)
        for each in FIELDS:
            if values := query.chosen(each.name):
                held = index.having(each.name, values, needs_all=each.needs_all)
                conditions[each.name] = held
        visible = index.visible(roles) | listed  # last, lest it be older than a condition
    wanted = BitMap.intersection(visible, *conditions.values())
    return Matches(index, visible, conditions, wanted, known, currency)


def listed_one_by_one(viewer: Viewer) -> BitMap:
    """Return the private repositories a fine-grained token lists by themselves."""
    if not viewer.listed_repos:
        return BitMap()
    rows = ModelRepo.objects.visible_to(viewer).filter(public_id__in=viewer.listed_repos)
    return BitMap(rows.values_list("pk", flat=True))


def named(index: FacetIndex, query: SearchQuery) -> BitMap:
    """Return the listings, seen or unseen, whose very name has the words of ``query``."""
    return _words(index, "names", query.text)


def _asked(index: FacetIndex, query: SearchQuery, currency: str) -> dict[str, BitMap]:
    """Return the conditions that the database decides."""
    conditions = {}
    if query.text:
        conditions["text"] = _words(index, "words", query.text)
    if query.name_part:
        conditions["name_part"] = name_part(index, query.name_part.lower())
    for measure in MEASURES:
        low, high = query.bounds(measure.name)
        if (low, high) != (None, None):
            conditions[measure.name] = _range(index, measure.name, low, high)
    if query.has_price_range:
        conditions[PRICE_RANGE] = in_range(index, query.in_currency(currency))
    return conditions


def _words(index: FacetIndex, column: str, text: str) -> BitMap:
    words = question_words(text)
    sql = f"SELECT catalog_find(%(column)s, {question_sql(words)}, %(among)s::bigint[])"
    return ask(index, sql, column=column, text=words)


def prefixed(index: FacetIndex, words: list[str]) -> BitMap:
    """Return the listings, seen or unseen, with these words in their name, the last begun."""
    question = " & ".join([*words[:-1], f"{words[-1]}:*"])
    sql = "SELECT catalog_find('names', to_tsquery('simple', %(question)s), %(among)s::bigint[])"
    return ask(index, sql, question=question)


def name_part(index: FacetIndex, part: str) -> BitMap:
    """Return the listings, seen or unseen, whose lower-case id contains ``part``."""
    escaped = "".join(f"\\{char}" if char in "\\%_" else char for char in part)
    sql = f"{IDS} catalog_listingtext WHERE name LIKE %(pattern)s{AMONG}"
    return ask(index, sql, pattern=f"%{escaped}%")


def _range(index: FacetIndex, measure: str, low: int | None, high: int | None) -> BitMap:
    """Return the listings in a range: those of whole bars as counted, the ends as asked for."""
    column, edges = MEASURE[measure].column, MEASURE[measure].edges
    low, high = max(low or 0, 1), _MOST if high is None else high
    starts, ends = (1, *edges), (*(edge - 1 for edge in edges), _MOST)
    whole = [
        bar
        for bar, (start, end) in enumerate(zip(starts, ends, strict=True))
        if low <= start and end <= high
    ]
    sql = f"{IDS} catalog_listing WHERE {column} BETWEEN %(low)s AND %(high)s{AMONG}"
    if not whole:
        return ask(index, sql, low=low, high=high)
    with index.lock:
        found = index.having(measure, tuple(map(str, whole)), needs_all=False)
    if low < starts[whole[0]]:
        found = found | ask(index, sql, low=low, high=starts[whole[0]] - 1)
    if ends[whole[-1]] < high:
        found = found | ask(index, sql, low=ends[whole[-1]] + 1, high=high)
    return found
