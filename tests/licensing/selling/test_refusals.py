"""What cannot be bought, ordered, paid or refunded: a typed error each, and nothing changed."""

from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from django.db import connection, transaction
from django.db.utils import Error
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import AccessToken, Scope
from accounts.services.tokens import create_token
from accounts.viewer import Viewer
from catalog.access import check_contents, may_see_contents, open_repos
from catalog.models import ModelRepo
from licensing.access_orders import order_seen_by
from licensing.gateways.base import (
    BadEventError,
    Fact,
    FactKind,
    GatewayError,
    PaymentDeclinedError,
)
from licensing.gateways.registry import UnknownGatewayError, default_gateway, gateway_named
from licensing.gateways.sandbox import (
    CARDS,
    SIGNATURE_HEADER,
    TOLERANCE,
    Sandbox,
    card_of,
    charge_named,
    signed,
)
from licensing.models import (
    Coupon,
    FeeRule,
    LedgerEntry,
    LedgerMovement,
    Offer,
    Order,
    Payment,
    PaymentEvent,
    Price,
    Quote,
    Refund,
    Terms,
)
from licensing.services import (
    checkout,
    closing,
    fees,
    inbox,
    ledger,
    ordering,
    quotes,
    reconciling,
    refunds,
    settling,
)
from licensing.services.coupons import CouponError
from licensing.services.pricing import Item
from store.core.errors import ForbiddenError, NotFoundError, StoreError, UnauthenticatedError
from store.core.money import MAX_MINOR
from tests.factories import make_org, make_user
from tests.licensing.selling.market import facts_of
from tests.licensing.selling.shop import BILLING, Shop, open_shop

pytestmark = pytest.mark.django_db
TABLES = (Order, Payment, PaymentEvent, Refund, LedgerMovement, LedgerEntry, Quote)


@pytest.fixture
def shop() -> Shop:
    return open_shop()


def counts() -> list[int]:
    """Rows of everything money writes to."""
    return [table.objects.count() for table in TABLES]


def refused(work, code: str) -> StoreError:
    """Do something that is refused with this code and changes nothing; return the refusal."""
    before = counts()
    with pytest.raises(StoreError) as caught:
        work()
    assert caught.value.code == code
    assert counts() == before
    return caught.value


def quote(shop: Shop, **wish):
    item = wish.pop("item", None) or Item(shop.offer.public_id)
    wish = {"currency": "EUR", "billing": BILLING} | wish
    return quotes.make_quote(shop.buying, wish.pop("items", [item]), **wish)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"items": []}, "bad_wish"),
        ({"quantity": 0}, "bad_quantity"),
        ({"quantity": -1}, "bad_quantity"),
        ({"quantity": 10_001}, "bad_quantity"),
        ({"amount_minor": 1}, "bad_wish"),
        ({"amount_minor": -1900}, "bad_wish"),
        ({"currency": "USD"}, "currency_not_offered"),
        ({"currency": "EURO"}, "bad_currency"),
        ({"currency": "XAU"}, "bad_currency"),
        ({"coupon": "NOTHING"}, "coupon_refused"),
        ({"offer": "nothing"}, "offer_not_found"),
        ({"holder": "nobody"}, "forbidden"),
    ],
)
def test_a_wish_that_cannot_be_priced(shop: Shop, changes: dict, code: str) -> None:
    if "offer" in changes or "quantity" in changes or "amount_minor" in changes:
        item = replace(Item(shop.offer.public_id), **changes)
        refused(lambda: quote(shop, item=item), code)
    else:
        refused(lambda: quote(shop, **changes), code)


def test_too_many_and_the_same_twice(shop: Shop) -> None:
    item = Item(shop.offer.public_id)
    refused(lambda: quote(shop, items=[item, item]), "bad_wish")
    refused(lambda: quote(shop, items=[Item(str(n)) for n in range(21)]), "bad_wish")


