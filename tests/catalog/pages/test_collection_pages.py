"""Collections in a browser, without a script."""

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Collection, CollectionItem, ModelRepo
from catalog.services.collection_items import add_item
from catalog.services.collections import NewCollection, create_collection
from tests.catalog.pages.test_social_pages import text
from tests.factories import make_org, make_repo


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    return make_repo(alice)


@pytest.fixture
def found(as_alice: Viewer, repo: ModelRepo) -> Collection:
    """Alice's collection of three models."""
    made = create_collection(as_alice, NewCollection("Small models", description="For phones."))
    add_item(as_alice, made, kind="model", name="alice/tiny", note="The <first>.")
    for name in ("b", "c"):
        make_repo(as_alice.signed_in(), name)
        add_item(as_alice, made, kind="model", name=f"alice/{name}")
    return made


def order() -> list[str]:
    rows = CollectionItem.objects.order_by("position", "pk")
    return [item.repo.name for item in rows.select_related("repo") if item.repo]


def test_making_one(alice: User, browser_of, client: Client) -> None:
    make_org("acme", alice="write")
    browser = browser_of(alice)
    assert '<option value="acme" selected' in text(browser, "/collections/new?owner=acme")
    form = {"namespace": "acme", "title": "New one", "description": "", "theme": "pink"}

    answer = browser.post("/collections/new", form)
    again = browser.post("/collections/new", form)
    foreign = browser.post("/collections/new", form | {"namespace": "bob"})

    made = Collection.objects.get()
    assert answer["Location"] == f"/collections/{made.slug}"
    assert (made.namespace.name, made.theme, made.is_private) == ("acme", "pink", False)
    assert (again.status_code, foreign.status_code) == (400, 400)
    assert "There is a collection of this title" in again.content.decode()
    assert client.get("/collections/new")["Location"] == "/login?next=/collections/new"
    assert client.post("/collections/new", form)["Location"].startswith("/login")


def test_what_a_stranger_sees(client: Client, found: Collection, bob: User, browser_of) -> None:
    for browser in (client, browser_of(bob)):
        page = text(browser, f"/collections/{found.slug}")

        assert "For phones." in page
        assert "The &lt;first&gt;." in page
        assert "3 items" in page
        assert f"http://testserver/collections/{found.slug}" in page
        assert page.index("/alice/tiny") < page.index("/alice/b") < page.index("/alice/c")
        assert "/edit" not in page
        profile = text(browser, "/alice?tab=collections")
        assert "Small models" in profile
        assert "alice/tiny · alice/b · alice/c" in profile


def test_an_old_address_leads_to_the_new_one(client: Client, found: Collection) -> None:
    old, ident = found.slug, found.public_id
    Collection.objects.update(title="Other title")

    for slug in (old, f"x/{ident}", ident):
        answer = client.get(f"/collections/{slug}")
        assert answer["Location"] == f"/collections/alice/other-title-{ident}"


def test_a_private_one_does_not_exist(
    client: Client, found: Collection, bob: User, alice: User, browser_of
) -> None:
    Collection.objects.update(is_private=True)

    for browser in (client, browser_of(bob)):
        text(browser, f"/collections/{found.slug}", 404)
        text(browser, f"/collections/{found.slug}/edit", 404)
        assert browser.post(f"/collections/{found.slug}/upvote").status_code == 404
        assert "Small models" not in text(browser, "/alice?tab=collections")
        assert "Small models" not in text(browser, "/collections")
        assert 'Collections <span class="tabs__count">0</span>' in text(browser, "/alice")
    own = text(browser_of(alice), f"/collections/{found.slug}")
    assert "only its owner and their team" in own
    assert "Small models" in text(browser_of(alice), "/alice?tab=collections")


def test_what_is_hidden_is_not_counted(
    client: Client, found: Collection, alice: User, browser_of
) -> None:
    ModelRepo.objects.filter(name="b").update(is_private=True)

    page, own = text(client, f"/collections/{found.slug}"), browser_of(alice)

    assert "2 items" in page
    assert "alice/b" not in page
    assert "<b>2</b> items" in text(client, "/collections")
    assert "alice/b" not in text(client, "/collections")
    assert "3 items" in text(own, f"/collections/{found.slug}")
    ModelRepo.objects.update(is_private=True)
    assert 'class="empty"' in text(client, f"/collections/{found.slug}")


