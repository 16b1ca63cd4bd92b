"""The one door to orders and their documents. Absent and hidden look the same."""

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts.models import Role
from accounts.viewer import Viewer
from licensing.models import Invoice, Order
from licensing.services.ordering import OrderNotFoundError
from store.core.errors import ForbiddenError, NotFoundError

_WRITERS = {Role.ADMIN, Role.WRITE}


class InvoiceNotFoundError(NotFoundError):
    """There is no such document, or it is not this person's."""

    code = "invoice_not_found"


def orders_of(viewer: Viewer) -> QuerySet[Order]:
    """Return the orders the viewer made or that are for their teams, newest first."""
    user = viewer.signed_in()
    mine = Q(buyer=user) | Q(holder_id__in=list(viewer.roles))
    return Order.objects.filter(mine).select_related("holder", "buyer").order_by("-id")


def order_seen_by(viewer: Viewer, public_id: str) -> Order:
    """Return an order to its buyer, members of the team it is for, and staff.

    Raises:
        OrderNotFoundError: there is none, or not for them.
    """
    user = viewer.signed_in()
    rows = Order.objects.select_related("holder__user", "holder__organization", "buyer", "coupon")
    found = rows.filter(public_id=public_id).first()
    is_theirs = found is not None and (
        found.buyer_id == user.pk or viewer.role_in(found.holder_id) is not None or viewer.is_staff
    )
    if found is None or not is_theirs:
        raise OrderNotFoundError(_("You have no such order."))
    return found


def order_changed_by(viewer: Viewer, public_id: str) -> Order:
    """Return an order the viewer may pay, cancel or ask money back of: its buyer, its writers.

    Raises:
        OrderNotFoundError: there is none, or not for them.
        ForbiddenError: they may only look.
    """
    found = order_seen_by(viewer, public_id)
    if not may_change(viewer, found):
        raise ForbiddenError(_("Only who ordered it, or may buy for the team, can do this."))
    return found


def may_change(viewer: Viewer, order: Order) -> bool:
    """Whether the viewer may pay, cancel or ask money back of an order they see."""
    is_buyer = viewer.user is not None and order.buyer_id == viewer.user.pk
    return is_buyer or viewer.role_in(order.holder_id) in _WRITERS


def invoice_seen_by(viewer: Viewer, public_id: str) -> Invoice:
    """Return a document: to who bought, admins of whom it was for, admins of the seller, staff.

    Raises:
        InvoiceNotFoundError: there is none, or not for them.
    """
    user = viewer.signed_in()
    found = Invoice.objects.filter(public_id=public_id).first()
    if found is None or not _sees(viewer, user.pk, found):
        raise InvoiceNotFoundError(_("You have no such document."))
    return found


def _sees(viewer: Viewer, user_id: int, invoice: Invoice) -> bool:
    admins = [viewer.role_in(pk) for pk in (invoice.seller_id, invoice.holder_id) if pk]
    return invoice.buyer_id == user_id or Role.ADMIN in admins or viewer.is_staff


def invoices_of(order: Order) -> QuerySet[Invoice]:
    """Return the documents of an order, in the order they were issued."""
    return Invoice.objects.filter(order_ref=order.public_id).select_related("seller").order_by("id")
