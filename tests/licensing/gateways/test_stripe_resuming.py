"""Stripe is told whether a subscription goes on, whatever happens to the jobs that tell it."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from catalog.access import check_contents
from catalog.models import Grant
from licensing.gateways.base import GatewayError, GatewayRefusedError
from licensing.gateways.registry import gateway_named
from licensing.models import Offer, Order, PaymentEvent, Subscription
from licensing.services import (
    checkout,
    collecting,
    granting,
    reconciling,
    renewals,
)
from licensing.services.resuming import NotResumableError, resume_subscription
from store.core.jobs import JobName
from store.core.models import Job
from tests.licensing.gateways.conftest import Deliver
from tests.licensing.selling.shop import Shop, open_shop
from tests.stripe_fake import JSON, StripeFake

pytestmark = pytest.mark.django_db
State = Subscription.State


@pytest.fixture
def shop() -> Shop:
    return open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month", terms_id="store-commercial")


@pytest.fixture
def begun(shop: Shop, fake: StripeFake, deliver: Deliver) -> tuple[Order, JSON]:
    """A subscription that was paid once, and what Stripe has of it."""
    order = shop.order()
    checkout.start(order)
    fake.pay(fake.all("checkout.session")[0])
    for event in fake.take():
        assert deliver(event).status_code == 200
    Job.objects.all().delete()  # those of the sale
    return order, fake.all("subscription")[0]


def end(shop: Shop) -> None:
    renewals.cancel_subscription(shop.buying, Subscription.objects.get())


def resume(shop: Shop) -> None:
    resume_subscription(shop.buying, Subscription.objects.get())


def test_what_was_ended_goes_on_at_stripe(
    shop: Shop, begun: tuple[Order, JSON], fake: StripeFake, deliver: Deliver, run_jobs: Any
) -> None:
    _order, at_stripe = begun
    end(shop)
    run_jobs()
    assert at_stripe["cancel_at_period_end"] is True

    resume(shop)
    run_jobs()

    assert (at_stripe["cancel_at_period_end"], at_stripe["status"]) == (False, "active")
    fake.renew(at_stripe)
    for event in fake.take():
        assert deliver(event).status_code == 200
    row = Subscription.objects.get()
    assert (row.state, row.periods) == (State.ACTIVE, 2)
    assert list(reconciling.differences()) == []
    check_contents(shop.buying, shop.repo)


@pytest.mark.parametrize("steps", [(end, resume), (end, resume, end), (end, resume, end, resume)])
def test_every_order_of_the_jobs_ends_in_the_truth(
    steps: tuple[Callable[[Shop], None], ...], shop: Shop, begun: tuple[Order, JSON]
) -> None:
    """None is told until all is done; then any of them may be late, or come twice."""
    order, at_stripe = begun
    for step in steps:
        step(shop)
    jobs = Job.objects.filter(name=JobName.TELL_GATEWAY)
    assert [job.args for job in jobs] == [{"order_id": order.pk}] * len(steps)

    for _repeated in range(len(steps) + 1):
        at_stripe["cancel_at_period_end"] = not at_stripe["cancel_at_period_end"]
        assert collecting.tell_gateway(order.pk) is True
        assert at_stripe["cancel_at_period_end"] is (steps[-1] is end)


@pytest.mark.parametrize(("late", "last"), [(end, resume), (resume, end)])
def test_a_job_that_was_overtaken_says_what_is_true_by_then(
    late: Callable[[Shop], None],
    last: Callable[[Shop], None],
    shop: Shop,
    begun: tuple[Order, JSON],
    fake: StripeFake,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it looked up is old when its word arrives, after that of the next job."""
    order, at_stripe = begun
    if late is resume:
        end(shop)
    late(shop)
    whole, told = renewals_told(fake), itertools.count()
    real = gateway_named(order.gateway).__class__

    def overtaken(name: str) -> Any:
        said = getattr(real, name)

        def say(self: Any, *given: Any, **more: Any) -> Any:
            if next(told) == 0:
                last(shop)
                assert collecting.tell_gateway(order.pk) is True
            return said(self, *given, **more)

        return say

    for name in ("end_subscription", "resume_subscription"):
        monkeypatch.setattr(real, name, overtaken(name))

    collecting.tell_gateway(order.pk)

    assert renewals_told(fake) - whole == 3
    assert at_stripe["cancel_at_period_end"] is (last is end)


def renewals_told(fake: StripeFake) -> int:
    """How often Stripe was told whether it goes on."""
    wanted = "cancel_at_period_end"
    return sum(verb == "POST" and wanted in given for verb, _path, given in fake.calls)


def test_one_that_stripe_has_ended_cannot_go_on_and_is_told(
    shop: Shop,
    begun: tuple[Order, JSON],
    fake: StripeFake,
    deliver: Deliver,
    run_jobs: Any,
    mailoutbox: list[Any],
) -> None:
    order, at_stripe = begun
    end(shop)
    run_jobs()
    fake.end(at_stripe)
    late = fake.take()  # its message is on its way
    mailoutbox.clear()

    resume(shop)
    assert Subscription.objects.get().state == State.ACTIVE
    done = run_jobs()

    row = Subscription.objects.get()
    assert row.state == State.ENDING
    assert Grant.objects.get().ends_at == row.paid_until
    assert {job.state for job in done} == {Job.State.DONE}
    [letter] = mailoutbox
    assert letter.to == [shop.buyer.email]
    assert "Your subscription ends" in letter.subject
    for event in late:
        assert deliver(event).status_code == 200
    run_jobs()
    assert len(mailoutbox) == 1
    assert PaymentEvent.objects.filter(order_ref=order.public_id, kind="subscription_ended").get()
    with pytest.raises(NotResumableError) as caught:
        resume(shop)
    assert caught.value.extra == {"reason": "ended_by_gateway"}
    assert Subscription.objects.get().state == State.ENDING


def test_a_message_that_it_ended_ends_what_went_on(
    shop: Shop,
    begun: tuple[Order, JSON],
    fake: StripeFake,
    deliver: Deliver,
    run_jobs: Any,
) -> None:
    """Also where the job that tells Stripe comes after it."""
    _order, at_stripe = begun
    end(shop)
    run_jobs()
    resume(shop)
    fake.end(at_stripe)

    for event in fake.take():
        assert deliver(event).status_code == 200
    assert Subscription.objects.get().state == State.ENDING
    done = run_jobs()

    assert {job.state for job in done} == {Job.State.DONE}
    assert Subscription.objects.get().state == State.ENDING


def test_stripe_is_told_once_it_answers_again(
    shop: Shop, begun: tuple[Order, JSON], fake: StripeFake, run_jobs: Any
) -> None:
    order, at_stripe = begun
    end(shop)
    run_jobs()
    resume(shop)
    fake.is_down = True
    with pytest.raises(GatewayError):
        collecting.tell_gateway(order.pk)
    assert Subscription.objects.get().state == State.ACTIVE
    assert at_stripe["cancel_at_period_end"] is True

    fake.is_down = False
    run_jobs()

    assert at_stripe["cancel_at_period_end"] is False
    assert Grant.objects.get().ends_at == Subscription.objects.get().paid_until + granting.GRACE


def test_going_on_with_what_stripe_refuses_is_a_refusal(
    begun: tuple[Order, JSON], refuse_writes: Callable[[], None]
) -> None:
    order, at_stripe = begun
    refuse_writes()

    with pytest.raises(GatewayRefusedError):
        gateway_named(order.gateway).resume_subscription(order.public_id)

    assert at_stripe["status"] == "active"
    assert Subscription.objects.get().state == State.ACTIVE
