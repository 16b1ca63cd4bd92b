"""Coupons, the seller on documents, licenses sold, and books as tables."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import AuditEvent, User
from accounts.viewer import Viewer
from catalog.models import Grant
from licensing.models import (
    Coupon,
    Invoice,
    LedgerAccount,
    LedgerEntry,
    License,
    Payout,
    SellerProfile,
)
from licensing.services import balances, coupon_making, ledger
from licensing.services.coupon_making import CouponDraft, make_coupon
from licensing.services.coupons import CouponError
from licensing.services.sellers import SellerNotFoundError
from store.core.spreadsheets import csv_text, plain_cell
from tests.factories import enrol, make_org, make_user
from tests.licensing.selling.shop import BILLING, Shop, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}


@pytest.fixture
def shop() -> Shop:
    return open_shop()


@pytest.fixture
def seller(shop: Shop, browser_of: Browser) -> Client:
    """The seller's browser."""
    return browser_of(shop.seller)


def test_a_coupon_lowers_a_price(shop: Shop, seller: Client) -> None:
    sent = {"code": "spring-25", "percent": "25", "most_uses": "2"}
    assert seller.post("/sales/coupons/new", sent, headers=HTML).status_code == 302

    order = shop.buy(coupon="Spring-25")

    assert order.gross_minor == 1425
    page = seller.get("/sales/coupons", headers=HTML).text
    assert "SPRING-25" in page
    assert "1 / 2" in page
    assert AuditEvent.objects.filter(action="coupon.make", subject="SPRING-25").exists()


def test_an_amount_off_some_offers(shop: Shop, seller: Client) -> None:
    sent = {
        "code": "TEN",
        "amount": "10",
        "currency": "eur",
        "offers": [shop.offer.public_id],
        "starts_at": "2020-01-01T00:00",
        "ends_at": "2100-01-01T00:00",
    }
    assert seller.post("/sales/coupons/new", sent, headers=HTML).status_code == 302

    coupon = Coupon.objects.get()
    assert (coupon.amount_minor, coupon.currency, coupon.basis_points) == (1000, "EUR", None)
    assert list(coupon.offers.all()) == [shop.offer]
    assert shop.buy(coupon="TEN").gross_minor == 900


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"code": "AB"}, "3 to 40 letters"),
        ({"code": "A" * 41}, "at most 40 characters"),
        ({"code": "\u0405PRING"}, "3 to 40 letters"),
        ({"code": "A B"}, "3 to 40 letters"),
        ({"percent": ""}, "Say what is taken off"),
        ({"amount": "5", "currency": "EUR"}, "Say what is taken off"),
        ({"percent": "0"}, "more than 0 and at most 100"),
        ({"percent": "-5"}, "more than 0 and at most 100"),
        ({"percent": "100.01"}, "more than 0 and at most 100"),
        ({"percent": "", "amount": "0", "currency": "EUR"}, "Nothing would be taken off"),
        ({"percent": "", "amount": "5", "currency": "QQQ"}, "is no currency"),
        ({"percent": "", "amount": "5"}, "is no currency"),
        ({"percent": "", "amount": "5.001", "currency": "EUR"}, "EUR has 2 decimals"),
        ({"percent": "", "amount": "9999999999999", "currency": "EUR"}, "more than anything"),
        ({"most_uses": "0"}, "greater than or equal to 1"),
        ({"periods": "0"}, "greater than or equal to 1"),
        ({"periods": "121"}, "less than or equal to 120"),
        ({"periods": "1", "percent": "100"}, "Nothing to pay at first and something later"),
        ({"ends_at": "2001-01-01T00:00"}, "The end is past"),
        (
            {"starts_at": "2100-01-02T00:00", "ends_at": "2100-01-01T00:00"},
            "ends after it begins",
        ),
        ({"offers": ["nothing"]}, "Select a valid choice"),
    ],
)
def test_bad_coupons_are_not_made(seller: Client, sent: dict[str, Any], told: str) -> None:
    answer = seller.post(
        "/sales/coupons/new", {"code": "GOOD", "percent": "10"} | sent, headers=HTML
    )

    assert answer.status_code == 400
    assert told in answer.text
    assert not Coupon.objects.exists()


