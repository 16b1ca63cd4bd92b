"""Leaderboards: the public models of the store ranked by what the store measured.

Everybody sees the same board: private models are on none and in no count. Two models share a place
in all honesty when their 95 % intervals overlap; that asks more than a test of the difference
would (Schenker and Gentleman 2001, doi:10.1198/000313001317097960), so no difference is claimed
that is none.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from pyroaring import BitMap

from accounts.viewer import Viewer
from catalog.models import Commit, ListingPrice
from catalog.search.counting import Facet, count_facets
from catalog.search.matching import Matches, match
from catalog.search.query import SearchQuery
from inference.models import EvaluationRun, Score, Suite
from inference.services import readings
from inference.services.readings import SPEED, Reading
from store.core.errors import NotFoundError

FACETS = ("parameters", "size", "license", "commercial", "price", "architecture", "base_model")
"""What boards are narrowed down by, in this order."""
_EVERYBODY = Viewer()


class BoardNotFoundError(NotFoundError):
    """There is no leaderboard of this name."""

    code = "leaderboard_not_found"


@dataclass(frozen=True, slots=True)
class BoardLine:
    """A board in the list of boards."""

    suite: Suite
    models: int


@dataclass(slots=True)
class Row:
    """A model on a board. Thousands are made for a page, so it is filled in step by step."""

    repo_id: int
    full_name: str
    parameters: int | None
    weights_bytes: int
    licenses: list[str]
    run_id: str
    """Public id of the run."""
    commit_oid: str
    is_head: bool
    """The run is of the present head."""
    finished_at: datetime
    samples: int
    value: float
    low: float | None
    high: float | None
    unit: str
    rank: int = 0
    """1 and how many models are better beyond doubt; several may share one."""
    tied_with: str = ""
    """The first model above that cannot be told from this one; empty: there is none."""
    speed: float | None = None
    """Tokens per second, as the store measured it; from ``add_costs``, as the price is."""
    price_minor: int | None = None
    """The lowest that is asked, in the currency of the board; 0: nothing; ``None``: not known."""

    @property
    def reading(self) -> Reading:
        """The figure as people read it."""
        return readings.read(self.value, self.low, self.high, self.unit)


@dataclass(frozen=True, slots=True)
class Board:
    """A suite's models in order, best first."""

    suite: Suite
    metric: str
    unit: str
    is_higher_better: bool
    rows: list[Row]
    """Those that match."""
    total: int
    """How many there are without any condition."""
    facets: list[Facet] = field(default_factory=list)
    currency: str = ""
    """Of the prices."""
    currencies: tuple[str, ...] = ()
    """Those there are prices in, what most models have first."""
    span: tuple[float, float] = (0.0, 0.0)
    """Least and largest figure that match, intervals included, as people read them."""


def boards() -> list[BoardLine]:
    """Return every board with the number of its models. Two queries."""
    newest = list(_ranked().order_by("key", "-version").distinct("key"))
    counts = dict(
        _scores(suite__in=newest)
        .order_by()
        .values_list("run__suite_id")
        .annotate(models=Count("run__repo_id", distinct=True))
    )
    lines = [BoardLine(suite, counts.get(suite.pk, 0)) for suite in newest]
    return sorted(lines, key=lambda line: (not line.models, line.suite.title))


def board(key: str, query: SearchQuery, *, has_facets: bool = False) -> Board:
    """Return the board of the newest version of a suite, narrowed down.

    Args:
        key: Of the suite.
        query: Which models; its order means nothing here.
        has_facets: Whether to count what the models have in common.

    Raises:
        BoardNotFoundError: no public suite of this name has a board.
    """
    suite = _ranked().filter(key=key).order_by("-version").first()
    if suite is None:
        raise BoardNotFoundError(f"There is no leaderboard '{key}'. /leaderboards lists them.")
    score, found = _rows(suite)
    matches = _among(match(_EVERYBODY, query), BitMap(found))
    rows = [found[repo_id] for repo_id in matches.wanted]
    rows = ranked(rows, is_higher_better=score.is_higher_better)
    facets = {facet.name: facet for facet in count_facets(matches, query)} if has_facets else {}
    return Board(
        suite=suite,
        metric=score.metric,
        unit=score.unit,
        is_higher_better=score.is_higher_better,
        rows=rows,
        total=len(matches.visible),
        facets=[facets[name] for name in FACETS if name in facets],
        currency=matches.currency,
        currencies=matches.currencies,
        span=_span(rows, score.unit),
    )


def _span(rows: Iterable[Row], unit: str) -> tuple[float, float]:
    ends = [end for row in rows for end in (row.value, row.low, row.high) if end is not None]
    if not ends:
        return 0.0, 0.0
    low, high = (readings.read(end, None, None, unit).value for end in (min(ends), max(ends)))
    return low, high


def _ranked() -> "QuerySet[Suite]":
    return Suite.objects.filter(is_ranked=True, is_public=True)


def _scores(**of_run: Any) -> "QuerySet[Score]":
    """Return the primary scores of finished public runs of public models."""
    conditions = {f"run__{name}": value for name, value in of_run.items()}
    return Score.objects.filter(
        is_primary=True,
        run__is_public=True,
        run__state=EvaluationRun.State.DONE,
        run__repo__is_private=False,
        **conditions,
    )


