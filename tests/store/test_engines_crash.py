"""Killed without warning, the engines and their holders leave nothing that needs a hand."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest

from store import engines
from store.engines import engine, processes
from store.engines.places import places
from store.engines.postgres import Postgres
from store.engines.runas import engine_user
from store.engines.valkey import Valkey
from tests.store.engines_lab import (
    command,
    engine_processes,
    eventually,
    finish,
    kill,
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


def test_engines_outlive_a_killed_holder_and_the_next_command_adopts_them(data_dir: Path) -> None:
    with command(data_dir) as victim:
        before = {server(data_dir, name).pid for name in ("Postgres", "Valkey")}
        victim.send_signal(signal.SIGKILL)
        victim.wait(timeout=10)
    assert {server(data_dir, name).pid for name in ("Postgres", "Valkey")} == before

    with command(data_dir) as adopter:
        assert {server(data_dir, name).pid for name in ("Postgres", "Valkey")} == before
        assert sql(data_dir, "SELECT 1") == [(1,)]
        assert finish(adopter) == 0

    assert engine_processes(data_dir) == []


def test_committed_rows_survive_a_killed_postmaster(data_dir: Path) -> None:
    with engines.hold(data_dir, valkey=False):
        sql(data_dir, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
        with closing(psycopg.connect(engines.postgres_dsn(data_dir))) as open_session:
            open_session.execute("DELETE FROM t")  # not committed
            kill(server(data_dir, "Postgres"))

            with engines.hold(data_dir, valkey=False):
                assert sql(data_dir, "SELECT count(*) FROM t") == [(1000,)]

    assert engine_processes(data_dir) == []


def test_a_backend_that_outlives_its_postmaster_does_not_block_the_next_start(
    data_dir: Path,
) -> None:
    with engines.hold(data_dir, valkey=False):
        sql(data_dir, "CREATE TABLE t AS SELECT 7 AS n")
        with closing(psycopg.connect(engines.postgres_dsn(data_dir))) as open_session:
            backend = psutil.Process(open_session.info.backend_pid)
            backend.suspend()  # as one deep in a computation: it does not notice
            kill(server(data_dir, "Postgres"))

            with engines.hold(data_dir, valkey=False):
                assert sql(data_dir, "SELECT n FROM t") == [(7,)]
            eventually("the old backend is gone", lambda: not alive(backend))


def test_queued_work_survives_a_killed_valkey(data_dir: Path) -> None:
    with engines.hold(data_dir, postgres=False):
        valkey(data_dir).rpush("queue", *range(100))
        kill(server(data_dir, "Valkey"))

        with engines.hold(data_dir, postgres=False):
            assert valkey(data_dir).llen("queue") == 100


def test_a_holder_revives_what_died(data_dir: Path) -> None:
    with engines.hold(data_dir) as held:
        assert held.revive() == []
        sql(data_dir, "CREATE TABLE t AS SELECT 7 AS n")
        kill(server(data_dir, "Postgres"))

        assert held.revive() == ["Postgres"]

        assert sql(data_dir, "SELECT n FROM t") == [(7,)]
        assert held.revive() == []


def test_a_busy_server_is_not_taken_for_a_dead_one(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_path: Path) -> None:
        raise engines.EngineBusyError("busy")

    with engines.hold(data_dir, postgres=False, durable=False) as held:
        monkeypatch.setattr(engine, "connect", busy)
        assert held.revive() == []
        monkeypatch.undo()


def test_all_killed_at_once_as_in_a_power_cut(data_dir: Path) -> None:
    with command(data_dir, DURABLE_HOLDER) as victim:
        sql(data_dir, "CREATE TABLE t AS SELECT 42 AS n")
        valkey(data_dir).set("kept", "yes")
        for process in (*engine_processes(data_dir), psutil.Process(victim.pid)):
            process.kill()
        eventually("all are gone", lambda: engine_processes(data_dir) == [])
    for left in ("sockets/.s.PGSQL.5432", "sockets/valkey.sock", "postgres/postmaster.pid"):
        assert (data_dir / "engines" / left).exists()

    with engines.hold(data_dir):
        assert sql(data_dir, "SELECT n FROM t") == [(42,)]
        assert valkey(data_dir).get("kept") == "yes"


def test_a_process_number_given_to_another_program_does_not_block_the_start(
    data_dir: Path,
) -> None:
    engines.hold(data_dir, valkey=False).release()
    user = engine_user(data_dir / "engines")
    become = [] if user.uid == os.geteuid() else ["setpriv", f"--reuid={user.uid}"]
    stranger = subprocess.Popen([*become, "sleep", "100"], cwd="/")
    try:
        eventually("it runs as that user", lambda: owner(stranger.pid) == user.uid)
        home = data_dir / "engines"
        for name in ("postgres/postmaster.pid", "sockets/.s.PGSQL.5432.lock"):
            lines = [str(stranger.pid), str(home / "postgres"), "1", "5432", str(home / "sockets")]
            (home / name).write_text("\n".join(lines) + "\n")
            os.chown(home / name, user.uid, user.gid)

        with engines.hold(data_dir, valkey=False):
            assert sql(data_dir, "SELECT 1") == [(1,)]

        assert stranger.poll() is None  # it was nobody's business
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_first_start_begins_anew(data_dir: Path) -> None:
    run = start(data_dir, DURABLE_HOLDER)
    draft = data_dir / "engines/postgres.new/PG_VERSION"
    eventually("the cluster is being made", draft.exists)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate(timeout=30)
    assert not (data_dir / "engines/postgres").exists()

    with engines.hold(data_dir, valkey=False):
        assert sql(data_dir, "SELECT current_database()") == [("store",)]

    assert not (data_dir / "engines/postgres.new").exists()


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(data_dir: Path) -> None:
    engines.hold(data_dir).release()
    config = data_dir / "engines/postgres/postgresql.conf"
    good = config.read_text()
    config.write_text("no such setting\n")

    with pytest.raises(engines.EngineStartError, match="syntax error in file") as caught:
        engines.hold(data_dir)

    assert caught.value.extra["engine"] == "Postgres"
    assert str(data_dir / "engines/logs/postgres.log") in caught.value.message
    assert engine_processes(data_dir) == []
    config.write_text(good)
    with engines.hold(data_dir):
        assert sql(data_dir, "SELECT 1") == [(1,)]


def test_a_second_engine_that_cannot_start_takes_the_first_down_again(data_dir: Path) -> None:
    engines.hold(data_dir).release()
    (data_dir / "engines/valkey/appendonlydir/appendonly.aof.manifest").write_text("garbage\n")

    with pytest.raises(engines.EngineStartError, match="Invalid AOF manifest"):
        engines.hold(data_dir)

    assert engine_processes(data_dir) == []


def test_failing_to_make_the_cluster_shows_what_initdb_said(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.engines.postgres.CLUSTER_OWNER", "pg_reserved")

    with pytest.raises(engines.EngineStartError, match=r'initdb failed .exit 1.:\n.*"pg_reserved"'):
        engines.hold(data_dir)

    assert not (data_dir / "engines/postgres").exists()
    assert engine_processes(data_dir) == []


def test_a_program_that_hangs_is_ended(data_dir: Path) -> None:
    data_dir.mkdir()
    user = engine_user(data_dir)

    with pytest.raises(engines.EngineStartError, match="sleep did not end within 0 s"):
        processes.run(user, ["sleep", "30"], timeout_s=0.1)


def test_a_server_that_stands_still_is_reported(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "ANSWER_TIMEOUT_S", 1)
    monkeypatch.setattr(engine, "READY_TIMEOUT_S", 0.2)
    with engines.hold(data_dir, postgres=False, durable=False):
        frozen = server(data_dir, "Valkey")
        frozen.suspend()
        try:
            with pytest.raises(engines.EngineStartError, match="was not ready after 0 s"):
                engines.hold(data_dir, postgres=False)
        finally:
            frozen.resume()
        assert valkey(data_dir).ping() is True


def test_a_server_on_its_way_out_is_waited_for_and_started_again(data_dir: Path) -> None:
    with engines.hold(data_dir, valkey=False):
        old = server(data_dir, "Postgres")
        with psycopg.connect(engines.postgres_dsn(data_dir)) as busy:
            busy.execute("SELECT 1")
            old.send_signal(signal.SIGTERM)  # smart shutdown: waits for that session
            status = data_dir / "engines/postgres/postmaster.pid"
            eventually("it is stopping", lambda: "stopping" in status.read_text())
            run = start(data_dir)
            time.sleep(0.3)
        assert run.stdout
        assert run.stdout.readline() == "held\n"
        assert server(data_dir, "Postgres").pid != old.pid
        assert finish(run) == 0
        assert sql(data_dir, "SELECT 1") == [(1,)]


def test_a_stranger_with_the_same_title_is_spared(data_dir: Path) -> None:
    data_dir.joinpath("engines").mkdir(parents=True)
    tag = places(data_dir).tag("Valkey")
    become = ["setpriv", "--reuid=65534"] if os.geteuid() == 0 else []
    stranger = subprocess.Popen([*become, "sh", "-c", "sleep 60; exit", tag], cwd="/")
    user = engine_user(data_dir / "engines")
    try:
        eventually("it shows", lambda: tag in " ".join(psutil.Process(stranger.pid).cmdline()))
        if os.geteuid() == 0:
            eventually("it is another's", lambda: owner(stranger.pid) == 65534)
            assert processes.left_over(user, tag) == []
        else:
            assert processes.left_over(user, tag) == [stranger.pid]
    finally:
        psutil.Process(stranger.pid).kill()
        stranger.wait()


def test_readiness_of_a_server_that_is_gone(data_dir: Path) -> None:
    where = places(data_dir)

    assert Postgres(where).is_ready(1) is False
    assert Valkey(where).is_ready(1) is False
    assert Valkey(where).listening_pid() is None


def test_a_folder_that_cannot_be_entered_is_not_taken_for_a_dead_server(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = data_dir / ("x" * 120)  # more than a socket address holds: OSError

    with pytest.raises(engines.EngineBusyError, match="Cannot connect"):
        processes.connect(target)


def test_process_numbers(data_dir: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()

    assert processes.has_ended(gone.pid)
    assert not processes.has_ended(os.getpid())
    assert not processes.is_in_use(gone.pid)
    assert processes.is_in_use(os.getpid())


def test_a_number_of_another_user_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)

    assert processes.is_in_use(1)


def test_log_tail_of_no_log(tmp_path: Path) -> None:
    assert processes.log_tail(tmp_path / "none") == ""


def test_log_tail_is_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %d \xff\n" % n for n in range(5000)))

    assert processes.log_tail(log, lines=2) == "line 4998 \ufffd\nline 4999 \ufffd"


DURABLE_HOLDER = """
import sys
from pathlib import Path
from store import engines
held = engines.hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
"""


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def owner(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid
