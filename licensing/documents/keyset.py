"""The public keys that licenses are verified with, as a JWK set (RFC 7517, RFC 8037).

A key's id is its RFC 7638 thumbprint, so a set cannot put another key under a known id, and a
person can compare ids as fingerprints. Only Ed25519 is understood: the algorithm belongs to the
key, and what a license says about it changes nothing.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from licensing.documents.errors import (
    BadKeySetError,
    BadSignatureError,
    MalformedLicenseError,
    UnknownKeyError,
)
from licensing.documents.strict import canonical, from_base64url, read_json, to_base64url

ALGORITHM = "EdDSA"
MAX_SET_BYTES = 256 * 1024
MAX_KEYS = 200
RAW_KEY_BYTES = 32
_FIXED = {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM}


def thumbprint(raw: bytes) -> str:
    """Return the id of a public key of 32 bytes (RFC 7638): 43 characters."""
    essence = {"crv": "Ed25519", "kty": "OKP", "x": to_base64url(raw)}
    return to_base64url(hashlib.sha256(canonical(essence)).digest())


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key that licenses may be signed with.

    Args:
        raw: The 32 bytes of the key.
        retired_at: When it stopped signing, in seconds since 1970; it vouches for nothing later.
    """

    raw: bytes
    retired_at: int | None = None

    @property
    def kid(self) -> str:
        """The key's id."""
        return thumbprint(self.raw)

    def verify(self, signature: bytes, signed: bytes) -> None:
        """Return if ``signature`` is this key's over ``signed``.

        Raises:
            BadSignatureError: it is not.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, signed)
        except InvalidSignature as error:
            raise BadSignatureError(
                "The signature is wrong: the license was changed, or the store did not write it. "
                "Download it again from your library."
            ) from error

    def jwk(self) -> dict[str, Any]:
        """Return the key as a member of a JWK set."""
        told: dict[str, Any] = _FIXED | {"kid": self.kid, "x": to_base64url(self.raw)}
        if self.retired_at is not None:
            told["retired_at"] = self.retired_at
        return told


class KeySet:
    """Public keys by id."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self._by_id = {key.kid: key for key in keys}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[PublicKey]:
        return iter(self._by_id.values())

    def __contains__(self, kid: str) -> bool:
        return kid in self._by_id

    def get(self, kid: str) -> PublicKey:
        """Return the key with this id.

        Raises:
            UnknownKeyError: there is none.
        """
        try:
            return self._by_id[kid]
        except KeyError as error:
            raise UnknownKeyError(
                "The license is signed with a key that is not trusted here. If the store has a "
                "new key, get its keys again (gpt-store keys add ADDRESS).",
                kid=kid,
            ) from error

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """Return the set as the store publishes it."""
        return {"keys": [key.jwk() for key in self._by_id.values()]}


def read_key_set(data: bytes) -> KeySet:
    """Return the keys in a JWK set.

    Keys of other kinds and for other uses are passed over, as RFC 7517 asks.

    Raises:
        BadKeySetError: no such set, an Ed25519 key that is broken or has a false id, or none.
    """
    if len(data) > MAX_SET_BYTES:
        raise BadKeySetError("The key set is too large.")
    try:
        value = read_json(data, what="The key set")
    except MalformedLicenseError as error:
        raise BadKeySetError("The key set is no JSON. Get /.well-known/jwks.json again.") from error
    listed = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise BadKeySetError("This is no key set. Get /.well-known/jwks.json of the store.")
    keys = [_key(item) for item in listed if _is_ours(item)]
    if not keys:
        raise BadKeySetError("The key set has no Ed25519 key for signatures.")
    return KeySet(keys)


def _is_ours(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and all(
            item.get(name, value) == value
            for name, value in _FIXED.items()
            if name in {"use", "alg"}
        )
        and (item.get("kty"), item.get("crv")) == ("OKP", "Ed25519")
    )


def _key(item: dict[str, Any]) -> PublicKey:
    retired_at = item.get("retired_at")
    if retired_at is not None and type(retired_at) is not int:
        raise BadKeySetError("A key of the set has no readable time of retirement.")
    try:
        raw = from_base64url(str(item.get("x")))
    except MalformedLicenseError as error:
        raise BadKeySetError("A key of the set is not readable.") from error
    if len(raw) != RAW_KEY_BYTES or item.get("kid") != thumbprint(raw):
        raise BadKeySetError("A key of the set has an id that is not its own.")
    return PublicKey(raw, retired_at)
