"""Signs and opens license files: JWS compact serialization (RFC 7515) with Ed25519 (RFC 8037).

What is signed begins with the header, and the header names the purpose (``typ``): a signature
that the same key gave to anything else fits no license, nor the other way round. The header has
exactly three members. Keys that a license brings along (``jwk``, ``jku``, ``x5c``) make it
malformed; a key comes from the verifier's own set or not at all.
"""

from collections.abc import Callable
from dataclasses import dataclass

from licensing.documents.document import MAX_FILE_BYTES, LicenseDocument, read_document
from licensing.documents.errors import (
    BadSignatureError,
    LicenseExpiredError,
    LicenseNotYetValidError,
    MalformedLicenseError,
    WrongPurposeError,
)
from licensing.documents.keyset import ALGORITHM, KeySet
from licensing.documents.strict import (
    Fields,
    canonical,
    from_base64url,
    read_canonical,
    read_json,
    to_base64url,
)

TYPE = "gpt-store-license+jwt"
FORMAT = "gpt-store-license/1"
SUFFIX = ".gpts-license"
LEEWAY_S = 300
"""How far two clocks may differ, in seconds."""
_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class OpenedLicense:
    """A license whose signature is right. Whether it counts today is for ``check_times``.

    Args:
        document: What it says.
        kid: The key that signed it.
    """

    document: LicenseDocument
    kid: str


def compact(payload: bytes, *, kid: str, sign: Callable[[bytes], bytes]) -> str:
    """Return the signed text of a license.

    Args:
        payload: What ``write_document`` made.
        kid: The id of the key.
        sign: Returns the key's signature over bytes.
    """
    header = canonical({"alg": ALGORITHM, "kid": kid, "typ": TYPE})
    signed = f"{to_base64url(header)}.{to_base64url(payload)}"
    return f"{signed}.{to_base64url(sign(signed.encode()))}"


def open_license(text: str, keys: KeySet) -> OpenedLicense:
    """Return the license in a compact text, once its signature is verified.

    Raises:
        MalformedLicenseError: the text was cut, edited or never was a license.
        WrongPurposeError: the store signed it for something else.
        UnknownKeyError: its key is not in ``keys``.
        BadSignatureError: the key did not sign it, or had been retired before.
    """
    head, body, tail = _parts(text)
    kid = _kid(from_base64url(head))
    key = keys.get(kid)
    signature = from_base64url(tail)
    if len(signature) != _SIGNATURE_BYTES:
        raise MalformedLicenseError("The license is cut off. Download it again.")
    key.verify(signature, f"{head}.{body}".encode())
    document = read_document(from_base64url(body))
    if key.retired_at is not None and document.issued_at > key.retired_at:
        raise BadSignatureError("The license was written after its key had been retired.")
    return OpenedLicense(document, kid)


def read_unverified(text: str) -> OpenedLicense:
    """Return what a compact text claims; anybody may have written it.

    Raises:
        MalformedLicenseError: see ``open_license``.
        WrongPurposeError: see ``open_license``.
    """
    head, body, _ = _parts(text)
    return OpenedLicense(read_document(from_base64url(body)), _kid(from_base64url(head)))


def check_times(document: LicenseDocument, *, now_s: int) -> None:
    """Return if the license counts at ``now_s``, seconds since 1970.

    Raises:
        LicenseNotYetValidError: it begins later, or was written after ``now_s``.
        LicenseExpiredError: the license has ended, or the file has.
    """
    if document.issued_at > now_s + LEEWAY_S:
        raise LicenseNotYetValidError(
            "The license was written later than the clock of this machine says it is. Set the "
            "clock right."
        )
    if document.valid_from > now_s + LEEWAY_S:
        raise LicenseNotYetValidError("The license has not begun yet.")
    ends_s = document.license_expires_at
    if ends_s is not None and now_s >= ends_s:
        raise LicenseExpiredError("The license has ended. Renew it in the store.", what="license")
    if now_s >= document.file_expires_at:
        raise LicenseExpiredError(
            "The license file is too old to prove anything; the license itself may go on. "
            "Download a fresh file from your library.",
            what="file",
        )


def write_file(text: str) -> bytes:
    """Return the content of a ``*.gpts-license`` file for a compact text."""
    return canonical({"format": FORMAT, "license": text}) + b"\n"


def read_file(data: bytes) -> str:
    """Return the compact text in a license file.

    Raises:
        MalformedLicenseError: another format, or members that no license file has (a file that
            brings its own keys, say, could vouch for itself).
    """
    if len(data) > MAX_FILE_BYTES:
        raise MalformedLicenseError("The file is larger than any license.")
    value = read_json(data, what="The license file")
    fields = Fields(value, "license file", {"format", "license"})
    fields.choice("format", (FORMAT,))
    return fields.text("license", most_chars=MAX_FILE_BYTES)


def _parts(text: str) -> list[str]:
    parts = text.split(".", 3)
    if len(text) > MAX_FILE_BYTES or len(parts) != 3 or not text.isascii():
        raise MalformedLicenseError("This is no license. Download it again from your library.")
    return parts


def _kid(header: bytes) -> str:
    value = read_canonical(header)
    fields = Fields(value, "header", {"alg", "kid", "typ"})
    if fields.text("typ") != TYPE:
        raise WrongPurposeError("This was signed for something else. It is no license.")
    fields.choice("alg", (ALGORITHM,))
    return fields.text("kid")
