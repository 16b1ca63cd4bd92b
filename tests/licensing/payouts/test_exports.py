"""A seller's bookings and payouts as tables."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.models import OrderLine, Payout
from licensing.services import payouts
from licensing.services.exports import (
    LEDGER_HEAD,
    PAYOUT_HEAD,
    csv_lines,
    ledger_rows,
    payout_rows,
    written,
)
from tests.licensing.payouts.market import a_seller, earn, owed
from tests.licensing.selling.shop import open_shop


def read(rows: Any) -> list[dict[str, str]]:
    text = b"".join(csv_lines(rows)).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("haiku-gpt", "haiku-gpt"),
        ("", ""),
        (-5, "-5"),
        (Decimal("-19.00"), "-19.00"),
        (datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC), "2026-03-01T12:00:00+00:00"),
    ],
)
def test_cells(cell: Any, text: str) -> None:
    assert written(cell) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_no_text_is_run_and_none_is_lost(text: str) -> None:
    (row,) = csv.reader(io.StringIO(b"".join(csv_lines([[text]])).decode("utf-8-sig"), newline=""))
    found = row[0] if row else ""

    assert not found.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert found in {text, f"'{text}"}


@pytest.mark.django_db
def test_bookings_add_up_to_what_is_owed() -> None:
    shop = open_shop()
    owner = shop.repo.namespace
    order = shop.buy()
    OrderLine.objects.update(title='=HYPERLINK("http://evil")')
    earn(owner, 5000)
    (payout,) = payouts.run_payouts()

    rows = read(ledger_rows(owner))

    assert list(rows[0]) == list(LEDGER_HEAD)
    assert rows[0]["title"] == '\'=HYPERLINK("http://evil")'
    assert (rows[0]["order"], rows[0]["amount"], rows[0]["hold"]) == (
        order.public_id,
        "19.00",
        "refund_window",
    )
    payable = [row for row in rows if row["account"] == "payable"]
    assert sum(Decimal(row["amount"]) * 100 for row in payable) == owed(owner) == 1900
    assert [row["payout"] for row in payable] == ["", payout.public_id, payout.public_id]
    (way,) = [row for row in rows if row["account"] == "payouts"]
    assert (way["amount"], way["hold"], way["payout"]) == ("50.00", "", "")


@pytest.mark.django_db
def test_payouts_of_one_and_of_all() -> None:
    maria, omar = a_seller(), a_seller("omar")
    earn(maria, 5000)
    earn(omar, 7000, currency="JPY")
    payouts.run_payouts()
    Payout.objects.filter(namespace=omar).update(statement=None, failure="=x")

    mine, every = read(payout_rows(maria)), read(payout_rows())

    assert list(mine[0]) == list(PAYOUT_HEAD)
    assert [(row["amount"], row["currency"]) for row in mine] == [("50.00", "EUR")]
    assert mine[0]["statement"].startswith("TEST-MARIA-S-")
    assert [(row["seller"], row["amount"], row["failure"]) for row in every] == [
        ("maria", "50.00", ""),
        ("omar", "7000", "'=x"),
    ]
    assert every[1]["statement"] == ""
