"""``python manage.py payouts``: what sellers could be paid, and paying it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.services.audit import record
from licensing.models import Payout
from licensing.services.payouts import Due, due, run_payouts
from store.core.errors import StoreError
from store.core.money import Money, show


class Command(BaseCommand):
    help = "List what sellers could be paid; with --run, pay it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--run", action="store_true", help="pay it")
        parser.add_argument(
            "--until", metavar="DATE", help="what was available at the end of that day (UTC)"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        until = _end_of(options["until"]) if options["until"] else None
        try:
            rows = self._run(until) if options["run"] else self._list(until)
        except StoreError as error:
            raise CommandError(error.message) from error
        if options["json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            money = show(Money(row["amount_minor"], row["currency"]), "en")
            self.stdout.write(f"{row['seller']}\t{row['gateway']}\t{money}\t{row['state']}")
        self.stdout.write(f"{len(rows)} {'payouts' if options['run'] else 'balances'}")

    def _run(self, until: datetime | None) -> list[dict[str, Any]]:
        made = run_payouts(until)
        record("payout.run", actor=None, payouts=[payout.public_id for payout in made])
        return [_made(payout) for payout in made]

    def _list(self, until: datetime | None) -> list[dict[str, Any]]:
        return [_due(row) for row in due(until)]


def _end_of(day: str) -> datetime:
    """Return the end of a day; now, for the day that is still going on."""
    try:
        start = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise CommandError("Write the date as 2026-03-31.") from error
    now = timezone.now()
    return now if start.date() == now.astimezone(UTC).date() else start + timedelta(days=1)


def _due(row: Due) -> dict[str, Any]:
    return {
        "seller": row.account.namespace.name if row.account.namespace else "",
        "gateway": row.account.gateway,
        "currency": row.account.currency,
        "amount_minor": row.amount_minor,
        "state": row.obstacle or "due",
    }


def _made(payout: Payout) -> dict[str, Any]:
    return {
        "id": payout.public_id,
        "seller": payout.namespace.name,
        "gateway": payout.gateway,
        "currency": payout.currency,
        "amount_minor": payout.amount_minor,
        "state": payout.state,
    }
