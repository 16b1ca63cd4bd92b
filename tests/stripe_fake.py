"""A small Stripe on loopback: exactly the calls the store makes, over real HTTP.

It keeps state, honours idempotency keys, checks parameters and makes answers by the official
library's types (``stripe_shapes``), and signs events as Stripe does. Nothing is delivered by
itself: a test takes ``events`` and sends them once, twice, late, out of order or never.
"""

import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import stripe
from stripe import params as shapes

from tests.stripe_shapes import check_params, found, listed, made

KEY, SECRET = "sk_test_fake", "whsec_fake"
JSON = dict[str, Any]
GOOD_CARD = "pm_good"


class StripeAnswerError(Exception):
    """An error answer: HTTP status and Stripe's fields."""

    def __init__(self, status: int, **error: Any) -> None:
        super().__init__(error)
        self.status, self.error = status, error


class StripeFake:
    """Stripe, as far as the store uses it."""

    def __init__(self) -> None:
        self.objects: dict[str, JSON] = {}
        self.events: list[JSON] = []
        self.calls: list[tuple[str, str, JSON]] = []
        self.cards: dict[str, str] = {}
        """What happens to a saved card: its decline code; empty: it pays."""
        self.is_down = False
        self.search_lags = False
        self.is_empty = False
        """The store has nothing there that could be sent."""
        self.has_portal = True
        """Somebody has set the billing portal up."""
        self.lose_answers = 0
        """So many next writes are done, but their answers never arrive."""
        self._answers: dict[str, tuple[str, JSON, int, JSON]] = {}
        self._count = 0
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    # What people, banks and Stripe do

    def all(self, kind: str) -> list[JSON]:
        """Every object of a kind, the oldest first."""
        return [row for row in self.objects.values() if row["object"] == kind]

    def pay(self, session: JSON, *, card: str = GOOD_CARD) -> JSON:
        """A buyer pays on the page of a session; return the intent."""
        assert session["status"] == "open"
        if session["mode"] == "subscription":
            intent = self._subscribe(session)
        else:
            metadata = session.pop("_intent_metadata")
            intent = self._intent(session["amount_total"], session["currency"], metadata)
            session["payment_intent"] = intent["id"]
        if session["customer"]:
            self.save_card(session["customer"], card)
        session |= {"status": "complete", "payment_status": "paid", "url": None}
        self.event("checkout.session.completed", session)
        self.event("payment_intent.succeeded", intent)
        return intent

    def debit(self, session: JSON) -> JSON:
        """A buyer has their bank account debited, which takes days; return the intent."""
        assert session["status"] == "open"
        metadata = session["_intent_metadata"]
        intent = self._intent(
            session["amount_total"], session["currency"], metadata, status="processing"
        )
        session |= {"status": "complete", "url": None, "payment_intent": intent["id"]}
        self.event("checkout.session.completed", session)
        return intent

    def clear(self, session: JSON, intent: JSON) -> None:
        """The debited money has come."""
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
        session["payment_status"] = "paid"
        self.event("checkout.session.async_payment_succeeded", session)

    def bounce(self, session: JSON, intent: JSON) -> None:
        """The buyer's bank does not pay the debit."""
        intent["status"] = "requires_payment_method"
        self.event("checkout.session.async_payment_failed", session)

    def expire(self, session: JSON) -> None:
        """Nobody paid in time."""
        session |= {"status": "expired", "url": None}
        self.event("checkout.session.expired", session)

    def end_session(self, _given: JSON, ident: str) -> JSON:
        session = self.get(_given, ident)
        assert session["status"] == "open"
        self.expire(session)
        return session

    def save_card(self, customer_id: str, card: str = GOOD_CARD, *, decline: str = "") -> None:
        """A customer keeps a card; ``decline`` is what happens to it later."""
        method = made(
            stripe.PaymentMethod,
            id=card,
            object="payment_method",
            customer=customer_id,
            type="card",
        )
        self.objects[card] = method
        self.cards[card] = decline

    def renew(self, subscription: JSON, *, fails: bool = False) -> JSON:
        """Billing collects the next period, or cannot; return the invoice."""
        invoice = self._invoice(subscription, "subscription_cycle")
        if fails:
            invoice |= {"status": "open", "attempt_count": 1, "amount_paid": 0}
            self.event("invoice.payment_failed", invoice)
        else:
            self._pay_invoice(invoice)
        return invoice

    def end(self, subscription: JSON) -> None:
        """A subscription is over."""
        subscription |= {"status": "canceled", "ended_at": _now()}
        self.event("customer.subscription.deleted", subscription)

    def refund_by_hand(self, intent: JSON, amount: int) -> JSON:
        """Somebody refunds in Stripe's dashboard; return the refund."""
        return self._refund(intent, amount, {})

    def fail_refund(self, refund: JSON) -> None:
        """The buyer's bank does not take a refund that Stripe called done."""
        refund |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}
        self.event("refund.failed", refund)

    def dispute(self, intent: JSON, amount: int, *, status: str = "needs_response") -> JSON:
        """The buyer's bank takes money back."""
        row = self._keep(
            stripe.Dispute,
            "dp",
            amount=amount,
            currency=intent["currency"],
            charge=intent["latest_charge"],
            payment_intent=intent["id"],
            status=status,
            reason="fraudulent",
        )
        self.event("charge.dispute.created", row)
        return row

    def close_dispute(self, dispute: JSON, *, status: str) -> None:
        dispute["status"] = status
        self.event("charge.dispute.closed", dispute)

    def event(self, kind: str, item: JSON, **more: Any) -> JSON:
        """Note that something happened, as it is now."""
        self._count += 1
        row = made(
            stripe.Event,
            id=f"evt_{self._count}",
            object="event",
            type=kind,
            created=_now(),
            api_version=stripe.api_version,
            data={"object": json.loads(json.dumps(_shown(item)))},
            **more,
        )
        self.events.append(row)
        return row

    def take(self, *kinds: str) -> list[JSON]:
        """Return the events of some kinds, or all, that nobody took yet."""
        wanted = [row for row in self.events if not kinds or row["type"] in kinds]
        self.events = [row for row in self.events if row not in wanted]
        return wanted

    # Requests

    def answer(self, method: str, path: str, given: JSON, headers: Any) -> tuple[int, JSON]:
        with self._lock:
            self.calls.append((method, path, given))
            assert headers["Authorization"] == f"Bearer {KEY}"
            assert headers["Stripe-Version"] == stripe.api_version
            key = headers.get("Idempotency-Key", "")
            if method == "POST" and key in self._answers:
                was_path, was_given, status, body = self._answers[key]
                if (was_path, was_given) != (path, given):
                    return 400, {"error": {"type": "idempotency_error", "message": "Other values"}}
                return status, body
            try:
                status, body = 200, _shown(self._route(method, path, given))
            except StripeAnswerError as error:
                status, body = error.status, {"error": error.error}
            body = json.loads(json.dumps(body))
            if method == "POST":
                self._answers[key] = (path, given, status, body)
            return status, body

    def _route(self, method: str, path: str, given: JSON) -> JSON:
        for pattern, verb, kind, act in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                if kind is not None:
                    check_params(kind, given)
                answer: JSON = act(self, given, *match.groups())
                return answer
        raise AssertionError(f"the store makes no call {method} {path}")

    def get(self, _given: JSON, ident: str) -> JSON:
        if ident not in self.objects:
            raise _missing(ident)
        return self.objects[ident]

    def make_session(self, given: JSON) -> JSON:
        amounts = [row["price_data"] for row in given["line_items"]]
        metadata = given.get("payment_intent_data", given.get("subscription_data"))["metadata"]
        until = int(given.get("expires_at", _now() + 86400))
        assert _now() + 1800 <= until <= _now() + 86400
        regular = sum(int(row["unit_amount"]) for row in amounts)
        coupons = [self.get({}, row["coupon"]) for row in given.get("discounts", [])]
        total = regular - sum(coupon["amount_off"] for coupon in coupons)
        assert all(coupon["currency"] == amounts[0]["currency"] for coupon in coupons)
        if total < 50:
            raise StripeAnswerError(
                400, type="invalid_request_error", code="amount_too_small", message="Too small"
            )
        row = self._keep(
            stripe.checkout.Session,
            "cs_test",
            amount_total=total,
            currency=amounts[0]["currency"],
            mode=given["mode"],
            status="open",
            payment_status="unpaid",
            metadata=given["metadata"],
            client_reference_id=given["client_reference_id"],
            customer=given.get("customer"),
            success_url=given["success_url"],
            cancel_url=given["cancel_url"],
            expires_at=until,
        )
        row |= {"url": f"{self.url}/pay/{row['id']}", "_intent_metadata": metadata}
        row["_recurring"] = amounts[0].get("recurring")
        row |= {"_regular": regular, "_coupons": coupons}
        return row

    def make_coupon(self, given: JSON) -> JSON:
        assert ("duration_in_months" in given) == (given["duration"] == "repeating")
        assert len(given.get("name", "")) <= 40
        months = given.get("duration_in_months")
        return self._keep(
            stripe.Coupon,
            "coupon",
            amount_off=int(given["amount_off"]),
            currency=given["currency"],
            duration=given["duration"],
            duration_in_months=int(months) if months else None,
            name=given.get("name"),
            metadata=given["metadata"],
            valid=True,
        )

    def make_customer(self, given: JSON) -> JSON:
        return self._keep(stripe.Customer, "cus", email=given["email"], metadata=given["metadata"])

    def list_methods(self, _given: JSON, customer_id: str) -> JSON:
        rows = [row for row in self.all("payment_method") if row["customer"] == customer_id]
        return listed(f"/v1/customers/{customer_id}/payment_methods", rows)

    def make_intent(self, given: JSON) -> JSON:
        decline = self.cards[given["payment_method"]]
        amount, currency = int(given["amount"]), given["currency"]
        if not decline:
            intent = self._intent(amount, currency, given["metadata"])
            self.event("payment_intent.succeeded", intent)
            return intent
        status = "requires_action" if decline == "requires_action" else "requires_payment_method"
        intent = self._intent(amount, currency, given["metadata"], status=status)
        if status == "requires_action":
            return intent
        code = decline if decline == "authentication_required" else "card_declined"
        intent["last_payment_error"] = {
            "type": "card_error",
            "code": code,
            "decline_code": decline,
            "message": "Your card was declined.",
        }
        self.event("payment_intent.payment_failed", intent)
        raise StripeAnswerError(402, **intent["last_payment_error"], payment_intent=_shown(intent))

    def search_intents(self, given: JSON) -> JSON:
        return self._search("payment_intent", given)

    def search_subscriptions(self, given: JSON) -> JSON:
        return self._search("subscription", given)

    def make_refund(self, given: JSON) -> JSON:
        intent = self.get({}, given["payment_intent"])
        back = [row["amount"] for row in self._of(intent, "refund") if row["status"] != "failed"]
        if sum(back) + int(given["amount"]) > intent["amount_received"]:
            raise StripeAnswerError(
                400,
                type="invalid_request_error",
                code="charge_already_refunded",
                message="Too much",
            )
        return self._refund(intent, int(given["amount"]), given["metadata"])

    def list_refunds(self, given: JSON) -> JSON:
        intent = {"id": given["payment_intent"]}
        return listed("/v1/refunds", self._of(intent, "refund")[::-1])

    def list_disputes(self, given: JSON) -> JSON:
        intent = {"id": given["payment_intent"]}
        return listed("/v1/disputes", self._of(intent, "dispute")[::-1])

    def get_invoice(self, given: JSON, ident: str) -> JSON:
        return self._with_payments(self.get({}, ident))

    def list_invoices(self, given: JSON) -> JSON:
        rows = [
            self._with_payments(row)
            for row in self.all("invoice")
            if row["parent"]["subscription_details"]["subscription"] == given["subscription"]
            and row["status"] == given.get("status", row["status"])
        ]
        return listed("/v1/invoices", rows[::-1])

    def list_invoice_payments(self, given: JSON) -> JSON:
        intent_id = given["payment"]["payment_intent"]
        rows = [
            row | {"invoice": _shown(self.objects[row["invoice"]])}
            for row in self.all("invoice_payment")
            if row["payment"]["payment_intent"] == intent_id
        ]
        return listed("/v1/invoice_payments", rows)

    def update_subscription(self, given: JSON, ident: str) -> JSON:
        row = self.get({}, ident)
        if row["status"] == "canceled":
            raise StripeAnswerError(
                400,
                type="invalid_request_error",
                message="A canceled subscription can only update its cancellation_details.",
            )
        row["cancel_at_period_end"] = given["cancel_at_period_end"] == "true"
        return row

    def cancel_subscription(self, _given: JSON, ident: str) -> JSON:
        row = self.get({}, ident)
        if row["status"] == "canceled":
            raise _missing(ident)
        self.end(row)
        return row

    def make_portal(self, given: JSON) -> JSON:
        if not self.has_portal:
            raise StripeAnswerError(
                400, type="invalid_request_error", message="No configuration provided"
            )
        assert given["customer"] in self.objects
        row = self._keep(stripe.billing_portal.Session, "bps", **given)
        return row | {"url": f"{self.url}/portal/{row['id']}"}

    def make_transfer(self, given: JSON) -> JSON:
        if given["destination"] not in self.objects:
            raise _missing(given["destination"])
        if self.is_empty:
            raise StripeAnswerError(
                400, type="invalid_request_error", code="balance_insufficient", message="Too little"
            )
        return self._keep(
            stripe.Transfer,
            "tr",
            amount=int(given["amount"]),
            currency=given["currency"],
            destination=given["destination"],
            transfer_group=given["transfer_group"],
        )

    def list_transfers(self, given: JSON) -> JSON:
        rows = self.all("transfer")
        wanted = [row for row in rows if row["transfer_group"] == given["transfer_group"]]
        return listed("/v1/transfers", wanted)

    def make_account(self, given: JSON) -> JSON:
        return self._keep(
            stripe.Account,
            "acct",
            country=given["country"],
            type=given["type"],
            payouts_enabled=False,
            details_submitted=False,
        )

    def make_account_link(self, given: JSON) -> JSON:
        assert given["account"] in self.objects
        url = f"{self.url}/onboarding/{given['account']}"
        return made(stripe.AccountLink, object="account_link", url=url, expires_at=_now() + 300)

    # Inside

    def _keep(self, kind: type[stripe.StripeObject], prefix: str, **given: Any) -> JSON:
        self._count += 1
        name = vars(kind).get("OBJECT_NAME")
        fields = {"id": f"{prefix}_{self._count}", "object": name, "created": _now(), **given}
        fields = {key: value for key, value in fields.items() if key in kind.__annotations__}
        row = made(kind, **fields)
        self.objects[row["id"]] = row
        return row

    def _intent(self, amount: int, currency: str, metadata: JSON, **more: Any) -> JSON:
        status = more.get("status", "succeeded")
        intent = self._keep(
            stripe.PaymentIntent,
            "pi",
            amount=amount,
            amount_received=amount if status == "succeeded" else 0,
            currency=currency,
            metadata=metadata,
            status=status,
        )
        charge = self._keep(
            stripe.Charge,
            "ch",
            amount=amount,
            currency=currency,
            payment_intent=intent["id"],
            paid=status == "succeeded",
        )
        intent["latest_charge"] = charge["id"]
        return intent

    def _refund(self, intent: JSON, amount: int, metadata: JSON) -> JSON:
        refund = self._keep(
            stripe.Refund,
            "re",
            amount=amount,
            currency=intent["currency"],
            payment_intent=intent["id"],
            charge=intent["latest_charge"],
            metadata=metadata,
            status="succeeded",
        )
        charge = self.objects[intent["latest_charge"]]
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self.event("refund.created", refund)
        self.event("charge.refunded", charge)
        return refund

    def _subscribe(self, session: JSON) -> JSON:
        subscription = self._keep(
            stripe.Subscription,
            "sub",
            currency=session["currency"],
            customer=session["customer"] or "cus_guest",
            metadata=session.pop("_intent_metadata"),
            status="active",
        )
        subscription["_amount"] = session["_regular"]
        subscription["_coupons"] = session["_coupons"]
        subscription["_months"] = {"month": 1, "year": 12}[session["_recurring"]["interval"]]
        invoice = self._invoice(subscription, "subscription_create")
        session |= {"subscription": subscription["id"], "invoice": invoice["id"]}
        return self._pay_invoice(invoice)

    def _invoice(self, subscription: JSON, reason: str) -> JSON:
        details = made(
            stripe.Invoice.Parent.SubscriptionDetails,
            metadata=subscription["metadata"],
            subscription=subscription["id"],
        )
        parent = made(
            stripe.Invoice.Parent, subscription_details=details, type="subscription_details"
        )
        amount = subscription["_amount"] - self._off(subscription)
        return self._keep(
            stripe.Invoice,
            "in",
            amount_due=amount,
            subtotal=subscription["_amount"],
            total=amount,
            currency=subscription["currency"],
            billing_reason=reason,
            status="open",
            hosted_invoice_url=f"{self.url}/invoice/{subscription['id']}",
            parent=parent,
        )

    def _off(self, subscription: JSON) -> int:
        """What is taken off the next invoice: a coupon lasts for months, counted from the first."""
        before = sum(
            row["parent"]["subscription_details"]["subscription"] == subscription["id"]
            for row in self.all("invoice")
        )
        passed = before * subscription["_months"]
        return sum(
            coupon["amount_off"]
            for coupon in subscription["_coupons"]
            if passed < (coupon["duration_in_months"] or 1)
        )

    def _pay_invoice(self, invoice: JSON) -> JSON:
        intent = self._intent(invoice["amount_due"], invoice["currency"], {})
        payment = made(
            stripe.InvoicePayment.Payment, payment_intent=intent["id"], type="payment_intent"
        )
        self._keep(
            stripe.InvoicePayment,
            "inpay",
            amount_paid=invoice["amount_due"],
            currency=invoice["currency"],
            invoice=invoice["id"],
            payment=payment,
            status="paid",
        )
        invoice |= {"status": "paid", "amount_paid": invoice["amount_due"], "attempt_count": 1}
        self.event("invoice.paid", invoice)
        if invoice["billing_reason"] == "subscription_cycle":
            self.event("payment_intent.succeeded", intent)
        return intent

    def _with_payments(self, invoice: JSON) -> JSON:
        rows = [row for row in self.all("invoice_payment") if row["invoice"] == invoice["id"]]
        return invoice | {"payments": listed("/v1/invoice_payments", rows)}

    def _of(self, intent: JSON, kind: str) -> list[JSON]:
        return [row for row in self.all(kind) if row["payment_intent"] == intent["id"]]

    def _search(self, kind: str, given: JSON) -> JSON:
        match = re.fullmatch(r"metadata\['(\w+)'\]:'(\w+)'", given["query"])
        assert match
        name, value = match.groups()
        rows = [row for row in self.all(kind) if row["metadata"].get(name) == value]
        return found(f"/v1/{kind}s/search", [] if self.search_lags else rows)


