import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from licensing.gateways.base import Checkout, GatewayError
from licensing.gateways.sandbox import Sandbox
from licensing.models import Coupon, License, Offer, Order, Payment, Quote, SellerProfile
from licensing.services import placing
from licensing.services.offers import NewPrice, change_offer, make_offer, set_active
from licensing.services.ordering import IdempotencyKeyReusedError
from licensing.services.pricing import Item
from licensing.services.quotes import TermsChangedError
from tests.factories import make_org
from tests.licensing.pages.buying import (
    ADDRESS,
    CARD,
    bought,
    filled,
    get,
    hidden,
    post,
    put_in_cart,
    text_of,
    visible,
)
from tests.licensing.selling.shop import BILLING, FIXED, Shop, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


def selling_in(shop: Shop, country: str) -> None:
    SellerProfile.objects.create(
        namespace=shop.seller.namespace,
        country=country,
        is_registered=True,
        vat_number="DE136695976" if country == "DE" else "",
    )


def test_a_visitor_signs_in_first(client: Client) -> None:
    shop = open_shop()
    put_in_cart(client, shop.offer)

    answer = client.get("/checkout", headers={"accept": "text/html"})

    assert answer["Location"] == "/login?next=%2Fcheckout"
    assert not Quote.objects.exists()


def test_a_token_does_not_open_it(client: Client, bearer: Callable[..., dict[str, str]]) -> None:
    shop = open_shop()

    answer = client.get("/checkout", headers=bearer(shop.buyer, "buy"))

    assert answer.status_code == 403


def test_an_empty_cart_leads_back(browser_of: Browser) -> None:
    shop = open_shop()

    assert browser_of(shop.buyer).get("/checkout")["Location"] == "/cart"


def test_a_cart_that_cannot_be_bought_leads_back(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    set_active(shop.selling, shop.offer, is_active=False)

    assert browser.get("/checkout")["Location"] == "/cart"
    assert post(browser, "/checkout", ADDRESS | {"update": "1"})["Location"] == "/cart"


def test_from_the_cart_to_a_license(browser_of: Browser) -> None:
    shop = open_shop()
    selling_in(shop, "DE")
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)

    page = get(browser, "/checkout")
    assert "no real money" in visible(page)
    assert "Pay €" not in visible(page)
    assert shop.offer.terms_id in page
    assert "checked" not in re.findall(r'<input type="checkbox"[^>]*>', page)[0]

    form = filled(browser)
    answer = post(browser, "/checkout", form)
    assert re.fullmatch(r"/sandbox/\w{24}", answer["Location"])
    order = Order.objects.get()
    assert (order.net_minor, order.tax_minor, order.gross_minor) == (1900, 361, 2261)
    assert order.billing["city"] == "Berlin"
    assert order.terms_accepted_at
    assert "Your cart is empty" in visible(get(browser, "/cart"))

    assert (
        post(browser, answer["Location"], {"card": CARD})["Location"]
        == f"/orders/{order.public_id}"
    )
    assert License.objects.get().holder == shop.buyer.namespace


def test_the_tax_is_shown_as_soon_as_the_country_is_known(browser_of: Browser) -> None:
    shop = open_shop()
    selling_in(shop, "DE")
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    half = {"kind": "person", "country": "DE", "region": "", "vat_number": "", "update": "1"}

    whole = text_of(post(browser, "/checkout", half))
    part = browser.post("/checkout", half, headers={"accept": "text/html", "hx-request": "true"})
    fragment = text_of(part)  # type: ignore[arg-type]

    for page in (whole, fragment):
        words = visible(page)
        assert "Without tax €19.00" in words
        assert "VAT DE 19" in words
        assert "Pay €22.61" in words
        assert "This field is required" not in words
    assert "<html" in whole
    assert "<html" not in fragment
    assert "<form" not in fragment