def test_absurd_amounts(shop: Shop) -> None:
    Price.objects.update(amount_minor=MAX_MINOR)
    refused(lambda: quote(shop, item=Item(shop.offer.public_id, 2)), "bad_quantity")
    Offer.objects.update(kind=Offer.Kind.PAY_WHAT_YOU_WANT)
    over = Item(shop.offer.public_id, 1, MAX_MINOR + 1)
    refused(lambda: quote(shop, item=over), "bad_quantity")
    Offer.objects.update(seats=1_000_000)
    refused(lambda: quote(shop, item=Item(shop.offer.public_id, 5000)), "bad_quantity")


def test_pay_what_you_want_has_a_least(shop: Shop) -> None:
    Offer.objects.update(kind=Offer.Kind.PAY_WHAT_YOU_WANT)
    Price.objects.update(suggested_minor=2500)
    too_low = Item(shop.offer.public_id, 1, 1899)
    error = refused(lambda: quote(shop, item=too_low), "amount_too_low")
    assert error.extra == {"least_minor": 1900}
    refused(lambda: quote(shop, item=replace(too_low, amount_minor=-5)), "amount_too_low")
    assert quote(shop)[1].gross_minor == 2500
    assert quote(shop, item=replace(too_low, amount_minor=1900))[1].gross_minor == 1900


def test_what_is_not_for_sale(shop: Shop) -> None:
    own = lambda: quotes.make_quote(  # noqa: E731
        shop.selling, [Item(shop.offer.public_id)], currency="EUR", billing=BILLING
    )
    refused(own, "bad_wish")
    ModelRepo.objects.update(is_private=True)
    refused(lambda: quote(shop), "offer_not_found")
    ModelRepo.objects.update(is_private=False, disabled_reason="spam")
    refused(lambda: quote(shop), "offer_closed")
    ModelRepo.objects.update(disabled_reason="")
    Offer.objects.update(is_active=False)
    refused(lambda: quote(shop), "offer_closed")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"starts_at": timedelta(days=1)}, "not_yet"),
        ({"ends_at": timedelta(0)}, "expired"),
        ({"basis_points": None, "amount_minor": 5, "currency": "USD"}, "other_currency"),
        ({"most_uses": 0}, "used_up"),
        ({"most_uses_each": 0}, "used_by_you"),
        ({"is_active": False}, "unknown"),
    ],
)
def test_a_coupon_that_does_not_fit(shop: Shop, changes: dict, reason: str) -> None:
    now = timezone.now()
    values = {
        name: now + value if isinstance(value, timedelta) else value
        for name, value in changes.items()
    }
    Coupon.objects.create(
        **{"namespace": shop.repo.namespace, "code": "TEN", "basis_points": 1000} | values
    )

    error = refused(lambda: quote(shop, coupon="ten"), CouponError.code)

    assert error.extra["reason"] == reason


def test_a_coupon_for_other_offers(shop: Shop) -> None:
    coupon = Coupon.objects.create(
        namespace=shop.repo.namespace, code="FIX", amount_minor=5000, currency="EUR"
    )
    assert quote(shop, coupon="FIX")[1].gross_minor == 0
    other = Offer.objects.create(
        namespace=shop.repo.namespace,
        title="x",
        kind=Offer.Kind.FIXED,
        terms=shop.offer.terms,
        rights={},
    )
    coupon.offers.add(other)

    error = refused(lambda: quote(shop, coupon="FIX"), CouponError.code)

    assert error.extra["reason"] == "not_for_these"


