"""``manage.py gc``: delete bytes nobody needs."""

from typing import Any

from django.core.management.base import BaseCommand

from catalog.content.collecting import collect
from store.core.ui.figures import size_text


class Command(BaseCommand):
    """What the nightly job does, now."""

    help = (
        "Delete files no repository holds, recipes and xorbs no file needs, and bytes a crash"
        " left, each only weeks after its last use. Safe beside a running store; can be stopped"
        " and run again at any time."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        done = collect()
        self.stdout.write(
            f"{done.released} files released by their repositories, {done.objects} objects,"
            f" {done.recipes} recipes and {done.xorbs} xorbs deleted, {done.condemned} xorbs"
            f" condemned, {done.orphans} left-overs removed: {size_text(done.freed_bytes)} freed."
        )
