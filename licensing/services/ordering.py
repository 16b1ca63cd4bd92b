"""Opening an order: what was quoted becomes a promise, once for each idempotency key."""

import hashlib
import json
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import BigIntegerField, Case, Exists, F, OuterRef, Q, Sum, When
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import AccessToken, User
from accounts.services.audit import record
from accounts.viewer import Viewer
from licensing.gateways.base import Gateway
from licensing.gateways.registry import default_gateway, gateway_named
from licensing.models import License, LineShare, Order, OrderLine, Quote, Subscription
from licensing.services import coupons, granting
from licensing.services.pricing import Priced, PricedLine
from licensing.services.quotes import buying_namespace, quote_of, reprice
from store.core.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from store.core.money import Money, show

OPEN_FOR = timedelta(hours=24)
"""An open order nobody paid is cancelled after it; bank transfers get longer."""
_TRANSFER_FOR = timedelta(days=30)
MAX_KEY_CHARS = 128


class BadIdempotencyKeyError(InvalidError):
    """An order needs a key of 1 to 128 printable ASCII characters, new for each purchase."""

    code = "bad_idempotency_key"


class IdempotencyKeyReusedError(ConflictError):
    """The key was used for something else before; ``extra.order`` is that order."""

    code = "idempotency_key_reused"


class TermsRequiredError(ConflictError):
    """Terms must be accepted by their hash; ``extra.terms`` has those that were not."""

    code = "terms_required"


class BillingRequiredError(InvalidError):
    """A name and a country are needed for the invoice."""

    code = "billing_required"


class SpendLimitError(ForbiddenError):
    """The token may not spend so much this month; ``extra`` has limit and rest."""

    code = "spend_limit"


class OrderNotFoundError(NotFoundError):
    """The person has no such order."""

    code = "order_not_found"


def open_order(
    viewer: Viewer,
    quote_id: str,
    *,
    key: str,
    accepted_terms: Collection[str],
    gateway: str = "",
    method: str = "",
) -> tuple[Order, bool]:
    """Make an order of a quote. Safe to repeat with the same key.

    Args:
        viewer: Who buys; a token needs the scope ``buy``.
        quote_id: What was shown to them.
        key: The ``Idempotency-Key``.
        accepted_terms: Hashes of the terms they accept.
        gateway: How they want to pay; empty: the site's first way.
        method: With what the same request goes on to pay; empty: not at once.

    Returns:
        The order, and whether it is new.

    Raises:
        QuoteNotFoundError, QuoteExpiredError, PriceChangedError, TermsChangedError,
        IdempotencyKeyReusedError, TermsRequiredError, BillingRequiredError, SpendLimitError,
        CouponError: see there. Nothing is ordered.
    """
    user = buying_namespace(viewer)[0]
    asked = _digest(key, quote_id, accepted_terms, gateway, method)
    if found := _before(user, key, asked):
        return found, False
    quote = quote_of(user, quote_id)
    chosen = gateway_named(gateway) if gateway else default_gateway()
    try:
        with transaction.atomic():
            return _make(viewer, user, quote, key, asked, accepted_terms, chosen), True
    except (IntegrityError, coupons.CouponError, SpendLimitError):
        # the same request came twice at once, and the other one had the key, the coupon's last
        # use, or what was left of the token's limit
        if found := _before(user, key, asked):
            return found, False
        raise


