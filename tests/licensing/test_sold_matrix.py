"""Who may have a sold model, by every way its contents leave: one table, every cell tried."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.models import Permission, User
from accounts.services.tokens import create_token
from accounts.viewer import Viewer
from catalog.models import FileScan, Grant, Listing, ModelRepo
from catalog.services.token_reach import Wanted, read_reach
from licensing.models import License
from licensing.services import license_keys, refunds
from tests.factories import make_org, make_repo, make_user
from tests.hub.xet.calling import XetClient, made
from tests.licensing.license_api.holding import bank_says
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
REPO = "maria/haiku-gpt"
WEIGHTS = made()
CLOSED = {401, 403}

Headers = dict[str, str]
Answer = Any
WAYS: dict[str, Callable[[Client, Headers], Answer]] = {
    "resolve": lambda client, who: client.get(f"/{REPO}/resolve/main/big.bin", headers=who),
    "head": lambda client, who: client.head(f"/{REPO}/resolve/main/big.bin", headers=who),
    "range": lambda client, who: client.get(
        f"/{REPO}/resolve/main/config.json", headers=who | {"Range": "bytes=0-3"}
    ),
    "xet token": lambda client, who: client.get(
        f"/api/models/{REPO}/xet-read-token/main", headers=who
    ),
    "git": lambda client, who: client.get(
        f"/{REPO}.git/info/refs?service=git-upload-pack", headers=who
    ),
    "zip": lambda client, who: client.get(f"/{REPO}/archive/main.zip", headers=who),
    "lfs": lambda client, who: client.post(
        f"/{REPO}.git/info/lfs/objects/batch",
        {"operation": "download", "objects": [{"oid": WEIGHTS.sha256, "size": 300_000}]},
        content_type="application/json",
        headers=who,
    ),
    "diff": lambda client, who: client.get(
        f"/api/models/{REPO}/compare/main..main?raw=1", headers=who
    ),
    "generate": lambda client, who: client.post(
        "/api/v1/generations",
        {"model": REPO, "prompt": "x", "max_new_tokens": 1},
        content_type="application/json",
        headers=who,
    ),
}


EXPECTED = {
    "visitor": False,
    "stranger": False,
    "seller": True,
    "buyer": True,
    "buyer, token for it": True,
    "buyer, token for gated models": True,
    "buyer, token for other models": False,
    "buyer, token for their name space": False,
    "team of a buyer": True,
    "team, token for the team": False,
    "expired": False,
    "suspended": False,
    "refunded": False,
    "disputed": False,
}
"""Whether the contents are open, by every way but for one:"""
GENERATING = {("generate", "buyer, token for gated models")}
"""Generating uses up what a person has a day: their token must list the model itself."""


@pytest.fixture
def shop(bearer: Callable[..., Headers]) -> Shop:
    """A sold model with a file that came by Xet."""
    shop = open_shop()
    XetClient(Client(), bearer(shop.seller), REPO).publish({"big.bin": WEIGHTS})
    FileScan.objects.update(verdict=FileScan.Verdict.CLEAN)
    Listing.objects.update(verdict=FileScan.Verdict.CLEAN)
    return shop


def token(user: User, *places: str, has_gated: bool = False) -> Headers:
    """Headers of a fine-grained token that reads at these places."""
    wanted = [Wanted(place, frozenset({Permission.READ})) for place in places]
    reach = read_reach(Viewer(user=user), wanted, has_gated=has_gated)
    text = create_token(user, name="t", scopes=[], reach=reach)[1]
    return {"Authorization": f"Bearer {text}"}


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside is taken back."""
    before = transaction.savepoint()
    yield
    transaction.savepoint_rollback(before)


def passes(answer: Answer) -> bool:
    """Whether the contents are open; a refusal says why, and tells nothing of them."""
    if answer.status_code not in CLOSED:
        assert answer.status_code in {200, 206, 409}, answer.content
        return True
    told = answer.content.decode() + str(answer.headers)
    said = ("GatedRepo", "purchase_required", "not_signed_in", "missing_scope", "restricted")
    assert any(word in told for word in said), told
    kept = {"ETag", "X-Linked-Size", "X-Linked-Etag", "X-Xet-Hash", "X-Repo-Commit", "Link"}
    assert not kept & set(answer.headers)
    for secret in (WEIGHTS.sha256, WEIGHTS.file, "big.bin", "config.json", "300000"):
        assert secret not in told
    return False


