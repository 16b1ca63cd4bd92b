"""How long a license goes on, from its pages: another term is bought, a subscription is ended."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.formats import date_format

from accounts.models import Membership, User
from catalog.models import Grant
from licensing.models import (
    Coupon,
    License,
    Offer,
    Order,
    Price,
    SandboxCharge,
    SellerProfile,
    Subscription,
)
from licensing.services import dunning, periods, refunds
from licensing.services.offers import set_active
from licensing.services.pricing import Item
from tests.factories import make_org, make_user
from tests.licensing.license_api.holding import everything
from tests.licensing.pages.buying import ADDRESS, get, hidden, post, text_of, visible
from tests.licensing.selling.shop import BILLING, Shop, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
State = Subscription.State
TERM = timedelta(days=30)


def license_of(order: Order) -> License:
    return License.objects.select_related("grant", "line").get(line__order=order)


def place(row: License, rest: str = "") -> str:
    return f"/library/{row.public_id}{rest}"


def term_sold(**changes: Any) -> Shop:
    return open_shop(**{"term_days": 30, "title": "Month"} | changes)


def renew_on(client: Client, row: License, **changes: str) -> Any:
    """Look at the page of another term, accept all it says, and pay."""
    page = get(client, place(row, "/renew"))
    sent = ADDRESS | {
        "quote": hidden(page, "quote"),
        "key": hidden(page, "key"),
        "terms": row.terms_id,
        "gateway": "sandbox",
        "pay": "1",
    }
    return post(client, place(row, "/renew"), sent | changes)


def test_another_term_is_bought_from_the_licenses_page(browser_of: Browser) -> None:
    shop = term_sold()
    row, buyer = license_of(shop.buy()), browser_of(shop.buyer)
    ends_at = row.grant.ends_at
    page = get(buyer, place(row))
    assert "Renew · €19.00" in visible(page)
    checkout = get(buyer, place(row, "/renew"))
    assert "Renew “Month”" in visible(checkout)
    assert f'action="{place(row, "/renew")}"' in checkout
    assert 'value="Lindenallee 1"' in checkout

    answer = renew_on(buyer, row)

    order = Order.objects.get(extends=row)
    assert (order.gross_minor, order.billing) == (1900, BILLING)
    assert answer["Location"].startswith("/sandbox/")
    assert Grant.objects.get().ends_at == ends_at
    post(buyer, answer["Location"], {"card": "4242424242424242"})
    assert Grant.objects.get().ends_at == ends_at + TERM
    words = get(buyer, f"/orders/{order.public_id}")
    assert place(row) in words
    assert "GPTS-" not in words
    assert License.objects.count() == 1


def test_a_renewal_leaves_the_cart_alone(browser_of: Browser) -> None:
    shop = term_sold()
    row, buyer = license_of(shop.buy()), browser_of(shop.buyer)
    post(buyer, "/cart/add", {"add": shop.offer.public_id, "currency": "EUR"})

    renew_on(buyer, row)

    assert "Month" in visible(get(buyer, "/cart"))


def test_the_same_page_sent_twice_orders_once(browser_of: Browser) -> None:
    shop = term_sold()
    row, buyer = license_of(shop.buy()), browser_of(shop.buyer)
    page = get(buyer, place(row, "/renew"))
    sent = ADDRESS | {
        "quote": hidden(page, "quote"),
        "key": hidden(page, "key"),
        "terms": row.terms_id,
        "pay": "1",
    }

    for _ in range(2):
        assert post(buyer, place(row, "/renew"), sent).status_code == 302

    assert Order.objects.filter(extends=row).count() == 1


def test_a_price_that_changed_is_said_before_anything_is_ordered(browser_of: Browser) -> None:
    shop = term_sold()
    row, buyer = license_of(shop.buy()), browser_of(shop.buyer)
    page = get(buyer, place(row, "/renew"))
    Price.objects.update(amount_minor=2900)
    sent = ADDRESS | {
        "quote": hidden(page, "quote"),
        "key": hidden(page, "key"),
        "terms": row.terms_id,
        "pay": "1",
    }

    words = visible(text_of(post(buyer, place(row, "/renew"), sent), 409))

    assert "cost €19.00; now it costs €29.00" in words
    assert not Order.objects.filter(extends=row).exists()


def test_tax_comes_on_top_of_another_term(browser_of: Browser) -> None:
    shop = term_sold()
    row, buyer = license_of(shop.buy()), browser_of(shop.buyer)
    SellerProfile.objects.create(
        namespace=shop.repo.namespace, country="DE", is_registered=True, vat_number="DE136695976"
    )

    assert "Renew · €19.00" in visible(get(buyer, place(row)))
    assert "Pay €22.61" in visible(get(buyer, place(row, "/renew")))
    renew_on(buyer, row)

    assert Order.objects.get(extends=row).gross_minor == 2261


def test_a_free_term_needs_no_payment(browser_of: Browser) -> None:
    shop = term_sold(kind=Offer.Kind.FREE, prices=())
    row, buyer = license_of(shop.buy()), browser_of(shop.buyer)
    ends_at = row.grant.ends_at
    assert "Renew free" in visible(get(buyer, place(row)))

    renew_on(buyer, row)

    assert Grant.objects.get().ends_at == ends_at + TERM


def generous(given_minor: int = 2500, quantity: int = 1) -> tuple[Shop, License]:
    """A month at a price of the buyer's, at least €19, that was bought once."""
    shop = term_sold(kind=Offer.Kind.PAY_WHAT_YOU_WANT)
    item = Item(shop.offer.public_id, quantity, given_minor)
    return shop, license_of(shop.buy(items=[item]))


