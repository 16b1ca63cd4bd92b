"""The gateways this site has, by name."""

from collections.abc import Collection, Sequence
from typing import Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _
from pydantic import SecretStr

from licensing.gateways.base import Gateway
from licensing.gateways.sandbox import Sandbox
from licensing.gateways.transfer import Transfer
from store.core.errors import NotFoundError

STRIPE = "stripe"
"""As it is called in settings and addresses, whatever the mode; see ``Stripe.name``."""
_KEY_STARTS = ("sk_test_", "sk_live_", "rk_test_", "rk_live_")
_TEST_KEY_STARTS = ("sk_test_", "rk_test_")


class GatewaySettings(Protocol):
    """What gateways need of the settings."""

    @property
    def gateways(self) -> Collection[str]: ...
    @property
    def bank_details(self) -> str: ...
    @property
    def stripe_secret_key(self) -> SecretStr: ...
    @property
    def stripe_webhook_secrets(self) -> Sequence[SecretStr]: ...


class UnknownGatewayError(NotFoundError):
    """This site has no gateway of this name."""

    code = "unknown_gateway"


def gateway_named(name: str) -> Gateway:
    """Return a gateway.

    Raises:
        UnknownGatewayError: this site has none of this name, or not in this mode.
    """
    known = settings.ENV.gateways
    if name == Sandbox.name and name in known:
        return Sandbox()
    if name == Transfer.name and name in known:
        return Transfer()
    if name.startswith(STRIPE) and STRIPE in known:
        from licensing.gateways.stripe_gateway import Stripe  # 0.3 s, where it is used alone

        stripe = Stripe()
        if name in {STRIPE, stripe.name}:
            return stripe
    raise UnknownGatewayError(_("This site takes no payments by '%(name)s'.") % {"name": name[:24]})


def default_gateway() -> Gateway:
    """Return the gateway an order uses when nobody chose one: the first of the setting."""
    return gateway_named(settings.ENV.gateways[0])


def check_settings(env: GatewaySettings) -> None:
    """Refuse to start with a gateway that lacks what it needs, or gives away what others sell.

    Raises:
        ImproperlyConfigured: the message names the setting.
    """
    if STRIPE in env.gateways:
        key = env.stripe_secret_key.get_secret_value()
        if not key.startswith(_KEY_STARTS):
            raise ImproperlyConfigured(
                "STORE_GATEWAYS has stripe, so STORE_STRIPE_SECRET_KEY must be a secret key of"
                " Stripe: it begins with sk_test_ or sk_live_ (docs/payments.md)."
            )
        if not any(secret.get_secret_value() for secret in env.stripe_webhook_secrets):
            raise ImproperlyConfigured(
                "STORE_GATEWAYS has stripe, so STORE_STRIPE_WEBHOOK_SECRETS must have the signing"
                " secret of its webhook (docs/payments.md)."
            )
    if Transfer.name in env.gateways and not env.bank_details.strip():
        raise ImproperlyConfigured(
            "STORE_GATEWAYS has invoice, so STORE_BANK_DETAILS must say where buyers transfer to."
        )
    _check_money(env)


def _check_money(env: GatewaySettings) -> None:
    """Refuse pretended money beside real money: a license bought with either opens the weights."""
    is_test_key = env.stripe_secret_key.get_secret_value().startswith(_TEST_KEY_STARTS)
    pretended = {Sandbox.name, STRIPE if is_test_key else Sandbox.name}.intersection(env.gateways)
    real = set(env.gateways) - pretended
    if pretended and real:
        raise ImproperlyConfigured(
            f"STORE_GATEWAYS has {' and '.join(sorted(pretended))} for pretended money beside"
            f" {' and '.join(sorted(real))} for real money: anybody could have what is sold for"
            " nothing. Keep one kind (docs/payments.md)."
        )