def _digest(key: str, quote_id: str, terms: Collection[str], gateway: str, method: str) -> str:
    if not (1 <= len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
        raise BadIdempotencyKeyError(
            _("Send a header Idempotency-Key of 1 to 128 characters, new for each purchase.")
        )
    text = json.dumps([quote_id, sorted(terms), gateway, method])
    return hashlib.sha256(text.encode()).hexdigest()


def _before(user: User, key: str, asked: str) -> Order | None:
    """Return the order made under this key for the same request.

    Raises:
        IdempotencyKeyReusedError: the request was another.
    """
    found = Order.objects.filter(buyer=user, idempotency_key=key).first()
    if found is not None and found.request_digest != asked:
        raise IdempotencyKeyReusedError(
            _("This Idempotency-Key was used for another request. Use a new one."),
            order=found.public_id,
        )
    return found


def _make(
    viewer: Viewer,
    user: User,
    quote: Quote,
    key: str,
    asked: str,
    accepted: Collection[str],
    gateway: Gateway,
) -> Order:
    """Write an order with its lines, inside the caller's transaction."""
    priced = reprice(quote)
    buying_namespace(viewer, _holder_name(user, priced))  # the role may have gone meanwhile
    if missing := priced.terms - set(accepted):
        raise TermsRequiredError(
            _("Accept the terms first."),
            terms=[_terms_of(line) for line in priced.lines if line.offer.terms_id in missing],
        )
    if priced.gross_minor and not priced.wish.billing.get("country"):
        raise BillingRequiredError(_("Give a name and a country for the invoice."))
    if viewer.token is not None:
        _check_spending(viewer.token, Money(priced.gross_minor, priced.wish.currency))
    if priced.coupon is not None:
        locked = coupons.lock(priced.coupon)
        coupons.check(locked, buyer_id=user.pk, currency=priced.wish.currency, at=timezone.now())
    now = timezone.now()
    order = Order.objects.create(
        buyer=user,
        holder_id=priced.wish.holder_id,
        token=viewer.token,
        idempotency_key=key,
        request_digest=asked,
        gateway=gateway.name,
        is_test=gateway.is_test,
        currency=priced.wish.currency,
        net_minor=priced.net_minor,
        tax_minor=priced.tax_minor,
        gross_minor=priced.gross_minor,
        billing=dict(priced.wish.billing),
        terms_accepted_at=now,
        coupon=priced.coupon,
        extends=_extended(priced),
        created_at=now,
        expires_at=now + (_TRANSFER_FOR if gateway.name == "invoice" else OPEN_FOR),
    )
    for position, line in enumerate(priced.lines):
        add_line(order, position, line)
    _note(viewer, order, priced)
    return order


def _note(viewer: Viewer, order: Order, priced: Priced) -> None:
    record(
        "order.open",
        actor=viewer.user,
        subject=order.public_id,
        namespace=order.holder,
        address=viewer.address,
        gross_minor=order.gross_minor,
        currency=order.currency,
        terms=sorted(priced.terms),
    )


def _holder_name(user: User, priced: Priced) -> str:
    from accounts.models import Namespace

    return Namespace.objects.get(pk=priced.wish.holder_id).name


def _extended(priced: Priced) -> License | None:
    """Return the license the order gives another term; it was checked when it was priced."""
    wish = priced.wish
    return License.objects.get(public_id=wish.extends) if wish.extends else None


def _terms_of(line: PricedLine) -> dict[str, str]:
    terms = line.offer.terms
    return {"sha256": terms.sha256, "title": terms.title, "url": f"/terms/{terms.sha256}"}


def add_line(order: Order, position: int, line: PricedLine) -> OrderLine:
    """Write one line of an order: everything the buyer agreed to, copied."""
    offer = line.offer
    row = OrderLine.objects.create(
        order=order,
        position=position,
        seller=offer.namespace,
        offer=offer,
        title=offer.title,
        detail=line.detail[:500],
        model_count=len(line.repos),
        kind=offer.kind,
        interval=offer.interval,
        quantity=line.quantity,
        unit_minor=line.unit_minor,
        discount_minor=line.discount_minor,
        net_minor=line.net_minor,
        tax_minor=line.tax_minor,
        gross_minor=line.gross_minor,
        discount_periods=line.discount_periods,
        later_net_minor=line.later.net_minor if line.later else None,
        later_tax_minor=line.later.tax_minor if line.later else None,
        tax=dict(line.tax or {}),
        fee_minor=line.fee_minor,
        terms=offer.terms,
        rights=offer.rights,
        seats=offer.seats * line.quantity,
        seat_kind=offer.seat_kind,
        term_days=offer.term_days,
        updates=offer.updates,
    )
    row.repos.set(line.repos)
    LineShare.objects.bulk_create(_shares(row, line))
    return row


def _shares(row: OrderLine, line: PricedLine) -> list[LineShare]:
    """Return what owners upstream get of a line, and of its later periods where those differ."""
    now = {share.repo_id: share.amount_minor for share in line.shares}
    later = {share.repo_id: share.amount_minor for share in line.later.shares} if line.later else {}
    return [
        LineShare(
            line=row,
            namespace_id=share.namespace_id,
            repo_id=share.repo_id,
            basis_points=share.basis_points,
            amount_minor=now.get(share.repo_id, 0),
            later_minor=later.get(share.repo_id, 0) if line.later else None,
        )
        for share in (line.later or line).shares  # of a lower price may be too little for some
        if now.get(share.repo_id) or later.get(share.repo_id)
    ]


@transaction.atomic
def count_payment(token: AccessToken, order: Order) -> None:
    """Count an open order against the limit of the token that is about to pay it.

    One that was made with this very token was counted then. An order counts for one token: the
    last that had a hand in it.

    Raises:
        SpendLimitError: more than the token may spend; nothing changes.
    """
    locked = Order.objects.select_for_update().get(pk=order.pk)
    if locked.state != Order.State.OPEN or locked.token_id == token.pk:
        return
    _check_spending(token, Money(locked.gross_minor, locked.currency))
    locked.token = token
    locked.save(update_fields=["token"])


def count_resumed(
    token: AccessToken, subscription: Subscription, due_minor: int, *, is_ordered: bool
) -> None:
    """Count the next period of a subscription that goes on again against a token's limit.

    Periods count for the token that began a subscription, see ``_spent_this_month``: another one
    with a limit cannot answer for them. Call it before anything changes.

    Args:
        token: Of whoever goes on with it.
        subscription: Locked, with its line and that line's order.
        due_minor: What the period costs, in the order's currency.
        is_ordered: An order for the period is made already, so it counts in this month.

    Raises:
        SpendLimitError: more than the token may spend, or it did not begin the subscription.
    """
    first = subscription.line.order
    asked = Money(due_minor, first.currency)
    if token.spend_limit_minor is None or asked.amount_minor == 0:
        return
    if first.token_id != token.pk:
        raise SpendLimitError(
            _(
                "This token has a limit and did not begin this subscription. Use the token that"
                " did, one without a limit, or the license's page."
            )
        )
    if is_ordered or subscription.paid_until < _month()[1]:
        _check_spending(token, asked)


def _check_spending(token: AccessToken, asked: Money) -> None:
    """Refuse what goes over the token's monthly limit; its row stays locked until the commit.

    Raises:
        SpendLimitError: too much, or in a currency the limit does not speak of.
    """
    locked = AccessToken.objects.select_for_update().get(pk=token.pk)
    limit = locked.spend_limit_minor
    if limit is None or asked.amount_minor == 0:
        return
    if locked.spend_currency != asked.currency:
        raise SpendLimitError(
            _("This token spends %(currency)s only.") % {"currency": locked.spend_currency},
            currency=locked.spend_currency,
        )
    left = limit - _spent_this_month(locked)
    if asked.amount_minor > left:
        raise SpendLimitError(
            _("This token may spend %(left)s more this month.")
            % {"left": show(Money(max(0, left), locked.spend_currency))},
            limit_minor=limit,
            left_minor=max(0, left),
            currency=locked.spend_currency,
        )


def _spent_this_month(token: AccessToken) -> int:
    """Return what a token spends in this calendar month (UTC), in its limit's minor units.

    That is what was ordered or paid in it, and what is still open: an order of last month may be
    paid now. Periods of the subscriptions it began count in their month, those that are still to
    be collected in this one, too. Cancelled orders do not count, refunded ones do: a limit is not
    to be gone around by refunds.
    """
    start, end = _month()
    counts = Q(created_at__gte=start) | Q(paid_at__gte=start) | Q(state=Order.State.OPEN)
    own = Q(token=token) | Q(token=None, renews__line__order__token=token)
    rows = Order.objects.filter(counts, own, currency=token.spend_currency)
    rows = rows.exclude(state=Order.State.CANCELLED)
    total: int = rows.aggregate(total=Coalesce(Sum("gross_minor"), 0))["total"]
    return total + _to_be_collected(token, before=end)


def _month() -> tuple[datetime, datetime]:
    """Return when this calendar month (UTC) begins, and when the next one does."""
    start = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return start, (start + timedelta(days=32)).replace(day=1)


def _to_be_collected(token: AccessToken, *, before: datetime) -> int:
    """Return what subscriptions a token began will cost until a moment, as agreed at first.

    A period whose order is made already counts by that order.
    """
    waiting = Order.objects.filter(
        renews=OuterRef("pk"), state__in=(Order.State.OPEN, Order.State.PAID)
    )
    rows = Subscription.objects.filter(
        ~Exists(waiting),
        state__in=granting.GOING,
        paid_until__lt=before,
        line__order__token=token,
        line__order__currency=token.spend_currency,
    )
    dear = When(
        line__discount_periods__lte=F("periods"),
        then=F("line__later_net_minor") + F("line__later_tax_minor"),
    )
    price = Case(dear, default=F("line__gross_minor"), output_field=BigIntegerField())
    total: int = rows.aggregate(total=Coalesce(Sum(price), 0))["total"]
    return total
