"""The PDF of a document: what it says, on every page, and always the same bytes."""

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from licensing.invoices import fonts
from licensing.invoices.document import DocumentKind, InvoiceDocument, TaxSum, Totals
from licensing.invoices.pdf import render_pdf
from tests.licensing.invoices.documents import BUYER, a_document, a_line

ROOT = Path(__file__).resolve().parents[3]
MARK = "TEST – no real payment"  # noqa: RUF001 - as it is printed


def read(document: InvoiceDocument, language: str = "en") -> PdfReader:
    """The PDF of a document, opened."""
    return PdfReader(BytesIO(render_pdf(document, language=language)))


def text_of(document: InvoiceDocument, language: str = "en") -> str:
    """All text of it, with single spaces."""
    pages = [page.extract_text() for page in read(document, language).pages]
    return re.sub(r"\s+", " ", " ".join(pages))


def issued(*lines: Any, **changes: Any) -> InvoiceDocument:
    """An invoice with a number."""
    return a_document(*lines, **{"number": "REGENCY-2026-000123", **changes})


def test_an_invoice_says_who_what_and_how_much() -> None:
    text = text_of(issued(notes=("Thank you.",)))

    for part in (
        "Invoice REGENCY-2026-000123",
        "Date March 5, 2026",
        "Date of supply March 4, 2026",
        "Paid on March 5, 2026",
        "Order 0123456789abcdef01234567",
        "Currency EUR",
        "Seller Regency Affine GmbH Lindenstraße 7 10969 Berlin Germany VAT number: DE123456789",
        "billing@regency.example",
        "Buyer Zoë O'Neill 1 High Street Dublin Ireland",
        "Item Qty Price Net Rate Tax Amount",
        "regency/austen 1 100.00 100.00 19% 19.00 119.00 Commercial license, 3 seats",
        "Net 119.00",
        "VAT 19% on 119.00 22.61",
        "Total €141.61",
        "Thank you.",
        "Page 1 of 1",
    ):
        assert part in text
    assert "TEST" not in text


def test_a_credit_note_names_what_it_corrects() -> None:
    line = replace(a_line(-500, 0), unit_minor=-500)
    text = text_of(
        a_document(line, kind=DocumentKind.CREDIT_NOTE, corrects="R-2026-000007", tax_sums=())
    )

    assert "Credit note (draft)" in text
    assert "Corrects invoice R-2026-000007" in text
    assert "Item Qty Price Amount" in text
    assert "Total credited -€5.00" in text


def test_a_statement_has_its_own_words() -> None:
    text = text_of(a_document(kind=DocumentKind.STATEMENT, order_ref="", paid_on=None))

    assert "Payout statement" in text
    assert "Issued by Regency Affine GmbH" in text
    assert "Issued to Zoë O'Neill" in text
    assert "Balance €141.61" in text
    assert "Order" not in text


def test_an_open_invoice_says_where_and_by_when_to_pay() -> None:
    text = text_of(
        issued(
            paid_on=None, due_on=date(2026, 4, 5), bank_details=("IBAN DE02 1203", "BIC BYLADEM1")
        )
    )

    assert "Due on April 5, 2026" in text
    reference = "Reference: REGENCY-2026-000123"
    assert f"Pay by bank transfer IBAN DE02 1203 BIC BYLADEM1 {reference}" in text
    assert "Paid on" not in text


def test_every_page_of_a_test_says_so() -> None:
    pages = read(issued(*[a_line() for _ in range(60)], is_test=True)).pages

    assert len(pages) == 3
    for number, page in enumerate(pages, 1):
        assert page.extract_text().count(MARK) == 2  # across the page, and at its top
        assert f"Page {number} of 3" in page.extract_text()


def test_a_long_table_goes_on_with_its_head() -> None:
    lines = [a_line(100 + number, 1900, f"model-{number:04d}.") for number in range(100)]
    pages = [page.extract_text() for page in read(issued(*lines)).pages]

    assert len(pages) == 5
    assert all("Item" in page for page in pages)
    assert all("Invoice REGENCY-2026-000123" in page for page in pages[1:])
    found = re.findall(r"model-(\d{4})\.", "\n".join(pages))
    assert found == [f"{number:04d}" for number in range(100)]
    assert "Total" not in "".join(pages[:-1]).replace("Total credited", "")


