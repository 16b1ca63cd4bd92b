"""Where a browser's cart is kept between its requests."""

from django.http import HttpRequest

from licensing.services.carts import Cart

_KEY = "cart"


def cart_of(request: HttpRequest) -> Cart:
    """Return the cart of this browser; it survives signing in and signing up."""
    return Cart.from_json(request.session.get(_KEY))


def keep_cart(request: HttpRequest, cart: Cart) -> None:
    """Keep a cart for the next request of this browser."""
    if cart.items:
        request.session[_KEY] = cart.to_json()
    else:
        request.session.pop(_KEY, None)
