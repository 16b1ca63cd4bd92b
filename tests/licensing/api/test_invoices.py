"""Invoices and credit notes for programs: listed, in the order's JSON, downloaded with a token."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from accounts.models import User
from licensing.models import Invoice
from licensing.services import refunds
from tests.factories import make_org, make_user
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
Headers = Callable[..., dict[str, str]]
LIST = "/api/v1/invoices"


@pytest.fixture
def shop() -> Shop:
    return open_shop()


def results(client: Client, path: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200, answer.content
    return list(answer.json()["results"])


def test_a_program_finds_and_saves_its_papers(client: Client, shop: Shop, bearer: Headers) -> None:
    order, headers = shop.buy(), bearer(shop.buyer, "read")
    refunds.give_back(shop.selling, order, None, "sorry")

    note, paper = results(client, LIST, headers)

    issued = Invoice.objects.get(kind="invoice")
    assert paper["id"] == issued.public_id
    assert (paper["kind"], paper["number"]) == ("invoice", issued.text_number)
    assert (paper["order"], paper["seller"]) == (order.public_id, "maria")
    assert (paper["total"], paper["gross_minor"], paper["currency"]) == ("19.00", 1900, "EUR")
    assert (paper["issued_on"], paper["is_test"]) == (issued.document["issued_on"], True)
    assert (note["kind"], note["corrects"]) == ("credit_note", issued.text_number)
    assert note["gross_minor"] == -1900
    told = client.get(f"/api/v1/orders/{order.public_id}", headers=headers).json()
    assert told["invoices"] == [paper, note]
    (listed,) = results(client, "/api/v1/orders", headers)
    assert listed["invoices"] == [paper, note]
    saved = client.get(urlsplit(paper["url"]).path, headers=headers)
    assert saved.content.startswith(b"%PDF-")
    assert f'filename="{issued.text_number}.pdf"' in saved["Content-Disposition"]
    assert "no-store" in saved["Cache-Control"]


def test_sellers_have_those_they_issued(client: Client, shop: Shop, bearer: Headers) -> None:
    shop.buy()
    issued, headers = Invoice.objects.get(), bearer(shop.seller, "read")

    assert results(client, LIST, headers) == []
    (paper,) = results(client, f"{LIST}?sold=1", headers)
    assert paper["number"] == issued.text_number
    assert client.get(f"{LIST}/{paper['id']}/pdf", headers=headers).status_code == 200
    assert results(client, f"{LIST}?sold=1", bearer(shop.buyer, "read")) == []


def test_teams_have_orders_as_on_the_page_and_their_admins_the_papers(
    client: Client, shop: Shop, bearer: Headers
) -> None:
    ben, carl = make_user("ben"), make_user("carl")
    make_org("acme", ada="write", ben="admin", carl="read")
    order = shop.buy(holder="acme")
    ident = Invoice.objects.get().public_id

    for member in (shop.buyer, ben, carl):
        (row,) = results(client, "/api/v1/orders", bearer(member, "read"))
        assert (row["id"], row["holder"]) == (order.public_id, "acme")
    for reader in (shop.buyer, ben):
        (row,) = results(client, LIST, bearer(reader, "read"))
        assert row["id"] == ident
    assert results(client, LIST, bearer(carl, "read")) == []
    refused = client.get(f"{LIST}/{ident}/pdf", headers=bearer(carl, "read"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "invoice_not_found")


def test_papers_are_nobody_elses(
    client: Client, shop: Shop, bearer: Headers, browser_of: Callable[[User], Client]
) -> None:
    shop.buy()
    place = f"{LIST}/{Invoice.objects.get().public_id}/pdf"
    eve = make_user("eve")

    assert client.get(LIST).status_code == client.get(place).status_code == 401
    assert results(client, LIST, bearer(eve, "read")) == []
    assert results(client, "/api/v1/orders", bearer(eve, "read")) == []
    assert client.get(place, headers=bearer(eve, "admin")).status_code == 404
    assert browser_of(eve).get(place).status_code == 404
    assert browser_of(shop.buyer).get(place).status_code == 200
