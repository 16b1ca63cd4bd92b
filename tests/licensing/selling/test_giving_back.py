"""Money that goes back, in every order of events that was ever got wrong."""

from dataclasses import replace

import pytest
from django.utils import timezone

from accounts.viewer import Viewer
from catalog.access import may_see_contents
from catalog.models import Grant
from catalog.services.repos import delete_repo
from licensing.gateways.base import Fact, FactKind, GatewayRefusedError
from licensing.gateways.sandbox import Sandbox
from licensing.models import (
    Dispute,
    Invoice,
    LedgerAccount,
    LedgerEntry,
    LedgerMovement,
    Order,
    Payment,
    PaymentEvent,
    Refund,
    Subscription,
)
from licensing.services import (
    checkout,
    disputing,
    inbox,
    ledger,
    reconciling,
    refunds,
    renewals,
    returning,
    settling,
)
from tests.licensing.selling.checking import check_always, check_at_rest
from tests.licensing.selling.market import (
    Market,
    charges_of,
    facts_of,
    open_market,
    run_money_jobs,
)

pytestmark = pytest.mark.django_db
AT = {"gateway": "sandbox", "currency": "EUR"}
Kind = LedgerAccount.Kind


@pytest.fixture
def market() -> Market:
    return open_market()


def bought(market: Market, *names: str, method: str = "test_success") -> Order:
    order = market.order("k", list(names))
    checkout.start(order, method=method)
    order.refresh_from_db()
    return order


def tell(order: Order, *kinds: FactKind) -> None:
    """Tell the store what the pretended bank knows, these kinds only, in this order."""
    for kind in kinds:
        inbox.receive("sandbox", [fact for fact in facts_of(order) if fact.kind == kind])
    order.refresh_from_db()


def made_up(order: Order, kind: FactKind, amount_minor: int, **changes) -> Fact:
    """A fact of a gateway that does what the sandbox refuses to."""
    payment = order.payments.order_by("id").first()
    fact = Fact(
        f"{kind}-{amount_minor}-{changes.get('subject_id', 'x')}",
        kind,
        order.public_id,
        payment.external_id if payment else "none",
        amount_minor,
        "EUR",
        timezone.now(),
        subject_id="x",
    )
    return replace(fact, **changes)


def at_rest(market: Market, *told: str) -> None:
    """Everything agrees, apart from what is told by name."""
    run_money_jobs()
    reconciling.reconcile()
    assert [item.kind for item in reconciling.differences()] == list(told)
    check_always()
    check_at_rest(market)


def test_a_part_payment_that_went_back_has_to_be_paid_again(market: Market) -> None:
    order = market.order("k", ["haiku"])
    gross = order.gross_minor
    Sandbox().transfer(order.public_id, 500, "EUR")
    tell(order, FactKind.PAID)
    Sandbox().refund_by_hand(charges_of(order)[0].public_id, 500)
    tell(order, FactKind.REFUNDED)
    assert (order.state, order.due_minor) == (Order.State.OPEN, gross)

    Sandbox().transfer(order.public_id, gross - 500, "EUR")
    tell(order, FactKind.PAID)

    assert (order.state, order.due_minor) == (Order.State.OPEN, 500)
    checkout.start(order, method="test_success")
    assert order.state == Order.State.FULFILLED
    assert order.due_minor == 0
    at_rest(market)


def test_late_money_of_a_cancelled_part_payment_goes_back(market: Market) -> None:
    order = market.order("k", ["haiku"])
    Sandbox().transfer(order.public_id, 500, "EUR")
    tell(order, FactKind.PAID)
    settling.cancel(order.pk)
    Sandbox().transfer(order.public_id, order.gross_minor - 500, "EUR")

    tell(order, FactKind.PAID)

    assert order.state == Order.State.CANCELLED
    at_rest(market)
    assert Sandbox().held_minor("EUR") == 0
    assert not Grant.objects.exists()


def test_a_cancelled_order_that_is_paid_after_all_is_a_sale(market: Market) -> None:
    order = market.order("k", ["haiku"])
    settling.cancel(order.pk)
    Sandbox().transfer(order.public_id, order.gross_minor, "EUR")

    tell(order, FactKind.PAID)

    assert order.state == Order.State.FULFILLED
    at_rest(market)


