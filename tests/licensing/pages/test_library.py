from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, User
from catalog.models import Grant
from licensing import views_library
from licensing.documents.keys import digest_of_key
from licensing.models import Activation, License, Offer, Order, Refund
from licensing.services import activations, refunds
from tests.factories import add_files, make_org, make_user
from tests.licensing.pages.buying import get, post, text_of, visible
from tests.licensing.selling.shop import Shop, open_shop
from tests.offline_command import verify

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


@pytest.fixture
def shop(db: None) -> Shop:
    return open_shop(seats=2)


@pytest.fixture
def row(shop: Shop) -> License:
    order = shop.buy()
    return License.objects.select_related("holder", "grant", "line").get(line__order=order)


@pytest.fixture
def buyer(shop: Shop, browser_of: Browser) -> Client:
    return browser_of(shop.buyer)


def address(row: License, rest: str = "") -> str:
    return f"/library/{row.public_id}{rest}"


def key_in(page: str) -> str:
    start = page.index("GPTS-")
    return page[start : page.index("<", start)]


def test_an_empty_library_shows_the_way_on(browser_of: Browser) -> None:
    page = get(browser_of(make_user("eve")), "/library")

    assert "Nothing here yet" in visible(page)
    assert 'href="/models"' in page


def test_what_is_mine_comes_before_what_is_my_teams(browser_of: Browser, shop: Shop) -> None:
    make_org("acme", ada="admin")
    shop.buy("team", holder="acme")
    shop.buy("mine")

    page = get(browser_of(shop.buyer), "/library")
    words = visible(page)

    assert words.index("Yours") < words.index("acme")
    assert words.count("0 of 2 machines in use") == 2
    assert words.count("In force") >= 2
    assert "HF_ENDPOINT=http://testserver HF_TOKEN=hf_… hf download maria/haiku-gpt" in words


def test_the_library_is_searched_and_filtered(buyer: Client, shop: Shop, row: License) -> None:
    other = shop.buy("other")
    refunds.give_back(shop.selling, other, None, "")

    def count(query: str) -> int:
        return get(buyer, f"/library{query}").count('class="model__name"')

    assert count("") == 2
    assert count("?state=active") == 1
    assert count("?state=ended") == 1
    assert count("?state=nonsense") == 2
    assert count("?q=haiku") == 2
    assert count("?q=maria/hai") == 2
    assert count("?q=Commercial&state=ended") == 1
    assert count("?q=zebra") == 0
    assert "Nothing fits" in visible(get(buyer, "/library?q=zebra"))


def test_the_library_takes_the_same_queries_however_long(
    buyer: Client, shop: Shop, row: License, django_assert_max_num_queries: Any
) -> None:
    get(buyer, "/library")
    with django_assert_max_num_queries(30) as one:
        get(buyer, "/library")

    for number in range(4):
        shop.buy(f"k{number}")
    with django_assert_max_num_queries(len(one)):
        page = get(buyer, "/library")

    assert page.count('class="model__name"') == 5


def test_the_library_goes_on(
    buyer: Client, shop: Shop, row: License, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views_library, "PAGE", 1)
    shop.buy("second")

    assert "page=2" in get(buyer, "/library?q=haiku")
    second = get(buyer, "/library?q=haiku&page=2")
    assert "q=haiku&amp;state=all&amp;page=1" in second
    assert "page=3" not in second


def test_who_may_see_what_of_a_license(
    client: Client, browser_of: Browser, staff: User, shop: Shop
) -> None:
    mate = make_user("ben")
    make_org("acme", ada="admin", ben="read")
    order = shop.buy(holder="acme")
    found = License.objects.get(line__order=order)

    assert client.get(address(found), headers={"accept": "text/html"}).status_code == 302
    get(browser_of(make_user("eve")), address(found), 404)
    get(browser_of(shop.buyer), "/library/0000", 404)
    for holder in (shop.buyer, mate):
        words = visible(get(browser_of(holder), address(found)))
        assert "Show the key" in words
        assert "Order and documents" in words
    assert "Make a new key" not in visible(get(browser_of(mate), address(found)))
    for other in (shop.seller, staff):
        words = visible(get(browser_of(other), address(found)))
        assert "Licensee" in words
        assert "Show the key" not in words
        assert "Order and documents" not in words
        assert "Ask for a refund" not in words


