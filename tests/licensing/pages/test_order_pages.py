from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from licensing import views_orders
from licensing.gateways.base import Checkout
from licensing.models import Invoice, License, Order
from licensing.services import refunds, settling
from tests.factories import make_org, make_user
from tests.licensing.pages.buying import bought, get, order_page_of, post, visible
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


def page_of(order: Order) -> str:
    return f"/orders/{order.public_id}"


def test_right_after_paying_everything_is_there(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    order = bought(browser, shop)

    page = get(browser, page_of(order))
    words = visible(page)

    assert "Thank you. It is yours." in words
    assert "no real money" in words
    assert "GPTS-" in page
    assert f"/library/{License.objects.get().public_id}/file" in page
    assert 'href="/maria/haiku-gpt/archive/main.zip"' in page
    for way in ("hf", "curl"):
        assert f"<summary>{way}</summary>" in page
    assert "HF_ENDPOINT=http://testserver" in page
    assert "export HF_TOKEN=hf_" in page
    assert "Total €19.00" in words
    assert "Lindenallee 1 10115 Berlin Germany" in words
    assert Invoice.objects.get().text_number in words
    assert browser.get(page_of(order))["Cache-Control"].find("no-store") >= 0


def test_later_the_key_is_not_shown_unasked(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    order = bought(browser, shop)
    Order.objects.update(fulfilled_at=timezone.now() - views_orders.FRESH - timedelta(seconds=1))

    page = get(browser, page_of(order))

    assert "GPTS-" not in page
    assert "Thank you" not in visible(page)
    assert f"/library/{License.objects.get().public_id}" in page


def test_a_key_that_cannot_be_derived_is_left_out(browser_of: Browser, settings: Any) -> None:
    shop = open_shop()
    order = bought(browser_of(shop.buyer), shop)
    settings.SECRET_KEY = "another"

    assert "GPTS-" not in get(browser_of(shop.buyer), page_of(order))


def test_who_may_see_an_order(client: Client, browser_of: Browser, staff: User) -> None:
    shop = open_shop()
    make_user("ben")
    make_user("cleo")
    make_org("acme", ada="admin", ben="read", cleo="write")
    order = shop.buy(holder="acme")

    assert client.get(page_of(order), headers={"accept": "text/html"}).status_code == 302
    for stranger in (make_user("eve"), shop.seller):
        get(browser_of(stranger), page_of(order), 404)
    for name in ("ada", "ben", "cleo"):
        assert "Commercial" in get(browser_of(User.objects.get(username=name)), page_of(order))
    assert "Commercial" in get(browser_of(staff), page_of(order))
    assert "Lindenallee" in get(browser_of(shop.buyer), page_of(order))
    assert "Lindenallee" not in get(browser_of(User.objects.get(username="ben")), page_of(order))
    for name in ("ben", "cleo"):
        assert "GPTS-" not in get(browser_of(User.objects.get(username=name)), page_of(order))
    assert "GPTS-" not in get(browser_of(staff), page_of(order))
    assert get(browser_of(shop.buyer), "/orders/0000", 404)


def test_an_open_order_is_paid_again_or_cancelled(browser_of: Browser) -> None:
    shop = open_shop()
    browser = browser_of(shop.buyer)
    bank = order_page_of(browser, shop)
    order = Order.objects.get()
    words = visible(get(browser, page_of(order)))
    assert "Pay €19.00" in words
    assert "Cancel the order" in words
    assert "Waiting for payment" in words

    assert post(browser, f"{page_of(order)}/pay")["Location"] == bank
    assert post(browser, f"{page_of(order)}/cancel")["Location"] == page_of(order)

    words = visible(get(browser, page_of(order)))
    assert "The order is cancelled. Nothing was charged." in words
    assert "Pay €19.00" not in words
    assert post(browser, f"{page_of(order)}/pay")["Location"] == page_of(order)
    order.refresh_from_db()
    assert order.state == Order.State.CANCELLED


def test_a_paid_order_is_not_cancelled(browser_of: Browser) -> None:
    shop = open_shop()
    order = shop.buy()
    browser = browser_of(shop.buyer)

    post(browser, f"{page_of(order)}/cancel")

    assert "This order was paid." in visible(get(browser, page_of(order)))
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED


@pytest.mark.parametrize("act", ["pay", "cancel"])
def test_who_may_only_look_changes_nothing(
    client: Client, browser_of: Browser, staff: User, act: str
) -> None:
    shop = open_shop()
    make_user("ben")
    make_org("acme", ada="admin", ben="read")
    order = shop.order(holder="acme")
    address = f"{page_of(order)}/{act}"

    assert post(client, address).status_code == 302
    assert post(browser_of(make_user("eve")), address).status_code == 404
    assert post(browser_of(shop.seller), address).status_code == 404
    for reader in (User.objects.get(username="ben"), staff):
        assert post(browser_of(reader), address).status_code == 403
        assert "Cancel the order" not in visible(get(browser_of(reader), page_of(order)))

    order.refresh_from_db()
    assert order.state == Order.State.OPEN


def test_a_writer_of_the_team_may_pay_for_it(browser_of: Browser) -> None:
    shop = open_shop()
    mate = make_user("ben")
    make_org("acme", ada="admin", ben="write")
    order = shop.order(holder="acme")

    answer = post(browser_of(mate), f"{page_of(order)}/pay")

    assert answer["Location"].startswith("/sandbox/")


def test_refunds_and_their_documents_are_shown(browser_of: Browser) -> None:
    shop = open_shop()
    order = shop.buy()
    refunds.give_back(shop.selling, order, None, "did not run")

    page = get(browser_of(shop.buyer), page_of(order))
    words = visible(page)

    assert "This order was refunded." in words
    assert "Refunded: access has ended" in words
    assert "“did not run”" in words
    assert "Refunded \u2212€19.00" in words
    assert page.count(".pdf\n") + page.count(".pdf<") >= 2


def test_an_order_on_its_way_looks_again(browser_of: Browser) -> None:
    shop = open_shop()
    order = shop.buy()
    Order.objects.update(state=Order.State.PAID)

    page = get(browser_of(shop.buyer), page_of(order))

    assert "the licenses are being made" in visible(page)
    assert 'hx-trigger="load delay:2s"' in page
    settling.fulfil_if_paid(order.pk)


def test_stages_of_a_part_payment() -> None:
    shop = open_shop()
    order = shop.order()
    order.paid_minor = 900

    assert [stage.title for stage in views_orders.stages_of(order)][1] == "Partly paid"


def test_how_to_pay_by_bank_transfer_is_said(browser_of: Browser) -> None:
    shop = open_shop()
    order = shop.order()
    Order.objects.update(gateway="invoice")

    with pytest.MonkeyPatch.context() as patch:
        begun = Checkout(instructions="Transfer it to DE00.")
        patch.setattr(views_orders.checkout, "start", lambda _order: begun)
        words = visible(get(browser_of(shop.buyer), page_of(order)))

    assert "Transfer it to DE00." in words
    assert "Pay €19.00" not in words


def test_the_list_takes_the_same_queries_however_long(
    browser_of: Browser, django_assert_max_num_queries: Any
) -> None:
    shop = open_shop()
    shop.buy("k0")
    browser = browser_of(shop.buyer)
    get(browser, "/orders")
    with django_assert_max_num_queries(30) as one:
        get(browser, "/orders")

    for number in range(1, 5):
        shop.order(f"k{number}")
    with django_assert_max_num_queries(len(one)):
        page = get(browser, "/orders")

    assert page.count('href="/orders/') >= 5


def test_the_list_goes_on(browser_of: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_orders, "PAGE", 2)
    shop = open_shop()
    for number in range(3):
        shop.order(f"k{number}")
    browser = browser_of(shop.buyer)

    assert 'href="?page=2"' in get(browser, "/orders")
    second = get(browser, "/orders?page=2")
    assert 'href="?page=1"' in second
    assert 'href="?page=3"' not in second


def test_the_list_is_of_ones_own(client: Client, browser_of: Browser) -> None:
    shop = open_shop()
    shop.buy()
    for stranger in (make_user("eve"), shop.seller):
        assert "No orders yet" in visible(get(browser_of(stranger), "/orders"))
    assert client.get("/orders", headers={"accept": "text/html"}).status_code == 302
    assert "Commercial" in get(browser_of(shop.buyer), "/orders")


def test_who_may_have_an_invoice(client: Client, browser_of: Browser, staff: User) -> None:
    shop = open_shop()
    for name in ("ben", "cleo", "dan"):
        make_user(name)
    make_org("acme", ada="write", ben="admin", cleo="write", dan="read")
    shop.buy(holder="acme")
    address = f"/invoices/{Invoice.objects.get().public_id}.pdf"

    assert client.get(address, headers={"accept": "text/html"}).status_code == 302
    for name in ("ada", "ben", "maria", staff.username):
        answer = browser_of(User.objects.get(username=name)).get(address)
        assert answer.status_code == 200, name
        assert answer.content.startswith(b"%PDF")
        assert answer["Content-Type"] == "application/pdf"
        assert f"{Invoice.objects.get().text_number}.pdf" in answer["Content-Disposition"]
    for name in ("cleo", "dan"):
        get(browser_of(User.objects.get(username=name)), address, 404)
    get(browser_of(make_user("eve")), address, 404)
    get(browser_of(shop.buyer), "/invoices/0000.pdf", 404)


def test_terms_are_for_everybody(client: Client) -> None:
    shop: Shop = open_shop()
    terms = shop.offer.terms

    page = get(client, f"/terms/{terms.sha256}")

    assert terms.title in page
    assert terms.sha256 in page
    assert "Commercial use: yes" in visible(page)
    assert visible(terms.text)[:60] in visible(page)
    assert "Commercial use" in visible(get(client, f"/terms/{terms.sha256.upper()}"))
    shop.offer.delete()
    assert "Commercial use: yes" not in visible(get(client, f"/terms/{terms.sha256}"))


@pytest.mark.parametrize("sha256", ["0" * 64, "nonsense"])
def test_terms_nobody_wrote(client: Client, sha256: str) -> None:
    assert "There are no terms with this hash." in visible(get(client, f"/terms/{sha256}", 404))


def test_terms_of_what_was_sold_keep_their_rights(client: Client) -> None:
    shop = open_shop()
    shop.buy()
    sha256 = shop.offer.terms_id
    shop.offer.delete()

    assert "Commercial use: yes" in visible(get(client, f"/terms/{sha256}"))
