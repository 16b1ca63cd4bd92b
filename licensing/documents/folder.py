"""A folder of private keys, on this machine's disk and nowhere else.

``keys.json`` lists every key with its public half, the newest first; ``<kid>.pem`` is a private
half (PKCS 8). A new key is published before it signs: whoever keeps the key set for a while knows
it by then. A key that is retired loses its private half and stays in the list, so that what it
signed still verifies. Changes are made under a lock, in files that are complete before
they get their names: a crash leaves the old state or the new one.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from licensing.documents.errors import KeyFolderError, MalformedLicenseError
from licensing.documents.keyset import RAW_KEY_BYTES, thumbprint
from licensing.documents.strict import (
    Fields,
    canonical,
    from_base64url,
    read_json,
    to_base64url,
)

FOLDER_MODE = 0o700
FILE_MODE = 0o600
MAX_LISTED = 1000
AHEAD_S = 2 * 3600
"""So long a new key is published before it signs, in seconds: twice as the key set may be kept."""
_LIST = "keys.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class KeptKey:
    """One key of the store.

    Args:
        raw: Its public half, 32 bytes.
        created_at: Seconds since 1970.
        retired_at: When its private half was destroyed, in seconds since 1970.
        signs_at: When it begins to sign, in seconds since 1970.
    """

    raw: bytes
    created_at: int
    retired_at: int | None = None
    signs_at: int = 0

    @property
    def kid(self) -> str:
        """The key's id."""
        return thumbprint(self.raw)


