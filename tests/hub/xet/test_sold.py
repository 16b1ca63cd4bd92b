"""Sold models and the Xet service: links are for one holder, and end with the license."""

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import FileScan, Grant, GrantedRepo, ModelRepo
from catalog.services.repos import NewRepo
from licensing.delivery.copying import SoldCopyError, duplicate, share_objects
from tests.hub.xet.calling import XetClient, body_of, made, path_of

WEIGHTS = made()


@pytest.fixture
def sold(mine: XetClient, repo: ModelRepo) -> ModelRepo:
    """Alice's model with a file, for sale."""
    mine.publish({"model.bin": WEIGHTS})
    FileScan.objects.update(verdict=FileScan.Verdict.CLEAN)
    ModelRepo.objects.filter(pk=repo.pk).update(is_for_sale=True)
    repo.refresh_from_db()
    return repo


def license_of(user: User, repo: ModelRepo) -> Grant:
    grant = Grant.objects.create(holder=user.namespace)
    GrantedRepo.objects.create(grant=grant, repo=repo, commit_oid="0" * 40)
    return grant


def links(caller: XetClient) -> list[tuple[str, str]]:
    answer = caller.get(f"/v1/reconstructions/{WEIGHTS.file}")
    assert answer.status_code == 200, answer.content
    return [
        (fetch["url"], f"bytes={fetch['url_range']['start']}-{fetch['url_range']['end']}")
        for fetches in answer.json()["fetch_info"].values()
        for fetch in fetches
    ]


def fetch(link: tuple[str, str]) -> int:
    answer = Client().get(path_of(link[0]), headers={"range": link[1]})
    if answer.status_code == 206:
        assert body_of(answer)
    return answer.status_code


def test_a_link_ends_with_the_license_it_was_made_for(
    sold: ModelRepo, bob: User, stranger: XetClient, mine: XetClient
) -> None:
    refused = stranger.ask_token("read")
    assert (refused.status_code, refused["X-Error-Code"]) == (403, "GatedRepo")
    grant = license_of(bob, sold)

    theirs, owners = links(stranger)[0], links(mine)[0]
    assert f"for={sold.pk}-{bob.pk}" in theirs[0]
    assert fetch(theirs) == fetch(owners) == 206
    assert fetch((theirs[0].replace(f"-{bob.pk}", "-999999"), theirs[1])) == 403

    Grant.objects.filter(pk=grant.pk).update(state=Grant.State.REVOKED)

    assert fetch(theirs) == 403
    assert fetch(owners) == 206
    after = stranger.get(f"/v1/reconstructions/{WEIGHTS.file}")
    assert (after.status_code, after["X-Error-Code"]) == (403, "GatedRepo")


def test_a_link_of_somebody_who_left_opens_nothing(
    sold: ModelRepo, bob: User, stranger: XetClient
) -> None:
    license_of(bob, sold)
    link = links(stranger)[0]

    User.objects.filter(pk=bob.pk).update(is_active=False)

    assert fetch(link) == 403


def test_what_is_sold_is_not_copied_out_of_its_sellers_hands(
    sold: ModelRepo, bob: User, alice: User, as_alice: Viewer
) -> None:
    license_of(bob, sold)
    theirs = Viewer(user=bob)
    target = ModelRepo.objects.count()

    with pytest.raises(SoldCopyError):
        duplicate(theirs, sold, NewRepo(name="copy"))
    with pytest.raises(SoldCopyError):
        share_objects(theirs, sold, sold, {})

    assert ModelRepo.objects.count() == target
    assert duplicate(as_alice, sold, NewRepo(name="copy")).repo.name == "copy"