def test_a_quote_that_is_not_good_any_more(shop: Shop) -> None:
    made, priced = quote(shop)

    def order(**changes):
        values = {"key": "k", "accepted_terms": priced.terms} | changes
        return ordering.open_order(shop.buying, made.public_id, **values)

    Price.objects.update(amount_minor=1901)
    assert refused(order, "price_changed").extra["now"]["gross_minor"] == 1901
    Price.objects.update(amount_minor=1900)
    changed = Terms.objects.create(sha256="f" * 64, source="own", title="x", text="x")
    Offer.objects.update(terms=changed)
    refused(order, "terms_changed")
    Offer.objects.update(terms=shop.offer.terms)
    refused(lambda: order(accepted_terms=[]), "terms_required")
    refused(lambda: order(key=""), "bad_idempotency_key")
    refused(lambda: order(key="x" * 129), "bad_idempotency_key")
    refused(lambda: order(key="ä"), "bad_idempotency_key")
    refused(lambda: order(gateway="cash"), "unknown_gateway")
    found, is_new = order()
    assert is_new
    assert order() == (found, False)
    refused(lambda: order(accepted_terms=[*priced.terms, "x"]), "idempotency_key_reused")
    Quote.objects.update(expires_at=timezone.now())
    refused(lambda: order(key="another"), "quote_expired")
    refused(
        lambda: ordering.open_order(shop.selling, made.public_id, key="k", accepted_terms=[]),
        "quote_not_found",
    )


def test_an_address_is_needed_for_money(shop: Shop) -> None:
    refused_quote, priced = quote(shop, billing={})
    refused(
        lambda: ordering.open_order(
            shop.buying, refused_quote.public_id, key="k", accepted_terms=priced.terms
        ),
        "billing_required",
    )


def test_a_token_spends_in_its_currency_and_within_its_limit(shop: Shop) -> None:
    token, _text = create_token(shop.buyer, name="t", scopes=[Scope.BUY])
    viewer = Viewer(user=shop.buyer, token=token)
    made, priced = quote(shop)

    def order(key: str):
        return ordering.open_order(viewer, made.public_id, key=key, accepted_terms=priced.terms)

    AccessToken.objects.update(spend_limit_minor=1899, spend_currency="EUR")
    assert refused(lambda: order("a"), "spend_limit").extra["left_minor"] == 1899
    AccessToken.objects.update(spend_limit_minor=10**9, spend_currency="USD")
    assert refused(lambda: order("a"), "spend_limit").extra["currency"] == "USD"
    AccessToken.objects.update(spend_limit_minor=1900, spend_currency="EUR")
    found, _new = order("a")
    assert refused(lambda: order("b"), "spend_limit").extra["left_minor"] == 0
    settling.cancel(found.pk)
    assert order("c")[1]
    reading, _text = create_token(shop.buyer, name="r", scopes=[Scope.READ])
    with pytest.raises(ForbiddenError):
        quotes.buying_namespace(Viewer(user=shop.buyer, token=reading))
    with pytest.raises(UnauthenticatedError):
        quotes.buying_namespace(Viewer())


def test_a_member_who_may_write_buys_for_a_team(shop: Shop) -> None:
    make_user("bob")
    team = make_org("acme", ada="write", bob="read")
    order = shop.order(holder="acme")
    checkout.start(order, method="test_success")

    bob = Viewer(user=team.memberships.get(user__username="bob").user)
    assert may_see_contents(bob, shop.repo)
    assert order_seen_by(bob, order.public_id) == order
    with pytest.raises(ForbiddenError):
        quotes.buying_namespace(bob, "acme")
    with pytest.raises(ordering.OrderNotFoundError):
        order_seen_by(Viewer(user=make_user("eve")), order.public_id)
    team.memberships.filter(user=bob.user).delete()
    assert not may_see_contents(Viewer(user=bob.user), shop.repo)


def test_a_declined_card_leaves_the_order_open(shop: Shop) -> None:
    order = shop.order()
    before = counts()

    with pytest.raises(PaymentDeclinedError) as caught:
        checkout.start(order, method="test_no_funds")

    assert caught.value.extra == {"reason": "insufficient_funds"}
    before[TABLES.index(PaymentEvent)] += 1  # what the bank said of it
    assert counts() == before
    with pytest.raises(PaymentDeclinedError):
        checkout.start(order, method="a cheque")
    assert PaymentEvent.objects.get().outcome == PaymentEvent.Outcome.NOTHING_NEW
    checkout.start(order, method="test_success")
    assert order.state == Order.State.FULFILLED
    assert not Sandbox().pay(charge_named(_charge(order)).public_id, CARDS[1]).dispute


