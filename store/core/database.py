"""What our own use of the database connection needs beside the ORM."""

import time
from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection


def prepared_rows(sql: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run one statement, prepared in the connection at its first use, and return its rows.

    Django's cursors write values into the text, so that PostgreSQL plans each statement anew. For
    a query over many tables that takes several times as long as running it.

    Args:
        sql: With ``%(name)s`` where a value goes. One constant text for each use: connections keep
            the last hundred texts.
        params: The values.

    Raises:
        django.db.DatabaseError: as from Django's own cursors.
    """
    connection.ensure_connection()
    begun_s = time.monotonic()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(sql, params, prepare=True)
        rows = cursor.fetchall()
    if connection.queries_logged:  # psycopg forgets the text of what it prepared
        took_s = time.monotonic() - begun_s
        connection.queries_log.append({"sql": sql, "time": f"{took_s:.3f}"})
    return rows


def hand_back_connection() -> None:
    """Let others have this thread's connection while it waits for something slow.

    The next query takes one again. Inside a transaction nothing happens.
    """
    if not connection.in_atomic_block:
        connection.close()


def lock_name(name: str) -> None:
    """Let nobody else who locks the same name go on until the open transaction ends.

    Names are shared by the whole database: begin them with what they are for.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
