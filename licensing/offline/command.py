"""``gpt-store``: verifies licenses of models without a network, and the files they cover.

It needs Python and ``cryptography``, no store and no Django. ``python -m licensing.offline`` is the
same.
"""

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable
from typing import Any

from licensing.documents.document import CoveredFile
from licensing.documents.errors import LicenseExpiredError, LicenseFileError
from licensing.documents.jws import (
    OpenedLicense,
    check_times,
    open_license,
    read_file,
    read_unverified,
)
from licensing.offline.arguments import parser
from licensing.offline.clock import NewestTime
from licensing.offline.folders import FolderReport, closest, locate
from licensing.offline.machine import check_machine, machine_fingerprint
from licensing.offline.trust import TrustedKeys, keys_from, store_address
from licensing.offline.words import (
    TEST_NOTICE,
    folder_json,
    folder_lines,
    license_json,
    license_lines,
    moment,
    plain,
)
from store.core.errors import StoreError

VALID, INVALID, USAGE, FILES_DIFFER, EXPIRED = range(5)
PROGRESS_FROM_BYTES = 256 * 1024**2
"""Files smaller than this are hashed in about a second and need no progress, in bytes."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    given = parser().parse_args(arguments)
    try:
        return _RUNS[given.run](given)
    except StoreError as error:
        return _failed(given, error)
    except OSError as error:
        _say([f"error: {error}"], to=sys.stderr)
        return USAGE


def _verify(given: Namespace) -> int:
    text = read_file(given.file)
    opened = open_license(text, keys_from(given.keys)) if given.keys else TrustedKeys().open(text)
    _check_today(given, opened)
    reports = _compared(given, opened) if given.folder else []
    code = FILES_DIFFER if any(report.differences for report in reports) else VALID
    if given.json:
        if opened.document.is_test:
            _say([TEST_NOTICE], to=sys.stderr)
        _say_json(
            {
                "exit": code,
                "code": "files_differ" if code else "valid",
                "message": "",
                "license": license_json(opened),
                "folders": [folder_json(report) for report in reports],
            }
        )
        return code
    _say(license_lines(opened))
    for report in reports:
        _say(folder_lines(report))
    _say([_verdict(given, code, is_test=opened.document.is_test)])
    return code


def _check_today(given: Namespace, opened: OpenedLicense) -> None:
    """Judge clock, times and machine. A time that was given leaves no trace."""
    now_s = given.now
    if now_s is None:
        now_s, newest = int(time.time()), NewestTime()
        newest.check(now_s)
        try:
            newest.remember(max(now_s, opened.document.issued_at))
        except OSError as error:  # a read-only home: the verdict stands, the next has less to go by
            _say([f"warning: the time could not be kept: {error}"], to=sys.stderr)
    check_times(opened.document, now_s=now_s)
    if opened.document.machine:
        check_machine(opened.document, given.machine or machine_fingerprint())


def _compared(given: Namespace, opened: OpenedLicense) -> list[FolderReport]:
    places = locate(opened.document.models, given.folder, name=given.model)
    progress = _progress if sys.stderr.isatty() else None
    return closest(places, progress=progress)


def _verdict(given: Namespace, code: int, *, is_test: bool) -> str:
    which = "The TEST license" if is_test else "The license"
    when = f" at {moment(given.now)}" if given.now is not None else ""
    if code:
        return f"{which} is valid{when}, but the folder is not what it covers."
    files = " and the files are those it covers" if given.folder else ""
    return f"{which} is valid{when}{files}."


def _show(given: Namespace) -> int:
    claimed = read_unverified(read_file(given.file))
    if given.json:
        _say_json({"verified": False, "license": license_json(claimed)})
        return VALID
    _say(["NOT VERIFIED: anybody can write such a file. See: gpt-store license verify"])
    _say(license_lines(claimed))
    return VALID


def _keys_add(given: Namespace) -> int:
    is_web = "://" in given.source
    if not given.store and not is_web:
        parser().error("keys add FILE needs --store ADDRESS")
    address = store_address(given.store or given.source)
    keys = keys_from(given.source)
    TrustedKeys().add(address, keys, replaces=given.replace)
    _say([f"Licenses of {address} are believed from now on if one of these keys signed them."])
    _say(f"  {key.kid}" for key in keys)
    _say(["Compare the fingerprints with those the store's operator gives you another way."])
    return VALID


def _keys_remove(given: Namespace) -> int:
    if TrustedKeys().remove(given.store):
        _say(["Removed."])
        return VALID
    _say([f"No keys of {given.store} were saved."], to=sys.stderr)
    return USAGE


def _keys_list(given: Namespace) -> int:
    for address, keys in TrustedKeys().stores().items():
        _say([address])
        for key in keys:
            until = "" if key.retired_at is None else f"  until {moment(key.retired_at)}"
            _say([f"  {key.kid}{until}"])
    return VALID


def _clock(given: Namespace) -> int:
    newest = NewestTime()
    if given.action == "reset":
        newest.forget()
        _say(["Forgotten. The next verification starts from what the clock says then."])
        return VALID
    newest_s = newest.read_s()
    _say(["No time was seen yet." if newest_s is None else f"Newest: {moment(newest_s)}"])
    _say([f"Kept in {newest.path}"])
    return VALID


def _machine(given: Namespace) -> int:
    _say([machine_fingerprint()])
    return VALID


_RUNS: dict[str, Callable[[Namespace], int]] = {
    "verify": _verify,
    "show": _show,
    "keys_add": _keys_add,
    "keys_remove": _keys_remove,
    "keys_list": _keys_list,
    "clock": _clock,
    "machine": _machine,
}


def _failed(given: Namespace, error: StoreError) -> int:
    code = USAGE
    if isinstance(error, LicenseFileError):
        code = EXPIRED if isinstance(error, LicenseExpiredError) else INVALID
    if getattr(given, "json", False):
        _say_json({"exit": code, "code": error.code, "message": error.message})
    else:
        _say([f"{'error' if code == USAGE else 'NOT VALID'}: {error.message}"], to=sys.stderr)
    return code


def _progress(file: CoveredFile, done_bytes: int) -> None:
    if file.size_bytes >= PROGRESS_FROM_BYTES:
        end = "\n" if done_bytes >= file.size_bytes else ""
        share = 100 * done_bytes // file.size_bytes
        sys.stderr.write(f"\r{plain(file.path)}: {share} %{end}")
        sys.stderr.flush()


def _say(lines: Iterable[str], *, to: Any = None) -> None:
    """Print lines; what the terminal cannot show is escaped, not an error."""
    out = to or sys.stdout
    for line in lines:
        encoding = out.encoding or "utf-8"
        shown = line.encode(encoding, "backslashreplace").decode(encoding)
        out.write(plain(shown) + "\n")


def _say_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