def _charge(order: Order) -> str:
    return facts_of(order)[0].payment_id


def test_a_card_that_asks_first(shop: Shop) -> None:
    order = shop.order()
    started = checkout.start(order, method="test_3ds")
    assert started.needs_browser
    assert order.state == Order.State.OPEN
    Sandbox().pay(started.url.rsplit("/", 1)[1], CARDS[3], is_confirmed=True)

    inbox.receive("sandbox", facts_of(order))

    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    refused(lambda: settling.cancel(order.pk), "not_cancellable")


def test_the_pretended_bank_refuses_nonsense(shop: Shop) -> None:
    order = shop.buy()
    pay = {"payment_id": _charge(order), "amount_minor": 1900, "currency": "EUR", "key": "k"}
    for changes in (
        {"payment_id": "x"},
        {"amount_minor": 0},
        {"amount_minor": 1901},
        {"currency": "USD"},
    ):
        refused(lambda changes=changes: Sandbox().refund(**pay | changes), "gateway_refused")
    for work in (lambda: Sandbox().pay("x", CARDS[0]), lambda: charge_named("x")):
        with pytest.raises(NotFoundError):
            work()
    assert card_of("4242 4242 4242 4242") == CARDS[0]
    assert card_of("1") is None
    assert Sandbox().pay_out(account="", amount_minor=1, currency="EUR", key="k") == "po_k"
    assert default_gateway().name == "sandbox"
    with pytest.raises(UnknownGatewayError):
        gateway_named("cash")


FACTS = st.builds(
    Fact,
    event_id=st.text(min_size=1, max_size=20),
    kind=st.sampled_from(FactKind),
    order_ref=st.text(max_size=24),
    payment_id=st.text(max_size=24),
    amount_minor=st.integers(-(2**63), 2**63),
    currency=st.sampled_from(["EUR", "USD"]),
    at=st.datetimes(timezones=st.just(UTC)),
    note=st.text(max_size=20),
)


@given(FACTS)
@hypothesis_settings(max_examples=50)
def test_a_signed_message_is_read_as_it_was_written(fact: Fact) -> None:
    assert Sandbox().read_event(*signed(fact)) == [Fact.from_json(fact.to_json())]
    assert Fact.from_json(fact.to_json()).at == fact.at


def test_messages_that_are_forged_old_or_broken(shop: Shop) -> None:
    fact = facts_of(shop.buy())[0]
    body, headers = signed(fact)
    for bad_body, bad_headers in (
        (body + b" ", headers),
        (body, {}),
        (body, {SIGNATURE_HEADER: "x.y"}),
        signed(fact, at=timezone.now() - TOLERANCE - timedelta(seconds=1)),
        signed(fact, at=timezone.now() + TOLERANCE + timedelta(seconds=2)),
    ):
        with pytest.raises(BadEventError):
            Sandbox().read_event(bad_body, bad_headers)
    broken = replace(fact, kind=FactKind.PAID).to_json() | {"kind": "stolen"}
    message = type("Message", (), {"to_json": lambda _self: broken})()
    with pytest.raises(BadEventError):
        Sandbox().read_event(*signed(message))


@pytest.mark.parametrize(
    "changes",
    [
        {"order_ref": "nothing"},
        {"currency": "USD"},
        {"amount_minor": 0},
        {"amount_minor": -5},
        {"amount_minor": 1899},
    ],
)
def test_facts_that_do_not_fit_are_set_aside(shop: Shop, changes: dict) -> None:
    order = shop.buy()
    before = (Payment.objects.count(), LedgerEntry.objects.count())
    odd = replace(facts_of(order)[0], event_id="odd", **changes)

    inbox.receive("sandbox", [odd])

    event = PaymentEvent.objects.get(external_id="odd")
    assert event.outcome == PaymentEvent.Outcome.PARKED
    assert event.note
    assert (Payment.objects.count(), LedgerEntry.objects.count()) == before
    assert [item.kind for item in reconciling.differences()] == ["event_parked"]
    assert inbox.apply(event.pk) == PaymentEvent.Outcome.PARKED