def test_changing_and_deleting(found: Collection, alice: User, browser_of) -> None:
    browser, path = browser_of(alice), f"/collections/{found.slug}"
    form = {"title": "Renamed", "description": "", "theme": "green", "is_private": "on"}

    answer = browser.post(f"{path}/edit", form)
    bad = browser.post(f"{path}/edit", form | {"title": "x" * 61})

    changed = Collection.objects.get()
    assert answer["Location"] == f"/collections/{changed.slug}/edit"
    assert (changed.title, changed.theme, changed.is_private) == ("Renamed", "green", True)
    assert bad.status_code == 400
    create_collection(Viewer(user=alice), NewCollection("Taken"))
    taken = browser.post(f"{path}/edit", form | {"title": "Taken"})
    assert "There is a collection of this title" in taken.content.decode()

    gone = browser.post(f"{path}/delete")

    assert gone["Location"] == "/alice?tab=collections"
    assert [row.title for row in Collection.objects.all()] == ["Taken"]


def test_others_cannot_change_it(found: Collection, bob: User, browser_of, client: Client) -> None:
    item = CollectionItem.objects.first()
    assert item is not None
    for browser, status in ((browser_of(bob), 403), (client, 401)):
        for below in ("edit", "delete", "items"):
            form = {"title": "x", "theme": "blue", "step": "remove", "item": item.public_id}
            assert browser.post(f"/collections/{found.slug}/{below}", form).status_code == status
        assert browser.get(f"/collections/{found.slug}/edit").status_code == status
    assert order() == ["tiny", "b", "c"]
    assert Collection.objects.get().title == "Small models"


def test_ordering_with_buttons(found: Collection, alice: User, browser_of) -> None:
    browser = browser_of(alice)
    ids = {item.repo.name: item.public_id for item in CollectionItem.objects.all() if item.repo}

    def press(name: str, step: str, **more: str):
        form = {"step": step, "item": ids[name]} | more
        return browser.post(f"/collections/{found.slug}/items", form)

    page = text(browser, f"/collections/{found.slug}/edit")
    assert page.count('value="up" disabled') == page.count('value="down" disabled') == 1

    answer = press("tiny", "down", position="0")
    assert answer["Location"] == f"/collections/{found.slug}/edit#item-{ids['tiny']}"
    assert order() == ["b", "tiny", "c"]
    press("c", "up", position="2")
    assert order() == ["b", "c", "tiny"]
    press("b", "up", position="0")
    assert order() == ["b", "c", "tiny"]
    press("tiny", "to", position="1")
    assert order() == ["tiny", "b", "c"]
    press("c", "note", note="  Last,\nnot least ")
    assert CollectionItem.objects.get(public_id=ids["c"]).note == "Last, not least"
    press("b", "remove")
    assert order() == ["tiny", "c"]

    for step, more in [
        ("to", {"position": "x"}),
        ("to", {}),
        ("note", {"note": "x" * 501}),
        ("remove", {"item": "none"}),
    ]:
        answer = press("tiny", step, **more)
        assert answer["Location"] == f"/collections/{found.slug}/edit"
        assert 'class="alert alert--bad"' in text(browser, answer["Location"])
    assert order() == ["tiny", "c"]


def test_adding_by_name(found: Collection, alice: User, browser_of, bob: User) -> None:
    make_repo(bob, "theirs")
    make_repo(bob, "secret", is_private=True)
    browser, path = browser_of(alice), f"/collections/{found.slug}/items"

    browser.post(path, {"step": "add", "name": " bob/theirs/ "})
    for name in ("bob/secret", "bob/none", "", "alice/tiny"):
        browser.post(path, {"step": "add", "name": name})
        assert 'class="alert alert--bad"' in text(browser, f"/collections/{found.slug}/edit")

    assert order() == ["tiny", "b", "c", "theirs"]


