"""The engines start, are shared, and stop; really."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from store import engines
from store.engines.places import places
from tests.store.engines_lab import (
    command,
    engine_processes,
    finish,
    server,
    short_folder,
    sql,
    start,
    valkey,
)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def test_first_start_gives_a_database_and_a_queue(data_dir: Path) -> None:
    with engines.hold(data_dir) as held:
        assert held.addresses == engines.addresses(data_dir)
        assert sql(data_dir, "SELECT current_user, current_database()") == [("store", "store")]
        assert valkey(data_dir).ping() is True

    assert engine_processes(data_dir) == []


def test_database_speaks_utf8_and_has_what_migrations_need(data_dir: Path) -> None:
    with engines.hold(data_dir, valkey=False, durable=False):
        assert sql(data_dir, "SELECT lower('ÉÄ'), 'ß' < 'z'") == [("éä", False)]  # C.UTF-8
        assert sql(data_dir, "SHOW server_encoding") == [("UTF8",)]
        assert sql(data_dir, "SHOW timezone") == [("UTC",)]
        for name in ("pg_trgm", "unaccent", "btree_gin", "citext"):
            sql(data_dir, f"CREATE EXTENSION {name}")
        with psycopg.connect(engines.postgres_dsn(data_dir), autocommit=True) as connection:
            connection.execute("CREATE DATABASE test_store")  # what a test run needs


def test_the_stores_role_reaches_no_file_and_no_program(data_dir: Path) -> None:
    with engines.hold(data_dir, valkey=False, durable=False):
        for statement in (
            "SELECT pg_read_file('/etc/passwd')",
            "COPY (SELECT 1) TO PROGRAM 'cat'",
            "COPY (SELECT 1) TO '/tmp/x'",
            "SET ROLE engine",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                sql(data_dir, statement)


def test_settings_that_guard_data_are_untouched(data_dir: Path) -> None:
    with engines.hold(data_dir):
        guards = "SELECT setting FROM pg_settings WHERE name = ANY(ARRAY[{}]) ORDER BY name"
        names = "'data_checksums','fsync','full_page_writes','synchronous_commit'"
        assert sql(data_dir, guards.format(names)) == [("on",)] * 4
        configured = valkey(data_dir).config_get("append*", "save", "maxmemory-policy")
        assert configured["appendonly"] == "yes"
        assert configured["appendfsync"] == "everysec"
        assert configured["maxmemory-policy"] == "noeviction"


def test_careless_settings_are_for_tests_only(data_dir: Path) -> None:
    with engines.hold(data_dir, durable=False):
        assert sql(data_dir, "SHOW fsync") == [("off",)]
        assert valkey(data_dir).config_get("appendonly") == {"appendonly": "no"}


def test_nothing_listens_on_the_network(data_dir: Path) -> None:
    with engines.hold(data_dir, durable=False):
        for process in engine_processes(data_dir):
            assert process.net_connections("inet") == []


def test_engines_know_nothing_of_the_stores_environment(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_SECRET_KEY", "canary-7351")

    with engines.hold(data_dir, durable=False):
        for process in engine_processes(data_dir):
            assert "canary-7351" not in str(process.environ())


def test_the_log_keeps_no_statement_and_no_value(data_dir: Path) -> None:
    with engines.hold(data_dir, valkey=False, durable=False):
        sql(data_dir, "CREATE TABLE t (mail text PRIMARY KEY)")
        sql(data_dir, "INSERT INTO t VALUES ('canary@example.org')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            sql(data_dir, "INSERT INTO t VALUES ('canary@example.org')")

    log = (data_dir / "engines/logs/postgres.log").read_text()
    assert "duplicate key value" in log
    assert "canary" not in log


def test_second_command_shares_and_does_not_stop(data_dir: Path) -> None:
    with engines.hold(data_dir, durable=False):
        before = {server(data_dir, name).pid for name in ("Postgres", "Valkey")}

        with command(data_dir) as other:
            assert finish(other) == 0

        assert {server(data_dir, name).pid for name in ("Postgres", "Valkey")} == before
        assert sql(data_dir, "SELECT 1") == [(1,)]

    assert engine_processes(data_dir) == []


def test_last_one_out_stops_them_also_when_it_did_not_start_them(data_dir: Path) -> None:
    first = engines.hold(data_dir, durable=False)
    with command(data_dir) as other:
        first.release()
        assert sql(data_dir, "SELECT 1") == [(1,)]

        assert finish(other) == 0

    assert engine_processes(data_dir) == []
    assert "database system is shut down" in (data_dir / "engines/logs/postgres.log").read_text()


def test_two_holds_in_one_process_count_twice(data_dir: Path) -> None:
    outer = engines.hold(data_dir, durable=False)
    inner = engines.hold(data_dir, durable=False)

    inner.release()
    inner.release()  # safe to repeat

    assert sql(data_dir, "SELECT 1") == [(1,)]
    outer.release()
    assert engine_processes(data_dir) == []


def test_one_engine_alone_and_the_other_later(data_dir: Path) -> None:
    with engines.hold(data_dir, postgres=False, durable=False):
        assert engine_processes(data_dir, "Postgres") == []
        assert valkey(data_dir).ping() is True
        with engines.hold(data_dir, valkey=False, durable=False):
            assert sql(data_dir, "SELECT 1") == [(1,)]
        assert sql(data_dir, "SELECT 1") == [(1,)]  # until the last one leaves

    assert engine_processes(data_dir) == []


def test_holding_nothing_makes_nothing(data_dir: Path) -> None:
    with engines.hold(data_dir, postgres=False, valkey=False):
        assert not data_dir.exists()


def test_data_outlives_a_stop(data_dir: Path) -> None:
    with engines.hold(data_dir):
        sql(data_dir, "CREATE TABLE t AS SELECT 42 AS n")
        valkey(data_dir).lpush("queue", "job")

    with engines.hold(data_dir):
        assert sql(data_dir, "SELECT n FROM t") == [(42,)]
        assert valkey(data_dir).lrange("queue", 0, -1) == ["job"]


def test_four_commands_at_once_on_an_empty_folder(data_dir: Path) -> None:
    racers = [start(data_dir) for _ in range(4)]
    try:
        said = [racer.stdout.readline() for racer in racers if racer.stdout]
        assert said == ["held\n"] * 4
        assert server(data_dir, "Postgres").is_running()  # exactly one of each
        assert server(data_dir, "Valkey").is_running()
        assert [finish(racer) for racer in racers] == [0] * 4
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate(timeout=30)

    assert engine_processes(data_dir) == []


def test_commands_that_come_and_go_never_find_the_engines_gone(data_dir: Path) -> None:
    script = """