def test_a_double_click_and_a_reload_buy_once(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    form = filled(browser)

    first, again = post(browser, "/checkout", form), post(browser, "/checkout", form)
    order = Order.objects.get()
    assert first["Location"].startswith("/sandbox/")
    assert again["Location"] == f"/orders/{order.public_id}"

    put_in_cart(browser, shop.offer)
    assert post(browser, "/checkout", form)["Location"] == f"/orders/{order.public_id}"
    assert Order.objects.count() == 1


def test_the_same_page_sent_twice_at_once_buys_once(browser_of: Browser) -> None:
    """Both requests are past the first look when the order is made."""
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    form = filled(browser)
    cart = placing.Cart.from_json(browser.session["cart"])
    sent: dict[str, Any] = {
        "quote_id": form["quote"],
        "key": form["key"],
        "accepted_terms": form["terms"],
    }
    first, _new = placing.place(shop.buying, cart, billing=Order().billing | BILLING, **sent)

    with pytest.MonkeyPatch.context() as patch:
        looks = iter([None, first])
        patch.setattr(placing, "order_under", lambda _user, _key: next(looks))
        again, is_new = placing.place(shop.buying, cart, billing=BILLING | {"city": "Bonn"}, **sent)

    assert (again, is_new) == (first, False)
    assert Order.objects.count() == 1


def test_terms_must_be_ticked(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)

    page = text_of(post(browser, "/checkout", filled(browser) | {"terms": []}), 409)

    assert "Accept the terms first." in visible(page)
    assert 'value="Lindenallee 1"' in page
    assert not Order.objects.exists()
    assert "Commercial" in visible(get(browser, "/cart"))


def test_an_address_with_faults_is_shown_again(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)

    page = text_of(post(browser, "/checkout", filled(browser) | {"city": ""}), 400)

    assert "Something in the address needs mending." in visible(page)
    assert "This field is required." in visible(page)
    assert not Order.objects.exists()


def test_a_price_that_changed_is_told_and_nothing_ordered(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    form = filled(browser)
    change_offer(shop.selling, shop.offer, replace(FIXED, prices=(NewPrice("EUR", 2900),)))

    page = text_of(post(browser, "/checkout", form), 409)
    words = visible(page)

    assert "“Commercial” cost €19.00; now it costs €29.00." in words
    assert "The total was €19.00; now it is €29.00." in words
    assert "Pay €29.00" in words
    assert not Order.objects.exists()
    again = form | {"quote": hidden(page, "quote"), "key": hidden(page, "key")}
    assert post(browser, "/checkout", again).status_code == 302
    assert Order.objects.get().gross_minor == 2900


def test_terms_that_changed_are_told_and_must_be_ticked_anew(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    form = filled(browser)
    change_offer(shop.selling, shop.offer, replace(FIXED, terms_id="store-research"))

    page = text_of(post(browser, "/checkout", form), 409)

    assert "The terms of “Commercial” are other ones now." in visible(page)
    assert "checked" not in re.findall(r'<input type="checkbox"[^>]*>', page)[0]
    assert not Order.objects.exists()


def test_an_address_that_changes_the_tax_is_told_first(browser_of: Browser) -> None:
    shop = open_shop()
    selling_in(shop, "DE")
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    form = filled(browser)

    page = text_of(post(browser, "/checkout", form | {"country": "CH"}), 409)

    assert "The total was €22.61; now it is €19.00." in visible(page)
    assert not Order.objects.exists()


def test_what_came_to_the_cart_in_another_tab_is_told_first(browser_of: Browser) -> None:
    shop = open_shop()
    other = make_offer(shop.selling, [shop.repo], replace(FIXED, title="Other"))
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    form = filled(browser)
    put_in_cart(browser, other)
    post(browser, "/cart", {"remove": shop.offer.public_id})

    words = visible(text_of(post(browser, "/checkout", form), 409))

    assert "“Other” came to the cart." in words
    assert "“Commercial” left the cart." in words
    assert not Order.objects.exists()


@pytest.mark.parametrize("quote", ["", "0" * 24])
def test_a_page_that_is_too_old(browser_of: Browser, quote: str) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)

    page = text_of(post(browser, "/checkout", filled(browser) | {"quote": quote}), 409)

    assert "This page is too old." in visible(page)
    assert not Order.objects.exists()


def test_an_expired_quote(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    form = filled(browser)
    Quote.objects.update(expires_at="2020-01-01T00:00Z")

    page = text_of(post(browser, "/checkout", form), 409)

    assert "This page is too old." in visible(page)
    assert not Order.objects.exists()


def test_a_cart_emptied_in_another_tab_orders_nothing(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    form = filled(browser)
    post(browser, "/cart", {"remove": shop.offer.public_id})

    assert post(browser, "/checkout", form)["Location"] == "/cart"
    assert not Order.objects.exists()


def test_a_coupon_that_was_used_up_meanwhile(browser_of: Browser) -> None:
    shop = open_shop()
    coupon = Coupon.objects.create(
        namespace=shop.seller.namespace, code="ONE", basis_points=5000, most_uses=1
    )
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    post(browser, "/cart", {"coupon": "ONE"})
    form = filled(browser)
    coupon.is_active = False
    coupon.save()

    assert post(browser, "/checkout", form)["Location"] == "/cart"
    assert not Order.objects.exists()


def test_a_subscription_tells_what_every_period_costs(browser_of: Browser) -> None:
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    Coupon.objects.create(namespace=shop.seller.namespace, code="ALL", basis_points=10_000)
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)

    assert "Each period costs the same" in visible(get(browser, "/checkout"))
    assert "The coupon lowers every period." not in visible(get(browser, "/checkout"))
    post(browser, "/cart", {"coupon": "ALL"})
    page = visible(get(browser, "/checkout"))

    assert "The coupon lowers every period." in page
    assert "Each period costs the same" in page
    assert "Get it free" in page


def test_a_discount_that_ends_is_told_before_it_is_paid(browser_of: Browser) -> None:
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    SellerProfile.objects.create(
        namespace=shop.repo.namespace, country="DE", is_registered=True, vat_number="DE136695976"
    )
    coupon = Coupon.objects.create(
        namespace=shop.repo.namespace, code="HALF", basis_points=5000, periods=3
    )
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    post(browser, "/cart", {"coupon": "HALF"})
    told = "€9.50 a month for the first 3 months, then €19.00 a month."
    assert told in visible(get(browser, "/cart"))
    assert told in visible(get(browser, "/checkout"))

    form = filled(browser)
    page = visible(text_of(post(browser, "/checkout", ADDRESS | {"update": "1"})))
    answer = post(browser, "/checkout", form)

    told = "€11.31 a month for the first 3 months, then €22.61 a month."
    assert told in page
    assert "That is paid until you end it" in page
    assert "The coupon lowers every period." not in page
    assert "Each period costs the same" not in page
    assert "Pay €11.31" in page
    assert answer.status_code == 302
    order = Order.objects.get()
    assert told in visible(get(browser, f"/orders/{order.public_id}"))
    coupon.periods = 1
    coupon.save()
    assert told in visible(get(browser, f"/orders/{order.public_id}"))


def test_a_year_is_told_by_its_name(browser_of: Browser) -> None:
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="year")
    namespace = shop.repo.namespace
    Coupon.objects.create(namespace=namespace, code="ONE", basis_points=5000, periods=1)
    Coupon.objects.create(namespace=namespace, code="TWO", basis_points=5000, periods=2)
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)

    post(browser, "/cart", {"coupon": "ONE"})
    assert "€9.50 for the first year, then €19.00 a year." in visible(get(browser, "/cart"))
    post(browser, "/cart", {"coupon": "TWO"})
    words = visible(get(browser, "/cart"))

    assert "€9.50 a year for the first 2 years, then €19.00 a year." in words


def test_what_would_be_free_at_first_alone_is_not_ordered(browser_of: Browser) -> None:
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    Coupon.objects.create(
        namespace=shop.repo.namespace, code="MUCH", amount_minor=2000, currency="EUR", periods=1
    )
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    post(browser, "/cart", {"coupon": "MUCH"})

    words = visible(get(browser, "/cart"))

    assert "would make the first periods free and not the later ones" in words
    assert post(browser, "/checkout", ADDRESS | {"pay": "1"})["Location"] == "/cart"
    assert not Order.objects.exists()
    assert not Quote.objects.exists()


def test_a_country_without_its_region_shows_no_total(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)

    page = text_of(post(browser, "/checkout", ADDRESS | {"country": "US", "update": "1"}))

    assert "Show the total with tax" in visible(page)


def test_a_free_license_needs_no_address(browser_of: Browser) -> None:
    shop = open_shop(kind=Offer.Kind.FREE, prices=())
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)

    page = get(browser, "/checkout")
    assert "Who the invoice is made out to" not in visible(page)
    form = {
        "pay": "1",
        "terms": [shop.offer.terms_id],
        "quote": hidden(page, "quote"),
        "key": hidden(page, "key"),
    }
    answer = post(browser, "/checkout", form)

    order = Order.objects.get()
    assert answer["Location"] == f"/orders/{order.public_id}"
    assert order.state == Order.State.FULFILLED
    assert not Payment.objects.exists()
    assert License.objects.get().licensee == "ada"