def signed(
    event: JSON, *, secret: str = SECRET, at: float | None = None, **changes: Any
) -> tuple[bytes, str]:
    """Return an event's body and its ``Stripe-Signature``, made by the official library."""
    body = json.dumps(event | changes)
    stamp = int(_now() if at is None else at)
    header = stripe.WebhookSignature.generate_signature_header(body, secret, stamp)
    return body.encode(), header


def _now() -> int:
    return int(time.time())


def _missing(ident: str) -> StripeAnswerError:
    return StripeAnswerError(
        404, type="invalid_request_error", code="resource_missing", message=f"No such {ident}"
    )


def _shown(row: JSON) -> JSON:
    """Return an object without what the fake keeps for itself."""
    return {name: value for name, value in row.items() if not name.startswith("_")}


_Act = Callable[..., JSON]
_F = StripeFake
_ROUTES: list[tuple[str, str, Any, _Act]] = [
    ("/v1/checkout/sessions", "POST", shapes.checkout.SessionCreateParams, _F.make_session),
    (r"/v1/checkout/sessions/(\w+)", "GET", None, _F.get),
    (r"/v1/checkout/sessions/(\w+)/expire", "POST", None, _F.end_session),
    ("/v1/coupons", "POST", shapes.CouponCreateParams, _F.make_coupon),
    ("/v1/customers", "POST", shapes.CustomerCreateParams, _F.make_customer),
    (r"/v1/customers/(\w+)/payment_methods", "GET", None, _F.list_methods),
    ("/v1/payment_intents", "POST", shapes.PaymentIntentCreateParams, _F.make_intent),
    (
        "/v1/payment_intents/search",
        "GET",
        shapes.PaymentIntentSearchParams,
        _F.search_intents,
    ),
    (r"/v1/payment_intents/(\w+)", "GET", None, _F.get),
    ("/v1/refunds", "POST", shapes.RefundCreateParams, _F.make_refund),
    ("/v1/refunds", "GET", shapes.RefundListParams, _F.list_refunds),
    ("/v1/disputes", "GET", shapes.DisputeListParams, _F.list_disputes),
    ("/v1/invoices", "GET", shapes.InvoiceListParams, _F.list_invoices),
    (r"/v1/invoices/(\w+)", "GET", shapes.InvoiceRetrieveParams, _F.get_invoice),
    ("/v1/invoice_payments", "GET", shapes.InvoicePaymentListParams, _F.list_invoice_payments),
    (
        "/v1/subscriptions/search",
        "GET",
        shapes.SubscriptionSearchParams,
        _F.search_subscriptions,
    ),
    (r"/v1/subscriptions/(\w+)", "GET", None, _F.get),
    (
        r"/v1/subscriptions/(\w+)",
        "POST",
        shapes.SubscriptionUpdateParams,
        _F.update_subscription,
    ),
    (r"/v1/subscriptions/(\w+)", "DELETE", None, _F.cancel_subscription),
    (
        "/v1/billing_portal/sessions",
        "POST",
        shapes.billing_portal.SessionCreateParams,
        _F.make_portal,
    ),
    ("/v1/transfers", "POST", shapes.TransferCreateParams, _F.make_transfer),
    ("/v1/transfers", "GET", shapes.TransferListParams, _F.list_transfers),
    ("/v1/accounts", "POST", shapes.AccountCreateParams, _F.make_account),
    (r"/v1/accounts/(\w+)", "GET", None, _F.get),
    ("/v1/account_links", "POST", shapes.AccountLinkCreateParams, _F.make_account_link),
]


def _handler(fake: StripeFake) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length).decode()
            url = urlsplit(self.path)
            if fake.is_down:
                self.close_connection = True
                return
            given = nested(text or url.query)
            try:
                status, body = fake.answer(self.command, url.path, given, self.headers)
            except AssertionError as error:
                status, body = 418, {"error": {"type": "fake", "message": repr(error)}}
            if fake.lose_answers and self.command == "POST":
                fake.lose_answers -= 1
                self.close_connection = True
                return
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _do  # noqa: N815

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    return Handler


def nested(text: str) -> JSON:
    """Return form fields as Stripe reads them: ``a[b][0]=c`` is ``{"a": {"b": ["c"]}}``."""
    tree: JSON = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        path = re.findall(r"[^\[\]]+", name)
        place = tree
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = value
    return {name: _lists(value) for name, value in tree.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(item) for name, item in value.items()}
    return list(inner.values()) if all(name.isdigit() for name in inner) else inner
