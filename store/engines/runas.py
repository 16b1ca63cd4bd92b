"""The operating-system user the engines run as.

An ordinary user runs them as themselves. PostgreSQL refuses to run as root, and Valkey has no
need to, so started by root both run as the system user ``gpt-store`` (or as the owner of the
engines' folder, when an ordinary user made it first).

That user must reach the programs in the virtual environment and its own folders in the data
folder, and very often cannot: root clones into ``/root``, which is 0700. Opening the folders
above to everybody, as the wheel's own Python helper does, would expose all that lies in them.
Copies of the programs elsewhere would have to be kept in step, and the data would still be out
of reach; a private mount needs CAP_SYS_ADMIN, which containers lack. So ``setpriv`` hands the
engines, and only then, one capability as *ambient*: CAP_DAC_READ_SEARCH (pass and read any
folder, write nothing), or where the machine withholds it, as Docker does, CAP_DAC_OVERRIDE. The
secure bit NO_SETUID_FIXUP goes with it, because PostgreSQL asks access(2) whether it can run
itself and access(2) ignores the capabilities of ordinary users without that bit. The SQL role of
the store is no superuser, so no query reaches the file system with this capability.
"""

import logging
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from store.engines.errors import EngineAccessError
from store.engines.programs import Programs

logger = logging.getLogger(__name__)

SYSTEM_USER = "gpt-store"

_CAPABILITIES = ("", "dac_read_search", "dac_override")
"""Tried in this order; the first that works is used."""

_PROBE = """
"$1" --bindir >/dev/null &&
"$2" --version >/dev/null &&
cat "$3" >/dev/null &&
: >"$4/.reachable" && rm "$4/.reachable"
"""
"""Runs and reads what the engines will need, and writes into the given folder. ``pg_config``
looks up its own path just as ``initdb`` and ``postgres`` do, so it fails when they would."""


@dataclass(frozen=True, slots=True)
class EngineUser:
    """Who the engines run as, and what to put before a command line to become that user."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()


def engine_user(home: Path) -> EngineUser:
    """Return the user for the engines in ``home`` (which exists), made if it is missing.

    Raises:
        EngineAccessError: started by root, and the system user is missing and cannot be made.
    """
    if os.geteuid() != 0:
        return EngineUser(os.geteuid(), os.getegid())
    owner = home.stat()
    if owner.st_uid != 0:
        return EngineUser(owner.st_uid, owner.st_gid)
    entry = _system_user()
    return EngineUser(entry.pw_uid, entry.pw_gid)


def with_reach(user: EngineUser, programs: Programs, folder: Path) -> EngineUser:
    """Return ``user`` with the command prefix that lets it run ``programs`` and use ``folder``.

    Args:
        user: Who the engines run as.
        programs: What it must be able to run.
        folder: A folder of that user's, in the data folder.

    Raises:
        EngineAccessError: nothing this machine allows gives that user a way in.
    """
    if os.geteuid() != 0:
        return user
    if shutil.which("setpriv") is None:
        raise EngineAccessError(
            "Started by root, the embedded engines need the program setpriv. Install the package "
            "util-linux, or run the store as an ordinary user."
        )
    failures = []
    for capability in _CAPABILITIES:
        able = EngineUser(user.uid, user.gid, _prefix(user, capability))
        failure = _probe(able, programs, folder)
        if failure is None:
            return able
        failures.append(f"{capability or 'as it is'}: {failure}")
    logger.error("user %s cannot run the engines: %s", user.uid, "; ".join(failures))
    raise EngineAccessError(
        f"The system user of the embedded engines (id {user.uid}) cannot reach {folder} or "
        f"{programs.postgres_bin}, and this machine does not let root grant it. Move the store to "
        "a folder everybody may pass, such as /srv/gpt-store, or run it as an ordinary user.",
        tried=failures,
    )


def _prefix(user: EngineUser, capability: str) -> tuple[str, ...]:
    become = (
        "setpriv",
        f"--reuid={user.uid}",
        f"--regid={user.gid}",
        "--clear-groups",
        "--no-new-privs",
    )
    if not capability:
        return become
    return (
        *become,
        f"--inh-caps=+{capability}",
        f"--ambient-caps=+{capability}",
        "--securebits=+no_setuid_fixup",
    )


def _probe(user: EngineUser, programs: Programs, folder: Path) -> str | None:
    """Return why ``user`` could not do what the engines must do, or ``None`` if it could."""
    done = subprocess.run(
        [
            *user.prefix,
            "sh",
            "-c",
            _PROBE,
            "sh",
            programs.postgres_bin / "pg_config",
            programs.valkey_server,
            programs.postgres_share / "postgres.bki",
            folder,
        ],
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return None if done.returncode == 0 else (done.stderr.strip() or f"exit {done.returncode}")


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    refusal = "there is no program useradd"
    if useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin"):
        made = subprocess.run(
            [
                useradd,
                "--system",
                "--user-group",
                "--no-create-home",
                "--home-dir=/nonexistent",
                "--shell=/usr/sbin/nologin",
                SYSTEM_USER,
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        refusal = made.stderr.strip()
    try:  # also when another command has just made it
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise EngineAccessError(
            f"PostgreSQL does not run as root and the system user {SYSTEM_USER} could not be made "
            f"({refusal}). Make it (useradd --system {SYSTEM_USER}), or run the store as an "
            "ordinary user."
        ) from None
