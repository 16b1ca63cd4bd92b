"""What a seller is told of money that is not paid out: rule, day, and what releases it."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from html import unescape
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils.formats import date_format

from accounts.models import Namespace, User
from licensing.models import SellerProfile
from licensing.services import balances, payouts
from tests.factories import enrol
from tests.licensing.pages.buying import get, visible
from tests.licensing.payouts.market import a_seller, earn, staff_viewer

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
NOW = datetime(2027, 3, 10, 4, tzinfo=UTC)


def owner_of(browser_of: Browser) -> tuple[Namespace, Client]:
    maria = a_seller()
    assert maria.user is not None
    enrol(maria.user)
    return maria, browser_of(maria.user)


def page_of(browser: Client) -> str:
    return unescape(visible(get(browser, "/sales/balance")))


def told(browser: Client) -> list[dict[str, Any]]:
    answer = browser.get("/api/v1/balance")
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["balances"]
    return found


@pytest.mark.parametrize(
    ("day", "on", "words"),
    [
        (15, "2027-03-15", "The next payout takes it. Day: {}"),
        (5, "2027-04-05", "The next payout takes it. Day: {}"),
        (0, None, "Paid out when the site's staff run a payout: this store has no fixed day."),
    ],
)
def test_available_money_says_when_it_is_paid_out(
    browser_of: Browser, settings: Any, day: int, on: str | None, words: str
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"payout_day": day})
    with time_machine.travel(NOW, tick=False):
        maria, browser = owner_of(browser_of)
        earn(maria, 5000)

        page, (row,) = page_of(browser), told(browser)

    assert "Payouts take all that is available, from €10.00 on." in page
    when = date_format(date.fromisoformat(on), "DATE_FORMAT") if on else ""
    assert words.format(when) in page
    payout = row["payout"]
    assert (payout["obstacle"], payout["on"]) == ("", on)
    assert (payout["least_minor"], payout["day"]) == (1000, day)


def test_money_that_is_not_paid_out_says_why_and_what_releases_it(
    browser_of: Browser, gateways: None
) -> None:
    maria, browser = owner_of(browser_of)
    earn(maria, 900)
    earn(maria, 5000, gateway="invoice")
    earn(maria, 5000, gateway="stripe", currency="USD")

    page, rows = page_of(browser), told(browser)

    assert {row["gateway"]: row["payout"]["obstacle"] for row in rows} == {
        "sandbox": "too_little",
        "invoice": "no_account",
        "stripe": "unknown_gateway",
    }
    assert "The next payout takes it" not in page
    assert "Less than €10.00 is not paid out." in page
    for payout in (row["payout"] for row in rows):
        assert payout["on"] is None
        assert f"{payout['rule']} {payout['release']}" in page
    payouts.pause(staff_viewer(), maria, "We look at your account")
    assert {row["payout"]["obstacle"] for row in told(browser)} == {"too_little", "paused"}
    assert "Payouts are paused: We look at your account" in page_of(browser)


def test_a_transfer_by_hand_says_that_it_is_one(browser_of: Browser, gateways: None) -> None:
    maria, browser = owner_of(browser_of)
    SellerProfile.objects.create(namespace=maria, bank_details="IBAN DE02")
    earn(maria, 5000, gateway="invoice")
    payouts.run_payouts()

    assert "transfer it by hand, on no fixed day" in page_of(browser)
    assert "transfer it by hand" in told(browser)[0]["payout"]["sending"]


def test_held_amounts_are_cut_in_each_place_and_say_so(
    browser_of: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balances, "MOST_HELD", 2)
    maria, browser = owner_of(browser_of)
    for days in (3, 4, 5):
        earn(maria, 100, in_days=days)
    earn(maria, 700, in_days=9, currency="USD")

    page, rows = page_of(browser), told(browser)

    # money without an order is one amount for each day it becomes available
    assert [(row["currency"], len(row["held"]), row["has_more"]) for row in rows] == [
        ("EUR", 2, True),
        ("USD", 1, False),
    ]
    assert page.count("There are more than are shown here") == 1
    assert "$7.00" in page
