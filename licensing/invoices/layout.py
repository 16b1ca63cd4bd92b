"""Where the parts of a document stand on the paper, from top to bottom."""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from licensing.invoices.document import InvoiceLine, Party
from licensing.invoices.fonts import UNDRAWN
from licensing.invoices.names import name_of
from licensing.invoices.sheet import (
    ACCENT,
    BODY_PT,
    HAIRLINE,
    INK,
    INNER_MM,
    LINE,
    MARGIN_MM,
    QUIET,
    SMALL_PT,
    STRONG_PT,
    TITLE_PT,
    Sheet,
)

FACTS_MM = 86
"""Width of the facts at the head, on the right."""
LABEL_MM = 34
GAP_MM = 4
PARTY_MM = (INNER_MM - 2 * GAP_MM) / 2
MIN_TITLE_MM = 50
"""Room a line's title keeps, however wide the amounts are."""
WHOLE_ROW_MM = 60
"""A line up to this height is kept on one page; a higher one goes on over the next."""
AMOUNT_SIZES_PT = (BODY_PT, 8, 7, 6, 5)


@dataclass(frozen=True, slots=True)
class Table:
    """How the lines are set.

    Args:
        heads: Of the columns, the first one is the title.
        widths_mm: Of the columns, in order; they fill the width of the page.
        amount_pt: Size of the amounts.
    """

    heads: tuple[str, ...]
    widths_mm: tuple[float, ...]
    amount_pt: float

    @property
    def title_mm(self) -> float:
        """Width of the first column."""
        return self.widths_mm[0]


def draw_head(sheet: Sheet) -> None:
    """What it is and its number on the left; dates and references on the right."""
    top, wording = sheet.y, sheet.wording
    left_mm = INNER_MM - FACTS_MM - GAP_MM
    sheet.style(TITLE_PT, ACCENT, bold=True)
    sheet.flow(wording.title, MARGIN_MM, left_mm)
    sheet.style(STRONG_PT, bold=True)
    sheet.flow(wording.document.number or _("(draft)"), MARGIN_MM, left_mm)
    bottom = sheet.y
    sheet.y = top + 1.5
    x = MARGIN_MM + INNER_MM - FACTS_MM
    for label, value in wording.dates():
        sheet.style(SMALL_PT, QUIET)
        sheet.put(label, x, LABEL_MM, height=BODY_PT * LINE)
        sheet.style(BODY_PT)
        sheet.flow(value, x + LABEL_MM, FACTS_MM - LABEL_MM)
    sheet.y = max(bottom, sheet.y) + 3
    sheet.rule(ACCENT, 0.6)
    sheet.y += 4


def draw_parties(sheet: Sheet) -> None:
    """Seller and buyer side by side."""
    top, document = sheet.y, sheet.wording.document
    bottoms = []
    for role, party, x in zip(
        sheet.wording.roles(),
        (document.seller, document.buyer),
        (MARGIN_MM, MARGIN_MM + PARTY_MM + 2 * GAP_MM),
        strict=True,
    ):
        sheet.y = top
        sheet.style(SMALL_PT, QUIET)
        sheet.flow(role, x, PARTY_MM)
        sheet.style(BODY_PT, bold=True)
        sheet.flow(party.name, x, PARTY_MM)
        sheet.style(BODY_PT)
        for text in _party_lines(sheet, party):
            sheet.flow(text, x, PARTY_MM)
        bottoms.append(sheet.y)
    sheet.y = max(bottoms) + 6


def _party_lines(sheet: Sheet, party: Party) -> list[str]:
    texts = [*party.address, sheet.wording.country(party.country)]
    if party.vat_number:
        texts.append(_("VAT number: %(number)s") % {"number": party.vat_number})
    return [text for text in (*texts, party.email) if text]


def draw_lines(sheet: Sheet) -> None:
    """Draw the table; its head is repeated on every page it reaches."""
    rows = [_cells(sheet, line) for line in sheet.wording.document.lines]
    table = _measured(sheet, rows)
    _draw_table_head(sheet, table)
    for line, cells in zip(sheet.wording.document.lines, rows, strict=True):
        _draw_row(sheet, table, line, cells)
    sheet.y += 1


def _heads(sheet: Sheet) -> tuple[str, ...]:
    first = (pgettext("invoice", "Item"), _("Qty"), pgettext("invoice", "Price"))
    last = pgettext("invoice", "Amount")
    if sheet.wording.has_tax:
        return (
            *first,
            pgettext("invoice", "Net"),
            pgettext("invoice", "Rate"),
            pgettext("invoice", "Tax"),
            last,
        )
    return (*first, last)


def _cells(sheet: Sheet, line: InvoiceLine) -> tuple[str, ...]:
    """Return what stands right of the title."""
    wording = sheet.wording
    first = (str(line.quantity), wording.amount(line.unit_minor))
    if not wording.has_tax:
        return (*first, wording.amount(line.gross_minor))
    return (
        *first,
        wording.amount(line.net_minor),
        wording.rate(line.tax_basis_points),
        wording.amount(line.tax_minor),
        wording.amount(line.gross_minor),
    )


