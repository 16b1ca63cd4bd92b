"""Collections on the wire (contract 15)."""

import re
import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Collection, CollectionItem, ModelRepo, RepoAlias
from catalog.services import collection_items, collections
from catalog.services.repos import change_settings, delete_repo, move_repo
from tests.factories import make_org, make_repo, make_user
from tests.threads import at_once

JSON = "application/json"
ROOT = "/api/collections"


@pytest.fixture
def write(alice: User, bearer) -> dict[str, str]:
    return bearer(alice)


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


@pytest.fixture
def make(client: Client, write: dict[str, str]):
    def create(title: str = "Good models", **body: Any) -> dict[str, Any]:
        answer = client.post(
            ROOT,
            {"title": title, "namespace": "alice", "private": False} | body,
            content_type=JSON,
            headers=write,
        )
        assert answer.status_code == 200, answer.content
        return answer.json()

    return create


@pytest.fixture
def put_in(client: Client, write: dict[str, str]):
    def add(slug: str, name: str, kind: str = "model", **more: Any):
        body = {"item": {"id": name, "type": kind}} | more
        return client.post(f"{ROOT}/{slug}/items", body, content_type=JSON, headers=write)

    return add


def names(body: dict[str, Any]) -> list[tuple[str, int]]:
    return [(item["id"], item["position"]) for item in body["items"]]


# ── one collection ──────────────────────────────────────────────────────────────────────────────


def test_a_new_collection(client: Client, alice: User, make) -> None:
    made = make("Good  Models: №1 — 中文!", description="For cold days.", theme="pink")

    assert re.fullmatch(r"alice/good-models-no1-[0-9a-f]{24}", made["slug"])
    assert made.pop("lastUpdated").endswith("Z")
    slug = made.pop("slug")
    assert made == {
        "title": "Good Models: №1 — 中文!",
        "description": "For cold days.",
        "owner": {
            "_id": alice.public_id,
            "name": "alice",
            "fullname": "alice",
            "avatarUrl": "/avatars/alice.svg",
            "type": "user",
        },
        "items": [],
        "position": 0,
        "private": False,
        "theme": "pink",
        "upvotes": 0,
        "gating": False,
        "shareUrl": f"http://testserver/collections/{slug}",
    }
    assert client.get(f"{ROOT}/{slug}").json()["title"] == made["title"]


def test_a_uuid_in_the_title_survives(make) -> None:
    ident = str(uuid.uuid4())

    assert ident in make(f"Test {ident}")["slug"]


def test_a_title_without_letters_leaves_the_id(client: Client, make) -> None:
    slug = make("中文")["slug"]

    assert re.fullmatch(r"alice/[0-9a-f]{24}", slug)
    assert client.get(f"{ROOT}/{slug}").status_code == 200


def test_an_item_can_come_with_it(client: Client, write, repo: ModelRepo, make) -> None:
    made = make("With one", item={"id": "alice/tiny", "type": "model"})
    body = {"title": "With none", "item": {"id": "alice/absent", "type": "model"}}
    refused = client.post(ROOT, body, content_type=JSON, headers=write)

    assert names(made) == [("alice/tiny", 0)]
    assert refused.status_code == 404
    assert not Collection.objects.filter(title="With none").exists()


def test_the_same_title_twice_is_a_conflict(client: Client, write, make) -> None:
    made = make("Good models")
    body = {"title": "GOOD models", "namespace": "alice"}

    again = client.post(ROOT, body, content_type=JSON, headers=write)

    assert again.status_code == 409
    assert again.json()["slug"] == made["slug"]
    assert Collection.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": ""},
        {"title": " \n "},
        {"title": "x" * 61},
        {"title": 5},
        {"title": "a", "description": "x" * 151},
        {"title": "a", "private": "yes"},
        {"title": "a", "theme": "black"},
        {"title": "a", "namespace": 5},
        {"title": "a", "item": "alice/tiny"},
        {"title": "a", "item": {"id": "alice/tiny"}},
        {"title": "a", "item": {"id": "", "type": "model"}},
    ],
)
def test_what_a_new_collection_cannot_be(client: Client, write, repo: ModelRepo, body) -> None:
    answer = client.post(ROOT, body, content_type=JSON, headers=write)

    assert answer.status_code == 400, answer.content
    assert not Collection.objects.exists()


