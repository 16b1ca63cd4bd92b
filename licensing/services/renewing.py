"""What another term of a license costs; ordered like everything else."""

from typing import Any

from accounts.viewer import Viewer
from licensing.models import License, Quote
from licensing.services import extending, quotes
from licensing.services.pricing import Item, Priced


def quote_renewal(
    viewer: Viewer,
    row: License,
    *,
    currency: str,
    amount_minor: int | None = None,
    coupon: str = "",
    billing: dict[str, Any] | None = None,
) -> tuple[Quote, Priced]:
    """Price another term of a license; the order of this quote extends it.

    Args:
        viewer: Who buys; a token needs the scope ``buy``.
        row: The license.
        currency: In which to pay.
        amount_minor: Pay-what-you-want: what they give for one unit.
        coupon: A code; empty: none.
        billing: Name and address.

    Raises:
        NotExtendableError: with the reason; ``other_offer``: what was bought is no offer now.
        ForbiddenError, InvalidError, ConflictError, NotFoundError: see ``quotes.make_quote``.
    """
    if reason := extending.reason_against(row):
        raise extending.refusal(reason)
    if row.line.offer is None:
        raise extending.refusal("other_offer")
    return quotes.make_quote(
        viewer,
        [Item(row.line.offer.public_id, row.line.quantity, amount_minor)],
        currency=currency,
        holder=row.holder.name,
        coupon=coupon,
        billing=billing,
        extends=row.public_id,
    )