def test_refunds_that_do_not_fit_are_set_aside(shop: Shop) -> None:
    order = shop.buy()
    refund = refunds.ask(shop.buying, order, None, "x")
    paid = facts_of(order)[0]
    back = replace(paid, kind=FactKind.REFUNDED, subject_id="re")
    inbox.receive("sandbox", [replace(back, event_id="a", amount_minor=1901)])
    other = replace(back, event_id="b", amount_minor=5, key=refund.public_id)
    inbox.receive("sandbox", [other])
    second = shop.buy("k2")
    disputed = replace(
        paid, event_id="c", kind=FactKind.DISPUTE_OPENED, subject_id="dp", order_ref=order.public_id
    )
    inbox.receive("sandbox", [disputed])
    inbox.receive(
        "sandbox",
        [
            replace(
                disputed,
                event_id="d",
                order_ref=second.public_id,
                payment_id=_charge(second),
            )
        ],
    )

    parked = PaymentEvent.objects.filter(outcome=PaymentEvent.Outcome.PARKED)
    assert set(parked.values_list("external_id", flat=True)) == {"a", "b", "d"}
    second.refresh_from_db()
    assert second.state == Order.State.FULFILLED


def test_refunds_that_cannot_be_asked_for(shop: Shop, settings) -> None:
    order = shop.order()
    assert refused(lambda: refunds.ask(shop.buying, order, None, "x"), "not_refundable").extra == {
        "reason": "wrong_state"
    }
    checkout.start(order, method="test_success")
    refund = refunds.ask(shop.buying, order, None, "x")
    assert refunds.ask(shop.buying, order, None, "again") == refund
    other = shop.buy("k2")
    error = refused(
        lambda: refunds.ask(shop.buying, order, other.lines.get(), "x"), "not_refundable"
    )
    assert error.extra == {"reason": "nothing_left"}
    refused(lambda: refunds.refund_for(shop.buying, refund.public_id), "refund_not_found")
    refused(lambda: refunds.give_back(shop.buying, order, None, "x"), "forbidden")
    assert refunds.refund_for(shop.selling, refund.public_id) == refund
    refunds.decline(shop.selling, refund, "No")
    refused(lambda: refunds.decline(shop.selling, refund, "No"), "refund_answered")
    refused(lambda: refunds.accept(shop.selling, refund), "refund_answered")
    Order.objects.update(paid_at=timezone.now() - timedelta(days=15))
    error = refused(lambda: refunds.ask(shop.buying, order, None, "x"), "not_refundable")
    assert error.extra == {"reason": "too_late"}


def test_a_refund_waits_for_a_gateway_that_is_away(shop: Shop, monkeypatch) -> None:
    order = shop.buy()

    def away(*_args, **_more):
        raise GatewayError("away")

    monkeypatch.setattr(Sandbox, "refund", away)
    refund = refunds.give_back(shop.selling, order, None, "x")
    assert refund.state == Refund.State.SENDING
    assert not may_see_contents(shop.buying, shop.repo)
    Refund.objects.update(decided_at=timezone.now() - timedelta(hours=1))
    assert [item.kind for item in reconciling.differences()] == ["refund_waits"]
    monkeypatch.undo()

    assert refunds.send(refund.pk) == Refund.State.DONE
    assert refunds.send(refund.pk) == Refund.State.DONE
    assert Sandbox().held_minor("EUR") == 0