def test_a_refund_by_hand_of_a_payment_too_many_ends_nothing(market: Market) -> None:
    order = bought(market, "haiku")
    Sandbox().transfer(order.public_id, order.gross_minor, "EUR")
    tell(order, FactKind.PAID)
    ours = Refund.objects.get()
    assert ours.state == Refund.State.SENDING

    Sandbox().refund_by_hand(charges_of(order)[1].public_id, order.gross_minor)
    tell(order, FactKind.REFUNDED)

    ours.refresh_from_db()
    assert ours.state == Refund.State.COVERED
    assert order.state == Order.State.FULFILLED
    assert may_see_contents(market.buying, market.repos[0])
    at_rest(market)


def test_a_lost_dispute_about_a_payment_too_many_ends_nothing(market: Market) -> None:
    order = bought(market, "haiku")
    Sandbox().transfer(order.public_id, order.gross_minor, "EUR")
    tell(order, FactKind.PAID)
    second = charges_of(order)[1]
    Sandbox().dispute(second.public_id)
    tell(order, FactKind.DISPUTE_OPENED)
    assert order.state == Order.State.DISPUTED
    assert not may_see_contents(market.buying, market.repos[0])
    run_money_jobs()
    assert Refund.objects.get().state == Refund.State.SENDING

    Sandbox().settle_dispute(second.public_id, is_won=False)
    tell(order, FactKind.DISPUTE_LOST)

    assert order.state == Order.State.FULFILLED
    assert may_see_contents(market.buying, market.repos[0])
    assert Refund.objects.get().state == Refund.State.COVERED
    at_rest(market)


def test_what_came_in_parts_goes_back_in_parts(market: Market) -> None:
    order = market.order("k", ["haiku"])
    for part in (1000, order.gross_minor - 1000):
        Sandbox().transfer(order.public_id, part, "EUR")
    tell(order, FactKind.PAID)
    assert order.state == Order.State.FULFILLED

    refunds.give_back(market.deciding, order, None, "Sorry")
    run_money_jobs()

    sent = Refund.objects.order_by("id")
    assert [row.amount_minor for row in sent] == [1000, order.gross_minor - 1000]
    assert {row.state for row in sent} == {Refund.State.DONE}
    at_rest(market)


def test_a_lost_dispute_undoes_lines_and_credits_them(market: Market) -> None:
    order = bought(market, "haiku", "prose", method="test_dispute")
    assert order.state == Order.State.DISPUTED
    Sandbox().settle_dispute(charges_of(order)[0].public_id, is_won=False)

    tell(order, FactKind.DISPUTE_LOST)

    assert order.state == Order.State.REFUNDED
    assert order.refunded_minor == order.gross_minor
    assert set(Grant.objects.values_list("state", flat=True)) <= {Grant.State.REVOKED}
    at_rest(market)
    documents = Invoice.objects.values_list("document", flat=True)
    assert sum(row["totals"]["gross_minor"] for row in documents) == 0


def test_a_dispute_lost_after_a_part_refund_takes_the_rest_only(market: Market) -> None:
    order = bought(market, "haiku", "prose")
    line = order.lines.get(position=1)
    refunds.give_back(market.deciding, order, line, "Sorry")
    charge = charges_of(order)[0]
    Sandbox().dispute(charge.public_id)
    tell(order, FactKind.DISPUTE_OPENED)
    Sandbox().settle_dispute(charge.public_id, is_won=False)

    tell(order, FactKind.DISPUTE_LOST)

    assert order.state == Order.State.REFUNDED
    assert Sandbox().held_minor("EUR") == 0
    assert Invoice.objects.filter(kind="credit_note").count() == 2
    at_rest(market)


@pytest.mark.parametrize("is_won", [True, False])
def test_a_refund_waits_for_the_end_of_a_dispute(market: Market, is_won: bool) -> None:
    """The refund was decided before the store heard of the dispute: the bank refuses it."""
    order = bought(market, "haiku")
    charge = charges_of(order)[0]
    Sandbox().dispute(charge.public_id)
    refund = refunds.give_back(market.deciding, order, None, "Sorry")
    assert refund.state == Refund.State.FAILED
    tell(order, FactKind.DISPUTE_OPENED)
    Sandbox().settle_dispute(charge.public_id, is_won=is_won)

    tell(order, FactKind.DISPUTE_WON, FactKind.DISPUTE_LOST)

    at_rest(market)
    refund.refresh_from_db()
    assert refund.state == (Refund.State.DONE if is_won else Refund.State.COVERED)
    assert Sandbox().held_minor("EUR") == 0


