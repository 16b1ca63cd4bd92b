"""Prices in a search: the order, the range, the currency they are compared in, and the REST API."""

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.viewer import VISITOR
from catalog.models import Listing, ListingPrice
from catalog.search.query import SearchQuery
from catalog.search.run import search, search_with_facets
from store.core.paging import BadCursorError, encode_cursor
from tests.catalog.search.shelf import Made, names, put

pytestmark = pytest.mark.usefixtures("publishers")


@pytest.fixture
def shelf() -> list[Made]:
    return put(
        Made(name="gift"),
        Made(name="liked-gift", likes=3),
        Made(name="five", prices=(("EUR", 500), ("USD", 550))),
        Made(name="nineteen", prices=(("EUR", 1900),), has_free_offer=True),
        Made(name="any", prices=(("EUR", 0),), has_free_offer=True),
        Made(name="yen", prices=(("JPY", 300),)),
        Made(name="secret", is_private=True, prices=(("CHF", 100),)),
    )


def found(**asked: Any) -> list[str]:
    query = SearchQuery.from_params(asked, strict=True)
    return [name.removeprefix("alice/") for name in names(search(VISITOR, query, limit=20).rows)]


def test_the_lowest_come_first_and_other_currencies_last(shelf: list[Made]) -> None:
    assert found(sort="price") == ["liked-gift", "gift", "any", "five", "nineteen", "yen"]
    assert found(sort="price_high") == ["nineteen", "five", "any", "liked-gift", "gift", "yen"]
    assert found(sort="price", currency="jpy")[:3] == ["liked-gift", "gift", "yen"]
    assert found(sort="price", price="paid") == ["any", "five", "nineteen", "yen"]


def test_free_and_paid_are_both_of_a_model_with_a_free_offer(shelf: list[Made]) -> None:
    assert set(found(price="free")) == {"gift", "liked-gift", "nineteen", "any"}
    assert set(found(price="paid")) == {"five", "nineteen", "any", "yen"}
    _page, facets = search_with_facets(VISITOR, SearchQuery(), limit=1)
    (facet,) = (each for each in facets if each.name == "price")
    assert [(value.value, value.count) for value in facet.values] == [("free", 4), ("paid", 4)]


def test_a_range_holds_what_costs_nothing_and_no_other_currency(shelf: list[Made]) -> None:
    assert set(found(price_max="5")) == {"gift", "liked-gift", "any", "five"}
    assert set(found(price_max="4.99")) == {"gift", "liked-gift", "any"}
    assert found(price_min="5", price_max="5,00") == ["five"]
    assert found(price_min="1", currency="JPY") == ["yen"]
    assert found(price_min="300", currency="JPY") == ["yen"]
    assert found(price_min="301", currency="JPY") == []
    assert found(price_min="1", currency="CHF") == []


def test_the_usual_currency_is_what_most_models_one_may_see_have(shelf: list[Made]) -> None:
    page = search(VISITOR, SearchQuery(), limit=1)

    assert page.currency == "EUR"
    assert page.currencies == ("EUR", "JPY", "USD")
    ListingPrice.objects.all().delete()
    assert search(VISITOR, SearchQuery(), limit=1).currency == "EUR"
    assert search(VISITOR, SearchQuery(), limit=1).currencies == ()


def test_a_cursor_keeps_to_its_currency_when_another_becomes_usual(shelf: list[Made]) -> None:
    query = SearchQuery(sort="price")
    first = search(VISITOR, query, limit=3)
    put(*(Made(name=f"yen-{n}", prices=(("JPY", 1),)) for n in range(9)))

    second = search(VISITOR, query, limit=2, cursor=first.next_cursor)

    assert second.currency == "EUR"
    assert names(second.rows) == ["alice/five", "alice/nineteen"]
    assert search(VISITOR, query, limit=2).currency == "JPY"
    with pytest.raises(BadCursorError):
        search(
            VISITOR, SearchQuery(sort="price", currency="JPY"), limit=2, cursor=first.next_cursor
        )
    with pytest.raises(BadCursorError):
        search(VISITOR, SearchQuery(sort="price_high"), limit=2, cursor=first.next_cursor)


@pytest.mark.parametrize(
    "phase",
    ["price", "price.EUR", "price.XAU.asked", "price.EUR' OR 'a.asked", "price.eur.asked", "likes"],
)
def test_cursors_of_no_price_are_refused(phase: str, shelf: list[Made]) -> None:
    cursor = encode_cursor([phase, 500, shelf[2].repo_id])

    with pytest.raises(BadCursorError):
        search(VISITOR, SearchQuery(sort="price"), limit=2, cursor=cursor)


def test_a_price_that_changes_is_found_at_once(shelf: list[Made]) -> None:
    assert found(price_min="4", price_max="6") == ["five"]

    ListingPrice.objects.filter(listing_id=shelf[2].repo_id, currency="EUR").update(
        amount_minor=700
    )

    assert found(price_min="4", price_max="6") == []
    assert found(price_min="7", price_max="7") == ["five"]
    Listing.objects.filter(pk=shelf[2].repo_id).update(price_kinds=["free"])
    assert "five" in found(price="free")


def test_amounts_finer_than_the_currency_are_rounded_inwards() -> None:
    query = SearchQuery(price_min=Decimal("4.991"), price_max=Decimal("7.999"))

    inward = query.in_currency("EUR")

    assert (inward.price_min, inward.price_max) == (Decimal("5.00"), Decimal("7.99"))
    assert [chip.text for chip in inward.chips] == ["€5 to €7.99"]
    assert [chip.text for chip in query.chips] == ["4.991 to 7.999"]
    assert query.in_currency("JPY").price_max == 7


def test_the_api_shows_prices_and_says_which_currency_it_compared(
    client: Client, shelf: list[Made]
) -> None:
    answer = client.get("/api/v1/models?sort=price&price=paid&facets=1").json()

    assert answer["currency"] == "EUR"
    assert [row["id"] for row in answer["results"]][:2] == ["alice/any", "alice/five"]
    five = answer["results"][1]
    assert five["price_kinds"] == ["paid"]
    assert five["prices"] == [
        {"currency": "EUR", "amount_minor": 500, "amount": "5.00"},
        {"currency": "USD", "amount_minor": 550, "amount": "5.50"},
    ]
    assert {facet["name"] for facet in answer["facets"]} >= {"price"}


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("price_max=-1", "price_max"),
        ("price_max=9999999999999", "price_max"),
        ("price_max=1.999&currency=EUR", "price_max"),
        ("price_min=many", "price_min"),
        ("price_min=5&price_max=4", "price_min"),
        ("currency=DOUBLOON", "currency"),
        ("price=cheap", "price"),
        ("sort=price_low", "sort"),
    ],
)
def test_the_api_refuses_what_means_nothing(client: Client, query: str, parameter: str) -> None:
    answer = client.get(f"/api/v1/models?{query}")

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_query"
    assert answer.json()["error"]["extra"] == {"parameter": parameter}


def test_the_page_filters_sorts_and_says_how(client: Client, shelf: list[Made]) -> None:
    page = client.get(
        "/models?sort=price_high&price_max=5&currency=usd", headers={"accept": "text/html"}
    ).text

    assert "Prices are compared in USD" in page
    assert "Price: ≤ $5" in page
    assert "<option selected>USD</option>" in page
    assert "alice/gift" in page
    assert "alice/five" not in page
    junk = client.get("/models?price_max=-5&currency=XAU", headers={"accept": "text/html"})
    assert junk.status_code == 200
    assert "Prices are compared" not in junk.text