def test_the_service_judges_too(shop: Shop) -> None:
    namespace = shop.repo.namespace
    foreign = make_user("rita")
    good = CouponDraft("GOOD", basis_points=1000)
    bad = [
        CouponDraft("GOOD", basis_points=1000, most_uses=0),
        CouponDraft("GOOD", basis_points=1000, most_uses_each=1_000_001),
        CouponDraft("GOOD", basis_points=1000, offers=("nothing",)),
        CouponDraft("GOOD", amount_minor=-5, currency="EUR"),
        CouponDraft("GOOD", amount_minor=5, currency="QQQ"),
        CouponDraft("GOOD", basis_points=1000, periods=0),
        CouponDraft("GOOD", basis_points=1000, periods=121),
        CouponDraft("GOOD", basis_points=10_000, periods=1),
    ]
    for draft in bad:
        with pytest.raises(coupon_making.BadCouponError):
            make_coupon(shop.selling, namespace, draft)
    with pytest.raises(SellerNotFoundError):
        make_coupon(Viewer(user=foreign), namespace, good)
    assert not Coupon.objects.exists()


def test_a_code_is_used_once(shop: Shop, seller: Client) -> None:
    sent = {"code": "ONCE", "percent": "10"}
    seller.post("/sales/coupons/new", sent, headers=HTML)
    coupon = Coupon.objects.get()

    again = seller.post("/sales/coupons/new", sent | {"code": "once"}, headers=HTML)

    assert again.status_code == 400
    assert "You have used the code ONCE before" in again.text
    assert Coupon.objects.get() == coupon


def test_there_is_an_end_to_coupons(
    shop: Shop, seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coupon_making, "MAX_COUPONS", 1)
    sent = {"code": "ONE", "percent": "10"}
    seller.post("/sales/coupons/new", sent, headers=HTML)

    answer = seller.post("/sales/coupons/new", sent | {"code": "TWO"}, headers=HTML)

    assert "End some first" in answer.text
    assert Coupon.objects.count() == 1


def test_a_coupon_ends(shop: Shop, seller: Client, browser_of: Browser, bob: User) -> None:
    make_coupon(shop.selling, shop.repo.namespace, CouponDraft("SHORT", basis_points=1000))
    path = f"/sales/coupons/{Coupon.objects.get().public_id}/end"

    assert browser_of(bob).post(path, headers=HTML).status_code == 404
    assert browser_of(bob).post(f"{path}?seller=maria", headers=HTML).status_code == 404
    assert Coupon.objects.get().is_active
    for _again in range(2):
        assert seller.post(path, headers=HTML).status_code == 302
    assert not Coupon.objects.get().is_active
    assert AuditEvent.objects.filter(action="coupon.end").count() == 1
    with pytest.raises(CouponError):
        shop.order(coupon="SHORT")
    assert "Ended" in seller.get("/sales/coupons", headers=HTML).text


def test_the_form_tells_what_a_coupon_does_to_a_subscription(seller: Client) -> None:
    page = seller.get("/sales/coupons/new", headers=HTML).text
    assert "costs less in so many periods from the first on, or in every one" in page


def test_a_coupon_for_the_first_periods_is_made_and_listed(seller: Client, shop: Shop) -> None:
    for code, periods in (("ONE", "1"), ("THREE", "3"), ("ALL", "")):
        sent = {"code": code, "percent": "50", "periods": periods}
        assert seller.post("/sales/coupons/new", sent, headers=HTML).status_code == 302

    kept = dict(Coupon.objects.values_list("code", "periods"))
    assert kept == {"ONE": 1, "THREE": 3, "ALL": None}
    page = seller.get("/sales/coupons", headers=HTML).text
    assert page.count("of a subscription") == 2
    assert "first period of a subscription" in page
    assert "first 3 periods of a subscription" in page
    assert AuditEvent.objects.get(action="coupon.make", subject="THREE").detail["periods"] == 3