def _newest(scores: "QuerySet[Score]", *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield a score a model: of its head, else of the newest revision that has one. Two queries.

    The depth of a revision is looked up only where the head has none: that costs more than all
    the rest.

    Args:
        scores: From ``_scores``, of suites that are compared.
        columns: What is yielded of each, after the repository's key.
    """
    of_head = F("run__repo__listing__head_oid")
    order = ("run__repo_id", "-run__finished_at", "-run_id")
    heads = scores.filter(run__commit_oid=of_head).annotate(is_head=Value(value=True))
    yield from _first_of_each(heads, order, columns)
    at_head = Score.objects.filter(
        is_primary=True,
        run__repo=OuterRef("run__repo_id"),
        run__suite=OuterRef("run__suite_id"),
        run__commit_oid=OuterRef("run__repo__listing__head_oid"),
        run__is_public=True,
        run__state=EvaluationRun.State.DONE,
    )
    depth = Commit.objects.filter(
        repo=OuterRef("run__repo_id"), oid=OuterRef("run__commit_oid")
    ).values("depth")
    older = scores.filter(~Exists(at_head)).annotate(
        is_head=Value(value=False), depth=Coalesce(Subquery(depth[:1]), -1)
    )
    yield from _first_of_each(older, (order[0], "-depth", *order[1:]), columns)


def _first_of_each(
    scores: "QuerySet[Score]", order: tuple[str, ...], columns: tuple[str, ...]
) -> Iterator[tuple[Any, ...]]:
    rows: Any = scores.order_by(*order).distinct(order[0]).values_list(order[0], *columns)
    yield from rows


_COLUMNS = {
    "full_name": "run__repo__listing__full_name",
    "parameters": "run__repo__listing__parameters",
    "weights_bytes": "run__repo__listing__weights_bytes",
    "licenses": "run__repo__listing__licenses",
    "run_id": "run__public_id",
    "commit_oid": "run__commit_oid",
    "is_head": "is_head",
    "finished_at": "run__finished_at",
    "samples": "samples",
    "value": "value",
    "low": "low",
    "high": "high",
    "unit": "unit",
}
"""Where each part of a row comes from, in their order, after the repository's key."""


def _rows(suite: Suite) -> tuple[Score, dict[int, Row]]:
    """Return an example score and the rows by repository. Two queries."""
    columns = ("metric", "is_higher_better", *_COLUMNS.values())
    found: dict[int, Row] = {}
    example = Score(metric="", unit="", is_higher_better=True)
    for repo_id, metric, is_higher_better, *cells in _newest(_scores(suite=suite), *columns):
        if not found:
            example = Score(metric=metric, unit=cells[-1], is_higher_better=is_higher_better)
        found[repo_id] = Row(repo_id, *cells)
    return example, found


def _among(matches: Matches, ids: BitMap) -> Matches:
    """Narrow matches of a search down to these listings, for counting facets among them."""
    return replace(matches, visible=matches.visible & ids, wanted=matches.wanted & ids)


def ranked(rows: Iterable[Row], *, is_higher_better: bool) -> list[Row]:
    """Put rows in order and fill in rank and ties, best first; the same figure by name.

    A model's rank is 1 and the number of models that are better beyond doubt: whose whole
    interval lies above its own. Figures without an interval count as exact.
    """
    sign = 1 if is_higher_better else -1
    ordered = sorted(rows, key=lambda row: (-sign * row.value, row.full_name.lower()))
    ends = [_turned(row, sign) for row in ordered]
    lows = sorted(low for low, _high in ends)
    least_so_far: list[float] = []  # turned around, so that it rises and can be bisected
    for row, (low, high) in zip(ordered, ends, strict=True):
        row.rank = 1 + len(lows) - bisect_right(lows, high)
        tie = bisect_left(least_so_far, -high)
        row.tied_with = ordered[tie].full_name if tie < len(least_so_far) else ""
        least_so_far.append(max(-low, least_so_far[-1]) if least_so_far else -low)
    return ordered


def _turned(row: Row, sign: int) -> tuple[float, float]:
    """Return the interval as if higher were better."""
    ends = [row.value if end is None else end for end in (row.low, row.high)]
    low, high = sorted(sign * end for end in ends)
    return low, high


def add_costs(rows: list[Row], currency: str) -> None:
    """Fill in speed and price of rows. Three queries, none for no rows."""
    if not rows:
        return
    ids = [row.repo_id for row in rows]
    speeds = speeds_of(ids)
    asked: dict[int, int | None] = {}
    prices = ListingPrice.objects.filter(listing_id__in=ids).order_by()
    for repo_id, code, amount_minor in prices.values_list("listing_id", "currency", "amount_minor"):
        if code == currency:
            asked[repo_id] = amount_minor
        else:
            asked.setdefault(repo_id, None)
    for row in rows:
        row.speed, row.price_minor = speeds.get(row.repo_id), asked.get(row.repo_id, 0)


def speeds_of(repo_ids: Iterable[int]) -> dict[int, float]:
    """Return how fast the store ran models, in tokens per second. Two queries."""
    scores = _scores(suite__kind=Suite.Kind.BUILTIN, repo_id__in=list(repo_ids)).filter(unit=SPEED)
    found: dict[int, float] = {}
    for repo_id, value in _newest(scores, "value"):  # of the head first, whatever the version
        found.setdefault(repo_id, value)
    return found
