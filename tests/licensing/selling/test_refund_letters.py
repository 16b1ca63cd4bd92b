"""Buyers are told how a refund was decided: on the site and by a letter, as they chose."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.test import Client

from accounts.models import User
from catalog.models import Notice, WebhookDelivery
from catalog.services.event_words import notice_link
from catalog.services.notice_settings import Wish, set_wishes
from licensing.models import Order, Refund
from licensing.services import refunds
from tests.catalog.webhooks.conftest import hook
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
Letters = list[EmailMessage]
HTML = {"Accept": "text/html"}


@pytest.fixture
def shop() -> Shop:
    return open_shop()


@pytest.fixture
def order(shop: Shop, run_jobs: Any, mailoutbox: Letters) -> Order:
    """Bought, and everybody was told of it."""
    order = shop.buy()
    run_jobs()
    mailoutbox.clear()
    return order


def answer(client: Client, order: Order, act: str, words: str = "") -> Any:
    """The seller's answer to the request for a refund, on the order's page."""
    sent = {"act": act, "refund": Refund.objects.get().public_id, "words": words}
    return client.post(f"/sales/orders/{order.public_id}", sent, headers=HTML)


def to(letters: Letters, user: User) -> Letters:
    """The letters about refunds; receipts are another matter."""
    mine = [letter for letter in letters if letter.to == [user.email]]
    return [letter for letter in mine if "efund" in letter.subject]


def in_site(client: Client) -> str:
    return client.get("/notifications", headers=HTML).content.decode()


def test_a_granted_request(
    shop: Shop, order: Order, browser_of: Browser, run_jobs: Any, mailoutbox: Letters
) -> None:
    refunds.ask(shop.buying, order, None, "It does not rhyme.")
    assert answer(browser_of(shop.seller), order, "accept").status_code == 302
    run_jobs()

    [letter] = to(mailoutbox, shop.buyer)
    assert letter.subject == "TEST · Refunded: Commercial"
    assert "€19.00" in letter.body
    assert f"/orders/{order.public_id}" in letter.body
    page = in_site(browser_of(shop.buyer))
    assert "Your license of maria/haiku-gpt was refunded: Commercial" in page
    assert notice_link(Notice.objects.get(user=shop.buyer)) == f"/orders/{order.public_id}"
    assert "Your license of" not in in_site(browser_of(shop.seller))


def test_a_declined_request_says_why(
    shop: Shop, order: Order, browser_of: Browser, run_jobs: Any, mailoutbox: Letters
) -> None:
    refunds.ask(shop.buying, order, None, "It does not rhyme.")
    client = browser_of(shop.seller)
    assert answer(client, order, "decline").status_code == 400  # the buyer is to read a reason
    run_jobs()
    assert to(mailoutbox, shop.buyer) == []

    answer(client, order, "decline", "It rhymes & scans <well>.")
    assert answer(client, order, "decline", "Twice.").status_code == 409
    run_jobs()

    [letter] = to(mailoutbox, shop.buyer)
    assert letter.subject == "TEST · No refund: Commercial"
    assert "It rhymes & scans <well>." in letter.body
    page = in_site(browser_of(shop.buyer))
    assert "Your request for a refund of maria/haiku-gpt was declined: Commercial" in page


def test_a_refund_nobody_asked_for_is_told_too(
    shop: Shop, order: Order, run_jobs: Any, mailoutbox: Letters
) -> None:
    refunds.give_back(shop.selling, order, None, "A mistake of ours.")
    run_jobs()

    [letter] = to(mailoutbox, shop.buyer)
    assert letter.subject == "TEST · Refunded: Commercial"


def test_who_wants_no_letters_gets_none(
    shop: Shop, order: Order, client: Client, run_jobs: Any, mailoutbox: Letters
) -> None:
    refunds.give_back(shop.selling, order, None, "")
    run_jobs()
    stop = to(mailoutbox, shop.buyer)[0].extra_headers["List-Unsubscribe"].strip("<>")
    assert client.post("/" + stop.split("/", 3)[3]).status_code == 200
    mailoutbox.clear()
    Notice.objects.all().delete()

    refunds.give_back(shop.selling, shop.buy("again"), None, "")
    run_jobs()
    assert to(mailoutbox, shop.buyer) == []
    assert Notice.objects.filter(user=shop.buyer).count() == 1

    set_wishes(shop.buying, {Notice.Kind.SALE: Wish(in_site=False, by_mail=False)})
    refunds.give_back(shop.selling, shop.buy("third"), None, "")
    run_jobs()
    assert to(mailoutbox, shop.buyer) == []
    assert Notice.objects.filter(user=shop.buyer).count() == 1


def test_webhooks_hear_of_the_refund_once(shop: Shop, order: Order, run_jobs: Any) -> None:
    """An answer is the buyer's own; the sale's webhook has its event already."""
    WebhookDelivery.objects.all().delete()
    hook(shop.seller, "https://example.org/", "model:maria/haiku-gpt", domains=["sale"])
    refunds.ask(shop.buying, order, None, "")
    refunds.accept(shop.selling, Refund.objects.get())
    run_jobs()

    rows = WebhookDelivery.objects.order_by("pk").values_list("scope", "action")
    assert list(rows) == [("sale", "update"), ("sale", "delete")]
