"""The cart: what somebody means to buy, before anybody promised a price.

A cart is plain data in the session of a visitor or a person. It holds no price; each page that
shows it prices it anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from django.utils.translation import gettext as _

from accounts.models import Namespace, Role
from accounts.viewer import Viewer
from licensing.models import Offer
from licensing.services.pricing import (
    MAX_LINES,
    MAX_QUANTITY,
    BadQuantityError,
    BadWishError,
    Item,
    Priced,
    PricedLine,
    Wish,
    look_up,
    price,
    price_alone,
)
from licensing.services.quotes import buying_namespace
from licensing.services.shelf import price_row
from store.core.errors import ForbiddenError, StoreError
from store.core.money import check_currency, read_amount

_MAX_DIGITS = 9
_NOBODY = 0
"""Id of the buyer and the holder while nobody is signed in."""


@dataclass(frozen=True, slots=True)
class Cart:
    """What is in the cart.

    Args:
        items: Each offer once, in the order they were put in.
        currency: In which to pay; empty while nothing is in it.
        coupon: A code as it was typed.
        holder: Name of the team it is for; empty: the buyer.
        extends: Public id of the license to give another term; empty: new licenses. No cart that a
            session keeps has one.
    """

    items: tuple[Item, ...] = ()
    currency: str = ""
    coupon: str = ""
    holder: str = ""
    extends: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what the session keeps."""
        return asdict(self) | {"items": [asdict(item) for item in self.items]}

    @classmethod
    def from_json(cls, kept: Any) -> Self:
        """Return the cart a session kept; an empty one for what is none."""
        try:
            items = tuple(Item(**item) for item in kept["items"])
            return cls(**dict(kept) | {"items": items})
        except (TypeError, KeyError, ValueError):
            return cls()

    def with_item(self, item: Item, *, currency: str) -> "Cart":
        """Return the cart with an offer in it. One that was there keeps its quantity.

        Raises:
            BadWishError: it is full.
        """
        items = list(self.in_currency(currency).items)
        for at, held in enumerate(items):
            if held.offer == item.offer:
                if item.amount_minor is not None:
                    items[at] = replace(held, amount_minor=item.amount_minor)
                break
        else:
            if len(items) >= MAX_LINES:
                raise BadWishError(_("A cart holds at most %(n)d offers.") % {"n": MAX_LINES})
            items.append(item)
        return replace(self, items=tuple(items), currency=check_currency(currency))

    def without(self, offer_id: str) -> "Cart":
        """Return the cart without an offer."""
        items = tuple(item for item in self.items if item.offer != offer_id)
        return replace(self, items=items) if items else Cart()

    def in_currency(self, currency: str) -> "Cart":
        """Return the cart in another currency; amounts that were named in the old one are gone."""
        currency = check_currency(currency)
        if currency == self.currency:
            return self
        items = tuple(replace(item, amount_minor=None) for item in self.items)
        return replace(self, items=items, currency=currency)


@dataclass(frozen=True, slots=True)
class CartLine:
    """One line of the cart's page.

    Args:
        item: What is wished.
        offer: ``None``: there is no such offer any more, or a model of it is private now.
        priced: What it comes to; ``None``: see ``problem``.
        problem: Why it cannot be bought like this.
    """

    item: Item
    offer: Offer | None
    priced: PricedLine | None = None
    problem: StoreError | None = None


@dataclass(frozen=True, slots=True)
class CartView:
    """A cart with what it comes to.

    Args:
        cart: What is in it.
        lines: In its order.
        priced: All of it; ``None`` while something is wrong.
        problem: What is wrong with all of it together: a coupon, or what cannot go together.
        currencies: In which any of its offers is sold.
    """

    cart: Cart
    lines: Sequence[CartLine] = ()
    priced: Priced | None = None
    problem: StoreError | None = None
    currencies: Sequence[str] = field(default_factory=tuple)


def put_in(
    cart: Cart, offer: Offer, *, currency: str = "", amount_minor: int | None = None
) -> Cart:
    """Return the cart with an offer in it; one that was there keeps its quantity.

    Args:
        cart: As it was.
        offer: What is wished.
        currency: As the buyer chose; the cart's own, or the offer's first, where it has no price.
        amount_minor: Pay-what-you-want: what they give.

    Raises:
        BadWishError: the cart is full.
    """
    row = price_row(offer, currency or cart.currency)
    chosen = row.currency if row is not None else cart.currency or "EUR"
    if offer.kind != Offer.Kind.PAY_WHAT_YOU_WANT:
        amount_minor = None
    return cart.with_item(Item(offer.public_id, 1, amount_minor), currency=chosen)


