"""Later periods of subscriptions that the store collects itself."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pydantic import SecretStr

from accounts.viewer import VISITOR, Viewer
from catalog.access import PurchaseRequiredError, check_contents
from catalog.models import Grant, ModelRepo
from licensing.gateways.base import GatewayRefusedError
from licensing.gateways.sandbox import Sandbox
from licensing.models import (
    Coupon,
    FeeRule,
    Invoice,
    LineShare,
    Offer,
    Order,
    OrderLine,
    Price,
    SandboxCharge,
    SellerProfile,
    Subscription,
)
from licensing.services import (
    asking_prices,
    checkout,
    dunning,
    granting,
    inbox,
    offers,
    periods,
    reconciling,
    refunds,
    renewals,
    settling,
)
from store.core.errors import UnauthenticatedError
from store.core.models import Job
from tests.factories import make_org, make_user, proved_viewer
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
State = Subscription.State
START = "2027-01-31 12:00:00+00:00"


@pytest.fixture
def shop(time_machine: Any) -> Shop:
    time_machine.move_to(START, tick=False)
    return open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")


def subscribed(shop: Shop) -> Subscription:
    shop.buy()
    return Subscription.objects.get()


def test_a_due_period_is_charged_before_the_paid_one_ends(shop: Shop, time_machine: Any) -> None:
    row = subscribed(shop)
    assert f"{row.paid_until:%m-%d %H}" == "02-28 12"
    time_machine.move_to(row.paid_until - timedelta(hours=2), tick=False)
    assert dunning.renew_due() == 0

    time_machine.move_to(row.paid_until - timedelta(minutes=30), tick=False)
    assert dunning.renew_due() == 1
    assert dunning.renew_due() == 0

    row.refresh_from_db()
    assert (row.periods, row.state) == (2, State.ACTIVE)
    assert f"{row.paid_until:%m-%d %H}" == "03-31 12"  # the day the first period began
    renewal = Order.objects.get(renews=row)
    first = row.line.order
    assert renewal.state == Order.State.FULFILLED
    assert (renewal.holder, renewal.buyer) == (first.holder, first.buyer)
    assert Grant.objects.get().ends_at == row.paid_until + granting.GRACE
    assert Invoice.objects.count() == 2


def test_a_renewal_keeps_what_was_agreed_and_not_what_the_offer_says_now(shop: Shop) -> None:
    row = subscribed(shop)
    Price.objects.update(amount_minor=99_900)
    Offer.objects.update(title="Dearer", seats=99)

    order = renewals.open_renewal(row, "p2")

    line = order.lines.get()
    was = row.line
    for name in ("title", "unit_minor", "gross_minor", "seats", "terms_id", "rights", "detail"):
        assert getattr(line, name) == getattr(was, name), name
    assert list(line.repos.all()) == list(was.repos.all())
    assert order.state == Order.State.OPEN


def test_the_same_key_opens_one_order(shop: Shop) -> None:
    row = subscribed(shop)

    opened = {renewals.open_renewal(row, "p2").pk for _ in range(3)}

    assert len(opened) == 1
    assert renewals.open_renewal(row, "p3").pk not in opened


def test_tax_is_that_of_the_day(shop: Shop) -> None:
    row = subscribed(shop)
    assert row.line.tax_minor == 0
    SellerProfile.objects.create(
        namespace=shop.repo.namespace, country="DE", is_registered=True, vat_number="DE136695976"
    )

    order = renewals.open_renewal(row, "p2")

    assert (order.net_minor, order.tax_minor, order.gross_minor) == (1900, 361, 2261)
    assert order.lines.get().tax["rate_basis_points"] == 1900


def test_what_was_collected_already_has_todays_tax_in_it(shop: Shop) -> None:
    row = subscribed(shop)
    SellerProfile.objects.create(
        namespace=shop.repo.namespace, country="DE", is_registered=True, vat_number="DE136695976"
    )

    order = renewals.open_renewal(row, "p2", collected_minor=1900)

    assert (order.net_minor, order.tax_minor, order.gross_minor) == (1597, 303, 1900)


def test_a_sum_nobody_agreed_to_opens_nothing(shop: Shop) -> None:
    row = subscribed(shop)

    with pytest.raises(renewals.NotRenewableError):
        renewals.open_renewal(row, "p2", collected_minor=1899)

    assert Order.objects.count() == 1


def test_a_place_whose_tax_is_not_known_opens_nothing(shop: Shop) -> None:
    row = subscribed(shop)
    SellerProfile.objects.create(namespace=shop.repo.namespace, country="DE", is_registered=True)
    Order.objects.update(billing={"country": "??", "name": "x"})

    with pytest.raises(renewals.NotRenewableError):
        renewals.open_renewal(row, "p2")

    assert Order.objects.count() == 1


def test_prices_with_tax_stay_as_they_are(time_machine: Any) -> None:
    time_machine.move_to(START, tick=False)
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="year", is_tax_included=True)
    SellerProfile.objects.create(
        namespace=shop.repo.namespace, country="DE", is_registered=True, vat_number="DE136695976"
    )
    row = subscribed(shop)
    assert row.line.tax_minor == 303

    order = renewals.open_renewal(row, "p2")

    assert (order.net_minor, order.tax_minor, order.gross_minor) == (1597, 303, 1900)


def test_fee_is_todays_and_shares_stay_in_proportion(shop: Shop) -> None:
    row = subscribed(shop)
    owner = make_user("ida").namespace
    LineShare.objects.create(
        line=row.line, namespace=owner, repo=shop.repo, basis_points=1000, amount_minor=190
    )
    FeeRule.objects.create(basis_points=1000, starts_at=timezone.now() - timedelta(days=1))

    order = renewals.open_renewal(row, "p2")

    assert order.lines.get().fee_minor == 190
    assert [share.amount_minor for share in order.lines.get().shares.all()] == [171]


def test_a_line_that_left_its_seller_nothing_shares_nothing(shop: Shop) -> None:
    row = subscribed(shop)
    OrderLine.objects.filter(pk=row.line_id).update(fee_minor=1900)
    LineShare.objects.create(
        line=row.line, namespace=shop.repo.namespace, repo=shop.repo, basis_points=1, amount_minor=1
    )

    order = renewals.open_renewal(row, "p2")

    assert not order.lines.get().shares.exists()


def test_a_refused_card_is_tried_after_1_3_and_5_days_and_then_it_is_over(
    shop: Shop, time_machine: Any, run_jobs: Any, mailoutbox: list[Any]
) -> None:
    row = subscribed(shop)
    Job.objects.all().delete()
    SandboxCharge.objects.update(card="test_decline")
    first_try = row.paid_until
    tried = []

    for hour in range(0, 24 * 8, 6):
        time_machine.move_to(first_try + timedelta(hours=hour), tick=False)
        before = Subscription.objects.get()
        dunning.renew_due()
        after = Subscription.objects.get()
        if (before.attempts, before.state) != (after.attempts, after.state):
            tried.append(hour / 24)
            run_jobs()

    assert tried == [0, 1, 3, 5]
    row.refresh_from_db()
    assert (row.state, row.periods) == (State.ENDED, 1)
    assert Order.objects.get(renews=row).state == Order.State.CANCELLED
    assert [message.to for message in mailoutbox] == [[shop.buyer.email]] * 4
    assert "The next attempt is on 2027-03-01" in mailoutbox[0].body
    assert "has ended" in mailoutbox[-1].body
    with pytest.raises(PurchaseRequiredError):
        check_contents(shop.buying, shop.repo)


def test_a_card_that_works_again_goes_on(shop: Shop, time_machine: Any) -> None:
    row = subscribed(shop)
    SandboxCharge.objects.update(card="test_no_funds")
    time_machine.move_to(row.paid_until, tick=False)
    dunning.renew_due()
    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.OVERDUE, 1)
    check_contents(shop.buying, shop.repo)  # within the grace
    SandboxCharge.objects.update(card="test_success")

    time_machine.move_to(row.paid_until + timedelta(days=1), tick=False)
    assert dunning.renew_due() == 1

    row.refresh_from_db()
    assert (row.state, row.attempts, row.periods) == (State.ACTIVE, 0, 2)
    assert row.next_try_at is None


def test_a_card_that_asks_for_its_owner_counts_as_refused(shop: Shop, time_machine: Any) -> None:
    row = subscribed(shop)
    SandboxCharge.objects.update(card="test_3ds")
    time_machine.move_to(row.paid_until, tick=False)

    assert dunning.renew_due() == 0

    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.OVERDUE, 1)


def test_tax_that_is_not_known_counts_as_refused(shop: Shop, time_machine: Any) -> None:
    row = subscribed(shop)
    SellerProfile.objects.create(namespace=shop.repo.namespace, country="DE", is_registered=True)
    Order.objects.update(billing={"country": "??", "name": "x"})
    time_machine.move_to(row.paid_until, tick=False)

    for _ in range(4):
        dunning.renew_due()
        time_machine.shift(timedelta(days=2))

    row.refresh_from_db()
    assert row.state == State.ENDED
    assert Order.objects.count() == 1


def test_a_cancelled_renewal_ends_the_subscription(shop: Shop, time_machine: Any) -> None:
    row = subscribed(shop)
    time_machine.move_to(row.paid_until, tick=False)
    order = renewals.open_renewal(row, f"period-{row.periods + 1}")
    settling.cancel(order.pk)

    dunning.renew_due()

    row.refresh_from_db()
    assert row.state == State.ENDED


def test_what_was_paid_meanwhile_is_not_charged_again(shop: Shop, time_machine: Any) -> None:
    row = subscribed(shop)
    time_machine.move_to(row.paid_until, tick=False)
    stale = Subscription.objects.select_related("line__order").get()
    dunning.renew_due()

    assert dunning._collect(stale, Sandbox()) is False
    assert dunning._missed(stale, None) is False
    assert dunning._over(stale, None) is False

    row.refresh_from_db()
    assert (row.periods, row.state, row.attempts) == (2, State.ACTIVE, 0)
    assert Order.objects.filter(renews=row).count() == 1


def test_a_gateway_that_is_gone_waits(shop: Shop, time_machine: Any, settings: Any) -> None:
    row = subscribed(shop)
    settings.ENV = settings.ENV.model_copy(update={"gateways": ("invoice",)})
    time_machine.move_to(row.paid_until, tick=False)

    assert dunning.renew_due() == 0

    row.refresh_from_db()
    assert (row.state, row.attempts) == (State.ACTIVE, 0)


def test_one_that_fails_does_not_keep_the_others_from_being_renewed(
    shop: Shop, time_machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = subscribed(shop)
    shop.buy("other")
    fine = Subscription.objects.latest("pk")
    known = Sandbox.saved_method

    def saved_method(self: Sandbox, order_ref: str) -> str:
        if order_ref == refused.line.order.public_id:
            raise GatewayRefusedError("No such customer.")
        return known(self, order_ref)

    monkeypatch.setattr(Sandbox, "saved_method", saved_method)
    time_machine.move_to(refused.paid_until, tick=False)

    assert dunning.renew_due() == 1

    fine.refresh_from_db()
    refused.refresh_from_db()
    assert (fine.periods, refused.periods) == (2, 1)
    assert (refused.state, refused.attempts) == (State.ACTIVE, 0)


def test_nothing_is_collected_for_models_that_have_opened(
    shop: Shop, time_machine: Any, run_jobs: Any, mailoutbox: list[Any]
) -> None:
    row = subscribed(shop)
    time_machine.move_to(row.paid_until - timedelta(days=1), tick=False)
    asked = renewals.open_renewal(row, "period-2")
    Job.objects.all().delete()
    opens_at = timezone.now() + timedelta(hours=1)
    offers.set_opening(shop.selling, shop.repo, opens_at)
    dunning.renew_due()
    row.refresh_from_db()
    assert row.state == State.ACTIVE

    time_machine.move_to(opens_at, tick=False)
    dunning.renew_due()

    row.refresh_from_db()
    asked.refresh_from_db()
    assert (row.state, row.periods, asked.state) == (State.ENDING, 1, Order.State.CANCELLED)
    time_machine.move_to(row.paid_until, tick=False)
    assert dunning.renew_due() == 0
    run_jobs()
    assert (Order.objects.count(), SandboxCharge.objects.count()) == (2, 1)
    assert mailoutbox == []
    check_contents(VISITOR, shop.repo)


def test_a_period_a_gateway_collects_after_the_opening_goes_back(shop: Shop) -> None:
    row = subscribed(shop)
    renewal = renewals.open_renewal(row, "period-2")
    ModelRepo.objects.update(opens_at=timezone.now())
    asking_prices.refresh_prices([shop.repo.pk])

    Sandbox().transfer(renewal.public_id, 1900, "EUR")
    inbox.receive("sandbox", Sandbox().facts_of(renewal.public_id))

    renewal.refresh_from_db()
    row.refresh_from_db()
    assert (renewal.state, renewal.refunded_minor) == (Order.State.CANCELLED, 1900)
    assert row.periods == 1
    assert list(reconciling.differences()) == []


@pytest.mark.parametrize("gateway", ["sandbox", "invoice", "stripe"])
def test_a_subscription_that_costs_nothing_goes_on_by_itself(
    gateway: str, shop: Shop, time_machine: Any, settings: Any, run_jobs: Any, mailoutbox: list[Any]
) -> None:
    key = SecretStr("sk_test_nobody_is_called")
    settings.ENV = settings.ENV.model_copy(
        update={"gateways": (gateway,), "bank_details": "IBAN", "stripe_secret_key": key}
    )
    Coupon.objects.create(namespace=shop.repo.namespace, code="ALL", basis_points=10_000)
    checkout.start(shop.order(coupon="all"))
    row = Subscription.objects.get()
    run_jobs()
    mailoutbox.clear()
    time_machine.move_to(row.paid_until - timedelta(hours=2), tick=False)
    assert dunning.renew_due() == 0

    for period in (2, 3):
        time_machine.move_to(row.paid_until - timedelta(minutes=30), tick=False)
        assert [dunning.renew_due(), dunning.renew_due()] == [1, 0]
        row.refresh_from_db()
        assert (row.periods, row.state, row.attempts) == (period, State.ACTIVE, 0)

    assert f"{row.paid_until:%m-%d %H}" == "04-30 12"
    check_contents(shop.buying, shop.repo)
    assert set(Order.objects.values_list("state", flat=True)) == {Order.State.FULFILLED}
    run_jobs()
    assert not [letter for letter in mailoutbox if "period" in letter.subject + letter.body]
    assert list(reconciling.differences()) == []


def test_cancelling_ends_with_the_paid_period(shop: Shop, time_machine: Any) -> None:
    row = subscribed(shop)

    for _ in range(2):
        found = renewals.cancel_subscription(shop.buying, row)
        assert found.state == State.ENDING

    assert Grant.objects.get().ends_at == row.paid_until
    time_machine.move_to(row.paid_until - timedelta(seconds=1), tick=False)
    check_contents(shop.buying, shop.repo)
    dunning.renew_due()
    time_machine.move_to(row.paid_until, tick=False)
    dunning.renew_due()
    row.refresh_from_db()
    assert (row.state, row.periods) == (State.ENDED, 1)
    with pytest.raises(PurchaseRequiredError):
        check_contents(shop.buying, shop.repo)


def test_cancelling_an_overdue_one_cancels_its_open_period(shop: Shop, time_machine: Any) -> None:
    row = subscribed(shop)
    SandboxCharge.objects.update(card="test_decline")
    time_machine.move_to(row.paid_until, tick=False)
    dunning.renew_due()

    renewals.cancel_subscription(shop.buying, row)

    assert Order.objects.get(renews=row).state == Order.State.CANCELLED
    row.refresh_from_db()
    assert row.state == State.ENDING


def test_strangers_and_sellers_cancel_nothing(shop: Shop) -> None:
    row = subscribed(shop)

    for viewer in (Viewer(user=make_user("eve")), shop.selling):
        with pytest.raises(renewals.SubscriptionNotFoundError):
            renewals.cancel_subscription(viewer, row)
    with pytest.raises(UnauthenticatedError):
        renewals.cancel_subscription(VISITOR, row)
    with pytest.raises(renewals.SubscriptionNotFoundError):
        renewals.subscription_for(shop.buying, "0" * 24)

    row.refresh_from_db()
    assert row.state == State.ACTIVE


def test_members_who_buy_for_a_team_may_cancel(shop: Shop) -> None:
    org = make_org("acme", ada="admin")
    shop.buy(holder="acme")
    row = Subscription.objects.get()
    from accounts.models import Membership, Role

    bert, zoe = make_user("bert"), make_user("zoe")
    Membership.objects.create(organization=org, user=bert, role=Role.WRITE)
    Membership.objects.create(organization=org, user=zoe, role=Role.READ)

    with pytest.raises(renewals.SubscriptionNotFoundError):
        renewals.cancel_subscription(Viewer(user=zoe), row)
    assert renewals.cancel_subscription(Viewer(user=bert), row).state == State.ENDING


def test_a_refunded_renewal_takes_its_period_back(shop: Shop, time_machine: Any) -> None:
    row = subscribed(shop)
    first_end = row.paid_until
    time_machine.move_to(first_end - timedelta(minutes=10), tick=False)
    dunning.renew_due()
    renewal = Order.objects.get(renews=row)
    staff = proved_viewer(make_user("carol", is_staff=True))

    refunds.give_back(staff, renewal, None, "sorry")

    row.refresh_from_db()
    assert (row.periods, row.state, row.paid_until) == (1, State.ENDING, first_end)
    assert Grant.objects.get().ends_at == first_end
    assert Grant.objects.get().state == Grant.State.ACTIVE


@pytest.mark.parametrize(("interval", "days"), [("month", 28), ("year", 365)])
def test_a_period_is_one_of_the_calendar(interval: str, days: int, shop: Shop) -> None:
    assert (periods.after(timezone.now(), interval, 1) - timezone.now()).days == days
