"""Coupons: found by code, checked, counted under a lock."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from licensing.models import Coupon, Offer, Order
from store.core.errors import ConflictError
from store.core.money import share_of, spread

if TYPE_CHECKING:
    from licensing.services.pricing import PricedLine


class CouponError(ConflictError):
    """The coupon does not lower this price; ``extra.reason`` says why, stable.

    One of ``unknown``, ``not_yet``, ``expired``, ``open_order`` (``extra.order`` is it),
    ``used_up``, ``used_by_you``, ``not_for_these``, ``other_currency``, ``free_at_first``.
    """

    code = "coupon_refused"


def find(
    code: str, offers: Sequence[Offer], *, buyer_id: int | None, currency: str, at: datetime
) -> Coupon:
    """Return the coupon of this code that lowers the price of any of ``offers`` now.

    Of two sellers who have the same code, the one whose coupon is good counts.

    Raises:
        CouponError: there is none, or not for these, or none that ``check`` lets pass.
    """
    sellers = {offer.namespace_id for offer in offers}
    rows = Coupon.objects.filter(
        namespace_id__in=sellers, code__iexact=code.strip()[:40], is_active=True
    )
    found = list(rows.order_by("pk"))
    if not found:
        raise CouponError(_("There is no such coupon."), reason="unknown")
    refusal = CouponError(_("This coupon is not for what you chose."), reason="not_for_these")
    for coupon in reversed(found):  # the first one's refusal is told last
        if not fitting(coupon, offers):
            continue
        try:
            check(coupon, buyer_id=buyer_id, currency=currency, at=at)
        except CouponError as error:
            refusal = error
        else:
            return coupon
    raise refusal


def fitting(coupon: Coupon, offers: Sequence[Offer]) -> Collection[int]:
    """Return the ids of the offers a coupon lowers."""
    named = set(coupon.offers.values_list("pk", flat=True))
    return {
        offer.pk
        for offer in offers
        if offer.namespace_id == coupon.namespace_id and (not named or offer.pk in named)
    }


def check(coupon: Coupon, *, buyer_id: int | None, currency: str, at: datetime) -> None:
    """Refuse a coupon that is out of its time, of another currency, or used up.

    An open order holds a use until it is paid or cancelled. Where uses are counted, a buyer has one
    such order at most: else one account that pays nothing could hold all of them.

    Exact only while the coupon's row is locked.

    Raises:
        CouponError: with the reason.
    """
    if coupon.starts_at is not None and at < coupon.starts_at:
        raise CouponError(_("This coupon is not good yet."), reason="not_yet")
    if coupon.ends_at is not None and at >= coupon.ends_at:
        raise CouponError(_("This coupon has expired."), reason="expired")
    if coupon.amount_minor is not None and coupon.currency != currency:
        raise CouponError(
            _("This coupon is for prices in %(currency)s.") % {"currency": coupon.currency},
            reason="other_currency",
        )
    used = Order.objects.filter(coupon=coupon).exclude(state=Order.State.CANCELLED)
    mine, most_each = used.filter(buyer_id=buyer_id), coupon.most_uses_each
    if coupon.most_uses is not None or most_each is not None:
        waiting = mine.filter(state=Order.State.OPEN).order_by("id").first()
        if waiting is not None:
            raise CouponError(
                _("Your last order with this coupon is not paid yet. Pay it or cancel it first."),
                reason="open_order",
                order=waiting.public_id,
            )
    if most_each is not None and mine.count() >= most_each:
        raise CouponError(_("You have used this coupon already."), reason="used_by_you")
    if coupon.most_uses is not None and used.count() >= coupon.most_uses:
        raise CouponError(_("This coupon is used up."), reason="used_up")


def discounted(lines: Sequence["PricedLine"], coupon: Coupon) -> list["PricedLine"]:
    """Take a coupon off the lines it fits, spread over them by what they cost.

    Raises:
        CouponError: it would make the first periods of a subscription free, but not later ones.
            Who pays nothing at first has no way to pay that could be asked for those.
    """
    fits = fitting(coupon, [line.offer for line in lines])
    costs = [line.listed_minor if line.offer.pk in fits else 0 for line in lines]
    parts = spread(amount_off(coupon, sum(costs)), costs)
    return [_lowered(line, part, coupon) for line, part in zip(lines, parts, strict=True)]


def _lowered(line: "PricedLine", part: int, coupon: Coupon) -> "PricedLine":
    lowered = replace(line, discount_minor=part)
    if not part or coupon.periods is None or line.offer.kind != Offer.Kind.SUBSCRIPTION:
        return lowered
    if part == line.listed_minor:
        raise CouponError(
            _(
                "This coupon would make the first periods free and not the later ones, which cannot"
                " be. Order without it, or ask the seller for one that leaves something to pay."
            ),
            reason="free_at_first",
        )
    return replace(lowered, discount_periods=coupon.periods)


def amount_off(coupon: Coupon, cost_minor: int) -> int:
    """Return what a coupon takes off lines that cost so much, never more than they do."""
    if coupon.basis_points is not None:
        return share_of(cost_minor, coupon.basis_points)
    return min(coupon.amount_minor or 0, cost_minor)


def lock(coupon: Coupon) -> Coupon:
    """Lock a coupon until the transaction ends, so that its uses can be counted exactly."""
    return Coupon.objects.select_for_update().get(pk=coupon.pk)
