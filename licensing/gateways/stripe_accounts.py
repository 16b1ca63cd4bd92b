"""Connected accounts at Stripe: where sellers' money goes."""

from datetime import UTC, datetime

import stripe
from django.db.models import Q

from licensing.gateways.stripe_client import calling, client
from licensing.models import SellerAccount

State = SellerAccount.State
_MAX_NOTE_CHARS = 300


def make_account(*, country: str, key: str) -> stripe.Account:
    """Make an account a seller fills in at Stripe. Safe to repeat with the same ``key``.

    Raises:
        GatewayRefusedError: Stripe does not pay out to this country.
        GatewayError: try again.
    """
    with calling():
        return client().v1.accounts.create(
            {
                "type": "express",
                "country": country,
                "capabilities": {"transfers": {"requested": True}},
                "metadata": {"seller": key},
            },
            {"idempotency_key": f"account-{key}"},
        )


def onboarding_url(external_id: str, *, return_url: str, refresh_url: str) -> str:
    """Return a page of Stripe where a seller gives their details; good once, for minutes.

    Raises:
        GatewayRefusedError, GatewayError: see ``calling``.
    """
    with calling():
        link = client().v1.account_links.create(
            {
                "account": external_id,
                "type": "account_onboarding",
                "return_url": return_url,
                "refresh_url": refresh_url,
            }
        )
    return link.url


def retrieve_account(external_id: str) -> stripe.Account:
    """Ask how an account stands.

    Raises:
        GatewayRefusedError, GatewayError: see ``calling``.
    """
    with calling():
        return client().v1.accounts.retrieve(external_id)


def note_account(account: stripe.Account, *, gateway: str, at: int) -> bool:
    """Write down how an account stands; ``False``: it is none of ours, or older news.

    Args:
        account: As Stripe sees it.
        gateway: Of which mode it is.
        at: When Stripe saw it so, in seconds since 1970.
    """
    requirements = account.requirements
    reason = getattr(requirements, "disabled_reason", None) or ""
    told_at = datetime.fromtimestamp(at, UTC)
    rows = SellerAccount.objects.filter(gateway=gateway, external_id=account.id)
    fresh = rows.filter(Q(told_at=None) | Q(told_at__lte=told_at))
    return bool(
        fresh.update(state=_state(account, reason), note=reason[:_MAX_NOTE_CHARS], told_at=told_at)
    )


def _state(account: stripe.Account, reason: str) -> SellerAccount.State:
    transfers = getattr(account.capabilities, "transfers", None)
    if account.payouts_enabled and transfers == "active":
        return State.READY
    return State.RESTRICTED if account.details_submitted and reason else State.PENDING
