"""``/api/v1/models/{ns}/{name}/offers``, ``/api/v1/offers`` and ``/api/v1/terms``."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Scope, User
from accounts.services.tokens import create_token
from catalog.models import ModelRepo
from licensing.models import Offer, RevenueAsk
from tests.factories import add_files, make_user
from tests.licensing.selling.shop import make_model

pytestmark = pytest.mark.django_db
OFFER = {
    "title": "Commercial",
    "kind": "fixed",
    "prices": [{"currency": "eur", "amount_minor": 1900}],
    "terms": "store-commercial",
}


@pytest.fixture
def seller() -> User:
    return make_user("maria")


@pytest.fixture
def model(seller: User) -> ModelRepo:
    return make_model(seller, "haiku-gpt")


@pytest.fixture
def token(seller: User) -> dict[str, str]:
    text = create_token(seller, name="t", scopes=[Scope.WRITE])[1]
    return {"HTTP_AUTHORIZATION": f"Bearer {text}"}


def send(client: Client, method: str, path: str, body: Any, token: dict[str, str]) -> Any:
    return getattr(client, method)(
        f"/api/v1/{path}", body, content_type="application/json", **token
    )


def test_an_offer_from_shelf_to_attic(client: Client, model: ModelRepo, token: Any) -> None:
    assert client.get("/api/v1/models/maria/haiku-gpt/offers").json()["results"] == []

    made = send(client, "post", "models/maria/haiku-gpt/offers", OFFER, token)
    listed = client.get("/api/v1/models/maria/haiku-gpt/offers").json()["results"]
    dearer = OFFER | {"prices": [{"currency": "EUR", "amount_minor": 2900}]}
    changed = send(client, "put", f"offers/{made.json()['id']}", dearer, token)
    ended = send(client, "patch", f"offers/{made.json()['id']}", {"is_active": False}, token)

    assert made.status_code == 201
    assert [each["id"] for each in listed] == [made.json()["id"]]
    assert listed[0]["prices"] == [
        {"currency": "EUR", "amount_minor": 1900, "amount": "19.00", "suggested_minor": None}
    ]
    assert changed.json()["prices"][0]["amount_minor"] == 2900
    assert Offer.objects.get().version == 2
    assert ended.status_code == 200
    assert client.get("/api/v1/models/maria/haiku-gpt/offers").json()["results"] == []
    model.refresh_from_db()
    assert not model.is_for_sale


def test_a_bundle(client: Client, model: ModelRepo, seller: User, token: Any) -> None:
    make_model(seller, "tanka-gpt")
    body = OFFER | {"models": ["maria/tanka-gpt"]}

    made = send(client, "post", "models/maria/haiku-gpt/offers", body, token)

    assert sorted(made.json()["models"]) == ["maria/haiku-gpt", "maria/tanka-gpt"]
    assert ModelRepo.objects.filter(is_for_sale=True).count() == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"prices": []}, "bad_offer"),
        ({"prices": [{"currency": "EUR", "amount_minor": 0}]}, "bad_offer"),
        ({"prices": [{"currency": "EUR", "amount_minor": -5}]}, "bad_amount"),
        ({"prices": [{"currency": "EUR", "amount_minor": 10**13}]}, "bad_amount"),
        ({"prices": [{"currency": "EUX", "amount_minor": 5}]}, "bad_currency"),
        ({"prices": [{"currency": "EUR", "amount_minor": 5}] * 2}, "bad_offer"),
        ({"kind": "free"}, "bad_offer"),
        ({"kind": "subscription"}, "bad_offer"),
        ({"kind": "subscription", "interval": "month", "term_days": 9}, "bad_offer"),
        ({"seats": -1}, "bad_offer"),
        ({"seats": 10**9}, "bad_offer"),
        ({"term_days": 0}, "bad_offer"),
        ({"trial_tokens": -1}, "bad_offer"),
        ({"terms": "nothing"}, "unknown_terms"),
        ({"terms": "own", "own_text": ""}, "bad_terms"),
        ({"models": ["haiku"]}, "invalid"),
        ({"models": ["maria/nowhere"]}, "repo_not_found"),
    ],
)
def test_offers_that_cannot_be(
    client: Client, model: ModelRepo, token: Any, change: Any, code: str
) -> None:
    answer = send(client, "post", "models/maria/haiku-gpt/offers", OFFER | change, token)

    assert answer.json()["error"]["code"] == code
    assert answer.status_code in {400, 404}
    assert not Offer.objects.exists()
    model.refresh_from_db()
    assert not model.is_for_sale


def test_only_the_owner_sells(client: Client, model: ModelRepo, token: Any) -> None:
    made = send(client, "post", "models/maria/haiku-gpt/offers", OFFER, token).json()
    text = create_token(make_user("eve"), name="t", scopes=[Scope.WRITE])[1]
    stranger = {"HTTP_AUTHORIZATION": f"Bearer {text}"}

    answers = [
        send(client, "post", "models/maria/haiku-gpt/offers", OFFER, stranger),
        send(client, "put", f"offers/{made['id']}", OFFER, stranger),
        send(client, "patch", f"offers/{made['id']}", {"is_active": False}, stranger),
        send(client, "post", "models/maria/haiku-gpt/offers", OFFER, {}),
    ]

    assert [answer.status_code for answer in answers] == [403, 404, 404, 401]
    assert Offer.objects.get().is_active


def test_terms_are_read_by_their_hash(client: Client, model: ModelRepo, token: Any) -> None:
    import hashlib

    own = OFFER | {
        "terms": "own",
        "own_text": "Be kind.\r\n",
        "rights": {
            "commercial_use": "yes",
            "derivatives": "no",
            "redistribution": "no",
            "hosted_service": "no",
            "credit": True,
            "share_alike": False,
        },
    }
    made = send(client, "post", "models/maria/haiku-gpt/offers", own, token).json()

    terms = client.get(f"/api/v1/terms/{made['terms_sha256']}").json()

    assert hashlib.sha256(terms["text"].encode()).hexdigest() == terms["sha256"]
    assert terms["text"].startswith("Be kind.")
    assert made["rights"]["credit"] is True
    assert client.get("/api/v1/terms/" + "0" * 64).status_code == 404


OPENING = "models/maria/haiku-gpt/opening"
ASK = "models/maria/haiku-gpt/revenue-ask"


def test_early_access_is_timed(client: Client, model: ModelRepo, token: Any) -> None:
    send(client, "post", "models/maria/haiku-gpt/offers", OFFER, token)
    moment = (timezone.now() + timedelta(days=3)).replace(microsecond=0)

    answer = send(client, "put", OPENING, {"opens_at": moment.isoformat()}, token)

    assert answer.status_code == 200
    told = client.get("/api/v1/models/maria/haiku-gpt/offers").json()
    assert datetime.fromisoformat(told["opens_at"]) == moment
    assert answer.json()["opens_at"] == told["opens_at"]
    assert send(client, "put", OPENING, {"opens_at": None}, token).json() == {"opens_at": None}
    model.refresh_from_db()
    assert model.opens_at is None


def test_a_share_is_asked_for_and_shown_below(
    client: Client, model: ModelRepo, seller: User, token: Any
) -> None:
    zoe = make_user("zoe")
    base = make_model(zoe, "base")
    card = b"---\nlicense: mit\nbase_model: zoe/base\n---\n# hi\n"
    add_files(seller, model, {"README.md": card})
    theirs = create_token(zoe, name="t", scopes=[Scope.WRITE])[1]
    header = {"HTTP_AUTHORIZATION": f"Bearer {theirs}"}

    answer = send(client, "put", "models/zoe/base/revenue-ask", {"basis_points": 1000}, header)

    assert answer.json() == {"basis_points": 1000, "upstream": []}
    asked = {"owner": "zoe", "model": "zoe/base", "basis_points": 1000}
    told = client.get(f"/api/v1/{ASK}", **token).json()
    assert told == {"basis_points": 0, "upstream": [asked]}
    send(client, "put", "models/zoe/base/revenue-ask", {"basis_points": 0}, header)
    assert not RevenueAsk.objects.filter(repo=base).exists()


@pytest.mark.parametrize(
    ("path", "body", "wanted"),
    [
        (OPENING, {"opens_at": "2020-01-01T00:00:00Z"}, (400, "bad_offer")),
        (OPENING, {"opens_at": "soon"}, (400, "invalid")),
        (OPENING, {}, (400, "invalid")),
        (ASK, {"basis_points": 5001}, (400, "bad_ask")),
        (ASK, {"basis_points": -1}, (400, "bad_ask")),
        (ASK, {"basis_points": "half"}, (400, "invalid")),
        (ASK, {}, (400, "invalid")),
    ],
)
def test_moments_and_shares_that_cannot_be(
    path: str, body: Any, wanted: Any, client: Client, model: ModelRepo, token: Any
) -> None:
    answer = send(client, "put", path, body, token)

    assert (answer.status_code, answer.json()["error"]["code"]) == wanted
    check_unchanged(model)


@pytest.mark.parametrize("path", [OPENING, ASK])
def test_only_its_owner_times_and_asks(path: str, client: Client, model: ModelRepo) -> None:
    body = {"opens_at": (timezone.now() + timedelta(days=3)).isoformat(), "basis_points": 100}
    bob, maria = make_user("bob"), User.objects.get(username="maria")
    tokens = [
        create_token(user, name="t", scopes=[scope])[1]
        for user, scope in ((bob, Scope.WRITE), (maria, Scope.READ))
    ]
    headers = [{"HTTP_AUTHORIZATION": f"Bearer {text}"} for text in tokens]

    answers = [send(client, "put", path, body, header) for header in [{}, *headers]]

    assert [answer.status_code for answer in answers] == [401, 403, 403]
    check_unchanged(model)


def check_unchanged(model: ModelRepo) -> None:
    model.refresh_from_db()
    assert model.opens_at is None
    assert not RevenueAsk.objects.exists()
