"""Where the command keeps what it remembers: each system's own folders for that."""

import os
import secrets
import sys
from pathlib import Path

_NAME = "gpt-store"


def config_folder() -> Path:
    """Return the folder of trusted keys."""
    return _folder("XDG_CONFIG_HOME", ".config")


def state_folder() -> Path:
    """Return the folder of the newest time seen."""
    return _folder("XDG_STATE_HOME", ".local/state")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file for its owner alone; it has all of ``data`` or stays as it was."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _folder(variable: str, usual: str) -> Path:
    if given := os.environ.get(variable):
        return Path(given) / _NAME
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / _NAME
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support" / _NAME
    return Path.home() / usual / _NAME
