"""``manage.py reindex`` derives what is shown from what is stored."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from catalog.models import FileScan, Listing, ModelCard, ModelRepo
from tests.factories import add_files, make_repo, safetensors

CARD = b"---\nlicense: mit\ntags: [poetry]\n---\nVerses.\n"


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    made = make_repo(alice, "verses")
    add_files(alice, made, {"README.md": CARD, "model.safetensors": safetensors()})
    return made


def reindexed(*args: str) -> list[str]:
    out = StringIO()
    call_command("reindex", *args, stdout=out)
    return out.getvalue().split()


def test_a_spoiled_listing_is_derived_anew(repo: ModelRepo, bob: User) -> None:
    other = make_repo(bob, "other")
    before = Listing.objects.get(repo=repo)
    Listing.objects.filter(repo=repo).update(summary="spoiled", licenses=[], total_bytes=1)
    ModelCard.objects.filter(repo=repo).update(html="spoiled")

    assert sorted(reindexed()) == ["alice/verses", other.full_name]

    after = Listing.objects.get(repo=repo)
    assert (after.summary, after.licenses) == ("Verses.", ["mit"])
    assert after.total_bytes == before.total_bytes
    assert "Verses." in ModelCard.objects.get(repo=repo).html


def test_only_those_named_are_done_and_all_must_exist(repo: ModelRepo) -> None:
    Listing.objects.filter(repo=repo).update(summary="spoiled")

    with pytest.raises(CommandError, match=r"no model alice/none, nothing\. Nothing was done"):
        reindexed("alice/verses", "alice/none", "nothing")
    assert Listing.objects.get(repo=repo).summary == "spoiled"

    assert reindexed("Alice/Verses") == ["alice/verses"]
    assert Listing.objects.get(repo=repo).summary == "Verses."


def test_a_newer_scanner_judges_again(repo: ModelRepo) -> None:
    scans = FileScan.objects.filter(repo=repo)
    scans.update(scanner_version="0", verdict="unsafe")

    reindexed("alice/verses")
    assert set(scans.values_list("verdict", flat=True)) == {"unsafe"}

    reindexed("alice/verses", "--rescan")
    assert set(scans.values_list("verdict", flat=True)) == {"clean"}
    assert "0" not in set(scans.values_list("scanner_version", flat=True))