def test_collecting_from_a_listing(
    found: Collection, alice: User, bob: User, browser_of, client: Client
) -> None:
    make_repo(bob, "theirs")
    browser = browser_of(alice)
    listing = text(browser, "/bob/theirs")
    assert 'popovertarget="collect"' in listing
    assert 'hx-get="/bob/theirs/collect"' in listing
    assert "Small models" in text(browser, "/bob/theirs/collect")
    inside = browser.get("/bob/theirs/collect", headers={"hx-request": "true"}).content.decode()
    assert "<html" not in inside
    assert 'action="/bob/theirs/collect"' in inside

    answer = browser.post("/bob/theirs/collect", {"collection": found.public_id, "note": "Good."})
    new = browser.post("/bob/theirs/collect", {"title": "Brand new"})

    assert answer["Location"] == f"/collections/{found.slug}"
    made = Collection.objects.get(title="Brand new")
    assert new["Location"] == f"/collections/{made.slug}"
    notes = CollectionItem.objects.filter(repo__name="theirs").order_by("pk")
    assert list(notes.values_list("note", flat=True)) == ["Good.", ""]

    for form in (
        {},
        {"collection": found.public_id, "title": "Both"},
        {"collection": found.public_id},
        {"collection": "0" * 24},
        {"title": "Small models"},
    ):
        assert browser.post("/bob/theirs/collect", form).status_code == 400
    assert Collection.objects.count() == 2
    assert client.get("/bob/theirs/collect")["Location"] == "/login?next=%2Fbob%2Ftheirs%2Fcollect"
    assert client.get("/alice/none/collect").status_code == 404


def test_who_has_no_collection_is_asked_for_a_new_one_alone(
    alice: User, repo: ModelRepo, browser_of
) -> None:
    browser = browser_of(alice)

    asked = text(browser, "/alice/tiny/collect")
    untold = browser.post("/alice/tiny/collect", {"note": "Good."})

    assert "New collection" in asked
    assert "Or a new collection" not in asked
    assert 'name="collection"' not in asked
    assert untold.status_code == 400
    assert untold.content.decode().count("This field is required.") == 1
    assert "Choose a collection" not in untold.content.decode()
    assert not Collection.objects.exists()
    assert browser.post("/alice/tiny/collect", {"title": "First"}).status_code == 302


def test_a_new_collection_is_not_left_behind_empty(
    alice: User, repo: ModelRepo, browser_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.services.collection_items.MAX_ITEMS", 0)

    answer = browser_of(alice).post("/alice/tiny/collect", {"title": "New"})

    assert answer.status_code == 400
    assert not Collection.objects.exists()


def test_liking_one(found: Collection, bob: User, browser_of, client: Client) -> None:
    browser, path = browser_of(bob), f"/collections/{found.slug}"

    browser.post(f"{path}/upvote", {"liked": "true"})
    assert Collection.objects.get().upvotes == 1
    assert 'aria-pressed="true"' in text(browser, path)
    browser.post(f"{path}/upvote", {"liked": "false"})
    assert Collection.objects.get().upvotes == 0
    assert client.post(f"{path}/upvote", {"liked": "true"}).status_code == 401


def test_finding_one(client: Client, found: Collection, as_alice: Viewer, monkeypatch) -> None:
    create_collection(as_alice, NewCollection("Large models"))

    assert "Small models" in text(client, "/collections?q=small")
    assert "Large models" not in text(client, "/collections?q=small")
    assert 'class="empty"' in text(client, "/collections?q=zebra")
    text(client, "/collections?sort=x", 400)
    monkeypatch.setattr("catalog.views.collections.PAGE", 1)
    first = text(client, "/collections?q=models&sort=lastModified")
    more = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert "Large models" in first
    assert "Small models" in text(client, f"/collections{more}")


def test_pages_take_a_fixed_number_of_queries(
    client: Client, found: Collection, as_alice: Viewer, django_assert_max_num_queries
) -> None:
    outer = create_collection(as_alice, NewCollection("Outer"))
    add_item(as_alice, outer, kind="collection", name=found.slug)

    with django_assert_max_num_queries(3):  # one for prices
        text(client, f"/collections/{found.slug}")
    with django_assert_max_num_queries(2):
        assert "Small models" in text(client, f"/collections/{outer.slug}")
    with django_assert_max_num_queries(2):
        text(client, "/collections")


def test_staff_can_hide_and_delete_one(
    found: Collection, staff: User, browser_of, client: Client
) -> None:
    browser, place = browser_of(staff), f"/admin/catalog/collection/{found.pk}"
    form = {"title": "Mended", "description": "", "is_private": "on"}

    changed = browser.post(f"{place}/change/", form)
    assert changed.status_code == 302
    assert (Collection.objects.get().title, Collection.objects.get().is_private) == ("Mended", True)
    text(client, f"/collections/{found.slug}", 404)

    browser.post(f"{place}/delete/", {"post": "yes"})
    assert not Collection.objects.exists()
    assert ModelRepo.objects.count() == 3