def test_part_of_a_dispute_lost_ends_everything_and_lets_the_rest_go(market: Market) -> None:
    order = bought(market, "haiku")
    inbox.receive("sandbox", [made_up(order, FactKind.DISPUTE_LOST, 100)])

    order.refresh_from_db()
    assert order.state == Order.State.REFUNDED
    assert not may_see_contents(market.buying, market.repos[0])
    maria = market.repos[0].namespace_id
    assert ledger.balance(Kind.DISPUTED, namespace_id=maria, **AT) == 0
    assert ledger.balance(Kind.PAYABLE, namespace_id=maria, **AT) > 0
    assert ledger.balance(Kind.GATEWAY, **AT) == order.gross_minor - 100
    check_always()
    assert list(reconciling.differences()) == []


def test_a_bank_that_takes_back_what_was_refunded_costs_the_store(market: Market) -> None:
    order = bought(market, "haiku")
    refunds.give_back(market.deciding, order, None, "Sorry")

    inbox.receive("sandbox", [made_up(order, FactKind.DISPUTE_LOST, order.gross_minor)])

    assert ledger.balance(Kind.FEES, **AT) == -order.gross_minor
    assert ledger.balance(Kind.GATEWAY, **AT) == -order.gross_minor
    check_always()
    assert list(reconciling.differences()) == []


def test_a_refund_that_left_although_the_bank_took_it_costs_the_store(market: Market) -> None:
    order = bought(market, "haiku")
    Sandbox().dispute(charges_of(order)[0].public_id)
    refund = refunds.give_back(market.deciding, order, None, "Sorry")
    lost = made_up(order, FactKind.DISPUTE_LOST, order.gross_minor)
    inbox.receive("sandbox", [lost])
    refund.refresh_from_db()
    assert refund.state == Refund.State.COVERED

    sent = made_up(order, FactKind.REFUNDED, order.gross_minor, key=refund.public_id)
    inbox.receive("sandbox", [sent])

    refund.refresh_from_db()
    assert refund.state == Refund.State.DONE
    assert ledger.balance(Kind.FEES, **AT) == -order.gross_minor
    check_always()
    assert list(reconciling.differences()) == []


def test_a_hand_refund_during_a_dispute_comes_out_of_what_is_held(market: Market) -> None:
    order = bought(market, "haiku", "prose")
    opened = made_up(order, FactKind.DISPUTE_OPENED, order.gross_minor)
    inbox.receive("sandbox", [opened, made_up(order, FactKind.REFUNDED, 1500, subject_id="r")])

    check_always()
    won = made_up(order, FactKind.DISPUTE_WON, order.gross_minor)
    inbox.receive("sandbox", [won])

    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    check_always()
    assert list(reconciling.differences()) == []
    disputed = LedgerEntry.objects.filter(account__kind=Kind.DISPUTED)
    assert sum(disputed.values_list("amount_minor", flat=True)) == 0


def test_a_dispute_neither_shortens_nor_lengthens_the_hold(market: Market) -> None:
    order = bought(market, "haiku")
    maria = market.repos[0].namespace_id
    now = timezone.now()
    owed = ledger.balance(Kind.PAYABLE, namespace_id=maria, **AT)
    assert ledger.balance(Kind.PAYABLE, namespace_id=maria, until=now, **AT) == 0
    inbox.receive("sandbox", [made_up(order, FactKind.DISPUTE_OPENED, 100)])
    now = timezone.now()
    assert ledger.balance(Kind.PAYABLE, namespace_id=maria, until=now, **AT) == 0

    inbox.receive("sandbox", [made_up(order, FactKind.DISPUTE_WON, 100)])

    now = timezone.now()
    assert ledger.balance(Kind.PAYABLE, namespace_id=maria, until=now, **AT) == 0
    assert ledger.balance(Kind.PAYABLE, namespace_id=maria, **AT) == owed