def test_everything_of_a_license(buyer: Client, shop: Shop, row: License) -> None:
    page = get(buyer, address(row))
    words = visible(page)

    assert "GPTS-" not in page
    assert "Licensee Ada Byron" in words
    assert "Until for good" in words
    assert "0 of 2 machines in use" in words
    assert "Commercial use: yes" in words
    file = row.files.get(path="model.safetensors")
    assert file.sha256 in page
    assert f'href="/terms/{row.terms_id}"' in page
    assert f'href="/orders/{row.line.order.public_id}"' in page
    assert "no real money" in words


def test_files_are_paged(buyer: Client, row: License, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_library, "FILES_PAGE", 3)

    first, second = get(buyer, address(row)), get(buyer, address(row, "?page=2"))

    assert first.count('<th scope="row">') == 3
    assert second.count('<th scope="row">') == 1
    assert 'href="?page=2#files"' in first
    assert 'href="?page=1#files"' in second


def test_updates_since_the_purchase_are_listed(
    buyer: Client, browser_of: Browser, shop: Shop
) -> None:
    shop.offer.updates = Grant.Updates.REVISION
    shop.offer.save()
    shop.buy()
    found = License.objects.get()
    add_files(shop.seller, shop.repo, {"notes.txt": b"more\n"})

    words = visible(get(buyer, address(found)))

    assert "Updates since you bought it" in words
    assert "add files" in words
    assert "not included" in words
    assert "updated since you bought it" in visible(get(buyer, "/library"))


def test_the_key_is_shown_on_a_page_of_its_own(buyer: Client, row: License) -> None:
    answer = post(buyer, address(row, "/key"))

    key = key_in(text_of(answer))
    assert digest_of_key(key) == row.key_digest
    assert "no-store" in answer["Cache-Control"]
    assert "data-shown-once" in answer.content.decode()
    assert AuditEvent.objects.filter(action="license.reveal", subject=row.public_id).count() == 1
    assert buyer.get(address(row, "/key")).status_code == 405
    assert "looked at the key of the license" in visible(get(buyer, address(row)))


def test_a_new_key_ends_the_old_one_once(buyer: Client, row: License) -> None:
    form = {"rotate": "1", "rotation": "0"}
    key = key_in(text_of(post(buyer, address(row, "/key"), form)))
    row.refresh_from_db()
    assert digest_of_key(key) == row.key_digest

    answer = post(buyer, address(row, "/key"), form)

    assert answer["Location"] == address(row)
    assert "This key was replaced before." in visible(get(buyer, address(row)))
    assert post(buyer, address(row, "/key"), {"rotate": "1", "rotation": "x"}).status_code == 302
    again = License.objects.get()
    assert (again.key_digest, again.key_rotation) == (row.key_digest, 1)


def test_a_key_of_another_secret_can_be_made_anew(
    buyer: Client, browser_of: Browser, shop: Shop, row: License, settings: Any
) -> None:
    settings.SECRET_KEY = "another"
    browser = browser_of(shop.buyer)

    page = text_of(post(browser, address(row, "/key")))

    assert "GPTS-" not in page
    assert "You can make a new one." in visible(page)


def test_keys_are_for_holders(client: Client, browser_of: Browser, staff: User, shop: Shop) -> None:
    mate = make_user("ben")
    make_org("acme", ada="admin", ben="read")
    shop.buy(holder="acme")
    found = License.objects.get()
    rotate = {"rotate": "1", "rotation": "0"}

    assert post(client, address(found, "/key")).status_code == 302
    assert post(browser_of(make_user("eve")), address(found, "/key")).status_code == 404
    for other in (shop.seller, staff):
        assert post(browser_of(other), address(found, "/key")).status_code == 403
        assert post(browser_of(other), address(found, "/key"), rotate).status_code == 403
    assert post(browser_of(mate), address(found, "/key"), rotate).status_code == 403
    assert License.objects.get().key_rotation == 0
    assert not AuditEvent.objects.filter(action="license.reveal").exists()
    assert "GPTS-" in text_of(post(browser_of(mate), address(found, "/key")))


