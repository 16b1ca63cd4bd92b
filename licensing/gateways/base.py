"""What every payment gateway can do, and the facts it tells.

A gateway is the outside world: it is called outside of transactions, may be slow or away, and is
believed only through facts it signed or answers when it is asked. Amounts are minor units.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from store.core.errors import StoreError, TransientError

TEST_GATEWAYS = frozenset({"sandbox", "stripe-test"})
"""Names of gateways where no real money moves: what is counted for them is marked everywhere."""


class FactKind(StrEnum):
    """What a gateway can tell. Each is true once and for all, whenever it is heard of."""

    PAID = "paid"
    PAYMENT_PENDING = "payment_pending"
    """The buyer has paid in a way that takes days (a direct debit); the money is not here yet."""
    PAYMENT_FAILED = "payment_failed"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    SUBSCRIPTION_ENDED = "subscription_ended"
    RENEWED = "renewed"
    """The gateway collected a later period of a subscription by itself."""
    RENEWAL_FAILED = "renewal_failed"
    """It tried to, and could not."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened at a gateway.

    Args:
        event_id: Unique among the gateway's facts; the same fact told again has the same one.
        kind: What happened.
        order_ref: Public id of our order; of a subscription's facts, the order that began it.
        payment_id: The gateway's id of the payment.
        amount_minor: Of the payment, the refund or the disputed sum.
        currency: Three capitals.
        at: When it happened, by the gateway's clock.
        subject_id: The gateway's id of the refund, the dispute or the subscription; of a
            payment that takes days, and of its failure, the checkout's.
        key: Our id of the refund, if we asked for it; of a renewal, the gateway's id of the
            period's invoice.
        note: What a person should read: why a payment failed.
        is_exact: The gateway collects whole charges only, so a payment of another amount than the
            order's is not what it was asked for.
    """

    event_id: str
    kind: FactKind
    order_ref: str
    payment_id: str
    amount_minor: int
    currency: str
    at: datetime
    subject_id: str = ""
    key: str = ""
    note: str = ""
    is_exact: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what the inbox keeps."""
        return asdict(self) | {"kind": self.kind.value, "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Fact":
        """Return the fact the inbox kept."""
        values = dict(kept)
        values["kind"] = FactKind(values["kind"])
        values["at"] = datetime.fromisoformat(values["at"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Later:
    """What a subscription costs once its discount has ended.

    Args:
        after: How many periods, the first one included, cost what is charged now; from 1.
        amount_minor: Each period after those, more than now.
        tax_minor: The part of it that is tax.
        discount: What the discount is called: the coupon's code.
    """

    after: int
    amount_minor: int
    tax_minor: int
    discount: str


@dataclass(frozen=True, slots=True)
class Charge:
    """What a gateway is asked to collect.

    Args:
        order_ref: Public id of the order.
        amount_minor: To be paid, at least 1.
        currency: Three capitals.
        title: One line for the buyer's statement.
        payer_email: Where the gateway may write to.
        success_url: Where a browser goes after paying.
        cancel_url: Where it goes otherwise.
        method: How to pay without a browser: a name the gateway knows; empty: in a browser.
        interval: ``month`` or ``year`` for a subscription, else empty.
        later: What later periods of it cost; ``None``: what is charged now.
        tax_minor: The part of the amount that is tax, to be shown beside the price.
        payer_id: Id of the person who pays, for cards they saved; ``None``: nobody who has any.
        expires_at: When the order is cancelled if nobody paid.
    """

    order_ref: str
    amount_minor: int
    currency: str
    title: str
    payer_email: str
    success_url: str
    cancel_url: str
    method: str = ""
    interval: str = ""
    later: Later | None = None
    tax_minor: int = 0
    payer_id: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Checkout:
    """How a buyer goes on.

    Args:
        url: Page to pay on; empty: nothing to open.
        instructions: What to do instead, in sentences (a bank transfer).
        facts: What is known at once, when it was paid without a browser.
        needs_browser: The bank wants its customer to confirm on ``url``.
    """

    url: str = ""
    instructions: str = ""
    facts: Sequence[Fact] = field(default_factory=tuple)
    needs_browser: bool = False


class PaymentDeclinedError(StoreError):
    """The gateway refused the payment; nothing was charged. ``extra.reason`` is its word."""

    code = "payment_declined"
    status = 402
    facts: Sequence[Fact] = ()
    """What the gateway noted of it, for the inbox; nothing, where it sends a message of its own."""


class GatewayError(TransientError):
    """The gateway could not be reached, or failed by its own fault."""

    code = "gateway_unreachable"


class NoMoneyThereError(GatewayError):
    """The store's own balance at the gateway is too small to pay out of it; it fills by itself."""


class GatewayRefusedError(StoreError):
    """The gateway will not do what it was asked; trying again does not help."""

    code = "gateway_refused"
    status = 409


class BadEventError(StoreError):
    """A message that claims to come from a gateway is not signed by it, too old, or broken."""

    code = "bad_event"
    status = 400


class Gateway(Protocol):
    """One way to be paid."""

    name: str
    is_test: bool
    """No real money moves."""
    renews_itself: bool
    """It collects later periods of subscriptions unasked, and tells of each."""

    def start(self, charge: Charge) -> Checkout:
        """Begin to collect. Safe to repeat: one order has one checkout.

        Raises:
            PaymentDeclinedError: paying without a browser was refused.
            GatewayRefusedError: it cannot collect this amount, or in this currency.
            GatewayError: try again.
        """

    def call_off(self, order_ref: str) -> list[Fact]:
        """Close what is open to pay an order with, so that nobody can. Safe to repeat.

        Returns:
            What came before it was closed.

        Raises:
            GatewayError: try again.
        """

    def refund(self, *, payment_id: str, amount_minor: int, currency: str, key: str) -> list[Fact]:
        """Send money back. Safe to repeat with the same ``key``.

        Returns:
            What is known at once; more may come later by an event.

        Raises:
            GatewayRefusedError: it cannot be sent back.
            GatewayError: try again.
        """

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> list[Fact]:
        """Return the facts in a message, after checking who signed it and when.

        Raises:
            BadEventError: not signed by the gateway, too old, or no message of its.
        """

    def facts_of(self, order_ref: str) -> list[Fact]:
        """Ask for everything that happened to an order; for what no message told.

        Raises:
            GatewayError: try again.
        """

    def pay_out(self, *, account: str, amount_minor: int, currency: str, key: str) -> str:
        """Send a seller their money; return the gateway's id of it. Safe to repeat with ``key``.

        Raises:
            GatewayRefusedError: the seller has no account there, or it cannot be paid.
            NoMoneyThereError: not now, as the store has too little there.
            GatewayError: try again.
        """

    def saved_method(self, order_ref: str) -> str:
        """Return the ``method`` that paid an order, to pay its renewals with; empty: none."""

    def end_subscription(self, order_ref: str, *, at_once: bool) -> None:
        """Collect no more of the subscription an order began. Safe to repeat, also once it ended.

        Args:
            order_ref: Public id of the order that began it.
            at_once: Now, because it was refunded; else with the period that is paid.

        Raises:
            GatewayError: try again.
        """

    def resume_subscription(self, order_ref: str) -> list[Fact]:
        """Go on to collect what was to end with the period that is paid. Safe to repeat.

        Args:
            order_ref: Public id of the order that began it.

        Returns:
            That it has ended meanwhile, if so: then it cannot go on.

        Raises:
            GatewayRefusedError: it will not.
            GatewayError: try again.
        """

    def mending_url(self, order_ref: str, *, payer_id: int, return_url: str) -> str:
        """Return the page where who pays a subscription changes the card, or pays what is open.

        Args:
            order_ref: Public id of the order that began it.
            payer_id: Who is led there: nobody sees the cards of another.
            return_url: Where the page leads back to.

        Returns:
            Its address; empty: there is none for them.

        Raises:
            GatewayError: try again.
        """
