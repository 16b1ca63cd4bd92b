"""An invoice, a credit note or a statement as it was issued: plain values, no tables.

What is kept of an issued document is its JSON; the PDF is drawn from it again whenever somebody
asks, so the two cannot part.
"""

import hashlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import date
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _

from store.core.errors import InvalidError, UnprocessableError
from store.core.money import MAX_MINOR, BadAmountError, check_currency

FORMAT = 1
"""Version of the JSON; a later one must still read this."""
MAX_LINES = 1000
MAX_LINE_MINOR = 2 * MAX_MINOR
"""The largest price with its tax; wider amounts would leave no room for a line's title."""
MAX_QUANTITY = 999_999
MAX_TEXT_CHARS = 1000
"""Of each text."""
MAX_TEXTS = 50
"""Notes, lines of bank details and taxes, each."""
MAX_PARTY_CHARS = {"name": 200, "country": 2, "vat_number": 40, "email": 254}
MAX_ADDRESS_LINES = 8
MAX_ADDRESS_CHARS = 100
"""Of each line; two parties within these limits always fit on the first page, side by side."""
_UNWRITABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


class UnbalancedInvoiceError(UnprocessableError):
    """The lines of a document do not add up to its totals; nothing was issued."""

    code = "unbalanced_invoice"


class IncompleteInvoiceError(UnprocessableError):
    """Something a document of this kind must say is missing, or does not belong on it."""

    code = "incomplete_invoice"


class BadInvoiceTextError(InvalidError):
    """A text is too long, or has characters that end a line or control a device."""

    code = "bad_invoice_text"


class UnreadableInvoiceError(UnprocessableError):
    """JSON that is no document of ours."""

    code = "unreadable_invoice"


