"""Reading from the database which listings have which value."""

from collections.abc import Iterable

from django.db import connection
from pyroaring import BitMap

from catalog.search.fields import FIELDS, MEASURES, Measure
from catalog.search.packing import PACKED, unpack_set

PUBLIC, PRIVATE = "public", "private"
"""Who may know of a listing, as if they were fields: ``public`` has the one value ``""``,
``private`` the ids of the namespaces."""
PRICED = "priced"
"""In which currencies a listing has a price, as if it were a field."""

Sets = dict[str, dict[str, BitMap]]
"""Repository ids by field and value."""

_JOINED = (
    "catalog_listing l JOIN catalog_modelrepo r ON r.id = l.repo_id"
    " JOIN accounts_namespace n ON n.id = r.namespace_id"
)
_IDS = PACKED.replace("repo_id", "l.repo_id")


def _bar(measure: Measure) -> str:
    edges = ", ".join(map(str, measure.edges))
    return f"width_bucket(l.{measure.column}, ARRAY[{edges}]::bigint[])::text"


def _all_sql() -> str:
    """Return SQL that gives (field, value, packed ids)."""
    # Our own names; nobody else's text is in any of these
    parts = [
        f"SELECT '{PUBLIC}', '', {_IDS} FROM {_JOINED} WHERE NOT r.is_private",  # noqa: S608
        f"SELECT '{PRIVATE}', n.id::text, {_IDS} FROM {_JOINED} WHERE r.is_private GROUP BY 2",  # noqa: S608
    ]
    parts.append(f"SELECT '{PRICED}', currency, {PACKED} FROM catalog_listingprice GROUP BY 2")  # noqa: S608
    for field in FIELDS:
        table = "catalog_listing l" if "l." in field.sql else _JOINED
        source = f"{table}, unnest({field.sql}) AS v(value)" if field.is_list else table
        value = "v.value" if field.is_list else field.sql
        parts.append(f"SELECT '{field.name}', {value}, {_IDS} FROM {source} GROUP BY 2")  # noqa: S608
    parts += [
        f"SELECT '{measure.name}', {_bar(measure)}, {_IDS}"  # noqa: S608
        f" FROM catalog_listing l WHERE l.{measure.column} > 0 GROUP BY 2"
        for measure in MEASURES
    ]
    return " UNION ALL ".join(parts)


def _some_sql() -> str:
    """Return SQL that gives (repository id, values of every field) of a few repositories."""
    columns = [
        "CASE WHEN r.is_private THEN NULL ELSE '' END",
        "CASE WHEN r.is_private THEN n.id::text END",
        "(SELECT array_agg(currency) FROM catalog_listingprice p WHERE p.repo_id = l.repo_id)",
        *(field.sql for field in FIELDS),
        *(f"CASE WHEN l.{each.column} > 0 THEN {_bar(each)} END" for each in MEASURES),
    ]
    return f"SELECT l.repo_id, {', '.join(columns)} FROM {_JOINED} WHERE l.repo_id = ANY(%s)"  # noqa: S608


_ALL, _SOME = _all_sql(), _some_sql()
_COLUMNS = [
    PUBLIC,
    PRIVATE,
    PRICED,
    *(each.name for each in FIELDS),
    *(each.name for each in MEASURES),
]


def read_all() -> Sets:
    """Return the sets of the whole catalogue."""
    with connection.cursor() as cursor:
        cursor.execute(_ALL)
        rows: list[tuple[str, str, bytes | None]] = cursor.fetchall()
    sets: Sets = {}
    for field, value, data in rows:
        if data is not None and (value or field == PUBLIC):
            sets.setdefault(field, {})[value] = unpack_set(data)
    return sets


def read_some(repo_ids: Iterable[int]) -> Sets:
    """Return the sets of some repositories; those without a listing are in none."""
    with connection.cursor() as cursor:
        cursor.execute(_SOME, [list(repo_ids)])
        rows = cursor.fetchall()
    sets: Sets = {}
    for repo_id, *columns in rows:
        for field, held in zip(_COLUMNS, columns, strict=True):
            for value in held if isinstance(held, list) else [held]:
                if value or (value is not None and field == PUBLIC):
                    sets.setdefault(field, {}).setdefault(value, BitMap()).add(repo_id)
    return sets
