"""The order by price, in one currency: what costs nothing, what has a price, what has none here.

Within the first and the last the most used come first. The currency stands in the cursor, so the
pages of one search fit together even when another currency becomes the usual one meanwhile.
"""

from catalog.search.matching import Matches
from catalog.search.ordering import (
    HIGHEST,
    PRICE_ORDERS,
    RELEVANCE,
    SORTS,
    Mark,
    Sort,
    Step,
    follow,
)
from catalog.search.prices import costing_nothing
from catalog.search.reading import PRICED

_FREE, _ASKED, _OTHER = "free", "asked", "other"


def phases(order: str, currency: str) -> dict[str, Sort]:
    """Return the parts of an order by price, by the name a cursor has for them."""
    # the currency is one of ISO 4217's, see ``query``
    priced = (
        f"(SELECT repo_id, amount_minor FROM catalog_listingprice WHERE currency = '{currency}') p"  # noqa: S608
    )
    asked = Sort("amount_minor", int, is_descending=order == HIGHEST, source=priced)
    parts = {_FREE: SORTS[RELEVANCE], _ASKED: asked, _OTHER: SORTS[RELEVANCE]}
    names = (_ASKED, _FREE, _OTHER) if order == HIGHEST else (_FREE, _ASKED, _OTHER)
    return {f"{order}.{currency}.{name}": parts[name] for name in names}


def currency_in(phase: str) -> str:
    """Return the currency a cursor's phase names; empty: it is of no order by price."""
    order, _dot, rest = phase.partition(".")
    return rest.partition(".")[0] if order in PRICE_ORDERS else ""


def by_price(matches: Matches, order: str, *, after: Mark | None, limit: int) -> list[Mark]:
    """Return the next ``limit`` matches in the order of their prices in ``matches.currency``."""
    with matches.index.lock:
        free = matches.wanted & costing_nothing(matches.index)
        asked = matches.wanted & matches.index.set_of(PRICED, matches.currency)
    sets = {_FREE: free, _ASKED: asked, _OTHER: matches.wanted - free - asked}
    steps = [
        Step(phase, sort, sets[phase.rpartition(".")[2]])
        for phase, sort in phases(order, matches.currency).items()
    ]
    return follow(steps, after=after, limit=limit)
