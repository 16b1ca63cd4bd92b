"""The offers of a model: the shelf, the editor, its preview."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from licensing.models import Offer, Price, RevenueAsk
from licensing.services.offers import make_offer, set_active
from tests.factories import make_org, make_repo, make_user
from tests.licensing.selling.shop import FIXED, Shop, make_model, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
HTML = {"Accept": "text/html"}
FORM: dict[str, Any] = {
    "title": "Commercial",
    "plan": "fixed",
    "terms_id": "store-commercial",
    "seats": "1",
    "seat_kind": "machines",
    "updates": "all",
    "prices-TOTAL_FORMS": "1",
    "prices-INITIAL_FORMS": "0",
    "prices-0-currency": "EUR",
    "prices-0-amount": "19",
}


def counts() -> tuple[int, int]:
    return Offer.objects.count(), Price.objects.count()


@pytest.fixture
def seller() -> User:
    return make_user("maria")


@pytest.fixture
def model(seller: User) -> ModelRepo:
    return make_model(seller, "haiku-gpt")


@pytest.fixture
def editor(seller: User, model: ModelRepo, browser_of: Browser) -> Callable[..., Any]:
    """Send the editor's form: ``editor(amount="20")`` changes the first price."""
    client = browser_of(seller)

    def send(path: str = "/maria/haiku-gpt/offers/new", **changes: Any) -> Any:
        return client.post(path, FORM | changes, headers=HTML)

    return send


@pytest.fixture
def shop() -> Shop:
    return open_shop()


def test_a_free_model_says_what_selling_means(
    seller: User, model: ModelRepo, browser_of: Browser
) -> None:
    page = browser_of(seller).get("/maria/haiku-gpt/offers", headers=HTML)

    assert page.status_code == 200
    assert "This model is free" in page.text
    assert 'href="/maria/haiku-gpt/offers/new"' in page.text
    assert "This model may be sold" in page.text


def test_a_model_is_priced(editor: Callable[..., Any], model: ModelRepo) -> None:
    answer = editor()

    assert answer.status_code == 302
    offer = Offer.objects.get()
    assert (offer.title, offer.kind, offer.seats) == ("Commercial", "fixed", 1)
    assert [(row.currency, row.amount_minor) for row in offer.prices.all()] == [("EUR", 1900)]
    model.refresh_from_db()
    assert model.is_for_sale


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"title": ""}, "This field is required."),
        ({"prices-0-amount": "-1"}, "Write the amount as a number"),
        ({"prices-0-amount": "0"}, "A price of nothing is a free offer"),
        ({"prices-0-amount": "9999999999999"}, "more than anything"),
        ({"prices-0-amount": "1.999"}, "EUR has 2 decimals"),
        ({"prices-0-currency": "XXX"}, "is no currency"),
        ({"prices-0-currency": "", "prices-0-amount": ""}, "Give at least one price"),
        ({"prices-0-suggested": "30"}, "Only pay-what-you-want has a suggestion"),
        ({"prices-0-launch": "25"}, "The launch price is lower"),
        ({"prices-0-launch": "5"}, "Say until when"),
        (
            {
                "prices-0-launch": "5",
                "prices-0-launch_from": "2030-01-02T00:00",
                "prices-0-launch_until": "2030-01-01T00:00",
            },
            "ends after it begins",
        ),
        (
            {
                "prices-TOTAL_FORMS": "2",
                "prices-1-currency": "eur",
                "prices-1-amount": "3",
            },
            "Give one price in each currency",
        ),
        ({"plan": "free"}, "A free offer has no price"),
        ({"plan": "month", "term_days": "30"}, "leave the term empty"),
        ({"plan": "never"}, "Select a valid choice"),
        ({"terms_id": "nothing"}, "Select a valid choice"),
        ({"terms_id": "own"}, "terms"),
        ({"seats": "-1"}, "greater than or equal to 0"),
        ({"seats": "1000001"}, "less than or equal to 1000000"),
        ({"term_days": "0"}, "greater than or equal to 1"),
        ({"prices-TOTAL_FORMS": "many"}, "ManagementForm"),
        ({"prices-TOTAL_FORMS": "61"}, "60"),
    ],
)
def test_a_wrong_value_is_told_and_nothing_is_offered(
    editor: Callable[..., Any], model: ModelRepo, sent: dict[str, str], told: str
) -> None:
    answer = editor(**sent)

    assert answer.status_code == 400
    assert told in answer.text
    assert counts() == (0, 0)
    model.refresh_from_db()
    assert not model.is_for_sale


def test_a_refusal_stands_at_its_field(editor: Callable[..., Any]) -> None:
    answer = editor(**{"prices-0-launch": "25"})

    assert 'id="id_prices-0-launch_error"' in answer.text


