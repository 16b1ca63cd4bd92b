"""``manage.py license_keys``: the keys that sign licenses."""

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from licensing.configured import key_folder, signer
from licensing.documents.errors import KeyFolderError
from licensing.documents.folder import KeptKey, KeyFolder
from licensing.documents.keyset import PublicKey


class Command(BaseCommand):
    """Lists the keys, makes a new one, or retires one; private halves are never printed."""

    help = "The keys that sign licenses: license_keys [list | rotate | retire KID [--remove]]"
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action")
        actions.add_parser("list", help="show every key; the first one signs (the default)")
        actions.add_parser("rotate", help="publish a new key, which signs two hours later")
        retire = actions.add_parser("retire", help="destroy the private half of an earlier key")
        retire.add_argument("kid")
        retire.add_argument(
            "--remove",
            action="store_true",
            help="also take it out of the key set: nothing it signed is believed any more",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._do(options)
        except KeyFolderError as error:
            raise CommandError(error.detail) from error

    def _do(self, options: dict[str, Any]) -> None:
        action = options["action"] or "list"
        if action == "list":
            self._list()
            return
        folder = key_folder()
        if folder is None:
            raise CommandError(
                "The keys are in STORE_LICENSE_KEY. Write a new one behind the others there and "
                "restart the store; two hours later, when everybody knows it, move it to the "
                "front, which signs. Or take one out."
            )
        if action == "rotate":
            key = folder.rotate()
            self.stdout.write(f"{key.kid} is published and signs from {_moment(key.signs_at)}.")
        else:
            self._retire(folder, options["kid"], is_removed=options["remove"])

    def _retire(self, folder: KeyFolder, kid: str, *, is_removed: bool) -> None:
        if is_removed:
            folder.remove(kid)
            self.stdout.write(f"{kid} is gone. What it signed does not verify any more.")
        else:
            folder.retire(kid)
            self.stdout.write(f"{kid} is retired. What it signed goes on verifying.")

    def _list(self) -> None:
        folder = key_folder()
        kept: Sequence[KeptKey | PublicKey] = folder.kept() if folder else [*signer().key_set()]
        for place, key in enumerate(kept):
            self.stdout.write(f"{key.kid}  {_state(key, is_first=place == 0)}")


def _state(key: KeptKey | PublicKey, *, is_first: bool) -> str:
    if key.retired_at is not None:
        return f"retired {_day(key.retired_at)}"
    if isinstance(key, KeptKey) and not is_first and key.signs_at > time.time():
        return f"signs from {_moment(key.signs_at)}"
    made = f", made {_day(key.created_at)}" if isinstance(key, KeptKey) else ""
    return ("signs" if is_first else "verifies") + made


def _moment(moment_s: int) -> str:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _day(moment_s: int) -> str:
    return datetime.fromtimestamp(moment_s, UTC).date().isoformat()
