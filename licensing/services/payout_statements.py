"""Statements: what a payout is made of, order line by order line."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

from django.conf import settings
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from licensing.invoices import document as paper
from licensing.invoices.document import DocumentKind, InvoiceDocument, InvoiceLine, Party, Totals
from licensing.models import Invoice, LedgerEntry, LedgerMovement, OrderLine, Payout
from licensing.services.invoicing import DOCUMENT_LANGUAGE, issue
from licensing.services.seller_profiles import party_of, profile_of
from store.core.money import Money, show

Kind = LedgerMovement.Kind
Purpose = LedgerEntry.Purpose


def issue_statement(payout: Payout, entries: Sequence[LedgerEntry], *, is_test: bool) -> Invoice:
    """Issue the statement of a payout, in the caller's transaction. Safe to repeat.

    Args:
        payout: Already stored.
        entries: What it settles, without its own booking; with movement, order and line. They
            add up to the payout.
        is_test: It is of the sandbox; every page says so.
    """
    with override(DOCUMENT_LANGUAGE):
        lines = tuple(statement_lines(entries, payout.currency))
        total = sum(line.gross_minor for line in lines)
        document = InvoiceDocument(
            kind=DocumentKind.STATEMENT,
            issued_on=localtime(payout.created_at).date(),
            seller=Party(name=settings.SITE_NAME),
            buyer=party_of(profile_of(payout.namespace)),
            currency=payout.currency,
            lines=lines,
            totals=Totals(net_minor=total, tax_minor=0, gross_minor=total),
            notes=(
                _("Payout %(id)s, of everything that was available on %(day)s.")
                % {"id": payout.public_id, "day": _day(payout.until)},
            ),
            is_test=is_test,
        )
    return issue(document, seller=payout.namespace, buyer=None, key=f"payout:{payout.public_id}")


def statement_lines(entries: Sequence[LedgerEntry], currency: str) -> list[InvoiceLine]:
    """Return the lines of a statement: one for each order line, dispute and returned payout.

    What does not fit on a document is summed by day, and by month where even days are too many.
    """
    groups = _grouped(entries, _by_line)
    if len(groups) <= paper.MAX_LINES:
        return [_line(group, currency) for group in groups]
    groups = _grouped(entries, lambda entry: localtime(entry.movement.at).date())
    if len(groups) <= paper.MAX_LINES:
        return [_sum(group, _day(group[0].movement.at)) for group in groups]
    groups = _grouped(entries, lambda entry: f"{localtime(entry.movement.at):%Y-%m}")
    return [_sum(group, f"{localtime(group[0].movement.at):%Y-%m}") for group in groups]


def _grouped(
    entries: Iterable[LedgerEntry], key: Callable[[LedgerEntry], Hashable]
) -> list[list[LedgerEntry]]:
    groups: dict[Hashable, list[LedgerEntry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda row: (row.movement.at, row.pk)):
        groups[key(entry)].append(entry)
    return list(groups.values())


def _by_line(entry: LedgerEntry) -> Hashable:
    if entry.line_id is not None:
        return ("line", entry.line_id)
    if entry.movement.order_id is not None:
        return ("order", entry.movement.order_id)
    return ("movement", entry.movement_id)


def _line(group: Sequence[LedgerEntry], currency: str) -> InvoiceLine:
    """Return what one order line brought, with its parts in small letters."""
    first = group[0]
    parts = [
        f"{label} {show(Money(amount, currency), DOCUMENT_LANGUAGE)}"
        for label, amount in components(group)
    ]
    order = first.movement.order
    if first.line is not None and first.line.seller_id != first.account.namespace_id:
        order, title = None, _("Share of a sale")  # whose order is the other seller's affair
    elif first.line is not None:
        title = first.line.title
    elif order is not None:
        title = _("Dispute")
    else:
        title = first.movement.get_kind_display()
    about = [_("Order %(id)s") % {"id": order.public_id}] if order is not None else []
    return _of(title, ", ".join([*about, *parts]), group)


def components(group: Sequence[LedgerEntry]) -> list[tuple[str, int]]:
    """Return what entries of one line are made of, as (name, amount owed); they add up to them.

    A sale is booked as what is left for its seller: here it is the price, less fee and shares.
    """
    parts: dict[str, int] = defaultdict(int)
    sold: OrderLine | None = None
    for entry in group:
        owed, line = -entry.amount_minor, entry.line
        is_sale = entry.movement.kind == Kind.SALE and line is not None
        if is_sale and entry.purpose in {Purpose.PRICE, Purpose.TAX}:
            sold = line
        elif is_sale:
            parts[_("share of this sale")] += owed
        else:
            parts[entry.movement.get_kind_display().lower()] += owed
    if sold is not None:
        shares = sum(share.amount_minor for share in sold.shares.all())
        parts = {
            _("price"): sold.net_minor,
            _("tax"): sold.tax_minor,
            _("fee"): -sold.fee_minor,
            _("shares of upstream owners"): -shares,
        } | dict(parts)
    return [(label, amount) for label, amount in parts.items() if amount]


def _sum(group: Sequence[LedgerEntry], when: str) -> InvoiceLine:
    detail = ngettext("%(n)d booking", "%(n)d bookings", len(group)) % {"n": len(group)}
    return _of(_("Sales and refunds of %(when)s") % {"when": when}, detail, group)


def _of(title: str, detail: str, group: Sequence[LedgerEntry]) -> InvoiceLine:
    amount = -sum(entry.amount_minor for entry in group)
    return InvoiceLine(
        title=title,
        detail=detail[: paper.MAX_TEXT_CHARS],
        unit_minor=amount,
        net_minor=amount,
        gross_minor=amount,
    )


def _day(moment: object) -> str:
    return str(date_format(localtime(moment), "DATE_FORMAT"))  # type: ignore[arg-type]
