"""What the store keeps of a sale."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Namespace
from accounts.viewer import Viewer
from licensing.models import FeeRule
from licensing.services import office
from store.core.errors import InvalidError
from store.core.money import BASIS_POINTS, share_of

_MAX_NOTE_CHARS = 200


class BadFeeRuleError(InvalidError):
    """A fee is 0 to 100 percent, and no rule begins before it is made."""

    code = "bad_fee_rule"


def fee_rate(seller: Namespace, at: datetime) -> int:
    """Return the store's part of a seller's net prices at a moment, in basis points.

    The newest rule that has begun counts; one for the seller alone goes before those for all.
    Without any rule the store keeps nothing.
    """
    return fee_rates([seller.pk], at)[seller.pk]


def fee_rates(seller_ids: Iterable[int], at: datetime) -> dict[int, int]:
    """Return ``fee_rate`` of each seller. One query."""
    wanted = set(seller_ids)
    rules = FeeRule.objects.filter(
        Q(namespace__in=wanted) | Q(namespace=None), starts_at__lte=at
    ).order_by("namespace_id", "-starts_at", "-id")
    newest: dict[int | None, int] = dict(
        rules.distinct("namespace_id").values_list("namespace_id", "basis_points")
    )
    return {pk: newest.get(pk, newest.get(None, 0)) for pk in wanted}


def fee_on(net_minor: int, seller: Namespace, at: datetime) -> int:
    """Return the fee on a net price, in minor units."""
    return share_of(net_minor, fee_rate(seller, at))


@transaction.atomic
def add_rule(
    viewer: Viewer,
    seller: Namespace | None,
    basis_points: int,
    starts_at: datetime | None,
    reason: str,
) -> FeeRule:
    """Say what the store keeps from a moment on. Earlier rules stay, and so does every sale.

    Args:
        viewer: A member of staff.
        seller: Whose sales; ``None``: everybody's that have no rule of their own.
        basis_points: 0 to 10,000.
        starts_at: Not in the past; ``None``: now.
        reason: Kept with the rule and in the audit trail.

    Raises:
        ForbiddenError, ReasonNeededError: see there.
        BadFeeRuleError: more than all, less than nothing, or in the past; nothing is added.
    """
    office.staff_of(viewer)
    text, now = office.clean_reason(reason), timezone.now()
    if not 0 <= basis_points <= BASIS_POINTS:
        raise BadFeeRuleError(_("A fee is between 0 and 100 percent."))
    if starts_at is not None and starts_at < now:
        raise BadFeeRuleError(
            _("A fee cannot begin in the past: what was sold was sold. Leave the time empty.")
        )
    rule = FeeRule.objects.create(
        namespace=seller,
        basis_points=basis_points,
        starts_at=starts_at or now,
        note=text[:_MAX_NOTE_CHARS],
    )
    office.note(
        viewer,
        "fee_rule.add",
        subject=seller.name if seller is not None else "",
        namespace=seller,
        reason=text,
        basis_points=basis_points,
        starts_at=rule.starts_at.isoformat(),
    )
    return rule
