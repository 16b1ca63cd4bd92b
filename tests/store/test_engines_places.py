"""Where the engines live: pure, short enough, and nobody else's."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from store import engines
from store.engines.places import (
    LONGEST_SOCKET_PATH_BYTES,
    SHORT_FOLDERS,
    EnginePlaces,
    places,
    prepare_folders,
    prepare_home,
)
from store.engines.runas import EngineUser
from tests.store.engines_lab import AS_ROOT

ME = EngineUser(os.geteuid(), os.getegid())


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose sockets cannot lie inside it."""
    data_dir = tmp_path / ("d" * 120)
    yield data_dir
    short = engines.addresses(data_dir).postgres_socket_dir
    if short.is_symlink() or short.is_file():
        short.unlink()
    elif short.exists():
        short.rmdir()


def test_everything_lies_below_the_data_folder() -> None:
    found = engines.addresses(Path("/srv/store/var"))

    assert found.postgres_socket_dir == Path("/srv/store/var/engines/sockets")
    assert found.postgres_port == 5432
    assert found.postgres_socket == Path("/srv/store/var/engines/sockets/.s.PGSQL.5432")
    assert found.valkey_socket == Path("/srv/store/var/engines/sockets/valkey.sock")


def test_asking_for_addresses_makes_nothing(tmp_path: Path) -> None:
    engines.addresses(tmp_path / "var")

    assert list(tmp_path.iterdir()) == []


def test_relative_and_linked_paths_mean_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "link").symlink_to("var")
    monkeypatch.chdir(tmp_path)

    assert engines.addresses(Path("var")) == engines.addresses(tmp_path / "var")
    assert engines.addresses(Path("link")) == engines.addresses(tmp_path / "var")


def test_sockets_move_to_a_short_folder_exactly_when_the_path_is_too_long() -> None:
    room = LONGEST_SOCKET_PATH_BYTES - len("//engines/sockets/.s.PGSQL.5432")
    fits, too_long = Path("/" + "a" * room), Path("/" + "a" * (room + 1))
    wide = Path("/" + "é" * (room // 2 + 1))  # bytes count, not letters

    assert engines.addresses(fits).postgres_socket_dir == fits / "engines/sockets"
    for path in (too_long, wide):
        short = engines.addresses(path).postgres_socket_dir
        assert short.parent == SHORT_FOLDERS
        assert short.name.startswith(f"gpt-store-{os.geteuid()}-")
        assert engines.addresses(path) == engines.addresses(path)
    one, other = engines.addresses(too_long), engines.addresses(wide)
    assert one.postgres_socket_dir != other.postgres_socket_dir


def test_short_folder_does_not_depend_on_the_environment(
    deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = engines.addresses(deep)
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    assert engines.addresses(deep) == before


def test_dsn_quotes_the_folder_and_the_database() -> None:
    dsn = engines.postgres_dsn(Path("/srv/my store"), database="a/b")

    assert dsn == "postgresql://store@%2Fsrv%2Fmy%20store%2Fengines%2Fsockets:5432/a%2Fb"


def test_folders_are_private(tmp_path: Path) -> None:
    where = prepared(tmp_path / "var")

    for folder in (where.home, *where.home.iterdir()):
        assert folder.stat().st_mode & 0o777 == 0o700, folder
    assert sorted(path.name for path in where.home.iterdir()) == ["logs", "sockets", "valkey"]


def test_loose_permissions_are_tightened(tmp_path: Path) -> None:
    where = prepared(tmp_path / "var")
    for name in (".", "logs", "sockets", "valkey"):
        (where.home / name).chmod(0o777)

    prepared(tmp_path / "var")

    for name in (".", "logs", "sockets", "valkey"):
        assert (where.home / name).stat().st_mode & 0o777 == 0o700


def test_short_folder_is_private_and_used_again(deep: Path) -> None:
    where = prepared(deep)
    prepared(deep)

    assert where.addresses.postgres_socket_dir.stat().st_mode & 0o777 == 0o700
    assert where.addresses.postgres_socket_dir.stat().st_uid == ME.uid


def test_a_link_in_place_of_the_short_folder_is_refused(deep: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir(mode=0o755)
    places(deep).addresses.postgres_socket_dir.symlink_to(trap)

    with pytest.raises(engines.EngineFolderError, match="it is not a folder"):
        prepared(deep)

    assert list(trap.iterdir()) == []
    assert trap.stat().st_mode & 0o777 == 0o755


def test_a_short_folder_that_others_may_enter_is_refused(deep: Path) -> None:
    short = places(deep).addresses.postgres_socket_dir
    short.mkdir()
    short.chmod(0o750)

    with pytest.raises(engines.EngineFolderError, match="others may enter it") as caught:
        prepared(deep)

    assert caught.value.extra == {"path": str(short)}
    assert short.stat().st_mode & 0o777 == 0o750


@pytest.mark.skipif(not AS_ROOT, reason="only root can make somebody else's folder")
def test_somebody_elses_short_folder_is_refused(deep: Path) -> None:
    short = places(deep).addresses.postgres_socket_dir
    short.mkdir(mode=0o700)
    os.chown(short, 4242, 4242)

    with pytest.raises(engines.EngineFolderError, match="it belongs to user 4242"):
        prepared(deep)

    assert short.stat().st_uid == 4242


def test_a_short_folder_that_cannot_be_made_is_named(
    deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.engines.places.SHORT_FOLDERS", tmp_path / "gone")

    with pytest.raises(engines.EngineFolderError, match="No such file or directory"):
        prepared(deep)


def test_a_file_in_place_of_the_data_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("mine")

    with pytest.raises(engines.EngineFolderError, match="STORE_DATA_DIR") as caught:
        engines.hold(tmp_path / "var")

    assert caught.value.extra == {"path": str(tmp_path / "var/engines")}
    assert (tmp_path / "var").read_text() == "mine"


def test_a_file_in_place_of_an_engines_folder_is_named(tmp_path: Path) -> None:
    where = prepared(tmp_path / "var")
    (where.home / "valkey").rmdir()
    (where.home / "valkey").write_text("mine")

    with pytest.raises(engines.EngineFolderError) as caught:
        prepared(tmp_path / "var")

    assert caught.value.extra == {"path": str(where.home / "valkey")}
    assert (where.home / "valkey").read_text() == "mine"


def prepared(data_dir: Path) -> EnginePlaces:
    where = places(data_dir)
    prepare_home(where)
    prepare_folders(where, ME)
    return where
