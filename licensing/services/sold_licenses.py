"""The licenses a seller sold, with what a page shows of each."""

import re

from django.db.models import Q, QuerySet

from accounts.models import Namespace
from licensing.models import License

MAX_SEARCH_CHARS = 100
_PUBLIC_ID = re.compile(r"[0-9a-f]{24}")


def sold_licenses(seller: Namespace, *, search: str = "") -> QuerySet[License]:
    """Return the licenses of a seller, newest first, with grant, holder and order.

    Args:
        seller: Whose; the caller has passed ``seller_for``.
        search: Part of the licensee's or holder's name or the title, or the id of a license;
            empty: all.
    """
    rows = License.objects.filter(seller=seller).select_related("grant", "holder", "line__order")
    word = search.strip()[:MAX_SEARCH_CHARS]
    if _PUBLIC_ID.fullmatch(word):
        rows = rows.filter(public_id=word)
    elif word:
        named = Q(licensee__icontains=word) | Q(holder__name__icontains=word)
        rows = rows.filter(named | Q(title__icontains=word))
    return rows.order_by("-pk")


def country_of(license_: License) -> str:
    """Return the country of the buyer's address, two capitals; empty: none was asked for."""
    return str(license_.line.order.billing.get("country", ""))
