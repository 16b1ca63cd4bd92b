"""Branches, tags and giving up history on the site."""

import re

import pytest
from django.test import Client

from accounts.models import User
from catalog.models import Commit, ModelRepo, Ref
from tests.factories import add_files, make_repo

HTML = {"Accept": "text/html"}
URL = "/alice/tiny/refs"


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice, files={"a.txt": b"a"})


def text(client: Client, url: str = URL) -> str:
    answer = client.get(url, headers=HTML)
    assert answer.status_code == 200
    return answer.content.decode()


def refs(repo: ModelRepo) -> dict[str, str]:
    return dict(Ref.objects.filter(repo=repo).values_list("name", "commit_oid"))


def test_everybody_sees_branches_and_tags(client: Client, alice: User, repo: ModelRepo) -> None:
    oid = refs(repo)["refs/heads/main"]
    for name in ("refs/heads/aaa", "refs/heads/x/<b>", "refs/tags/v1.0"):
        Ref.objects.create(repo=repo, name=name, oid=oid, commit_oid=oid)

    page = text(client)

    shown = page.split('id="branches-title"')[1]
    order = re.findall(r'href="/alice/tiny/tree/([^"]+)">', shown)
    assert order[0] == "main"
    assert set(order) == {"main", "x%2F%3Cb%3E", "aaa", "v1.0"}
    assert "<b>" not in shown
    assert "initial commit" in page
    assert "New branch" not in page
    assert f'href="{URL}"' in text(client, "/alice/tiny/commits/main")


def test_owners_make_and_delete_them(client: Client, alice: User, repo: ModelRepo) -> None:
    client.force_login(alice)
    first = refs(repo)["refs/heads/main"]
    add_files(alice, repo, {"b.txt": b"b"})
    head = refs(repo)["refs/heads/main"]

    answers = [
        client.post(URL, {"form": "branch", "name": "dev/one", "start": first[:8]}),
        client.post(URL, {"form": "tag", "tag": "v1", "revision": "main", "message": "First"}),
        client.post(URL, {"form": "tag", "tag": "v2", "revision": "dev/one"}),
    ]
    made = refs(repo)
    page = text(client)
    answers += [
        client.post(URL, {"form": "delete-branch", "name": "dev/one"}),
        client.post(URL, {"form": "delete-tag", "name": "v2"}),
    ]

    assert [answer["Location"] for answer in answers] == [URL] * 5
    assert made == {
        "refs/heads/main": head,
        "refs/heads/dev/one": first,
        "refs/tags/v1": head,
        "refs/tags/v2": first,
    }
    assert 'aria-label="Delete dev/one"' in page
    assert 'aria-label="Delete main"' not in page
    assert set(refs(repo)) == {"refs/heads/main", "refs/tags/v1"}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"form": "branch", "name": "main", "start": "main"}, "already exists"),
        ({"form": "branch", "name": "a b", "start": "main"}, "cannot name"),
        ({"form": "branch", "name": "new", "start": "nope"}, "Invalid rev id"),
        ({"form": "branch", "name": "", "start": "main"}, "This field is required"),
        ({"form": "tag", "tag": "a..b", "revision": "main"}, "cannot name"),
        ({"form": "tag", "tag": "v1", "revision": "nope"}, "Invalid rev id"),
        ({"form": "nonsense"}, "Branches"),
    ],
)
def test_refused_forms_say_why_and_change_nothing(
    client: Client, alice: User, repo: ModelRepo, form: dict, words: str
) -> None:
    client.force_login(alice)
    before = refs(repo)

    answer = client.post(URL, form)

    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert refs(repo) == before


@pytest.mark.parametrize("form", ["delete-branch", "delete-tag"])
def test_what_cannot_be_deleted_stays(
    client: Client, alice: User, repo: ModelRepo, form: str
) -> None:
    client.force_login(alice)
    before = refs(repo)

    answer = client.post(URL, {"form": form, "name": "main"}, follow=True)

    words = "Cannot delete refs/heads/main" if form == "delete-branch" else "Invalid rev id"
    assert words in answer.content.decode()
    assert refs(repo) == before


def test_strangers_change_nothing(client: Client, alice: User, repo: ModelRepo, bob: User) -> None:
    hidden = make_repo(alice, "hidden", is_private=True)
    before = refs(repo) | refs(hidden)
    form = {"form": "branch", "name": "dev", "start": "main"}

    nobody = client.post(URL, form, headers=HTML)
    client.force_login(bob)
    stranger = client.post(URL, form, headers=HTML)
    unseen = client.get("/alice/hidden/refs", headers=HTML)

    assert [nobody.status_code, stranger.status_code, unseen.status_code] == [401, 403, 404]
    assert refs(repo) | refs(hidden) == before


def test_history_is_given_up_only_with_the_name_typed(
    client: Client, alice: User, repo: ModelRepo
) -> None:
    client.force_login(alice)
    add_files(alice, repo, {"b.txt": b"b"})
    before, url = refs(repo), "/alice/tiny/settings"
    form = {"form": "squash", "branch": "main", "message": "All in one"}

    wrong = client.post(url, form | {"confirmation": "tiny"})
    unknown = client.post(url, form | {"branch": "nope", "confirmation": "alice/tiny"})
    kept = refs(repo)
    done = client.post(url, form | {"confirmation": "alice/tiny"})

    assert "Nothing changed" in wrong.content.decode()
    assert "Invalid rev id: nope" in unknown.content.decode()
    assert kept == before
    assert done["Location"] == url
    head = Commit.objects.get(repo=repo, oid=refs(repo)["refs/heads/main"])
    assert (head.title, head.parent_oid) == ("All in one", "")
    assert "Danger zone" in text(client, url)


def test_an_old_id_leads_to_the_page(client: Client, alice: User, repo: ModelRepo) -> None:
    client.force_login(alice)
    client.post("/alice/tiny/settings", {"form": "move", "namespace": "alice", "name": "new"})

    answer = client.get(URL, headers=HTML)

    assert (answer.status_code, answer["Location"]) == (307, "/alice/new/refs")
