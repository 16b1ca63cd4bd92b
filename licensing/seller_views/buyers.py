"""Who holds licenses of a seller, and whether they open anything."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.models import Namespace, User
from accounts.viewer import Viewer
from accounts.views.guards import recent, viewer_of
from licensing.access import license_for, no_such_license
from licensing.seller_views.seller_frame import of_seller, seller_context, seller_of
from licensing.services import license_keys
from licensing.services.sold_licenses import sold_licenses
from store.core.errors import InvalidError, StoreError
from store.core.paging import BadCursorError, keyset_page

PAGE = 50
MAX_REASON_CHARS = 300


@require_http_methods(["GET", "HEAD", "POST"])
@recent
def buyers_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show the licenses a seller sold; suspend one, or let it count again."""
    viewer, seller = viewer_of(request), seller_of(request)
    search, status = request.GET.get("q", ""), 200
    if request.method == "POST":
        try:
            _act(request, viewer, seller)
        except StoreError as error:
            status = error.status
            messages.error(request, error.message)
        else:
            return redirect(f"/sales/buyers{of_seller(viewer, seller, q=search)}")
    rows = sold_licenses(seller, search=search)
    try:
        found, following = keyset_page(rows, request.GET.get("cursor"), PAGE)
    except BadCursorError:  # an old link: start at the front
        found, following = keyset_page(rows, None, PAGE)
    more = of_seller(viewer, seller, q=search, cursor=following or "")
    context = seller_context(viewer, seller, "buyers") | {
        "licenses": found,
        "search": search,
        "next_href": more if following else "",
        "max_reason_chars": MAX_REASON_CHARS,
    }
    return render(request, "licensing/buyers.html", context, status=status)


def _act(request: HttpRequest, viewer: Viewer, seller: Namespace) -> None:
    """Suspend a license or reinstate it.

    Raises:
        LicenseNotFoundError: it is none of this seller's.
        StoreError: what the service refuses.
    """
    sent = request.POST
    found = license_for(viewer, sent.get("license", ""), to="police")
    if found.seller_id != seller.pk:
        raise no_such_license()
    if sent.get("act") == "suspend":
        license_keys.suspend(viewer, found, sent.get("words", ""))
        messages.success(request, _("The license is suspended: it opens nothing until you say so."))
    elif sent.get("act") == "reinstate":
        license_keys.reinstate(viewer, found)
        messages.success(request, _("The license counts again."))
    else:
        raise InvalidError(_("Choose what to do."))