def test_the_license_file(
    client: Client, browser_of: Browser, shop: Shop, row: License, tmp_path: Path
) -> None:
    answer = browser_of(shop.buyer).get(address(row, "/file"))

    assert answer.status_code == 200
    assert f'"{row.public_id}.gpts-license"' in answer["Content-Disposition"]
    assert "no-store" in answer["Cache-Control"]
    file, keys = tmp_path / "saved.gpts-license", tmp_path / "keys.json"
    file.write_bytes(answer.content)
    keys.write_bytes(client.get("/.well-known/jwks.json").content)
    done = verify(file, keys)
    assert (done.returncode, "TEST license is valid" in done.stdout) == (0, True), done.stderr
    assert client.get(address(row, "/file"), headers={"accept": "text/html"}).status_code == 302
    get(browser_of(make_user("eve")), address(row, "/file"), 404)
    get(browser_of(shop.seller), address(row, "/file"), 403)
    Grant.objects.update(ends_at=timezone.now())
    get(browser_of(shop.buyer), address(row, "/file"), 403)


def take_seat(row: License, shop: Shop, name: str) -> Activation:
    seat = activations.seat_of(row, shop.buying, fingerprint=name)
    return activations.activate(row, seat, label=f"the {name}")[0]


def test_a_seat_is_ended(buyer: Client, shop: Shop, row: License) -> None:
    seat = take_seat(row, shop, "laptop")
    words = visible(get(buyer, address(row)))
    assert "the laptop" in words
    assert "1 of 2 machines in use" in words

    answer = post(buyer, address(row, f"/seats/{seat.public_id}"))

    assert answer["Location"] == address(row, "#seats")
    words = visible(get(buyer, address(row)))
    assert "The seat is free." in words
    assert "0 of 2 machines in use" in words


def test_a_seat_with_a_file_out_is_free_later(buyer: Client, shop: Shop, row: License) -> None:
    seat = take_seat(row, shop, "laptop")
    Activation.objects.update(held_until=timezone.now() + timedelta(days=1))

    post(buyer, address(row, f"/seats/{seat.public_id}"))

    assert "when its offline file expires" in visible(get(buyer, address(row)))


def test_a_seat_is_handed_on(buyer: Client, shop: Shop, row: License) -> None:
    seat = take_seat(row, shop, "laptop")
    form = {"transfer": "1", "fingerprint": "server"}

    post(buyer, address(row, f"/seats/{seat.public_id}"), form)

    words = visible(get(buyer, address(row)))
    assert "The seat is handed on." in words
    assert "1 of 2 machines in use" in words
    assert Activation.objects.live().get().fingerprint == "server"


def test_a_seat_that_cannot_be_handed_on_stays(buyer: Client, shop: Shop, row: License) -> None:
    seat = take_seat(row, shop, "laptop")
    place = address(row, f"/seats/{seat.public_id}")

    assert post(buyer, place, {"transfer": "1", "fingerprint": "ü"}).status_code == 422
    assert post(buyer, place, {"transfer": "1"}).status_code == 422
    assert post(buyer, address(row, "/seats/0000")).status_code == 404

    assert Activation.objects.live().get().fingerprint == "laptop"


