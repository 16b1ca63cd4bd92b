"""Facts out of Stripe's objects, the same whether an event brought them or we asked.

A payment is named by its PaymentIntent, and a fact's id is made of the ids of what it is about: so
two events that tell one thing (a session that is complete, an intent that has succeeded), an event
that comes twice, and the answer to a question are one fact.
"""

from datetime import UTC, datetime
from typing import Any

import stripe

from licensing.gateways.base import Fact, FactKind
from licensing.gateways.stripe_amounts import from_stripe
from licensing.gateways.stripe_client import calling, client
from licensing.models import StripeObject

Kind = StripeObject.Kind
ORDER = "order_ref"
"""Key of our order's public id in Stripe's metadata."""
REFUND = "refund"
"""Key of our refund's public id there."""
FIRST_PERIOD, LATER_PERIOD = "subscription_create", "subscription_cycle"
_MAX_CHARS = 64
_MOST = 100
"""Refunds or invoices Stripe lists at once; more belong to no order of ours."""


def remember(kind: StripeObject.Kind, external_id: str, order_ref: str) -> None:
    """Keep which order an object at Stripe belongs to."""
    if external_id and order_ref:
        StripeObject.objects.get_or_create(
            external_id=external_id, defaults={"kind": kind, "order_ref": order_ref}
        )


def id_of(value: Any) -> str:
    """Return the id of what Stripe gives as an id, as an object, or not at all."""
    return value if isinstance(value, str) else str(getattr(value, "id", None) or "")


def order_ref_in(item: Any) -> str:
    """Return the order an object's metadata names; empty: none. It may be none of ours."""
    metadata = getattr(item, "metadata", None)
    return _word(metadata, ORDER)


def of_session(session: stripe.checkout.Session) -> list[Fact]:
    """Return what a Checkout Session says; one nobody paid at says nothing."""
    order_ref = order_ref_in(session)
    subscription_id = id_of(session.subscription)
    remember(Kind.SESSION, session.id, order_ref)
    remember(Kind.SUBSCRIPTION, subscription_id, order_ref)
    if session.payment_status == "unpaid" and session.status == "complete":
        kind = FactKind.PAYMENT_FAILED if has_bounced(session) else FactKind.PAYMENT_PENDING
        return [_of_days(kind, session)]
    if session.payment_status != "paid":
        return []
    if session.mode == "subscription":
        invoice_id = id_of(session.invoice)
        return of_invoice(_invoice(invoice_id)) if invoice_id else []
    intent_id = id_of(session.payment_intent) or session.id
    remember(Kind.INTENT, intent_id, order_ref)
    paid = session.amount_total or 0
    return [_paid(order_ref, intent_id, paid, session.currency or "", session.created)]


def of_failed_session(session: stripe.checkout.Session) -> list[Fact]:
    """Return that a payment which takes days (a direct debit) did not come."""
    return [_of_days(FactKind.PAYMENT_FAILED, session)]


def has_bounced(session: stripe.checkout.Session) -> bool:
    """Ask Stripe whether a session was completed, and its payment failed days later."""
    intent_id = id_of(session.payment_intent)
    if session.payment_status != "unpaid" or not intent_id:
        return False
    with calling():
        intent = client().v1.payment_intents.retrieve(intent_id)
    return intent.status in {"requires_payment_method", "canceled"}


def _of_days(kind: FactKind, session: stripe.checkout.Session) -> Fact:
    """Return how a payment that takes days stands."""
    word = "pending" if kind == FactKind.PAYMENT_PENDING else "failed"
    return _fact(
        kind,
        f"{session.id}:{word}",
        order_ref_in(session),
        id_of(session.payment_intent),
        session.amount_total or 0,
        session.currency or "",
        session.created,
        subject_id=session.id,
    )


