"""Coupons as their sellers make and end them. ``coupons`` knows what one does for a buyer."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Namespace
from accounts.services.audit import record
from accounts.viewer import Viewer
from licensing.models import MAX_COUPON_PERIODS, Coupon, Offer, Order
from licensing.services.sellers import check_runs
from store.core.errors import ConflictError, InvalidError, NotFoundError
from store.core.money import (
    BASIS_POINTS,
    BadAmountError,
    BadCurrencyError,
    Money,
    check_amount,
    check_currency,
)

MAX_USES = 1_000_000
MAX_COUPONS = 1000
"""Coupons of one seller that are good at once."""
_CODE = re.compile(r"[A-Z0-9-]{3,40}", re.ASCII)


class BadCouponError(InvalidError):
    """The coupon cannot be made like this; ``extra.field`` names the value, as ``CouponDraft``."""

    code = "bad_coupon"


class CouponTakenError(ConflictError):
    """The seller has a coupon of this code, good or ended. Codes are not used again."""

    code = "coupon_taken"


class NoSuchCouponError(NotFoundError):
    """The seller has no such coupon."""

    code = "coupon_not_found"


@dataclass(frozen=True, slots=True)
class CouponDraft:
    """A coupon as its seller wants it; see ``models.Coupon``. One of rate and amount is given."""

    code: str
    basis_points: int | None = None
    amount_minor: int | None = None
    currency: str = ""
    periods: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    most_uses: int | None = None
    most_uses_each: int | None = None
    offers: tuple[str, ...] = field(default_factory=tuple)
    """Public ids; none: all of the seller's."""


def coupons_of(seller: Namespace) -> QuerySet[Coupon]:
    """Return the coupons of a seller with how often each was used, those that are good first."""
    used = Count("orders", filter=~Q(orders__state=Order.State.CANCELLED), distinct=True)
    rows = Coupon.objects.filter(namespace=seller).annotate(uses=used)
    return rows.prefetch_related("offers").order_by("-is_active", "-pk")


@transaction.atomic
def make_coupon(viewer: Viewer, seller: Namespace, draft: CouponDraft) -> Coupon:
    """Make a coupon for offers of a seller.

    Raises:
        SellerNotFoundError: not theirs.
        BadCouponError: a value is wrong.
        CouponTakenError: the code was used before. Nothing is made.
    """
    user = check_runs(viewer, seller)
    code = draft.code.strip().upper()
    amounts = _checked(draft, code)
    offers = _offers(seller, draft.offers)
    if Coupon.objects.filter(namespace=seller, is_active=True).count() >= MAX_COUPONS:
        raise _bad("code", _("You have %(n)d coupons. End some first.") % {"n": MAX_COUPONS})
    try:
        with transaction.atomic():
            coupon = Coupon.objects.create(
                namespace=seller,
                code=code,
                periods=draft.periods,
                starts_at=draft.starts_at,
                ends_at=draft.ends_at,
                most_uses=draft.most_uses,
                most_uses_each=draft.most_uses_each,
                **amounts,
            )
    except IntegrityError as error:
        raise CouponTakenError(
            _("You have used the code %(code)s before. Choose another.") % {"code": code},
            field="code",
        ) from error
    coupon.offers.set(offers)
    record(
        "coupon.make",
        actor=user,
        subject=code,
        namespace=seller,
        address=viewer.address,
        coupon=coupon.public_id,
        basis_points=coupon.basis_points,
        amount_minor=coupon.amount_minor,
        currency=coupon.currency,
        periods=coupon.periods,
    )
    return coupon


@transaction.atomic
def end_coupon(viewer: Viewer, seller: Namespace, public_id: str) -> Coupon:
    """End a coupon now. Orders made with it keep their price. Safe to repeat.

    Raises:
        SellerNotFoundError, NoSuchCouponError: not theirs, or none.
    """
    user = check_runs(viewer, seller)
    rows = Coupon.objects.select_for_update().filter(namespace=seller, public_id=public_id)
    coupon = rows.first()
    if coupon is None:
        raise NoSuchCouponError(_("You have no such coupon."))
    if coupon.is_active:
        coupon.is_active = False
        coupon.save(update_fields=["is_active"])
        record(
            "coupon.end",
            actor=user,
            subject=coupon.code,
            namespace=seller,
            address=viewer.address,
            coupon=coupon.public_id,
        )
    return coupon


def _checked(draft: CouponDraft, code: str) -> dict[str, int | str | None]:
    """Return what is taken off, once all values make sense."""
    if not _CODE.fullmatch(code):
        raise _bad("code", _("A code has 3 to 40 letters A to Z, digits and hyphens."))
    if (draft.basis_points is None) == (draft.amount_minor is None):
        raise _bad("basis_points", _("Say what is taken off: a percentage, or an amount."))
    for name in ("most_uses", "most_uses_each"):
        uses = getattr(draft, name)
        if uses is not None and not 1 <= uses <= MAX_USES:
            raise _bad(name, _("A number of uses is between 1 and a million."))
    _check_dates(draft)
    _check_periods(draft)
    if draft.basis_points is not None:
        if not 1 <= draft.basis_points <= BASIS_POINTS:
            raise _bad("basis_points", _("A percentage is more than 0 and at most 100."))
        return {"basis_points": draft.basis_points, "amount_minor": None, "currency": ""}
    return {"basis_points": None} | _amount(draft.amount_minor or 0, draft.currency)


def _check_periods(draft: CouponDraft) -> None:
    if draft.periods is None:
        return
    if not 1 <= draft.periods <= MAX_COUPON_PERIODS:
        raise _bad(
            "periods",
            _("A coupon lowers the first 1 to %(most)d periods, or all of them.")
            % {"most": MAX_COUPON_PERIODS},
        )
    if draft.basis_points == BASIS_POINTS:  # nobody would have a way to pay the later ones with
        raise _bad(
            "periods",
            _(
                "Nothing to pay at first and something later cannot be: 100 % hold for all periods."
                " Take less off, or let people try your models with the free tokens of an offer."
            ),
        )


def _check_dates(draft: CouponDraft) -> None:
    if draft.ends_at is not None and draft.ends_at <= timezone.now():
        raise _bad("ends_at", _("The end is past."))
    if draft.starts_at and draft.ends_at and draft.starts_at >= draft.ends_at:
        raise _bad("ends_at", _("A coupon ends after it begins."))


def _amount(amount_minor: int, currency: str) -> dict[str, int | str | None]:
    try:
        currency = check_currency(currency)
    except BadCurrencyError as error:
        raise _bad("currency", error.message) from error
    try:
        check_amount(Money(amount_minor, currency))
    except BadAmountError as error:
        raise _bad("amount_minor", error.message) from error
    if not amount_minor:
        raise _bad("amount_minor", _("Nothing would be taken off."))
    return {"amount_minor": amount_minor, "currency": currency}


def _offers(seller: Namespace, public_ids: tuple[str, ...]) -> list[Offer]:
    rows = list(Offer.objects.filter(namespace=seller, public_id__in=public_ids))
    if len(rows) != len(set(public_ids)):
        raise _bad("offers", _("Choose among your own offers."))
    return rows


def _bad(name: str, message: str) -> BadCouponError:
    return BadCouponError(message, field=name)