class KeyFolder:
    """Makes, lists and retires the keys in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def kept(self) -> list[KeptKey]:
        """Return every key, the current one first; the first key is made if there is none.

        Raises:
            KeyFolderError: the folder cannot be used.
        """
        with _told():
            listed = self._listed() or self._make_first()
        current = _current(listed)
        return [current, *(key for key in listed if key is not current)]

    def private_key(self, kid: str) -> Ed25519PrivateKey:
        """Return a private half.

        Raises:
            KeyFolderError: it is gone, unreadable, open to others, or another key's.
        """
        path = self._path(kid)
        with _told():
            if path.stat().st_mode & 0o077:
                raise KeyFolderError(f"Others may read {path}. Run: chmod 600 {path}")
            key = read_private_key(path.read_bytes())
        if thumbprint(key.public_key().public_bytes_raw()) != kid:
            raise KeyFolderError(f"{path} is another key than its name says. Restore the folder.")
        return key

    def rotate(self) -> KeptKey:
        """Make a new key, which signs in ``AHEAD_S`` seconds; the earlier ones go on verifying.

        Raises:
            KeyFolderError: the folder cannot be used.
        """
        with _told(), self._locked():
            return self._add(self._listed(), ahead_s=AHEAD_S)

    def retire(self, kid: str) -> KeptKey:
        """Destroy a private half for good. What it signed still verifies.

        If it is the current one, the next signs at once.

        Raises:
            KeyFolderError: there is no such key, or it is the current one and there is no next.
        """
        with _told(), self._locked():
            key, listed = self._given_up(kid)
            if key.retired_at is None:
                changed = replace(key, retired_at=int(time.time()))
                self._write_list([changed if item is key else item for item in listed])
                key = changed
            self._path(kid).unlink(missing_ok=True)
            _sync_folder(self.folder)
            return key

    def remove(self, kid: str) -> None:
        """Take a key out of the set: whoever gets the set again believes nothing it signed.

        If it is the current one, the next signs at once.

        Raises:
            KeyFolderError: there is no such key, or it is the current one and there is no next.
        """
        with _told(), self._locked():
            key, listed = self._given_up(kid)
            self._write_list([item for item in listed if item is not key])
            self._path(kid).unlink(missing_ok=True)
            _sync_folder(self.folder)

    def _make_first(self) -> list[KeptKey]:
        with self._locked():  # two processes at their first start: the second finds the first's
            return self._listed() or [self._add([])]

    def _add(self, listed: list[KeptKey], *, ahead_s: int = 0) -> KeptKey:
        private, now_s = _new_key(), int(time.time())
        raw = private.public_key().public_bytes_raw()
        kept = KeptKey(raw, now_s, signs_at=now_s + ahead_s)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._write(self._path(kept.kid), pem)
        self._write_list([kept, *listed])
        return kept

    def _given_up(self, kid: str) -> tuple[KeptKey, list[KeptKey]]:
        """Return a key that is to sign no more, and the list with another one that signs now."""
        listed = self._listed()
        found = next((key for key in listed if key.kid == kid), None)
        if found is None:
            raise KeyFolderError("There is no key with this id. See: manage.py license_keys list")
        if found is not _current(listed):
            return found, listed
        newer = [key for key in listed[: listed.index(found)] if key.retired_at is None]
        if not newer:
            raise KeyFolderError("This key signs now. Make a new one first: license_keys rotate")
        promoted = replace(newer[-1], signs_at=int(time.time()))
        return found, [promoted if key is newer[-1] else key for key in listed]

    def _path(self, kid: str) -> Path:
        return self.folder / f"{kid}.pem"

    def _listed(self) -> list[KeptKey]:
        try:
            data = (self.folder / _LIST).read_bytes()
        except FileNotFoundError:
            return []
        try:
            top = Fields(read_json(data, what=_LIST), _LIST, {"v", "keys"})
            top.integer("v", least=_VERSION, most=_VERSION)
            return [_kept(item) for item in top.items("keys", least=1, most=MAX_LISTED)]
        except MalformedLicenseError as error:
            raise KeyFolderError(f"{self.folder / _LIST} is damaged. Restore it.") from error

    def _write_list(self, keys: list[KeptKey]) -> None:
        told = [
            {
                "x": to_base64url(key.raw),
                "created_at": key.created_at,
                "retired_at": key.retired_at,
                "signs_at": key.signs_at,
            }
            for key in keys
        ]
        self._write(self.folder / _LIST, canonical({"v": _VERSION, "keys": told}) + b"\n")

    def _write(self, path: Path, data: bytes) -> None:
        temporary = self.folder / f".{secrets.token_hex(8)}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, flags, FILE_MODE), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        _sync_folder(self.folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _current(listed: list[KeptKey]) -> KeptKey:
    """Return the key that signs: the newest that has begun to."""
    able, now_s = [key for key in listed if key.retired_at is None], time.time()
    return next((key for key in able if key.signs_at <= now_s), (able or listed)[-1])


def _new_key() -> Ed25519PrivateKey:
    """Return a key whose id commands do not take for an option: one in 64 begins with a dash."""
    while True:
        private = Ed25519PrivateKey.generate()
        if not thumbprint(private.public_key().public_bytes_raw()).startswith("-"):
            return private


def read_private_key(pem: bytes) -> Ed25519PrivateKey:
    """Return the Ed25519 key in a PEM text without password.

    Raises:
        KeyFolderError: it is none.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise KeyFolderError(
            "A license key is no PEM of a private key without password."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFolderError("Licenses are signed with Ed25519; this is a key of another kind.")
    return key


def _kept(item: Any) -> KeptKey:
    fields = Fields(item, "key", {"x", "created_at", "retired_at", "signs_at"})
    raw = from_base64url(fields.text("x"))
    if len(raw) != RAW_KEY_BYTES:
        raise MalformedLicenseError("A key has not 32 bytes.")
    return KeptKey(
        raw,
        fields.integer("created_at"),
        fields.integer_or_none("retired_at"),
        fields.integer("signs_at"),
    )


@contextmanager
def _told() -> Iterator[None]:
    """Name the folder's failures as what they are; the path is in the system's own words."""
    try:
        yield
    except OSError as error:
        raise KeyFolderError(f"The license keys cannot be used: {error}") from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
