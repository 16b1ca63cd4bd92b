"""Ends of subscriptions at Stripe, and going on after all."""

import stripe

from licensing.gateways import stripe_facts as facts
from licensing.gateways.base import Fact, GatewayRefusedError
from licensing.gateways.stripe_client import calling, client

_GONE = "resource_missing"


def end(external_id: str, *, at_once: bool) -> None:
    """Collect no more of a subscription. Safe to repeat, also once it has ended.

    Raises:
        GatewayRefusedError, GatewayError: see ``calling``.
    """
    if not at_once:
        _set_end(external_id, is_wanted=True)
        return
    try:
        with calling():
            client().v1.subscriptions.cancel(external_id)
    except GatewayRefusedError as error:
        if error.extra.get("reason") != _GONE:  # else it has ended already
            raise


def resume(external_id: str) -> list[Fact]:
    """Let a subscription go on that was to end; return that it has ended meanwhile, if so.

    Raises:
        GatewayRefusedError, GatewayError: see ``calling``.
    """
    return facts.of_subscription(_set_end(external_id, is_wanted=False))


def _set_end(external_id: str, *, is_wanted: bool) -> stripe.Subscription:
    """Say whether a subscription ends with its period; return it as it is then.

    One that has ended stays so, whatever is wanted: Stripe refuses any change of it, with words
    but no code.
    """
    api = client().v1.subscriptions
    try:
        with calling():
            return api.update(external_id, {"cancel_at_period_end": is_wanted})
    except GatewayRefusedError:
        with calling():
            found = api.retrieve(external_id)
        if found.status != "canceled":
            raise
        return found
