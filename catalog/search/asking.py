"""Asking the database which listings fulfil a condition, each question once."""

from django.db import connection
from pyroaring import BitMap

from catalog.search.index import FacetIndex
from catalog.search.packing import PACKED, unpack_set

IDS = f"SELECT {PACKED} FROM"
AMONG = " AND (%(among)s::bigint[] IS NULL OR repo_id = ANY(%(among)s))"
"""Ends the condition of every question: all repositories, or those that changed since."""


def ask(index: FacetIndex, sql: str, **parameters: str | int) -> BitMap:
    """Return the listings, seen or unseen, that ``sql`` finds. Not to be called under the lock.

    Args:
        index: Remembers the answer until listings change, and then asks about those.
        sql: Gives packed ids; has the parameter ``among``.
        **parameters: Its others.
    """

    def find(among: BitMap | None) -> BitMap:
        ids = None if among is None else list(among)
        with connection.cursor() as cursor:
            cursor.execute(sql, {**parameters, "among": ids})
            return unpack_set(cursor.fetchone()[0])

    return index.remember((sql, *parameters.values()), find)
