"""``python manage.py reconcile``: prove that charges, grants, refunds and the ledger agree."""

import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from licensing.services.reconciling import ASK_FOR, Report, reconcile


class Command(BaseCommand):
    help = "Compare orders, grants, refunds, ledger and gateways; ends with 1 if they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days", type=int, default=ASK_FOR.days, help="ask gateways of orders so young"
        )
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        report = reconcile(since=timezone.now() - timedelta(days=options["days"]))
        if options["json"]:
            self.stdout.write(json.dumps(report.to_json()))
        else:
            self._print(report)
        if report.differences:
            raise CommandError(f"{len(report.differences)} differences")

    def _print(self, report: Report) -> None:
        self.stdout.write(
            f"{report.orders} orders, {report.facts_found} lost messages found,"
            f" {report.fulfilled} orders completed, {len(report.differences)} differences"
        )
        for name in report.unreachable:
            self.stdout.write(f"gateway {name} could not be asked")
        for found in report.differences:
            self.stdout.write(f"{found.kind}\t{found.subject}\t{found.note}")
