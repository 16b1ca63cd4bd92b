"""A sale over HTTP is told: letter, notice and webhook for the seller, a receipt for the buyer."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.test import Client

from accounts.models import User
from catalog.models import Notice
from licensing.models import Order, OrderLine
from tests.catalog.webhooks.conftest import LOOPBACK, hook
from tests.licensing.pages.buying import bought, get, order_page_of, post, visible
from tests.licensing.selling.shop import Shop, open_shop
from tests.receivers import Receiver

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


@pytest.fixture
def shop() -> Shop:
    return open_shop()


def test_each_sale_is_told_to_both_sides_once(
    shop: Shop, browser_of: Browser, run_jobs: Any, mailoutbox: list[EmailMessage], settings: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(update=LOOPBACK)
    with Receiver() as got, Receiver() as strangers:
        hook(shop.seller, got.url, "model:maria/haiku-gpt", domains=["sale"])
        hook(shop.buyer, strangers.url, "model:maria/haiku-gpt", domains=["sale"])
        run_jobs()
        mailoutbox.clear()

        order = bought(browser_of(shop.buyer), shop)
        run_jobs()
        get(browser_of(shop.buyer), f"/orders/{order.public_id}")
        run_jobs()

    letters = {letter.to[0]: letter for letter in mailoutbox}
    assert len(mailoutbox) == 2
    receipt, told = letters[shop.buyer.email], letters[shop.seller.email]
    assert receipt.subject.startswith("TEST · Your licenses from")
    assert "1 x Commercial" in receipt.body
    assert f"/orders/{order.public_id}" in receipt.body
    assert "bought a license of maria/haiku-gpt: Commercial" in told.subject + told.body
    assert Notice.objects.filter(user=shop.seller, kind=Notice.Kind.SALE).count() == 1
    page = visible(get(browser_of(shop.seller), "/notifications"))
    assert "bought a license of maria/haiku-gpt: Commercial" in page
    assert strangers.requests == []
    [request] = got.requests
    payload = json.loads(request.body)
    assert payload["event"] == {"action": "create", "scope": "sale"}
    assert payload["repo"]["name"] == "maria/haiku-gpt"
    line = OrderLine.objects.get()
    assert payload["sale"] == {
        "order": order.public_id,
        "line": line.public_id,
        "title": "Commercial",
        "quantity": 1,
        "currency": "EUR",
        "netMinor": line.net_minor,
        "taxMinor": line.tax_minor,
        "grossMinor": 1900,
        "refundedMinor": 0,
        "test": True,
    }


def test_a_purchase_that_is_declined_is_told_to_nobody(
    shop: Shop, browser_of: Browser, run_jobs: Any, mailoutbox: list[EmailMessage]
) -> None:
    run_jobs()
    mailoutbox.clear()
    buyer = browser_of(shop.buyer)

    post(buyer, order_page_of(buyer, shop), {"card": "4000000000000002"})
    run_jobs()

    assert Order.objects.get().state == Order.State.OPEN
    assert mailoutbox == []
    assert not Notice.objects.filter(kind=Notice.Kind.SALE).exists()
