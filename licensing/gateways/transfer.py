"""Payment by bank transfer: the buyer gets instructions, staff say what arrived.

The bank itself is not asked: what it did is in ``BankTransfer``, written by staff or read from a
statement, and facts are made of that.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, time

from django.conf import settings
from django.utils.translation import gettext as _

from licensing.gateways.base import (
    BadEventError,
    Charge,
    Checkout,
    Fact,
    FactKind,
    GatewayRefusedError,
)
from licensing.gateways.references import reference_of, shown
from licensing.models import BankTransfer
from store.core.money import Money, show


class Transfer:
    """See ``licensing.gateways.base.Gateway`` for what each method promises."""

    name = "invoice"
    is_test = False
    renews_itself = False

    def start(self, charge: Charge) -> Checkout:
        """Say how to pay. What the buyer gets is no invoice: that is issued when it is paid."""
        return Checkout(
            instructions=_(
                "Transfer %(amount)s to the account below with the reference %(reference)s."
                " The license is made when the money has arrived, which takes banks one to three"
                " days.\n\n%(bank)s"
            )
            % {
                "amount": show(Money(charge.amount_minor, charge.currency)),
                "reference": shown(reference_of(charge.order_ref)),
                "bank": settings.ENV.bank_details.strip(),
            },
            facts=self.facts_of(charge.order_ref),
        )

    def call_off(self, order_ref: str) -> list[Fact]:
        """No page is open anywhere; who transfers money after all gets it back, or what it buys."""
        return []

    def refund(self, *, payment_id: str, amount_minor: int, currency: str, key: str) -> list[Fact]:
        """Tell of a refund that was sent; nobody but a person can send one."""
        sent = BankTransfer.objects.select_related("order").filter(refund__public_id=key).first()
        if sent is not None:
            return _facts(sent)
        raise GatewayRefusedError(
            _(
                "A bank transfer is sent back by hand: transfer %(amount)s to the buyer's account,"
                " then mark this refund as sent."
            )
            % {"amount": show(Money(amount_minor, currency))}
        )

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> list[Fact]:
        raise BadEventError(_("Banks send no messages here. Import a statement instead."))

    def facts_of(self, order_ref: str) -> list[Fact]:
        rows = BankTransfer.objects.filter(order__public_id=order_ref).select_related(
            "order", "refund__payment"
        )
        return [fact for row in rows.order_by("id") for fact in _facts(row)]

    def pay_out(self, *, account: str, amount_minor: int, currency: str, key: str) -> str:
        raise GatewayRefusedError(
            _("Money from bank transfers is paid out by hand: transfer %(amount)s to the seller.")
            % {"amount": show(Money(amount_minor, currency))}
        )

    def saved_method(self, order_ref: str) -> str:
        """Nothing is taken from anybody's account: each period is asked for."""
        return ""

    def end_subscription(self, order_ref: str, *, at_once: bool) -> None:
        """Nothing is collected here without being asked."""

    def resume_subscription(self, order_ref: str) -> list[Fact]:
        """Nothing ends here either."""
        return []

    def mending_url(self, order_ref: str, *, payer_id: int, return_url: str) -> str:
        """A period that was not paid is an open order here, to be paid on its own page."""
        return ""


def _facts(row: BankTransfer) -> list[Fact]:
    """Return what a transfer says of its order; one that has none says nothing."""
    if row.order is None:
        return []
    at = datetime.combine(row.booked_on, time(), tzinfo=UTC)
    if row.refund is None:
        kind, payment_id, key = FactKind.PAID, row.bank_ref, ""
    else:
        first = row.refund.payment or row.order.payments.order_by("id").first()
        kind, key = FactKind.REFUNDED, row.refund.public_id
        payment_id = first.external_id if first is not None else ""
    return [
        Fact(
            event_id=f"bank:{row.bank_ref}",
            kind=kind,
            order_ref=row.order.public_id,
            payment_id=payment_id,
            amount_minor=abs(row.amount_minor),
            currency=row.currency,
            at=at,
            subject_id=row.bank_ref if row.refund else "",
            key=key,
        )
    ]