def test_odd_characters_become_spaces(make) -> None:
    assert make("a\tb\u0085c\u2028d")["title"] == "a b c d"


def test_where_one_may_not_make_a_collection(
    client: Client, alice: User, bob: User, bearer
) -> None:
    make_org("acme", bob="read")

    def create(namespace: str, **headers: dict[str, str]) -> int:
        body = {"title": "x", "namespace": namespace}
        return client.post(ROOT, body, content_type=JSON, **headers).status_code

    assert create("alice") == 401
    assert create("alice", headers=bearer(bob)) == 403
    assert create("acme", headers=bearer(bob)) == 403
    assert create("bob", headers=bearer(bob, "read")) == 403
    assert create("nobody", headers=bearer(bob)) == 403
    assert not Collection.objects.exists()


def test_there_is_an_end_to_collections(
    client: Client, write, make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("one")
    monkeypatch.setattr(collections, "MAX_COLLECTIONS", 1)

    answer = client.post(ROOT, {"title": "two"}, content_type=JSON, headers=write)

    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_collections")
    assert Collection.objects.count() == 1


def test_changes_are_wrapped_and_old_slugs_keep_working(client: Client, write, make) -> None:
    old = make("Old title", description="old")["slug"]
    change = {
        "title": "New title",
        "description": "",
        "position": 7,
        "private": True,
        "theme": "green",
    }

    answer = client.patch(f"{ROOT}/{old}", change, content_type=JSON, headers=write).json()

    new = answer["data"]["slug"]
    assert (new.rsplit("-", 1)[1], new.rsplit("-", 1)[0]) == (old[-24:], "alice/new-title")
    assert "description" not in answer["data"]
    for name in ("title", "position", "private", "theme"):
        assert answer["data"][name] == change[name]
    for slug in (old, new, f"other/{old[-24:]}", old[-24:], old.replace("/", "%2F")):
        assert client.get(f"{ROOT}/{slug}", headers=write).json()["slug"] == new
    assert client.get(f"{ROOT}/{old}", headers=write).json()["position"] == 7


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"title": ""}, 400),
        ({"title": "Other"}, 409),
        ({"position": -1}, 400),
        ({"position": 2**40}, 400),
        ({"position": True}, 400),
        ({"position": "1"}, 400),
        ({"theme": "black"}, 400),
        ({"private": 1}, 400),
        ({"description": "x" * 151}, 400),
    ],
)
def test_what_a_change_cannot_be(client: Client, write, make, change, status: int) -> None:
    make("Other")
    slug = make("Mine")["slug"]

    answer = client.patch(f"{ROOT}/{slug}", change, content_type=JSON, headers=write)

    assert answer.status_code == status
    assert client.get(f"{ROOT}/{slug}").json()["title"] == "Mine"


def test_deleting_twice(client: Client, write, make, repo: ModelRepo, put_in) -> None:
    slug = make()["slug"]
    put_in(slug, "alice/tiny")

    first = client.delete(f"{ROOT}/{slug}", headers=write).status_code
    second = client.delete(f"{ROOT}/{slug}", headers=write).status_code

    assert (first, second) == (200, 404)
    assert not CollectionItem.objects.exists()
    assert ModelRepo.objects.filter(pk=repo.pk).exists()