def test_a_line_longer_than_a_page_is_not_cut() -> None:
    words = " ".join(f"word{number}" for number in range(120))
    long = replace(a_line(10**12, 1900, words), detail=words)
    pages = [page.extract_text() for page in read(issued(*[long] * 6)).pages]

    assert len(pages) > 3
    found = re.findall(r"word(\d+)\b", "\n".join(pages))
    assert found == [str(number) for number in range(120)] * 12


def test_many_taxes_and_notes_go_over_pages() -> None:
    lines = [a_line(100, number) for number in range(1, 51)]
    sums = tuple(
        TaxSum(
            label=f"Tax{line.tax_basis_points}. " + "of a long name " * 20,
            tax_basis_points=line.tax_basis_points,
            net_minor=100,
            tax_minor=line.tax_minor,
        )
        for line in lines
    )
    document = issued(*lines, tax_sums=sums, notes=tuple(f"note{n}." for n in range(50)))
    document.check()

    text = text_of(document)

    assert re.findall(r"Tax(\d+)\.", text) == [str(number) for number in range(1, 51)]
    assert re.findall(r"note(\d+)\.", text) == [str(number) for number in range(50)]


def test_the_widest_amounts_stand_whole_and_apart() -> None:
    text = text_of(issued(*[a_line(10**12, 2500)] * 3))

    amounts = "10,000,000,000.00 10,000,000,000.00 25% 2,500,000,000.00 12,500,000,000.00"
    assert text.count(amounts) == 3
    assert "Total €37,500,000,000.00" in text


@pytest.mark.parametrize(
    ("currency", "total"), [("JPY", "¥11,900"), ("KWD", "KWD11.900"), ("INR", "₹119.00")]
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, total: str) -> None:
    assert f"Total {total}" in text_of(issued(a_line(), currency=currency)).replace("\xa0", "")


@pytest.mark.parametrize(
    "name",
    [
        "Анна Ахматова",
        "Ελένη Παπαδοπούλου",
        "深圳市机器学习有限公司",
        "株式会社ストア",
        "한국어주식회사",
        "Łódź Ağa Nguyễn",
        "ՀԱՅ",
    ],
)
def test_a_name_can_be_read_out_again(name: str) -> None:
    text = text_of(issued(buyer=replace(BUYER, name=name)))

    assert f"Buyer {name}" in text
    assert "no shape" not in text


@pytest.mark.parametrize("name", ["שלום", "شركة"])
def test_letters_from_right_to_left_are_drawn(name: str) -> None:
    text = text_of(issued(buyer=replace(BUYER, name=name)))

    assert name in text or name[::-1] in text  # readers differ in the order they report
    assert fonts.UNDRAWN not in text


def test_what_cannot_be_drawn_is_seen_and_named() -> None:
    text = text_of(issued(buyer=replace(BUYER, name="Śri \u0939\u0928 \U00020bb7 a\u202eb")))

    undrawn = fonts.UNDRAWN
    assert f"Śri {undrawn}{undrawn} {undrawn} a{undrawn}b" in text
    assert (
        "no shape for what stands as \ufffd: U+0928 DEVANAGARI LETTER NA, U+0939 DEVANAGARI LETTER"
        " HA, U+202E RIGHT-TO-LEFT OVERRIDE, U+20BB7 CJK UNIFIED IDEOGRAPH-20BB7"
    ) in text


def test_a_text_never_becomes_markup_or_a_number() -> None:
    text = text_of(issued(replace(a_line(), title="{nb} **bold** __under__ (a) \\b <b>")))

    assert "{nb} **bold** __under__ (a) \\b <b>" in text


