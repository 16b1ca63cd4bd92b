"""The license documents with this site's settings: its signing keys, its secret for key texts."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.encoding import force_bytes

from licensing.documents.folder import KeyFolder
from licensing.documents.keys import derive_key, digest_of_key
from licensing.documents.signing import Signer, signer_for
from store.core.sealing import SealBrokenError


def signer() -> Signer:
    """Return what signs this store's licenses.

    Raises:
        KeyFolderError: ``STORE_LICENSE_KEY`` holds no key.
    """
    given = settings.ENV.license_key.get_secret_value()
    return signer_for(given_keys=given, folder=settings.LICENSE_KEY_DIR)


def key_folder() -> KeyFolder | None:
    """Return the folder of signing keys; ``None`` when a setting holds the keys."""
    if settings.ENV.license_key.get_secret_value().strip():
        return None
    return KeyFolder(settings.LICENSE_KEY_DIR)


def new_license_key(license_id: str, *, rotation: int) -> str:
    """Return the key of a license, for its holder; keep ``digest_of_key`` of it alone."""
    return derive_key(_secret(settings.SECRET_KEY), license_id=license_id, rotation=rotation)


def license_key_again(license_id: str, *, rotation: int, digest: str) -> str:
    """Return the key again whose digest was kept.

    Raises:
        SealBrokenError: it was made with a secret that is neither ``SECRET_KEY`` nor one of
            ``SECRET_KEY_FALLBACKS``. The key works on; a new one can be made.
    """
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        key = derive_key(_secret(secret), license_id=license_id, rotation=rotation)
        if digest_of_key(key) == digest:
            return key
    raise SealBrokenError("This license key cannot be shown any more. Make a new one.")


def _secret(site_secret: str | bytes) -> bytes:
    derivation = HKDF(SHA256(), length=32, salt=b"licensing.configured", info=b"license keys")
    return derivation.derive(force_bytes(site_secret))
