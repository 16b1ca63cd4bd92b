"""Messages of Stripe: who signed them, when, for which account, and what they say.

The signature is checked over the raw body by the official library, before anything is parsed. What
the library does not check is checked here: that the time is not in the future either, that the
event is of this mode (test or live), and of this account.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import stripe
from django.conf import settings
from django.utils.translation import gettext as _

from licensing.gateways import stripe_facts as facts
from licensing.gateways.base import BadEventError, Fact
from licensing.gateways.stripe_accounts import note_account
from licensing.gateways.stripe_client import is_test_key

SIGNATURE_HEADER = "Stripe-Signature"
TOLERANCE_S = 300
"""A message signed longer ago, or so far in the future, is refused."""
_HEADER = re.compile(r"t=(\d{1,12})((?:,\w{1,12}=[0-9a-f]{1,128}){1,20})", re.ASCII)
"""One time, then signatures of any scheme; ``v1`` several times while a secret is replaced."""
_Reader = Callable[[Any], list[Fact]]


def _of_charge(charge: stripe.Charge) -> list[Fact]:
    """Return the refunds of a charge: its event says how much, not which."""
    intent_id = facts.id_of(charge.payment_intent)
    return facts.after_payment(intent_id) if intent_id else []


_READERS: Mapping[str, tuple[type[stripe.StripeObject], _Reader]] = {
    "checkout.session.completed": (stripe.checkout.Session, facts.of_session),
    "checkout.session.async_payment_succeeded": (stripe.checkout.Session, facts.of_session),
    "checkout.session.async_payment_failed": (stripe.checkout.Session, facts.of_failed_session),
    "payment_intent.succeeded": (stripe.PaymentIntent, facts.of_intent),
    "payment_intent.payment_failed": (stripe.PaymentIntent, facts.of_intent),
    "charge.refunded": (stripe.Charge, _of_charge),
    "refund.created": (stripe.Refund, facts.of_refund),
    "refund.updated": (stripe.Refund, facts.of_refund),
    "refund.failed": (stripe.Refund, facts.of_refund),
    "charge.dispute.created": (stripe.Dispute, facts.of_dispute),
    "charge.dispute.updated": (stripe.Dispute, facts.of_dispute),
    "charge.dispute.closed": (stripe.Dispute, facts.of_dispute),
    "invoice.paid": (stripe.Invoice, facts.of_invoice),
    "invoice.payment_failed": (stripe.Invoice, facts.of_unpaid_invoice),
    "customer.subscription.deleted": (stripe.Subscription, facts.of_subscription),
}
EVENT_TYPES = (*_READERS, "account.updated")
"""What the webhook endpoints at Stripe have to send; anything else is ignored."""


def read(body: bytes, headers: Mapping[str, str], *, gateway: str) -> list[Fact]:
    """Return the facts in a message; see ``Gateway.read_event``."""
    _check_signature(body, headers.get(SIGNATURE_HEADER, ""))
    try:
        values = json.loads(body)
        event = stripe.Event.construct_from(values, None)
        kind, item = str(event.type), event.data.object
        is_live, account = bool(event.livemode), str(getattr(event, "account", None) or "")
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise BadEventError(_("This is no event of Stripe.")) from error
    is_test = is_test_key(settings.ENV.stripe_secret_key.get_secret_value())
    if is_live == is_test:
        raise BadEventError(_("This event is of Stripe's other mode (test or live)."))
    if kind == "account.updated" and isinstance(item, stripe.Account):
        note_account(item, gateway=gateway, at=int(event.created))
        return []
    if account:
        raise BadEventError(_("This event is of another account."))
    return _facts_in(kind, item)


def _facts_in(kind: str, item: Any) -> list[Fact]:
    if kind not in _READERS:
        return []
    wanted, reader = _READERS[kind]
    if not isinstance(item, wanted):
        raise BadEventError(_("This is no event of Stripe."))
    try:
        return reader(item)
    except (TypeError, AttributeError, KeyError, ValueError, OverflowError) as error:
        raise BadEventError(
            _("This event of Stripe lacks something. Set its endpoint to API version %(version)s.")
            % {"version": stripe.api_version}
        ) from error


def _check_signature(body: bytes, header: str) -> None:
    """Refuse what none of our secrets signed, or not now.

    Raises:
        BadEventError: see above.
    """
    match = _HEADER.fullmatch(header)
    if match is None:
        raise BadEventError(_("This message is not signed by Stripe."))
    for secret in settings.ENV.stripe_webhook_secrets:
        try:
            stripe.WebhookSignature.verify_header(body, header, secret.get_secret_value())
        except (stripe.SignatureVerificationError, UnicodeDecodeError):
            continue
        break
    else:
        raise BadEventError(_("This message is not signed by Stripe."))
    if abs(time.time() - int(match[1])) > TOLERANCE_S:
        raise BadEventError(_("This message is too old, or its clock is wrong."))
