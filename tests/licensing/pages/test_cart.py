from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from catalog.models import ModelRepo
from licensing.models import Coupon, Offer
from licensing.services.carts import Cart, look_at, possible_holders, put_in, with_changes
from licensing.services.offers import NewPrice, make_offer, set_active
from licensing.services.pricing import MAX_LINES, BadQuantityError, BadWishError, Item
from licensing.services.upstream import set_ask
from store.core.money import BadAmountError, BadCurrencyError
from tests.factories import PASSWORD, add_files, make_org, make_user
from tests.licensing.pages.buying import get, post, put_in_cart, text_of, visible
from tests.licensing.selling.shop import BILLING, FIXED, Shop, make_model, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


def wanted(shop: Shop, **changes: Any) -> Offer:
    return make_offer(shop.selling, [shop.repo], replace(FIXED, **changes))


def test_an_empty_cart_shows_the_way_on(client: Client) -> None:
    page = get(client, "/cart")

    assert "Your cart is empty" in visible(page)
    assert 'href="/models"' in page


def test_a_visitor_fills_changes_and_empties_the_cart(client: Client) -> None:
    shop = open_shop()
    put_in_cart(client, shop.offer)
    page = get(client, "/cart")
    assert "“Commercial” is in your cart." in visible(page)
    assert "Total €19.00" in visible(page)
    assert "Cart: 1 license" in visible(page)

    quantity = f"quantity-{shop.offer.public_id}"
    assert post(client, "/cart", {quantity: "3"}).status_code == 302
    assert "Total €57.00" in visible(get(client, "/cart"))
    assert "Cart: 3 licenses" in visible(get(client, "/cart"))

    post(client, "/cart", {"remove": shop.offer.public_id})
    assert "Your cart is empty" in visible(get(client, "/cart"))


def test_quantity_0_takes_it_out(client: Client) -> None:
    shop = open_shop()
    put_in_cart(client, shop.offer)

    post(client, "/cart", {f"quantity-{shop.offer.public_id}": "0"})

    assert "Your cart is empty" in visible(get(client, "/cart"))


def test_putting_it_in_twice_keeps_one(client: Client) -> None:
    shop = open_shop()
    put_in_cart(client, shop.offer)
    put_in_cart(client, shop.offer)

    assert "Total €19.00" in visible(get(client, "/cart"))


def test_buy_goes_to_the_checkout_unless_more_is_in_the_cart(client: Client) -> None:
    shop = open_shop()
    other = wanted(shop, title="Other")

    assert post(client, "/cart/add", {"buy": shop.offer.public_id})["Location"] == "/checkout"
    assert post(client, "/cart/add", {"buy": other.public_id})["Location"] == "/cart"


@pytest.mark.parametrize("quantity", ["-1", "1.5", "ten", "10001", "9" * 30, "²"])
def test_a_bad_quantity_changes_nothing(client: Client, quantity: str) -> None:
    shop = open_shop()
    put_in_cart(client, shop.offer)

    answer = post(client, "/cart", {f"quantity-{shop.offer.public_id}": quantity})

    assert "A quantity is between 1 and 10000." in text_of(answer, 400)
    assert "Total €19.00" in visible(get(client, "/cart"))


def test_offers_that_are_none(client: Client) -> None:
    shop = open_shop()
    for ident in ("", "0" * 24, "x\x01"):
        assert post(client, "/cart/add", {"add": ident}).status_code == 404
    second = wanted(shop)
    set_active(shop.selling, second, is_active=False)
    assert post(client, "/cart/add", {"add": second.public_id}).status_code == 409
    shop.repo.__class__.objects.update(is_private=True)
    assert post(client, "/cart/add", {"add": shop.offer.public_id}).status_code == 404

    assert "Your cart is empty" in visible(get(client, "/cart"))


def test_an_offer_that_ended_is_marked_at_its_line(client: Client) -> None:
    shop = open_shop()
    other = wanted(shop, title="Other")
    put_in_cart(client, shop.offer)
    put_in_cart(client, other)
    set_active(shop.selling, other, is_active=False)

    words = visible(get(client, "/cart"))

    assert "“Other” is not for sale now." in words
    assert "Go to checkout" not in words
    post(client, "/cart", {"remove": other.public_id})
    assert "Go to checkout" in visible(get(client, "/cart"))


def test_an_offer_that_is_gone_is_marked_at_its_line(client: Client) -> None:
    shop = open_shop()
    other = wanted(shop)
    put_in_cart(client, other)
    other.delete()

    words = visible(get(client, "/cart"))

    assert "An offer that is gone" in words
    assert "There is no such offer." in words