def _measured(sheet: Sheet, rows: list[tuple[str, ...]]) -> Table:
    """Give each column of amounts the width of its widest, in the largest size that fits."""
    heads = _heads(sheet)
    sheet.style(BODY_PT)
    amounts = [sheet.widest(column) for column in zip(*rows, strict=True)]
    sheet.style(SMALL_PT)
    labels = [sheet.widest([head]) for head in heads[1:]]

    def widths_at(size_pt: float) -> list[float]:
        scaled = (amount * size_pt / BODY_PT for amount in amounts)
        return [max(pair) + GAP_MM for pair in zip(scaled, labels, strict=True)]

    fitting = (size for size in AMOUNT_SIZES_PT if sum(widths_at(size)) <= INNER_MM - MIN_TITLE_MM)
    size_pt = next(fitting, AMOUNT_SIZES_PT[-1])
    widths = widths_at(size_pt)
    return Table(heads, (INNER_MM - sum(widths), *widths), size_pt)


def _draw_table_head(sheet: Sheet, table: Table) -> None:
    sheet.style(SMALL_PT, QUIET)
    x = float(MARGIN_MM)
    for index, (head, width) in enumerate(zip(table.heads, table.widths_mm, strict=True)):
        sheet.put(head, x, width, align="R" if index else "L")
        x += width
    sheet.y += sheet.line_mm() + 1
    sheet.rule(INK, 0.3)
    sheet.y += 1.5


def _draw_row(sheet: Sheet, table: Table, line: InvoiceLine, cells: tuple[str, ...]) -> None:
    sheet.style(SMALL_PT, QUIET)
    details = sheet.broken(line.detail, table.title_mm)
    height = sheet.line_mm() * len(details)
    sheet.style(BODY_PT, bold=True)
    titles = sheet.broken(line.title, table.title_mm)
    row_mm = sheet.line_mm()
    height += row_mm * max(1, len(titles))
    if sheet.keep(min(height, WHOLE_ROW_MM)):
        _draw_table_head(sheet, table)
    sheet.put("".join(titles[:1]), MARGIN_MM, table.title_mm)
    sheet.style(table.amount_pt)
    x = MARGIN_MM + table.title_mm
    for cell, width in zip(cells, table.widths_mm[1:], strict=True):
        sheet.put(cell, x, width, align="R", height=row_mm)
        x += width
    sheet.y += row_mm
    sheet.style(BODY_PT, bold=True)
    _draw_broken(sheet, table, titles[1:])
    sheet.style(SMALL_PT, QUIET)
    _draw_broken(sheet, table, details)
    sheet.y += 1.5
    sheet.rule(HAIRLINE)
    sheet.y += 1.5


def _draw_broken(sheet: Sheet, table: Table, texts: list[str]) -> None:
    for text in texts:
        if sheet.keep(sheet.line_mm()):
            with sheet.same_style():
                _draw_table_head(sheet, table)
        sheet.put(text, MARGIN_MM, table.title_mm)
        sheet.y += sheet.line_mm()


def draw_totals(sheet: Sheet) -> None:
    """Net, each tax and the total, right-aligned under the amounts; kept together."""
    sums = list(sheet.wording.sums())
    label, total = sheet.wording.total()
    sheet.style(STRONG_PT, bold=True)
    total_mm = sheet.line_mm() + 2
    value_mm = max(sheet.widest([total]), 24) + GAP_MM
    label_mm = INNER_MM - value_mm
    sheet.style(BODY_PT, QUIET)
    broken = [(sheet.broken(name, label_mm), value) for name, value in sums]
    height = sheet.line_mm() * sum(len(names) for names, _value in broken)
    sheet.keep(min(height, 4 * WHOLE_ROW_MM) + total_mm)
    for names, value in broken:
        for name in names:
            sheet.keep(sheet.line_mm() + total_mm)
            sheet.put(name, MARGIN_MM, label_mm, align="R")
            sheet.y += sheet.line_mm()
        with sheet.same_style():
            sheet.y -= sheet.line_mm()
            sheet.style(BODY_PT)
            sheet.put(value, MARGIN_MM + label_mm, value_mm, align="R")
            sheet.y += sheet.line_mm()
    sheet.y += 1
    sheet.style(STRONG_PT, ACCENT, bold=True)
    sheet.put(label, MARGIN_MM, label_mm, align="R")
    sheet.put(total, MARGIN_MM + label_mm, value_mm, align="R")
    sheet.y += sheet.line_mm() + 5


def draw_notes(sheet: Sheet) -> None:
    """How to pay, notes, and which characters could not be drawn."""
    document = sheet.wording.document
    if document.bank_details:
        sheet.style(BODY_PT, bold=True)
        sheet.flow(_("Pay by bank transfer"), MARGIN_MM, INNER_MM)
        sheet.style(BODY_PT)
        reference = _("Reference: %(number)s") % {"number": document.number}
        for text in (*document.bank_details, reference):
            sheet.flow(text, MARGIN_MM, INNER_MM)
        sheet.y += 3
    sheet.style(BODY_PT)
    for text in document.notes:
        sheet.flow(text, MARGIN_MM, INNER_MM)
        sheet.y += 1
    if sheet.undrawn:
        sheet.style(SMALL_PT, QUIET)
        chars = ", ".join(name_of(char) for char in sorted(sheet.undrawn))
        text = _("The fonts of this document have no shape for what stands as %(mark)s: %(chars)s")
        sheet.flow(text % {"mark": UNDRAWN, "chars": chars}, MARGIN_MM, INNER_MM)
