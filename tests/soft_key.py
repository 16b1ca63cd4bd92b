"""A security key made of software: answers WebAuthn ceremonies as a browser would hand them on."""

import hashlib
import json
import secrets
import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_encode

ORIGIN = "https://testserver"
_PRESENT, _ATTESTED = 0x01, 0x40


class SoftKey:
    """One key with one credential.

    Args:
        host: The site it is made for.
        is_counting: It counts its signatures, as most do.
    """

    def __init__(self, host: str = "testserver", *, is_counting: bool = True) -> None:
        self.host = host
        self.identity = secrets.token_bytes(16)
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.is_counting = is_counting
        self.count = 0

    def create(self, options: dict[str, Any], *, origin: str = ORIGIN) -> str:
        """Answer what ``navigator.credentials.create`` was asked, as JSON."""
        public = cbor.encode(dict(ES256.from_cryptography_key(self.private.public_key())))
        attested = bytes(16) + struct.pack(">H", len(self.identity)) + self.identity + public
        data = self._data(_PRESENT | _ATTESTED) + attested
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        told = self._told("webauthn.create", options, origin)
        return self._answer(
            clientDataJSON=websafe_encode(told), attestationObject=websafe_encode(attestation)
        )

    def get(self, options: dict[str, Any], *, origin: str = ORIGIN) -> str:
        """Answer what ``navigator.credentials.get`` was asked, as JSON."""
        self.count += self.is_counting
        data, told = self._data(_PRESENT), self._told("webauthn.get", options, origin)
        signed = self.private.sign(data + hashlib.sha256(told).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            clientDataJSON=websafe_encode(told),
            authenticatorData=websafe_encode(data),
            signature=websafe_encode(signed),
        )

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.host.encode()).digest() + struct.pack(">BI", flags, self.count)

    def _told(self, kind: str, options: dict[str, Any], origin: str) -> bytes:
        challenge = options["publicKey"]["challenge"]
        return json.dumps({"type": kind, "challenge": challenge, "origin": origin}).encode()

    def _answer(self, **response: str) -> str:
        identity = websafe_encode(self.identity)
        return json.dumps(
            {
                "id": identity,
                "rawId": identity,
                "type": "public-key",
                "clientExtensionResults": {},
                "response": response,
            }
        )
