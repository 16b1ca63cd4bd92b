"""What can be wrong with a license key, a license file or the keys that sign them.

The package speaks without Django's translations: the offline command prints these messages on
machines that have only Python and ``cryptography``. Pages translate by ``code``.
"""

from store.core.errors import InvalidError, StoreError, UnprocessableError


class BadKeyError(InvalidError):
    """The text is no license key. It never says whether a key like it exists."""

    code = "bad_license_key"


class LicenseFileError(UnprocessableError):
    """Base of everything that makes a license file worthless."""

    code = "bad_license_file"


class MalformedLicenseError(LicenseFileError):
    """The text is not what the store writes: cut, edited, too large, or something else."""

    code = "license_malformed"


class BadSignatureError(LicenseFileError):
    """The signature is not that of the named key over these bytes."""

    code = "license_signature"


class UnknownKeyError(LicenseFileError):
    """No trusted key has the id that the license names."""

    code = "license_unknown_key"


class WrongPurposeError(LicenseFileError):
    """A genuine signature of the store's, over something that is no license."""

    code = "license_wrong_purpose"


class LicenseExpiredError(LicenseFileError):
    """The license has ended, or the file is too old to prove anything."""

    code = "license_expired"


class LicenseNotYetValidError(LicenseFileError):
    """The license begins later, or was issued after what the clock says."""

    code = "license_not_yet_valid"


class WrongStoreError(LicenseFileError):
    """The keys are trusted for another store than the one the license names."""

    code = "license_wrong_store"


class WrongMachineError(LicenseFileError):
    """The file was checked out for another machine."""

    code = "license_wrong_machine"


class ClockSetBackError(LicenseFileError):
    """The clock is behind a time that was seen before; nothing about expiry can be said."""

    code = "clock_set_back"


class BadAddressError(InvalidError):
    """Keys cannot be fetched from there: no web address, or one that anybody could answer for."""

    code = "bad_address"


class BadKeySetError(InvalidError):
    """The text is no set of public keys for licenses (RFC 7517)."""

    code = "bad_key_set"


class KeyFolderError(StoreError):
    """The private keys cannot be read, or must not be used as they lie there.

    Args:
        detail: What the operator has to mend, paths included. It is what ``str`` gives, for logs
            and commands; ``message``, which pages show to anybody, does not have it.
    """

    code = "license_key_folder"
    status = 500

    def __init__(self, detail: str) -> None:
        super().__init__("Licenses cannot be signed or verified here now. Tell the operator.")
        self.detail = detail

    def __str__(self) -> str:
        return self.detail
