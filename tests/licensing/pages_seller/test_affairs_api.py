"""A seller's own affairs by REST: coupons, who they are on documents, payouts."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, Scope
from accounts.services.tokens import create_token
from licensing.models import Coupon, Payout, SellerAccount, SellerProfile
from licensing.services import payouts
from tests.factories import enrol, make_org, make_user
from tests.licensing.payouts.market import earn
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
Bearer = Callable[..., dict[str, str]]
Ask = Callable[..., Any]
PROFILE = {
    "legal_name": "Maria Models GmbH",
    "address": ["Lindenallee 1", "10115 Berlin"],
    "country": "DE",
    "region": "",
    "is_registered": True,
    "vat_number": "DE136695976",
    "uses_oss": False,
    "registrations": ["GB"],
    "invoice_prefix": "MM",
}


@pytest.fixture
def shop() -> Shop:
    return open_shop()


@pytest.fixture
def ask(client: Client, bearer: Bearer, shop: Shop) -> Ask:
    """Call as somebody: ``ask("get", "coupons")``; the seller with ``write``, if not told."""

    def call(
        method: str, path: str, body: Any = None, *, who: Any = None, scope: str = "write"
    ) -> Any:
        headers = bearer(who or shop.seller, scope)
        if method == "get":
            return client.get(f"/api/v1/{path}", headers=headers)
        work = getattr(client, method)
        return work(f"/api/v1/{path}", body or {}, content_type="application/json", headers=headers)

    return call


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_coupon_is_made_used_and_ended(shop: Shop, ask: Ask) -> None:
    body = {"code": "spring-25", "basis_points": 2500, "offers": [shop.offer.public_id]}

    made = ask("post", "coupons", body)

    assert made.status_code == 201
    coupon = made.json()
    assert (coupon["code"], coupon["uses"], coupon["is_active"]) == ("SPRING-25", 0, True)
    assert coupon["offers"] == [shop.offer.public_id]
    assert shop.buy(coupon="SPRING-25").gross_minor == 1425
    (listed,) = ask("get", "coupons", scope="read").json()["results"]
    assert listed == coupon | {"uses": 1}
    for _ in range(2):
        ended = ask("post", f"coupons/{coupon['id']}/end").json()
        assert ended == listed | {"is_active": False}
    assert AuditEvent.objects.filter(action="coupon.end").count() == 1


def test_a_coupon_says_how_many_periods_it_lowers(ask: Ask) -> None:
    body = {"code": "THREE", "basis_points": 5000, "periods": 3}

    made = ask("post", "coupons", body)
    other = ask("post", "coupons", {"code": "ALL", "basis_points": 10_000})

    assert (made.status_code, made.json()["periods"]) == (201, 3)
    assert (other.status_code, other.json()["periods"]) == (201, None)
    assert dict(Coupon.objects.values_list("code", "periods")) == {"THREE": 3, "ALL": None}
    refused = ask("post", "coupons", body | {"code": "FREE", "basis_points": 10_000})
    assert refused.json()["error"]["extra"]["field"] == "periods"


def test_coupons_come_in_pages(ask: Ask) -> None:
    for code in ("ONE", "TWO", "SIX"):
        ask("post", "coupons", {"code": code, "amount_minor": 100, "currency": "EUR"})

    first = ask("get", "coupons?limit=2").json()
    rest = ask("get", f"coupons?limit=2&cursor={first['next']}").json()

    found = [row["code"] for row in first["results"] + rest["results"]]
    assert (found, rest["next"]) == (["SIX", "TWO", "ONE"], None)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({}, (400, "invalid")),
        ({"code": "X" * 41}, (400, "invalid")),
        ({"code": "AB", "basis_points": 100}, (400, "bad_coupon")),
        ({"code": "NOTHING"}, (400, "bad_coupon")),
        ({"code": "BOTH", "basis_points": 1, "amount_minor": 1}, (400, "bad_coupon")),
        ({"code": "MUCH", "basis_points": 10_001}, (400, "bad_coupon")),
        ({"code": "MONEY", "amount_minor": 5, "currency": "EURO"}, (400, "invalid")),
        ({"code": "NONE", "basis_points": 1, "periods": 0}, (400, "bad_coupon")),
        ({"code": "LONG", "basis_points": 1, "periods": 121}, (400, "bad_coupon")),
        ({"code": "FREE", "basis_points": 10_000, "periods": 1}, (400, "bad_coupon")),
        ({"code": "SOME", "basis_points": 1, "periods": "some"}, (400, "invalid")),
        ({"code": "OTHERS", "basis_points": 1, "offers": ["0" * 24]}, (400, "bad_coupon")),
        ({"code": "PAST", "basis_points": 1, "ends_at": "soon"}, (400, "invalid")),
        (
            {"code": "PAST", "basis_points": 1, "ends_at": "2020-01-01T00:00:00Z"},
            (400, "bad_coupon"),
        ),
        ({"code": "TAKEN", "basis_points": 1}, (409, "coupon_taken")),
    ],
)
def test_a_coupon_that_cannot_be_changes_nothing(
    body: dict[str, Any], wanted: tuple[int, str], ask: Ask
) -> None:
    ask("post", "coupons", {"code": "TAKEN", "basis_points": 100})

    assert refusal(ask("post", "coupons", body)) == wanted

    assert Coupon.objects.count() == 1


def test_the_profile_is_read_and_replaced(shop: Shop, ask: Ask) -> None:
    SellerProfile.objects.create(namespace=shop.repo.namespace, bank_details="IBAN DE00")
    before = ask("get", "seller-profile", scope="read").json()
    assert (before["seller"], before["numbers_begin_with"]) == ("maria", "MARIA")
    assert before["has_bank_details"]
    assert "DE00" not in str(before)

    answer = ask("put", "seller-profile", PROFILE)

    told = answer.json()
    assert {name: told[name] for name in PROFILE} == PROFILE
    assert (told["name_on_documents"], told["tax_rate_missing"]) == ("Maria Models GmbH", "")
    assert SellerProfile.objects.get().bank_details == "IBAN DE00"
    assert ask("get", "seller-profile").json() == told
    sent = ask("put", "seller-profile", PROFILE | {"bank_details": "IBAN of a thief"})
    assert sent.status_code == 200
    assert SellerProfile.objects.get().bank_details == "IBAN DE00"


def test_a_place_without_a_rate_is_told(ask: Ask) -> None:
    told = ask("put", "seller-profile", PROFILE | {"registrations": ["US-DC"]}).json()

    assert "no tax rate of District of Columbia" in told["tax_rate_missing"]
    assert told["registrations"] == ["US-DC"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"country": "XX"}, "bad_country"),
        ({"vat_number": ""}, "bad_seller_profile"),
        ({"vat_number": "DE1"}, "bad_tax_number"),
        ({"invoice_prefix": "TEST"}, "bad_seller_profile"),
        ({"registrations": ["US"]}, "bad_region"),
        ({"legal_name": "a\u200bb"}, "bad_name"),
    ],
)
def test_a_profile_that_cannot_be_changes_nothing(
    changes: dict[str, Any], code: str, ask: Ask
) -> None:
    ask("put", "seller-profile", PROFILE)
    before = list(SellerProfile.objects.values())

    answer = ask("put", "seller-profile", PROFILE | changes)

    assert (answer.status_code // 100, answer.json()["error"]["code"]) == (4, code)
    assert list(SellerProfile.objects.values()) == before


def test_payouts_and_their_statements(shop: Shop, ask: Ask) -> None:
    enrol(shop.seller)
    assert ask("get", "payouts").json() == {"results": [], "next": None}
    earn(shop.repo.namespace, 1900)
    (made,) = payouts.run_payouts()

    (row,) = ask("get", "payouts", scope="read").json()["results"]

    assert (row["amount_minor"], row["currency"], row["state"]) == (1900, "EUR", "sending")
    assert row["is_test"]
    assert ask("get", f"payouts/{made.public_id}").json() == row
    assert row["statement"]["number"] == made.statement.text_number
    paper = ask("get", row["statement"]["url"].removeprefix("/api/v1/"), scope="read")
    assert (paper.status_code, paper["Content-Type"]) == (200, "application/pdf")
    assert paper.content.startswith(b"%PDF")
    assert refusal(ask("get", "payouts/nothing")) == (404, "payout_not_found")
    assert refusal(ask("get", "payouts/nothing/statement")) == (404, "payout_not_found")
    bare = Payout.objects.create(
        namespace=shop.repo.namespace,
        gateway="sandbox",
        currency="EUR",
        amount_minor=1,
        until=timezone.now(),
    )
    assert ask("get", f"payouts/{bare.public_id}").json()["statement"] is None
    answer = ask("get", f"payouts/{bare.public_id}/statement")
    assert refusal(answer) == (404, "statement_not_found")


def test_where_the_money_goes(shop: Shop, ask: Ask, settings: Any) -> None:
    enrol(shop.seller)
    settings.ENV = settings.ENV.model_copy(update={"gateways": ("sandbox", "invoice")})

    told = ask("get", "payouts/account", scope="read").json()

    assert told["page"] == "/sales/payouts/account?seller=maria"
    states = [(one["gateway"], one["state"], one["is_test"]) for one in told["results"]]
    assert states == [("sandbox", "ready", True), ("invoice", "none", False)]
    SellerProfile.objects.create(namespace=shop.repo.namespace, bank_details="IBAN DE00")
    told = ask("get", "payouts/account").json()
    assert told["results"][1]["state"] == "ready"
    assert not SellerAccount.objects.exists()


WAYS: list[tuple[str, str, Any]] = [
    ("get", "coupons", None),
    ("post", "coupons", {"code": "MINE", "basis_points": 100}),
    ("post", "coupons/ID/end", None),
    ("get", "seller-profile", None),
    ("put", "seller-profile", PROFILE),
    ("get", "payouts", None),
    ("get", "payouts/account", None),
    ("get", "payouts/ID", None),
    ("get", "payouts/ID/statement", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WAYS)
def test_affairs_are_for_admins_of_the_seller(
    method: str, path: str, body: Any, ask: Ask, client: Client
) -> None:
    tom, ann = make_user("tom"), make_user("ann")
    make_org("acme", tom="write", ann="admin")

    for who, name in ((tom, "acme"), (tom, "maria"), (ann, "nobody")):
        answer = ask(method, f"{path}?seller={name}", body, who=who, scope="admin")
        assert refusal(answer) == (404, "seller_not_found")
    if method != "get":
        answer = ask(method, f"{path}?seller=acme", body, who=ann, scope="read")
        assert refusal(answer) == (403, "missing_scope")
    nobody = client.generic(method.upper(), f"/api/v1/{path}", content_type="application/json")
    assert nobody.status_code == 401
    assert not Coupon.objects.exists()
    assert not SellerProfile.objects.exists()


@pytest.mark.parametrize("path", [path for _m, path, _b in WAYS if path.startswith("payouts")])
def test_payouts_need_a_token_that_was_made_by_two_factors(
    path: str, shop: Shop, ask: Ask, client: Client
) -> None:
    earn(shop.repo.namespace, 1900)
    (made,) = payouts.run_payouts()
    path = path.replace("ID", made.public_id)

    assert refusal(ask("get", path)) == (403, "two_factor_needed")
    enrol(shop.seller)
    text = create_token(shop.seller, name="by password", scopes=[Scope.ADMIN])[1]
    by_password = client.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {text}"})
    assert refusal(by_password) == (403, "two_factor_needed")
    assert ask("get", path).status_code == 200


def test_a_team_has_affairs_of_its_own(ask: Ask) -> None:
    ann = make_user("ann")
    org = make_org("acme", ann="admin")

    made = ask("post", "coupons?seller=ACME", {"code": "TEAM", "basis_points": 100}, who=ann)

    assert Coupon.objects.get().namespace == org.namespace
    answer = ask("post", f"coupons/{made.json()['id']}/end")
    assert refusal(answer) == (404, "coupon_not_found")
    assert Coupon.objects.get().is_active


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "balance"),
        ("get", "sales"),
        ("get", "coupons"),
        ("get", "seller-profile"),
        ("put", "seller-profile"),
        ("get", "payouts"),
        ("get", "payouts/ID"),
        ("get", "payouts/ID/statement"),
        ("get", "payouts/account"),
    ],
)
def test_a_session_proves_what_the_pages_ask(
    method: str, path: str, shop: Shop, browser_of: Callable[..., Client]
) -> None:
    earn(shop.repo.namespace, 1900)
    (made,) = payouts.run_payouts()

    def answer(browser: Client) -> Any:
        at = f"/api/v1/{path.replace('ID', made.public_id)}"
        return getattr(browser, method)(at, PROFILE, content_type="application/json")

    stale = browser_of(shop.seller)
    session = stale.session
    session["confirmed_at"] = 0
    session.save()
    assert refusal(answer(stale)) == (403, "recent_login_needed")
    assert not AuditEvent.objects.filter(action="seller.profile").exists()
    if path.startswith("payouts"):
        assert refusal(answer(browser_of(shop.seller))) == (403, "two_factor_needed")
        enrol(shop.seller)
        by_password = browser_of(shop.seller)
        session = by_password.session
        session["second_factor"] = False
        session.save()
        assert refusal(answer(by_password)) == (403, "two_factor_needed")
    assert answer(browser_of(shop.seller)).status_code == 200