def test_a_model_that_went_private_stays_with_its_buyers(
    shop: Shop, bearer: Callable[..., Headers]
) -> None:
    """Their programs' tokens open what they opened before; to others there is no such model."""
    client, ada = Client(), shop.buyer
    bob, eve = make_user("bob"), make_user("eve")
    shop.buy()
    make_repo(ada, "own")
    make_org("acme", ada="admin", eve="read")
    shop.buy("team", holder="acme")
    callers = {
        "visitor": {},
        "stranger": bearer(bob, "read"),
        "stranger, token for gated models": token(bob, has_gated=True),
        "seller": bearer(shop.seller, "read"),
        "buyer": bearer(ada, "read"),
        "buyer, token for it": token(ada, REPO),
        "buyer, token for gated models": token(ada, has_gated=True),
        "buyer, token for other models": token(ada, "ada/own"),
        "buyer, token for their name space": token(ada, "ada"),
        "team of a buyer": bearer(eve, "read"),
        "team, token for the team": token(eve, "acme"),
    }
    expected = EXPECTED | {"stranger, token for gated models": False}
    ModelRepo.objects.filter(pk=shop.repo.pk).update(is_private=True)

    found = {
        name: {way: is_there(call(client, who)) for way, call in WAYS.items()}
        for name, who in callers.items()
    }

    wanted = {
        name: {way: expected[name] and (way, name) not in GENERATING for way in WAYS}
        for name in callers
    }
    assert found == wanted


def is_there(answer: Answer) -> bool:
    """Whether a private model opens; to others it is as if there were none."""
    if answer.status_code in {200, 206, 409}:
        return True
    told = answer.content.decode() + str(answer.headers)
    assert answer.status_code in {401, 403, 404}, told
    assert "purchase_required" not in told
    for secret in (WEIGHTS.sha256, WEIGHTS.file, "300000"):
        assert secret not in told
    return False


def test_a_taken_down_model_stays_with_its_buyers(
    shop: Shop, bearer: Callable[..., Headers]
) -> None:
    """Staff take a sold model down: who bought it has it by every way, its seller sees it."""
    client = Client()
    shop.buy()
    buyer, stranger = bearer(shop.buyer, "read"), bearer(make_user("bob"), "read")
    ModelRepo.objects.filter(pk=shop.repo.pk).update(disabled_reason="a complaint")

    for way, call in WAYS.items():
        assert is_there(call(client, buyer)), way
        for who in ({}, stranger):
            closed = call(client, who)
            assert closed.status_code in CLOSED, way
            assert WEIGHTS.sha256 not in closed.content.decode() + str(closed.headers)


def test_who_may_have_a_sold_model(shop: Shop, bearer: Callable[..., Headers]) -> None:
    """Every way agrees; what is public stays public to all of them."""
    client, bob, eve = Client(), make_user("bob"), make_user("eve")
    order, ada = shop.buy(), shop.buyer
    make_repo(ada, "own")
    make_org("acme", ada="admin", eve="read")
    shop.buy("team", holder="acme")
    Grant.objects.filter(holder=ada.namespace).update(ends_at=timezone.now() + timedelta(days=9))
    row = License.objects.get(line__order=order)
    buyer = XetClient(client, bearer(ada, "read"), REPO)
    assert buyer.get(f"/v1/reconstructions/{WEIGHTS.file}").status_code == 200
    listed = client.get(f"/api/models/{REPO}/tree/main").content

    def ask(who: Headers) -> dict[str, bool]:
        assert client.get(f"/api/models/{REPO}/tree/main", headers=who).content == listed
        return {name: passes(way(client, who)) for name, way in WAYS.items()}

    callers = {
        "visitor": {},
        "stranger": bearer(bob, "read"),
        "seller": bearer(shop.seller, "read"),
        "buyer": buyer.headers,
        "buyer, token for it": token(ada, REPO),
        "buyer, token for gated models": token(ada, has_gated=True),
        "buyer, token for other models": token(ada, "ada/own"),
        "buyer, token for their name space": token(ada, "ada"),
        "team of a buyer": bearer(eve, "read"),
        "team, token for the team": token(eve, "acme"),
    }
    found = {name: ask(who) for name, who in callers.items()}
    Grant.objects.filter(holder__organization__isnull=False).update(state=Grant.State.REVOKED)
    ends: dict[str, Callable[[], object]] = {
        "expired": lambda: Grant.objects.filter(pk=row.grant_id).update(ends_at=timezone.now()),
        "suspended": lambda: license_keys.suspend(shop.selling, row, "late"),
        "refunded": lambda: refunds.give_back(shop.selling, order, None, "sorry"),
        "disputed": lambda: bank_says(order, "open"),
    }
    for name, end in ends.items():
        with undone():
            end()
            found[name] = ask(buyer.headers)
            old_token = buyer.get(f"/v1/reconstructions/{WEIGHTS.file}")
            assert not passes(old_token), name

    wanted = {
        name: {way: is_open and (way, name) not in GENERATING for way in WAYS}
        for name, is_open in EXPECTED.items()
    }
    assert found == wanted