def test_who_named_the_price_names_it_again_if_it_is_enough(browser_of: Browser) -> None:
    shop, row = generous()
    buyer = browser_of(shop.buyer)

    assert "Renew · €25.00" in visible(get(buyer, place(row)))
    page = get(buyer, place(row, "/renew"))
    assert hidden(page, "amount") == "25.00"
    assert "Your price in EUR" in visible(page)
    assert "at least €19" in visible(page)
    assert "For one unit." not in visible(page)
    Price.objects.update(amount_minor=3000, suggested_minor=3500)
    assert "Renew · €35.00" in visible(get(buyer, place(row)))
    assert hidden(get(buyer, place(row, "/renew")), "amount") == "35.00"


def test_another_price_is_named_for_another_term(browser_of: Browser) -> None:
    shop, row = generous(quantity=2)
    buyer = browser_of(shop.buyer)
    assert "For one unit." in visible(get(buyer, place(row, "/renew")))
    asked = ADDRESS | {"amount": "30,50", "update": "1"}

    page = text_of(post(buyer, place(row, "/renew"), asked))

    assert "Pay €61.00" in visible(page)
    assert hidden(page, "amount") == "30,50"
    sent = ADDRESS | {"amount": "30,50", "terms": row.terms_id, "gateway": "sandbox", "pay": "1"}
    sent |= {"quote": hidden(page, "quote"), "key": hidden(page, "key")}
    assert post(buyer, place(row, "/renew"), sent).status_code == 302
    order = Order.objects.get(extends=row)
    assert (order.gross_minor, order.lines.get().unit_minor) == (6100, 3050)


def test_a_price_changed_beside_the_sum_is_shown_before_it_is_ordered(browser_of: Browser) -> None:
    shop, row = generous()
    buyer = browser_of(shop.buyer)

    words = visible(text_of(renew_on(buyer, row, amount="40"), 409))

    assert "cost €25.00; now it costs €40.00" in words
    assert "Pay €40.00" in words
    assert not Order.objects.filter(extends=row).exists()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("18.99", "The least for “Month” is €19.00."),
        ("-25", "Write the amount as a number"),
        ("25.001", "EUR has 2 decimals"),
        ("much", "Write the amount as a number"),
        ("9" * 17, "at most 16 characters"),
    ],
)
def test_a_price_that_cannot_be_is_told_beside_its_field(
    typed: str, words: str, browser_of: Browser
) -> None:
    shop, row = generous()
    buyer = browser_of(shop.buyer)
    before = everything()

    page = text_of(renew_on(buyer, row, amount=typed), 400)

    assert "Your price cannot be taken like this." in visible(page)
    assert words in visible(page)
    assert f'value="{typed}"' in page
    assert 'id="id_amount_error"' in page
    asked = post(buyer, place(row, "/renew"), ADDRESS | {"amount": typed, "update": "1"})
    assert words in visible(text_of(asked))
    assert everything() == before


