"""The connection to Stripe: the official library, with time-outs, and its errors in our words."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import stripe
from django.conf import settings
from django.utils.translation import gettext as _

from licensing.gateways.base import GatewayError, GatewayRefusedError, PaymentDeclinedError

logger = logging.getLogger(__name__)
TIMEOUT_S = (5, 20)
"""To connect, and between bytes of the answer. A page waits for it."""
RETRIES = 1
"""Of the library, on broken connections; each write has an idempotency key."""

stripe.enable_telemetry = False


def is_test_key(key: str) -> bool:
    """Whether a secret key moves no real money."""
    return key.startswith(("sk_test_", "rk_test_"))


def client() -> stripe.StripeClient:
    """Return the client of the account in the settings."""
    env = settings.ENV
    return _client(env.stripe_secret_key.get_secret_value(), env.stripe_api_base)


@lru_cache(maxsize=4)
def _client(key: str, base: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": base} if base else None,
        max_network_retries=RETRIES,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
    )


@contextmanager
def calling() -> Iterator[None]:
    """Turn what Stripe answers into our errors.

    Raises:
        PaymentDeclinedError: a card was refused.
        GatewayRefusedError: Stripe will not do it, however often it is asked.
        GatewayError: it could not be reached, or not now.
    """
    try:
        yield
    except stripe.CardError as error:
        raise PaymentDeclinedError(
            _("The card was declined. Nothing was charged. Try another one."),
            reason=_declined_for(error),
        ) from error
    except stripe.InvalidRequestError as error:
        raise GatewayRefusedError(
            _("Stripe refuses this: %(why)s") % {"why": (error.user_message or error.code or "?")},
            reason=error.code or "",
        ) from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        logger.exception("Stripe does not accept the key in STORE_STRIPE_SECRET_KEY")
        raise _try_again() from error
    except stripe.StripeError as error:
        logger.warning("Stripe: %s", error)
        raise _try_again() from error


def intent_of(error: PaymentDeclinedError) -> str:
    """Return the id of the PaymentIntent a card was declined for; empty: it was none."""
    cause = error.__cause__
    body = cause.error if isinstance(cause, stripe.CardError) else None
    return str(getattr(getattr(body, "payment_intent", None), "id", None) or "")


def _declined_for(error: stripe.CardError) -> str:
    """Return the word of the bank, or else Stripe's."""
    declined = error.error.decline_code if error.error is not None else None
    return declined or error.code or "card_declined"


def _try_again() -> GatewayError:
    return GatewayError(_("The payment service does not answer. Try again in a minute."))
