"""The command's arguments."""

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from licensing.documents.document import MAX_FILE_BYTES
from licensing.documents.strict import MAX_INTEGER

EXIT_CODES = """exit codes:
  0  the license is valid, and the folder holds what it covers
  1  it is not valid: forged, changed, of an unknown key, for something else, not begun; or the
     clock was set back
  2  the command was not understood, or a file or key set cannot be read
  3  the license is valid, the files in the folder are not those it covers
  4  the license has ended, or its file is too old
"""


def parser() -> ArgumentParser:
    """Return the parser of ``gpt-store``; each leaf sets ``run`` to its name."""
    top = ArgumentParser(
        prog="gpt-store",
        description="Verifies licenses of models offline, and the files they cover.",
        epilog=EXIT_CODES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    topics = top.add_subparsers(required=True, metavar="COMMAND")
    _license(topics)
    _keys(topics)
    clock = topics.add_parser(
        "clock", help="the newest time seen, which the clock may not undercut"
    )
    clock.add_argument("action", nargs="?", choices=["show", "reset"], default="show")
    clock.set_defaults(run="clock")
    machine = topics.add_parser("machine", help="print this machine's fingerprint")
    machine.set_defaults(run="machine")
    return top


def _license(topics: Any) -> None:
    actions = topics.add_parser("license", help="verify or show a license file").add_subparsers(
        required=True, metavar="ACTION"
    )
    verify = actions.add_parser(
        "verify",
        help="check a license file, and a folder of model files",
        epilog=EXIT_CODES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    verify.add_argument("file", type=_file, metavar="FILE")
    verify.add_argument("folder", type=Path, nargs="?", metavar="FOLDER")
    verify.add_argument("--keys", metavar="FILE|URL", help="trust this key set, just this once")
    verify.add_argument(
        "--now", type=_moment, metavar="TIME", help="judge for this time (ISO 8601)"
    )
    verify.add_argument("--model", default="", metavar="NS/NAME", help="the model in FOLDER")
    verify.add_argument("--machine", metavar="FINGERPRINT", help="judge for this machine")
    verify.add_argument("--json", action="store_true", help="answer for programs")
    verify.set_defaults(run="verify")
    show = actions.add_parser("show", help="say what a license file claims, without verifying it")
    show.add_argument("file", type=_file, metavar="FILE")
    show.add_argument("--json", action="store_true", help="answer for programs")
    show.set_defaults(run="show")


def _keys(topics: Any) -> None:
    actions = topics.add_parser("keys", help="stores whose licenses are believed").add_subparsers(
        required=True, metavar="ACTION"
    )
    add = actions.add_parser("add", help="trust a store's keys from now on")
    add.add_argument("source", metavar="ADDRESS|FILE")
    add.add_argument("--store", metavar="ADDRESS", help="whose keys FILE holds")
    add.add_argument("--replace", action="store_true", help="even if all of them are new")
    add.set_defaults(run="keys_add")
    remove = actions.add_parser("remove", help="trust a store no more")
    remove.add_argument("store", metavar="ADDRESS")
    remove.set_defaults(run="keys_remove")
    actions.add_parser("list", help="show trusted keys").set_defaults(run="keys_list")


def _file(text: str) -> bytes:
    """Return the content of a license file, or a little more than any has."""
    try:
        with Path(text).open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ArgumentTypeError(f"{text} cannot be read: {error.strerror}") from error


def _moment(text: str) -> int:
    """Return a time in seconds since 1970: ISO 8601 (UTC unless it says otherwise) or seconds."""
    try:
        if text.isascii() and text.isdigit() and len(text) > len("20260501"):
            return min(int(text), MAX_INTEGER)
        read = datetime.fromisoformat(text)
        return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(f"'{text}' is no time. Write it as 2026-05-01T10:00Z") from error