def test_an_emptied_field_means_what_is_proposed(browser_of: Browser) -> None:
    shop, row = generous()
    Price.objects.update(suggested_minor=2200)

    asked = ADDRESS | {"amount": "", "update": "1"}
    page = text_of(post(browser_of(shop.buyer), place(row, "/renew"), asked))

    assert "Pay €22.00" in visible(page)


def test_a_fixed_price_is_not_asked_for(browser_of: Browser) -> None:
    shop = term_sold()
    row, buyer = license_of(shop.buy()), browser_of(shop.buyer)

    assert 'name="amount"' not in get(buyer, place(row, "/renew"))
    assert renew_on(buyer, row, amount="1").status_code == 302

    assert Order.objects.get(extends=row).gross_minor == 1900


def test_an_offer_no_longer_sold_in_that_currency_is_offered_in_another(
    browser_of: Browser,
) -> None:
    shop = term_sold()
    row, buyer = license_of(shop.buy()), browser_of(shop.buyer)
    Price.objects.update(currency="USD", amount_minor=2100)

    assert "Renew · $21.00" in visible(get(buyer, place(row)))


def test_an_ended_license_is_renewed_from_today(browser_of: Browser) -> None:
    shop = term_sold()
    row, buyer = license_of(shop.buy()), browser_of(shop.buyer)
    Grant.objects.update(starts_at=timezone.now() - 3 * TERM, ends_at=timezone.now() - 2 * TERM)

    assert "Renew · €19.00" in visible(get(buyer, place(row)))
    answer = renew_on(buyer, row)
    post(buyer, answer["Location"], {"card": "4242424242424242"})

    grant = Grant.objects.get()
    assert grant.ends_at is not None
    assert abs(grant.ends_at - timezone.now() - TERM) < timedelta(minutes=5)


def test_a_withdrawn_offer_is_said_on_the_page(browser_of: Browser) -> None:
    shop = term_sold()
    row, buyer = license_of(shop.buy()), browser_of(shop.buyer)
    set_active(shop.selling, shop.offer, is_active=False)

    words = visible(get(buyer, place(row)))

    assert "“Month” is not for sale now." in words
    assert "Renew ·" not in words
    assert buyer.get(place(row, "/renew"))["Location"] == place(row, "#renew")
    shop.offer.delete()
    assert "If it is gone, buy a new license." in visible(get(buyer, place(row)))
    answer = post(buyer, place(row, "/renew"), {"pay": "1"})
    assert answer["Location"] == place(row)
    assert Order.objects.count() == 1


def test_suspended_and_revoked_licenses_say_why_not(browser_of: Browser) -> None:
    shop = term_sold()
    row, buyer = license_of(shop.buy()), browser_of(shop.buyer)
    Grant.objects.update(state=Grant.State.FROZEN)
    assert "Settle that first." in visible(get(buyer, place(row)))

    Grant.objects.update(state=Grant.State.ACTIVE)
    refunds.give_back(shop.selling, row.line.order, None, "")

    assert "taken back. Buy a new one." in visible(get(buyer, place(row)))


def test_what_never_ends_has_no_other_term(browser_of: Browser) -> None:
    shop = open_shop()
    row, buyer = license_of(shop.buy()), browser_of(shop.buyer)
    assert "Another term" not in visible(get(buyer, place(row)))

    assert buyer.get(place(row, "/renew"))["Location"] == place(row)

    assert "This license never ends." in visible(get(buyer, place(row)))