def test_coupons_in_every_state_are_listed(shop: Shop, seller: Client) -> None:
    now, namespace = timezone.now(), shop.repo.namespace
    later = now + timedelta(days=1)
    make_coupon(shop.selling, namespace, CouponDraft("SOON", basis_points=1, starts_at=later))
    made = make_coupon(
        shop.selling, namespace, CouponDraft("LATE", amount_minor=1, currency="EUR", ends_at=later)
    )
    Coupon.objects.filter(pk=made.pk).update(ends_at=now)

    page = seller.get("/sales/coupons", headers=HTML).text

    assert "Not yet" in page
    assert "Expired" in page
    assert "€0.01" in page


PROFILE = {
    "legal_name": "Maria Modelle GmbH",
    "address": "Lindenallee 1\n10115 Berlin",
    "country": "DE",
    "is_registered": "on",
    "vat_number": "DE136695976",
    "registrations": "AU, US-NY",
    "invoice_prefix": "mm",
}


def test_a_seller_says_who_they_are(shop: Shop, seller: Client) -> None:
    answer = seller.post("/sales/profile", PROFILE, headers=HTML)

    assert answer.status_code == 302
    profile = SellerProfile.objects.get()
    assert (profile.legal_name, profile.country, profile.invoice_prefix) == (
        "Maria Modelle GmbH",
        "DE",
        "MM",
    )
    assert profile.registrations == ["AU", "US-NY"]
    page = seller.get("/sales/profile", headers=HTML).text
    assert "Maria Modelle GmbH" in page
    assert "their numbers begin with MM" in page
    order = shop.buy(billing=BILLING)
    assert order.gross_minor == 2261
    assert Invoice.objects.get().document["seller"]["name"] == "Maria Modelle GmbH"


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"legal_name": "Maria\u202eHbmG"}, "legal_name"),
        ({"country": "US", "vat_number": ""}, "region"),
        ({"region": "US-NY"}, "region"),
        ({"vat_number": "DE1"}, "vat_number"),
        ({"vat_number": ""}, "vat_number"),
        ({"country": ""}, "country"),
        ({"is_registered": "", "uses_oss": "on"}, "uses_oss"),
        ({"registrations": "XX"}, "registrations"),
        ({"registrations": "US"}, "registrations"),
        ({"invoice_prefix": "TEST"}, "invoice_prefix"),
        ({"invoice_prefix": "1A"}, "invoice_prefix"),
        ({"address": "\n".join("abcdefghi")}, "address"),
    ],
)
def test_a_wrong_profile_is_not_kept(seller: Client, sent: dict[str, str], field: str) -> None:
    answer = seller.post("/sales/profile", PROFILE | sent, headers=HTML)

    assert answer.status_code == 400
    assert f'id="id_{field}_error"' in answer.text
    assert not SellerProfile.objects.exists()


def test_a_region_is_shown_again(shop: Shop, seller: Client) -> None:
    sent = {"country": "US", "region": "US-NY", "legal_name": ""}
    assert seller.post("/sales/profile", sent, headers=HTML).status_code == 302

    assert '<option value="US-NY" selected>' in seller.get("/sales/profile", headers=HTML).text


def test_a_license_is_suspended_and_reinstated(
    shop: Shop, seller: Client, browser_of: Browser, bob: User
) -> None:
    shop.buy()
    held = License.objects.get()
    assert "In force" in seller.get("/sales/buyers", headers=HTML).text

    def act(client: Client, what: str, **more: str) -> int:
        sent = {"act": what, "license": held.public_id} | more
        return client.post("/sales/buyers", sent, headers=HTML).status_code

    assert act(browser_of(bob), "suspend", words="spite") == 404
    assert act(browser_of(shop.buyer), "suspend", words="spite") == 403
    assert act(seller, "suspend") == 400
    assert act(seller, "dance") == 400
    assert Grant.objects.get().state == Grant.State.ACTIVE
    assert act(seller, "suspend", words="It was handed on.") == 302
    assert Grant.objects.get().state == Grant.State.FROZEN
    page = seller.get("/sales/buyers", headers=HTML).text
    assert "It was handed on." in page
    assert "Suspended" in page
    assert act(seller, "reinstate") == 302
    assert Grant.objects.get().state == Grant.State.ACTIVE