def test_the_last_address_is_proposed_again(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    bought(browser, shop)
    shop.buy("script", billing={"country": "FR", "name": "A script"})
    put_in_cart(browser, shop.offer)

    page = get(browser, "/checkout")

    assert 'value="Lindenallee 1"' in page
    assert "Pay €19.00" in visible(page)


def test_for_a_team(browser_of: Browser) -> None:
    shop = open_shop()
    make_org("acme", ada="write")
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    post(browser, "/cart", {"holder": "acme"})

    bank = post(browser, "/checkout", filled(browser))["Location"]
    post(browser, bank, {"card": CARD})

    assert License.objects.get().holder.name == "acme"


def test_a_gateway_that_is_away_keeps_the_order(
    browser_of: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    form = filled(browser)

    def away(*_args: object) -> None:
        raise GatewayError("away")

    with monkeypatch.context() as patch:
        patch.setattr(Sandbox, "start", away)
        answer = post(browser, "/checkout", form)

    order = Order.objects.get()
    assert answer["Location"] == f"/orders/{order.public_id}"
    words = visible(get(browser, answer["Location"]))
    assert "The payment service does not answer." in words
    assert "Pay €19.00" in words
    assert post(browser, f"/orders/{order.public_id}/pay")["Location"].startswith("/sandbox/")


def test_a_page_of_another_site_is_reached_by_one_in_between(browser_of: Browser) -> None:
    shop = open_shop()
    order = shop.order()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Sandbox, "start", lambda _self, _charge: checkout_at("https://pay.example/c/1?a=1&b=2")
        )
        page = text_of(post(browser_of(shop.buyer), f"/orders/{order.public_id}/pay"))

    assert 'content="0; url=https://pay.example/c/1?a=1&amp;b=2"' in page
    assert 'href="https://pay.example/c/1?a=1&amp;b=2"' in page


def checkout_at(url: str) -> Checkout:
    return Checkout(url=url)


def test_a_way_to_pay_is_chosen_where_there_are_several(browser_of: Browser, settings: Any) -> None:
    settings.ENV = settings.ENV.model_copy(update={"gateways": ("sandbox", "invoice")})
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)

    page = text_of(post(browser, "/checkout", ADDRESS | {"update": "1"}))

    assert 'name="gateway"' in page
    assert "Bank transfer" in visible(page)
    answer = post(browser, "/checkout", filled(browser) | {"gateway": "nonsense"})
    assert answer["Location"].startswith("/sandbox/")


