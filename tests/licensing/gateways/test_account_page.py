"""A seller opens their account at Stripe from a page, comes back, and asks how it stands."""

from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from accounts.models import User
from accounts.services import freshness
from licensing.models import SellerAccount, SellerProfile
from tests.factories import enrol, make_org, make_user
from tests.licensing.gateways.test_accounts_and_settings import READY
from tests.licensing.pages.buying import get, visible
from tests.stripe_fake import StripeFake

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
State = SellerAccount.State
PAGE = "/sales/payouts/account"
HTML = {"Accept": "text/html"}


@pytest.fixture
def maria(db: None) -> User:
    user = make_user("maria")
    enrol(user)
    SellerProfile.objects.create(namespace=user.namespace, country="DE")
    return user


@pytest.fixture
def seller(maria: User, browser_of: Browser) -> Client:
    return browser_of(maria)


def send(client: Client, act: str, query: str = "") -> Any:
    return client.post(f"{PAGE}{query}", {"act": act}, headers=HTML)


def link_of(fake: StripeFake) -> dict[str, Any]:
    """What Stripe was asked for when a page of its own was needed last."""
    return [sent for _method, path, sent in fake.calls if path == "/v1/account_links"][-1]


def test_an_account_is_opened_and_the_seller_led_to_stripe(
    fake: StripeFake, seller: Client
) -> None:
    before = get(seller, PAGE)
    assert "Open an account at Stripe" in visible(before)
    assert "Ask again how it stands" not in visible(before)

    answer = send(seller, "open")

    row = SellerAccount.objects.get()
    assert answer.status_code == 200
    assert f'href="{fake.url}/onboarding/{row.external_id}"' in unescape(answer.text)
    back, again = (urlsplit(str(link_of(fake)[name])) for name in ("return_url", "refresh_url"))
    assert (back.path, parse_qs(back.query)) == (PAGE, {"seller": ["maria"], "back": ["yes"]})
    assert (again.path, parse_qs(again.query)) == (PAGE, {"seller": ["maria"], "again": ["yes"]})
    words = visible(get(seller, PAGE))
    assert "Details are missing" in words
    assert "Go on at Stripe" in words
    send(seller, "open")
    assert len(fake.all("account")) == 1


def test_coming_back_asks_how_it_stands(fake: StripeFake, seller: Client) -> None:
    send(seller, "open")
    row = SellerAccount.objects.get()
    fake.objects[row.external_id] |= READY

    words = visible(get(seller, f"{PAGE}?seller=maria&back=yes"))

    assert "Payouts go to your account at Stripe" in words
    assert SellerAccount.objects.get().state == State.READY
    assert "Go on at Stripe" not in words


def test_coming_back_without_an_account_is_no_fault(fake: StripeFake, seller: Client) -> None:
    assert "Open an account at Stripe" in visible(get(seller, f"{PAGE}?back=yes"))
    assert send(seller, "ask").status_code == 302
    assert not fake.calls


def test_a_link_that_was_too_old_says_so(fake: StripeFake, seller: Client) -> None:
    send(seller, "open")

    words = visible(get(seller, f"{PAGE}?seller=maria&again=yes"))

    assert "open too long, or used before" in words
    assert "Go on at Stripe" in words


def test_a_refused_account_says_why(fake: StripeFake, seller: Client) -> None:
    send(seller, "open")
    row = SellerAccount.objects.get()
    fake.objects[row.external_id] |= {
        "details_submitted": True,
        "requirements": {"disabled_reason": "rejected.fraud"},
    }

    answer = send(seller, "ask")

    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    words = visible(get(seller, PAGE))
    assert "Restricted by the payment service" in words
    assert "rejected.fraud" in words
    assert "was asked just now" in words


def test_a_seller_without_a_country_is_led_to_say_it(fake: StripeFake, seller: Client) -> None:
    SellerProfile.objects.update(country="")

    answer = send(seller, "open")

    assert answer.status_code == 409
    assert "Say in your seller profile where you are" in visible(answer.text)
    assert 'href="/sales/profile"' in answer.text
    assert not SellerAccount.objects.exists()


def test_an_outage_is_said_on_the_page(fake: StripeFake, seller: Client) -> None:
    fake.is_down = True
    answer = send(seller, "open")
    assert answer.status_code == 503
    assert "does not answer" in visible(answer.text)
    assert not SellerAccount.objects.exists()

    fake.is_down = False
    send(seller, "open")
    fake.is_down = True
    for broken in (send(seller, "ask"), seller.get(f"{PAGE}?back=yes", headers=HTML)):
        assert broken.status_code == 503
        assert "Details are missing" in visible(broken.text)
    assert SellerAccount.objects.get().state == State.PENDING


