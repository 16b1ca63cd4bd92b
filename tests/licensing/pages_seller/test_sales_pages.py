"""The pages of what was sold: who sees them, what stands there, what can be done."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent, User
from catalog.models import Grant
from licensing.models import Invoice, LedgerEntry, Order, Refund
from licensing.services import refunds
from licensing.services.offers import make_offer
from licensing.services.pricing import Item
from tests.factories import make_org, make_user
from tests.licensing.selling.shop import FIXED, Shop, make_model, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
PAGES = [
    "/sales",
    "/sales/orders",
    "/sales/balance",
    "/sales/coupons",
    "/sales/coupons/new",
    "/sales/profile",
]


@pytest.fixture
def shop() -> Shop:
    return open_shop()


@pytest.mark.parametrize("path", PAGES)
def test_pages_before_the_first_sale(shop: Shop, browser_of: Browser, path: str) -> None:
    page = browser_of(shop.seller).get(path, headers=HTML)

    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]


@pytest.mark.parametrize("path", PAGES)
def test_a_visitor_signs_in_first(shop: Shop, client: Client, path: str) -> None:
    answer = client.get(path, headers=HTML)

    assert answer.status_code == 302
    assert answer["Location"].startswith("/login?next=")


@pytest.mark.parametrize(
    ("role", "status"), [("admin", 200), ("write", 404), ("read", 404), ("", 404)]
)
def test_a_team_shows_its_sales_to_admins(role: str, status: int, browser_of: Browser) -> None:
    make_user("maria")
    member = make_user("tom")
    make_org("acme", maria="admin", **({"tom": role} if role else {}))
    client = browser_of(member)

    for path in PAGES:
        assert client.get(f"{path}?seller=acme", headers=HTML).status_code == status
    absent = client.get("/sales?seller=nobody", headers=HTML)
    assert absent.status_code == 404


def test_staff_have_no_part_in_a_sellers_pages(
    shop: Shop, browser_of: Browser, staff: User
) -> None:
    order = shop.buy()
    client = browser_of(staff)

    assert client.get("/sales?seller=maria", headers=HTML).status_code == 404
    path = f"/sales/orders/{order.public_id}?seller=maria"
    assert client.get(path, headers=HTML).status_code == 404


def test_a_sale_shows_in_numbers(shop: Shop, browser_of: Browser) -> None:
    shop.buy("one")
    shop.buy("two")

    page = browser_of(shop.seller).get("/sales", headers=HTML).text

    assert "These are test sales: no real money was moved." in page
    assert "€38.00" in page
    assert "Germany" in page
    assert "Ada Byron" in page
    assert "maria/haiku-gpt" in page
    assert "TEST" in page


@pytest.mark.parametrize("query", ["?days=7", "?days=365&money=EUR-test", "?days=1&money=XYZ"])
def test_periods_and_purses(shop: Shop, browser_of: Browser, query: str) -> None:
    shop.buy()

    page = browser_of(shop.seller).get(f"/sales{query}", headers=HTML)

    assert page.status_code == 200
    assert "€19.00" in page.text


def test_currencies_are_never_added(browser_of: Browser) -> None:
    from licensing.services.offers import NewPrice

    shop = open_shop(prices=(NewPrice("EUR", 1900), NewPrice("USD", 2000)))
    shop.buy("one")
    shop.buy("two", currency="USD")
    client = browser_of(shop.seller)

    euros = client.get("/sales?money=EUR-test", headers=HTML).text
    dollars = client.get("/sales?money=USD-test", headers=HTML).text

    assert "Yours, in EUR" in euros
    assert "Yours, in USD" in dollars
    for page in (euros, dollars):
        assert "39.00" not in page


def test_orders_are_found(shop: Shop, browser_of: Browser) -> None:
    order = shop.buy()
    client = browser_of(shop.seller)

    def found(query: str) -> bool:
        page = client.get(f"/sales/orders?{query}", headers=HTML)
        assert page.status_code == 200
        return f"/sales/orders/{order.public_id}" in page.text

    assert found("")
    assert found("q=byron")
    assert found("q=ADA")
    assert found("q=commercial")
    assert found(f"q={order.public_id}")
    assert found("only=test")
    assert found("only=nothing&cursor=junk")
    assert not found("q=nobody")
    assert not found("only=asked")
    assert not found("only=refunded")


def test_an_open_order_is_not_a_sale(shop: Shop, browser_of: Browser) -> None:
    order = shop.order()
    client = browser_of(shop.seller)

    assert "Nothing sold yet" in client.get("/sales/orders", headers=HTML).text
    assert client.get(f"/sales/orders/{order.public_id}", headers=HTML).status_code == 404


def test_many_orders_come_in_pages(
    shop: Shop, browser_of: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    from licensing.seller_views import orders

    monkeypatch.setattr(orders, "PAGE", 2)
    ids = [shop.buy(f"k{number}").public_id for number in range(3)]
    client = browser_of(shop.seller)

    first = client.get("/sales/orders", headers=HTML)
    assert [name in first.text for name in ids] == [False, True, True]
    following = first.context["next_href"]
    second = client.get(f"/sales/orders{following}", headers=HTML)
    assert [name in second.text for name in ids] == [True, False, False]


def test_the_queries_of_lists_do_not_grow(
    shop: Shop, browser_of: Browser, django_assert_max_num_queries: Any
) -> None:
    for number in range(4):
        shop.buy(f"k{number}")
    client = browser_of(shop.seller)

    with django_assert_max_num_queries(30):
        client.get("/sales", headers=HTML)
    with django_assert_max_num_queries(22):
        client.get("/sales/orders", headers=HTML)
    with django_assert_max_num_queries(22):
        client.get("/sales/balance", headers=HTML)


def test_a_seller_sees_their_own_lines_only(browser_of: Browser) -> None:
    shop = open_shop()
    rival = make_user("rita")
    other = make_model(rival, "epic-gpt")
    from accounts.viewer import Viewer

    theirs = make_offer(Viewer(user=rival), [other], replace(FIXED, title="Secret sauce"))
    order = shop.buy(items=[Item(shop.offer.public_id), Item(theirs.public_id)])
    asked = refunds.ask(shop.buying, order, None, "all of it")
    client = browser_of(shop.seller)

    page = client.get(f"/sales/orders/{order.public_id}", headers=HTML).text

    assert "Secret sauce" not in page
    assert "€38.00" not in page.replace("The buyer asks for €38.00 back", "")
    assert "so staff answers it" in page
    sent = {"act": "accept", "refund": asked.public_id}
    answer = client.post(f"/sales/orders/{order.public_id}", sent, headers=HTML)
    assert answer.status_code == 404
    asked.refresh_from_db()
    assert asked.state == Refund.State.ASKED
    assert Grant.objects.filter(state=Grant.State.ACTIVE).count() == 2


def test_a_request_is_accepted(shop: Shop, browser_of: Browser) -> None:
    order = shop.buy()
    asked = refunds.ask(shop.buying, order, None, "It writes <b>no</b> limericks.")
    client = browser_of(shop.seller)
    path = f"/sales/orders/{order.public_id}"

    assert "waits for your answer" in client.get("/sales", headers=HTML).text
    page = client.get(path, headers=HTML).text
    assert "It writes &lt;b&gt;no&lt;/b&gt; limericks." in page
    answer = client.post(path, {"act": "accept", "refund": asked.public_id}, headers=HTML)

    assert answer.status_code == 302
    order.refresh_from_db()
    assert order.state == Order.State.REFUNDED
    assert Grant.objects.get().state == Grant.State.REVOKED
    page = client.get(path, headers=HTML).text
    assert "Given back to the buyer" in page
    assert "Give back …" not in page


def test_a_request_is_declined_with_a_reason(shop: Shop, browser_of: Browser) -> None:
    order = shop.buy()
    asked = refunds.ask(shop.buying, order, None, "please")
    client = browser_of(shop.seller)
    path = f"/sales/orders/{order.public_id}"

    def decline(words: str) -> int:
        sent = {"act": "decline", "refund": asked.public_id, "words": words}
        return client.post(path, sent, headers=HTML).status_code

    assert decline("  ") == 400
    asked.refresh_from_db()
    assert asked.state == Refund.State.ASKED
    assert decline("It was used for weeks.") == 302
    asked.refresh_from_db()
    assert (asked.state, asked.answer) == (Refund.State.DECLINED, "It was used for weeks.")
    assert decline("Again") == 409
    assert Grant.objects.get().state == Grant.State.ACTIVE


def test_a_line_is_given_back_unasked(shop: Shop, browser_of: Browser) -> None:
    order = shop.buy()
    client = browser_of(shop.seller)
    path = f"/sales/orders/{order.public_id}"

    sent = {"act": "give-back", "line": order.lines.get().public_id, "words": "Sorry."}
    assert client.post(path, sent, headers=HTML).status_code == 302

    assert Grant.objects.get().state == Grant.State.REVOKED
    assert client.post(path, sent, headers=HTML).status_code == 409
    assert Refund.objects.count() == 1


@pytest.mark.parametrize(
    "sent",
    [
        {"act": "dance"},
        {},
        {"act": "give-back", "line": "nothing"},
        {"act": "accept", "refund": "nothing"},
        {"act": "decline", "refund": "nothing", "words": "no"},
    ],
)
def test_nonsense_changes_nothing(shop: Shop, browser_of: Browser, sent: dict[str, str]) -> None:
    order = shop.buy()
    entries = LedgerEntry.objects.count()

    path = f"/sales/orders/{order.public_id}"
    answer = browser_of(shop.seller).post(path, sent, headers=HTML)

    assert answer.status_code in {400, 404}
    assert Grant.objects.get().state == Grant.State.ACTIVE
    assert not Refund.objects.exists()
    assert LedgerEntry.objects.count() == entries


def test_strangers_give_nothing_back(shop: Shop, browser_of: Browser, bob: User) -> None:
    order = shop.buy()
    sent = {"act": "give-back", "line": order.lines.get().public_id}

    for person in (bob, shop.buyer):
        for query in ("", "?seller=maria"):
            path = f"/sales/orders/{order.public_id}{query}"
            assert browser_of(person).post(path, sent, headers=HTML).status_code == 404
    assert Grant.objects.get().state == Grant.State.ACTIVE
    assert not Refund.objects.exists()


def test_documents_of_an_order(shop: Shop, browser_of: Browser, bob: User) -> None:
    order = shop.buy()
    paper = Invoice.objects.get()
    path = f"/sales/orders/{order.public_id}/documents/{paper.public_id}.pdf"

    sent = browser_of(shop.seller).get(path, headers=HTML)

    assert sent.content.startswith(b"%PDF")
    assert paper.text_number in sent["Content-Disposition"]
    assert browser_of(bob).get(path, headers=HTML).status_code == 404
    wrong = f"/sales/orders/{order.public_id}/documents/nothing.pdf"
    assert browser_of(shop.seller).get(wrong, headers=HTML).status_code == 404


def test_a_dispute_shows(shop: Shop, browser_of: Browser) -> None:
    order = shop.buy(method="test_dispute")
    order.refresh_from_db()
    assert order.state == Order.State.DISPUTED
    client = browser_of(shop.seller)

    page = client.get(f"/sales/orders/{order.public_id}", headers=HTML).text
    assert "bank disputes the payment" in page
    assert "Give back …" not in page
    balance = client.get("/sales/balance", headers=HTML).text
    assert "Released when the bank decides for you" in balance
    assert order.public_id in client.get("/sales/orders?only=disputed", headers=HTML).text


def test_the_way_to_ones_sales(shop: Shop, browser_of: Browser, bob: User) -> None:
    link = 'href="/sales"'
    member = make_user("tom")
    make_org("acme", tom="admin")

    assert link in browser_of(shop.seller).get("/models", headers=HTML).text
    assert link not in browser_of(bob).get("/models", headers=HTML).text
    assert link not in browser_of(member).get("/models", headers=HTML).text
    assert link not in browser_of(shop.buyer).get("/models", headers=HTML).text


def test_money_pages_need_a_recent_login(shop: Shop, browser_of: Browser) -> None:
    order = shop.buy()
    client = browser_of(shop.seller)
    session = client.session
    session["confirmed_at"] = 0
    session.save()

    path = f"/sales/orders/{order.public_id}"
    pages = ("/sales", "/sales/orders", path, "/sales/buyers", "/sales/coupons", "/sales/balance")
    for page in (*pages, "/sales/profile", "/sales/payouts", "/sales/tables/sales.csv"):
        answer = client.get(page, headers=HTML)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/login/confirm?next=")
    sent = {"legal_name": "Other"}
    assert client.post("/sales/profile", sent, headers=HTML).status_code == 302
    assert not AuditEvent.objects.filter(action="seller.profile").exists()
    sent = {"act": "give-back", "line": order.lines.get().public_id}
    answer = client.post(path, sent, headers=HTML)
    assert answer["Location"].startswith("/login/confirm?next=%2Fsales%2Forders%2F")
    order.refresh_from_db()
    assert (order.state, order.refunds.count()) == (Order.State.FULFILLED, 0)


def test_payouts_need_two_factors(shop: Shop, browser_of: Browser) -> None:
    from tests.factories import enrol

    client = browser_of(shop.seller)
    for path in ("/sales/payouts", "/sales/tables/payouts.csv", "/sales/payouts/x/statement.pdf"):
        answer = client.get(path, headers=HTML)
        assert answer.status_code == 302
        assert answer["Location"] == "/settings/security"

    enrol(shop.seller)
    client = browser_of(shop.seller)
    assert client.get("/sales/payouts", headers=HTML).status_code == 200
    assert client.get("/sales/payouts/x/statement.pdf", headers=HTML).status_code == 404


def test_money_that_cannot_be_sent_is_told(
    shop: Shop, browser_of: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    from licensing.gateways.base import GatewayRefusedError
    from licensing.gateways.sandbox import Sandbox

    def refuse(self: Sandbox, **_asked: Any) -> Any:
        raise GatewayRefusedError("The account is closed.")

    order = shop.buy()
    monkeypatch.setattr(Sandbox, "refund", refuse)
    client = browser_of(shop.seller)
    path = f"/sales/orders/{order.public_id}"

    sent = {"act": "give-back", "line": order.lines.get().public_id}
    page = client.post(path, sent, headers=HTML, follow=True)

    assert "the money could not be sent" in page.text
    assert Refund.objects.get().state == Refund.State.FAILED


@pytest.mark.parametrize(
    ("now", "before", "told"),
    [(3, 2, "+50"), (1, 2, "-50"), (2, 2, "the same"), (2, 0, ""), (-1, 2, ""), (0, -1, "")],
)
def test_how_much_more_it_is(now: int, before: int, told: str) -> None:
    from licensing.seller_views.overview import change_text

    assert change_text(now, before).replace("\u202f%", "").replace("\u2009%", "") == told


def test_the_history_of_a_balance_begins_with_what_was_there(shop: Shop) -> None:
    import time_machine

    from licensing.services.balances import histories_of, rule_text

    with time_machine.travel("2026-01-05", tick=False):
        shop.buy("old")
    shop.buy("new")

    (history,) = histories_of(shop.repo.namespace, 3).values()

    assert [total for _day, total in history] == [1900, 1900, 3800]
    assert rule_text("", 0) == "It is not due yet."
