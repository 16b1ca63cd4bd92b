"""Bank transfers: instructions, parts, statements, refunds by hand, reminders."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, User
from accounts.viewer import VISITOR, Viewer
from catalog.access import PurchaseRequiredError, check_contents
from catalog.models import Grant
from licensing.gateways.base import BadEventError, GatewayRefusedError
from licensing.gateways.references import reference_of, shown
from licensing.gateways.transfer import Transfer
from licensing.models import (
    BankTransfer,
    Coupon,
    Invoice,
    LedgerAccount,
    Offer,
    Order,
    Payment,
    Price,
    Refund,
    Subscription,
    TransferReminder,
)
from licensing.services import (
    asking_prices,
    checkout,
    closing,
    dunning,
    ledger,
    order_letters,
    reconciling,
    refunds,
    settling,
    transfers,
)
from licensing.services.statements import BadStatementError
from store.core.errors import ForbiddenError, UnauthenticatedError
from store.core.models import Job
from tests.factories import proved_viewer
from tests.licensing.selling.shop import open_shop

pytestmark = pytest.mark.django_db
BANK = "GPT Store Ltd\nIBAN DE02 1203 0000 0000 2020 51"
TODAY = date(2027, 3, 10)
Kind = LedgerAccount.Kind


@pytest.fixture(autouse=True)
def by_transfer(settings: Any, time_machine: Any) -> None:
    time_machine.move_to("2027-03-10 12:00:00+00:00", tick=False)
    settings.ENV = settings.ENV.model_copy(
        update={"gateways": ("invoice", "sandbox"), "bank_details": BANK}
    )


@pytest.fixture
def clerk(staff: User) -> Viewer:
    return proved_viewer(staff)


def held(kind: LedgerAccount.Kind, **whose: Any) -> int:
    return ledger.balance(kind, gateway="invoice", currency="EUR", **whose)


def test_a_buyer_is_told_how_to_pay(by_transfer: None) -> None:
    order = open_shop().order()

    started = checkout.start(order)

    assert (started.url, started.facts) == ("", [])
    assert "€19.00" in started.instructions
    assert shown(reference_of(order.public_id)) in started.instructions
    assert BANK in started.instructions
    assert (order.gateway, order.is_test, order.state) == ("invoice", False, Order.State.OPEN)
    assert order.expires_at == order.created_at + timedelta(days=30)
    assert not Invoice.objects.exists()


def test_money_that_staff_confirm_makes_the_license(clerk: Viewer) -> None:
    shop = open_shop()
    order = shop.order()

    for _ in range(2):
        transfers.note_transfer(clerk, order, 1900, "B1", TODAY)

    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    check_contents(shop.buying, shop.repo)
    assert Payment.objects.get().external_id == "B1"
    assert BankTransfer.objects.count() == 1
    assert Invoice.objects.get().document["is_test"] is False
    assert AuditEvent.objects.filter(action="transfer.note").count() == 1
    assert list(reconciling.differences()) == []


def test_parts_add_up(clerk: Viewer) -> None:
    shop = open_shop()
    order = shop.order()

    transfers.note_transfer(clerk, order, 1000, "B1", TODAY)

    order.refresh_from_db()
    assert (order.state, order.due_minor) == (Order.State.OPEN, 900)
    with pytest.raises(PurchaseRequiredError):
        check_contents(shop.buying, shop.repo)
    assert "€9.00" in checkout.start(order).instructions
    transfers.note_transfer(clerk, order, 900, "B2", TODAY)
    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED


def test_too_much_goes_back_by_hand(clerk: Viewer, run_jobs: Any) -> None:
    order = open_shop().order()
    transfers.note_transfer(clerk, order, 2500, "B1", TODAY)
    refund = Refund.objects.get()
    assert (refund.amount_minor, refund.is_surplus) == (600, True)

    refunds.send(refund.pk)

    refund.refresh_from_db()
    assert refund.state == Refund.State.FAILED
    assert "by hand" in refund.answer
    assert "€6.00" in refund.answer
    assert held(Kind.DEPOSITS) == 600
    for _ in range(2):
        refund = transfers.mark_refund_sent(clerk, refund, "OUT1", TODAY)
    assert refund.state == Refund.State.DONE
    assert (held(Kind.DEPOSITS), held(Kind.GATEWAY)) == (0, 1900)
    assert Payment.objects.get().refunded_minor == 600
    assert list(reconciling.differences()) == []


def test_what_came_in_two_parts_goes_back_in_two(clerk: Viewer) -> None:
    order = open_shop().order()
    transfers.note_transfer(clerk, order, 1000, "B1", TODAY)
    transfers.note_transfer(clerk, order, 900, "B2", TODAY)
    order.refresh_from_db()

    refund = refunds.give_back(clerk, order, None, "sorry")
    assert refund.state == Refund.State.FAILED
    assert Grant.objects.get().state == Grant.State.REVOKED
    for number, piece in enumerate(order.refunds.order_by("pk")):
        refunds.send(piece.pk)
        transfers.mark_refund_sent(clerk, piece, f"OUT{number}", TODAY)

    assert sorted(order.refunds.values_list("amount_minor", "state")) == [
        (900, Refund.State.DONE),
        (1000, Refund.State.DONE),
    ]
    assert sorted(Payment.objects.values_list("amount_minor", "refunded_minor")) == [
        (900, 900),
        (1000, 1000),
    ]
    assert held(Kind.GATEWAY) == held(Kind.DEPOSITS) == 0


def test_a_refund_marked_while_the_job_still_tries_is_done_once(clerk: Viewer) -> None:
    order = open_shop().order()
    transfers.note_transfer(clerk, order, 2500, "B1", TODAY)
    refund = Refund.objects.get()
    transfers.mark_refund_sent(clerk, refund, "OUT1", TODAY)
    Refund.objects.update(state=Refund.State.SENDING)

    facts = Transfer().refund(
        payment_id="B1", amount_minor=600, currency="EUR", key=refund.public_id
    )

    assert [(fact.event_id, fact.key) for fact in facts] == [("bank:OUT1", refund.public_id)]


def test_a_refund_that_does_not_wait_cannot_be_marked(clerk: Viewer) -> None:
    order = open_shop().order()
    transfers.note_transfer(clerk, order, 1900, "B1", TODAY)
    order.refresh_from_db()
    asked = refunds.ask(Viewer(user=order.buyer), order, None, "no use")

    with pytest.raises(transfers.RefundNotWaitingError):
        transfers.mark_refund_sent(clerk, asked, "OUT1", TODAY)

    assert BankTransfer.objects.count() == 1
    asked.refresh_from_db()
    assert asked.state == Refund.State.ASKED


def test_a_refund_is_sent_under_one_number(clerk: Viewer) -> None:
    order = open_shop().order()
    transfers.note_transfer(clerk, order, 2500, "B1", TODAY)
    refund = Refund.objects.get()
    transfers.mark_refund_sent(clerk, refund, "OUT1", TODAY)

    with pytest.raises(transfers.TransferKnownError):
        transfers.mark_refund_sent(clerk, refund, "OUT2", TODAY)

    assert BankTransfer.objects.filter(refund=refund).count() == 1
    assert held(Kind.GATEWAY) == 1900


def test_the_same_number_cannot_say_something_else(clerk: Viewer) -> None:
    shop = open_shop()
    order, other = shop.order("a"), shop.order("b")
    transfers.note_transfer(clerk, order, 100, "B1", TODAY)

    for target, amount, day in (
        (order, 101, TODAY),
        (order, 100, TODAY - timedelta(days=1)),
        (other, 100, TODAY),
    ):
        with pytest.raises(transfers.TransferKnownError):
            transfers.note_transfer(clerk, target, amount, "B1", day)

    assert Payment.objects.get().amount_minor == 100
    other.refresh_from_db()
    assert other.paid_minor == 0


@pytest.mark.parametrize(
    ("amount", "ref", "day"),
    [
        (0, "B1", TODAY),
        (-5, "B1", TODAY),
        (10**12 + 1, "B1", TODAY),
        (100, "", TODAY),
        (100, "  ", TODAY),
        (100, "x" * 91, TODAY),
        (100, "a\nb", TODAY),
        (100, "B1", TODAY + timedelta(days=1)),
    ],
)
def test_nonsense_is_not_noted(amount: int, ref: str, day: date, clerk: Viewer) -> None:
    order = open_shop().order()

    with pytest.raises(transfers.BadTransferError):
        transfers.note_transfer(clerk, order, amount, ref, day)

    assert not BankTransfer.objects.exists()
    assert not Payment.objects.exists()


def test_only_staff_speak_for_the_bank(clerk: Viewer) -> None:
    shop = open_shop()
    order = shop.order()
    transfer = BankTransfer.objects.create(
        bank_ref="B9", amount_minor=1900, currency="EUR", booked_on=TODAY
    )
    refund = Refund.objects.create(order=order, state=Refund.State.SENDING, amount_minor=5)

    for viewer in (shop.buying, shop.selling):
        for act in (
            lambda v: transfers.note_transfer(v, order, 1900, "B1", TODAY),
            lambda v: transfers.assign(v, transfer, order),
            lambda v: transfers.import_statement(v, b""),
            lambda v: transfers.mark_refund_sent(v, refund, "OUT", TODAY),
        ):
            with pytest.raises(ForbiddenError):
                act(viewer)
    with pytest.raises(UnauthenticatedError):
        transfers.note_transfer(VISITOR, order, 1900, "B1", TODAY)

    order.refresh_from_db()
    assert (order.state, BankTransfer.objects.count()) == (Order.State.OPEN, 1)


def test_orders_paid_otherwise_take_no_transfers(clerk: Viewer) -> None:
    order = open_shop().order()
    Order.objects.update(gateway="sandbox")
    order.refresh_from_db()
    row = BankTransfer.objects.create(
        bank_ref="B9", amount_minor=1900, currency="EUR", booked_on=TODAY
    )
    refund = Refund.objects.create(order=order, state=Refund.State.SENDING, amount_minor=5)

    for act in (
        lambda: transfers.note_transfer(clerk, order, 1900, "B1", TODAY),
        lambda: transfers.assign(clerk, row, order),
        lambda: transfers.mark_refund_sent(clerk, refund, "OUT", TODAY),
    ):
        with pytest.raises(transfers.NotATransferError):
            act()

    assert BankTransfer.objects.count() == 1
    assert not Payment.objects.exists()


def statement(*lines: str) -> bytes:
    return "\n".join(["date,amount,currency,reference", *lines]).encode()


def test_a_statement_finds_its_orders_by_reference(clerk: Viewer) -> None:
    shop = open_shop()
    first, second, third = (shop.order(key) for key in "abc")
    one, two = (shown(reference_of(order.public_id)) for order in (first, second))
    data = statement(
        f'2027-03-09,19.00,EUR,"Invoice {one}, thanks"',
        f"2027-03-09,10.00,EUR,{two.lower().replace(' ', '')}",
        "2027-03-09,-500.00,EUR,Rent",
        "2027-03-10,7.00,EUR,no reference",
        f"2027-03-10,19.00,USD,{two}",
        f"2027-03-10,19.00,EUR,{one} and {two}",
    )

    found = transfers.import_statement(clerk, data)
    again = transfers.import_statement(clerk, data)

    assert found == transfers.Imported(matched=2, known=0, unmatched=3)
    assert again == transfers.Imported(matched=0, known=5, unmatched=0)
    states = [Order.objects.get(pk=row.pk) for row in (first, second, third)]
    assert [(row.state, row.paid_minor) for row in states] == [
        (Order.State.FULFILLED, 1900),
        (Order.State.OPEN, 1000),
        (Order.State.OPEN, 0),
    ]
    assert [row.amount_minor for row in transfers.unmatched()] == [1900, 1900, 700]


def test_a_listed_transfer_is_given_its_order(clerk: Viewer) -> None:
    shop = open_shop()
    order, other = shop.order("a"), shop.order("b")
    transfers.import_statement(clerk, statement("2027-03-10,19.00,EUR,from ada"))
    [row] = transfers.unmatched()
    assert Transfer().facts_of("") == []

    for _ in range(2):
        transfers.assign(clerk, row, order)

    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED
    assert not transfers.unmatched().exists()
    with pytest.raises(transfers.TransferKnownError):
        transfers.assign(clerk, row, other)
    other.refresh_from_db()
    assert other.paid_minor == 0


def test_a_statement_with_a_bad_line_notes_nothing(clerk: Viewer) -> None:
    order = open_shop().order()
    good = f"2027-03-09,19.00,EUR,{reference_of(order.public_id)}"

    with pytest.raises(BadStatementError) as caught:
        transfers.import_statement(clerk, statement(good, "2027-03-09,x,EUR,y"))

    assert caught.value.extra == {"line": 3}
    assert not BankTransfer.objects.exists()
    order.refresh_from_db()
    assert order.state == Order.State.OPEN


def test_money_for_a_cancelled_order_makes_it_a_sale_after_all(
    clerk: Viewer, time_machine: Any
) -> None:
    order = open_shop().order()
    time_machine.shift(timedelta(days=31))
    assert closing.close_expired() == 1

    transfers.note_transfer(clerk, order, 1900, "B1", TODAY)

    order.refresh_from_db()
    assert order.state == Order.State.FULFILLED


def test_a_coupon_for_one_order_pays_one_of_those_that_were_cancelled(clerk: Viewer) -> None:
    shop = open_shop()
    Coupon.objects.create(
        namespace=shop.repo.namespace, code="HALF", basis_points=5000, most_uses_each=1
    )
    orders = []
    for key in ("a", "b", "c"):
        orders.append(shop.order(key, coupon="half"))
        settling.cancel(orders[-1].pk)

    for number, order in enumerate(orders):
        transfers.note_transfer(clerk, order, 950, f"B{number}", TODAY)
        order.refresh_from_db()

    assert [order.state for order in orders] == ["fulfilled", "cancelled", "cancelled"]
    assert [order.refunded_minor for order in orders] == [0, 950, 950]
    assert Refund.objects.filter(is_surplus=True, amount_minor=950).count() == 2
    assert Grant.objects.count() == Invoice.objects.count() == 1
    assert held(Kind.DEPOSITS) == 1900
    assert list(reconciling.differences()) == []


@pytest.mark.parametrize("ended", ["launch", "coupon", "deleted coupon"])
def test_money_for_a_price_that_is_gone_goes_back(
    ended: str, clerk: Viewer, time_machine: Any
) -> None:
    shop, coupon = open_shop(), ""
    if ended == "launch":
        until = timezone.now() + timedelta(days=2)
        Price.objects.update(amount_minor=2900, launch_minor=1900, launch_until=until)
        asking_prices.refresh_prices([shop.repo.pk])
    else:
        made = Coupon.objects.create(
            namespace=shop.repo.namespace, code="TEN", amount_minor=100, currency="EUR"
        )
        coupon = made.code
    order = shop.order(coupon=coupon)
    time_machine.shift(timedelta(days=31))
    assert closing.close_expired() == 1
    asking_prices.refresh_due()
    if ended == "coupon":
        Coupon.objects.update(is_active=False)
    elif ended == "deleted coupon":
        Coupon.objects.all().delete()

    transfers.note_transfer(clerk, order, order.gross_minor, "B1", TODAY)

    order.refresh_from_db()
    assert (order.state, order.paid_at) == (Order.State.CANCELLED, None)
    assert order.refunded_minor == order.paid_minor == order.gross_minor
    assert not Grant.objects.exists()
    assert list(reconciling.differences()) == []


def test_reminders_come_after_one_week_and_three(
    time_machine: Any, run_jobs: Any, mailoutbox: list[Any]
) -> None:
    order = open_shop().order()
    Job.objects.all().delete()
    reminded = []

    for day in range(32):
        reminded += [day] * transfers.remind()
        run_jobs()
        closing.close_expired()
        Job.objects.all().delete()
        time_machine.shift(timedelta(days=1))

    assert reminded == [7, 21]
    assert len(mailoutbox) == 2
    assert mailoutbox[0].to == [order.buyer.email]
    assert shown(reference_of(order.public_id)) in mailoutbox[0].body
    assert "€19.00" in mailoutbox[0].body
    assert BANK in mailoutbox[0].body
    order.refresh_from_db()
    assert order.state == Order.State.CANCELLED


def test_who_has_paid_is_not_reminded(
    clerk: Viewer, time_machine: Any, run_jobs: Any, mailoutbox: list[Any]
) -> None:
    order = open_shop().order()
    Job.objects.all().delete()
    time_machine.shift(timedelta(days=8))
    assert transfers.remind() == 1
    transfers.note_transfer(clerk, order, 1900, "B1", TODAY)
    letter = Job.objects.get(name="licensing.send_order_letter")

    assert order_letters.send(**letter.args) == 0
    assert transfers.remind() == 0
    assert TransferReminder.objects.count() == 1
    assert mailoutbox == []


def test_the_letters_tell_that_a_discount_ends(
    clerk: Viewer, time_machine: Any, run_jobs: Any, mailoutbox: list[Any]
) -> None:
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    Coupon.objects.create(namespace=shop.repo.namespace, code="HALF", basis_points=5000, periods=2)
    course = "(€9.50 a month for the first 2 months, then €19.00 a month.)"
    order, sums = shop.order(coupon="HALF"), []
    time_machine.shift(timedelta(days=8))
    assert transfers.remind() == 1

    for number, amount in enumerate((950, 950, 1900, 1900)):
        run_jobs()
        sums.append(mailoutbox[-1].body.partition("Amount: ")[2].partition("\n")[0])
        mailoutbox.clear()
        transfers.note_transfer(clerk, order, amount, f"B{number}", timezone.now().date())
        Job.objects.all().delete()
        row = Subscription.objects.get()
        assert row.periods == number + 1
        time_machine.move_to(row.paid_until - timedelta(days=14), tick=False)
        assert dunning.renew_due() == 0
        order = Order.objects.latest("pk")

    assert sums == [f"€9.50 {course}", f"€9.50 {course}", f"€19.00 {course}", "€19.00"]
    assert list(reconciling.differences()) == []


def test_a_subscription_is_asked_for_two_weeks_before(
    clerk: Viewer, time_machine: Any, run_jobs: Any, mailoutbox: list[Any]
) -> None:
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    transfers.note_transfer(clerk, shop.order(), 1900, "B1", TODAY)
    row = Subscription.objects.get()
    Job.objects.all().delete()
    time_machine.move_to(row.paid_until - timedelta(days=15), tick=False)
    assert dunning.renew_due() == 0
    assert Order.objects.count() == 1

    time_machine.move_to(row.paid_until - timedelta(days=14), tick=False)
    for _ in range(2):
        assert dunning.renew_due() == 0
    run_jobs()

    renewal = Order.objects.get(renews=row)
    assert "next period" in mailoutbox[0].body
    assert shown(reference_of(renewal.public_id)) in mailoutbox[0].body
    assert len(mailoutbox) == 1
    transfers.note_transfer(clerk, renewal, 1900, "B2", timezone.now().date())
    row.refresh_from_db()
    assert (row.periods, row.attempts) == (2, 0)


def test_an_unpaid_transfer_ends_its_subscription(clerk: Viewer, time_machine: Any) -> None:
    shop = open_shop(kind=Offer.Kind.SUBSCRIPTION, interval="month")
    transfers.note_transfer(clerk, shop.order(), 1900, "B1", TODAY)
    row = Subscription.objects.get()
    time_machine.move_to(row.paid_until - timedelta(days=14), tick=False)
    dunning.renew_due()
    time_machine.shift(timedelta(days=31))
    closing.close_expired()

    dunning.renew_due()

    row.refresh_from_db()
    assert row.state == Subscription.State.ENDED


def test_letters_to_nobody_are_not_sent(mailoutbox: list[Any]) -> None:
    order = open_shop().order()
    assert order_letters.ask_for_transfer(order, 1) is True
    assert order_letters.ask_for_transfer(order, 1) is False
    Order.objects.update(buyer=None)
    reminder = TransferReminder.objects.get()

    assert order_letters.send("transfer", reminder.pk, "en") == 0
    assert order_letters.send("unpaid", order.pk, "en") == 0
    assert mailoutbox == []


def test_a_bank_pays_nobody_by_itself_and_sends_no_messages(client: Any) -> None:
    gateway = Transfer()

    with pytest.raises(GatewayRefusedError):
        gateway.pay_out(account="x", amount_minor=5, currency="EUR", key="k")
    with pytest.raises(BadEventError):
        gateway.read_event(b"{}", {})
    assert client.post("/gateways/invoice/events", b"{}", "application/json").status_code == 400
    assert gateway.saved_method("x") == ""
    gateway.end_subscription("x", at_once=True)


def test_cancelling_sends_part_payments_back(clerk: Viewer) -> None:
    order = open_shop().order()
    transfers.note_transfer(clerk, order, 1000, "B1", TODAY)

    settling.cancel(order.pk)

    assert Refund.objects.get().amount_minor == 1000
    assert held(Kind.DEPOSITS) == 1000
