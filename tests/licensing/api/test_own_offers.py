"""``GET /api/v1/offers`` and ``/api/v1/offers/{id}``: what is read and put back stays as it is."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Scope, User
from accounts.services.tokens import create_token
from licensing.models import Offer, Price
from licensing.services.offers import set_active
from licensing.terms.catalogue import shipped_terms
from tests.factories import make_user
from tests.licensing.selling.shop import make_model, open_shop

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LAUNCH = {
    "currency": "EUR",
    "amount_minor": 1900,
    "launch_minor": 900,
    "launch_from": (NOW - timedelta(days=1)).isoformat(),
    "launch_until": (NOW + timedelta(days=30)).isoformat(),
}
PLAIN = {"title": "Plain", "kind": "fixed", "terms": "store-commercial", "prices": [LAUNCH]}
RIGHTS = {
    "commercial_use": "conditional",
    "derivatives": "unknown",
    "redistribution": "no",
    "hosted_service": "yes",
    "credit": True,
    "share_alike": True,
}
KINDS: dict[str, dict[str, Any]] = {
    "launch": {},
    "tax included": {"is_tax_included": True, "trial_tokens": 2000, "description": "For one app."},
    "two currencies": {"prices": [LAUNCH, {"currency": "JPY", "amount_minor": 3000}]},
    "launch that is over": {
        "prices": [LAUNCH | {"launch_from": None, "launch_until": (NOW - timedelta(1)).isoformat()}]
    },
    "pay what you want": {
        "kind": "pwyw",
        "prices": [{"currency": "USD", "amount_minor": 0, "suggested_minor": 500}],
    },
    "subscription": {"kind": "subscription", "interval": "year", "updates": "major"},
    "free": {"kind": "free", "prices": [], "terms": "store-research"},
    "seats and term": {"seats": 0, "seat_kind": "people", "term_days": 90, "updates": "revision"},
    "own terms": {"terms": "own", "own_text": " Be kind.\r\n\tAlways.\r\n", "rights": RIGHTS},
    "own rights for a text of ours": {
        "terms": "own",
        "own_text": shipped_terms()["store-commercial"].text,
        "rights": RIGHTS,
    },
    "confirmed": {"lineage_confirmed": True},
    "off the shelf": {"is_active": False},
}


def rows_of(offer_id: str) -> Any:
    """What a buyer could ever notice of an offer, as the database has it."""
    changing = {"version", "updated_at", "agreed_at", "lineage_confirmed_at"}
    offer = Offer.objects.filter(public_id=offer_id).values().get()
    prices = Price.objects.filter(offer_id=offer["id"]).order_by("currency").values()
    kept = {name: value for name, value in offer.items() if name not in changing}
    kept["is_confirmed"] = offer["lineage_confirmed_at"] is not None
    kept["repos"] = sorted(Offer.objects.get(pk=offer["id"]).repos.values_list("pk", flat=True))
    return kept, [{k: v for k, v in row.items() if k != "id"} for row in prices]


def token_of(user: User, scope: Scope) -> dict[str, str]:
    return {
        "HTTP_AUTHORIZATION": f"Bearer {create_token(user, name=str(scope), scopes=[scope])[1]}"
    }


@pytest.mark.parametrize("name", KINDS)
def test_what_is_read_and_put_back_changes_nothing(client: Client, name: str) -> None:
    seller = make_user("maria")
    make_model(seller, "haiku-gpt")
    make_model(seller, "tanka-gpt")
    token = token_of(seller, Scope.WRITE)
    send: dict[str, Any] = {"content_type": "application/json", **token}
    body = PLAIN | {"models": ["maria/tanka-gpt"]} | KINDS[name]
    made = client.post("/api/v1/models/maria/haiku-gpt/offers", body, **send)
    path = f"/api/v1/offers/{made.json()['id']}"
    if "is_active" in KINDS[name]:
        client.patch(path, {"is_active": False}, **send)
    before = rows_of(made.json()["id"])

    read = client.get(path, **token)
    again = client.put(path, read.json(), **send)

    assert (made.status_code, read.status_code, again.status_code) == (201, 200, 200)
    assert rows_of(made.json()["id"]) == before
    assert again.json() == read.json() | {"version": 2}


def test_the_regular_price_is_read_during_a_launch(client: Client) -> None:
    seller = make_user("maria")
    make_model(seller, "haiku-gpt")
    send: dict[str, Any] = {"content_type": "application/json", **token_of(seller, Scope.WRITE)}
    listed = "/api/v1/models/maria/haiku-gpt/offers"
    made = client.post(listed, PLAIN, **send).json()

    client.put(f"/api/v1/offers/{made['id']}", made | {"title": "Better name"}, **send)

    price = Price.objects.get()
    assert (price.amount_minor, price.launch_minor) == (1900, 900)
    shown = client.get(listed).json()["results"][0]
    assert (shown["title"], shown["prices"][0]["amount_minor"]) == ("Better name", 900)


def test_the_list_has_what_is_off_the_shelf_page_by_page(client: Client) -> None:
    shop = open_shop()
    send: dict[str, Any] = {"content_type": "application/json"}
    token = token_of(shop.seller, Scope.WRITE)
    path = "/api/v1/models/maria/haiku-gpt/offers"
    newer = client.post(path, PLAIN, **send, **token).json()
    set_active(shop.selling, shop.offer, is_active=False)
    mine = "/api/v1/offers?model=maria/haiku-gpt"

    first = client.get(f"{mine}&limit=1", **token).json()
    second = client.get(f"{mine}&limit=1&cursor={first['next']}", **token).json()

    assert [row["id"] for row in first["results"]] == [newer["id"]]
    assert [row["id"] for row in second["results"]] == [shop.offer.public_id]
    assert [row["is_active"] for row in (*first["results"], *second["results"])] == [True, False]
    assert second["next"] is None
    assert client.get("/api/v1/offers", **token).json()["error"]["code"] == "invalid"


def test_nobody_else_reads_what_the_seller_wrote(client: Client) -> None:
    shop = open_shop()
    one = f"/api/v1/offers/{shop.offer.public_id}"
    every = "/api/v1/offers?model=maria/haiku-gpt"
    headers = [
        {},
        token_of(shop.buyer, Scope.ADMIN),
        token_of(shop.seller, Scope.READ),
        token_of(shop.seller, Scope.WRITE),
    ]

    assert [client.get(one, **each).status_code for each in headers] == [401, 404, 403, 200]
    assert [client.get(every, **each).status_code for each in headers] == [401, 403, 403, 200]


def test_a_model_named_twice_is_in_a_bundle_once(client: Client) -> None:
    seller = make_user("maria")
    make_model(seller, "haiku-gpt")
    send: dict[str, Any] = {"content_type": "application/json", **token_of(seller, Scope.WRITE)}
    body = PLAIN | {"models": ["maria/haiku-gpt", "Maria/Haiku-GPT"]}

    made = client.post("/api/v1/models/maria/haiku-gpt/offers", body, **send)

    assert made.status_code == 201
    assert made.json()["models"] == ["maria/haiku-gpt"]
