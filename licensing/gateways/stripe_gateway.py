"""Stripe: Checkout for browsers, saved cards for scripts, Billing for subscriptions, Connect.

Every write has an idempotency key made of our own ids, and what Stripe made is kept in
``StripeObject``, so that an order has one open checkout however often it is started.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import stripe
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from licensing.gateways import stripe_events, stripe_subscriptions
from licensing.gateways import stripe_facts as facts
from licensing.gateways import stripe_prices as prices
from licensing.gateways.base import (
    Charge,
    Checkout,
    Fact,
    GatewayRefusedError,
    NoMoneyThereError,
    PaymentDeclinedError,
)
from licensing.gateways.stripe_amounts import to_stripe
from licensing.gateways.stripe_client import calling, client, intent_of, is_test_key
from licensing.models import StripeCustomer, StripeObject

if TYPE_CHECKING:
    from stripe.params import TransferCreateParams
    from stripe.params.checkout import SessionCreateParams

Kind = StripeObject.Kind
SAVED = "saved"
"""Method of a script: the card the payer saved last; ``pm_…`` is a certain one."""
_NEEDS_BROWSER = "authentication_required"
_LEAST, _MOST = timedelta(minutes=31), timedelta(hours=24)
"""Stripe lets a checkout live for 30 minutes to 24 hours."""
_NO_MONEY = "balance_insufficient"


class Stripe:
    """See ``licensing.gateways.base.Gateway`` for what each method promises.

    In test mode it has a name of its own: pretended money must never be in one account with real
    money, whatever key the site had before.
    """

    renews_itself = True

    def __init__(self) -> None:
        self.is_test = is_test_key(settings.ENV.stripe_secret_key.get_secret_value())
        self.name = "stripe-test" if self.is_test else "stripe"

    def start(self, charge: Charge) -> Checkout:
        if charge.method and not charge.interval:
            return self._pay_saved(charge)
        checkout = self._in_browser(charge)
        needs_browser = bool(charge.method and checkout.url)
        return Checkout(checkout.url, facts=checkout.facts, needs_browser=needs_browser)

    def _in_browser(self, charge: Charge) -> Checkout:
        """Return the order's open session, or a new one when the last is over or another's.

        A page shows the saved cards of whom it was made for: nobody else is led to it.
        """
        made = StripeObject.objects.filter(kind=Kind.SESSION, order_ref=charge.order_ref)
        last = made.order_by("-id").first()
        if last is not None:
            with calling():
                session = client().v1.checkout.sessions.retrieve(last.external_id)
            if session.status == "open" and session.url:
                if self._is_for(charge.payer_id, session):
                    return Checkout(session.url)
                with calling():
                    client().v1.checkout.sessions.expire(session.id)
            if session.status == "complete" and not facts.has_bounced(session):
                return Checkout(facts=facts.of_session(session))
        params = self._session_params(charge)
        if charge.later is not None:
            params["discounts"] = [{"coupon": prices.coupon(charge, charge.later)}]
        key = f"{charge.order_ref}-session-{made.count()}-{charge.payer_id or 0}"
        with calling():
            session = client().v1.checkout.sessions.create(params, {"idempotency_key": key})
        facts.remember(Kind.SESSION, session.id, charge.order_ref)
        return Checkout(session.url or "")

    def _is_for(self, payer_id: int | None, session: stripe.checkout.Session) -> bool:
        """Whether a session shows nobody's cards but the payer's own."""
        customer = facts.id_of(session.customer)
        if not customer:
            return True
        known = StripeCustomer.objects.filter(gateway=self.name, external_id=customer)
        return payer_id is not None and known.filter(user_id=payer_id).exists()

    def _session_params(self, charge: Charge) -> "SessionCreateParams":
        words = {facts.ORDER: charge.order_ref}
        params: SessionCreateParams = {
            "client_reference_id": charge.order_ref,
            "metadata": words,
            "line_items": prices.lines(charge),
            "success_url": charge.success_url,
            "cancel_url": charge.cancel_url,
            "adaptive_pricing": {"enabled": False},
        }
        left = (charge.expires_at - timezone.now()) if charge.expires_at else timedelta()
        if charge.expires_at is not None and _LEAST <= left <= _MOST:
            params["expires_at"] = int(charge.expires_at.timestamp())
        if charge.payer_id is not None:
            params["customer"] = self._customer(charge, charge.payer_id)
        if charge.interval:
            params["mode"] = "subscription"
            params["subscription_data"] = {"metadata": words}
        else:
            params["mode"] = "payment"
            params["payment_intent_data"] = {"metadata": words}
            if charge.payer_id is not None:
                params["saved_payment_method_options"] = {"payment_method_save": "enabled"}
        return params

    def _customer(self, charge: Charge, payer_id: int) -> str:
        """Return who the payer is at Stripe, made on first asking."""
        known = StripeCustomer.objects.filter(user_id=payer_id, gateway=self.name).first()
        if known is not None:
            return known.external_id
        with calling():
            made = client().v1.customers.create(
                {"email": charge.payer_email, "metadata": {"buyer": str(payer_id)}},
                {"idempotency_key": f"{charge.order_ref}-customer-{payer_id}"},
            )
        row, _made = StripeCustomer.objects.get_or_create(
            user_id=payer_id, gateway=self.name, defaults={"external_id": made.id}
        )
        return row.external_id

    def _pay_saved(self, charge: Charge) -> Checkout:
        """Pay with a saved card, nobody at a browser; where the bank insists on one, say so."""
        method = self._method(charge)
        amount = to_stripe(charge.amount_minor, charge.currency)
        made = StripeObject.objects.filter(kind=Kind.INTENT, order_ref=charge.order_ref)
        try:
            with calling():
                intent = client().v1.payment_intents.create(
                    {
                        "amount": amount,
                        "currency": charge.currency.lower(),
                        "customer": facts.id_of(method.customer),
                        "payment_method": method.id,
                        "confirm": True,
                        "off_session": True,
                        "description": charge.title,
                        "metadata": {facts.ORDER: charge.order_ref},
                    },
                    {"idempotency_key": f"{charge.order_ref}-intent-{made.count()}"},
                )
        except PaymentDeclinedError as error:
            # A declined intent is remembered, so that the next attempt is a new one.
            facts.remember(Kind.INTENT, intent_of(error), charge.order_ref)
            if error.extra["reason"] != _NEEDS_BROWSER:
                raise
            return Checkout(self._in_browser(charge).url, needs_browser=True)
        found = facts.of_intent(intent)
        if intent.status == "requires_action":
            return Checkout(self._in_browser(charge).url, needs_browser=True)
        return Checkout(facts=found)

    def _method(self, charge: Charge) -> stripe.PaymentMethod:
        """Return the payer's own saved card of this name; nobody pays with another's.

        Raises:
            PaymentDeclinedError: they have none.
        """
        known = StripeCustomer.objects.filter(
            user_id=charge.payer_id or 0, gateway=self.name
        ).first()
        found: list[stripe.PaymentMethod] = []
        if known is not None:
            with calling():
                rows = client().v1.customers.payment_methods.list(known.external_id)
            found = [row for row in rows.data if charge.method in {SAVED, row.id}]
        if not found:
            raise PaymentDeclinedError(
                _("You have saved no such card. Pay in a browser once, and save it there."),
                reason="unknown_method",
            )
        return found[0]

    def call_off(self, order_ref: str) -> list[Fact]:
        api, told = client().v1.checkout.sessions, list[Fact]()
        rows = StripeObject.objects.filter(kind=Kind.SESSION, order_ref=order_ref)
        for external_id in rows.values_list("external_id", flat=True):
            with calling():
                session = api.retrieve(external_id)
            if session.status == "open":
                try:
                    with calling():
                        session = api.expire(external_id)
                except GatewayRefusedError:  # it was paid at this very moment
                    with calling():
                        session = api.retrieve(external_id)
            told += facts.of_session(session)
        return told

    def refund(self, *, payment_id: str, amount_minor: int, currency: str, key: str) -> list[Fact]:
        api = client().v1.refunds
        with calling():
            sent = api.list({"payment_intent": payment_id, "limit": 100})
        # Stripe forgets idempotency keys after a day or more; its list of refunds it keeps.
        known = [row for row in sent.data if _key_of(row) == key]
        if known:
            return facts.of_refund(known[0])
        with calling():
            made = api.create(
                {
                    "payment_intent": payment_id,
                    "amount": to_stripe(amount_minor, currency),
                    "metadata": {facts.REFUND: key},
                },
                {"idempotency_key": f"refund-{key}"},
            )
        return facts.of_refund(made)

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> list[Fact]:
        return stripe_events.read(body, headers, gateway=self.name)

    def facts_of(self, order_ref: str) -> list[Fact]:
        return _Inquiry(order_ref).facts()

    def pay_out(self, *, account: str, amount_minor: int, currency: str, key: str) -> str:
        api = client().v1.transfers
        with calling():
            sent = api.list({"transfer_group": key})
            if sent.data:
                return sent.data[0].id
        wanted: TransferCreateParams = {
            "destination": account,
            "amount": to_stripe(amount_minor, currency),
            "currency": currency.lower(),
            "transfer_group": key,
        }
        # A key is answered with what was said under it before, refusals too: each day has its own.
        today = f"{timezone.now().astimezone(UTC):%Y-%m-%d}"
        try:
            with calling():
                return api.create(wanted, {"idempotency_key": f"payout-{key}-{today}"}).id
        except GatewayRefusedError as error:
            if error.extra.get("reason") != _NO_MONEY:
                raise
            raise NoMoneyThereError(
                _("The store has too little of this currency at Stripe now. It waits for more.")
            ) from error

    def saved_method(self, order_ref: str) -> str:
        """Billing collects by itself; nothing is to be charged."""
        return ""

    def end_subscription(self, order_ref: str, *, at_once: bool) -> None:
        for external_id in _Inquiry(order_ref).subscription_ids():
            stripe_subscriptions.end(external_id, at_once=at_once)

    def resume_subscription(self, order_ref: str) -> list[Fact]:
        known = _Inquiry(order_ref).subscription_ids()
        return [fact for ident in known for fact in stripe_subscriptions.resume(ident)]

    def mending_url(self, order_ref: str, *, payer_id: int, return_url: str) -> str:
        """The billing portal, for whose card it is; else the page of the invoice that is open."""
        api = client().v1
        for external_id in _Inquiry(order_ref).subscription_ids():
            with calling():
                subscription = api.subscriptions.retrieve(external_id)
            known = StripeCustomer.objects.filter(
                gateway=self.name, external_id=facts.id_of(subscription.customer), user_id=payer_id
            ).first()
            if known is not None and subscription.status != "canceled":
                with suppress(GatewayRefusedError), calling():  # nobody has set the portal up
                    return api.billing_portal.sessions.create(
                        {"customer": known.external_id, "return_url": return_url}
                    ).url
            with calling():
                unpaid = api.invoices.list({"subscription": external_id, "status": "open"})
            for invoice in unpaid.data:
                if invoice.hosted_invoice_url:
                    return invoice.hosted_invoice_url
        return ""


class _Inquiry:
    """Asks Stripe for all that happened to one order.

    What we remember is asked for by id, which is exact; a search by our word in the metadata finds
    what a crash kept us from remembering. Stripe's search lags behind by up to a minute.
    """

    def __init__(self, order_ref: str) -> None:
        self.order_ref = order_ref
        self.query = f"metadata['{facts.ORDER}']:'{order_ref}'"

    def facts(self) -> list[Fact]:
        """Return every fact, payments before what became of them."""
        found: dict[str, Fact] = {}
        intents = dict.fromkeys(self._paid_by_session(found))
        for external_id in self._known(Kind.INTENT) | self._searched_intents():
            with calling():
                intent = client().v1.payment_intents.retrieve(external_id)
            intents[external_id] = None
            if facts.order_ref_in(intent) == self.order_ref:
                _add(found, facts.of_intent(intent))
        for external_id in self.subscription_ids():
            intents |= dict.fromkeys(self._of_subscription(external_id, found))
        for external_id in intents:
            _add(found, facts.after_payment(external_id))
        return list(found.values())

    def subscription_ids(self) -> list[str]:
        """Return the ids of the order's subscriptions."""
        with calling():
            rows = client().v1.subscriptions.search({"query": self.query})
        return sorted(self._known(Kind.SUBSCRIPTION) | {row.id for row in rows.data})

    def _paid_by_session(self, found: dict[str, Fact]) -> list[str]:
        for external_id in self._known(Kind.SESSION):
            with calling():
                session = client().v1.checkout.sessions.retrieve(external_id)
            _add(found, facts.of_session(session))
        return [fact.payment_id for fact in found.values() if fact.payment_id]

    def _of_subscription(self, external_id: str, found: dict[str, Fact]) -> list[str]:
        """Add what a subscription's invoices say; return the payments."""
        with calling():
            subscription = client().v1.subscriptions.retrieve(external_id)
            invoices = client().v1.invoices.list(
                {"subscription": external_id, "limit": 100, "expand": ["data.payments"]}
            )
        told = [fact for row in reversed(invoices.data) for fact in facts.of_invoice(row)]
        _add(found, told)
        _add(found, facts.of_subscription(subscription))
        return [fact.payment_id for fact in told]

    def _known(self, kind: StripeObject.Kind) -> set[str]:
        rows = StripeObject.objects.filter(kind=kind, order_ref=self.order_ref)
        return set(rows.values_list("external_id", flat=True))

    def _searched_intents(self) -> set[str]:
        with calling():
            rows = client().v1.payment_intents.search({"query": self.query})
        return {row.id for row in rows.data}


def _add(found: dict[str, Fact], more: list[Fact]) -> None:
    for fact in more:
        found.setdefault(fact.event_id, fact)


def _key_of(refund: stripe.Refund) -> str:
    metadata: Any = refund.metadata
    return str(metadata.to_dict().get(facts.REFUND, "")) if metadata is not None else ""