def test_currencies_are_chosen_for_the_whole_cart(client: Client) -> None:
    shop = open_shop(prices=(NewPrice("EUR", 1900), NewPrice("USD", 2100)))
    euros = wanted(shop, title="Euros")
    put_in_cart(client, shop.offer)
    put_in_cart(client, euros)

    post(client, "/cart", {"currency": "USD"})
    words = visible(get(client, "/cart"))
    assert "“Euros” is not sold in USD, but in EUR." in words
    assert "$21.00" in words

    assert post(client, "/cart", {"currency": "XX"}).status_code == 400
    assert "is not sold in USD" in visible(get(client, "/cart"))


def test_the_buyer_names_the_price(client: Client) -> None:
    shop = open_shop(
        kind=Offer.Kind.PAY_WHAT_YOU_WANT, prices=(NewPrice("EUR", 500, suggested_minor=1200),)
    )
    amount = f"amount-{shop.offer.public_id}"

    put_in_cart(client, shop.offer, **{amount: "7,50"})
    assert "Total €7.50" in visible(get(client, "/cart"))
    post(client, "/cart", {amount: "20"})
    assert "Total €20.00" in visible(get(client, "/cart"))
    post(client, "/cart", {amount: "4.99"})
    assert "The least for “Commercial” is €5.00." in visible(get(client, "/cart"))
    assert post(client, "/cart", {amount: "much"}).status_code == 400
    post(client, "/cart", {amount: ""})
    assert "Total €12.00" in visible(get(client, "/cart"))
    put_in_cart(client, shop.offer, **{amount: "6"})
    assert "Total €6.00" in visible(get(client, "/cart"))


def test_a_bad_amount_in_the_buy_box_puts_nothing_in(client: Client) -> None:
    shop = open_shop(kind=Offer.Kind.PAY_WHAT_YOU_WANT, prices=(NewPrice("EUR", 500),))

    answer = post(
        client,
        "/cart/add",
        {"buy": shop.offer.public_id, "currency": "EUR", f"amount-{shop.offer.public_id}": "-3"},
    )

    assert answer["Location"] == "/maria/haiku-gpt#get"
    assert "Your cart is empty" in visible(get(client, "/cart"))


def test_a_coupon_lowers_the_total_or_says_why_not(client: Client) -> None:
    shop = open_shop()
    Coupon.objects.create(namespace=shop.seller.namespace, code="SPRING", basis_points=2500)
    put_in_cart(client, shop.offer)

    post(client, "/cart", {"coupon": " spring "})
    words = visible(get(client, "/cart"))
    assert "Coupon SPRING \u2212€4.75" in words
    assert "Total €14.25" in words

    post(client, "/cart", {"coupon": "WINTER"})
    words = visible(get(client, "/cart"))
    assert "There is no such coupon." in words
    assert "Go to checkout" not in words


def test_a_subscription_is_ordered_alone(client: Client) -> None:
    shop = open_shop()
    monthly = wanted(shop, kind=Offer.Kind.SUBSCRIPTION, interval="month")
    put_in_cart(client, shop.offer)
    put_in_cart(client, monthly)

    assert "A subscription is ordered alone." in visible(get(client, "/cart"))


def test_the_cart_survives_signing_in(client: Client) -> None:
    shop = open_shop()
    put_in_cart(client, shop.offer)
    answer = post(client, "/cart", {"go": "1"})
    assert answer["Location"] == "/checkout"
    assert get(client, "/checkout", 302) == ""

    post(client, "/login", {"username": "ada", "password": PASSWORD, "next": "/checkout"})

    assert "Commercial" in visible(get(client, "/checkout"))


def test_a_member_who_may_write_can_buy_for_the_team(browser_of: Browser) -> None:
    shop = open_shop()
    make_org("acme", ada="write")
    make_org("readers", ada="read")
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)

    page = get(browser, "/cart")
    assert 'value="acme"' in page
    assert 'value="readers"' not in page
    post(browser, "/cart", {"holder": "acme"})
    assert '<option value="acme" selected>' in get(browser, "/cart")

    post(browser, "/cart", {"holder": "readers"})
    words = visible(get(browser, "/cart"))
    assert "You may not buy for readers." in words
    assert "Go to checkout" not in words


def test_the_seller_needs_no_license(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.seller)
    put_in_cart(browser, shop.offer)

    assert "You need no license for your own models." in visible(get(browser, "/cart"))


