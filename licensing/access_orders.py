"""The one door to orders and their documents. Absent and hidden look the same."""

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from accounts.models import Role
from accounts.viewer import Viewer
from licensing.invoices.document import DocumentKind
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
    theirs = _bought_by(viewer) | _sold_by(viewer)
    rows = Invoice.objects.filter(Q() if viewer.is_staff else theirs)
    found = rows.filter(public_id=public_id).first()
    if found is None:
        raise InvoiceNotFoundError(_("You have no such document."))
    return found


def papers_of(viewer: Viewer, *, sold: bool = False) -> QuerySet[Invoice]:
    """Return the invoices and credit notes the viewer got, or issued as a seller, newest first."""
    rows = Invoice.objects.filter(_sold_by(viewer) if sold else _bought_by(viewer))
    papers = rows.exclude(kind=DocumentKind.STATEMENT.value)
    return papers.select_related("seller", "corrects").order_by("-id")


def _bought_by(viewer: Viewer) -> Q:
    return Q(buyer=viewer.signed_in()) | Q(holder_id__in=_administered(viewer))


def _sold_by(viewer: Viewer) -> Q:
    viewer.signed_in()
    return Q(seller_id__in=_administered(viewer))


def _administered(viewer: Viewer) -> list[int]:
    return [pk for pk, role in viewer.roles.items() if role == Role.ADMIN]


def invoices_of(*orders: Order) -> QuerySet[Invoice]:
    """Return the documents of orders, in the order they were issued."""
    rows = Invoice.objects.filter(order_ref__in=[order.public_id for order in orders])
    return rows.select_related("seller", "corrects").order_by("id")
