"""The keys a user trusts, store by store.

They come from ``gpt-store keys add``, which shows their fingerprints (the key ids) and keeps them
in the user's config folder; or from ``pinned_keys.json`` beside this module, in the same form, for
a company that hands out the package with its store's keys inside. Never from a license file: a
file that brings its own keys vouches for itself.
"""

import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from licensing.documents.errors import (
    BadAddressError,
    BadKeySetError,
    MalformedLicenseError,
    UnknownKeyError,
    WrongStoreError,
)
from licensing.documents.jws import OpenedLicense, open_license
from licensing.documents.keyset import MAX_SET_BYTES, KeySet, read_key_set
from licensing.documents.strict import Fields, canonical, read_json
from licensing.offline.places import config_folder, write_whole

PINNED = Path(__file__).with_name("pinned_keys.json")
KEY_SET_PATH = "/.well-known/jwks.json"
FETCH_TIMEOUT_S = 15
MAX_STORES = 1000
_HERE = {"localhost", "127.0.0.1", "::1"}


def store_address(text: str) -> str:
    """Return ``scheme://host[:port]`` of a web address, the one spelling a store is known by.

    Raises:
        BadAddressError: no http or https address.
    """
    try:
        url = urlsplit(text.strip())
        host, port = (url.hostname or "").lower(), url.port
    except ValueError:
        host, port = "", None
    if not host or url.scheme not in {"http", "https"} or url.username is not None:
        raise BadAddressError(
            f"'{text[:200]}' is no address of a store. Write https://models.example.org"
        )
    host = f"[{host}]" if ":" in host else host
    is_usual = port in {None, {"http": 80, "https": 443}[url.scheme]}
    return f"{url.scheme}://{host}" if is_usual else f"{url.scheme}://{host}:{port}"


def fetch_keys(address: str) -> KeySet:
    """Return the key set at a web address, or of the store there when it has no path.

    Raises:
        BadAddressError: no such address, not encrypted, or nobody answers.
        BadKeySetError: what it sends is no key set.
    """
    origin = store_address(address)
    parts = urlsplit(address.strip())
    if parts.scheme == "http" and parts.hostname not in _HERE:
        raise BadAddressError(
            "Without https anybody on the way could give you other keys. Use https, or save "
            "the key set to a file that you trust and add that."
        )
    url = origin + (KEY_SET_PATH if parts.path in {"", "/"} else parts.path)
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        with opener.open(url, timeout=FETCH_TIMEOUT_S) as answer:
            data: bytes = answer.read(MAX_SET_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise BadAddressError(f"{url} does not answer with a key set: {error}") from error
    return read_key_set(data)


def keys_from(source: str) -> KeySet:
    """Return the key set in a file or at a web address.

    Raises:
        BadAddressError: see ``fetch_keys``.
        BadKeySetError: no key set, or the file cannot be read.
    """
    if "://" in source:
        return fetch_keys(source)
    try:
        with Path(source).open("rb") as file:
            return read_key_set(file.read(MAX_SET_BYTES + 1))
    except OSError as error:
        raise BadKeySetError(f"The key set cannot be read: {error}") from error


class TrustedKeys:
    """What this user trusts.

    Args:
        path: The file of saved keys; ``None``: the user's own.
        pinned: The file of keys that came with the package.
    """

    def __init__(self, path: Path | None = None, pinned: Path = PINNED) -> None:
        self.path = path or config_folder() / "keys.json"
        self._pinned = pinned

    def stores(self) -> dict[str, KeySet]:
        """Return the keys of each trusted store, by its address; saved ones before pinned ones.

        Raises:
            BadKeySetError: a file is damaged.
        """
        return _read(self._pinned) | _read(self.path)

    def open(self, text: str) -> OpenedLicense:
        """Return the license in a compact text, verified with the keys of the store it names.

        Raises:
            WrongStoreError: another trusted store signed it.
            LicenseFileError: see ``open_license``.
        """
        stores = self.stores()
        everyone = KeySet(key for keys in stores.values() for key in keys)
        if not len(everyone):
            raise UnknownKeyError(
                "No store is trusted yet. Get the keys of yours: gpt-store keys add ADDRESS"
            )
        claimed = open_license(text, everyone)
        keys = stores.get(_origin_of(claimed))
        if keys is None or claimed.kid not in keys:
            raise WrongStoreError("The license names another store than the one that signed it.")
        return open_license(text, keys)

    def add(self, address: str, keys: KeySet, *, replaces: bool = False) -> None:
        """Trust ``keys`` for a store from now on.

        Raises:
            BadKeySetError: the store had quite other keys, and ``replaces`` is not given. After a
                rotation a set still has a key that is known.
        """
        saved, address = _read(self.path), store_address(address)
        known = self.stores().get(address)
        if known is not None and not replaces and not any(key.kid in keys for key in known):
            raise BadKeySetError(
                "None of these keys was known for this store before. Ask its operator whether "
                "that is right; then add them with --replace."
            )
        self._write(saved | {address: keys})

    def remove(self, address: str) -> bool:
        """Trust a store no more; ``False``: no keys of it were saved."""
        saved = _read(self.path)
        had = saved.pop(store_address(address), None) is not None
        if had:
            self._write(saved)
        return had

    def _write(self, stores: dict[str, KeySet]) -> None:
        told = [{"address": name} | keys.jwks() for name, keys in sorted(stores.items())]
        write_whole(self.path, canonical({"v": 1, "stores": told}) + b"\n")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An address that was checked must not lead to one that was not."""

    def redirect_request(self, *args: Any, **options: Any) -> None:
        return None


def _origin_of(opened: OpenedLicense) -> str:
    try:
        return store_address(opened.document.store)
    except BadAddressError:
        return ""


def _read(path: Path) -> dict[str, KeySet]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        top = Fields(read_json(data, what=path.name), path.name, {"v", "stores"})
        top.integer("v", least=1, most=1)
        listed = [
            Fields(item, "store", {"address", "keys"})
            for item in top.items("stores", least=0, most=MAX_STORES)
        ]
        return {
            store_address(fields.text("address")): read_key_set(
                canonical({"keys": fields.value["keys"]})
            )
            for fields in listed
        }
    except (MalformedLicenseError, BadAddressError, BadKeySetError) as error:
        raise BadKeySetError(
            f"{path} is damaged. Delete it and add the keys of your stores again."
        ) from error
