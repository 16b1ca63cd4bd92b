"""A seller's own affairs: coupons, who they are on documents, and their books as tables."""

from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.views.guards import (
    check_recent,
    recent,
    recent_to_open,
    two_factor_required,
    viewer_of,
)
from licensing.forms_seller import CouponForm, SellerForm, profile_values
from licensing.models import Offer
from licensing.seller_views.seller_frame import of_seller, seller_context, seller_of
from licensing.services import seller_profiles
from licensing.services.coupon_making import coupons_of, end_coupon, make_coupon
from licensing.services.sales_tables import TABLES
from licensing.services.taxing import rate_missing
from store.core.errors import NotFoundError, StoreError
from store.core.spreadsheets import csv_answer

MOST_COUPONS = 500
"""Coupons the page lists: those that are good first."""


class TableNotFoundError(NotFoundError):
    """There is no such table."""

    code = "table_not_found"


@require_safe
@recent
def coupons_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show a seller's coupons and how often each was used."""
    viewer, seller = viewer_of(request), seller_of(request)
    context = seller_context(viewer, seller, "coupons")
    context |= {"coupons": list(coupons_of(seller)[:MOST_COUPONS]), "now": timezone.now()}
    return render(request, "licensing/coupons.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@recent_to_open
def new_coupon_page(request: HttpRequest, user: User) -> HttpResponse:
    """Make a coupon."""
    viewer, seller = viewer_of(request), seller_of(request)
    rows = Offer.objects.filter(namespace=seller, is_active=True)
    offers = list(rows.prefetch_related("repos__namespace").order_by("position", "pk"))
    sent = request.POST if request.method == "POST" else None
    form, status = CouponForm(sent, offers=offers), 200
    if form.is_valid():
        try:
            check_recent(request)
            made = make_coupon(viewer, seller, form.draft())
        except StoreError as error:
            form.refuse(error)
        else:
            messages.success(request, _("The coupon %(code)s is good.") % {"code": made.code})
            return redirect(f"/sales/coupons{of_seller(viewer, seller)}")
    if form.errors:
        status = 400
    context = seller_context(viewer, seller, "coupons") | {"form": form}
    return render(request, "licensing/coupon_new.html", context, status=status)


@require_POST
@recent
def end_coupon_page(request: HttpRequest, user: User, coupon: str) -> HttpResponse:
    """End a coupon."""
    viewer, seller = viewer_of(request), seller_of(request)
    ended = end_coupon(viewer, seller, coupon)
    messages.success(request, _("The coupon %(code)s has ended.") % {"code": ended.code})
    return redirect(f"/sales/coupons{of_seller(viewer, seller)}")


@require_http_methods(["GET", "HEAD", "POST"])
@recent
def profile_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show and change who a seller is on documents."""
    viewer, seller = viewer_of(request), seller_of(request)
    profile = seller_profiles.profile_of(seller)
    sent = request.POST if request.method == "POST" else None
    form, status = SellerForm(sent, initial=profile_values(profile)), 200
    if form.is_valid():
        try:
            seller_profiles.change(seller, form.change(), actor=user, address=viewer.address)
        except StoreError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Saved. Documents from now on say so."))
            return redirect(f"/sales/profile{of_seller(viewer, seller)}")
    if form.errors:
        status = 400
    context = seller_context(viewer, seller, "profile") | {
        "form": form,
        "prefix": seller_profiles.prefix_of(profile),
        "name_on_documents": seller_profiles.name_on_documents(profile),
        "rate_missing": rate_missing(profile, on=timezone.now().date()),
    }
    return render(request, "licensing/seller_profile.html", context, status=status)


@require_safe
@recent
def table_file(request: HttpRequest, user: User, table: str) -> HttpResponse:
    """Send sales, buyers or ledger entries as CSV."""
    return _table(request, table, ("sales", "buyers", "entries"))


@require_safe
@two_factor_required
def payouts_file(request: HttpRequest, user: User) -> HttpResponse:
    """Send payouts as CSV."""
    return _table(request, "payouts", ("payouts",))


def _table(request: HttpRequest, table: str, known: tuple[str, ...]) -> HttpResponse:
    seller = seller_of(request)
    if table not in known:
        raise TableNotFoundError(_("There is no such table."))
    answer = csv_answer(TABLES[table](seller), f"{seller.name}-{table}.csv")
    return cast("HttpResponse", answer)  # a stream; the guards only set its headers