def test_a_private_model_is_not_sold(seller: User, browser_of: Browser) -> None:
    make_repo(seller, "draft", is_private=True)

    answer = browser_of(seller).post("/maria/draft/offers/new", FORM, headers=HTML)

    assert answer.status_code == 409
    assert "is private: nobody could find it" in answer.text
    assert counts() == (0, 0)


def test_unknown_lineage_is_confirmed_by_a_person(seller: User, browser_of: Browser) -> None:
    from tests.factories import add_files

    repo = make_model(seller, "child")
    card = b"---\nlicense: mit\nbase_model: who/knows\n---\n# hi\n"
    add_files(seller, repo, {"README.md": card})
    client = browser_of(seller)

    refused = client.post("/maria/child/offers/new", FORM, headers=HTML)

    assert refused.status_code == 409
    assert "Nobody here knows whether this model may be sold" in refused.text
    assert counts() == (0, 0)

    client.post("/maria/child/offers/new", FORM | {"confirmed": "1"}, headers=HTML)
    assert Offer.objects.get().lineage_confirmed_at is not None


def test_more_currencies_without_a_script(editor: Callable[..., Any]) -> None:
    page = editor(do="row", title="")

    assert page.status_code == 200
    assert 'name="prices-TOTAL_FORMS" value="2"' in page.text
    assert "This field is required" not in page.text
    assert 'value="19"' in page.text
    assert counts() == (0, 0)


def test_two_currencies_and_a_subscription(editor: Callable[..., Any]) -> None:
    editor(
        **{
            "plan": "year",
            "prices-TOTAL_FORMS": "3",
            "prices-1-currency": "jpy",
            "prices-1-amount": "3000",
        }
    )

    offer = Offer.objects.get()
    assert (offer.kind, offer.interval) == ("subscription", "year")
    assert set(offer.prices.values_list("currency", "amount_minor")) == {
        ("EUR", 1900),
        ("JPY", 3000),
    }


def test_own_terms_say_what_they_allow(editor: Callable[..., Any]) -> None:
    editor(terms_id="own", own_text="Use it on Tuesdays.", commercial_use="yes", derivatives="no")

    offer = Offer.objects.get()
    assert offer.terms.text.strip() == "Use it on Tuesdays."
    assert offer.rights["commercial_use"] == "yes"
    assert offer.rights["hosted_service"] == "unknown"


def test_a_bundle(editor: Callable[..., Any], seller: User) -> None:
    other = make_model(seller, "sonnet-gpt")

    editor(models=[other.public_id])

    assert {repo.name for repo in Offer.objects.get().repos.all()} == {"haiku-gpt", "sonnet-gpt"}


def test_a_bundle_has_no_models_of_others(editor: Callable[..., Any]) -> None:
    foreign = make_model(make_user("eve"), "lure")

    for _again in range(2):
        answer = editor(models=[foreign.public_id])

    assert answer.status_code in {302, 400}
    assert all(foreign not in offer.repos.all() for offer in Offer.objects.all())


def test_an_offer_is_changed_and_what_was_sold_stays(shop: Shop, browser_of: Browser) -> None:
    order = shop.buy()
    client = browser_of(shop.seller)
    path = f"/maria/haiku-gpt/offers/{shop.offer.public_id}"

    page = client.get(path, headers=HTML)
    assert page.status_code == 200
    assert 'value="19.00"' in page.text
    assert client.post(path, FORM | {"prices-0-amount": "25"}, headers=HTML).status_code == 302

    offer = Offer.objects.get()
    assert offer.version == 2
    assert offer.prices.get().amount_minor == 2500
    assert order.lines.get().unit_minor == 1900


def test_every_offer_can_be_opened_in_the_editor(shop: Shop, browser_of: Browser) -> None:
    from dataclasses import replace
    from datetime import timedelta

    from django.utils import timezone

    from licensing.services.offers import NewPrice
    from licensing.terms.rights import Rights

    soon = timezone.now() + timedelta(days=3)
    drafts = [
        replace(FIXED, title="A", kind=Offer.Kind.FREE, prices=()),
        replace(
            FIXED,
            title="B",
            kind=Offer.Kind.PAY_WHAT_YOU_WANT,
            prices=(NewPrice("EUR", 0, suggested_minor=500),),
        ),
        replace(FIXED, title="C", kind=Offer.Kind.SUBSCRIPTION, interval="month"),
        replace(FIXED, title="D", terms_id="own", own_text="Be kind.", rights=Rights()),
        replace(
            FIXED, title="E", prices=(NewPrice("EUR", 1900, launch_minor=900, launch_until=soon),)
        ),
    ]
    client = browser_of(shop.seller)
    for draft in drafts:
        offer = make_offer(shop.selling, [shop.repo], draft)
        path = f"/maria/haiku-gpt/offers/{offer.public_id}"
        page = client.get(path, headers=HTML)
        assert page.status_code == 200, draft.title
    assert client.get("/maria/haiku-gpt/offers", headers=HTML).status_code == 200


