"""Likes, people and collections through the hub's own client, against a running store."""

import subprocess
import sys
import uuid
from collections.abc import Iterator

import httpx2
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from tests.live import LiveStore


@pytest.fixture
def other(store: LiveStore) -> HfApi:
    """Somebody else."""
    _name, token = store.person()
    return HfApi(endpoint=store.url, token=token)


@pytest.fixture
def visitor(store: LiveStore) -> HfApi:
    """Nobody."""
    return HfApi(endpoint=store.url, token=False)


@pytest.fixture
def me(publisher: HfApi) -> str:
    """Name of the publisher."""
    return str(publisher.whoami()["name"])


@pytest.fixture
def models(publisher: HfApi, me: str) -> Iterator[tuple[str, str]]:
    """A public and a private model."""
    names = f"{me}/open", f"{me}/secret"
    publisher.create_repo(names[0])
    publisher.create_repo(names[1], private=True)
    yield names
    for name in names:
        publisher.delete_repo(name)


def post(api: HfApi, path: str) -> int:
    """What a browser does: there is no call for it in the client."""
    headers = {"Authorization": f"Bearer {api.token}"}
    return int(httpx2.post(f"{api.endpoint}{path}", headers=headers).status_code)


def test_likes(
    publisher: HfApi, other: HfApi, visitor: HfApi, me: str, models: tuple[str, str]
) -> None:
    shown, secret = models
    name = str(other.whoami()["name"])
    assert [post(publisher, f"/api/models/{model}/like") for model in models] == [200, 200]
    assert post(other, f"/api/models/{shown}/like") == 200
    assert post(other, f"/api/models/{secret}/like") == 404

    likers = list(visitor.list_repo_likers(shown))

    assert [user.username for user in likers] == [name, me]
    assert likers[0].fullname == name
    assert visitor.model_info(shown).likes == 2
    assert publisher.list_liked_repos().models == [shown], "this list is public for everyone"
    assert visitor.list_liked_repos(me).models == [shown]
    assert other.list_liked_repos(me).total == 1
    assert visitor.list_liked_repos(name).models == [shown]
    with pytest.raises(RepositoryNotFoundError):
        list(other.list_repo_likers(secret))

    other.unlike(shown)
    other.unlike(shown)

    assert [user.username for user in visitor.list_repo_likers(shown)] == [me]
    assert other.list_liked_repos().models == []
    for api in (other, visitor):
        with pytest.raises(RepositoryNotFoundError):
            api.unlike(secret)
        with pytest.raises(RepositoryNotFoundError):
            api.unlike("nobody/nothing")


def test_people(
    publisher: HfApi, other: HfApi, visitor: HfApi, me: str, models: tuple[str, str]
) -> None:
    name = str(other.whoami()["name"])
    assert post(other, f"/api/users/{me}/follow") == 200

    seen, own = other.get_user_overview(me), publisher.get_user_overview(me.upper())

    assert (seen.username, seen.fullname, seen.user_type) == (me, me, "user")
    assert (seen.num_models, seen.is_following, seen.num_followers) == (1, True, 1)
    assert (own.num_models, own.is_following, own.num_following) == (2, False, 0)
    assert (seen.num_datasets, seen.num_spaces, seen.num_papers, seen.num_likes) == (0, 0, 0, 0)
    assert visitor.get_user_overview(me).is_following is False
    assert [user.username for user in visitor.list_user_followers(me)] == [name]
    assert [user.username for user in visitor.list_user_following(name)] == [me]
    for ask in (visitor.get_user_overview, visitor.list_user_followers):
        with pytest.raises(HfHubHTTPError) as caught:
            found = ask("nobody-is-called-so")
            list(found)  # type: ignore[call-overload]
        assert caught.value.response.status_code == 404


def test_organizations(store: LiveStore, publisher: HfApi, other: HfApi, me: str) -> None:
    name, team = str(other.whoami()["name"]), f"org{uuid.uuid4().hex[:8]}"
    store.manage("addorg", team, "--full-name", "A Team", "--member", f"{me}:admin")
    publisher.create_repo(f"{team}/open")
    publisher.create_repo(f"{team}/secret", private=True)
    assert post(other, f"/api/organizations/{team}/follow") == 200

    seen, own = other.get_organization_overview(team), publisher.get_organization_overview(team)

    assert (seen.name, seen.fullname, seen.num_users) == (team, "A Team", 1)
    assert (seen.num_models, seen.num_followers, seen.is_following) == (1, 1, True)
    assert (own.num_models, own.is_following, own.is_verified) == (2, False, False)
    assert [user.username for user in other.list_organization_members(team)] == [me]
    assert [user.username for user in other.list_organization_followers(team)] == [name]
    assert [org.name for org in other.get_user_overview(me).orgs] == [team]
    assert list(other.list_user_following(name)) == []


