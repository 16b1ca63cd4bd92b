"""Keeps secrets the store must use again, so that a copy of the database alone tells none.

Each is encrypted (Fernet: AES-128-CBC with HMAC-SHA256) with a key of its own, derived from
``SECRET_KEY`` and from what it is for: a ciphertext moved to another row opens nothing.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.encoding import force_bytes

from store.core.errors import StoreError


class SealBrokenError(StoreError):
    """The secret was sealed with another ``SECRET_KEY``, for something else, or changed since."""

    code = "seal_broken"
    status = 500


def seal(text: str, *, purpose: str) -> str:
    """Return ``text`` encrypted; ``purpose`` says what and whose it is."""
    return _box(purpose).encrypt(text.encode()).decode()


def unseal(sealed: str, *, purpose: str) -> str:
    """Return what was sealed for ``purpose``.

    Raises:
        SealBrokenError: see there. Keys in ``SECRET_KEY_FALLBACKS`` still open it.
    """
    try:
        return _box(purpose).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise SealBrokenError("A stored secret cannot be read any more. Set it anew.") from error


def _box(purpose: str) -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_derived(force_bytes(key), purpose)) for key in keys])


def _derived(key: bytes, purpose: str) -> bytes:
    derivation = HKDF(SHA256(), length=32, salt=b"store.core.sealing", info=purpose.encode())
    return base64.urlsafe_b64encode(derivation.derive(key))