@pytest.mark.parametrize(("who", "status"), [("ada", 403), ("wes", 403), ("carol", 403), ("", 302)])
def test_who_may_not_sell(
    shop: Shop, browser_of: Browser, client: Client, who: str, status: int
) -> None:
    if who == "carol":
        make_user("carol", is_staff=True)
    if who == "wes":
        make_user("wes")
    browser = browser_of(User.objects.get(username=who)) if who else client
    before = counts()
    paths = ["offers", "offers/new", f"offers/{shop.offer.public_id}"]

    for path in paths:
        address = f"/maria/haiku-gpt/{path}"
        assert browser.get(address, headers=HTML).status_code == status
        sent = FORM | {"act": "close", "offer": shop.offer.public_id}
        assert browser.post(address, sent, headers=HTML).status_code == status

    assert counts() == before
    assert Offer.objects.get().is_active
    assert Offer.objects.get().version == 1


@pytest.mark.parametrize(("role", "status"), [("read", 403), ("write", 200), ("admin", 200)])
def test_members_of_a_team_that_sells(role: str, status: int, browser_of: Browser) -> None:
    owner, member = make_user("maria"), make_user("tom")
    make_org("acme", maria="admin", tom=role)
    from tests.factories import add_files, safetensors

    repo = make_repo(owner, "gpt", namespace="acme")
    add_files(owner, repo, {"model.safetensors": safetensors()})

    answer = browser_of(member).get("/acme/gpt/offers", headers=HTML)

    assert answer.status_code == status


def test_the_shelf_is_ordered_and_cleared(shop: Shop, browser_of: Browser) -> None:
    from dataclasses import replace

    second = make_offer(shop.selling, [shop.repo], replace(FIXED, title="Research"))
    client = browser_of(shop.seller)

    def act(what: str, offer: Offer) -> int:
        sent = {"act": what, "offer": offer.public_id}
        return client.post("/maria/haiku-gpt/offers", sent, headers=HTML).status_code

    def shelf() -> list[str]:
        from licensing.services.offers import offers_of

        return [offer.title for offer in offers_of(shop.repo)]

    assert act("up", second) == 302
    assert shelf() == ["Research", "Commercial"]
    assert act("up", second) == 302
    assert shelf() == ["Research", "Commercial"]
    assert act("down", second) == 302
    assert shelf() == ["Commercial", "Research"]
    assert act("close", second) == 302
    assert shelf() == ["Commercial"]
    assert "Put back" in client.get("/maria/haiku-gpt/offers", headers=HTML).text
    assert act("open", second) == 302
    assert act("dance", second) == 400
    assert shelf() == ["Commercial", "Research"]


def test_an_offer_of_another_model_is_not_there(shop: Shop, browser_of: Browser) -> None:
    other = make_model(shop.seller, "sonnet-gpt")
    elsewhere = make_offer(shop.selling, [other], FIXED)
    client = browser_of(shop.seller)

    sent = {"act": "close", "offer": elsewhere.public_id}
    assert client.post("/maria/haiku-gpt/offers", sent, headers=HTML).status_code == 404
    path = f"/maria/haiku-gpt/offers/{elsewhere.public_id}"
    assert client.get(path, headers=HTML).status_code == 404
    elsewhere.refresh_from_db()
    assert elsewhere.is_active


def test_the_last_offer_gone_makes_the_model_free(shop: Shop) -> None:
    set_active(shop.selling, shop.offer, is_active=False)
    shop.repo.refresh_from_db()

    assert not shop.repo.is_for_sale


def test_early_access_ends_at_a_date(shop: Shop, browser_of: Browser) -> None:
    client = browser_of(shop.seller)

    def send(moment: str) -> int:
        sent = {"form": "opening", "opens_at": moment}
        return client.post("/maria/haiku-gpt/offers", sent, headers=HTML).status_code

    assert send("2001-01-01T00:00") == 400
    shop.repo.refresh_from_db()
    assert shop.repo.opens_at is None
    assert send("2100-01-01T00:00") == 302
    shop.repo.refresh_from_db()
    assert shop.repo.opens_at is not None
    assert send("") == 302
    shop.repo.refresh_from_db()
    assert shop.repo.opens_at is None


