"""May a cancelled order become a sale after all, when its money comes late?

An order keeps its price while it is open. Once it is cancelled its coupon is free for others, and
launch prices end: money that comes then buys what it would buy today, or goes back. Else one use
of a coupon would pay any number of orders that were opened and cancelled before.
"""

from django.utils import timezone

from licensing.models import Offer, Order, OrderLine
from licensing.services import coupons, sellability


def is_still_had(order: Order) -> bool:
    """Whether the price of a locked, cancelled order can still be had.

    Its coupon's row stays locked until the transaction ends, so that uses are counted exactly. A
    renewal keeps what was agreed to first.
    """
    if order.renews_id is not None:
        return True
    lines = order.lines.select_related("offer__terms").prefetch_related("offer__prices")
    return _has_coupon(order) and all(_has_price(line, order.currency) for line in lines)


def _has_coupon(order: Order) -> bool:
    if order.coupon is None:  # staff may have deleted the one it had
        return not order.lines.filter(discount_minor__gt=0).exists()
    locked = coupons.lock(order.coupon)
    try:
        coupons.check(locked, buyer_id=order.buyer_id, currency=order.currency, at=timezone.now())
    except coupons.CouponError:
        return False
    return locked.is_active


def _has_price(line: OrderLine, currency: str) -> bool:
    """Whether a line's offer can be bought now, for no more than the line's price."""
    if line.offer is None or not sellability.can_be_bought([line.offer]):
        return False
    if line.offer.kind == Offer.Kind.FREE:
        return True
    prices = [price.at() for price in line.offer.prices.all() if price.currency == currency]
    return any(price <= line.unit_minor for price in prices)  # none: not sold in it any more