def test_a_cart_holds_so_many_offers() -> None:
    cart = Cart()
    for number in range(MAX_LINES):
        cart = cart.with_item(Item(f"o{number}"), currency="EUR")

    with pytest.raises(BadWishError):
        cart.with_item(Item("more"), currency="EUR")

    assert len(cart.with_item(Item("o1"), currency="EUR").items) == MAX_LINES


def test_a_session_of_another_time_is_an_empty_cart() -> None:
    for kept in (None, {}, {"items": [{"what": 1}]}, {"items": [], "colour": "red"}, 7):
        assert Cart.from_json(kept) == Cart()


@given(
    st.lists(
        st.builds(
            Item,
            st.text("0123456789abcdef", min_size=24, max_size=24),
            st.integers(1, 10_000),
            st.none() | st.integers(0, 10**12),
        ),
        max_size=5,
    ),
    st.text(max_size=20),
)
def test_a_cart_comes_back_from_its_session(items: list[Item], coupon: str) -> None:
    cart = Cart(tuple(items), "EUR", coupon, "acme")

    assert Cart.from_json(cart.to_json()) == cart


def test_another_currency_forgets_amounts() -> None:
    cart = Cart((Item("a", 2, 700),), "EUR")

    assert cart.in_currency("usd") == Cart((Item("a", 2, None),), "USD")
    assert cart.in_currency("EUR") is cart
    with pytest.raises(BadCurrencyError):
        cart.in_currency("XX")


def test_changes_are_all_or_nothing() -> None:
    cart = Cart((Item("a", 2, 700), Item("b")), "EUR")
    same: dict[str, Any] = {"currency": "EUR", "coupon": "", "holder": ""}

    changed = with_changes(cart, quantities={"a": "5"}, amounts={"a": "8"}, **same)
    assert changed.items == (Item("a", 5, 800), Item("b"))
    with pytest.raises(BadQuantityError):
        with_changes(cart, quantities={"a": "1", "b": "x"}, amounts={}, **same)
    with pytest.raises(BadAmountError):
        with_changes(cart, quantities={}, amounts={"a": "x"}, **same)
    assert with_changes(cart, quantities={"a": "0", "b": "0"}, amounts={}, **same) == Cart()


def test_put_in_takes_the_offers_currency_where_the_cart_has_none() -> None:
    shop = open_shop(prices=(NewPrice("JPY", 2000),))
    free = make_offer(
        shop.selling, [make_model(shop.seller, "free")], replace(FIXED, kind="free", prices=())
    )

    assert put_in(Cart(), shop.offer).currency == "JPY"
    assert put_in(Cart(), free).currency == "EUR"
    assert put_in(Cart((Item("a"),), "USD"), free).currency == "USD"
    assert put_in(Cart(), shop.offer, amount_minor=5).items[0].amount_minor is None


def test_a_view_of_nothing_costs_no_query(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert look_at(VISITOR, Cart()).lines == ()


def test_teams_to_buy_for_are_in_order_of_their_names() -> None:
    user = make_user("ada")
    make_org("zoo", ada="admin")
    make_org("acme", ada="write")

    assert [found.name for found in possible_holders(Viewer(user=user))] == ["acme", "zoo"]


@pytest.mark.parametrize("is_closed", [False, True], ids=["sold", "one is closed"])
def test_a_cart_takes_as_many_queries_whatever_is_in_it(is_closed: bool) -> None:
    """Also from several sellers, whose models were made from others that ask for a share."""
    buyer = make_user("bob")
    base = make_model(make_user("zoe"), "base")
    set_ask(Viewer(user=base.namespace.user), base, 1000)
    cart = Cart()
    counts: list[int] = []
    for number in range(4):
        seller = make_user(f"seller{number}")
        repo = make_model(seller, "tuned")
        card = b"---\nlicense: mit\nbase_model: zoe/base\n---\n# hi\n"
        add_files(seller, repo, {"README.md": card})
        repo = ModelRepo.objects.select_related("namespace").get(pk=repo.pk)
        offer = make_offer(Viewer(user=seller), [repo], FIXED)
        cart = put_in(cart, offer, currency="EUR")
        if is_closed and not counts:
            set_active(Viewer(user=seller), offer, is_active=False)
        viewer = Viewer(user=buyer)
        with CaptureQueriesContext(connection) as asked:
            view = look_at(viewer, cart, BILLING)
        counts.append(len(asked))
        assert (view.priced is None) == is_closed
        assert [line.problem is not None for line in view.lines] == ([is_closed] + [False] * number)

    assert len(set(counts[1:])) == 1, counts
