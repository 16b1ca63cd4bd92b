"""What a seller did after offering a model: it is neither listed nor sold while it may not be."""

import pickle
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Scope
from catalog.models import Grant, ModelRepo
from licensing.configured import signer
from licensing.documents.jws import open_license
from licensing.models import License, Offer, OfferedRepo, Order, Quote
from licensing.services import checkout, offers, reconciling
from licensing.services.issuing import issue_file
from licensing.services.offers import make_offer
from tests.factories import add_files, make_repo, make_user
from tests.licensing.api.test_buying import bearer, nothing_ordered, post, quote, wish
from tests.licensing.pages.buying import get, put_in_cart
from tests.licensing.selling.shop import BILLING, FIXED, Shop, make_model, open_shop

pytestmark = pytest.mark.django_db
LISTED = "/api/v1/models/maria/haiku-gpt/offers"
CARD = b"---\nlicense: mit\n---\n# hi\n"
FROM_NC = b"---\nlicense: mit\nbase_model: zoe/free-only\n---\n# hi\n"


@pytest.fixture
def shop() -> Shop:
    return open_shop()


@pytest.fixture
def script(shop: Shop) -> dict[str, str]:
    return bearer(shop.buyer, Scope.BUY)


def commit(shop: Shop, files: dict[str, bytes]) -> None:
    repo = ModelRepo.objects.select_related("namespace").get(pk=shop.repo.pk)
    add_files(shop.seller, repo, files)


def asked(shop: Shop) -> dict[str, Any]:
    return {"items": [{"offer": shop.offer.public_id}], "currency": "EUR", "billing": BILLING}


def check_closed(client: Client, shop: Shop, script: Any, quoted: dict[str, Any]) -> None:
    """Nobody is offered it, can quote it, or can order it from an old quote or cart."""
    assert client.get(LISTED).json()["results"] == []
    before = Quote.objects.count()
    answers = [
        post(client, "quotes", asked(shop), script),
        post(client, "orders", wish(quoted, payment_method="test_success"), script, "k"),
    ]
    assert [answer.status_code for answer in answers] == [409, 409]
    assert {answer.json()["error"]["code"] for answer in answers} == {"offer_closed"}
    assert Quote.objects.count() == before
    assert nothing_ordered()


@pytest.mark.parametrize(
    "files",
    [
        {"extra.bin": pickle.dumps(print)},
        {"extra.bin": b"\x00\x01nobody knows\xff" * 9},
        {"README.md": FROM_NC},
    ],
    ids=["unsafe", "unknown", "lineage"],
)
def test_a_commit_after_the_offer_ends_its_sale(
    files: dict[str, bytes], client: Client, shop: Shop, script: Any
) -> None:
    zoe = make_user("zoe")
    make_repo(zoe, "free-only", files={"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"})
    quoted = quote(client, shop, script)
    assert len(client.get(LISTED).json()["results"]) == 1

    commit(shop, files)

    check_closed(client, shop, script, quoted)
    refused = client.get("/maria/haiku-gpt/resolve/main/config.json")
    assert (refused.status_code, refused.json()["extra"]["offers"]) == (403, [])
    page = get(client, "/maria/haiku-gpt")
    assert "Nobody can buy it now" in page
    assert 'action="/cart/add"' not in page
    if "README.md" in files:
        commit(shop, {"README.md": CARD})
        assert len(client.get(LISTED).json()["results"]) == 1
        quote(client, shop, script)


def test_a_head_without_weights_is_not_sold(client: Client, shop: Shop, script: Any) -> None:
    quoted = quote(client, shop, script)
    repo = ModelRepo.objects.get(pk=shop.repo.pk)
    repo.listing.weights_bytes = 0  # as a commit leaves it that deletes them
    repo.listing.save(update_fields=["weights_bytes"])

    check_closed(client, shop, script, quoted)


def test_what_may_not_be_sold_may_be_given_away(client: Client, shop: Shop, script: Any) -> None:
    make_repo(
        make_user("zoe"), "free-only", files={"README.md": b"---\nlicense: cc-by-nc-4.0\n---\n"}
    )
    offers.set_active(shop.selling, shop.offer, is_active=False)
    free = replace(FIXED, kind=Offer.Kind.FREE, prices=())
    shop.offer = make_offer(shop.selling, [shop.repo], free)

    commit(shop, {"README.md": FROM_NC})

    assert len(client.get(LISTED).json()["results"]) == 1
    quote(client, shop, script)


def test_nothing_is_charged_for_what_has_opened(
    client: Client, shop: Shop, script: Any, time_machine: Any
) -> None:
    offers.set_opening(shop.selling, shop.repo, timezone.now() + timedelta(minutes=5))
    put_in_cart(client, shop.offer)
    quoted = quote(client, shop, script)

    time_machine.move_to(timezone.now() + timedelta(minutes=6), tick=False)

    assert client.get("/maria/haiku-gpt/resolve/main/config.json").status_code == 200
    check_closed(client, shop, script, quoted)
    assert "is not for sale now" in get(client, "/cart")


def test_a_bundle_is_sold_until_all_of_it_has_opened(
    client: Client, shop: Shop, script: Any
) -> None:
    other = make_model(shop.seller, "sonnet-gpt")
    OfferedRepo.objects.create(offer=shop.offer, repo=other)
    Offer.objects.update(title="Both")
    ModelRepo.objects.filter(pk=other.pk).update(opens_at=timezone.now())
    quoted = quote(client, shop, script)

    ModelRepo.objects.update(opens_at=timezone.now())

    check_closed(client, shop, script, quoted)


@pytest.fixture
def few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("offers", "sellability", "returning"):
        monkeypatch.setattr(f"licensing.services.{module}.MAX_FILES", 4)


def test_a_revision_with_more_files_than_a_license_names_is_not_sold(
    client: Client, shop: Shop, script: Any, few_files: None, browser_of: Any
) -> None:
    quoted = quote(client, shop, script)

    commit(shop, {"one.txt": b"1", "two.txt": b"2"})

    check_closed(client, shop, script, quoted)
    page = browser_of(shop.seller).get("/maria/haiku-gpt/offers", headers={"Accept": "text/html"})
    assert "at most 4. Here are 6: pack them." in page.content.decode()
    with pytest.raises(offers.NotSellableError) as refused:
        make_offer(shop.selling, [shop.repo], FIXED)
    assert refused.value.extra["reason"] == "files"


def test_what_was_paid_while_files_were_added_is_given_back(
    shop: Shop, few_files: None, run_jobs: Any
) -> None:
    order = shop.order()
    commit(shop, {"one.txt": b"1", "two.txt": b"2"})

    checkout.start(order, method="test_success")
    run_jobs()

    order.refresh_from_db()
    assert (order.state, order.refunded_minor) == (Order.State.REFUNDED, order.gross_minor)
    assert not License.objects.exists()
    assert not Grant.objects.exists()
    assert list(reconciling.differences()) == []


def test_who_bought_before_keeps_the_update_with_more_files(
    client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is open to them; their license goes on to name what they bought."""
    shop.buy()
    monkeypatch.setattr("licensing.services.issuing.MAX_FILES", 3)
    commit(shop, {"one.txt": b"1", "two.txt": b"2"})

    headers = bearer(shop.buyer, Scope.READ)
    assert client.get("/maria/haiku-gpt/resolve/main/one.txt", **headers).status_code == 200
    (model,) = open_license(issue_file(License.objects.get()), signer().key_set()).document.models
    assert "one.txt" not in {file.path for file in model.files}
