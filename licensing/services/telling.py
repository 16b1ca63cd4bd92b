"""Telling people of sales and refunds: a receipt and answers to the buyer, events to the sellers.

Sellers hear as of everything else that happens to their models: in the inbox, by mail and by
webhook, each as they chose.
"""

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts.services import mailing
from catalog.models import ModelRepo, RepoEvent
from catalog.services.events import emit
from licensing.models import Order, OrderLine, Refund
from licensing.services import order_letters
from licensing.services.offer_words import course_text
from store.core.money import Money, show


def tell_sale(order_id: int) -> int:
    """Send the buyer a receipt; the work of the job.

    Returns:
        How many letters were sent: 0 when the buyer has left.

    Raises:
        MailError: the server could not be reached; worth another attempt.
    """
    rows = Order.objects.select_related("buyer", "holder").prefetch_related("lines")
    order = rows.get(pk=order_id)
    if order.buyer is None or not order.buyer.is_active:
        return 0
    with override(settings.LANGUAGE_CODE):
        return mailing.deliver(_receipt(order, order.buyer.email))


def note_sale(order: Order) -> None:
    """Note a completed sale as an event of each model sold, in the caller's transaction."""
    for line in order.lines.prefetch_related("repos__namespace"):
        _note(line, order, RepoEvent.Action.CREATE)


def note_refund(order: Order, lines: list[OrderLine]) -> None:
    """Note that lines were given back, in the caller's transaction."""
    for line in lines:
        _note(line, order, RepoEvent.Action.DELETE)


def note_request(order: Order, lines: list[OrderLine]) -> None:
    """Note that the buyer asks for the price of lines, in the caller's transaction."""
    for line in lines:
        _note(line, order, RepoEvent.Action.UPDATE)


def note_answer(refund: Refund) -> None:
    """Tell the buyer that a refund was granted or declined, in the caller's transaction.

    On the site by an event of the first line's model, and by a letter.
    """
    order = refund.order
    person = refund.asked_by or order.buyer
    line = refund.line or order.lines.order_by("position").first()
    if person is None or line is None:
        return
    repo = _place_of(line)
    if repo is not None:
        is_declined = refund.state == Refund.State.DECLINED
        emit(
            RepoEvent.Scope.SALE,
            RepoEvent.Action.UPDATE,
            repo=repo,
            actor=None,  # staff decide, too, and need not be named
            title=line.title,
            order=order.public_id,
            status="declined" if is_declined else "accepted",
            buyer_id=person.pk,
        )
    order_letters.tell_refund(refund)


def _place_of(line: OrderLine) -> ModelRepo | None:
    """Return the first model of a line, where its events are noted: a bundle is one sale."""
    return line.repos.select_related("namespace").order_by("pk").first()


def _note(line: OrderLine, order: Order, action: RepoEvent.Action) -> None:
    repo = _place_of(line)
    if repo is None:
        return
    sale = {
        "order": order.public_id,
        "line": line.public_id,
        "title": line.title,
        "quantity": line.quantity,
        "currency": order.currency,
        "netMinor": line.net_minor,
        "taxMinor": line.tax_minor,
        "grossMinor": line.gross_minor,
        "refundedMinor": line.refunded_minor,
        "test": order.is_test,
    }
    emit(RepoEvent.Scope.SALE, action, repo=repo, actor=order.buyer, title=line.title, sale=sale)


def _receipt(order: Order, to: str) -> EmailMessage:
    context: dict[str, object] = {
        "order": order,
        "user": order.buyer,
        "lines": [
            (
                line,
                show(Money(line.gross_minor, order.currency), "en"),
                course_text(line, line.interval, order.currency),
            )
            for line in order.lines.all()
        ],
        "total": show(Money(order.gross_minor, order.currency), "en"),
        "link": settings.PUBLIC_URL + order.get_absolute_url(),
        "library": f"{settings.PUBLIC_URL}/library",
    }
    subject = _("Your licenses from %(site)s") % {"site": settings.SITE_NAME}
    if order.is_test:
        subject = f"TEST · {subject}"
    letter = mailing.compose(subject, "licensing/mail/receipt.txt", context, to)
    letter.extra_headers = {"Auto-Submitted": "auto-generated"}
    return letter