def test_a_rate_nobody_knows_shows_no_total(browser_of: Browser) -> None:
    shop = open_shop()
    selling_in(shop, "BR")
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)

    there = ADDRESS | {"country": "BR", "update": "1"}
    words = visible(text_of(post(browser, "/checkout", there), 422))

    assert "The store knows no tax rate of Brazil" in words
    assert "Pay €" not in words
    assert "Show the total with tax" in words


def test_an_order_that_came_to_be_meanwhile_leaves_the_cart(
    browser_of: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    put_in_cart(browser, shop.offer)
    form = filled(browser)
    order = shop.order()
    looks = iter([None, order])
    monkeypatch.setattr(placing, "order_under", lambda _user, _key: next(looks))

    answer = post(browser, "/checkout", form)

    assert answer["Location"].startswith("/sandbox/")
    assert Order.objects.get() == order
    assert "Commercial" in visible(get(browser, "/cart"))


def test_a_key_of_another_purchase_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop()
    cart = placing.Cart((Item(shop.offer.public_id),), "EUR")
    quote, priced = placing.show_quote(shop.buying, cart, BILLING)
    shop.order("used")
    monkeypatch.setattr(placing, "order_under", lambda _user, _key: None)

    with pytest.raises(IdempotencyKeyReusedError):
        placing.place(
            shop.buying,
            cart,
            quote_id=quote.public_id,
            key="used",
            billing=BILLING,
            accepted_terms=priced.terms,
        )

    assert Order.objects.count() == 1


def test_other_terms_with_another_address_are_told_as_terms() -> None:
    shop = open_shop()
    cart = placing.Cart((Item(shop.offer.public_id),), "EUR")
    quote, priced = placing.show_quote(shop.buying, cart, {})
    change_offer(shop.selling, shop.offer, replace(FIXED, terms_id="store-research"))

    with pytest.raises(TermsChangedError):
        placing.place(
            shop.buying,
            cart,
            quote_id=quote.public_id,
            key="k",
            billing=BILLING,
            accepted_terms=priced.terms,
        )

    assert not Order.objects.exists()
