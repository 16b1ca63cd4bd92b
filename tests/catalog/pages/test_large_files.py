"""The page of a model's large files: what takes room, and how it is given up."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from catalog.history.refs import DEFAULT_BRANCH, resolve
from catalog.models import ModelRepo, RepoLfsObject
from tests.factories import add_files, make_org, make_repo, safetensors
from tests.licensing.selling.shop import open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
PAGE = "/alice/tiny/settings/files"


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    """A model with two large files, one of them of an earlier version alone."""
    made = make_repo(alice)
    add_files(alice, made, {"model.safetensors": safetensors(seed=1)})
    add_files(alice, made, {"model.safetensors": safetensors(seed=2)})
    return made


def owned(repo: ModelRepo) -> list[str]:
    rows = RepoLfsObject.objects.filter(repo=repo).order_by("created_at")
    return list(rows.values_list("lfs_object_id", flat=True))


def head(repo: ModelRepo) -> str:
    return resolve(repo, DEFAULT_BRANCH).commit_oid


def test_files_of_every_version_are_listed_and_deleted(
    repo: ModelRepo, alice: User, browser_of: Browser
) -> None:
    browser = browser_of(alice)
    old, new = owned(repo)
    before = head(repo)

    page = browser.get(PAGE, headers=HTML).text
    sent: dict[str, Any] = {"file": [old], "confirmation": "alice/tiny", "rewrite_history": "on"}
    answer = browser.post(PAGE, sent, headers=HTML)
    shown = browser.get(PAGE, headers=HTML).text

    assert page.count("model.safetensors") == 2
    assert page.count('<td class="table__rest">main</td>') == 2
    assert old[:12] in page
    assert new[:12] in page
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert "1 file is deleted." in shown
    assert owned(repo) == [new]
    assert head(repo) != before  # the version that had it is another one now
    assert PAGE in browser.get("/alice/tiny/settings", headers=HTML).text


def test_history_may_stay_as_it_is(repo: ModelRepo, alice: User, browser_of: Browser) -> None:
    old, new = owned(repo)
    before = head(repo)

    browser_of(alice).post(PAGE, {"file": [old], "confirmation": "alice/tiny"}, headers=HTML)

    assert (owned(repo), head(repo)) == ([new], before)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"confirmation": "alice/tiny"}, "Choose the files to delete."),
        ({"file": ["old"], "confirmation": "alice/other"}, "Type alice/tiny"),
        ({"file": ["old"], "confirmation": ""}, "required"),
        ({"file": ["0" * 63], "confirmation": "alice/tiny"}, "is no sha256"),
    ],
)
def test_what_is_not_meant_deletes_nothing(
    repo: ModelRepo, alice: User, browser_of: Browser, sent: dict[str, Any], told: str
) -> None:
    files, before = owned(repo), head(repo)
    if sent.get("file") == ["old"]:
        sent = sent | {"file": files[:1]}

    answer = browser_of(alice).post(PAGE, sent | {"rewrite_history": "on"}, headers=HTML)

    assert answer.status_code == 400
    assert told in answer.text
    assert (owned(repo), head(repo)) == (files, before)


def test_what_buyers_have_stays(browser_of: Browser) -> None:
    shop = open_shop()
    shop.buy()
    files = owned(shop.repo)
    sent = {"file": files, "confirmation": "maria/haiku-gpt", "rewrite_history": "on"}

    answer = browser_of(shop.seller).post("/maria/haiku-gpt/settings/files", sent, headers=HTML)

    assert answer.status_code == 409
    assert "People hold licenses for revisions of maria/haiku-gpt" in answer.text
    assert owned(shop.repo) == files


def test_only_those_who_publish_there_see_it(
    alice: User, bob: User, client: Client, browser_of: Browser
) -> None:
    make_org("acme", alice="admin", bob="read")
    make_repo(alice, namespace="acme", is_private=True)
    page = "/acme/tiny/settings/files"

    assert browser_of(alice).get(page, headers=HTML).status_code == 200
    assert "No large files" in browser_of(alice).get(page, headers=HTML).text
    assert browser_of(bob).get(page, headers=HTML).status_code == 403
    assert client.get(page, headers=HTML).status_code == 302


def test_pages_go_on_from_an_old_link(repo: ModelRepo, alice: User, browser_of: Browser) -> None:
    assert browser_of(alice).get(f"{PAGE}?cursor=junk", headers=HTML).status_code == 200