def of_intent(intent: stripe.PaymentIntent) -> list[Fact]:
    """Return whether an intent was paid or failed. Those of invoices are told by the invoices."""
    order_ref = order_ref_in(intent)
    if not order_ref and of_invoices(intent.id):
        return []
    remember(Kind.INTENT, intent.id, order_ref)
    if intent.status == "succeeded":
        amount = intent.amount_received
        return [_paid(order_ref, intent.id, amount, intent.currency, intent.created)]
    error = intent.last_payment_error
    if intent.status != "requires_payment_method" or error is None:
        return []
    return [
        _fact(
            FactKind.PAYMENT_FAILED,
            f"{intent.id}:failed",
            order_ref,
            intent.id,
            intent.amount,
            intent.currency,
            intent.created,
            note=error.message or error.code or "",
        )
    ]


def of_refund(refund: stripe.Refund) -> list[Fact]:
    """Return whether a refund has arrived or failed; one on its way says nothing."""
    kinds = {"succeeded": FactKind.REFUNDED, "failed": FactKind.REFUND_FAILED}
    kind = kinds.get(refund.status or "")
    if refund.status == "canceled":
        kind = FactKind.REFUND_FAILED
    if kind is None:
        return []
    intent_id = id_of(refund.payment_intent)
    return [
        _fact(
            kind,
            f"{refund.id}:{kind}",
            order_ref_of(intent_id),
            intent_id,
            refund.amount,
            refund.currency,
            refund.created,
            subject_id=refund.id,
            key=_word(refund.metadata, REFUND),
            note=getattr(refund, "failure_reason", None) or "",
        )
    ]


def of_dispute(dispute: stripe.Dispute) -> list[Fact]:
    """Return how a dispute stands. Inquiries (``warning_…``) take no money and say nothing."""
    kinds = {
        "needs_response": FactKind.DISPUTE_OPENED,
        "under_review": FactKind.DISPUTE_OPENED,
        "won": FactKind.DISPUTE_WON,
        "lost": FactKind.DISPUTE_LOST,
    }
    kind = kinds.get(dispute.status)
    if kind is None:
        return []
    intent_id = id_of(dispute.payment_intent)
    return [
        _fact(
            kind,
            f"{dispute.id}:{kind}",
            order_ref_of(intent_id),
            intent_id,
            dispute.amount,
            dispute.currency,
            dispute.created,
            subject_id=dispute.id,
        )
    ]


def of_invoice(invoice: stripe.Invoice) -> list[Fact]:
    """Return that a period of a subscription was paid."""
    order_ref, subscription_id = _subscribed(invoice)
    if invoice.status != "paid" or not invoice.amount_paid:
        return []
    intent_id = _intent_of(invoice)
    remember(Kind.SUBSCRIPTION, subscription_id, order_ref)
    remember(Kind.INTENT, intent_id, order_ref)
    kind = FactKind.RENEWED if invoice.billing_reason == LATER_PERIOD else FactKind.PAID
    return [
        _fact(
            kind,
            f"{invoice.id}:paid" if kind == FactKind.RENEWED else f"{intent_id}:paid",
            order_ref,
            intent_id,
            invoice.amount_paid,
            invoice.currency,
            invoice.created,
            subject_id=subscription_id,
            key=invoice.id if kind == FactKind.RENEWED else "",
            is_exact=True,
        )
    ]


def of_unpaid_invoice(invoice: stripe.Invoice) -> list[Fact]:
    """Return that a period could not be collected; of the first one the buyer saw it himself."""
    order_ref, subscription_id = _subscribed(invoice)
    if invoice.billing_reason != LATER_PERIOD:
        return []
    return [
        _fact(
            FactKind.RENEWAL_FAILED,
            f"{invoice.id}:failed:{invoice.attempt_count}",
            order_ref,
            "",
            invoice.amount_due,
            invoice.currency,
            invoice.created,
            subject_id=subscription_id,
            key=invoice.id,
        )
    ]


def of_subscription(subscription: stripe.Subscription) -> list[Fact]:
    """Return that a subscription has ended, if it has."""
    order_ref = order_ref_in(subscription)
    remember(Kind.SUBSCRIPTION, subscription.id, order_ref)
    if subscription.status != "canceled":
        return []
    return [
        _fact(
            FactKind.SUBSCRIPTION_ENDED,
            f"{subscription.id}:ended",
            order_ref,
            "",
            0,
            subscription.currency,
            subscription.ended_at or subscription.created,
            subject_id=subscription.id,
        )
    ]