import sys, random, time
from pathlib import Path
from store import engines
import psycopg
for _ in range(4):
    with engines.hold(Path(sys.argv[1]), valkey=False, durable=False):
        with psycopg.connect(engines.postgres_dsn(Path(sys.argv[1]))) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    time.sleep(random.random() / 10)
"""
    runs = [start(data_dir, script) for _ in range(3)]

    ends = [(run.communicate(timeout=100)[1], run.returncode) for run in runs]

    assert ends == [("", 0)] * 3
    assert engine_processes(data_dir) == []


def test_a_large_log_is_put_aside_at_the_next_start(data_dir: Path) -> None:
    engines.hold(data_dir, postgres=False, durable=False).release()
    log = places(data_dir).home / "logs/valkey.log"
    with log.open("a") as file:
        file.truncate(10 * 1024**2 + 1)

    engines.hold(data_dir, postgres=False, durable=False).release()

    assert log.with_suffix(".log.1").stat().st_size == 10 * 1024**2 + 1
    assert 0 < log.stat().st_size < 10_000
    assert "Ready to accept connections" in log.read_text()


def test_restart_is_quick(data_dir: Path) -> None:
    engines.hold(data_dir).release()
    started = time.monotonic()

    held = engines.hold(data_dir)

    took_s = time.monotonic() - started
    held.release()
    assert took_s < 10  # 0.12 s on an idle machine; room for a busy one
