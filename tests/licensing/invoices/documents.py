"""Documents that tests start from."""

from dataclasses import replace
from datetime import date
from typing import Any

from licensing.invoices.document import (
    DocumentKind,
    InvoiceDocument,
    InvoiceLine,
    Party,
    TaxSum,
    Totals,
)

SELLER = Party(
    name="Regency Affine GmbH",
    address=("Lindenstraße 7", "10969 Berlin"),
    country="DE",
    vat_number="DE123456789",
    email="billing@regency.example",
)
BUYER = Party(name="Zoë O'Neill", address=("1 High Street", "Dublin"), country="IE")


def a_line(net_minor: int = 10000, rate: int = 1900, title: str = "regency/austen") -> InvoiceLine:
    """A line of one piece with its tax, as a document needs it."""
    tax_minor = net_minor * rate // 10_000
    return InvoiceLine(
        title=title,
        detail="Commercial license, 3 seats",
        unit_minor=net_minor,
        net_minor=net_minor,
        tax_basis_points=rate,
        tax_minor=tax_minor,
        gross_minor=net_minor + tax_minor,
    )


def a_document(*lines: InvoiceLine, **changes: Any) -> InvoiceDocument:
    """An invoice that adds up."""
    lines = lines or (a_line(), a_line(1900, 1900, "regency/kjv"))
    rates = sorted({line.tax_basis_points for line in lines})
    net, tax = (sum(getattr(line, name) for line in lines) for name in ("net_minor", "tax_minor"))
    document = InvoiceDocument(
        kind=DocumentKind.INVOICE,
        issued_on=date(2026, 3, 5),
        supplied_on=date(2026, 3, 4),
        seller=SELLER,
        buyer=BUYER,
        currency="EUR",
        lines=lines,
        tax_sums=tuple(
            TaxSum(
                label="VAT",
                tax_basis_points=rate,
                net_minor=sum(x.net_minor for x in lines if x.tax_basis_points == rate),
                tax_minor=sum(x.tax_minor for x in lines if x.tax_basis_points == rate),
            )
            for rate in rates
        ),
        totals=Totals(net_minor=net, tax_minor=tax, gross_minor=net + tax),
        order_ref="0123456789abcdef01234567",
        paid_on=date(2026, 3, 5),
    )
    return replace(document, **changes)


def credited(document: InvoiceDocument) -> InvoiceDocument:
    """The credit note that takes a whole invoice back."""

    def minus(part: Any, *names: str) -> Any:
        return replace(part, **{name: -getattr(part, name) for name in names})

    sums = ("net_minor", "tax_minor", "gross_minor")
    return replace(
        document,
        kind=DocumentKind.CREDIT_NOTE,
        corrects="REGENCY-2026-000001",
        lines=tuple(minus(line, "unit_minor", *sums) for line in document.lines),
        tax_sums=tuple(minus(tax_sum, *sums[:2]) for tax_sum in document.tax_sums),
        totals=minus(document.totals, *sums),
    )
