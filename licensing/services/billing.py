"""Whom an invoice is for: read strictly, and proposed again."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from accounts.viewer import Viewer
from licensing.models import Order
from licensing.tax.parties import BadAddressError, BillingAddress

_NEEDED = {"name", "lines", "city", "country"}
_OPTIONAL = {"kind": "person", "postcode": "", "region": "", "vat_number": ""}


def read(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return an address as orders keep it.

    Raises:
        InvalidError: a field is missing or wrong; the class says which.
    """
    if unknown := sorted(set(given) - set(_OPTIONAL) - _NEEDED):
        raise BadAddressError(
            _("There is no '%(name)s' in an address.") % {"name": unknown[0][:40]}
        )
    if missing := sorted(_NEEDED - set(given)):
        raise BadAddressError(_("The address lacks '%(name)s'.") % {"name": missing[0]})
    return BillingAddress.from_json(_OPTIONAL | dict(given)).to_json()


def last_of(viewer: Viewer) -> dict[str, Any]:
    """Return the address of the viewer's newest order that had one; else nothing."""
    rows = Order.objects.filter(buyer=viewer.signed_in()).exclude(billing={})
    newest = rows.order_by("-pk").values_list("billing", flat=True).first()
    return dict(newest or {})
