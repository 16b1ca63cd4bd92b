"""Invoices and credit notes of orders: one for each seller, from the frozen lines."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from licensing.invoices.document import (
    DocumentKind,
    InvoiceDocument,
    InvoiceLine,
    Party,
    TaxSum,
    Totals,
)
from licensing.models import Invoice, Order, OrderLine
from licensing.services.invoicing import document_of, issue
from licensing.services.seller_profiles import party_of, profile_of, shown_name
from licensing.tax.rules import Treatment
from store.core.money import spread

_NAMES = {
    Treatment.VAT: "VAT",
    Treatment.GST: "GST",
    Treatment.SALES_TAX: "Sales tax",
    Treatment.REVERSE_CHARGE: "Reverse charge",
}


def licensee_name(order: Order) -> str:
    """Return the name on a license: as given at checkout, or the holder's."""
    return str(order.billing.get("name") or shown_name(order.holder))


def buyer_party(order: Order) -> Party:
    """Return the buyer as documents name them."""
    billing = order.billing
    city = " ".join(filter(None, [billing.get("postcode", ""), billing.get("city", "")]))
    lines = [*billing.get("lines", []), city, billing.get("region", "")]
    return Party(
        name=licensee_name(order),
        address=tuple(line for line in lines if line),
        country=billing.get("country", ""),
        vat_number=billing.get("vat_number", ""),
        email=order.buyer.email if order.buyer else "",
    )


def invoice(order: Order) -> list[Invoice]:
    """Issue the invoices of a paid order, one for each seller; a free order has none.

    Safe to repeat: each is issued once. What was taken back before is left out, and what was given
    back of a line before is credited at once.
    """
    issued = []
    lines_left = order.lines.filter(taken_back_at=None).select_related("seller")
    for seller_id, lines in _by_seller(lines_left).items():
        rows = [_sold(line) for line in lines]
        if not sum(row.gross_minor for row in rows):
            continue
        today = timezone.now().date()
        document = InvoiceDocument(
            kind=DocumentKind.INVOICE,
            issued_on=today,
            supplied_on=today,
            seller=party_of(profile_of(lines[0].seller)),
            buyer=buyer_party(order),
            currency=order.currency,
            lines=tuple(rows),
            tax_sums=_tax_sums(lines, rows),
            totals=_totals(rows),
            notes=_notes(lines),
            order_ref=order.public_id,
            paid_on=(order.paid_at or timezone.now()).date(),
            is_test=order.is_test,
        )
        issued.append(
            issue(
                document,
                seller=lines[0].seller,
                buyer=order.buyer,
                holder=order.holder,
                key=f"invoice:{order.public_id}:{seller_id}",
            )
        )
        credit_note(
            order, f"early-{order.public_id}", {line: line.refunded_minor for line in lines}
        )
    return issued


def credit_note(order: Order, ident: str, parts: Mapping[OrderLine, int]) -> list[Invoice]:
    """Issue the credit notes of what goes back, one for each seller. Safe to repeat.

    What was never invoiced (the order was not complete yet) is not credited.
    """
    issued = []
    for seller_id, lines in _by_seller(parts).items():
        key = f"invoice:{order.public_id}:{seller_id}"
        first = Invoice.objects.filter(key=key).first()
        rows = [_given_back(line, parts[line]) for line in lines if parts[line]]
        if first is None or not rows:
            continue
        before = document_of(first)
        document = InvoiceDocument(
            kind=DocumentKind.CREDIT_NOTE,
            issued_on=timezone.now().date(),
            seller=before.seller,
            buyer=before.buyer,
            currency=order.currency,
            lines=tuple(rows),
            tax_sums=_tax_sums([line for line in lines if parts[line]], rows),
            totals=_totals(rows),
            notes=_notes(lines),
            corrects=first.text_number,
            order_ref=order.public_id,
            is_test=order.is_test,
        )
        issued.append(
            issue(
                document,
                seller=lines[0].seller,
                buyer=order.buyer,
                holder=order.holder,
                key=f"credit:{ident}:{seller_id}",
                corrects=first,
            )
        )
    return issued


def _by_seller(lines: Iterable[OrderLine]) -> dict[int, list[OrderLine]]:
    """Return the lines of each seller, sellers in one order for all: each has a series to lock."""
    groups: dict[int, list[OrderLine]] = defaultdict(list)
    for line in sorted(lines, key=lambda row: (row.seller_id, row.position)):
        groups[line.seller_id].append(line)
    return groups


def _sold(line: OrderLine) -> InvoiceLine:
    return InvoiceLine(
        title=line.title,
        detail=line.detail,
        quantity=line.quantity,
        unit_minor=line.unit_minor,
        net_minor=line.net_minor,
        tax_basis_points=_rate(line),
        tax_minor=line.tax_minor,
        gross_minor=line.gross_minor,
    )


def _given_back(line: OrderLine, part: int) -> InvoiceLine:
    """Return a line of a credit note; part refunds of a line come to the whole exactly."""
    until = spread(line.refunded_minor, [line.net_minor, line.tax_minor])
    before = spread(line.refunded_minor - part, [line.net_minor, line.tax_minor])
    net, tax = (now - was for now, was in zip(until, before, strict=True))
    return InvoiceLine(
        title=line.title,
        detail=line.detail,
        quantity=line.quantity if part == line.gross_minor else 1,
        unit_minor=-line.unit_minor if part == line.gross_minor else -net,
        net_minor=-net,
        tax_basis_points=_rate(line),
        tax_minor=-tax,
        gross_minor=-part,
    )


def _rate(line: OrderLine) -> int:
    return int(line.tax.get("rate_basis_points", 0))


def _tax_sums(lines: Sequence[OrderLine], rows: Sequence[InvoiceLine]) -> tuple[TaxSum, ...]:
    """Return what each tax comes to, in the order of the lines."""
    sums: dict[tuple[str, int], list[int]] = {}
    for line, row in zip(lines, rows, strict=True):
        label = tax_label(line.tax)
        if label:
            found = sums.setdefault((label, row.tax_basis_points), [0, 0])
            found[0] += row.net_minor
            found[1] += row.tax_minor
    return tuple(
        TaxSum(label=k[0], tax_basis_points=k[1], net_minor=v[0], tax_minor=v[1])
        for k, v in sums.items()
    )


def tax_label(tax: Mapping[str, Any]) -> str:
    """Return what a tax is called, as ``VAT DE``, from what a line keeps; empty: there is none."""
    name = _NAMES.get(Treatment(tax["kind"])) if tax else None
    place = "-".join(filter(None, [tax.get("country", ""), tax.get("region", "")]))
    return f"{name} {place}".strip() if name else ""


def _totals(rows: Sequence[InvoiceLine]) -> Totals:
    return Totals(
        net_minor=sum(row.net_minor for row in rows),
        tax_minor=sum(row.tax_minor for row in rows),
        gross_minor=sum(row.gross_minor for row in rows),
    )


def _notes(lines: Sequence[OrderLine]) -> tuple[str, ...]:
    notes = dict.fromkeys(line.tax.get("note", "") for line in lines)
    if any(line.discount_minor for line in lines):
        notes[_("A coupon is taken off the prices.")] = None
    return tuple(note for note in notes if note)