def with_changes(
    cart: Cart,
    *,
    quantities: Mapping[str, str],
    amounts: Mapping[str, str],
    currency: str,
    coupon: str,
    holder: str,
) -> Cart:
    """Return the cart as its page's form wants it. Offers that are not named stay as they are.

    Args:
        cart: As it was.
        quantities: By offer, as typed; 0 takes it out.
        amounts: By offer, what is given for one unit, as typed; empty: as suggested. They are in
            the currency the cart had, and gone when that changes.
        currency: In which to pay.
        coupon: A code; empty: none.
        holder: Name of a team; empty: the buyer.

    Raises:
        BadQuantityError, BadAmountError, BadCurrencyError: see there.
    """
    items = []
    for item in cart.items:
        quantity = _read_quantity(quantities.get(item.offer, str(item.quantity)))
        amount = item.amount_minor
        if (text := amounts.get(item.offer)) is not None:
            amount = read_amount(text, cart.currency).amount_minor if text.strip() else None
        if quantity:
            items.append(Item(item.offer, quantity, amount))
    if not items:
        return Cart()
    changed = replace(cart, items=tuple(items), coupon=coupon, holder=holder)
    return changed.in_currency(currency)


def _read_quantity(text: str) -> int:
    """Return how many units somebody typed, from 0.

    Raises:
        BadQuantityError: no number, or more than an order takes.
    """
    text = text.strip()
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    if not is_number or int(text) > MAX_QUANTITY:
        raise BadQuantityError(_("A quantity is between 1 and %(most)d.") % {"most": MAX_QUANTITY})
    return int(text)


def look_at(viewer: Viewer, cart: Cart, billing: Mapping[str, Any] | None = None) -> CartView:
    """Price a cart, and tell at which line it fails where it does.

    Args:
        viewer: Who looks; may be a visitor.
        cart: Theirs.
        billing: Name and address, as far as they are known; without a country there is no tax.
    """
    if not cart.items:
        return CartView(cart)
    names = [item.offer for item in cart.items]
    rows = Offer.objects.filter(public_id__in=names).in_public()
    rows = rows.select_related("terms", "namespace")
    offers = {row.public_id: row for row in rows.prefetch_related("prices", "repos__namespace")}
    codes = sorted({row.currency for offer in offers.values() for row in offer.prices.all()})
    lines = [CartLine(item, offers.get(item.offer)) for item in cart.items]
    try:
        wish = _wish(viewer, cart, billing or {})
        priced = price(wish, buyer_id=viewer.user.pk if viewer.user else _NOBODY)
    except StoreError as error:
        return _explained(viewer, CartView(cart, lines, None, error, codes))
    shown = [replace(line, priced=part) for line, part in zip(lines, priced.lines, strict=True)]
    return CartView(cart, shown, priced, None, codes)


def _explained(viewer: Viewer, view: CartView) -> CartView:
    """Say at which lines a cart fails: each is priced alone, without the coupon."""
    lines = []
    holder = "" if isinstance(view.problem, ForbiddenError) else view.cart.holder
    wish = _wish(viewer, replace(view.cart, holder=holder), {})
    shelf = look_up(item.offer for item in wish.items)
    for line in view.lines:
        try:
            priced = price_alone(line.item, shelf, holder_id=wish.holder_id, currency=wish.currency)
        except StoreError as error:
            lines.append(replace(line, problem=error))
        else:
            lines.append(replace(line, priced=priced))
    is_told = any(line.problem is not None for line in lines)
    return replace(view, lines=lines, problem=None if is_told else view.problem)


def _wish(viewer: Viewer, cart: Cart, billing: Mapping[str, Any]) -> Wish:
    holder_id = _NOBODY
    if viewer.user is not None:
        holder_id = buying_namespace(viewer, cart.holder)[1].pk
    return Wish(cart.items, cart.currency, holder_id, billing, cart.coupon)


def possible_holders(viewer: Viewer) -> list[Namespace]:
    """Return for whom the viewer may buy beside themselves: teams they may write in, by name."""
    ids = [pk for pk, role in viewer.roles.items() if role in {Role.ADMIN, Role.WRITE}]
    rows = Namespace.objects.filter(pk__in=ids, organization__isnull=False)
    return list(rows.select_related("organization").order_by("name"))
