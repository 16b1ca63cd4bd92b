"""Sellers' accounts at Stripe, payouts to them, and starts without what a gateway needs."""

import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from pydantic import SecretStr

from accounts.models import AuditEvent
from accounts.viewer import Viewer
from licensing.gateways.base import GatewayError, GatewayRefusedError, NoMoneyThereError
from licensing.gateways.registry import UnknownGatewayError, check_settings, gateway_named
from licensing.models import SellerAccount, SellerProfile
from licensing.services import seller_accounts
from store.core.errors import ForbiddenError
from store.env import Env
from tests.factories import make_user
from tests.licensing.gateways.conftest import Deliver
from tests.stripe_fake import KEY, StripeFake

State = SellerAccount.State
db = pytest.mark.django_db


@pytest.fixture
def seller(db: None) -> Viewer:
    user = make_user("maria")
    SellerProfile.objects.create(namespace=user.namespace, country="DE")
    return Viewer(user=user)


def opened(seller: Viewer) -> SellerAccount:
    return seller_accounts.open_account(seller, seller.user.namespace)


@db
def test_an_account_is_made_once(fake: StripeFake, seller: Viewer) -> None:
    first, second = opened(seller), opened(seller)

    assert first == second
    [account] = fake.all("account")
    assert (first.external_id, account["country"]) == (account["id"], "DE")
    assert (first.state, first.gateway) == (State.PENDING, "stripe-test")
    assert AuditEvent.objects.filter(action="seller.account").count() == 1
    link = seller_accounts.onboarding_link(seller, first)
    assert link == f"{fake.url}/onboarding/{account['id']}"


@db
def test_an_account_needs_a_country_and_its_own_admin(fake: StripeFake, seller: Viewer) -> None:
    with pytest.raises(ForbiddenError):
        seller_accounts.open_account(Viewer(user=make_user("eve")), seller.user.namespace)
    SellerProfile.objects.update(country="")
    with pytest.raises(seller_accounts.CountryRequiredError):
        opened(seller)

    assert not fake.all("account")
    assert not SellerAccount.objects.exists()


@db
def test_strangers_get_no_onboarding_link(fake: StripeFake, seller: Viewer) -> None:
    account = opened(seller)
    before = len(fake.calls)

    with pytest.raises(ForbiddenError):
        seller_accounts.onboarding_link(Viewer(user=make_user("eve")), account)

    assert len(fake.calls) == before


def told(fake: StripeFake, account: SellerAccount, **state: Any) -> dict[str, Any]:
    row = fake.objects[account.external_id]
    row |= state
    return fake.event("account.updated", row, account=account.external_id)


READY: dict[str, Any] = {
    "payouts_enabled": True,
    "details_submitted": True,
    "capabilities": {"transfers": "active"},
}


@db
def test_stripe_tells_when_an_account_is_ready(
    fake: StripeFake, seller: Viewer, deliver: Deliver
) -> None:
    account = opened(seller)
    with pytest.raises(seller_accounts.AccountNotReadyError) as caught:
        seller_accounts.payable_account(seller.user.namespace, "stripe-test")
    assert caught.value.extra == {"state": State.PENDING}

    assert deliver(told(fake, account, **READY)).status_code == 200

    account.refresh_from_db()
    assert account.state == State.READY
    found = seller_accounts.payable_account(seller.user.namespace, "stripe-test")
    assert found == account.external_id


@db
def test_older_news_of_an_account_change_nothing(
    fake: StripeFake, seller: Viewer, deliver: Deliver
) -> None:
    account = opened(seller)
    old = told(fake, account) | {"created": int(time.time()) - 60}
    new = told(fake, account, **READY)

    for event in (new, old):
        assert deliver(event).status_code == 200

    account.refresh_from_db()
    assert account.state == State.READY


@db
def test_a_restricted_account_is_not_paid(
    fake: StripeFake, seller: Viewer, deliver: Deliver
) -> None:
    account = opened(seller)
    deliver(told(fake, account, **READY))
    restricted = {"payouts_enabled": False, "requirements": {"disabled_reason": "rejected.fraud"}}

    deliver(told(fake, account, **restricted))

    account.refresh_from_db()
    assert (account.state, account.note) == (State.RESTRICTED, "rejected.fraud")
    with pytest.raises(seller_accounts.AccountNotReadyError):
        seller_accounts.payable_account(seller.user.namespace, "stripe-test")


@db
def test_an_account_can_be_asked_for(fake: StripeFake, seller: Viewer) -> None:
    account = opened(seller)
    fake.objects[account.external_id] |= READY

    assert seller_accounts.refresh(account).state == State.READY


@db
def test_accounts_of_others_are_ignored(fake: StripeFake, seller: Viewer, deliver: Deliver) -> None:
    account = opened(seller)
    event = told(fake, account, **READY)
    SellerAccount.objects.update(external_id="acct_other")

    assert deliver(event).status_code == 200

    account.refresh_from_db()
    assert account.state == State.PENDING


@db
def test_a_seller_without_an_account_is_not_paid(seller: Viewer) -> None:
    with pytest.raises(seller_accounts.AccountNotReadyError) as caught:
        seller_accounts.payable_account(seller.user.namespace, "stripe")

    assert caught.value.extra == {"state": "none"}