def after_payment(intent_id: str) -> list[Fact]:
    """Ask Stripe what became of a payment: refunds and disputes, the oldest first."""
    api = client().v1
    with calling():
        refunds = api.refunds.list({"payment_intent": intent_id, "limit": _MOST})
        disputes = api.disputes.list({"payment_intent": intent_id, "limit": _MOST})
    facts = [fact for refund in reversed(refunds.data) for fact in of_refund(refund)]
    return facts + [fact for row in reversed(disputes.data) for fact in of_dispute(row)]


def of_invoices(intent_id: str) -> list[stripe.Invoice]:
    """Ask Stripe which invoices an intent pays; intents of a Checkout pay none."""
    with calling():
        rows = client().v1.invoice_payments.list(
            {
                "payment": {"type": "payment_intent", "payment_intent": intent_id},
                "expand": ["data.invoice"],
            }
        )
    return [row.invoice for row in rows.data if isinstance(row.invoice, stripe.Invoice)]


def order_ref_of(intent_id: str) -> str:
    """Return the order a payment was for: as we remember it, or else as Stripe does."""
    known = StripeObject.objects.filter(external_id=intent_id).first()
    if known is not None or not intent_id:
        return known.order_ref if known is not None else ""
    with calling():
        intent = client().v1.payment_intents.retrieve(intent_id)
    found = order_ref_in(intent)
    for invoice in of_invoices(intent_id) if not found else []:
        found = found or _subscribed(invoice)[0]
    remember(Kind.INTENT, intent_id, found)
    return found


def _subscribed(invoice: stripe.Invoice) -> tuple[str, str]:
    """Return the order and the subscription an invoice belongs to."""
    details = getattr(invoice.parent, "subscription_details", None)
    subscription_id = id_of(getattr(details, "subscription", None))
    order_ref = order_ref_in(details)
    if not order_ref and subscription_id:
        known = StripeObject.objects.filter(external_id=subscription_id).first()
        order_ref = known.order_ref if known is not None else ""
    return order_ref, subscription_id


def _invoice(invoice_id: str) -> stripe.Invoice:
    with calling():
        return client().v1.invoices.retrieve(invoice_id, {"expand": ["payments"]})


def _intent_of(invoice: stripe.Invoice) -> str:
    """Return the intent that paid an invoice; events leave it out, so Stripe is asked.

    One that was paid in another way (from a credit) is a payment of its own name.
    """
    payments = getattr(invoice, "payments", None) or getattr(_invoice(invoice.id), "payments", None)
    for row in payments.data if payments is not None else ():
        if row.status == "paid" and row.payment.payment_intent:
            return id_of(row.payment.payment_intent)
    return invoice.id


def _paid(order_ref: str, intent_id: str, amount: int, currency: str, at: int) -> Fact:
    return _fact(
        FactKind.PAID,
        f"{intent_id}:paid",
        order_ref,
        intent_id,
        amount,
        currency,
        at,
        is_exact=True,
    )


def _fact(
    kind: FactKind,
    event_id: str,
    order_ref: str,
    payment_id: str,
    amount: int,
    currency: str,
    at: int,
    **more: Any,
) -> Fact:
    code = currency.upper()
    return Fact(
        event_id=event_id,
        kind=kind,
        order_ref=order_ref,
        payment_id=payment_id,
        amount_minor=from_stripe(amount, code),
        currency=code,
        at=datetime.fromtimestamp(at, UTC),
        **more,
    )


def _word(metadata: Any, name: str) -> str:
    """Return a word of ours in Stripe's metadata, which may hold anything."""
    found = metadata.to_dict().get(name, "") if metadata is not None else ""
    return found if isinstance(found, str) and len(found) <= _MAX_CHARS else ""
