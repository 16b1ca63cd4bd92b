"""Prices in a search: the currency they are compared in, and which listings lie in a range.

A listing's price in a currency is the lowest that is asked for it there now; one for which no
money is asked costs 0 in every currency. A listing that is sold in other currencies only has no
price in this one: no range holds it, and it comes last in an order by price. There are no rates
of exchange here, so amounts of two currencies are never compared.
"""

from decimal import Decimal

from pyroaring import BitMap

from catalog.search.asking import AMONG, IDS, ask
from catalog.search.index import FacetIndex
from catalog.search.query import SearchQuery
from catalog.search.reading import PRICED
from store.core.money import MAX_MINOR, currencies

USUAL = "EUR"
"""Where nothing has a price."""

_IN_RANGE = (
    f"{IDS} catalog_listingprice WHERE currency = %(currency)s"
    f" AND amount_minor BETWEEN %(low)s AND %(high)s{AMONG}"
)


def currencies_of(index: FacetIndex, visible: BitMap) -> tuple[str, ...]:
    """Return the currencies of these listings' prices: what most of them have first."""
    with index.lock:
        counts = {
            code: index.set_of(PRICED, code).intersection_cardinality(visible)
            for code in index.values(PRICED)
        }
    found = [code for code, count in counts.items() if count]
    return tuple(sorted(found, key=lambda code: (-counts[code], code)))


def costing_nothing(index: FacetIndex) -> BitMap:
    """Return the listings, seen or unseen, for which no money is asked. Under the lock."""
    return index.set_of("price", "free") - index.set_of("price", "paid")


def in_range(index: FacetIndex, query: SearchQuery) -> BitMap:
    """Return the listings, seen or unseen, whose price lies in the range of a search.

    Args:
        index: As of the question.
        query: Says in which currency; both ends of its range belong to it.
    """
    decimals = currencies()[query.currency]
    low, high = query.price_min or Decimal(0), query.price_max
    least = int(low.scaleb(decimals))
    most = MAX_MINOR if high is None else int(high.scaleb(decimals))
    found = ask(index, _IN_RANGE, currency=query.currency, low=least, high=most)
    if least:
        return found
    with index.lock:
        return found | costing_nothing(index)