def test_two_disputes_hold_until_both_are_decided(market: Market) -> None:
    order = bought(market, "haiku")
    for name in ("a", "b"):
        inbox.receive("sandbox", [made_up(order, FactKind.DISPUTE_OPENED, 100, subject_id=name)])
    inbox.receive("sandbox", [made_up(order, FactKind.DISPUTE_WON, 100, subject_id="a")])
    order.refresh_from_db()
    assert order.state == Order.State.DISPUTED
    assert not may_see_contents(market.buying, market.repos[0])
    assert ledger.balance(Kind.PAYABLE, namespace_id=market.repos[0].namespace_id, **AT) == 0

    inbox.receive("sandbox", [made_up(order, FactKind.DISPUTE_WON, 100, subject_id="b")])

    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    assert may_see_contents(market.buying, market.repos[0])
    assert list(reconciling.differences()) == []


def test_a_part_payment_that_is_disputed_freezes_what_the_rest_buys(market: Market) -> None:
    order = market.order("k", ["haiku"])
    Sandbox().transfer(order.public_id, 500, "EUR")
    tell(order, FactKind.PAID)
    Sandbox().dispute(charges_of(order)[0].public_id)
    tell(order, FactKind.DISPUTE_OPENED)
    assert order.state == Order.State.OPEN

    checkout.start(order, method="test_success")

    assert order.state == Order.State.DISPUTED
    assert not Grant.objects.exists()
    assert ledger.balance(Kind.PAYABLE, namespace_id=market.repos[0].namespace_id, **AT) == 0
    Sandbox().settle_dispute(charges_of(order)[0].public_id, is_won=True)
    tell(order, FactKind.DISPUTE_WON)
    assert order.state == Order.State.FULFILLED
    at_rest(market)


def test_a_refund_told_twice_in_other_words_counts_once(market: Market) -> None:
    order = bought(market, "haiku")
    first = made_up(order, FactKind.REFUNDED, 300, key="not one of ours", subject_id="re_1")

    inbox.receive("sandbox", [first, replace(first, event_id="another", key="")])
    inbox.receive("sandbox", [replace(first, event_id="third")])

    order.refresh_from_db()
    assert order.refunded_minor == 300
    assert Refund.objects.count() == 1
    assert ledger.balance(Kind.GATEWAY, **AT) == order.gross_minor - 300


def test_a_refund_that_comes_back_is_owed_again(market: Market) -> None:
    order = bought(market, "haiku", method="test_refund_fail")
    refund = refunds.give_back(market.deciding, order, None, "Sorry")

    assert refund.state == Refund.State.FAILED
    assert ledger.balance(Kind.DEPOSITS, **AT) == order.gross_minor
    assert Payment.objects.get().refunded_minor == 0
    assert LedgerMovement.objects.filter(kind=LedgerMovement.Kind.REFUND_RETURNED).exists()
    tell(order, FactKind.REFUNDED, FactKind.REFUND_FAILED)
    at_rest(market, "refund_failed")


def test_the_failure_of_a_refund_may_be_heard_first(market: Market) -> None:
    order = bought(market, "haiku", method="test_refund_fail")
    Sandbox().refund_by_hand(charges_of(order)[0].public_id, 300)
    tell(order, FactKind.REFUND_FAILED)
    waiting = PaymentEvent.objects.get(kind=FactKind.REFUND_FAILED)
    assert waiting.outcome == PaymentEvent.Outcome.WAITING

    tell(order, FactKind.REFUNDED)

    waiting.refresh_from_db()
    assert waiting.outcome == PaymentEvent.Outcome.APPLIED
    at_rest(market, "refund_failed")


def test_a_free_line_stays_when_the_paid_one_goes_back(market: Market) -> None:
    order = bought(market, "haiku", "free")
    paid, free = order.lines.order_by("position")

    refunds.give_back(market.deciding, order, paid, "Sorry")

    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    assert not may_see_contents(market.buying, market.repos[0])
    assert may_see_contents(market.buying, market.repos[2])
    at_rest(market)
    refunds.give_back(market.deciding, order, free, "Sorry")
    with pytest.raises(refunds.NotRefundableError):
        refunds.give_back(market.deciding, order, free, "Sorry")
    order.refresh_from_db()
    assert order.state == Order.State.REFUNDED
    at_rest(market)


