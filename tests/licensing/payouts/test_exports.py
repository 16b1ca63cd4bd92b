"""The operator's table of payouts."""

import csv
import io

import pytest

from licensing.models import Payout
from licensing.services import payouts
from licensing.services.exports import PAYOUTS_HEAD, all_payouts_table
from store.core.spreadsheets import csv_text
from tests.licensing.payouts.market import a_seller, earn

pytestmark = pytest.mark.django_db


def test_all_payouts_in_one_table() -> None:
    maria, omar = a_seller(), a_seller("omar")
    earn(maria, 5000)
    earn(omar, 7000, currency="JPY")
    payouts.run_payouts()
    Payout.objects.filter(namespace=omar).update(
        statement=None, failure="=HYPERLINK(1)", closed_at="2026-03-01T12:00:00Z"
    )

    text = "".join(csv_text(all_payouts_table())).removeprefix("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))

    assert list(rows[0]) == PAYOUTS_HEAD
    assert [(row["seller"], row["amount"], row["currency"], row["failure"]) for row in rows] == [
        ("maria", "50.00", "EUR", ""),
        ("omar", "7000", "JPY", "'=HYPERLINK(1)"),
    ]
    assert rows[0]["statement"].startswith("TEST-MARIA-S-")
    assert (rows[1]["statement"], rows[1]["closed_at"]) == ("", "2026-03-01T12:00:00+00:00")
