"""Components of selling: the way to one's sales, states of orders and refunds as badges."""

from typing import Any, TypedDict

from django import template
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from catalog.models import Grant
from licensing.models import License, Order, Refund
from licensing.services.sellers import has_sales
from licensing.templatetags.licensing_ui import Badge, Tones, state_badge

register = template.Library()


class SalesLink(TypedDict):
    """A line of the user's menu."""

    has_sales: bool


@register.inclusion_tag("licensing/_sales_link.html", takes_context=True)
def sales_link(context: dict[str, Any]) -> SalesLink:
    """Show the way to the sales of people who sell, or run a team that does. One query."""
    request = context.get("request")
    viewer = getattr(request, "viewer", None) if isinstance(request, HttpRequest) else None
    user = viewer.user if isinstance(viewer, Viewer) else None
    return {"has_sales": user is not None and has_sales(user)}


_ORDERS: Tones = {
    Order.State.PAID: ("info", "clock"),
    Order.State.FULFILLED: ("good", "check"),
    Order.State.DISPUTED: ("bad", "warn"),
    Order.State.REFUNDED: ("", "cross"),
}
_REFUNDS: Tones = {
    Refund.State.ASKED: ("caution", "clock"),
    Refund.State.SENDING: ("info", "clock"),
    Refund.State.DONE: ("good", "check"),
    Refund.State.FAILED: ("bad", "warn"),
}


@register.inclusion_tag("components/badge.html")
def sale_badge(order: Order) -> Badge:
    """Show where an order stands."""
    return state_badge(order, _ORDERS)


@register.inclusion_tag("components/badge.html")
def license_badge(license_: License) -> Badge:
    """Show whether a license of one's own opens anything now."""
    grant = license_.grant
    if grant.state == Grant.State.REVOKED:
        text, tone, symbol = _("Taken back"), "", "cross"
    elif license_.suspended_at is not None:
        text, tone, symbol = _("Suspended"), "caution", "lock"
    elif grant.state == Grant.State.FROZEN:
        text, tone, symbol = _("Disputed"), "bad", "warn"
    elif grant.ends_at is not None and grant.ends_at <= timezone.now():
        text, tone, symbol = _("Run out"), "", "clock"
    else:
        text, tone, symbol = _("In force"), "good", "check"
    return {"text": text, "tone": tone, "symbol": symbol, "hint": ""}


@register.inclusion_tag("components/badge.html")
def refund_badge(refund: Refund) -> Badge:
    """Show where a refund stands."""
    return state_badge(refund, _REFUNDS)
