"""Another term: what it costs, what it adds, and what a refund of it takes away."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog.models import Grant
from licensing.access import LicenseNotFoundError
from licensing.models import (
    Dispute,
    Invoice,
    License,
    Offer,
    Order,
    OrderLine,
    Subscription,
)
from licensing.services import (
    checkout,
    extending,
    granting,
    ledger,
    license_keys,
    ordering,
    quotes,
    refunds,
    renewing,
    settling,
)
from licensing.services.extending import NotExtendableError
from licensing.services.offers import NewPrice, make_offer
from licensing.services.pricing import Item
from licensing.services.validating import Code, validate
from tests.factories import make_user
from tests.licensing.license_api.holding import Held, bank_says, everything, hold, renew
from tests.licensing.selling.shop import BILLING, FIXED, make_model

pytestmark = pytest.mark.django_db
TERM = timedelta(days=30)


def back(held: Held, order: Order) -> None:
    """Give the price of an order back."""
    refunds.give_back(held.selling, order, None, "Sorry")


def test_another_term_follows_the_one_that_runs() -> None:
    held = hold(term_days=30, seats=2)
    ends_at, key = held.grant.ends_at, held.key
    held.machine("m1")

    order = renew(held)

    assert order.state == Order.State.FULFILLED
    assert order.extends == held.row
    assert License.objects.count() == 1
    assert held.grant.ends_at == ends_at + TERM
    assert held.key == key
    assert held.live() == ["m1"]
    assert Invoice.objects.filter(order_ref=order.public_id).count() == 1
    assert ledger.off_balance() == []


def test_an_ended_license_goes_on_from_the_payment() -> None:
    held = hold(term_days=30)
    now = timezone.now()
    Grant.objects.update(starts_at=now - 3 * TERM, ends_at=now - 2 * TERM)
    assert validate(held.key).code == Code.EXPIRED

    order = renew(held)

    line = order.lines.get()
    assert held.grant.ends_at == line.extended_at + TERM
    assert validate(held.key).code == Code.VALID


def test_nothing_is_extended_before_it_is_paid_and_nothing_twice() -> None:
    held = hold(term_days=30)
    before = held.grant.ends_at
    order = renew(held, is_paid=False)
    assert held.grant.ends_at == before

    checkout.start(order, method="test_success")
    for _ in range(3):
        settling.fulfil_if_paid(order.pk)
        granting.fulfil(Order.objects.get(pk=order.pk))

    assert held.grant.ends_at == before + TERM


def test_refunds_in_any_order_leave_what_was_not_given_back() -> None:
    held = hold(term_days=30)
    first, start = held.row.line.order, held.grant.starts_at
    second, third = renew(held, "r2"), renew(held, "r3")
    assert held.grant.ends_at == start + 3 * TERM

    back(held, second)
    assert held.grant.ends_at == start + 2 * TERM
    back(held, first)
    assert held.grant.state == Grant.State.ACTIVE
    assert held.grant.ends_at == third.lines.get().extended_at + TERM
    back(held, third)
    assert held.grant.state == Grant.State.REVOKED
    assert ledger.off_balance() == []


def test_the_only_extension_given_back_leaves_the_first_term() -> None:
    held = hold(term_days=30)
    ends_at = held.grant.ends_at

    back(held, renew(held))

    assert held.grant.ends_at == ends_at
    assert held.grant.state == Grant.State.ACTIVE


def test_a_term_paid_for_after_the_first_was_given_back_counts_by_itself() -> None:
    held = hold(term_days=30)
    order = renew(held, is_paid=False)
    back(held, held.row.line.order)
    assert held.grant.state == Grant.State.REVOKED

    checkout.start(order, method="test_success")

    assert validate(held.key).code == Code.VALID
    assert held.grant.ends_at == order.lines.get().extended_at + TERM


@pytest.mark.parametrize(("word", "terms"), [("won", 2), ("lost", 1)])
def test_a_disputed_extension_freezes_all_until_it_is_decided(word: str, terms: int) -> None:
    held = hold(term_days=30)
    start = held.grant.starts_at
    order = renew(held)

    bank_says(order, "open")
    assert validate(held.key).code == Code.FROZEN

    bank_says(order, word)
    assert validate(held.key).code == Code.VALID
    assert held.grant.ends_at == start + terms * TERM


def test_an_extension_that_is_lost_before_it_was_added_leaves_all_as_it_was() -> None:
    held = hold(term_days=30)
    ends_at = held.grant.ends_at
    order = renew(held, is_paid=False)
    granting.freeze(order)
    assert validate(held.key).code == Code.FROZEN

    granting.revoke(order.lines.get())

    assert validate(held.key).code == Code.VALID
    assert held.grant.ends_at == ends_at


def test_a_lost_extension_does_not_reinstate_what_is_suspended() -> None:
    held = hold(term_days=30)
    order = renew(held)
    license_keys.suspend(held.selling, held.row, "late")
    bank_says(order, "open")

    bank_says(order, "lost")

    assert validate(held.key).code == Code.SUSPENDED
    assert held.grant.state == Grant.State.FROZEN


def test_the_newest_purchase_says_what_is_allowed() -> None:
    held = hold(term_days=30, seats=1)
    Offer.objects.update(seats=4, updates=Grant.Updates.REVISION)

    order = renew(held)
    assert (held.fresh().seats, held.grant.updates) == (4, "revision")

    back(held, order)
    assert (held.fresh().seats, held.grant.updates) == (1, "all")


def subscription() -> dict[str, Any]:
    return {
        "kind": Offer.Kind.SUBSCRIPTION,
        "interval": "month",
        "prices": (NewPrice("EUR", 900),),
    }


@pytest.mark.parametrize(
    ("offer", "reason"),
    [({}, "endless"), (subscription(), "subscription")],
)
def test_what_needs_no_other_term_gets_none(offer: Mapping[str, Any], reason: str) -> None:
    held = hold(**offer)
    before = everything()

    with pytest.raises(NotExtendableError) as caught:
        renew(held)

    assert caught.value.extra == {"reason": reason}
    assert everything() == before


@pytest.mark.parametrize(
    ("state", "reason"),
    [(Grant.State.REVOKED, "revoked"), (Grant.State.FROZEN, "suspended")],
)
def test_what_opens_nothing_gets_no_other_term(state: str, reason: str) -> None:
    held = hold(term_days=30)
    Grant.objects.update(state=state)

    with pytest.raises(NotExtendableError) as caught:
        renew(held)

    assert caught.value.extra == {"reason": reason}
    assert Order.objects.count() == 1


def test_a_license_whose_offer_is_gone_cannot_be_extended() -> None:
    held = hold(term_days=30)
    held.row.line.offer = None
    held.row.line.save()

    with pytest.raises(NotExtendableError) as caught:
        renew(held)

    assert caught.value.extra == {"reason": "other_offer"}


def quote(held: Held, offer: Offer, **wish: Any) -> None:
    quotes.make_quote(
        held.holding,
        [Item(offer.public_id, wish.pop("quantity", 1))],
        **({"currency": "EUR", "extends": held.row.public_id} | wish),
    )


def test_another_offer_another_number_or_another_holder_is_refused() -> None:
    held = hold(term_days=30)
    offer = held.shop.offer
    other = make_offer(held.selling, [held.shop.repo], FIXED)
    eve = make_user("eve")

    def reason(**wish: Any) -> Any:
        with pytest.raises(NotExtendableError) as caught:
            quote(held, **wish)
        return caught.value.extra["reason"]

    assert reason(offer=other) == "other_offer"
    assert reason(offer=offer, quantity=2) == "quantity"
    Offer.objects.filter(pk=offer.pk).update(term_days=None)
    assert reason(offer=offer) == "other_offer"
    Offer.objects.filter(pk=offer.pk).update(term_days=30)
    with pytest.raises(LicenseNotFoundError):
        quote(held, offer, extends="0" * 24)
    held.shop.buyer = eve
    with pytest.raises(LicenseNotFoundError):
        quote(held, offer)
    assert Order.objects.count() == 1


def test_a_quote_is_stale_once_the_license_is_suspended() -> None:
    held = hold(term_days=30)
    found, priced = renewing.quote_renewal(
        held.holding, held.fresh(), currency="EUR", billing=BILLING
    )
    license_keys.suspend(held.selling, held.row, "late")

    with pytest.raises(NotExtendableError):
        ordering.open_order(held.holding, found.public_id, key="r", accepted_terms=priced.terms)

    assert Order.objects.count() == 1


def test_a_line_given_back_before_it_was_fulfilled_gets_no_license(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of two lines one is refunded while the order is paid and not yet complete."""
    shop = hold(term_days=30).shop
    other = make_offer(shop.selling, [make_model(shop.seller, "sonnet-gpt")], FIXED)
    items = [Item(shop.offer.public_id), Item(other.public_id)]
    with monkeypatch.context() as stopped:
        stopped.setattr(settling, "fulfil_if_paid", lambda _order_id: False)
        order = shop.buy("two", items=items)
        assert order.state == Order.State.PAID
        refunds.give_back(shop.selling, order, order.lines.get(offer=other), "Sorry")

    settling.fulfil_if_paid(order.pk)

    assert [row.line.offer for row in License.objects.filter(line__order=order)] == [shop.offer]


