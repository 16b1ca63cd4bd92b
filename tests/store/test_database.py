"""Prepared statements: planned once for each connection, and as safe as any other."""

import pytest
from django.db import DataError, connection, transaction

from store.core.database import prepared_rows

ADD = "SELECT %(a)s::int + %(b)s::int"


def planned() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [text for (text,) in cursor.fetchall() if text.startswith("SELECT $1::int +")]


@pytest.mark.django_db
def test_a_statement_is_planned_once_whatever_its_values() -> None:
    assert [prepared_rows(ADD, {"a": "1", "b": str(n)}) for n in range(4)] == [
        [(1,)],
        [(2,)],
        [(3,)],
        [(4,)],
    ]
    assert planned() == ["SELECT $1::int + $2::int"]


@pytest.mark.django_db
def test_a_value_is_never_read_as_sql_and_a_failure_is_one_of_django() -> None:
    with pytest.raises(DataError), transaction.atomic():
        prepared_rows(ADD, {"a": "1); DROP TABLE accounts_user; --", "b": "1"})
    assert prepared_rows("SELECT count(*) FROM accounts_user", {}) == [(0,)]
