"""A fingerprint of this machine, for license files that are checked out for one machine.

It is a hash of the system's own id under a purpose of ours, so that the id itself stays here and
the fingerprint means nothing to anybody else.
"""

import hashlib
import hmac
import uuid
from pathlib import Path

from licensing.documents.document import LicenseDocument
from licensing.documents.errors import WrongMachineError

_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_PURPOSE = b"gpt-store/machine/v1"


def machine_fingerprint(id_files: tuple[Path, ...] = _ID_FILES) -> str:
    """Return 64 hex digits that stay the same on this installation of the system.

    Where the system has no id file, the address of a network card stands in for it.
    """
    for path in id_files:
        try:
            found = path.read_bytes().strip()
        except OSError:
            continue
        if found:
            return _hashed(found)
    return _hashed(b"%012x" % uuid.getnode())


def check_machine(document: LicenseDocument, fingerprint: str) -> None:
    """Return if the license may be used on the machine with this fingerprint.

    Raises:
        WrongMachineError: it was checked out for another one.
    """
    bound = document.machine
    if bound is not None and bound.fingerprint != fingerprint:
        raise WrongMachineError(
            "This file was checked out for another machine. Check the license out here."
        )


def _hashed(found: bytes) -> str:
    return hmac.digest(_PURPOSE, found, hashlib.sha256).hex()
