"""The invented catalogue: honest proportions, real enough to open, never among other people's."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Namespace, User
from accounts.viewer import VISITOR, Viewer
from catalog.access import repo_for
from catalog.history.refs import resolve
from catalog.history.trees import list_entries
from catalog.management.commands.seed_listings import SEEDER
from catalog.models import Listing, ListingText, ModelCard, ModelRepo
from catalog.search.query import SearchQuery
from catalog.search.run import facets, search
from tests.catalog.search.shelf import Made, put

pytestmark = pytest.mark.django_db


def seed(**options: Any) -> str:
    out = StringIO()
    call_command("seed_listings", stdout=out, **options)
    return out.getvalue()


def test_makes_listings_that_can_be_found_counted_and_opened() -> None:
    assert seed(count=300, commits=5) == "300 invented listings.\n"

    assert Listing.objects.count() == ModelRepo.objects.count() == ModelCard.objects.count() == 300
    assert ListingText.objects.count() == 300
    private = Listing.objects.filter(is_private=True).count()
    page = search(VISITOR, SearchQuery(), limit=100)
    assert 0 < private < 40
    assert page.total == 300 - private
    owner = User.objects.get(namespace__repos__listing=Listing.objects.filter(is_private=True)[0])
    assert search(Viewer(user=owner), SearchQuery(), limit=1).total > page.total
    shown = {facet.name for facet in facets(VISITOR, SearchQuery()) if facet.values}
    assert shown >= {"task", "language", "license", "format", "publisher", "tag", "parameters"}
    downloads = sorted(Listing.objects.values_list("downloads", flat=True), reverse=True)
    assert sum(downloads[:30]) > sum(downloads) / 2  # few have most

    opened = Listing.objects.order_by("-trending")[0]
    repo = repo_for(Viewer(user=opened.repo.namespace.user), *opened.full_name.split("/"))
    commit_oid = resolve(repo, "main").commit_oid
    assert commit_oid == opened.head_oid
    assert [entry.path for entry in list_entries(repo, commit_oid)] == ["README.md"]
    assert Listing.objects.exclude(head_oid="").count() == 5


def test_the_same_seed_gives_the_same_models() -> None:
    def names() -> list[tuple[str, int]]:
        return list(Listing.objects.order_by("full_name").values_list("full_name", "weights_bytes"))

    seed(count=50, commits=0)
    first = names()
    seed(count=50, commits=0, wipe=True)
    assert names() == first

    seed(count=50, commits=0, wipe=True, seed=2)
    assert names() != first


def test_stays_away_from_other_peoples_repositories(publishers: None) -> None:
    put(Made(name="mine"))

    with pytest.raises(CommandError, match="Other people's"):
        seed(count=10)
    assert Listing.objects.count() == 1

    seed(count=10, commits=1, force=True)
    assert Listing.objects.count() == 11
    seed(count=0, wipe=True, force=True)
    assert list(Listing.objects.values_list("full_name", flat=True)) == ["alice/mine"]
    assert Namespace.objects.count() == 3
    assert not User.objects.filter(email__contains="seeded").exclude(username=SEEDER).exists()


def test_does_not_seed_twice() -> None:
    seed(count=10, commits=0)

    with pytest.raises(CommandError, match="--wipe"):
        seed(count=10)

    assert Listing.objects.count() == 10


def test_nobody_can_sign_in_as_an_invented_publisher() -> None:
    seed(count=10, commits=0)

    assert not any(user.has_usable_password() for user in User.objects.all())
    assert not User.objects.filter(is_active=True).exists()


def test_many_are_made_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.management.commands.seed_listings.BATCH", 3)

    out = seed(count=31, commits=0)

    assert out == "30 listings\n31 invented listings.\n"
    assert search(VISITOR, SearchQuery(text="model or gpt2 or llama"), limit=1).total > 0
