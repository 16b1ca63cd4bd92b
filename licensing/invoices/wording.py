"""The words, amounts and dates of a document in one language."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from babel.core import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_decimal, format_percent
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from licensing.invoices.document import DocumentKind, InvoiceDocument, TaxSum
from store.core.money import BASIS_POINTS, Money, currencies, show


class Wording:
    """Says what a document holds. Use it with the language active.

    Args:
        document: What is said.
        language: Of Django's languages; English where the locale data lack it.
    """

    def __init__(self, document: InvoiceDocument, language: str) -> None:
        self.document = document
        try:
            self.locale = Locale.parse(language, sep="-")
        except (UnknownLocaleError, ValueError):
            self.locale = Locale("en")
        decimals = currencies()[document.currency]
        self._pattern = "#,##0" + ("." + "0" * decimals if decimals else "")

    @property
    def tag(self) -> str:
        """The language as PDF names it: ``zh-Hans``."""
        return str(self.locale).replace("_", "-")

    @property
    def title(self) -> str:
        """What kind of document it is."""
        titles = {
            DocumentKind.INVOICE: _("Invoice"),
            DocumentKind.CREDIT_NOTE: _("Credit note"),
            DocumentKind.STATEMENT: _("Payout statement"),
        }
        return titles[self.document.kind]

    @property
    def name(self) -> str:
        """Title and number, or the title of a draft."""
        return f"{self.title} {self.document.number or _('(draft)')}"

    @property
    def test_mark(self) -> str:
        """What stands across every page of a test document."""
        return _("TEST – no real payment")  # noqa: RUF001 - typeset, and not to be typed

    def roles(self) -> tuple[str, str]:
        """Return what seller and buyer are called."""
        if self.document.kind is DocumentKind.STATEMENT:
            return _("Issued by"), _("Issued to")
        return pgettext("invoice", "Seller"), pgettext("invoice", "Buyer")

    def dates(self) -> Iterator[tuple[str, str]]:
        """Return the facts at the head, each with its label."""
        document = self.document
        for label, day in (
            (pgettext("invoice", "Date"), document.issued_on),
            (_("Date of supply"), document.supplied_on),
            (_("Paid on"), document.paid_on),
            (pgettext("invoice", "Due on"), document.due_on),
        ):
            if day:
                yield label, self.day(day)
        if document.corrects:
            yield _("Corrects invoice"), document.corrects
        if document.order_ref:
            yield pgettext("invoice", "Order"), document.order_ref
        yield pgettext("invoice", "Currency"), document.currency

    def sums(self) -> Iterator[tuple[str, str]]:
        """Return what stands between the lines and the total."""
        if self.has_tax:
            yield pgettext("invoice", "Net"), self.amount(self.document.totals.net_minor)
        for tax_sum in self.document.tax_sums:
            yield self.tax(tax_sum), self.amount(tax_sum.tax_minor)

    @property
    def has_tax(self) -> bool:
        """Whether lines need columns for it."""
        rates = any(line.tax_basis_points for line in self.document.lines)
        return rates or bool(self.document.tax_sums) or self.document.totals.tax_minor != 0

    def total(self) -> tuple[str, str]:
        """Return the label of the total, and the total with its currency."""
        labels = {
            DocumentKind.INVOICE: pgettext("invoice", "Total"),
            DocumentKind.CREDIT_NOTE: _("Total credited"),
            DocumentKind.STATEMENT: pgettext("invoice", "Balance"),
        }
        total = Money(self.document.totals.gross_minor, self.document.currency)
        return labels[self.document.kind], show(total, str(self.locale))

    def tax(self, tax_sum: TaxSum) -> str:
        """Return one tax with its rate and what it is taken of."""
        return _("%(label)s %(rate)s on %(net)s") % {
            "label": tax_sum.label,
            "rate": self.rate(tax_sum.tax_basis_points),
            "net": self.amount(tax_sum.net_minor),
        }

    def amount(self, minor: int) -> str:
        """Return an amount without its currency, which stands at the head."""
        value = Money(minor, self.document.currency).decimal
        return format_decimal(value, self._pattern, locale=self.locale)

    def rate(self, basis_points: int) -> str:
        """Return a rate in percent, with as many decimals as it has."""
        value = Decimal(basis_points) / BASIS_POINTS
        return format_percent(value, "#,##0.##%", locale=self.locale)

    def day(self, day: date) -> str:
        """Return a date nobody can read the wrong way round."""
        return format_date(day, "long", locale=self.locale)

    def country(self, code: str) -> str:
        """Return a country's name; its code if the locale data lack it."""
        return str(self.locale.territories.get(code, code))
