"""``/api/v1/quotes`` and ``/api/v1/orders``."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AccessToken, Role, Scope, User
from accounts.services.tokens import create_token
from accounts.viewer import VISITOR, Viewer
from licensing.models import (
    Coupon,
    LedgerMovement,
    License,
    Offer,
    Order,
    Payment,
    Quote,
    Refund,
    Subscription,
)
from licensing.services import dunning, refunds
from store.core.money import Money
from tests.factories import add_files, make_org, make_user, proved_viewer
from tests.licensing.selling.shop import BILLING, Shop, open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    return open_shop()


def bearer(
    user: User, *scopes: Scope, limit: Money | None = None, by: Viewer = VISITOR
) -> dict[str, str]:
    text = create_token(user, name="t", scopes=list(scopes), spend_limit=limit, by=by)[1]
    return {"HTTP_AUTHORIZATION": f"Bearer {text}"}


@pytest.fixture
def script(shop: Shop) -> dict[str, str]:
    return bearer(shop.buyer, Scope.BUY)


def post(client: Client, path: str, body: Any, headers: dict[str, str], key: str = "") -> Any:
    more = {"HTTP_IDEMPOTENCY_KEY": key} if key else {}
    return client.post(f"/api/v1/{path}", body, content_type="application/json", **headers, **more)


def quote(client: Client, shop: Shop, script: dict[str, str], **more: Any) -> dict[str, Any]:
    body = {"items": [{"offer": shop.offer.public_id}], "currency": "EUR", "billing": BILLING}
    answer = post(client, "quotes", body | more, script)
    assert answer.status_code == 201, answer.content
    return answer.json()


def wish(quoted: dict[str, Any], **more: Any) -> dict[str, Any]:
    terms = [line["terms"]["sha256"] for line in quoted["lines"]]
    return {"quote": quoted["id"], "accepted_terms": terms} | more


def nothing_ordered() -> bool:
    tables = (Order, Payment, License, LedgerMovement)
    return not any(table.objects.exists() for table in tables)


def test_a_script_quotes_buys_and_downloads(client: Client, shop: Shop, script: Any) -> None:
    refused = client.get("/maria/haiku-gpt/resolve/main/config.json", **script)
    body = refused.json()
    assert (refused.status_code, refused["X-Error-Code"]) == (403, "GatedRepo")
    assert body["code"] == "purchase_required"
    assert "19.00 EUR" in body["error"]
    assert "/maria/haiku-gpt" in body["error"]
    offer = body["extra"]["offers"][0]

    asked = {"items": [{"offer": offer["id"]}], "currency": "EUR", "billing": BILLING}
    quoted = post(client, body["extra"]["quotes"].removeprefix("/api/v1/"), asked, script).json()
    bought = post(
        client,
        body["extra"]["orders"].removeprefix("/api/v1/"),
        wish(quoted, payment_method="test_success"),
        script,
        "one",
    )

    assert bought.status_code == 201
    assert bought.json()["state"] == "fulfilled"
    assert bought.json()["total"] == "19.00"
    again = client.get("/maria/haiku-gpt/resolve/main/config.json", **script)
    assert again.status_code == 200
    assert again["Cache-Control"].startswith("no-cache")


def test_the_same_key_is_the_same_order(client: Client, shop: Shop, script: Any) -> None:
    quoted = quote(client, shop, script)
    body = wish(quoted, payment_method="test_success")

    first = post(client, "orders", body, script, "k")
    again = post(client, "orders", body, script, "k")
    other = post(client, "orders", wish(quote(client, shop, script)), script, "k")

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")
    assert Order.objects.count() == Payment.objects.count() == License.objects.count() == 1


def test_the_same_key_pays_with_nothing_else(client: Client, shop: Shop, script: Any) -> None:
    body = wish(quote(client, shop, script), payment_method="test_decline")
    declined = post(client, "orders", body, script, "k")

    other = post(client, "orders", body | {"payment_method": "test_success"}, script, "k")

    assert declined.status_code == 402
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")
    assert other.json()["error"]["extra"] == {"order": Order.objects.get().public_id}
    assert not Payment.objects.exists()


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"accepted_terms": []}, 409, "terms_required"),
        ({"accepted_terms": ["0" * 64]}, 409, "terms_required"),
        ({"quote": "nowhere"}, 404, "quote_not_found"),
        ({"gateway": "cash"}, 404, "unknown_gateway"),
        ({"gateway": "stripe"}, 404, "unknown_gateway"),
    ],
)
def test_orders_that_cannot_be(
    client: Client, shop: Shop, script: Any, change: Any, status: int, code: str
) -> None:
    body = wish(quote(client, shop, script), payment_method="test_success") | change

    answer = post(client, "orders", body, script, "k")

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert nothing_ordered()


@pytest.mark.parametrize("key", ["", "x" * 129, "näh", "a\tb"])
def test_an_order_needs_a_key(client: Client, shop: Shop, script: Any, key: str) -> None:
    body = wish(quote(client, shop, script))

    answer = post(client, "orders", body, script, key)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_idempotency_key")
    assert nothing_ordered()


def test_a_declined_card_leaves_the_order_open(client: Client, shop: Shop, script: Any) -> None:
    body = wish(quote(client, shop, script), payment_method="test_decline")

    declined = post(client, "orders", body, script, "k")
    order = Order.objects.get()
    paid = post(client, f"orders/{order.public_id}/pay", {"payment_method": "test_success"}, script)

    assert (declined.status_code, declined.json()["error"]["code"]) == (402, "payment_declined")
    assert declined.json()["error"]["extra"] == {"reason": "card_declined"}
    assert (paid.status_code, paid.json()["state"]) == (200, "fulfilled")
    assert Payment.objects.count() == 1


def test_a_card_that_asks_back_needs_a_browser(client: Client, shop: Shop, script: Any) -> None:
    body = wish(quote(client, shop, script), payment_method="test_3ds")

    answer = post(client, "orders", body, script, "k").json()

    assert answer["state"] == "open"
    assert answer["checkout"]["needs_browser"] is True
    assert "/sandbox/" in answer["checkout"]["url"]
    assert not License.objects.exists()


def test_prices_and_terms_that_changed(client: Client, shop: Shop, script: Any) -> None:
    first, second = quote(client, shop, script), quote(client, shop, script)
    shop.offer.prices.update(amount_minor=2900)

    dearer = post(client, "orders", wish(first), script, "a").json()["error"]
    shop.offer.prices.update(amount_minor=1900)
    from licensing.models import Terms

    other = Terms.objects.create(sha256="f" * 64, source="own", title="Mine", text="x")
    Offer.objects.update(terms=other)
    changed = post(client, "orders", wish(second), script, "b").json()["error"]

    assert dearer["code"] == "price_changed"
    assert dearer["extra"]["now"]["gross_minor"] == 2900
    assert changed["code"] == "terms_changed"
    assert changed["extra"]["now"]["lines"][0]["terms"]["title"] == "Mine"
    assert nothing_ordered()


def test_quotes_expire(client: Client, shop: Shop, script: Any) -> None:
    quoted = quote(client, shop, script)
    Quote.objects.update(expires_at=timezone.now())

    answer = post(client, "orders", wish(quoted), script, "k")

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "quote_expired")
    assert nothing_ordered()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"currency": "USD"}, "currency_not_offered"),
        ({"currency": "XXX"}, "bad_currency"),
        ({"items": []}, "bad_wish"),
        ({"coupon": "NEVER"}, "coupon_refused"),
        ({"billing": {"name": "x"}}, "bad_address"),
        ({"billing": BILLING | {"country": "ZZ"}}, "bad_country"),
        ({"billing": BILLING | {"name": "Ad\u0430"}}, "bad_text"),
        ({"holder": "maria"}, "forbidden"),
        ({"holder": "nobody"}, "forbidden"),
    ],
)
def test_quotes_that_cannot_be(
    client: Client, shop: Shop, script: Any, change: Any, code: str
) -> None:
    body = {"items": [{"offer": shop.offer.public_id}], "currency": "EUR", "billing": BILLING}

    answer = post(client, "quotes", body | change, script)

    assert answer.json()["error"]["code"] == code
    assert answer.status_code in {400, 403, 409}
    assert not Quote.objects.exists()


@pytest.mark.parametrize("quantity", [0, -1, 10_001, 10**12])
def test_quantities_have_bounds(client: Client, shop: Shop, script: Any, quantity: int) -> None:
    items = [{"offer": shop.offer.public_id, "quantity": quantity}]

    answer = post(client, "quotes", {"items": items, "currency": "EUR"}, script)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_quantity")


def test_only_tokens_that_may_buy_buy(client: Client, shop: Shop) -> None:
    body = {"items": [{"offer": shop.offer.public_id}], "currency": "EUR"}

    answers = [
        post(client, "quotes", body, headers)
        for headers in ({}, bearer(shop.buyer, Scope.READ), bearer(shop.buyer, Scope.WRITE))
    ]

    codes = [(answer.status_code, answer.json()["error"]["code"]) for answer in answers]
    assert codes == [(401, "not_signed_in"), (403, "missing_scope"), (403, "missing_scope")]
    assert not Quote.objects.exists()


def test_a_token_keeps_to_its_limit(client: Client, shop: Shop) -> None:
    script = bearer(shop.buyer, Scope.BUY, limit=Money(3000, "EUR"))
    first = post(client, "orders", wish(quote(client, shop, script)), script, "a")
    second = post(client, "orders", wish(quote(client, shop, script)), script, "b")

    assert first.status_code == 201
    error = second.json()["error"]
    assert (second.status_code, error["code"]) == (403, "spend_limit")
    assert error["extra"] == {"limit_minor": 3000, "left_minor": 1100, "currency": "EUR"}
    assert Order.objects.count() == 1
    AccessToken.objects.update(spend_currency="USD")
    third = post(client, "orders", wish(quote(client, shop, script)), script, "c")
    assert third.json()["error"]["code"] == "spend_limit"


def test_what_a_token_pays_counts_against_its_own_limit(client: Client, shop: Shop) -> None:
    order = shop.order()  # in a browser
    small = bearer(shop.buyer, Scope.BUY, limit=Money(1899, "EUR"))
    enough = bearer(shop.buyer, Scope.BUY, limit=Money(2000, "EUR"))
    pay = f"orders/{order.public_id}/pay", {"payment_method": "test_success"}

    refused = post(client, *pay, small)

    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (403, "spend_limit")
    assert error["extra"] == {"limit_minor": 1899, "left_minor": 1899, "currency": "EUR"}
    assert not Payment.objects.exists()
    order.refresh_from_db()
    assert (order.state, order.token) == (Order.State.OPEN, None)
    assert post(client, *pay, enough).json()["state"] == "fulfilled"
    more = post(client, "orders", wish(quote(client, shop, enough)), enough, "b").json()["error"]
    assert (more["code"], more["extra"]["left_minor"]) == ("spend_limit", 100)


def test_an_order_of_another_token_is_not_paid_by_its_key(client: Client, shop: Shop) -> None:
    large = bearer(shop.buyer, Scope.BUY)
    small = bearer(shop.buyer, Scope.BUY, limit=Money(100, "EUR"))
    body = wish(quote(client, shop, large), payment_method="test_decline")
    assert post(client, "orders", body, large, "k").status_code == 402

    again = post(client, "orders", body, small, "k")

    assert (again.status_code, again.json()["error"]["code"]) == (403, "spend_limit")
    assert Order.objects.get().token.spend_limit_minor is None


def test_a_token_pays_what_it_ordered_without_counting_it_twice(client: Client, shop: Shop) -> None:
    script = bearer(shop.buyer, Scope.BUY, limit=Money(1900, "EUR"))
    order = post(client, "orders", wish(quote(client, shop, script)), script, "k").json()

    paid = post(client, f"orders/{order['id']}/pay", {"payment_method": "test_success"}, script)

    assert paid.json()["state"] == "fulfilled"


def test_an_order_of_last_month_counts_when_it_is_paid(client: Client, shop: Shop) -> None:
    script = bearer(shop.buyer, Scope.BUY, limit=Money(1900, "EUR"))
    order = post(client, "orders", wish(quote(client, shop, script)), script, "k").json()
    Order.objects.update(created_at=timezone.now() - timedelta(days=32))

    while_open = post(client, "orders", wish(quote(client, shop, script)), script, "b")
    post(client, f"orders/{order['id']}/pay", {"payment_method": "test_success"}, script)
    when_paid = post(client, "orders", wish(quote(client, shop, script)), script, "b")

    for refused in (while_open, when_paid):
        assert refused.json()["error"]["code"] == "spend_limit"
    assert Order.objects.count() == 1
    Order.objects.update(paid_at=timezone.now() - timedelta(days=32))
    assert post(client, "orders", wish(quote(client, shop, script)), script, "b").status_code == 201


def test_periods_of_subscriptions_a_token_began_count_in_their_month(
    client: Client, time_machine: Any
) -> None:
    time_machine.move_to("2027-01-31 12:00:00+00:00", tick=False)
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    script = bearer(shop.buyer, Scope.BUY, limit=Money(2000, "EUR"))
    other = bearer(shop.buyer, Scope.BUY, limit=Money(2000, "EUR"))

    def order(key: str, by: dict[str, str]) -> Any:
        body = wish(quote(client, shop, by), payment_method="test_success")
        return post(client, "orders", body, by, key)

    assert order("january", script).json()["state"] == "fulfilled"
    time_machine.move_to("2027-02-10 12:00:00+00:00", tick=False)
    before = order("february", script)  # the period is collected at the end of the month
    time_machine.move_to("2027-02-28 11:30:00+00:00", tick=False)
    assert dunning.renew_due() == 1  # a period is never refused
    after = order("february", script)

    for refused in (before, after):
        error = refused.json()["error"]
        assert (error["code"], error["extra"]["left_minor"]) == ("spend_limit", 100)
    assert Order.objects.count() == 2
    assert order("other", other).status_code == 201
    Subscription.objects.update(state=Subscription.State.ENDING)
    time_machine.move_to("2027-03-10 12:00:00+00:00", tick=False)
    assert order("march", script).status_code == 201


def test_a_quote_and_its_order_tell_when_a_discount_ends(client: Client) -> None:
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    script = bearer(shop.buyer, Scope.BUY)
    Coupon.objects.create(namespace=shop.repo.namespace, code="HALF", basis_points=5000, periods=3)

    quoted = quote(client, shop, script, coupon="half")
    made = post(client, "orders", wish(quoted, payment_method="test_success"), script, "k").json()
    plain = quote(client, shop, script)["lines"][0]

    for line in (quoted["lines"][0], made["lines"][0]):
        assert (line["gross_minor"], line["discount_minor"]) == (950, 950)
        assert (line["discount_periods"], line["later_gross_minor"]) == (3, 1900)
    assert (plain["discount_periods"], plain["later_gross_minor"]) == (None, None)


def test_what_would_be_free_at_first_alone_is_not_quoted(client: Client) -> None:
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    script = bearer(shop.buyer, Scope.BUY)
    Coupon.objects.create(
        namespace=shop.repo.namespace, code="MUCH", amount_minor=1900, currency="EUR", periods=2
    )
    body = {"items": [{"offer": shop.offer.public_id}], "currency": "EUR", "coupon": "MUCH"}

    answer = post(client, "quotes", body, script)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (409, "coupon_refused")
    assert error["extra"] == {"reason": "free_at_first"}
    assert nothing_ordered()
    assert not Quote.objects.exists()


def test_a_token_is_counted_the_dearer_period_that_comes(client: Client, time_machine: Any) -> None:
    time_machine.move_to("2027-01-31 12:00:00+00:00", tick=False)
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    script = bearer(shop.buyer, Scope.BUY, limit=Money(2000, "EUR"))
    Coupon.objects.create(namespace=shop.repo.namespace, code="HALF", basis_points=5000, periods=1)
    quoted = quote(client, shop, script, coupon="HALF")
    post(client, "orders", wish(quoted, payment_method="test_success"), script, "k")
    time_machine.move_to("2027-02-10 12:00:00+00:00", tick=False)

    refused = post(client, "orders", wish(quote(client, shop, script)), script, "l")

    assert refused.json()["error"]["extra"]["left_minor"] == 100
    assert Order.objects.count() == 1


def test_a_team_buys_for_its_members(client: Client, shop: Shop) -> None:
    member = make_user("bea")
    make_org("acme", ada=Role.WRITE, bea=Role.READ)
    script, theirs = bearer(shop.buyer, Scope.BUY), bearer(member, Scope.READ)
    path = "/maria/haiku-gpt/resolve/main/config.json"
    assert client.get(path, **theirs).status_code == 403

    quoted = quote(client, shop, script, holder="acme")
    post(client, "orders", wish(quoted, payment_method="test_success"), script, "k")

    assert client.get(path, **theirs).status_code == 200
    assert License.objects.get().holder.name == "acme"
    refused = quote_for(client, shop, bearer(member, Scope.BUY), "acme")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("path", "body"), [("pay", {"payment_method": "test_success"}), ("cancel", {}), ("refunds", {})]
)
def test_who_may_only_read_spends_nothing_of_a_team(
    client: Client, shop: Shop, path: str, body: dict[str, str]
) -> None:
    make_org("acme", ada=Role.WRITE, **{make_user(name).username: role for name, role in TEAM})
    script = bearer(shop.buyer, Scope.BUY)
    at_once = {"payment_method": "test_success"} if path == "refunds" else {}
    wanted = wish(quote(client, shop, script, holder="acme"), **at_once)
    order = post(client, "orders", wanted, script, "k").json()
    people = {name: bearer(User.objects.get(username=name), Scope.BUY) for name, _role in TEAM}
    people["eve"] = bearer(make_user("eve"), Scope.BUY)

    refused = [
        post(client, f"orders/{order['id']}/{path}", body, people[name]) for name in ("bea", "eve")
    ]

    told = [(answer.status_code, answer.json()["error"]["code"]) for answer in refused]
    assert told == [(403, "forbidden"), (404, "order_not_found")]
    seen = client.get(f"/api/v1/orders/{order['id']}", **people["bea"]).json()
    assert seen["state"] == order["state"]
    assert not Refund.objects.exists()
    assert post(client, f"orders/{order['id']}/{path}", body, people["tom"]).status_code < 300


TEAM = [("bea", Role.READ), ("tom", Role.WRITE)]


def quote_for(client: Client, shop: Shop, script: dict[str, str], holder: str) -> Any:
    items = [{"offer": shop.offer.public_id}]
    body = {"items": items, "currency": "EUR", "holder": holder, "billing": BILLING}
    return post(client, "quotes", body, script)


def test_a_refund_ends_access_at_once(client: Client, shop: Shop, script: Any) -> None:
    body = wish(quote(client, shop, script), payment_method="test_success")
    order = post(client, "orders", body, script, "k").json()
    path = "/maria/haiku-gpt/resolve/main/config.json"
    assert client.get(path, **script).status_code == 200

    asked = post(client, f"orders/{order['id']}/refunds", {"reason": "no limericks"}, script)
    seller = bearer(shop.seller, Scope.WRITE)
    buyer = bearer(shop.buyer, Scope.WRITE)
    stranger = post(client, f"refunds/{asked.json()['id']}/accept", {}, buyer)
    granted = post(client, f"refunds/{asked.json()['id']}/accept", {}, seller)

    assert (asked.status_code, asked.json()["state"]) == (201, "asked")
    assert stranger.status_code == 404
    assert (granted.status_code, granted.json()["state"]) == (200, "done")
    refused = client.get(path, **script)
    assert (refused.status_code, refused.json()["code"]) == (403, "purchase_required")
    shown = client.get(f"/api/v1/orders/{order['id']}", **script).json()
    assert (shown["state"], shown["refunded_minor"]) == ("refunded", 1900)
    twice = post(client, f"refunds/{asked.json()['id']}/accept", {}, seller)
    assert (twice.status_code, twice.json()["error"]["code"]) == (409, "refund_answered")


def asked_back(shop: Shop) -> Refund:
    return refunds.ask(shop.buying, shop.buy(), None, "no limericks")


ANSWERS = pytest.mark.parametrize(
    ("deed", "body", "state"),
    [("accept", {"reason": "Fair."}, "done"), ("decline", {"answer": "Used."}, "declined")],
)


def refused_and_waiting(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert Refund.objects.get().state == Refund.State.ASKED
    assert Order.objects.get().refunded_minor == 0


@ANSWERS
def test_only_tokens_that_sell_answer_refunds(
    client: Client, shop: Shop, deed: str, body: Any, state: str
) -> None:
    path = f"refunds/{asked_back(shop).public_id}/{deed}"

    for scope in (Scope.READ, Scope.BUY):
        answer = post(client, path, body, bearer(shop.seller, scope))
        refused_and_waiting(answer, 403, "missing_scope")
    refused_and_waiting(post(client, path, body, {}), 401, "not_signed_in")
    assert post(client, path, body, bearer(shop.seller, Scope.WRITE)).json()["state"] == state


@ANSWERS
def test_a_session_answers_refunds_after_a_recent_login(
    shop: Shop, browser_of: Any, deed: str, body: Any, state: str
) -> None:
    path = f"refunds/{asked_back(shop).public_id}/{deed}"
    browser = browser_of(shop.seller)
    grow_stale(browser)

    refused_and_waiting(post(browser, path, body, {}), 403, "recent_login_needed")
    assert post(browser_of(shop.seller), path, body, {}).json()["state"] == state


def grow_stale(browser: Client, **facts: Any) -> None:
    session = browser.session
    session.update(facts or {"confirmed_at": 0})
    session.save()


@ANSWERS
def test_staff_answer_refunds_as_in_the_administration(
    client: Client, shop: Shop, browser_of: Any, deed: str, body: Any, state: str
) -> None:
    clerk = make_user("clerk", is_staff=True)
    path = f"refunds/{asked_back(shop).public_id}/{deed}"
    stale, by_password = browser_of(clerk), browser_of(clerk)
    grow_stale(stale)
    grow_stale(by_password, second_factor=False)

    refused_and_waiting(post(stale, path, body, {}), 403, "recent_login_needed")
    refused_and_waiting(post(by_password, path, body, {}), 404, "refund_not_found")
    unproved = bearer(clerk, Scope.ADMIN)
    refused_and_waiting(post(client, path, body, unproved), 404, "refund_not_found")
    refused_and_waiting(
        post(client, path, body, bearer(clerk, Scope.WRITE)), 404, "refund_not_found"
    )
    nothing, code = ({}, "reason_needed") if deed == "accept" else ({"answer": " "}, "invalid")
    refused_and_waiting(post(browser_of(clerk), path, nothing, {}), 400, code)
    proved = bearer(clerk, Scope.ADMIN, by=proved_viewer(clerk))
    refused_and_waiting(post(client, path, nothing, proved), 400, code)
    assert post(browser_of(clerk), path, body, {}).json()["state"] == state


def test_a_seller_may_decline(client: Client, shop: Shop, script: Any) -> None:
    body = wish(quote(client, shop, script), payment_method="test_success")
    order = post(client, "orders", body, script, "k").json()
    line = {"line": order["lines"][0]["id"]}
    asked = post(client, f"orders/{order['id']}/refunds", line, script).json()

    declined = post(
        client,
        f"refunds/{asked['id']}/decline",
        {"answer": "Used for a month."},
        bearer(shop.seller, Scope.WRITE),
    )

    assert declined.json()["state"] == "declined"
    assert Refund.objects.get().answer == "Used for a month."
    path = "/maria/haiku-gpt/resolve/main/config.json"
    assert client.get(path, **script).status_code == 200
    nowhere = post(client, f"orders/{order['id']}/refunds", {"line": "x"}, script)
    assert nowhere.status_code == 404


def test_orders_are_their_buyers(client: Client, shop: Shop, script: Any) -> None:
    order = post(client, "orders", wish(quote(client, shop, script)), script, "k").json()
    stranger = bearer(make_user("eve"), Scope.BUY)

    mine = client.get("/api/v1/orders", **script).json()
    theirs = client.get("/api/v1/orders", **stranger).json()
    refused = client.get(f"/api/v1/orders/{order['id']}", **stranger)

    assert [row["id"] for row in mine["results"]] == [order["id"]]
    assert theirs == {"results": [], "next": None}
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "order_not_found")


def test_an_open_order_can_be_cancelled(client: Client, shop: Shop, script: Any) -> None:
    order = post(client, "orders", wish(quote(client, shop, script)), script, "k").json()

    cancelled = post(client, f"orders/{order['id']}/cancel", {}, script)
    paid = post(client, f"orders/{order['id']}/pay", {"payment_method": "test_success"}, script)

    assert cancelled.json()["state"] == "cancelled"
    assert paid.json()["state"] == "cancelled"
    assert not Payment.objects.exists()


def test_what_was_quoted_can_be_read_again(client: Client, shop: Shop, script: Any) -> None:
    quoted = quote(client, shop, script)

    read = client.get(f"/api/v1/quotes/{quoted['id']}", **script)
    stranger = client.get(f"/api/v1/quotes/{quoted['id']}", **bearer(make_user("eve"), Scope.BUY))

    assert read.json() == quoted
    assert stranger.status_code == 404


def test_the_last_address_is_used_again(client: Client, shop: Shop, script: Any) -> None:
    post(client, "orders", wish(quote(client, shop, script)), script, "k")

    quoted = quote(client, shop, script, billing=None)
    answer = post(client, "orders", wish(quoted), script, "l")

    assert answer.status_code == 201
    assert Order.objects.latest("pk").billing == BILLING


def test_money_needs_an_address(client: Client, shop: Shop, script: Any) -> None:
    quoted = quote(client, shop, script, billing=None)

    answer = post(client, "orders", wish(quoted), script, "k")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "billing_required")
    assert nothing_ordered()


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0"
    "00000301010018dd8db00000000049454e44ae426082"
)


def test_the_shop_window_is_open_to_everybody(client: Client, shop: Shop) -> None:
    files = {"pictures/loss.png": PNG, "sly.png": b"not a picture, but weights " * 9}
    add_files(shop.seller, shop.repo, files)

    def answer(path: str) -> Any:
        return client.get(f"/maria/haiku-gpt/resolve/main/{path}")

    assert answer("README.md").status_code == 200
    assert answer("pictures/loss.png").status_code == 200
    assert answer("pictures/loss.png")["Cache-Control"].startswith("no-cache")
    for path in ("sly.png", "config.json", "model.safetensors", "nowhere.json"):
        refused = answer(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "purchase_required")
    assert answer("nowhere.png").status_code == 404
