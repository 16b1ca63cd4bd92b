"""A buyer in a browser: what tests of pages do again and again."""

import re
from typing import Any

from django.http import HttpResponse
from django.test import Client

from licensing.models import Offer, Order
from tests.licensing.selling.shop import Shop

HTML = {"accept": "text/html"}
ADDRESS = {
    "kind": "person",
    "name": "Ada Byron",
    "line1": "Lindenallee 1",
    "line2": "",
    "postcode": "10115",
    "city": "Berlin",
    "country": "DE",
    "region": "",
    "vat_number": "",
}
CARD = "4242424242424242"


def get(client: Client, path: str, status: int = 200) -> str:
    """The text of a page."""
    answer = client.get(path, headers=HTML)
    assert answer.status_code == status, (path, answer.status_code, answer.content[:500])
    return answer.content.decode()


def post(client: Client, path: str, data: dict[str, Any] | None = None) -> HttpResponse:
    """The answer to a form."""
    return client.post(path, data or {}, headers=HTML)  # type: ignore[return-value]


def text_of(answer: HttpResponse, status: int = 200) -> str:
    """The text of an answer."""
    assert answer.status_code == status, (answer.status_code, answer.content[:500])
    return answer.content.decode()


def hidden(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}"\s+value="([^"]*)"', page)
    assert found, f"no {name} in the page"
    return found[1]


def visible(page: str) -> str:
    """What a person reads of a page: no tags, single spaces."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def put_in_cart(client: Client, offer: Offer, **more: str) -> None:
    """Put an offer into the cart."""
    answer = post(client, "/cart/add", {"add": offer.public_id, "currency": "EUR", **more})
    assert answer.status_code == 302, answer.content[:500]


def filled(client: Client, **changes: Any) -> dict[str, Any]:
    """The checkout's form with address and terms, after its sums were asked for."""
    page = text_of(post(client, "/checkout", ADDRESS | {"update": "1"} | changes))
    terms = re.findall(r'name="terms"\s+value="(\w+)"', page)
    quote, key = hidden(page, "quote"), hidden(page, "key")
    return ADDRESS | {"terms": terms, "quote": quote, "key": key, "pay": "1"} | changes


def order_page_of(client: Client, shop: Shop) -> str:
    """Buy the shop's offer up to the bank; return the address of its page."""
    put_in_cart(client, shop.offer)
    answer = post(client, "/checkout", filled(client))
    assert answer.status_code == 302, visible(answer.content.decode())
    return str(answer["Location"])


def bought(client: Client, shop: Shop) -> Order:
    """Buy the shop's offer and pay with the card that pays."""
    bank = order_page_of(client, shop)
    assert post(client, bank, {"card": CARD}).status_code == 302
    return Order.objects.latest("pk")
