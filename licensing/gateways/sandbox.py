"""The sandbox: a pretended bank inside the store, for trying things out and for tests.

It behaves like a gateway does: charges live apart from orders, a page takes a card, facts are
told once or more, refunds are asked for by key. Everything it touches is marked as a test.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from licensing.gateways.base import (
    BadEventError,
    Charge,
    Checkout,
    Fact,
    FactKind,
    GatewayRefusedError,
    PaymentDeclinedError,
)
from licensing.models import SandboxCharge
from store.core.errors import NotFoundError

SIGNATURE_HEADER = "X-Sandbox-Signature"
TOLERANCE = timedelta(minutes=5)
"""A signed message older, or younger, than this is refused."""


@dataclass(frozen=True, slots=True)
class Card:
    """A card that exists in tests only; the numbers are the ones card networks keep for that.

    Args:
        name: What scripts call it (``payment_method``).
        number: Sixteen digits for the page.
        decline: Why it is refused; empty: it is not.
        is_challenged: The bank asks its customer to confirm first (3-D Secure).
        is_disputed: The payment is disputed as soon as it is made.
        loses_refunds: What is sent back to it is called sent, and comes back later.
    """

    name: str
    number: str
    decline: str = ""
    is_challenged: bool = False
    is_disputed: bool = False
    loses_refunds: bool = False

    @property
    def title(self) -> str:
        """What it does, for people."""
        return str(_TITLES[self.name])

    @property
    def spaced(self) -> str:
        """The number as it stands on cards, in groups of four."""
        return " ".join(self.number[at : at + 4] for at in range(0, len(self.number), 4))


CARDS = (
    Card("test_success", "4242424242424242"),
    Card("test_decline", "4000000000000002", decline="card_declined"),
    Card("test_no_funds", "4000000000009995", decline="insufficient_funds"),
    Card("test_3ds", "4000002760003184", is_challenged=True),
    Card("test_dispute", "4000000000000259", is_disputed=True),
    Card("test_refund_fail", "4000000000005126", loses_refunds=True),
)
_TITLES = {
    "test_success": gettext_lazy("Pays"),
    "test_decline": gettext_lazy("Is declined"),
    "test_no_funds": gettext_lazy("Has no money left"),
    "test_3ds": gettext_lazy("Asks for a confirmation first"),
    "test_dispute": gettext_lazy("Pays, then disputes"),
    "test_refund_fail": gettext_lazy("Pays, takes no refund"),
}
_BY_HAND = "hand:"
"""Begins the keys of refunds nobody here asked for."""
_BY_NAME = {card.name: card for card in CARDS}
_BY_NUMBER = {card.number: card for card in CARDS}


class Sandbox:
    """See ``licensing.gateways.base.Gateway`` for what each method promises."""

    name = "sandbox"
    is_test = True
    renews_itself = False

    def start(self, charge: Charge) -> Checkout:
        row = _charge_for(charge)
        if charge.method:
            card = _BY_NAME.get(charge.method)
            if card is None:
                raise PaymentDeclinedError(
                    _("The sandbox knows no payment method '%(name)s'. It has: %(known)s.")
                    % {"name": charge.method[:40], "known": ", ".join(_BY_NAME)},
                    reason="unknown_method",
                )
            row = self.pay(row.public_id, card)
        page = f"{settings.PUBLIC_URL}/sandbox/{row.public_id}"
        return Checkout(
            url=page,
            facts=self.facts_of(charge.order_ref),
            needs_browser=row.state == SandboxCharge.State.CHALLENGED,
        )

    def pay(self, charge_id: str, card: Card, *, is_confirmed: bool = False) -> SandboxCharge:
        """Use a card on a charge. Paying what is paid changes nothing.

        Raises:
            NotFoundError: no such charge.
            PaymentDeclinedError: the card is one that is declined.
        """
        with transaction.atomic():
            row = SandboxCharge.objects.select_for_update().filter(public_id=charge_id).first()
            if row is None:
                raise NotFoundError(_("There is no such payment."))
            if row.state == SandboxCharge.State.PAID:
                return row
            row.card = card.name
            if card.decline:
                row.state = SandboxCharge.State.DECLINED
            elif card.is_challenged and not is_confirmed:
                row.state = SandboxCharge.State.CHALLENGED
            else:
                row.state = SandboxCharge.State.PAID
                if card.is_disputed:
                    row.dispute, row.disputed_minor = "open", row.amount_minor
            row.save()
        if card.decline:
            refusal = PaymentDeclinedError(
                _("The card was declined. Nothing was charged. Try another one."),
                reason=card.decline,
            )
            refusal.facts = _facts(row)
            raise refusal
        return row

    def call_off(self, order_ref: str) -> list[Fact]:
        """Its page takes no card for an order that is cancelled."""
        return []

    def refund(self, *, payment_id: str, amount_minor: int, currency: str, key: str) -> list[Fact]:
        with transaction.atomic():
            row = SandboxCharge.objects.select_for_update().filter(public_id=payment_id).first()
            if row is None or row.state != SandboxCharge.State.PAID or row.currency != currency:
                raise GatewayRefusedError(_("There is no such payment."))
            if key not in dict(row.refunds):
                _send_back(row, key, amount_minor)
        return [fact for fact in _facts(row) if fact.key == key]

    def transfer(self, order_ref: str, amount_minor: int, currency: str) -> SandboxCharge:
        """Pay an order without being asked: a part, twice, or too much; as bank transfers do."""
        return SandboxCharge.objects.create(
            order_ref=order_ref,
            amount_minor=amount_minor,
            currency=currency,
            state=SandboxCharge.State.PAID,
            is_transfer=True,
        )

    def refund_by_hand(self, charge_id: str, amount_minor: int) -> None:
        """Send money back as a person at the pretended bank does, without being asked.

        Raises:
            GatewayRefusedError: there is not so much left, or it is disputed.
        """
        with transaction.atomic():
            row = SandboxCharge.objects.select_for_update().get(public_id=charge_id)
            _send_back(row, f"{_BY_HAND}{len(row.refunds)}", amount_minor)

    def dispute(self, charge_id: str) -> bool:
        """Dispute what is left of a payment; ``False``: nothing is, or it was disputed before."""
        with transaction.atomic():
            row = SandboxCharge.objects.select_for_update().get(public_id=charge_id)
            left = _left(row)
            if row.state != SandboxCharge.State.PAID or row.dispute or not left:
                return False
            row.dispute, row.disputed_minor = "open", left
            row.save(update_fields=["dispute", "disputed_minor"])
        return True

    def held_minor(self, currency: str) -> int:
        """Return what the pretended bank holds for the store: what came, less what went."""
        rows = SandboxCharge.objects.filter(currency=currency, state=SandboxCharge.State.PAID)
        return sum(_left(row) - row.disputed_minor * (row.dispute == "lost") for row in rows)

    def settle_dispute(self, charge_id: str, *, is_won: bool) -> None:
        """End a dispute the way a bank does; for tests and for people who try things out."""
        SandboxCharge.objects.filter(public_id=charge_id, dispute="open").update(
            dispute="won" if is_won else "lost"
        )

    def facts_of(self, order_ref: str) -> list[Fact]:
        rows = SandboxCharge.objects.filter(order_ref=order_ref).order_by("id")
        return [fact for row in rows for fact in _facts(row)]

    def read_event(self, body: bytes, headers: Mapping[str, str]) -> list[Fact]:
        given = headers.get(SIGNATURE_HEADER, "")
        stamp, _sep, mac = given.partition(".")
        is_number = stamp.isascii() and stamp.isdigit()
        if not is_number or not hmac.compare_digest(mac.encode(), _mac(stamp, body).encode()):
            raise BadEventError(_("This message is not signed by the sandbox."))
        sent = datetime.fromtimestamp(int(stamp), UTC)
        if abs(timezone.now() - sent) > TOLERANCE:
            raise BadEventError(_("This message is too old."))
        try:
            return [Fact.from_json(json.loads(body))]
        except (ValueError, TypeError, KeyError) as error:
            raise BadEventError(_("This is no message of the sandbox.")) from error

    def pay_out(self, *, account: str, amount_minor: int, currency: str, key: str) -> str:
        return f"po_{key}"

    def saved_method(self, order_ref: str) -> str:
        row = SandboxCharge.objects.filter(order_ref=order_ref).first()
        return row.card if row is not None else ""

    def end_subscription(self, order_ref: str, *, at_once: bool) -> None:
        """Nothing is collected here without being asked."""

    def resume_subscription(self, order_ref: str) -> list[Fact]:
        """Nothing ends here either."""
        return []

    def mending_url(self, order_ref: str, *, payer_id: int, return_url: str) -> str:
        """A period that was not paid is an open order here, to be paid on its own page."""
        return ""


def card_of(number: str) -> Card | None:
    """Return the test card with this number, spaces or not; ``None``: there is none."""
    return _BY_NUMBER.get("".join(number.split()))


def charge_named(charge_id: str) -> SandboxCharge:
    """Return a charge for its page.

    Raises:
        NotFoundError: there is none.
    """
    found = SandboxCharge.objects.filter(public_id=charge_id).first()
    if found is None:
        raise NotFoundError(_("There is no such payment."))
    return found


def signed(fact: Fact, *, at: datetime | None = None) -> tuple[bytes, dict[str, str]]:
    """Return a message and its headers, as the sandbox would send them."""
    body = json.dumps(fact.to_json()).encode()
    stamp = str(int((at or timezone.now()).timestamp()))
    return body, {SIGNATURE_HEADER: f"{stamp}.{_mac(stamp, body)}"}


def _mac(stamp: str, body: bytes) -> str:
    key = hashlib.sha256(b"licensing.sandbox:" + force_bytes(settings.SECRET_KEY)).digest()
    return hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _charge_for(charge: Charge) -> SandboxCharge:
    """Return the one charge of an order, made on first asking."""
    with transaction.atomic():
        found, _made = SandboxCharge.objects.get_or_create(
            order_ref=charge.order_ref,
            is_transfer=False,
            defaults={"amount_minor": charge.amount_minor, "currency": charge.currency},
        )
        waiting = SandboxCharge.objects.select_for_update().filter(pk=found.pk)
        waiting.exclude(state=SandboxCharge.State.PAID).update(amount_minor=charge.amount_minor)
    found.refresh_from_db()
    return found


def _left(row: SandboxCharge) -> int:
    """Return what was not sent back of a payment; what came back is there again."""
    return row.amount_minor - (0 if _loses_refunds(row) else sum(dict(row.refunds).values()))


def _loses_refunds(row: SandboxCharge) -> bool:
    card = _BY_NAME.get(row.card)
    return card is not None and card.loses_refunds


def _send_back(row: SandboxCharge, key: str, amount_minor: int) -> None:
    """Note a refund of a locked charge.

    Raises:
        GatewayRefusedError: there is not so much left, or it is disputed.
    """
    if row.dispute in {"open", "lost"}:
        raise GatewayRefusedError(_("The payment is disputed: the bank decides where it goes."))
    if not 1 <= amount_minor <= _left(row):
        raise GatewayRefusedError(_("More than was paid cannot be sent back."))
    row.refunds.append([key, amount_minor])
    row.save(update_fields=["refunds"])


def _facts(row: SandboxCharge) -> list[Fact]:
    """Return what the pretended bank knows of a charge, each fact always under the same id."""

    def fact(
        kind: FactKind, ident: str, amount: int, *, subject: str = "", key: str = "", note: str = ""
    ) -> Fact:
        return Fact(
            event_id=f"{row.public_id}:{ident}",
            kind=kind,
            order_ref=row.order_ref,
            payment_id=row.public_id,
            amount_minor=amount,
            currency=row.currency,
            at=row.created_at,
            subject_id=subject,
            key=key,
            note=note,
        )

    facts = []
    if row.state == SandboxCharge.State.PAID:
        facts.append(fact(FactKind.PAID, "paid", row.amount_minor))
    if row.state == SandboxCharge.State.DECLINED:
        facts.append(fact(FactKind.PAYMENT_FAILED, "failed", row.amount_minor, note=row.card))
    for ident, amount in row.refunds:
        key = "" if ident.startswith(_BY_HAND) else ident
        subject = f"re_{row.public_id}_{ident}"
        sent = fact(FactKind.REFUNDED, f"refund:{ident}", amount, subject=subject, key=key)
        facts.append(sent)
        if _loses_refunds(row):
            lost = fact(
                FactKind.REFUND_FAILED, f"refund-lost:{ident}", amount, subject=subject, key=key
            )
            facts.append(lost)
    dispute_id, disputed = f"dp_{row.public_id}", row.disputed_minor
    if row.dispute:
        facts.append(fact(FactKind.DISPUTE_OPENED, "dispute", disputed, subject=dispute_id))
    if row.dispute in {"won", "lost"}:
        kind = FactKind.DISPUTE_WON if row.dispute == "won" else FactKind.DISPUTE_LOST
        facts.append(fact(kind, f"dispute-{row.dispute}", disputed, subject=dispute_id))
    return facts
