"""``manage.py fsck``: read every stored byte and compare it with its names."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from catalog.content.checking import check_storage, hurt_files
from catalog.models import StorageWalk


class Command(BaseCommand):
    """Ends with an error when anything is hurt."""

    help = (
        "Verify everything that is stored: objects by sha256, xorbs by hash, recipes by both, git"
        " objects by id, and name the files of repositories that are hurt. Goes on where it was"
        " stopped; safe beside a running store."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--restart", action="store_true", help="begin anew")

    def handle(self, *_args: Any, **options: Any) -> None:
        verbose = options["verbosity"] > 1
        walk = check_storage(
            restart=options["restart"], tick=self._tell if verbose else lambda _walk: None
        )
        counts = walk.counts
        self.stdout.write(
            f"{counts.get('objects', 0)} objects, {counts.get('xorbs', 0)} xorbs,"
            f" {counts.get('recipes', 0)} recipes and {counts.get('git', 0)} git objects read."
        )
        for finding in walk.findings:
            self.stdout.write(f"{finding['kind']} {finding['name']}: {finding['reason']}")
        if walk.findings:
            for line in hurt_files(walk.findings):
                self.stdout.write(f"  hurt: {line}")
            raise CommandError(f"{len(walk.findings)} things are not what they should be.")

    def _tell(self, walk: StorageWalk) -> None:
        self.stdout.write(f"{walk.stage}: {walk.counts[walk.stage]} read")
