"""What programs read of sales: the same as the pages show."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts.models import User
from licensing.models import FeeRule
from licensing.services import refunds
from tests.factories import make_org, make_user
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
Bearer = Callable[..., dict[str, str]]


@pytest.fixture
def shop() -> Shop:
    return open_shop()


@pytest.fixture
def ask(shop: Shop, client: Client, bearer: Bearer) -> Callable[..., Any]:
    """Read as the seller: ``ask("sales")``."""
    headers = bearer(shop.seller, "read")

    def get(path: str) -> Any:
        return client.get(f"/api/v1/{path}", headers=headers)

    return get


def test_nothing_sold(ask: Callable[..., Any]) -> None:
    assert ask("sales").json() == {"results": [], "next": None}
    assert ask("balance").json() == {"seller": "maria", "balances": []}
    summary = ask("sales/summary").json()
    assert (summary["purses"], summary["downloads"]) == ([], {"now": 0, "before": 0})


def test_a_sale(shop: Shop, ask: Callable[..., Any]) -> None:
    FeeRule.objects.create(basis_points=1000)
    order = shop.buy()

    (sale,) = ask("sales").json()["results"]

    assert ask(f"sales/{order.public_id}").json() == sale
    assert (sale["order"], sale["buyer"], sale["country"]) == (order.public_id, "Ada Byron", "DE")
    (line,) = sale["lines"]
    assert (line["gross_minor"], line["fee_minor"], line["shares_minor"]) == (1900, 190, 0)
    assert line["license"]
    assert sale["is_test"]


def test_an_offer_that_is_gone(shop: Shop, ask: Callable[..., Any]) -> None:
    order = shop.buy()
    shop.offer.delete()

    (line,) = ask(f"sales/{order.public_id}").json()["lines"]

    assert (line["offer"], line["title"]) == ("", "Commercial")
    (row,) = ask("sales/summary").json()["purses"][0]["by_offer"]
    assert (row["key"], row["title"], row["sales"]) == ("Commercial", "Commercial", 1)


def test_sales_come_in_pages(shop: Shop, ask: Callable[..., Any]) -> None:
    ids = [shop.buy(f"k{number}").public_id for number in range(3)]

    first = ask("sales?limit=2").json()
    rest = ask(f"sales?limit=2&cursor={first['next']}").json()

    found = [sale["order"] for sale in first["results"] + rest["results"]]
    assert found == ids[::-1]
    assert rest["next"] is None


def test_buyers(shop: Shop, ask: Callable[..., Any]) -> None:
    orders = [shop.buy(f"k{number}") for number in range(3)]

    first = ask("buyers?limit=2").json()
    rest = ask(f"buyers?limit=2&cursor={first['next']}").json()

    found = first["results"] + rest["results"]
    assert [row["order"] for row in found] == [order.public_id for order in orders[::-1]]
    row = found[0]
    assert (row["licensee"], row["holder"], row["country"]) == ("Ada Byron", "ada", "DE")
    assert (row["code"], row["seats"]["used"], row["seller"]) == ("VALID", 0, "maria")
    assert "GPTS-" not in str(row)
    assert ask(f"buyers?q={row['id']}").json()["results"] == [row]
    assert ask("buyers?q=nobody").json()["results"] == []


def test_entries_come_to_the_balance(shop: Shop, ask: Callable[..., Any]) -> None:
    FeeRule.objects.create(basis_points=1000)
    order = shop.buy("a")
    shop.buy("b", method="test_dispute")

    found: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = ask(f"balance/entries?limit=1{cursor and f'&cursor={cursor}'}").json()
        found, cursor = found + page["results"], page["next"]

    (balance,) = ask("balance").json()["balances"]
    owed = balance["available_minor"] + balance["held_minor"] + balance["disputed_minor"]
    assert sum(row["amount_minor"] for row in found) == owed == 3420
    assert {row["movement"] for row in found} == {"sale", "dispute_opened"}
    first = found[-1]
    assert (first["order"], first["is_test"], first["hold"]) == (
        order.public_id,
        True,
        "refund_window",
    )


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("buyers?cursor=junk", 400, "bad_cursor"),
        ("buyers?seller=ada", 404, "seller_not_found"),
        ("balance/entries?seller=ada", 404, "seller_not_found"),
        ("sales?only=nothing", 400, "bad_filter"),
        ("sales?cursor=junk", 400, "bad_cursor"),
        ("sales?limit=0", 400, "invalid"),
        ("sales/nothing", 404, "order_not_found"),
        ("sales/summary?days=0", 400, "invalid"),
        ("sales/summary?days=367", 400, "invalid"),
        ("sales/summary?days=many", 400, "invalid"),
        ("sales?seller=ada", 404, "seller_not_found"),
        ("sales/summary?seller=nobody", 404, "seller_not_found"),
        ("balance?seller=ada", 404, "seller_not_found"),
    ],
)
def test_refusals(ask: Callable[..., Any], path: str, status: int, code: str) -> None:
    answer = ask(path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    "path", ["sales", "sales/summary", "balance", "sales/x", "buyers", "balance/entries"]
)
def test_visitors_have_no_sales(client: Client, db: None, path: str) -> None:
    assert client.get(f"/api/v1/{path}").status_code == 401


def test_teams_show_sales_to_admins(client: Client, bearer: Bearer, db: None) -> None:
    maria, tom = make_user("maria"), make_user("tom")
    make_org("acme", maria="admin", tom="write")

    for path in ("sales", "sales/summary", "balance", "buyers", "balance/entries"):
        seen = client.get(f"/api/v1/{path}?seller=ACME", headers=bearer(maria, "read"))
        assert seen.status_code == 200
        hidden = client.get(f"/api/v1/{path}?seller=acme", headers=bearer(tom, "read"))
        assert hidden.status_code == 404


def test_this_time_against_the_one_before(shop: Shop, ask: Callable[..., Any]) -> None:
    with time_machine.travel(timezone.now() - timedelta(days=10), tick=False):
        old = shop.buy("old")
        shop.buy("kept")
    refunds.give_back(shop.selling, old, None, "sorry")
    shop.buy("new")

    summary = ask("sales/summary?days=7").json()

    (purse,) = summary["purses"]
    assert (purse["currency"], purse["is_test"]) == ("EUR", True)
    assert purse["now"] == {
        "sales": 1,
        "gross_minor": 1900,
        "refunded_minor": 1900,
        "earned_minor": 0,
    }
    assert purse["before"] == {
        "sales": 2,
        "gross_minor": 3800,
        "refunded_minor": 0,
        "earned_minor": 3800,
    }
    assert [day["day"] for day in purse["days"]] == [str(timezone.now().date())]
    assert [row["sales"] for row in purse["by_country"]] == [1]


def test_held_amounts_say_why_until_when_and_what_releases_them(
    shop: Shop, ask: Callable[..., Any]
) -> None:
    order = shop.buy()

    (balance,) = ask("balance").json()["balances"]

    assert (balance["available_minor"], balance["held_minor"]) == (0, 1900)
    (held,) = balance["held"]
    assert (held["order"], held["amount_minor"]) == (order.public_id, 1900)
    assert held["rule"].startswith("Held for 14 days after the sale")
    assert held["release"] == "Released by itself on that day, unless the order is refunded."
    with time_machine.travel(timezone.now() + timedelta(days=15)):
        (later,) = ask("balance").json()["balances"]
    assert (later["available_minor"], later["held_minor"], later["held"]) == (1900, 0, [])


def test_disputed_amounts_have_no_date(shop: Shop, ask: Callable[..., Any]) -> None:
    shop.buy(method="test_dispute")

    (balance,) = ask("balance").json()["balances"]

    assert balance["disputed_minor"] == 1900
    assert [row["available_at"] for row in balance["held"] if "bank" in row["rule"]] == [None]


def test_a_refunded_order_is_not_held(shop: Shop, ask: Callable[..., Any]) -> None:
    refunds.give_back(shop.selling, shop.buy(), None, "")

    (balance,) = ask("balance").json()["balances"]

    assert (balance["available_minor"], balance["held_minor"], balance["held"]) == (0, 0, [])


def test_a_share_hides_whose_order_it_is(client: Client, bearer: Bearer, db: None) -> None:
    from accounts.viewer import Viewer
    from licensing.services.upstream import set_ask
    from tests.factories import add_files
    from tests.licensing.selling.shop import make_model

    owner: User = make_user("base")
    root = make_model(owner, "root")
    set_ask(Viewer(user=owner), root, 1000)
    shop = open_shop()
    card = b"---\nlicense: mit\nbase_model: base/root\n---\n# hi\n"
    add_files(shop.seller, shop.repo, {"README.md": card})
    shop.buy()

    answer = client.get("/api/v1/balance", headers=bearer(owner, "read")).json()

    (held,) = answer["balances"][0]["held"]
    assert (held["order"], held["amount_minor"]) == ("", 190)
    summary = client.get("/api/v1/sales/summary", headers=bearer(owner, "read")).json()
    assert summary["purses"][0]["now"]["earned_minor"] == 190
    assert client.get("/api/v1/sales", headers=bearer(owner, "read")).json()["results"] == []