def test_another_term_is_for_those_who_may_buy(
    client: Client, browser_of: Browser, staff: User
) -> None:
    shop = term_sold()
    mate, writer = make_user("ben"), make_user("wim")
    make_org("acme", ada="admin", ben="read", wim="write")
    row = license_of(shop.buy(holder="acme"))

    assert client.get(place(row, "/renew"), headers={"accept": "text/html"}).status_code == 302
    get(browser_of(make_user("eve")), place(row, "/renew"), 404)
    for other in (shop.seller, staff):
        get(browser_of(other), place(row, "/renew"), 403)
        assert "Another term" not in visible(get(browser_of(other), place(row)))
    words = visible(get(browser_of(mate), place(row)))
    assert "You may not buy for acme." in words
    assert "Renew ·" not in words
    answer = browser_of(mate).get(place(row, "/renew"))
    assert answer["Location"] == place(row, "#renew")
    assert Order.objects.count() == 1
    renew_on(browser_of(writer), row)
    order = Order.objects.get(extends=row)
    assert (order.buyer, order.holder) == (writer, row.holder)


@pytest.fixture
def club() -> Shop:
    return open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month", title="Club")


def end(client: Client, row: License) -> Any:
    return post(client, place(row, "/end-subscription"))


def test_a_subscription_says_what_comes_next_and_is_ended(club: Shop, browser_of: Browser) -> None:
    row, buyer = license_of(club.buy()), browser_of(club.buyer)
    words = visible(get(buyer, place(row)))
    assert "Paid until" in words
    assert "Next charge" in words
    assert "€19.00 a month" in words
    assert "Another term" not in words
    asked = visible(get(buyer, place(row, "/end-subscription")))
    assert "You keep everything until" in asked
    assert "the next charge would be €19.00" in asked
    assert Subscription.objects.get().state == State.ACTIVE

    answer = end(buyer, row)

    assert answer["Location"] == place(row, "#subscription")
    found = Subscription.objects.get()
    assert found.state == State.ENDING
    assert Grant.objects.get().ends_at == found.paid_until
    words = visible(get(buyer, place(row)))
    assert "Nothing is charged any more. It was paid until" in words
    assert "Ends with the paid period" in words
    assert "you keep access until then" in words
    assert "Next charge" not in words
    assert "end-subscription" not in get(buyer, place(row))
    assert "ended the subscription of the order" in words


def test_a_subscription_says_when_its_discount_ends(club: Shop, browser_of: Browser) -> None:
    Coupon.objects.create(namespace=club.repo.namespace, code="HALF", basis_points=5000, periods=2)
    row, buyer = license_of(club.buy(coupon="HALF")), browser_of(club.buyer)
    begins = periods.after(row.grant.starts_at, row.line.interval, 2)

    words = visible(get(buyer, place(row)))

    assert "Price with tax €9.50 a month From" in words
    assert f"From {date_format(begins, 'DATE_FORMAT')} on €19.00 a month" in words
    assert "the next charge would be €9.50" in visible(get(buyer, place(row, "/end-subscription")))
    Subscription.objects.update(periods=2)
    words = visible(get(buyer, place(row)))
    assert "€19.00 a month" in words
    assert "€9.50 a month From" not in words
    assert "the next charge would be €19.00" in visible(get(buyer, place(row, "/end-subscription")))


def test_ending_twice_is_no_fault(club: Shop, browser_of: Browser) -> None:
    row, buyer = license_of(club.buy()), browser_of(club.buyer)
    end(buyer, row)

    assert end(buyer, row).status_code == 302

    assert "It was ended already" in visible(get(buyer, place(row, "/end-subscription")))
    Subscription.objects.update(state=State.ENDED, paid_until=timezone.now() - timedelta(days=1))
    assert "It has ended." in visible(get(buyer, place(row)))