def test_orders_nobody_pays_are_closed(shop: Shop, monkeypatch) -> None:
    paid, unpaid = shop.order("a"), shop.order("b")
    Sandbox().transfer(paid.public_id, 1900, "EUR")
    Order.objects.update(expires_at=timezone.now())

    def away(*_args):
        raise GatewayError("away")

    monkeypatch.setattr(Sandbox, "facts_of", away)
    assert closing.close_expired() == 0
    assert reconciling.reconcile().unreachable == ["sandbox"]
    monkeypatch.undo()

    assert closing.close_expired() == 1
    states = [Order.objects.get(pk=order.pk).state for order in (paid, unpaid)]
    assert states == [Order.State.FULFILLED, Order.State.CANCELLED]
    assert settling.cancel(unpaid.pk).state == Order.State.CANCELLED
    refused(lambda: checkout.start(Order.objects.get(pk=unpaid.pk)), "order_closed")


def test_fee_rules(shop: Shop) -> None:
    seller, now = shop.repo.namespace, timezone.now()
    assert fees.fee_on(1000, seller, now) == 0
    FeeRule.objects.create(basis_points=500, starts_at=now - timedelta(days=2))
    FeeRule.objects.create(basis_points=700, starts_at=now + timedelta(days=2))
    assert fees.fee_on(1000, seller, now) == 50
    FeeRule.objects.create(namespace=seller, basis_points=10_000, starts_at=now)
    assert fees.fee_on(1000, seller, now) == 1000


def test_the_ledger_refuses_what_does_not_balance(shop: Shop) -> None:
    order = shop.buy()
    entry = ledger.Entry(ledger.Kind.GATEWAY, 5, LedgerEntry.Purpose.MONEY)
    at = {"gateway": "sandbox", "currency": "EUR"}
    kind = LedgerMovement.Kind.PAYMENT
    refused(lambda: ledger.book(kind, "x", [entry], **at), "unbalanced")
    back = replace(entry, account=ledger.Kind.DEPOSITS, amount_minor=-5)
    assert ledger.book(kind, "x", [entry, back], **at)
    before = counts()
    assert not ledger.book(kind, "x", [entry, back], **at)
    assert counts() == before
    entries = LedgerEntry.objects.filter(movement__order=order, movement__kind=kind)
    assert [row.movement.kind for row in entries] == [kind, kind]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE licensing_ledgerentry SET amount_minor = 1",
        "DELETE FROM licensing_ledgerentry",
        "UPDATE licensing_ledgermovement SET key = 'x'",
        "UPDATE licensing_terms SET title = 'x'",
        "DELETE FROM licensing_terms",
        "INSERT INTO licensing_ledgerentry (movement_id, account_id, purpose, amount_minor, hold,"
        " available_at) SELECT movement_id, account_id, purpose, 7, '', now()"
        " FROM licensing_ledgerentry LIMIT 1",
    ],
)
def test_the_database_itself_keeps_the_ledger(shop: Shop, statement: str) -> None:
    shop.buy()
    before = list(LedgerEntry.objects.values_list("id", "amount_minor"))
    assert before

    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    assert list(LedgerEntry.objects.values_list("id", "amount_minor")) == before


def test_open_repos_agree_with_the_door(shop: Shop) -> None:
    """For a sold model and everybody who may come, as it is, gated, taken down, private."""
    shop.buy()
    make_user("bob")
    team = make_org("acme", bob="read")
    people = [shop.buyer, shop.seller, team.memberships.get().user, make_user("sue", is_staff=True)]
    for changes in (
        {},
        {"gate": "manual"},
        {"disabled_reason": "spam"},
        {"disabled_reason": "", "is_private": True},
        {"is_private": False, "opens_at": timezone.now()},
    ):
        ModelRepo.objects.filter(pk=shop.repo.pk).update(**changes)
        repo = ModelRepo.objects.select_related("namespace").get(pk=shop.repo.pk)
        for viewer in [Viewer(), *[Viewer(user=user) for user in people]]:
            visible = ModelRepo.objects.visible_to(viewer).filter(pk=repo.pk).exists()
            may = visible and may_see_contents(viewer, repo)
            assert open_repos(viewer).filter(pk=repo.pk).exists() == may, (changes, viewer)
        check_contents(shop.buying, repo)
        assert ModelRepo.objects.visible_to(shop.buying).filter(pk=repo.pk).exists()