def test_an_owner_asks_for_a_share(shop: Shop, browser_of: Browser) -> None:
    client = browser_of(shop.seller)

    def send(percent: str) -> int:
        sent = {"form": "ask", "percent": percent}
        return client.post("/maria/haiku-gpt/offers", sent, headers=HTML).status_code

    assert send("12.5") == 302
    assert RevenueAsk.objects.get().basis_points == 1250
    for wrong in ("50.01", "-1", "many", ""):
        assert send(wrong) == 400
    assert RevenueAsk.objects.get().basis_points == 1250
    assert send("0") == 302
    assert not RevenueAsk.objects.exists()


def test_writers_find_the_way(seller: User, model: ModelRepo, browser_of: Browser) -> None:
    client = browser_of(seller)

    for path in ("/maria/haiku-gpt", "/maria/haiku-gpt/checks"):
        assert 'href="/maria/haiku-gpt/offers"' in client.get(path, headers=HTML).text
    stranger = browser_of(make_user("ada")).get("/maria/haiku-gpt", headers=HTML)
    assert "/maria/haiku-gpt/offers" not in stranger.text


def test_a_program_is_sent_to_the_api(
    seller: User, model: ModelRepo, client: Client, bearer: Callable[..., dict[str, str]]
) -> None:
    answer = client.post("/maria/haiku-gpt/offers/new", FORM, headers=bearer(seller))

    assert answer.status_code == 403
    assert counts() == (0, 0)


def test_the_queries_of_the_shelf_do_not_grow(
    shop: Shop, browser_of: Browser, django_assert_max_num_queries: Any
) -> None:
    from dataclasses import replace

    client = browser_of(shop.seller)
    for number in range(5):
        make_offer(shop.selling, [shop.repo], replace(FIXED, title=f"Number {number}"))

    with django_assert_max_num_queries(34):
        client.get("/maria/haiku-gpt/offers", headers=HTML)


def test_viewers_of_a_fine_token_do_not_move_offers(shop: Shop, alice: User) -> None:
    from licensing.services.offer_order import move_offer
    from store.core.errors import ForbiddenError

    with pytest.raises(ForbiddenError):
        move_offer(Viewer(user=alice), shop.repo, shop.offer, step=1)


def test_a_new_offer_proposes_terms_and_a_currency(shop: Shop, browser_of: Browser) -> None:
    page = browser_of(shop.seller).get("/maria/haiku-gpt/offers/new", headers=HTML).text

    assert 'value="EUR"' in page
    assert "COMMERCIAL" in page.upper()


def test_a_free_offer_needs_no_price(editor: Callable[..., Any], model: ModelRepo) -> None:
    assert editor(plan="free", **{"prices-0-amount": ""}).status_code == 302

    assert Offer.objects.get().kind == "free"
    assert not Price.objects.exists()


def test_a_spare_row_is_left_out(editor: Callable[..., Any]) -> None:
    sent = {"prices-TOTAL_FORMS": "2", "prices-1-currency": "USD", "prices-1-amount": ""}

    assert editor(**sent).status_code == 302
    assert Price.objects.get().currency == "EUR"


def test_terms_that_do_not_fit_are_told_at_their_field(seller: User, browser_of: Browser) -> None:
    from tests.licensing.selling.test_offer_rules import child_of

    child_of(seller, "alike", "cc-by-sa-4.0")

    answer = browser_of(seller).post("/maria/alike/offers/new", FORM, headers=HTML)

    assert answer.status_code == 409
    assert 'id="id_terms_id_error"' in answer.text
    assert counts() == (0, 0)


def test_a_change_is_previewed(shop: Shop, browser_of: Browser) -> None:
    path = f"/maria/haiku-gpt/offers/{shop.offer.public_id}"
    sent = FORM | {"do": "preview", "prices-0-amount": "25"}

    page = browser_of(shop.seller).post(path, sent, headers=HTML)

    assert "€25.00" in page.text
    assert Price.objects.get().amount_minor == 1900


def test_what_the_service_refuses_of_the_shelf_is_told(
    shop: Shop, browser_of: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.forms import DecimalField

    monkeypatch.setattr(DecimalField, "validate", lambda self, value: None)
    monkeypatch.setattr(DecimalField, "run_validators", lambda self, value: None)

    sent = {"form": "ask", "percent": "51"}
    answer = browser_of(shop.seller).post("/maria/haiku-gpt/offers", sent, headers=HTML)

    assert answer.status_code == 400
    assert "A share is between 0 and 50 percent" in answer.text
    assert not RevenueAsk.objects.exists()


def test_there_is_no_offer_of_this_id(shop: Shop, browser_of: Browser) -> None:
    path = "/maria/haiku-gpt/offers/nothing"

    assert browser_of(shop.seller).get(path, headers=HTML).status_code == 404
