"""Signs licenses, with keys from a folder or from a setting.

A signature is rare and a key file small: the keys are read at each, so that a rotation holds at
once in every process and no private key stays in memory.
"""

import base64
import binascii
import re
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from licensing.documents.document import LicenseDocument, write_document
from licensing.documents.errors import KeyFolderError
from licensing.documents.folder import KeptKey, KeyFolder, read_private_key
from licensing.documents.jws import compact
from licensing.documents.keyset import RAW_KEY_BYTES, KeySet, PublicKey

_ONE_KEY = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----|[^\s,]+", re.DOTALL)


class KeySource(Protocol):
    """Where private keys come from."""

    def kept(self) -> list[KeptKey]:
        """Return every key, the current one first."""

    def private_key(self, kid: str) -> Ed25519PrivateKey:
        """Return a private half."""


class GivenKeys:
    """Keys from a setting, for sites of several machines: the first one signs.

    Args:
        text: PEM texts, or seeds of 32 bytes in base64, with spaces or commas between them.

    Raises:
        KeyFolderError: one cannot be read. The message holds nothing of it.
    """

    def __init__(self, text: str) -> None:
        private = [_given(part) for part in _ONE_KEY.findall(text)]
        if not private:
            raise KeyFolderError("STORE_LICENSE_KEY holds no key.")
        kept = [KeptKey(key.public_key().public_bytes_raw(), 0) for key in private]
        self._kept = kept
        self._private = {one.kid: key for one, key in zip(kept, private, strict=True)}

    def kept(self) -> list[KeptKey]:
        """Return every key, the current one first. When they were made is not known."""
        return list(self._kept)

    def private_key(self, kid: str) -> Ed25519PrivateKey:
        """Return a private half of ``kept``."""
        return self._private[kid]


class Signer:
    """Signs licenses with the current key and tells the public halves of all."""

    def __init__(self, source: KeySource) -> None:
        self._source = source

    def sign(self, document: LicenseDocument) -> str:
        """Return the signed text of a license (JWS compact serialization).

        Raises:
            MalformedLicenseError: the document breaks a rule; nothing is signed.
            KeyFolderError: the key cannot be used.
        """
        payload = write_document(document)
        kid = self._source.kept()[0].kid
        return compact(payload, kid=kid, sign=self._source.private_key(kid).sign)

    def key_set(self) -> KeySet:
        """Return the public keys that licenses of this store verify with."""
        return KeySet(PublicKey(key.raw, key.retired_at) for key in self._source.kept())

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """Return the public keys as a JWK set, the current one first."""
        return self.key_set().jwks()


def signer_for(*, given_keys: str, folder: Path) -> Signer:
    """Return the signer of a site: with the keys of its setting, or else of its folder."""
    return Signer(GivenKeys(given_keys) if given_keys.strip() else KeyFolder(folder))


def _given(text: str) -> Ed25519PrivateKey:
    if text.startswith("-----"):
        return read_private_key(text.encode())
    try:
        seed = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        seed = b""
    if len(seed) != RAW_KEY_BYTES:
        raise KeyFolderError("STORE_LICENSE_KEY holds something that is no seed of 32 bytes.")
    return Ed25519PrivateKey.from_private_bytes(seed)
