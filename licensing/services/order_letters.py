"""Letters about orders: bank transfers that are waited for, unpaid periods, answered refunds.

Asked for in the transaction of what they are about, written when they are sent, and not at all
when the money has come meanwhile. Who wants no mail about refunds gets no letter about one.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from accounts.services import mailing
from catalog.services.notice_letters import unsubscribe_headers, unsubscribe_path
from catalog.services.notice_settings import Kind, wishes_about
from licensing.gateways import references
from licensing.models import Order, Refund, Subscription, TransferReminder
from licensing.services.offer_words import course_text
from store.core.jobs import JobName, enqueue
from store.core.money import Money, show


class OrderLetter(StrEnum):
    """Kinds of letters."""

    TRANSFER = "transfer"
    """How to pay by bank transfer; about a reminder."""
    UNPAID = "unpaid"
    """A period of a subscription was not paid; about its order."""
    ENDED = "ended"
    """The payment service ended a subscription that was to go on; about its first order."""
    REFUND = "refund"
    """A refund was granted or declined; about the refund."""


@transaction.atomic
def ask_for_transfer(order: Order, number: int) -> bool:
    """Have a buyer asked for a transfer; ``False``: this letter was written before.

    Args:
        order: What is to be paid.
        number: Which reminder it is, see ``TransferReminder``.
    """
    reminder, is_new = TransferReminder.objects.get_or_create(order=order, number=number)
    if is_new:
        _ask(OrderLetter.TRANSFER, reminder.pk)
    return is_new


def tell_unpaid(order: Order) -> None:
    """Have a buyer told that a period of their subscription was not paid."""
    _ask(OrderLetter.UNPAID, order.pk)


def tell_ended(first: Order) -> None:
    """Have a buyer told that the payment service ended the subscription an order began."""
    _ask(OrderLetter.ENDED, first.pk)


def tell_refund(refund: Refund) -> None:
    """Have a buyer told how a refund was decided."""
    _ask(OrderLetter.REFUND, refund.pk)


def send(letter: str, ident: int, language: str) -> int:
    """Write a letter and send it; the work of the job.

    Returns:
        How many were sent: 0 when it is paid by now, or the person is gone.

    Raises:
        MailError: the server could not be reached; worth another attempt.
    """
    with override(language):
        message = _WRITERS[OrderLetter(letter)](ident)
    return 0 if message is None else mailing.deliver(message)


def _ask(letter: OrderLetter, ident: int) -> None:
    language = get_language() or settings.LANGUAGE_CODE
    enqueue(
        JobName.SEND_ORDER_LETTER,
        key=f"{letter}-{ident}",
        letter=letter.value,
        ident=ident,
        language=language,
    )


def _transfer(reminder_id: int) -> EmailMessage | None:
    rows = TransferReminder.objects.select_related("order__buyer", "order__renews__line")
    reminder = rows.get(pk=reminder_id)
    order = reminder.order
    if order.state != Order.State.OPEN or order.buyer is None:
        return None
    context = _context(order) | {
        "number": reminder.number,
        "course": _course(order),
        "reference": references.shown(references.reference_of(order.public_id)),
        "bank": settings.ENV.bank_details,
        "until": order.expires_at.date(),
    }
    subject = _("Waiting for your transfer: %(title)s") % {"title": context["title"]}
    return mailing.compose(subject, "licensing/mail/transfer.txt", context, order.buyer.email)


def _unpaid(order_id: int) -> EmailMessage | None:
    order = Order.objects.select_related("buyer", "renews__line__order").get(pk=order_id)
    first = order if order.renews is None else order.renews.line.order
    line = first.lines.select_related("subscription").first()
    subscription = getattr(line, "subscription", None)
    is_paid = order.renews is not None and order.paid_at is not None
    if line is None or subscription is None or order.buyer is None or is_paid:
        return None
    due = order.due_minor or order.gross_minor
    if order.renews is None:  # a gateway that renews by itself told of it: it is no order yet
        due = line.agreed_minor(subscription.periods + 1)
    context = _context(first) | {
        "amount": show(Money(due, order.currency)),
        "paid_until": subscription.paid_until.date(),
        "next_try_on": subscription.next_try_at.date() if subscription.next_try_at else None,
        "has_ended": subscription.state == subscription.State.ENDED,
    }
    if order.state == Order.State.OPEN:  # the page of the period, where it can be paid
        context["link"] = f"{settings.PUBLIC_URL}{order.get_absolute_url()}"
    subject = _("Payment failed: %(title)s") % {"title": context["title"]}
    if order.is_test:
        subject = f"TEST · {subject}"
    return mailing.compose(subject, "licensing/mail/unpaid.txt", context, order.buyer.email)


def _ended(order_id: int) -> EmailMessage | None:
    order = Order.objects.select_related("buyer").get(pk=order_id)
    if order.buyer is None:
        return None
    subscription = Subscription.objects.get(line__order=order)
    context = _context(order) | {"paid_until": subscription.paid_until.date()}
    subject = _("Your subscription ends: %(title)s") % {"title": context["title"]}
    if order.is_test:
        subject = f"TEST · {subject}"
    return mailing.compose(subject, "licensing/mail/ended.txt", context, order.buyer.email)


def _refund(refund_id: int) -> EmailMessage | None:
    rows = Refund.objects.select_related("order__buyer", "asked_by", "line")
    refund = rows.get(pk=refund_id)
    person = refund.asked_by or refund.order.buyer
    if person is None or not person.is_active:
        return None
    if not wishes_about(Kind.SALE, [person.pk])[person.pk].by_mail:
        return None
    stop = settings.PUBLIC_URL + unsubscribe_path(person, Kind.SALE)
    context = _context(refund.order) | {
        "user": person,
        "amount": show(Money(refund.amount_minor, refund.order.currency)),
        "is_declined": refund.state == Refund.State.DECLINED,
        "reason": refund.answer if refund.state == Refund.State.DECLINED else "",
        "stop": stop,
    }
    if refund.line is not None:
        context["title"] = refund.line.title
    text = _("No refund: %(title)s") if context["is_declined"] else _("Refunded: %(title)s")
    subject = text % {"title": context["title"]}
    if refund.order.is_test:
        subject = f"TEST · {subject}"
    letter = mailing.compose(subject, "licensing/mail/refund.txt", context, person.email)
    letter.extra_headers = unsubscribe_headers(stop)
    return letter


_WRITERS: Mapping[OrderLetter, Callable[[int], EmailMessage | None]] = {
    OrderLetter.TRANSFER: _transfer,
    OrderLetter.UNPAID: _unpaid,
    OrderLetter.ENDED: _ended,
    OrderLetter.REFUND: _refund,
}


def _context(order: Order) -> dict[str, object]:
    line = order.lines.order_by("position").first()
    return {
        "order": order,
        "title": line.title if line is not None else order.public_id,
        "amount": show(Money(order.due_minor or order.gross_minor, order.currency)),
        "link": f"{settings.PUBLIC_URL}{order.get_absolute_url()}",
    }


def _course(order: Order) -> str:
    """Say that the price of a subscription rises, up to the first period that costs more."""
    subscription = order.renews
    line = subscription.line if subscription else order.lines.order_by("position").first()
    if line is None or (subscription and not line.is_discounted(subscription.periods)):
        return ""
    return course_text(line, line.interval, order.currency)