def test_a_private_collection_does_not_exist_for_others(
    client: Client, write, make, bob: User, bearer
) -> None:
    slug = make("Secret", private=True)["slug"]
    path, stranger = f"{ROOT}/{slug}", bearer(bob)

    nobody: dict[str, str] = {}
    for headers in (nobody, stranger):
        assert client.get(path, headers=headers).status_code == 404
        assert client.delete(path, headers=headers).status_code == 404
        assert client.patch(path, {}, content_type=JSON, headers=headers).status_code == 404
        for below in ("items", "upvote"):
            answer = client.post(f"{path}/{below}", {}, content_type=JSON, headers=headers)
            assert answer.status_code == 404
        assert client.get(ROOT, headers=headers).json() == []
        assert client.get(f"{ROOT}?owner=alice&q=secret", headers=headers).json() == []
    assert client.get(path, headers=write).json()["private"] is True
    assert [row["title"] for row in client.get(ROOT, headers=write).json()] == ["Secret"]


def test_others_read_a_public_collection_and_change_nothing(
    client: Client, make, put_in, repo: ModelRepo, bob: User, alice: User, bearer
) -> None:
    make_org("acme", alice="admin", bob="read")
    for slug in (make()["slug"], make("Team's", namespace="acme", private=True)["slug"]):
        put_in(slug, "alice/tiny")
        path, item = f"{ROOT}/{slug}", CollectionItem.objects.latest("pk").public_id

        def statuses(headers: dict[str, str], path: str = path, item: str = item) -> set[int]:
            more = {"content_type": JSON, "headers": headers}
            body = {"item": {"id": "alice/tiny", "type": "model"}}
            return {
                client.patch(path, {"title": "x"}, **more).status_code,
                client.delete(path, headers=headers).status_code,
                client.post(f"{path}/items", body, **more).status_code,
                client.patch(f"{path}/items/{item}", {"note": "x"}, **more).status_code,
                client.delete(f"{path}/items/{item}", headers=headers).status_code,
            }

        assert client.get(path, headers=bearer(bob)).status_code == 200
        assert statuses(bearer(bob)) == {403}
        assert statuses(bearer(alice, "read")) == {403}
    assert statuses({}) == {404}
    assert CollectionItem.objects.filter(note="").count() == 2


@pytest.mark.parametrize("slug", ["alice/x", "x", "alice/x-123", f"alice/x-{'0' * 24}", "a/b/c"])
def test_no_such_slug(client: Client, alice: User, slug: str) -> None:
    answer = client.get(f"{ROOT}/{slug}")

    assert answer.status_code == 404
    assert "X-Error-Code" not in answer


# ── items ───────────────────────────────────────────────────────────────────────────────────────


def test_items_with_all_they_show(client: Client, make, put_in, repo: ModelRepo) -> None:
    slug = make()["slug"]

    body = put_in(slug, "Alice/TINY", note="Small & <b>good</b>").json()

    [item] = body["items"]
    assert item.pop("_id")
    assert item.pop("lastModified").endswith("Z")
    assert item == {
        "id": "alice/tiny",
        "type": "model",
        "repoType": "model",
        "position": 0,
        "author": "alice",
        "downloads": 0,
        "likes": 0,
        "private": False,
        "gated": False,
        "note": {
            "text": "Small & <b>good</b>",
            "html": "Small &amp; &lt;b&gt;good&lt;/b&gt;",
        },
    }


def test_a_collection_in_a_collection(client: Client, make, put_in) -> None:
    inner, outer = make("Inner")["slug"], make("Outer")["slug"]

    body = put_in(outer, inner, "collection").json()

    [item] = body["items"]
    assert (item["slug"], item["type"], item["id"]) == (inner, "collection", inner[-24:])
    own = put_in(outer, outer, "collection")
    assert own.status_code == 400
    assert put_in(outer, inner, "collection").status_code == 409


@pytest.mark.parametrize(
    ("kind", "name", "status", "code"),
    [
        ("dataset", "alice/tiny", 400, "item_type_unsupported"),
        ("space", "alice/tiny", 400, "item_type_unsupported"),
        ("paper", "2307.09288", 400, "item_type_unsupported"),
        ("bucket", "alice/tiny", 400, "item_type_unsupported"),
        ("poem", "alice/tiny", 400, "item_type_unsupported"),
        ("model", "alice/absent", 404, "repo_not_found"),
        ("model", "absent", 404, "repo_not_found"),
        ("model", "\ud800/x", 400, "broken_body"),
        ("collection", "alice/tiny", 404, "collection_not_found"),
    ],
)
def test_what_cannot_be_put_in(
    make, put_in, repo: ModelRepo, kind: str, name: str, status: int, code: str
) -> None:
    answer = put_in(make()["slug"], name, kind)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not CollectionItem.objects.exists()