def test_a_form_nobody_made_does_nothing(fake: StripeFake, seller: Client) -> None:
    assert send(seller, "").status_code == 400
    assert not fake.calls


def test_a_team_has_an_account_of_its_own(
    fake: StripeFake, maria: User, browser_of: Browser
) -> None:
    org = make_org("acme", maria="admin")
    SellerProfile.objects.create(namespace=org.namespace, country="FR")
    client = browser_of(maria)
    assert 'action="/sales/payouts/account?seller=acme"' in get(client, f"{PAGE}?seller=acme")

    send(client, "open", "?seller=acme")

    row = SellerAccount.objects.get()
    assert row.namespace == org.namespace
    assert parse_qs(urlsplit(str(link_of(fake)["return_url"])).query)["seller"] == ["acme"]
    assert "Open an account at Stripe" in visible(get(client, PAGE))


def test_the_account_is_nobody_elses(
    fake: StripeFake, client: Client, browser_of: Browser, maria: User
) -> None:
    make_user("tom")
    make_org("acme", maria="admin", tom="write")
    tom = User.objects.get(username="tom")
    enrol(tom)

    for act in ("open", "ask"):
        for name in ("acme", "maria", "nobody"):
            assert send(browser_of(tom), act, f"?seller={name}").status_code == 404
        assert send(client, act).status_code == 302
    get(browser_of(tom), f"{PAGE}?seller=acme", 404)

    assert not fake.calls
    assert not SellerAccount.objects.exists()


def test_it_needs_two_factors(fake: StripeFake, browser_of: Browser) -> None:
    plain = browser_of(make_user("paul"))

    for answer in (plain.get(PAGE, headers=HTML), send(plain, "open")):
        assert (answer.status_code, answer["Location"]) == (302, "/settings/security")
    assert not SellerAccount.objects.exists()


def test_a_site_without_stripe_says_what_is_paid_how(seller: Client, settings: Any) -> None:
    settings.ENV = settings.ENV.model_copy(
        update={"gateways": ("sandbox", "invoice"), "bank_details": "Store, IBAN XX"}
    )

    words = visible(get(seller, PAGE))
    assert "Stripe" not in words
    assert "The pretended bank knows everybody" in words
    assert "Save the bank account" in words
    answer = send(seller, "open")
    assert answer.status_code == 404
    assert "takes no payments by" in visible(answer.text)


def test_the_payouts_page_leads_there(fake: StripeFake, seller: Client) -> None:
    page = get(seller, "/sales/payouts")

    assert f'href="{PAGE}"' in page
    assert "Some of your money could not be sent" in visible(page)
    send(seller, "open")
    SellerAccount.objects.update(state=State.READY)
    assert "could not be sent" not in visible(get(seller, "/sales/payouts"))


def test_the_bank_account_is_said_here_by_two_factors(
    settings: Any, seller: Client, maria: User, browser_of: Browser
) -> None:
    settings.ENV = settings.ENV.model_copy(
        update={"gateways": ("sandbox", "invoice"), "bank_details": "IBAN DE02"}
    )
    sent = {"act": "bank", "bank_details": "Maria Modelle\r\nDE89 3704 0044 0532 0130 00"}
    assert "Nowhere to go yet" in visible(get(seller, PAGE))

    refused = seller.post(PAGE, sent | {"bank_details": "DE89\u202e3704"}, headers=HTML)
    assert refused.status_code == 400
    assert 'id="id_bank_details_error"' in refused.text
    assert SellerProfile.objects.get().bank_details == ""

    assert seller.post(PAGE, sent, headers=HTML).status_code == 302
    assert SellerProfile.objects.get().bank_details == "Maria Modelle\nDE89 3704 0044 0532 0130 00"
    page = get(seller, PAGE)
    assert "Saved. The next payout by transfer goes there." in visible(page)
    assert "DE89 3704 0044 0532 0130 00</textarea>" in page


def test_a_password_alone_changes_no_bank_account(settings: Any, db: None, client: Client) -> None:
    settings.ENV = settings.ENV.model_copy(
        update={"gateways": ("sandbox", "invoice"), "bank_details": "IBAN DE02"}
    )
    eva = make_user("eva")
    client.force_login(eva)
    session = client.session
    freshness.confirm(session)
    session.save()

    for path in (PAGE, "/sales/profile"):
        answer = client.post(path, {"act": "bank", "bank_details": "IBAN of a thief"}, headers=HTML)
        assert answer.status_code == 302

    assert not SellerProfile.objects.exclude(bank_details="").exists()
