"""The pool: one question for many uses, and a server that restarted costs nobody a request."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.db.backends.utils import CursorWrapper

from store.core.postgres import base
from store.core.postgres.base import DatabaseWrapper


@pytest.fixture
def pooled(db: None) -> Iterator[DatabaseWrapper]:
    entry: dict[str, Any] = dict(connections["default"].settings_dict)
    entry["OPTIONS"] = entry["OPTIONS"] | {"pool": {"min_size": 1, "max_size": 1, "timeout": 20}}
    wrapper = DatabaseWrapper(entry, alias="default")
    yield wrapper
    wrapper.close()
    wrapper.close_pool()


def backend_of(wrapper: DatabaseWrapper) -> int:
    """Take the connection, as a request does, and give it back; return its process."""
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    wrapper.close()
    return int(pid)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[psycopg.Connection[Any]]:
    found: list[psycopg.Connection[Any]] = []
    real = base.ConnectionPool.check_connection

    def check(connection: psycopg.Connection[Any]) -> None:
        found.append(connection)
        real(connection)

    monkeypatch.setattr(base.ConnectionPool, "check_connection", check)
    return found


def test_a_connection_just_used_is_not_asked_again(
    pooled: DatabaseWrapper, asked: list[psycopg.Connection[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = {backend_of(pooled) for _ in range(5)}
    assert len(pids) == 1
    assert len(asked) == 1
    later = time.monotonic() + base.TRUSTED_FOR_S
    monkeypatch.setattr(base.time, "monotonic", lambda: later)
    assert {backend_of(pooled)} == pids
    assert len(asked) == 2


def test_a_connection_its_server_closed_is_replaced_before_anybody_uses_it(
    pooled: DatabaseWrapper, asked: list[psycopg.Connection[Any]]
) -> None:
    before = backend_of(pooled)
    with connections["default"].cursor() as cursor:
        end(cursor, before)
    after = backend_of(pooled)
    assert after != before
    assert asked[0] is not asked[-1]
    assert backend_of(pooled) == after


def end(cursor: CursorWrapper, pid: int) -> None:
    """End a backend, and wait until it is gone."""
    cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert cursor.fetchone() == (True,)