def test_an_item_is_in_it_once(make, put_in, repo: ModelRepo) -> None:
    slug = make()["slug"]
    put_in(slug, "alice/tiny", note="first")

    again = put_in(slug, "alice/tiny", note="second")

    assert (again.status_code, again.json()["code"]) == (409, "item_exists")
    assert CollectionItem.objects.get().note == "first"


def test_limits_of_items(make, put_in, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    slug = make()["slug"]
    long = put_in(slug, "alice/tiny", note="x" * 501)
    monkeypatch.setattr(collection_items, "MAX_ITEMS", 0)
    full = put_in(slug, "alice/tiny")

    assert (long.status_code, full.status_code) == (400, 409)
    assert full.json()["code"] == "collection_full"
    assert not CollectionItem.objects.exists()


def test_ids_that_lead_to_a_model_lead_here_too(
    client: Client, as_alice: Viewer, make, put_in, repo: ModelRepo
) -> None:
    move_repo(as_alice, repo, namespace="alice", name="moved")
    RepoAlias.objects.create(name="short", repo=repo)

    first = put_in(make("By its old id")["slug"], "alice/tiny").json()
    second = put_in(make("By its alias")["slug"], "short").json()

    assert names(first) == names(second) == [("alice/moved", 0)]


def test_order_and_notes(client: Client, alice: User, write, make, put_in) -> None:
    slug = make()["slug"]
    for name in ("a", "b", "c"):
        make_repo(alice, name)
        put_in(slug, f"alice/{name}", note=name)
    ids = {item["id"]: item["_id"] for item in client.get(f"{ROOT}/{slug}").json()["items"]}

    def change(name: str, **body: Any) -> int:
        path = f"{ROOT}/{slug}/items/{ids[f'alice/{name}']}"
        return client.patch(path, body, content_type=JSON, headers=write).status_code

    def order() -> str:
        found = names(client.get(f"{ROOT}/{slug}").json())
        assert [position for _name, position in found] == list(range(len(found)))
        return "".join(name.removeprefix("alice/") for name, _position in found)

    assert change("a", position=1) == 200
    assert order() == "bac"
    assert change("c", position=0) == 200
    assert order() == "cba"
    assert change("c", position=99) == 200
    assert order() == "bac"
    assert change("a", position=1) == 200
    assert order() == "bac"
    assert change("a", note="", position=-1) == 400
    assert change("a", note="") == 200
    assert change("b", note="x" * 501) == 400
    notes = dict(CollectionItem.objects.values_list("repo__name", "note"))
    assert notes == {"a": "", "b": "b", "c": "c"}

    assert client.delete(f"{ROOT}/{slug}/items/{ids['alice/b']}", headers=write).status_code == 200
    assert client.delete(f"{ROOT}/{slug}/items/{ids['alice/b']}", headers=write).status_code == 404
    assert change("b", note="gone") == 404
    assert order() == "ac"


def test_an_item_of_another_collection(client: Client, write, make, put_in, repo) -> None:
    one, two = make("One")["slug"], make("Two")["slug"]
    [item] = put_in(one, "alice/tiny").json()["items"]

    answer = client.delete(f"{ROOT}/{two}/items/{item['_id']}", headers=write)

    assert answer.status_code == 404
    assert CollectionItem.objects.count() == 1


def test_hidden_models_leave_no_trace(
    client: Client, alice: User, as_alice: Viewer, bob: User, write, make, put_in, bearer
) -> None:
    repos = {name: make_repo(alice, name) for name in ("a", "b", "c", "d")}
    slug = make()["slug"]
    for name in repos:
        put_in(slug, f"alice/{name}")
    change_settings(as_alice, repos["b"], is_private=True)
    inner = make("Inner", private=True)["slug"]
    put_in(slug, inner, "collection")
    move_repo(as_alice, repos["c"], namespace="alice", name="c2")
    delete_repo(as_alice, ModelRepo.objects.get(pk=repos["d"].pk))

    path = f"{ROOT}/{slug}"
    nobody: dict[str, str] = {}
    for headers in (nobody, bearer(bob)):
        seen = client.get(path, headers=headers).json()
        [listed] = client.get(f"{ROOT}?owner=alice", headers=headers).json()
        assert names(seen) == names(listed) == [("alice/a", 0), ("alice/c2", 1)]
        assert client.get(f"{ROOT}?item=models/alice/b", headers=headers).json() == []
        assert client.get(f"{ROOT}?item=collections/{inner}", headers=headers).json() == []
    own = client.get(path, headers=write).json()
    assert [name for name, _ in names(own)] == ["alice/a", "alice/b", "alice/c2", inner[-24:]]


def test_moving_counts_only_what_the_mover_sees(
    client: Client, alice: User, bob: User, bearer, write, make, put_in
) -> None:
    make_org("acme", alice="admin", bob="write")
    slug = make("Team's", namespace="acme")["slug"]
    for name, is_private in [("a", False), ("secret", True), ("b", False), ("c", False)]:
        make_repo(alice, name, is_private=is_private)
        put_in(slug, f"alice/{name}")
    headers, path = bearer(bob), f"{ROOT}/{slug}"
    ids = {item["id"]: item["_id"] for item in client.get(path, headers=headers).json()["items"]}

    client.patch(
        f"{path}/items/{ids['alice/c']}", {"position": 1}, content_type=JSON, headers=headers
    )

    assert [n for n, _ in names(client.get(path, headers=headers).json())] == [
        "alice/a",
        "alice/c",
        "alice/b",
    ]
    hidden = CollectionItem.objects.get(repo__name="secret").public_id
    answer = client.delete(f"{path}/items/{hidden}", headers=headers)
    assert answer.status_code == 404
    whole = [name for name, _ in names(client.get(path, headers=write).json())]
    assert whole == ["alice/a", "alice/secret", "alice/c", "alice/b"]


@pytest.mark.django_db(transaction=True)
def test_items_put_in_at_once_stand_in_a_row(alice: User) -> None:
    made = collections.create_collection(Viewer(user=alice), collections.NewCollection("Race"))
    for number in range(6):
        make_repo(alice, f"m{number}")

    def add(number: int) -> None:
        viewer = Viewer(user=alice)
        collection_items.add_item(viewer, made, kind="model", name=f"alice/m{number}")

    at_once(add, 6)

    positions = CollectionItem.objects.order_by("position").values_list("position", flat=True)
    assert list(positions) == list(range(6))


# ── lists ───────────────────────────────────────────────────────────────────────────────────────


def test_a_list_has_no_positions_and_four_items(client: Client, alice: User, make, put_in) -> None:
    slug = make()["slug"]
    for number in range(6):
        make_repo(alice, f"m{number}")
        put_in(slug, f"alice/m{number}")

    [row] = client.get(ROOT).json()

    assert "position" not in row
    assert "endpoint" not in row
    assert names(row) == [(f"alice/m{number}", number) for number in range(4)]
    assert row["slug"] == slug


def test_filters_of_the_list(
    client: Client, alice: User, bob: User, make, put_in, repo: ModelRepo, bearer
) -> None:
    first, second = make("First", description="about cats")["slug"], make("Second")["slug"]
    put_in(first, "alice/tiny")
    put_in(second, first, "collection")
    client.post(ROOT, {"title": "Third"}, content_type=JSON, headers=bearer(bob))

    def found(query: str) -> list[str]:
        return [row["title"] for row in client.get(f"{ROOT}?{query}").json()]

    assert found("") == ["Third", "Second", "First"]
    assert found("owner=ALICE") == ["Second", "First"]
    assert found("owner=alice&owner=bob") == ["Third", "Second", "First"]
    assert found("owner[]=bob") == ["Third"]
    assert found("owner=nobody") == []
    assert found("item=models/alice/tiny") == ["First"]
    assert found("item=models/Alice/TINY&owner=bob") == []
    assert found(f"item=collections/{first}") == ["Second"]
    assert found(f"item=models/alice/tiny&item=collections/{first}") == ["Second", "First"]
    assert found("item=datasets/alice/tiny") == []
    assert found("item=models/alice/absent") == []
    assert found("item=collections/none") == []
    assert found("q=CATS") == ["First"]
    assert found("q=%25") == []


@pytest.mark.parametrize(
    "query",
    ["sort=best", "item=models", "item=models/", "limit=0", "limit=x", "cursor=x"]
    + [f"q={'x' * 201}", "&".join(["owner=x"] * 51)]
    + [f"cursor={cursor}" for cursor in ("WzEsMV0", "WyJ4IiwxXQ", "WyIyMDI2LTAxLTAxIiwxXQ")]
    + ["sort=upvotes&cursor=Wy0xLDFd", "sort=upvotes&cursor=WzEsIjEiXQ"]
    + ["cursor=WyIyMDI2LTAxLTAxIDAwOjAwOjAwIiwxXQ", "cursor=WyIyMDI2LTEzLTAxIDAwOjAwOjAwIiwxXQ"],
)
def test_what_a_list_cannot_be_asked_for(client: Client, db: None, query: str) -> None:
    assert client.get(f"{ROOT}?{query}").status_code == 400


@pytest.mark.parametrize("sort", ["lastModified", "trending", "upvotes"])
def test_orders_and_pages(client: Client, bob: User, bearer, make, sort: str) -> None:
    slugs = {title: make(title)["slug"] for title in ("a", "b", "c", "d", "e")}
    for title, voters in {"b": ["dan"], "d": ["dan2", "eve"]}.items():
        for voter in voters:
            headers = bearer(make_user(voter))
            client.post(f"{ROOT}/{slugs[title]}/upvote", headers=headers)

    found, url = [], f"{ROOT}?sort={sort}&limit=2"
    while url:
        answer = client.get(url)
        found += [row["title"] for row in answer.json()]
        link = answer.get("Link", "")
        url = link.removeprefix("<http://testserver").split(">")[0]

    assert found == (["e", "d", "c", "b", "a"] if sort == "lastModified" else list("dbeca"))


def test_upvotes(client: Client, bob: User, bearer, make) -> None:
    slug = make()["slug"]
    path, headers = f"{ROOT}/{slug}/upvote", bearer(bob)

    statuses = [client.post(path, headers=headers).status_code for _ in range(2)]
    after = client.get(f"{ROOT}/{slug}").json()["upvotes"]
    received = client.get("/api/users/alice/overview").json()["numUpvotes"]
    statuses += [client.delete(path, headers=headers).status_code for _ in range(2)]

    assert statuses == [200] * 4
    assert (after, received) == (1, 1)
    assert client.get(f"{ROOT}/{slug}").json()["upvotes"] == 0
    assert client.post(path).status_code == 401
    assert client.post(path, headers=bearer(bob, "read")).status_code == 403


def test_a_list_takes_a_fixed_number_of_queries(
    client: Client, alice: User, make, put_in, django_assert_num_queries
) -> None:
    for number in range(4):
        make_repo(alice, f"m{number}")
        slug = make(f"c{number}")["slug"]
        for other in range(number + 1):
            put_in(slug, f"alice/m{other}")

    with django_assert_num_queries(2):
        client.get(ROOT)
    with django_assert_num_queries(2):
        client.get(f"{ROOT}/{slug}")


def test_collections_go_with_their_owner(client: Client, alice: User, make) -> None:
    slug = make()["slug"]

    alice.delete()

    assert client.get(f"{ROOT}/{slug}").status_code == 404
    assert not Collection.objects.exists()