def test_what_went_back_before_it_was_granted_is_not_granted(market: Market, monkeypatch) -> None:
    order = market.order("k", ["haiku", "prose", "bundle"])
    monkeypatch.setattr(settling, "fulfil_if_paid", lambda order_id: False)
    checkout.start(order, method="test_success")
    monkeypatch.undo()
    assert order.state == Order.State.PAID
    refunds.give_back(market.deciding, order, order.lines.get(position=0), "Sorry")
    inbox.receive("sandbox", [made_up(order, FactKind.REFUNDED, 1, subject_id="hand")])

    run_money_jobs()

    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    assert [row.line.position for row in _licenses(order)] == [1, 2]
    assert Invoice.objects.filter(kind="credit_note").count() == 1
    assert list(reconciling.differences()) == []


def _licenses(order: Order) -> list:
    from licensing.models import License

    return list(License.objects.filter(line__order=order).order_by("line__position"))


def test_lines_of_deleted_models_are_given_back(market: Market) -> None:
    order = market.order("k", ["haiku", "prose"])
    order.lines.get(position=0).repos.clear()  # as when the model was deleted

    checkout.start(order, method="test_success")
    run_money_jobs()

    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    assert [row.line.position for row in _licenses(order)] == [1]
    assert Refund.objects.get().state == Refund.State.DONE
    at_rest(market)


def test_an_order_of_deleted_models_alone_is_given_back_whole(market: Market) -> None:
    for key, names in (("a", ["haiku"]), ("b", ["free"])):
        order = market.order(key, names)
        order.lines.get().repos.clear()
        checkout.start(order, method="test_success")
        order.refresh_from_db()
        assert order.state == Order.State.REFUNDED
    run_money_jobs()

    assert Sandbox().held_minor("EUR") == 0
    assert not Grant.objects.exists()
    at_rest(market)


def test_a_bundle_that_lost_a_model_is_given_back_whole(market: Market) -> None:
    order = market.order("k", ["bundle", "prose"])
    sonnet = market.repos.pop(1)
    delete_repo(Viewer(user=sonnet.created_by), sonnet)

    checkout.start(order, method="test_success")
    run_money_jobs()

    order.refresh_from_db()
    line = order.lines.get(position=0)
    assert order.state == Order.State.FULFILLED
    assert [row.line.position for row in _licenses(order)] == [1]
    assert line.refunded_minor == line.gross_minor == Refund.objects.get().amount_minor
    assert not may_see_contents(market.buying, market.repos[0])
    at_rest(market)


def test_a_refunded_renewal_takes_its_own_period_back(market: Market) -> None:
    order = bought(market, "monthly")
    subscription = Subscription.objects.get()
    until = subscription.paid_until
    renewal = renewals.open_renewal(subscription, "renewal")
    checkout.start(renewal, method="test_success")
    subscription.refresh_from_db()
    assert (subscription.periods, subscription.paid_until > until) == (2, True)

    refunds.give_back(market.deciding, renewal, None, "Sorry")

    subscription.refresh_from_db()
    assert (subscription.periods, subscription.paid_until) == (1, until)
    assert subscription.state == Subscription.State.ENDING
    assert Grant.objects.get().state == Grant.State.ACTIVE
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    at_rest(market)


def test_a_renewal_that_was_not_complete_takes_no_period_back(market: Market, monkeypatch) -> None:
    bought(market, "monthly")
    renewal = renewals.open_renewal(Subscription.objects.get(), "renewal")
    monkeypatch.setattr(settling, "fulfil_if_paid", lambda order_id: False)
    checkout.start(renewal, method="test_success")
    monkeypatch.undo()

    refunds.give_back(market.deciding, renewal, None, "Sorry")

    assert Subscription.objects.get().periods == 1
    at_rest(market)