class DocumentKind(StrEnum):
    """What a document is; each is numbered in a series of its own."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    STATEMENT = "statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A seller or a buyer, as the document names them.

    Args:
        name: The legal name, or the name shown in the store where none was given.
        address: Lines, without the country; may be empty.
        country: Two capitals of ISO 3166; empty when unknown.
        vat_number: With its prefix of the country; empty for none.
        email: Where to ask; may be empty.
    """

    name: str
    address: tuple[str, ...] = ()
    country: str = ""
    vat_number: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """One thing sold, credited or booked. Amounts are minor units of the document's currency.

    Args:
        title: What it is.
        detail: More of it, in small letters: offer, seats, term, coupon.
        quantity: How many, from 1.
        unit_minor: The price of one as it was offered. Coupons, and taxes inside of prices, stand
            between it and ``net_minor``, so the two are not compared.
        net_minor: Of the line, before tax.
        tax_basis_points: Rate of the tax; 1,900 is 19 %.
        tax_minor: Tax of the line.
        gross_minor: ``net_minor`` and ``tax_minor`` together.
    """

    title: str
    detail: str = ""
    quantity: int = 1
    unit_minor: int
    net_minor: int
    tax_basis_points: int = 0
    tax_minor: int = 0
    gross_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxSum:
    """What one tax comes to. Several may share a rate (two states, two reasons for 0 %).

    Args:
        label: Its name, as ``VAT`` or ``Reverse charge``; taxes on top of each other are one.
        tax_basis_points: The rate.
        net_minor: What it is taken of.
        tax_minor: The tax.
    """

    label: str
    tax_basis_points: int
    net_minor: int
    tax_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The sums of all lines, in minor units."""

    net_minor: int
    tax_minor: int
    gross_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceDocument:
    """A whole document.

    Args:
        kind: Which of the three.
        number: Text number; empty until it is issued.
        issued_on: Its date; decides the year it is numbered in.
        supplied_on: When the buyer got it; ``None``: not said.
        seller: Who issues it.
        buyer: Whom it is for.
        currency: ISO 4217.
        lines: In the order they are printed, at least one.
        tax_sums: What the tax comes to, rate by rate. Taxes of lines and sums agree exactly.
        totals: Sums. Not below zero for an invoice, not above for a credit note: so what the
            documents of an order add up to is what was kept.
        notes: Sentences below, such as the one for reverse charge.
        corrects: Number of the invoice a credit note corrects.
        order_ref: Public id of the order; empty for a statement.
        paid_on: When it was paid.
        due_on: By when to pay, if it is open.
        bank_details: Lines that say where to pay to.
        is_test: It belongs to the sandbox: every page says so.
    """

    kind: DocumentKind
    number: str = ""
    issued_on: date
    supplied_on: date | None = None
    seller: Party
    buyer: Party
    currency: str
    lines: tuple[InvoiceLine, ...]
    tax_sums: tuple[TaxSum, ...] = ()
    totals: Totals
    notes: tuple[str, ...] = ()
    corrects: str = ""
    order_ref: str = ""
    paid_on: date | None = None
    due_on: date | None = None
    bank_details: tuple[str, ...] = ()
    is_test: bool = False

    def check(self) -> None:
        """Prove that the document adds up and says what it must.

        Raises:
            UnbalancedInvoiceError: an amount is not the sum of its parts.
            IncompleteInvoiceError: a line, a name or the corrected invoice is missing.
            BadInvoiceTextError: a text cannot be printed on a line.
            BadCurrencyError: no such currency.
        BadAmountError: an amount of a line is above ``MAX_LINE_MINOR``.
        """
        _check_content(self)
        for party in (self.seller, self.buyer):
            _check_party(party)
        for text in self.texts():
            _check_text(text)
        _check_sums(self)

    def to_json(self) -> dict[str, Any]:
        """Return the document as plain JSON: whole numbers, texts, ISO dates."""
        content = asdict(self)
        for name in _DATES:
            content[name] = content[name].isoformat() if content[name] else None
        return {"format": FORMAT, **json.loads(json.dumps(content))}

    def canonical(self) -> bytes:
        """Return the one spelling of its JSON that is hashed: keys sorted, UTF-8, no spaces."""
        return canonical(self.to_json())

    def texts(self) -> Iterator[str]:
        """Return every text on it that somebody wrote."""
        for party in (self.seller, self.buyer):
            yield from (party.name, *party.address, party.country, party.vat_number, party.email)
        for line in self.lines:
            yield from (line.title, line.detail)
        yield from (tax_sum.label for tax_sum in self.tax_sums)
        yield from (*self.notes, *self.bank_details)
        yield from (self.number, self.corrects, self.order_ref, self.currency)

    def sha256(self) -> str:
        """Return the SHA-256 of ``canonical``, in hex."""
        return hashlib.sha256(self.canonical()).hexdigest()


_DATES = ("issued_on", "supplied_on", "paid_on", "due_on")


def canonical(content: dict[str, Any]) -> bytes:
    """Return the canonical spelling of any JSON object; see ``InvoiceDocument.canonical``."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def from_json(content: object) -> InvoiceDocument:
    """Read what ``to_json`` wrote.

    Raises:
        UnreadableInvoiceError: anything else: a key too many or too few, a wrong type.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UnreadableInvoiceError(_("This is no invoice document that the store can read."))
    values = {key: value for key, value in content.items() if key != "format"}
    try:
        values["kind"] = DocumentKind(values["kind"])
        for name in _DATES:
            values[name] = date.fromisoformat(values[name]) if values[name] is not None else None
        for name in ("seller", "buyer"):
            party = values[name]
            values[name] = Party(**{**party, "address": tuple(party["address"])})
        values["lines"] = tuple(InvoiceLine(**line) for line in values["lines"])
        values["tax_sums"] = tuple(TaxSum(**tax_sum) for tax_sum in values["tax_sums"])
        values["totals"] = Totals(**values["totals"])
        for name in ("notes", "bank_details"):
            values[name] = tuple(values[name])
        document = InvoiceDocument(**values)
        faithful = canonical(document.to_json()) == canonical(content) and _is_typed(document)
    except (KeyError, TypeError, ValueError) as exc:
        raise UnreadableInvoiceError(
            _("This is no invoice document that the store can read: %(reason)s")
            % {"reason": str(exc)[:200]}
        ) from exc
    if not faithful:
        raise UnreadableInvoiceError(_("This is no invoice document that the store can read."))
    return document


def _numbers(document: InvoiceDocument) -> Iterator[Any]:
    parts: list[InvoiceLine | TaxSum | Totals] = [*document.lines, *document.tax_sums]
    for part in (*parts, document.totals):
        for item in fields(part):
            if item.name not in {"title", "detail", "label"}:
                yield getattr(part, item.name)


def _is_typed(document: InvoiceDocument) -> bool:
    """Whether texts are texts and amounts whole numbers (JSON knows ``true`` and fractions)."""
    return (
        all(isinstance(text, str) for text in document.texts())
        and all(type(number) is int for number in _numbers(document))
        and type(document.is_test) is bool
        and isinstance(document.issued_on, date)
    )


def _check_content(document: InvoiceDocument) -> None:
    check_currency(document.currency)
    if not document.seller.name or not document.buyer.name:
        raise IncompleteInvoiceError(_("A document names its seller and its buyer."))
    if not 1 <= len(document.lines) <= MAX_LINES:
        raise IncompleteInvoiceError(
            _("A document has 1 to %(most)d lines.") % {"most": MAX_LINES}, lines=MAX_LINES
        )
    if not all(1 <= line.quantity <= MAX_QUANTITY for line in document.lines):
        raise IncompleteInvoiceError(
            _("The quantity of a line is 1 to %(most)d.") % {"most": MAX_QUANTITY}
        )
    if not all(line.title.strip() for line in document.lines):
        raise IncompleteInvoiceError(_("Every line says what it is for."))
    if max(map(len, (document.notes, document.bank_details, document.tax_sums))) > MAX_TEXTS:
        raise IncompleteInvoiceError(
            _("A document has at most %(most)d notes, taxes and lines of bank details.")
            % {"most": MAX_TEXTS}
        )
    if (document.kind is DocumentKind.CREDIT_NOTE) != bool(document.corrects):
        raise IncompleteInvoiceError(
            _("A credit note, and nothing else, names the invoice that it corrects.")
        )


def _check_party(party: Party) -> None:
    values = [(getattr(party, name), most) for name, most in MAX_PARTY_CHARS.items()]
    values += [(line, MAX_ADDRESS_CHARS) for line in party.address]
    for value, most in values:
        if len(value) > most:
            raise BadInvoiceTextError(
                _("'%(text)s…' is longer than the %(most)d characters it has on a document.")
                % {"text": value[:40], "most": most}
            )
    if len(party.address) > MAX_ADDRESS_LINES:
        raise BadInvoiceTextError(
            _("An address has at most %(most)d lines.") % {"most": MAX_ADDRESS_LINES}
        )


def _check_text(text: str) -> None:
    if len(text) > MAX_TEXT_CHARS:
        raise BadInvoiceTextError(
            _("A text on a document has at most %(most)d characters. Shorten '%(text)s…'.")
            % {"most": MAX_TEXT_CHARS, "text": text[:40]}
        )
    for char in text:
        if unicodedata.category(char) in _UNWRITABLE:
            raise BadInvoiceTextError(
                _("U+%(code)04X cannot stand in a text on a document. Take it out.")
                % {"code": ord(char)},
                code_point=ord(char),
            )


def _check_sums(document: InvoiceDocument) -> None:
    for line in document.lines:
        all_of_it = (line.unit_minor, line.net_minor, line.tax_minor, line.gross_minor)
        if max(map(abs, all_of_it)) > MAX_LINE_MINOR:
            raise BadAmountError(_("An amount is too large for a document. Divide the line."))
    by_rate: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    sums = [0, 0, 0]
    for number, line in enumerate(document.lines, 1):
        if line.net_minor + line.tax_minor != line.gross_minor:
            raise _unbalanced(_("line %(number)d") % {"number": number})
        by_rate[line.tax_basis_points][0] += line.net_minor
        by_rate[line.tax_basis_points][1] += line.tax_minor
        amounts = (line.net_minor, line.tax_minor, line.gross_minor)
        sums = [total + amount for total, amount in zip(sums, amounts, strict=True)]
    totals = document.totals
    if sums != [totals.net_minor, totals.tax_minor, totals.gross_minor]:
        raise _unbalanced(_("the totals"))
    for tax_sum in document.tax_sums:
        by_rate[tax_sum.tax_basis_points][0] -= tax_sum.net_minor
        by_rate[tax_sum.tax_basis_points][1] -= tax_sum.tax_minor
    named = {tax_sum.tax_basis_points for tax_sum in document.tax_sums}
    for rate, (net, tax) in by_rate.items():
        is_untaxed = rate == tax == 0 and rate not in named  # nothing has to be said of it
        if (net or tax) and not is_untaxed:
            raise _unbalanced(_("the tax at %(rate)s %%") % {"rate": rate / 100})
    sign = {DocumentKind.INVOICE: 1, DocumentKind.CREDIT_NOTE: -1, DocumentKind.STATEMENT: 0}
    if totals.gross_minor * sign[document.kind] < 0:
        raise _unbalanced(_("the sign of the total"))


def _unbalanced(where: str) -> UnbalancedInvoiceError:
    return UnbalancedInvoiceError(
        _("The document does not add up: %(where)s. Work its amounts out again.")
        % {"where": where},
        where=where,
    )
