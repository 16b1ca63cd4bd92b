"""Quotes: a wish priced and shown, good for half an hour."""

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Namespace, Role, Scope, User
from accounts.viewer import Viewer
from licensing.models import Quote
from licensing.services.pricing import Item, Priced, Wish, price
from store.core.errors import ConflictError, ForbiddenError, NotFoundError

LIFE = timedelta(minutes=30)
KEPT = timedelta(days=2)
"""Expired quotes are told apart from ones that never were for so long."""
_BUYERS = {Role.ADMIN, Role.WRITE}


class QuoteNotFoundError(NotFoundError):
    """There is no such quote of this person."""

    code = "quote_not_found"


class QuoteExpiredError(ConflictError):
    """The quote was good for half an hour; ask for a new one."""

    code = "quote_expired"


class PriceChangedError(ConflictError):
    """The offer costs something else now; ``extra.now`` has the new prices."""

    code = "price_changed"


class TermsChangedError(ConflictError):
    """The offer has other terms now; ``extra.now`` has them."""

    code = "terms_changed"


def buying_namespace(viewer: Viewer, name: str = "") -> tuple[User, Namespace]:
    """Return who buys and who will hold the licenses.

    Args:
        viewer: Who asks; a token needs the scope ``buy``.
        name: The person's own name or an organization they may buy for; empty: their own.

    Raises:
        UnauthenticatedError, MissingScopeError: see there.
        ForbiddenError: they may not buy for this name.
    """
    user = viewer.require(Scope.BUY)
    if not name or name.lower() == user.username.lower():
        return user, user.namespace
    found = Namespace.objects.filter(name__iexact=name, organization__isnull=False).first()
    if found is None or viewer.role_in(found.pk) not in _BUYERS:
        raise ForbiddenError(
            _("You may not buy for %(name)s. Members who may write there can.") % {"name": name}
        )
    return user, found


def make_quote(
    viewer: Viewer,
    items: list[Item],
    *,
    currency: str,
    holder: str = "",
    coupon: str = "",
    billing: dict[str, Any] | None = None,
    extends: str = "",
) -> tuple[Quote, Priced]:
    """Price what somebody wants and keep it for half an hour.

    ``extends`` is a license of the holder's that gets another term; see ``pricing.Wish``.

    Raises:
        ForbiddenError: they may not buy for ``holder``.
        InvalidError, ConflictError, NotFoundError: see ``pricing.price``.
    """
    user, namespace = buying_namespace(viewer, holder)
    wish = Wish(tuple(items), currency, namespace.pk, billing or {}, coupon, extends)
    priced = price(wish, buyer_id=user.pk)
    quote = Quote.objects.create(
        buyer=user,
        wish=priced.wish.to_json(),
        digest=priced.digest,
        priced=priced.to_json(),
        expires_at=priced.at + LIFE,
    )
    return quote, priced


def quote_of(user: User, public_id: str) -> Quote:
    """Return a quote of a person, expired or not.

    Raises:
        QuoteNotFoundError: they have none of this id.
    """
    found = Quote.objects.filter(buyer=user, public_id=public_id).first()
    if found is None:
        raise QuoteNotFoundError(_("You have no such quote. Ask for a new one."))
    return found


def reprice(quote: Quote) -> Priced:
    """Price a quote again and make sure it comes to what was shown.

    Raises:
        QuoteExpiredError: it is too old.
        PriceChangedError, TermsChangedError: the offer changed; nothing was agreed to.
    """
    if quote.expires_at <= timezone.now():
        raise QuoteExpiredError(_("This quote has expired. Ask for a new one."))
    priced = price(Wish.from_json(quote.wish), buyer_id=quote.buyer_id)
    if priced.digest == quote.digest:
        return priced
    now, before = priced.to_json(), quote.priced
    agreed = [line["terms"]["sha256"] for line in before["lines"]]
    if agreed != [line["terms"]["sha256"] for line in now["lines"]]:
        raise TermsChangedError(_("The terms changed since they were shown to you."), now=now)
    raise PriceChangedError(_("The offer changed since it was shown to you."), now=now)


def forget_old() -> int:
    """Delete quotes nobody can use any more; return how many. Run by the beat."""
    old: QuerySet[Quote] = Quote.objects.filter(expires_at__lt=timezone.now() - KEPT)
    return old.delete()[0]
