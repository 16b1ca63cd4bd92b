"""What the store keeps of a sale."""

from datetime import datetime

from django.db.models import F, Q

from accounts.models import Namespace
from licensing.models import FeeRule
from store.core.money import share_of


def fee_rate(seller: Namespace, at: datetime) -> int:
    """Return the store's part of a seller's net prices at a moment, in basis points.

    The newest rule that has begun counts; one for the seller alone goes before those for all.
    Without any rule the store keeps nothing.
    """
    rules = FeeRule.objects.filter(Q(namespace=seller) | Q(namespace=None), starts_at__lte=at)
    rule = rules.order_by(F("namespace").asc(nulls_last=True), "-starts_at", "-id").first()
    return rule.basis_points if rule else 0


def fee_on(net_minor: int, seller: Namespace, at: datetime) -> int:
    """Return the fee on a net price, in minor units."""
    return share_of(net_minor, fee_rate(seller, at))