def test_the_next_charge_has_todays_tax(club: Shop, browser_of: Browser) -> None:
    row, buyer = license_of(club.buy()), browser_of(club.buyer)
    SellerProfile.objects.create(
        namespace=club.repo.namespace, country="DE", is_registered=True, vat_number="DE136695976"
    )

    assert "€22.61 a month" in visible(get(buyer, place(row)))
    Order.objects.update(billing={"country": "??", "name": "x"})
    assert "€19.00 a month" in visible(get(buyer, place(row)))


def test_an_overdue_one_ends_at_once(club: Shop, browser_of: Browser) -> None:
    row, buyer = license_of(club.buy()), browser_of(club.buyer)
    paid_until = timezone.now() - timedelta(hours=1)
    Subscription.objects.update(
        state=State.OVERDUE, paid_until=paid_until, next_try_at=timezone.now() + TERM
    )

    assert "Payment overdue" in visible(get(buyer, place(row)))
    assert "access ends at once" in visible(get(buyer, place(row, "/end-subscription")))


def test_who_may_end_it(client: Client, browser_of: Browser, club: Shop, staff: User) -> None:
    mate = make_user("ben")
    make_org("acme", ada="admin", ben="read")
    row = license_of(club.buy(holder="acme"))

    assert end(client, row).status_code == 302
    for other in (make_user("eve"), club.seller, staff):
        assert end(browser_of(other), row).status_code == 404
        get(browser_of(other), place(row, "/end-subscription"), 404)
    assert "Subscription" not in visible(get(browser_of(club.seller), place(row)))
    assert end(browser_of(mate), row).status_code == 404
    words = visible(get(browser_of(mate), place(row)))
    assert "Next charge" in words
    assert "End subscription" not in words
    assert "or may buy for the team" in visible(
        get(browser_of(mate), place(row, "/end-subscription"))
    )
    get(browser_of(club.buyer), "/library/0000/end-subscription", 404)

    assert Subscription.objects.get().state == State.ACTIVE


def test_who_bought_it_and_left_the_team_ends_it_from_their_order(
    browser_of: Browser, club: Shop
) -> None:
    make_user("ben")
    make_org("acme", ben="admin", ada="write")
    order = club.buy(holder="acme")
    row, buyer = license_of(order), browser_of(club.buyer)
    Membership.objects.filter(user=club.buyer).delete()
    get(buyer, place(row), 404)
    assert place(row, "/end-subscription") in get(buyer, f"/orders/{order.public_id}")

    answer = end(buyer, row)

    assert answer["Location"] == f"/orders/{order.public_id}#subscription"
    assert Subscription.objects.get().state == State.ENDING
    assert "Ends with the paid period" in visible(get(buyer, answer["Location"]))


def test_a_license_that_is_bought_once_has_no_subscription(browser_of: Browser) -> None:
    shop = open_shop()
    row = license_of(shop.buy())

    get(browser_of(shop.buyer), place(row, "/end-subscription"), 404)


def test_a_period_whose_card_failed_is_paid_from_the_letter_and_the_page(
    club: Shop, browser_of: Browser, run_jobs: Any, mailoutbox: list[Any]
) -> None:
    row, buyer = license_of(club.buy()), browser_of(club.buyer)
    SandboxCharge.objects.update(card="test_decline")
    Subscription.objects.update(paid_until=timezone.now())

    dunning.renew_due()
    run_jobs()

    renewal = Order.objects.get(renews__isnull=False)
    page = f"/orders/{renewal.public_id}"
    [letter] = [mail for mail in mailoutbox if "Payment failed" in mail.subject]
    assert page in letter.body
    assert letter.subject.startswith("TEST · ")
    shown = get(buyer, place(row))
    assert f'href="{page}"' in shown
    assert "The last payment failed" in visible(shown)
    bank = post(buyer, f"{page}/pay")["Location"]
    post(buyer, bank, {"card": "4242424242424242"})
    found = Subscription.objects.get()
    assert (found.state, found.periods) == (State.ACTIVE, 2)
    assert page not in get(buyer, place(row))
