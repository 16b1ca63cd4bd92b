"""License keys: what a person copies into a program, ``GPTS-…``.

A key is derived from a secret of the server, the license's public id and a rotation number. The
library page can therefore show it again, while the database holds its SHA-256 alone; raising the
number makes a new key and forgets the old one.

It has 25 characters of five bits (125 bits) in Crockford's alphabet, which has no I, L, O and U,
and two that check it: all 27, read as a number of base 32, leave 1 when divided by 1021. That is
the pure system of ISO 7064 for a larger prime. A changed character adds ``d * 32**i`` and two
swapped neighbours ``31 * d * 32**i`` with ``0 < |d| < 32``; 1021 divides neither, so both are
always noticed. Of keys made up at random one in 1021 passes, and fails at the database.
"""

import hashlib
import hmac

from licensing.documents.errors import BadKeyError

PREFIX = "GPTS"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BODY_CHARS = 25
CHECK_CHARS = 2
GROUP_CHARS = 5
MIN_SECRET_BYTES = 32
MAX_WRITTEN_CHARS = 200
"""Longer texts are not looked at: no key has so many spaces and dashes."""
_PRIME = 1021  # the largest below 32**2, so that a check always fits two characters
_PURPOSE = b"gpt-store/license-key/v1"
_LOOK_ALIKES = str.maketrans("OIL", "011")
_SEPARATORS = dict.fromkeys(map(ord, " \t\r\n\u00a0\u202f-\u2010\u2011\u2012\u2013\u2014\u2212"))
"""Spaces and dashes, also as word processors write them."""


def derive_key(secret: bytes, *, license_id: str, rotation: int) -> str:
    """Return the key of a license; the same three give the same key.

    Args:
        secret: At least ``MIN_SECRET_BYTES`` bytes that nobody outside the server knows.
        license_id: The license's public id.
        rotation: How often the key was made anew, from 0.

    Raises:
        ValueError: the secret is short, the id empty or the number negative.
    """
    if len(secret) < MIN_SECRET_BYTES or not license_id or rotation < 0:
        raise ValueError("A key needs a secret of 32 bytes, an id and a rotation from 0.")
    told = b"\0".join([_PURPOSE, license_id.encode(), b"%d" % rotation])
    drawn = int.from_bytes(hmac.digest(secret, told, "sha256"), "big")
    body = drawn >> (256 - 5 * BODY_CHARS)
    check = (1 - body * 32**CHECK_CHARS) % _PRIME
    return _grouped(_written(body, BODY_CHARS) + _written(check, CHECK_CHARS))


def read_key(text: str) -> str:
    """Return the key in ``text`` as the store writes it.

    Small letters, spaces, other dashes or none, O for 0 and I or L for 1 are understood.

    Raises:
        BadKeyError: everything else, with the same words whatever is wrong.
    """
    refused = BadKeyError(
        "This is no license key. Copy it whole from your library: it begins with GPTS- and has "
        "27 more letters and digits."
    )
    if len(text) > MAX_WRITTEN_CHARS:
        raise refused
    plain = text.translate(_SEPARATORS)
    if not plain.isascii() or len(plain) != len(PREFIX) + BODY_CHARS + CHECK_CHARS:
        raise refused
    plain = plain.upper()
    digits = plain[len(PREFIX) :].translate(_LOOK_ALIKES)
    if not plain.startswith(PREFIX) or not set(digits) <= set(ALPHABET):
        raise refused
    number = _number(digits)
    if number % _PRIME != 1 or number % 32**CHECK_CHARS >= _PRIME:
        raise refused
    return _grouped(digits)


def digest_of_key(key: str) -> str:
    """Return what the database holds of a key: the SHA-256 of its one spelling, in hex.

    Raises:
        BadKeyError: ``key`` is none.
    """
    return hashlib.sha256(read_key(key).encode()).hexdigest()


def digest_to_look_up(text: str) -> str:
    """Return the digest to search for, whatever somebody sent.

    What is no key gets a digest that no key has. A caller that searches for it takes the same way
    and the same time for unknown and for malformed keys, and cannot tell them apart.
    """
    try:
        return digest_of_key(text)
    except BadKeyError:
        sent = text[:MAX_WRITTEN_CHARS].encode("utf-8", "replace")
        return hashlib.sha256(b"no key\0" + sent).hexdigest()


def _written(number: int, chars: int) -> str:
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(chars)))


def _number(digits: str) -> int:
    value = 0
    for char in digits:
        value = value * 32 + ALPHABET.index(char)
    return value


def _grouped(digits: str) -> str:
    starts = range(0, len(digits), GROUP_CHARS)
    return "-".join([PREFIX, *(digits[start : start + GROUP_CHARS] for start in starts)])
