"""Draws a document as a PDF: the same bytes for the same document and language, every time.

Made with fpdf2, not reportlab: it embeds only the shapes a text uses, goes on to a second font for
what the first lacks, joins Arabic letters and orders Hebrew ones, and neither draws a random
number nor looks at the clock once the date is set. It tags no text (nor does reportlab's free
edition), so a screen reader hears the page in the order it is drawn: what, who, how much, notes.
Title, author and language are set.
"""

from datetime import UTC, datetime, time
from pathlib import Path
from tempfile import TemporaryDirectory

from django.utils import translation
from fpdf import FPDF, ViewerPreferences

from licensing.invoices import layout
from licensing.invoices.document import InvoiceDocument
from licensing.invoices.sheet import Sheet
from licensing.invoices.wording import Wording


def render_pdf(document: InvoiceDocument, *, language: str) -> bytes:
    """Return the document on A4.

    Characters that no font has are drawn as a question mark in a diamond, and a note at the end
    says which they are.

    Args:
        document: Issued, or a draft without a number.
        language: Of Django's languages.
    """
    with translation.override(language), TemporaryDirectory() as folder:  # for the font files
        wording = Wording(document, language)
        sheet = _lay_out(wording, Path(folder), pages=1)
        if sheet.pages_count > 1:  # how many there are is known only afterwards
            pages = sheet.pages_count
            _close(sheet)
            sheet = _lay_out(wording, Path(folder), pages=pages)
        content = bytes(sheet.output())
        _close(sheet)
    return content


def _lay_out(wording: Wording, folder: Path, *, pages: int) -> Sheet:
    sheet = Sheet(wording, folder, pages=pages)
    document = wording.document
    sheet.set_title(wording.name)
    sheet.set_author(document.seller.name)
    sheet.set_subject(document.order_ref)
    sheet.set_creator("GPT Store")
    sheet.set_lang(wording.tag)
    sheet.set_creation_date(datetime.combine(document.issued_on, time(), UTC))
    sheet.viewer_preferences = ViewerPreferences(display_doc_title=True)
    sheet.add_page()
    layout.draw_head(sheet)
    layout.draw_parties(sheet)
    layout.draw_lines(sheet)
    layout.draw_totals(sheet)
    layout.draw_notes(sheet)
    return sheet


def _close(sheet: FPDF) -> None:
    for font in sheet.fonts.values():
        font.close()  # type: ignore[union-attr]