def test_metadata_name_title_author_and_language() -> None:
    reader = read(issued(), "zh-hans")

    assert reader.metadata["/Title"].endswith("REGENCY-2026-000123")
    assert reader.metadata["/Author"] == "Regency Affine GmbH"
    assert reader.metadata["/CreationDate"] == "D:20260305000000Z"
    assert reader.trailer["/Root"]["/Lang"] == "zh-Hans"
    assert reader.trailer["/Root"]["/ViewerPreferences"]["/DisplayDocTitle"]
    box = reader.pages[0].mediabox
    assert (round(box.width), round(box.height)) == (595, 842)


def test_dates_and_countries_speak_the_language() -> None:
    text = text_of(issued(), "zh-hans")

    assert "2026年3月5日" in text
    assert "德国" in text


def test_an_unknown_language_is_english() -> None:
    assert "March 5, 2026" in text_of(issued(), "tlh")


def test_every_font_is_embedded() -> None:
    reader = read(issued(buyer=replace(BUYER, name="深圳 Ltd")))

    used = reader.pages[0]["/Resources"]["/Font"]
    descriptors = [
        font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"]
        for font in used.values()
    ]
    assert len(descriptors) == 3
    assert all("/FontFile2" in descriptor for descriptor in descriptors)


def test_the_same_document_is_the_same_bytes_in_every_process() -> None:
    document = issued(
        *[a_line(100, 1900, f"模型 {n} الف") for n in range(40)], is_test=True, notes=("हि",)
    )
    first = render_pdf(document, language="en")
    program = (
        "import sys, json, hashlib, django; django.setup();"
        "from licensing.invoices.document import from_json;"
        "from licensing.invoices.pdf import render_pdf;"
        "document = from_json(json.load(sys.stdin));"
        "print(hashlib.sha256(render_pdf(document, language='en')).hexdigest())"
    )

    again = render_pdf(document, language="en")
    others = {
        subprocess.run(
            [sys.executable, "-c", program],
            input=document.canonical().decode(),
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env=environment(seed),
        ).stdout.strip()
        for seed in ("1", "2")
    }

    assert again == first
    assert others == {sha256(first)}
    assert render_pdf(replace(document, number="R-2026-000124"), language="en") != first


def sha256(content: bytes) -> str:
    """The digest as the other process prints it."""
    return hashlib.sha256(content).hexdigest()


def environment(seed: str) -> dict[str, str]:
    """The environment of the tests with another order of sets."""
    return {**os.environ, "PYTHONHASHSEED": seed, "DJANGO_SETTINGS_MODULE": "store.settings"}


@settings(max_examples=25)
@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=200).filter(
        str.strip
    )
)
def test_any_text_that_passes_the_check_is_drawn(text: str) -> None:
    document = issued(replace(a_line(), title=text, detail=text), notes=(text,))
    document.check()

    assert render_pdf(document, language="en").startswith(b"%PDF-")


def test_fonts_say_what_they_can_draw() -> None:
    assert fonts.drawable("a\u00a0b\u202fc\u3000d") == "a\u00a0b\u202fc d"
    assert fonts.undrawn(["b\u0939a", "\u0939\u200b\ufffd"]) == ["\u0939", "\u200b"]
    assert fonts.needs_fallback("深")
    assert not fonts.needs_fallback("Ж\u0939")
    assert fonts.needs_shaping("e\u0301")
    assert not fonts.needs_shaping("é 深")


def test_the_fonts_stay_small_and_carry_their_licenses() -> None:
    files = sorted(path.name for path in fonts.FOLDER.iterdir())

    assert files == [
        "DejaVuSans-Bold.ttf.xz",
        "DejaVuSans.ttf.xz",
        "DroidSansFallback.ttf.xz",
        "LICENSE-DejaVu.txt",
        "LICENSE-Droid.txt",
    ]
    assert sum(path.stat().st_size for path in fonts.FOLDER.iterdir()) < 2_000_000


def test_a_free_order_has_a_total_of_zero() -> None:
    document = issued(
        replace(a_line(0, 0), detail=""),
        tax_sums=(),
        totals=Totals(net_minor=0, tax_minor=0, gross_minor=0),
    )

    assert "regency/austen 1 0.00 0.00 Total €0.00" in text_of(document)
