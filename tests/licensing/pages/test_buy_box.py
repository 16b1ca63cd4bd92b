from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from catalog.models import ModelRepo
from catalog.services.collection_items import add_item
from catalog.services.collections import NewCollection, create_collection
from licensing.models import Offer
from licensing.services import refunds
from licensing.services.offers import NewPrice, make_offer, set_active, set_opening
from tests.factories import make_org, make_user
from tests.licensing.pages.buying import get, visible
from tests.licensing.selling.shop import FIXED, Shop, make_model, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
PAGE = "/maria/haiku-gpt"


def test_a_visitor_sees_price_terms_and_rights(client: Client) -> None:
    shop = open_shop(description="For products.", seats=3, term_days=730)

    page = get(client, PAGE)
    words = visible(page)

    assert "Buy Commercial · €19" in words
    assert "3 machines · for 2 years · all updates" in words
    assert "For products." in words
    assert "Commercial use: yes" in words
    assert f'href="/terms/{shop.offer.terms_id}"' in page
    assert "Price €19" in words  # the fact strip
    assert "For sale" in words
    assert "Buy · €19" in words  # the phone's bar
    assert "Download all" not in words


def test_a_free_model_has_no_buy_box(client: Client) -> None:
    make_model(make_user("maria"), "haiku-gpt")

    page = get(client, PAGE)

    assert "Buy" not in visible(page)
    assert "Download all" in page


def test_a_launch_price_says_until_when_and_what_comes_after(client: Client) -> None:
    until = timezone.now() + timedelta(days=10)
    open_shop(prices=(NewPrice("EUR", 2900, launch_minor=1900, launch_until=until),))

    words = visible(get(client, PAGE))

    assert "Regular price: €29 now: €19" in words
    assert "Launch price until" in words


def test_a_launch_that_is_over_is_not_spoken_of(client: Client) -> None:
    shop = open_shop()
    shop.offer.prices.update(launch_minor=900, launch_until=timezone.now() - timedelta(seconds=1))

    words = visible(get(client, PAGE))

    assert "Buy Commercial · €19" in words
    assert "Launch" not in words


def test_prices_in_the_currency_the_reader_chose(client: Client) -> None:
    open_shop(prices=(NewPrice("EUR", 1900), NewPrice("USD", 2150)))

    euros, dollars = get(client, PAGE), get(client, f"{PAGE}?currency=USD")
    nonsense = get(client, f"{PAGE}?currency=ZZZ")

    assert "Buy Commercial · €19" in visible(euros)
    assert "Buy Commercial · $21.50" in visible(dollars)
    assert "Buy Commercial · €19" in visible(nonsense)
    assert '<option value="USD" selected>' in dollars


def test_each_kind_of_offer_in_its_words(client: Client) -> None:
    shop = open_shop(title="Once")
    kinds: list[dict[str, Any]] = [
        {"title": "Research", "kind": Offer.Kind.FREE, "prices": ()},
        {
            "title": "Thanks",
            "kind": Offer.Kind.PAY_WHAT_YOU_WANT,
            "prices": (NewPrice("EUR", 500, suggested_minor=1200),),
        },
        {
            "title": "Anything",
            "kind": Offer.Kind.PAY_WHAT_YOU_WANT,
            "prices": (NewPrice("EUR", 0),),
            "seats": 0,
            "term_days": 30,
            "updates": "major",
        },
        {
            "title": "Monthly",
            "kind": Offer.Kind.SUBSCRIPTION,
            "interval": "month",
            "updates": "revision",
            "seat_kind": "people",
            "is_tax_included": True,
        },
    ]
    for changes in kinds:
        make_offer(shop.selling, [shop.repo], replace(FIXED, **changes))

    page = get(client, PAGE)
    words = visible(page)

    assert "Get Research · free" in words
    assert "at least €5" in words
    assert 'value="12.00"' in page
    assert "0 is fine, too" in words
    assert "any number of machines · for 30 days · updates of this major version" in words
    assert "Buy Monthly · €19 a month" in words
    assert "1 person · for as long as it is paid · this revision only" in words
    assert "Tax is included." in words


def test_a_bundle_names_its_models(client: Client) -> None:
    shop = open_shop()
    other = make_model(shop.seller, "tanka-gpt")
    make_offer(shop.selling, [shop.repo, other], FIXED)

    page = get(client, PAGE)

    assert "Together:\n" in page or "Together:" in page
    assert 'href="/maria/tanka-gpt"' in page


def test_the_day_it_opens_for_all(client: Client) -> None:
    shop = open_shop()
    set_opening(shop.selling, shop.repo, timezone.now() + timedelta(days=30))

    assert "Opens for all on" in visible(get(client, PAGE))

    ModelRepo.objects.update(opens_at=timezone.now() - timedelta(seconds=1))
    words = visible(get(client, PAGE))
    assert "Buy" not in words
    assert "Download all" in words