def test_a_collection(
    publisher: HfApi, other: HfApi, visitor: HfApi, me: str, models: tuple[str, str]
) -> None:
    title = f"Test {uuid.uuid4()}"
    made = publisher.create_collection(title, description="Good ones.")
    assert (made.title, made.description, made.items) == (title, "Good ones.", [])
    assert made.owner["name"] == me  # type: ignore[index]
    assert made.url == f"{publisher.endpoint}/collections/{made.slug}"

    with pytest.raises(HfHubHTTPError) as caught:
        publisher.create_collection(title)
    assert caught.value.response.status_code == 409
    assert publisher.create_collection(title, exists_ok=True).slug == made.slug

    new = publisher.update_collection_metadata(
        made.slug, title="New title", description="New", position=2, private=True, theme="pink"
    )
    assert (new.title, new.description, new.private, new.theme, new.position) == (
        "New title",
        "New",
        True,
        "pink",
        2,
    )
    assert new.slug != made.slug
    assert new.slug.split("-")[-1] == made.slug.split("-")[-1]
    assert publisher.get_collection(made.slug).slug == new.slug
    for api in (other, visitor):
        with pytest.raises(HfHubHTTPError) as caught:
            api.get_collection(new.slug)
        assert caught.value.response.status_code == 404
        assert list(api.list_collections(owner=me)) == []

    publisher.delete_collection(made.slug)
    with pytest.raises(HfHubHTTPError):
        publisher.delete_collection(made.slug)
    publisher.delete_collection(made.slug, missing_ok=True)


def test_items_of_a_collection(
    publisher: HfApi, other: HfApi, visitor: HfApi, me: str, models: tuple[str, str]
) -> None:
    shown, secret = models
    made = publisher.create_collection("Items")

    publisher.add_collection_item(made.slug, shown, "model", note="Fast")
    full = publisher.add_collection_item(made.slug, secret, "model")
    assert [(item.item_id, item.note, item.position) for item in full.items] == [
        (shown, "Fast", 0),
        (secret, None, 1),
    ]
    for kind, name in (("model", shown), ("dataset", shown), ("model", "nobody/nothing")):
        with pytest.raises(HfHubHTTPError):
            publisher.add_collection_item(made.slug, name, kind)  # type: ignore[arg-type]
    again = publisher.add_collection_item(made.slug, shown, "model", exists_ok=True)
    assert len(again.items) == 2

    first = full.items[0].item_object_id
    publisher.update_collection_item(made.slug, first, note="New note", position=1)
    moved = publisher.get_collection(made.slug)
    assert [(item.item_id, item.note) for item in moved.items] == [
        (secret, None),
        (shown, "New note"),
    ]
    for api in (other, visitor):
        assert [item.item_id for item in api.get_collection(made.slug).items] == [shown]
        [listed] = api.list_collections(owner=me)
        assert (listed.slug, [item.item_id for item in listed.items]) == (made.slug, [shown])
        assert list(api.list_collections(item=f"models/{secret}")) == []
        with pytest.raises(HfHubHTTPError):
            api.delete_collection(made.slug)

    publisher.delete_collection_item(made.slug, first)
    with pytest.raises(HfHubHTTPError):
        publisher.delete_collection_item(made.slug, first)
    publisher.delete_collection_item(made.slug, first, missing_ok=True)
    publisher.delete_collection(made.slug)


def test_lists_of_collections(publisher: HfApi, me: str, models: tuple[str, str]) -> None:
    slugs = [publisher.create_collection(f"List {number}").slug for number in range(3)]
    publisher.add_collection_item(slugs[0], models[0], "model")
    publisher.add_collection_item(slugs[1], slugs[0], "collection")

    def found(**filters: object) -> list[str]:
        return [row.title for row in publisher.list_collections(**filters)]  # type: ignore[arg-type]

    assert found(owner=me) == ["List 1", "List 0", "List 2"]
    assert found(owner=[me, "nobody"], limit=2) == ["List 1", "List 0"]
    assert found(item=[f"models/{models[0]}"]) == ["List 0"]
    for sort in ("trending", "upvotes", "lastModified"):
        assert len(found(owner=me, sort=sort)) == 3
    [item] = publisher.get_collection(slugs[1]).items
    assert (item.item_type, item.item_id) == ("collection", slugs[0])
    for slug in slugs:
        publisher.delete_collection(slug)


def test_collections_from_a_terminal(store: LiveStore, publisher: HfApi, me: str) -> None:
    environment = {"HF_ENDPOINT": store.url, "HF_TOKEN": str(publisher.token), "PATH": ""}

    def hf(*args: str) -> str:
        command = [sys.executable, "-m", "huggingface_hub.cli.hf", "collections", *args]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    publisher.create_repo(f"{me}/listed")
    made = hf("create", "From a terminal", "--description", "All of it")
    slug = next(word for word in made.split() if word.startswith(f"{me}/")).split("slug=")[-1]
    hf("add-item", slug, f"{me}/listed", "model", "--note", "good")
    hf("update", slug, "--theme", "green")

    assert "All of it" in hf("ls", "--owner", me)
    assert f"{me}/listed" in hf("info", slug)
    hf("delete", slug)
    assert list(publisher.list_collections(owner=me)) == []
    publisher.delete_repo(f"{me}/listed")