def test_seats_of_people(browser_of: Browser) -> None:
    shop = open_shop(seats=1, seat_kind="people")
    mate = make_user("ben")
    make_org("acme", ada="admin", ben="read")
    shop.buy(holder="acme")
    found = License.objects.select_related("holder").get()
    seat = activations.activate(found, activations.seat_of(found, shop.buying, user="ada"))[0]
    place = address(found, f"/seats/{seat.public_id}")

    assert "End this seat" not in visible(get(browser_of(mate), address(found)))
    assert post(browser_of(mate), place).status_code == 404
    assert "User name of the person" in visible(get(browser_of(shop.buyer), address(found)))
    assert post(browser_of(shop.buyer), place, {"transfer": "1", "user": "eve"}).status_code == 403
    assert Activation.objects.live().get().user == shop.buyer
    post(browser_of(shop.buyer), place, {"transfer": "1", "user": "ben"})
    assert Activation.objects.live().get().user == mate
    assert "End this seat" in visible(get(browser_of(mate), address(found)))


def test_seats_are_not_for_others(
    client: Client, browser_of: Browser, staff: User, shop: Shop, row: License
) -> None:
    seat = take_seat(row, shop, "laptop")
    place = address(row, f"/seats/{seat.public_id}")

    assert post(client, place).status_code == 302
    assert post(browser_of(make_user("eve")), place).status_code == 404
    for other in (shop.seller, staff):
        assert post(browser_of(other), place).status_code == 403

    assert Activation.objects.live().count() == 1


def test_a_refund_is_asked_for_once(buyer: Client, row: License) -> None:
    assert "Ask for a refund" in visible(get(buyer, address(row)))

    answer = post(buyer, address(row, "/refund"), {"reason": "It does not rhyme."})

    assert answer["Location"] == address(row, "#refund")
    refund = Refund.objects.get()
    assert (refund.line, refund.amount_minor) == (row.line, 1900)
    words = visible(get(buyer, address(row)))
    assert "“It does not rhyme.”" in words
    assert "Ask for a refund" not in words
    post(buyer, address(row, "/refund"), {"reason": "again"})
    assert Refund.objects.count() == 1
    assert Order.objects.get().state == Order.State.FULFILLED


def test_after_the_window_it_says_until_when_it_was(
    buyer: Client, row: License, settings: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"refund_days": 14})
    Order.objects.update(paid_at=timezone.now() - timedelta(days=15))

    words = visible(get(buyer, address(row)))
    assert "A refund could be asked for until" in words
    assert "Ask for a refund" not in words
    page = text_of(post(buyer, address(row, "/refund"), {"reason": "late"}), 409)

    assert "Refunds can be asked for within 14 days." in visible(page)
    assert not Refund.objects.exists()


def test_a_refund_is_not_for_everybody(
    client: Client, browser_of: Browser, staff: User, shop: Shop
) -> None:
    mate = make_user("ben")
    make_org("acme", ada="admin", ben="read")
    shop.buy(holder="acme")
    found = License.objects.get()
    place, form = address(found, "/refund"), {"reason": "mine"}

    assert post(client, place, form).status_code == 302
    assert post(browser_of(make_user("eve")), place, form).status_code == 404
    for other in (mate, shop.seller, staff):
        assert post(browser_of(other), place, form).status_code in {403, 409}
        assert "Ask for a refund" not in visible(get(browser_of(other), address(found)))

    assert not Refund.objects.exists()


def test_a_refunded_license_says_so(buyer: Client, shop: Shop, row: License) -> None:
    refunds.give_back(shop.selling, row.line.order, None, "sorry")

    words = visible(get(buyer, address(row)))

    assert "The license was taken back" in words
    assert "Download haiku-gpt" not in words
    assert "Taken back" in words


def test_a_suspended_license_says_why(buyer: Client, row: License) -> None:
    License.objects.update(suspended_at=timezone.now(), suspended_for="shared in a forum")

    words = visible(get(buyer, address(row)))

    assert "“shared in a forum”" in words
    assert "Suspended" in words


def test_a_free_license_has_no_refund(browser_of: Browser) -> None:
    shop = open_shop(kind=Offer.Kind.FREE, prices=())
    shop.buy()
    found = License.objects.get()

    words = visible(get(browser_of(shop.buyer), address(found)))

    assert "Refund" not in words
    assert "Commercial" in words