def test_a_license_of_another_seller_is_not_there(shop: Shop, browser_of: Browser) -> None:
    shop.buy()
    make_org("acme", maria="admin")
    sent = {"act": "suspend", "license": License.objects.get().public_id, "words": "no"}

    answer = browser_of(shop.seller).post("/sales/buyers?seller=acme", sent, headers=HTML)

    assert answer.status_code == 404
    assert Grant.objects.get().state == Grant.State.ACTIVE


def test_buyers_are_found(shop: Shop, seller: Client) -> None:
    shop.buy()
    held = License.objects.get()

    def found(word: str) -> bool:
        return "Ada Byron" in seller.get(f"/sales/buyers?q={word}", headers=HTML).text

    assert found("byron")
    assert found("commercial")
    assert found(held.public_id)
    assert not found("nobody")
    assert not found("0" * 24)
    assert "In force" in seller.get("/sales/buyers?cursor=junk", headers=HTML).text


def test_states_of_licenses(shop: Shop, seller: Client) -> None:
    shop.buy("a")
    shop.buy("b")
    frozen, ended = License.objects.order_by("pk")
    Grant.objects.filter(pk=frozen.grant_id).update(state=Grant.State.FROZEN)
    Grant.objects.filter(pk=ended.grant_id).update(ends_at=timezone.now())

    page = seller.get("/sales/buyers", headers=HTML).text

    assert "Disputed" in page
    assert "Run out" in page
    Grant.objects.update(state=Grant.State.REVOKED)
    assert "Taken back" in seller.get("/sales/buyers", headers=HTML).text


def rows_of(client: Client, table: str) -> list[dict[str, str]]:
    answer: Any = client.get(f"/sales/tables/{table}.csv", headers=HTML)
    assert answer.status_code == 200, answer
    assert answer.streaming
    text = b"".join(answer.streaming_content).decode("utf-8")
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:])))


def test_sales_as_a_table(shop: Shop, seller: Client) -> None:
    order = shop.buy(billing=BILLING | {"name": "=HYPERLINK(1)"})

    (row,) = rows_of(seller, "sales")

    assert row["order"] == order.public_id
    assert row["buyer"] == "'=HYPERLINK(1)"
    assert (row["gross"], row["currency"], row["test"]) == ("19.00", "EUR", "yes")
    assert row["receives"] == "19.00"


def test_buyers_as_a_table(shop: Shop, seller: Client) -> None:
    order = shop.buy("a", billing=BILLING | {"name": "=HYPERLINK(1)"})
    shop.buy("b")
    first, second = License.objects.order_by("pk")
    Grant.objects.filter(pk=second.grant_id).update(state=Grant.State.FROZEN)

    rows = rows_of(seller, "buyers")

    assert [row["state"] for row in rows] == ["VALID", "FROZEN"]
    row = rows[0]
    assert (row["license"], row["order"]) == (first.public_id, order.public_id)
    assert (row["licensee"], row["holder"], row["country"]) == ("'=HYPERLINK(1)", "ada", "DE")
    assert (row["models"], row["seats"], row["used_seats"]) == ("maria/haiku-gpt", "1", "0")
    assert '/sales/tables/buyers.csv"' in seller.get("/sales/buyers", headers=HTML).text


def test_entries_add_up_to_the_balance(shop: Shop, seller: Client) -> None:
    shop.buy("a")
    shop.buy("b", method="test_dispute")

    rows = rows_of(seller, "entries")

    (balance,) = balances.balances_of(shop.repo.namespace)
    total = sum(round(float(row["amount"]) * 100) for row in rows)
    assert total == balance.total_minor + balance.sending_minor == 3800
    assert {row["movement"] for row in rows} == {"sale", "dispute_opened"}


