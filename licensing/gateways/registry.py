"""The gateways this site has, by name."""

from django.conf import settings
from django.utils.translation import gettext as _

from licensing.gateways.base import Gateway
from licensing.gateways.sandbox import Sandbox
from store.core.errors import NotFoundError


class UnknownGatewayError(NotFoundError):
    """This site has no gateway of this name."""

    code = "unknown_gateway"


def gateway_named(name: str) -> Gateway:
    """Return a gateway.

    Raises:
        UnknownGatewayError: this site has none of this name.
    """
    if name == Sandbox.name and name in settings.ENV.gateways:
        return Sandbox()
    raise UnknownGatewayError(_("This site takes no payments by '%(name)s'.") % {"name": name[:24]})


def default_gateway() -> Gateway:
    """Return the gateway an order uses when nobody chose one: the first of the setting."""
    return gateway_named(settings.ENV.gateways[0])