def test_an_order_of_a_free_and_a_paid_license_is_open_until_both_are_given_back() -> None:
    shop = hold().shop
    draft = replace(FIXED, kind=Offer.Kind.FREE, prices=())
    free = make_offer(shop.selling, [make_model(shop.seller, "sonnet-gpt")], draft)
    order = shop.buy("two", items=[Item(shop.offer.public_id), Item(free.public_id)])
    paid_line, free_line = order.lines.order_by("position")

    refunds.give_back(shop.selling, order, paid_line, "Sorry")
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    refunds.give_back(shop.selling, order, free_line, "Sorry")
    order.refresh_from_db()
    assert order.state == Order.State.REFUNDED
    with pytest.raises(refunds.NotRefundableError):
        refunds.give_back(shop.selling, order, free_line, "Sorry")
    states = set(License.objects.filter(line__order=order).values_list("grant__state", flat=True))
    assert states == {"revoked"}


def test_a_lost_renewal_of_a_subscription_leaves_what_was_paid_before() -> None:
    held = hold(**subscription())
    first = held.row.line.order
    subscription_row = Subscription.objects.get()
    order = Order.objects.get(pk=first.pk)
    order.pk, order.public_id, order.idempotency_key = None, "f" * 24, "renewal"
    order.renews = subscription_row
    order.save()
    line = OrderLine.objects.get(order=first)
    line.pk, line.public_id, line.order = None, "e" * 24, order
    line.save()
    granting.fulfil(order)
    paid_until = held.grant.ends_at
    granting.freeze(order)
    assert held.grant.state == Grant.State.FROZEN

    granting.revoke(line)

    assert held.grant.state == Grant.State.ACTIVE
    assert held.grant.ends_at < paid_until
    assert not Dispute.objects.exists()
    assert not extending.is_disputed(held.row)
