"""What an offer brings, before it is made: the same sums an order comes to."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import User
from accounts.viewer import Viewer
from licensing.models import FeeRule, LedgerEntry, LedgerMovement, Offer, OrderLine
from licensing.services.offer_drafts import draft_of
from licensing.services.offers import BadOfferError, NewPrice, change_offer
from licensing.services.previewing import preview
from licensing.services.seller_profiles import ProfileChange, change
from licensing.services.upstream import set_ask
from store.core.money import Money
from tests.factories import add_files, make_user
from tests.licensing.pages_seller.test_offer_pages import FORM, HTML
from tests.licensing.selling.shop import BILLING, FIXED, Shop, make_model, open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]


def at_home(shop: Shop, country: str = "DE", **more: Any) -> None:
    """The seller says where they are."""
    values: dict[str, Any] = {"country": country, "is_registered": True} | more
    if country == "DE":
        values.setdefault("vat_number", "DE136695976")
    change(shop.repo.namespace, ProfileChange(**values), actor=shop.seller)


def test_without_a_place_no_tax_is_reckoned() -> None:
    shop = open_shop()

    found = preview([shop.repo], FIXED)

    assert not found.knows_tax
    ((currency, (case,)),) = found.by_currency
    assert currency == "EUR"
    assert case.pays == case.receives == Money(1900, "EUR")
    assert case.fee == Money(0, "EUR")


def test_three_buyers_of_a_german_seller() -> None:
    shop = open_shop()
    at_home(shop, uses_oss=True)
    FeeRule.objects.create(basis_points=1000)

    found = preview([shop.repo], FIXED)

    home, business, abroad = found.by_currency[0][1]
    assert home.buyer == "A person in Germany"
    assert (home.pays, home.tax) == (Money(2261, "EUR"), Money(361, "EUR"))
    assert home.tax_basis_points == 1900
    assert (home.fee, home.receives) == (Money(190, "EUR"), Money(1710, "EUR"))
    assert business.buyer == "A business in France"
    assert business.tax == Money(380, "EUR")  # nobody confirmed its number
    assert abroad.buyer == "A person in New York, United States"
    assert (abroad.pays, abroad.tax) == (Money(1900, "EUR"), Money(0, "EUR"))
    assert found.fee_basis_points == 1000


def test_a_business_whose_number_counts_pays_no_tax(settings: Any) -> None:
    shop = open_shop()
    at_home(shop)
    settings.ENV = settings.ENV.model_copy(update={"trust_vat_numbers": True})

    business = preview([shop.repo], FIXED).by_currency[0][1][1]

    assert (business.pays, business.tax) == (Money(1900, "EUR"), Money(0, "EUR"))
    assert business.note.startswith("Reverse charge")


@pytest.mark.parametrize("country", ["FR", "US", "CH", "CA"])
def test_sellers_elsewhere_have_three_buyers_too(country: str) -> None:
    shop = open_shop()
    region = {"US": "NY", "CA": "ON"}.get(country, "")
    at_home(shop, country, region=region, is_registered=False)

    cases = preview([shop.repo], FIXED).by_currency[0][1]

    assert len({case.buyer for case in cases}) == 3
    assert all(case.pays == Money(1900, "EUR") for case in cases)


def test_included_tax_comes_out_of_the_price() -> None:
    shop = open_shop()
    at_home(shop)

    home = preview([shop.repo], replace(FIXED, is_tax_included=True)).by_currency[0][1][0]

    assert (home.pays, home.tax) == (Money(1900, "EUR"), Money(303, "EUR"))
    assert home.receives == Money(1597, "EUR")


def test_an_owner_upstream_is_named() -> None:
    base_owner, seller = make_user("base"), make_user("maria")
    base = make_model(base_owner, "root")
    set_ask(Viewer(user=base_owner), base, 1000)
    child = make_model(seller, "child")
    card = b"---\nlicense: mit\nbase_model: base/root\n---\n# hi\n"
    add_files(seller, child, {"README.md": card})

    case = preview([child], FIXED).by_currency[0][1][0]

    (share,) = case.shares
    assert (share.owner, share.model, share.basis_points) == ("base", "base/root", 1000)
    assert (share.amount, case.receives) == (Money(190, "EUR"), Money(1710, "EUR"))


def test_a_share_is_of_what_the_fee_leaves_as_previewed_and_as_booked(
    browser_of: Browser,
) -> None:
    FeeRule.objects.create(basis_points=1000, starts_at=timezone.now())
    base_owner, shop = make_user("base"), open_shop()
    base = make_model(base_owner, "root")
    set_ask(Viewer(user=base_owner), base, 2000)
    card = b"---\nlicense: mit\nbase_model: base/root\n---\n# hi\n"
    add_files(shop.seller, shop.repo, {"README.md": card})
    offer = change_offer(shop.selling, shop.offer, replace(FIXED, prices=(NewPrice("EUR", 1000),)))

    case = preview([shop.repo], draft_of(offer)).by_currency[0][1][0]
    shop.buy()

    assert (case.fee, case.shares[0].amount) == (Money(100, "EUR"), Money(180, "EUR"))
    assert case.receives == Money(720, "EUR")
    owed = LedgerEntry.objects.filter(movement__kind=LedgerMovement.Kind.SALE, amount_minor__lt=0)
    booked = owed.order_by("amount_minor").values_list("account__namespace__name", "amount_minor")
    assert list(booked) == [("maria", -720), ("base", -180), (None, -100)]
    words = "Of the price without tax and the store"
    for user, repo in ((shop.seller, shop.repo), (base_owner, base)):
        page = browser_of(user).get(f"/{repo.full_name}/offers", headers={"Accept": "text/html"})
        assert words in page.content.decode()


def test_the_launch_price_and_the_suggestion_count() -> None:
    shop = open_shop()
    now = timezone.now()
    launch = NewPrice("EUR", 1900, launch_minor=900, launch_until=now + timedelta(days=1))
    open_price = NewPrice("EUR", 100, suggested_minor=700)
    pwyw = replace(FIXED, kind=Offer.Kind.PAY_WHAT_YOU_WANT, prices=(open_price,))

    def pays(draft: Any, **more: Any) -> Any:
        return preview([shop.repo], draft, **more).by_currency[0][1][0].pays

    assert pays(replace(FIXED, prices=(launch,))) == Money(900, "EUR")
    later = now + timedelta(days=2)
    assert pays(replace(FIXED, prices=(launch,)), at=later) == Money(1900, "EUR")
    assert pays(pwyw) == Money(700, "EUR")


def test_a_free_offer_brings_nothing() -> None:
    shop = open_shop()

    assert preview([shop.repo], replace(FIXED, kind=Offer.Kind.FREE, prices=())).by_currency == ()


def test_prices_that_make_no_sense_are_refused() -> None:
    shop = open_shop()

    with pytest.raises(BadOfferError):
        preview([shop.repo], replace(FIXED, prices=()))


def test_a_place_without_a_rate_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from licensing.services import taxing
    from licensing.tax.rates import RateTable

    shop = open_shop()
    at_home(shop)
    monkeypatch.setattr(taxing, "rates_from_settings", lambda: RateTable([]))

    home = preview([shop.repo], FIXED).by_currency[0][1][0]

    assert home.pays is None
    assert "knows no tax rate" in home.problem


class PreviewIsTheOrder(TestCase):
    """Whatever the price, fee and tax: a preview says what the order then books."""

    @hypothesis_settings(max_examples=40)  # each publishes a model
    @given(
        amount=st.integers(1, 10**7),
        fee=st.integers(0, 10_000),
        is_tax_included=st.booleans(),
    )
    def test_same_sums(self, amount: int, fee: int, *, is_tax_included: bool) -> None:
        shop = open_shop(prices=(NewPrice("EUR", amount),), is_tax_included=is_tax_included)
        at_home(shop)
        FeeRule.objects.create(basis_points=fee)
        draft = replace(FIXED, prices=(NewPrice("EUR", amount),), is_tax_included=is_tax_included)

        case = preview([shop.repo], draft).by_currency[0][1][0]
        shop.order(billing=BILLING)

        line = OrderLine.objects.get()
        assert case.pays == Money(line.gross_minor, "EUR")
        assert case.tax == Money(line.tax_minor, "EUR")
        assert case.fee == Money(line.fee_minor, "EUR")
        assert case.receives == Money(line.net_minor - line.fee_minor, "EUR")


def test_the_editor_previews_without_a_script(browser_of: Browser) -> None:
    shop = open_shop()
    FeeRule.objects.create(basis_points=500)
    client = browser_of(shop.seller)

    page = client.post(
        "/maria/haiku-gpt/offers/new", FORM | {"do": "preview", "title": ""}, headers=HTML
    )

    assert page.status_code == 200
    assert "Buyer pays" in page.text
    assert "€18.05" in page.text
    assert "Fee of the store, 5" in page.text
    assert 'href="/sales/profile"' in page.text
    assert "This field is required" not in page.text
    assert Offer.objects.count() == 1


def test_htmx_gets_the_preview_alone(browser_of: Browser) -> None:
    shop = open_shop()
    client = browser_of(shop.seller)
    headers = HTML | {"HX-Request": "true"}

    def ask(**changes: Any) -> str:
        sent = FORM | {"do": "preview"} | changes
        return str(client.post("/maria/haiku-gpt/offers/new", sent, headers=headers).text)

    assert "<html" not in ask()
    assert "You receive" in ask()
    assert "is no currency" in ask(**{"prices-0-currency": "QQQ"})
    assert "at least the least" in ask(
        plan="pwyw", **{"prices-0-amount": "5", "prices-0-suggested": "3"}
    )
    assert "Write a price" in ask(**{"prices-0-currency": "", "prices-0-amount": ""})
    assert "60" in ask(**{"prices-TOTAL_FORMS": "61"})
    assert "Nothing is paid" in ask(plan="free", **{"prices-0-currency": "", "prices-0-amount": ""})
    own = ask(terms_id="own", own_text="Be kind <b>to it</b>.", commercial_use="no")
    assert "Be kind &lt;b&gt;to it" in own
    assert "rights__item--no" in own
    assert "rights" not in ask(terms_id="nothing")


def test_a_bundle_is_previewed_with_all_its_models(browser_of: Browser) -> None:
    shop = open_shop()
    other = make_model(shop.seller, "sonnet-gpt")
    client = browser_of(shop.seller)

    page = client.post(
        "/maria/haiku-gpt/offers/new",
        FORM | {"do": "preview", "models": [other.public_id]},
        headers=HTML,
    )

    assert page.status_code == 200
    assert "You receive" in page.text
