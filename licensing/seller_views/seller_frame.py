"""What all pages of a seller's sales share: whose they are, and the way between them."""

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest

from accounts.models import Namespace
from accounts.viewer import Viewer
from accounts.views.guards import viewer_of
from licensing.services.sellers import seller_for, sellers_of
from licensing.services.sold_orders import waiting_requests


def seller_of(request: HttpRequest) -> Namespace:
    """Return the seller the address names; without a name, the person's own name space.

    Raises:
        SellerNotFoundError: not theirs to see.
    """
    return seller_for(viewer_of(request), request.GET.get("seller", ""))


def seller_context(viewer: Viewer, seller: Namespace, section: str) -> dict[str, Any]:
    """Return what the head of every page of sales needs.

    Args:
        viewer: Who looks.
        seller: Whose sales.
        section: Which page: ``overview``, ``orders`` and so on.
    """
    return {
        "seller": seller,
        "sellers": sellers_of(viewer),
        "of_seller": of_seller(viewer, seller),
        "section": section,
        "waiting": waiting_requests(seller),
    }


def of_seller(viewer: Viewer, seller: Namespace, **more: str) -> str:
    """Return the query of an address that stays with this seller; empty where none is needed."""
    user = viewer.signed_in()
    named = {} if seller.user_id == user.pk else {"seller": seller.name}
    query = urlencode(named | {name: value for name, value in more.items() if value})
    return f"?{query}" if query else ""