def test_payouts_and_statements(shop: Shop, browser_of: Browser) -> None:
    shop.buy()
    namespace = shop.repo.namespace
    payout = Payout.objects.create(
        namespace=namespace,
        gateway="sandbox",
        currency="EUR",
        amount_minor=1900,
        until=timezone.now(),
    )
    kinds = LedgerAccount.Kind
    money = LedgerEntry.Purpose.MONEY
    ledger.book(
        "payout",
        f"payout:{payout.public_id}",
        [
            ledger.Entry(kinds.PAYABLE, 1900, money, namespace.pk),
            ledger.Entry(kinds.PAYOUTS, -1900, money, namespace.pk),
        ],
        gateway="sandbox",
        currency="EUR",
    )
    enrol(shop.seller)
    client = browser_of(shop.seller)

    page = client.get("/sales/payouts", headers=HTML).text
    assert "€19.00" in page
    assert "not made yet" in page
    (row,) = rows_of(client, "payouts")
    assert (row["payout"], row["amount"]) == (payout.public_id, "19.00")
    assert "On its way to you" in client.get("/sales/balance", headers=HTML).text
    path = f"/sales/payouts/{payout.public_id}/statement.pdf"
    assert client.get(path, headers=HTML).status_code == 404
    statement(payout)
    assert client.get(path, headers=HTML).content.startswith(b"%PDF")
    assert client.get("/sales/payouts?cursor=junk", headers=HTML).status_code == 200


def statement(payout: Payout) -> Invoice:
    """The document of a payout."""
    from licensing.invoices.document import DocumentKind, InvoiceDocument, InvoiceLine, Totals
    from licensing.services.invoicing import issue
    from licensing.services.seller_profiles import party_of, profile_of

    party = party_of(profile_of(payout.namespace))
    line = InvoiceLine(
        title="Sales", unit_minor=1900, net_minor=1900, tax_minor=0, gross_minor=1900
    )
    document = InvoiceDocument(
        kind=DocumentKind.STATEMENT,
        issued_on=timezone.now().date(),
        seller=party,
        buyer=party,
        currency="EUR",
        lines=(line,),
        tax_sums=(),
        totals=Totals(net_minor=1900, tax_minor=0, gross_minor=1900),
        is_test=True,
    )
    return issue(document, seller=payout.namespace, buyer=None, key=f"payout:{payout.public_id}")


def test_tables_are_the_sellers_own(
    shop: Shop, browser_of: Browser, seller: Client, bob: User
) -> None:
    shop.buy()

    assert rows_of(browser_of(bob), "sales") == []
    answer = browser_of(bob).get("/sales/tables/sales.csv?seller=maria", headers=HTML)
    assert answer.status_code == 404
    assert seller.get("/sales/tables/secrets.csv", headers=HTML).status_code == 404


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8) | st.sampled_from(
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '"', ",", "'="]
)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=4))
def test_tables_read_back_and_run_nothing(lines: list[list[str]]) -> None:
    safe = [[plain_cell(cell) for cell in line] for line in lines]

    text = "".join(csv_text(safe))

    assert list(csv.reader(io.StringIO(text[1:], newline=""))) == safe
    for before, after in zip(lines, safe, strict=True):
        assert [cell.removeprefix("'") for cell in after] == [
            cell.removeprefix("'") for cell in before
        ]
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in after)


def test_a_balance_can_be_negative(shop: Shop, seller: Client) -> None:
    namespace = shop.repo.namespace
    kinds, money = LedgerAccount.Kind, LedgerEntry.Purpose.MONEY
    ledger.book(
        "refund",
        "test",
        [
            ledger.Entry(kinds.PAYABLE, 500, money, namespace.pk),
            ledger.Entry(kinds.DEPOSITS, -500, money),
        ],
        gateway="invoice",
        currency="EUR",
    )

    page = seller.get("/sales/balance", headers=HTML).text

    assert "Refunds took more than was available" in page
    assert "-€5.00" in page


def test_a_missing_tax_rate_is_told_where_the_seller_declares(shop: Shop, seller: Client) -> None:
    sent = {"country": "DE", "is_registered": "on", "vat_number": "DE136695976"}
    told = "The store knows no tax rate of District of Columbia, United States"
    assert seller.post("/sales/profile", sent, headers=HTML).status_code == 302
    assert told not in seller.get("/sales/profile", headers=HTML).text

    answer = seller.post("/sales/profile", sent | {"registrations": "GB, US-DC"}, headers=HTML)

    assert answer.status_code == 302
    page = seller.get("/sales/profile", headers=HTML).text
    assert told in page
    assert "Sales in one place are refused" in page
    assert SellerProfile.objects.get().registrations == ["GB", "US-DC"]