@db
def test_a_payout_is_one_transfer(fake: StripeFake, seller: Viewer) -> None:
    account = opened(seller)
    gateway = gateway_named("stripe")
    order: dict[str, Any] = {"account": account.external_id, "currency": "EUR", "key": "p1"}

    first = gateway.pay_out(amount_minor=1200, **order)
    fake._answers.clear()  # Stripe forgets idempotency keys after a day

    assert gateway.pay_out(amount_minor=1200, **order) == first
    [transfer] = fake.all("transfer")
    assert (transfer["amount"], transfer["destination"]) == (1200, account.external_id)
    with pytest.raises(GatewayRefusedError):
        gateway.pay_out(account="acct_gone", amount_minor=5, currency="EUR", key="p2")
    fake.is_down = True
    with pytest.raises(GatewayError):
        gateway.pay_out(amount_minor=1200, **order | {"key": "p3"})
    assert len(fake.all("transfer")) == 1


@db
def test_a_payout_stripe_has_no_money_for_is_sent_another_day(
    fake: StripeFake, seller: Viewer, time_machine: Any
) -> None:
    account, gateway = opened(seller), gateway_named("stripe")
    order: dict[str, Any] = {"account": account.external_id, "currency": "EUR", "key": "p1"}
    fake.is_empty = True
    with pytest.raises(NoMoneyThereError):
        gateway.pay_out(amount_minor=1200, **order)

    fake.is_empty = False
    with pytest.raises(NoMoneyThereError):  # Stripe answers a used key as it did before
        gateway.pay_out(amount_minor=1200, **order)
    time_machine.move_to(timezone.now() + timedelta(days=1))

    assert gateway.pay_out(amount_minor=1200, **order) == fake.all("transfer")[0]["id"]


@db
def test_a_key_stripe_does_not_know_is_an_outage(
    fake: StripeFake, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: Any) -> Any:
        return 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}

    monkeypatch.setattr(fake, "answer", refuse)

    with pytest.raises(GatewayError):
        gateway_named("stripe").facts_of("0" * 24)


@db
@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (409, "invalid_request_error", GatewayError),
        (429, "invalid_request_error", GatewayError),
        (500, "api_error", GatewayError),
        (403, "invalid_request_error", GatewayError),
        (400, "invalid_request_error", GatewayRefusedError),
    ],
)
def test_answers_of_stripe_are_outages_or_refusals(
    status: int,
    kind: str,
    error: type[Exception],
    fake: StripeFake,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = (status, {"error": {"type": kind, "message": "No."}})
    monkeypatch.setattr(fake, "answer", lambda *_given: answer)

    with pytest.raises(error):
        gateway_named("stripe").pay_out(account="a", amount_minor=5, currency="EUR", key="k")


def env(**changes: Any) -> Env:
    good: dict[str, Any] = {
        "gateways": ("stripe", "invoice"),
        "stripe_secret_key": SecretStr("sk_live_fake"),
        "stripe_webhook_secrets": (SecretStr("whsec_x"),),
        "bank_details": "IBAN",
    }
    return Env().model_copy(update=good | changes)


def test_a_start_with_everything_is_good() -> None:
    check_settings(env())
    check_settings(env(gateways=("sandbox",), stripe_secret_key=SecretStr(""), bank_details=""))
    check_settings(env(gateways=("sandbox", "stripe"), stripe_secret_key=SecretStr(KEY)))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"stripe_secret_key": SecretStr("")}, "STORE_STRIPE_SECRET_KEY"),
        ({"stripe_secret_key": SecretStr("pk_live_secret")}, "STORE_STRIPE_SECRET_KEY"),
        ({"stripe_webhook_secrets": ()}, "STORE_STRIPE_WEBHOOK_SECRETS"),
        ({"stripe_webhook_secrets": (SecretStr(""),)}, "STORE_STRIPE_WEBHOOK_SECRETS"),
        ({"bank_details": " \n"}, "STORE_BANK_DETAILS"),
    ],
)
def test_a_start_without_what_a_gateway_needs_fails(changes: dict[str, Any], name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=name) as caught:
        check_settings(env(**changes))

    assert "pk_live_secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("gateways", "key", "pretended"),
    [
        (("stripe", "sandbox"), "sk_live_fake", "sandbox"),
        (("invoice", "sandbox"), "", "sandbox"),
        (("stripe", "invoice"), "rk_test_fake", "stripe"),
        (("invoice", "stripe", "sandbox"), "sk_test_fake", "sandbox and stripe"),
    ],
)
def test_pretended_money_is_never_beside_real_money(
    gateways: tuple[str, ...], key: str, pretended: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"has {pretended} for pretended money beside"):
        check_settings(env(gateways=gateways, stripe_secret_key=SecretStr(key)))


def test_a_gateway_that_is_not_set_is_unknown(settings: Any) -> None:
    settings.ENV = settings.ENV.model_copy(update={"gateways": ("sandbox",)})

    for name in ("stripe", "stripe-test", "invoice", "paypal"):
        with pytest.raises(UnknownGatewayError):
            gateway_named(name)


def test_secrets_are_read_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_STRIPE_WEBHOOK_SECRETS", "whsec_a, whsec_b")

    found = Env()

    assert [row.get_secret_value() for row in found.stripe_webhook_secrets] == [
        "whsec_a",
        "whsec_b",
    ]
    assert "whsec_a" not in repr(found)
