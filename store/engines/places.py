"""Where the engines live and answer.

::

    data_dir/engines/            the caller's, 0700 (started by root: root's, 0710, see below)
        control.lock users.lock  see ``locks``
        logs/                    postgres.log, valkey.log, one older copy of each
        postgres/                the database cluster, the engine user's, 0700
        valkey/                  the append-only file, the engine user's, 0700
        sockets/                 both sockets, the engine user's, 0700

Nobody but the owner and root can pass the 0700 folders, and that is the engines' whole access
control: no TCP port is open, so who can reach a socket could also read the files behind it, and
a password lying beside them would keep nobody out.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from store.engines.errors import EngineFolderError
from store.engines.runas import EngineUser

POSTGRES_PORT = 5432
POSTGRES_ROLE = "store"
POSTGRES_DATABASE = "store"

LONGEST_SOCKET_PATH_BYTES = 100
"""The kernel takes 107 bytes (sun_path, unix(7)); PostgreSQL and clients want some room."""

SHORT_FOLDERS = Path("/tmp")  # noqa: S108 - made 0700 and checked, see _prepare_short_folder
"""Where sockets go when the data folder's path is too long. Not ``$TMPDIR``: two commands with
different environments must find the same place."""


@dataclass(frozen=True, slots=True)
class EngineAddresses:
    """Where clients find the engines of one data folder."""

    postgres_socket_dir: Path
    """Folder of the PostgreSQL socket: what libpq takes as ``host``."""
    postgres_port: int
    """Part of the socket's name; no TCP port is open."""
    valkey_socket: Path
    """Path of the Valkey socket."""

    @property
    def postgres_socket(self) -> Path:
        """Path of the PostgreSQL socket itself."""
        return self.postgres_socket_dir / f".s.PGSQL.{self.postgres_port}"


@dataclass(frozen=True, slots=True)
class EnginePlaces:
    """Every folder of one data folder's engines."""

    data_dir: Path
    """Resolved."""
    addresses: EngineAddresses

    @property
    def home(self) -> Path:
        """The folder that holds everything else."""
        return self.data_dir / "engines"

    def tag(self, engine: str) -> str:
        """Return the name that processes of this data folder's ``engine`` carry as title."""
        return f"gpt-store-{engine.lower()}-{_digest(self.data_dir)}"


def addresses(data_dir: Path) -> EngineAddresses:
    """Return where the engines of ``data_dir`` answer, running or not. Changes nothing.

    Args:
        data_dir: The store's data folder; it need not exist yet.
    """
    return places(data_dir).addresses


def postgres_dsn(data_dir: Path, *, database: str = POSTGRES_DATABASE) -> str:
    """Return a libpq address of ``database`` on the engine of ``data_dir``."""
    found = addresses(data_dir)
    host = quote(str(found.postgres_socket_dir), safe="")
    return f"postgresql://{POSTGRES_ROLE}@{host}:{found.postgres_port}/{quote(database, safe='')}"


def places(data_dir: Path) -> EnginePlaces:
    """Return the folders of the engines of ``data_dir``. Changes nothing."""
    resolved = data_dir.resolve()
    home = resolved / "engines"
    sockets = home / "sockets"
    if len(os.fsencode(sockets / f".s.PGSQL.{POSTGRES_PORT}")) > LONGEST_SOCKET_PATH_BYTES:
        # By owner, so that root's command beside an ordinary user's store finds the same place.
        owner = home.stat().st_uid if home.is_dir() else os.geteuid()
        sockets = SHORT_FOLDERS / f"gpt-store-{owner}-{_digest(resolved)}"
    return EnginePlaces(
        data_dir=resolved,
        addresses=EngineAddresses(
            postgres_socket_dir=sockets,
            postgres_port=POSTGRES_PORT,
            valkey_socket=sockets / "valkey.sock",
        ),
    )


def prepare_home(where: EnginePlaces) -> None:
    """Make the data folder and the engines' folder in it, for the locks.

    Raises:
        EngineFolderError: it belongs to somebody else or cannot be written.
    """
    try:
        where.data_dir.mkdir(parents=True, exist_ok=True)
        where.home.mkdir(mode=0o700, exist_ok=True)
        owner = where.home.stat().st_uid
    except OSError as exc:
        raise _cannot_use(where.home, exc.strerror or str(exc)) from exc
    if os.geteuid() not in (0, owner):
        raise _cannot_use(where.home, f"it belongs to user {owner}")


def prepare_folders(where: EnginePlaces, user: EngineUser) -> None:
    """Make the folders of both engines and give them to ``user``. Call it under the control lock.

    Started by root, ``engines/`` stays root's and the engine user's group may pass through it
    (0710): the engines own what they write and can neither move nor replace the locks and logs
    that root opens beside it. No folder above is touched.

    Raises:
        EngineFolderError: a folder cannot be made, or the short folder is not ours.
    """
    try:
        if where.home.stat().st_uid == user.uid:
            where.home.chmod(0o700)
        else:
            os.chown(where.home, -1, user.gid)
            where.home.chmod(0o710)
        owner = where.home.stat()
        _private_folder(where.home / "logs", owner.st_uid, owner.st_gid)
        for name in ("postgres", "valkey", "sockets"):
            folder = where.home / name
            if name != "postgres":  # the first start makes that one in a single step
                folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_dir():
                _hand_over(folder, user)
    except OSError as exc:
        raise _cannot_use(Path(exc.filename or where.home), exc.strerror or str(exc)) from exc
    if where.addresses.postgres_socket_dir.parent == SHORT_FOLDERS:
        _prepare_short_folder(where.addresses.postgres_socket_dir, user)


def _private_folder(path: Path, uid: int, gid: int) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)
    os.chown(path, uid, gid)


def _hand_over(folder: Path, user: EngineUser) -> None:
    """Give ``folder`` and all in it to ``user``: its number changes when an image is rebuilt."""
    folder.chmod(0o700)
    if folder.stat().st_uid == user.uid:
        return
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent, name), user.uid, user.gid, follow_symlinks=False)
    os.chown(folder, user.uid, user.gid)  # last, so that an interrupted run starts over


def _prepare_short_folder(path: Path, user: EngineUser) -> None:
    """Make ``path`` in the shared temporary folder, or accept it only if it is surely ours.

    The folder above is sticky, so once the entry is a real folder of ours with mode 0700 nobody
    else can rename, replace or enter it.
    """
    try:
        path.mkdir(mode=0o700)
        os.chown(path, user.uid, user.gid)
    except FileExistsError:
        pass
    except OSError as exc:
        raise _cannot_use(path, exc.strerror or str(exc)) from exc
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise _cannot_use(path, "it is not a folder")
    if found.st_uid != user.uid:
        raise _cannot_use(path, f"it belongs to user {found.st_uid}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise _cannot_use(path, "others may enter it")


def _cannot_use(path: Path, why: str) -> EngineFolderError:
    return EngineFolderError(
        f"Cannot use {path} for the embedded engines: {why}. Run the store as the user who owns "
        f"its data folder, hand the folder over, or choose another one with STORE_DATA_DIR.",
        path=str(path),
    )


def _digest(data_dir: Path) -> str:
    return hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
