"""A bundle with a model that was made private: nobody buys it, and nobody learns the name."""

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from catalog.models import ModelRepo
from licensing.models import Offer, Order, Quote
from licensing.services.offers import make_offer, set_active
from tests.licensing.pages.buying import get, post, put_in_cart, visible
from tests.licensing.selling.shop import BILLING, FIXED, Shop, make_model, open_shop

pytestmark = pytest.mark.django_db
SECRET = "night-owl"
TITLE = "Both birds"


@pytest.fixture
def shop() -> Shop:
    return open_shop()


@pytest.fixture
def bundle(shop: Shop) -> Offer:
    other = make_model(shop.seller, SECRET)
    return make_offer(shop.selling, [shop.repo, other], replace(FIXED, title=TITLE))


def hide() -> None:
    ModelRepo.objects.filter(name=SECRET).update(is_private=True)


def ask_for(client: Client, offer: Offer, headers: dict[str, str]) -> Any:
    body = {"items": [{"offer": offer.public_id}], "currency": "EUR", "billing": BILLING}
    return client.post("/api/v1/quotes", body, content_type="application/json", headers=headers)


def test_what_is_sold_with_it_does_not_name_it(
    client: Client, shop: Shop, bundle: Offer, bearer: Any, browser_of: Any
) -> None:
    offers = "/api/v1/models/maria/haiku-gpt/offers"
    paths = offers, "/maria/haiku-gpt/resolve/main/config.json", "/maria/haiku-gpt"

    def seen() -> list[str]:
        people = (client, browser_of(shop.buyer))
        answers = [person.get(path) for person in people for path in paths]
        return [answer.content.decode() for answer in answers]

    assert all(SECRET in text and TITLE in text for text in seen())
    hide()

    assert not any(SECRET in text or TITLE in text for text in seen())
    (listed,) = client.get(offers).json()["results"]
    assert listed["title"] == "Commercial"
    refused = ask_for(client, bundle, bearer(shop.buyer, "buy"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "offer_not_found")
    assert not Quote.objects.exists()


def test_a_model_stays_sold_when_its_last_offer_cannot_be_bought(
    client: Client, shop: Shop, bundle: Offer
) -> None:
    set_active(shop.selling, shop.offer, is_active=False)
    hide()

    refused = client.get("/maria/haiku-gpt/resolve/main/config.json")

    assert (refused.status_code, refused.json()["code"]) == (403, "purchase_required")
    assert refused.json()["extra"]["offers"] == []
    assert "it needs a license" in refused.json()["error"]
    assert "€19" not in visible(get(client, "/maria/haiku-gpt"))


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_cart_says_that_it_is_gone(
    client: Client, shop: Shop, bundle: Offer, bearer: Any, is_closed: bool
) -> None:
    put_in_cart(client, bundle)
    put_in_cart(client, shop.offer)
    assert SECRET in get(client, "/cart")
    hide()
    if is_closed:
        set_active(shop.selling, bundle, is_active=False)

    page = get(client, "/cart")

    assert SECRET not in page
    assert TITLE not in page
    assert "An offer that is gone" in visible(page)
    assert "There is no such offer." in visible(page)
    assert post(client, "/cart/add", {"add": bundle.public_id}).status_code == 404
    assert ask_for(client, bundle, bearer(shop.buyer, "buy")).status_code == 404
    post(client, "/cart", {"remove": bundle.public_id})
    assert "Total €19.00" in visible(get(client, "/cart"))
    assert not Order.objects.exists()


def test_a_cart_does_not_name_a_single_model(client: Client, shop: Shop) -> None:
    put_in_cart(client, shop.offer)
    ModelRepo.objects.update(is_private=True, name="renamed-since")

    page = get(client, "/cart")

    assert "renamed-since" not in page
    assert "An offer that is gone" in visible(page)