def test_seller_and_team_see_that_they_sell_it(browser_of: Browser) -> None:
    shop = open_shop()

    words = visible(get(browser_of(shop.seller), PAGE))

    assert "You sell this" in words
    assert "1 offer" in words
    assert "Download all" in words
    assert "Add to cart" not in words


def test_a_holder_sees_the_license_until_it_is_refunded(browser_of: Browser) -> None:
    shop = open_shop()
    order = shop.buy()
    browser = browser_of(shop.buyer)

    page = get(browser, PAGE)
    assert "You have a license" in visible(page)
    assert "Download all" in page
    assert f"/library/{order.lines.get().license.public_id}" in page

    refunds.give_back(shop.selling, order, None, "sorry")
    words = visible(get(browser, PAGE))
    assert "You have a license" not in words
    assert "Buy Commercial · €19" in words


def test_a_team_member_sees_the_teams_license(browser_of: Browser) -> None:
    shop = open_shop()
    mate = make_user("ben")
    make_org("acme", ada="admin", ben="read")
    shop.buy(holder="acme")

    assert "held by acme" in visible(get(browser_of(mate), PAGE))
    assert "You have a license" not in visible(get(browser_of(make_user("eve")), PAGE))


def test_the_list_shows_prices_with_the_same_queries_however_many(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    shop = open_shop()
    get(client, "/models")
    with django_assert_max_num_queries(50) as one:
        page = get(client, "/models")
    assert "€19" in visible(page)

    for number in range(4):
        make_offer(shop.selling, [make_model(shop.seller, f"more-{number}")], FIXED)
    with django_assert_max_num_queries(len(one)):
        page = get(client, "/models")

    assert visible(page).count("€19") == 5


def test_rows_say_from_where_there_are_several_offers(client: Client) -> None:
    shop = open_shop()
    make_offer(shop.selling, [shop.repo], replace(FIXED, prices=(NewPrice("EUR", 900),)))
    assert "from €9" in visible(get(client, "/models"))
    make_offer(shop.selling, [shop.repo], replace(FIXED, kind=Offer.Kind.FREE, prices=()))
    assert "free or from €9" in visible(get(client, "/models"))
    assert "free or from €9" in visible(get(client, "/"))
    assert "free or from €9" in visible(get(client, "/maria"))


def test_what_may_not_be_read_leads_to_the_offers(client: Client, browser_of: Browser) -> None:
    shop = open_shop()
    for reader in (client, browser_of(shop.buyer)):
        page = get(reader, f"{PAGE}/archive/main.zip", 403)
        assert "This needs a license" in visible(page)
        assert "Price: €19" in visible(page)
        assert f'href="{PAGE}#get"' in page
        blob = get(reader, f"{PAGE}/blob/main/config.json")
        assert "for those who hold a license" in visible(blob)
        assert f'href="{PAGE}#get"' in blob


def test_snippets_of_a_sold_model_ask_for_a_token(client: Client) -> None:
    open_shop()

    assert "export HF_TOKEN=hf_" in get(client, PAGE)


def test_an_offer_out_of_sale_is_not_shown(client: Client) -> None:
    shop: Shop = open_shop()
    second = make_offer(shop.selling, [shop.repo], FIXED)
    set_active(shop.selling, second, is_active=False)

    assert visible(get(client, PAGE)).count("Add to cart") == 1


def test_free_licenses_alone_are_free(client: Client) -> None:
    shop = open_shop(kind=Offer.Kind.FREE, prices=())
    assert "Price Free" in visible(get(client, PAGE))
    make_offer(shop.selling, [shop.repo], replace(FIXED, kind=Offer.Kind.FREE, prices=()))

    assert "Price Free" in visible(get(client, PAGE))
    assert "Free" in visible(get(client, "/models"))


def test_a_model_whose_offers_are_gone_for_a_moment(client: Client) -> None:
    shop = open_shop()
    Offer.objects.update(is_active=False)

    words = visible(get(client, PAGE))

    assert "Add to cart" not in words
    assert "Price" not in words
    page = get(client, f"{PAGE}/archive/main.zip", 403)
    assert "See the offers" in page
    assert shop.repo.is_for_sale


def test_a_model_that_opened_is_free_in_lists(client: Client) -> None:
    open_shop()
    ModelRepo.objects.update(opens_at=timezone.now() - timedelta(seconds=1))

    words = visible(get(client, "/models"))

    assert "€19" not in words
    assert "Free" in words


def test_a_price_in_a_collection(client: Client) -> None:
    shop = open_shop()
    shelf = create_collection(shop.selling, NewCollection("Poems"))
    add_item(shop.selling, shelf, kind="model", name="maria/haiku-gpt")

    assert "€19" in visible(get(client, f"/collections/{shelf.slug}"))