@pytest.mark.parametrize("is_won", [True, False])
def test_a_disputed_renewal_freezes_the_license_until_it_is_decided(
    market: Market, is_won: bool
) -> None:
    bought(market, "monthly")
    subscription = Subscription.objects.get()
    renewal = renewals.open_renewal(subscription, "renewal")
    checkout.start(renewal, method="test_dispute")
    assert Grant.objects.get().state == Grant.State.FROZEN
    Sandbox().settle_dispute(charges_of(renewal)[0].public_id, is_won=is_won)

    tell(renewal, FactKind.DISPUTE_WON, FactKind.DISPUTE_LOST)

    assert Grant.objects.get().state == Grant.State.ACTIVE
    run_money_jobs()
    subscription.refresh_from_db()
    assert subscription.periods == (2 if is_won else 1)
    at_rest(market)


def test_a_won_dispute_leaves_frozen_what_another_period_holds(market: Market) -> None:
    first = bought(market, "monthly")
    renewal = renewals.open_renewal(Subscription.objects.get(), "renewal")
    checkout.start(renewal, method="test_success")
    for order in (first, renewal):
        Sandbox().dispute(charges_of(order)[0].public_id)
        tell(order, FactKind.DISPUTE_OPENED)
    Sandbox().settle_dispute(charges_of(first)[0].public_id, is_won=True)

    tell(first, FactKind.DISPUTE_WON)

    assert Grant.objects.get().state == Grant.State.FROZEN
    Sandbox().settle_dispute(charges_of(renewal)[0].public_id, is_won=True)
    tell(renewal, FactKind.DISPUTE_WON)
    assert Grant.objects.get().state == Grant.State.ACTIVE
    at_rest(market)


def test_a_renewal_of_what_was_refunded_goes_back(market: Market) -> None:
    order = bought(market, "monthly")
    renewal = renewals.open_renewal(Subscription.objects.get(), "renewal")
    refunds.give_back(market.deciding, order, None, "Sorry")

    checkout.start(renewal, method="test_success")

    assert renewal.state == Order.State.CANCELLED
    run_money_jobs()
    assert Sandbox().held_minor("EUR") == 0
    at_rest(market)


def test_a_refund_no_payment_has_enough_for_is_told(market: Market) -> None:
    order = bought(market, "haiku")
    Payment.objects.update(refunded_minor=order.gross_minor)

    refunds.give_back(market.deciding, order, None, "Sorry")
    refunds.send(Refund.objects.get().pk)

    refund = Refund.objects.get()
    assert (refund.state, refund.payment) == (Refund.State.FAILED, None)
    assert refund.answer == "No payment has so much left. Send it by hand."


def test_a_planned_refund_larger_than_what_left_stays(market: Market) -> None:
    order = bought(market, "haiku")
    inbox.receive("sandbox", [made_up(order, FactKind.DISPUTE_OPENED, 100)])
    Refund.objects.create(
        order=order,
        payment=order.payments.get(),
        state=Refund.State.SENDING,
        amount_minor=order.gross_minor,
    )

    gone = returning.note_gone(order, order.payments.get(), "x", 5)

    assert gone == returning.Gone(0, 0)
    assert Refund.objects.get().state == Refund.State.SENDING
    assert disputing.is_disputed(order)
    assert Dispute.objects.count() == 1


def test_the_pretended_bank_sends_nothing_back_while_it_disputes(market: Market) -> None:
    order = bought(market, "haiku", method="test_dispute")
    charge = charges_of(order)[0]

    for send in (
        lambda: Sandbox().refund_by_hand(charge.public_id, 1),
        lambda: Sandbox().refund(
            payment_id=charge.public_id, amount_minor=1, currency="EUR", key="k"
        ),
    ):
        with pytest.raises(GatewayRefusedError):
            send()

    charge.refresh_from_db()
    assert charge.refunds == []
    assert not Sandbox().dispute(charge.public_id)


def test_the_pretended_bank_tells_refunds_in_the_order_they_were_sent(market: Market) -> None:
    """Keys are random: were they told in their order, no history could be played again."""
    order = bought(market, "haiku")
    payment_id = charges_of(order)[0].public_id
    for key in ("zz", "b", "aaa"):
        Sandbox().refund(payment_id=payment_id, amount_minor=1, currency="EUR", key=key)

    told = [fact.key for fact in facts_of(order) if fact.kind == FactKind.REFUNDED]

    assert told == ["zz", "b", "aaa"]
