"""Documents add up, say what they must, and come back from JSON as they were."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.invoices.document import (
    MAX_LINES,
    BadInvoiceTextError,
    DocumentKind,
    IncompleteInvoiceError,
    InvoiceLine,
    TaxSum,
    UnbalancedInvoiceError,
    UnreadableInvoiceError,
    from_json,
)
from store.core.money import MAX_MINOR, BadAmountError, BadCurrencyError
from tests.licensing.invoices.documents import BUYER, SELLER, a_document, a_line, credited

AMOUNTS = st.integers(0, 10**12)
LINES = st.lists(st.builds(a_line, AMOUNTS, st.sampled_from([0, 700, 1900])), min_size=1)


@given(LINES)
def test_what_adds_up_is_let_through(lines: list[InvoiceLine]) -> None:
    document = a_document(*lines)

    document.check()
    credited(document).check()


@given(
    LINES,
    st.sampled_from(["net_minor", "tax_minor", "gross_minor"]),
    st.integers(-100, 100).filter(bool),
    st.sampled_from(["line", "totals"]),
)
def test_a_single_unit_anywhere_is_noticed(
    lines: list[InvoiceLine], name: str, off: int, where: str
) -> None:
    document = a_document(*lines)
    if where == "line":
        wrong = replace(lines[0], **{name: getattr(lines[0], name) + off})
        document = replace(document, lines=(wrong, *lines[1:]))
    else:
        totals = replace(document.totals, **{name: getattr(document.totals, name) + off})
        document = replace(document, totals=totals)

    with pytest.raises(UnbalancedInvoiceError, match="does not add up"):
        document.check()


@pytest.mark.parametrize(
    "tax_sums",
    [
        (),
        (TaxSum(label="VAT", tax_basis_points=1900, net_minor=11900, tax_minor=2260),),
        (TaxSum(label="VAT", tax_basis_points=1900, net_minor=11899, tax_minor=2261),),
        (TaxSum(label="VAT", tax_basis_points=700, net_minor=11900, tax_minor=2261),),
    ],
)
def test_tax_sums_agree_with_the_lines(tax_sums: tuple[TaxSum, ...]) -> None:
    with pytest.raises(UnbalancedInvoiceError, match=r"tax at 19\.0 %") as caught:
        a_document(tax_sums=tax_sums).check()

    assert caught.value.extra == {"where": "the tax at 19.0 %"}


def test_two_taxes_may_share_a_rate() -> None:
    sums = tuple(
        TaxSum(label=label, tax_basis_points=1900, net_minor=net, tax_minor=tax)
        for label, net, tax in (("A", 10000, 1900), ("B", 1900, 361))
    )

    a_document(tax_sums=sums).check()


def test_without_tax_nothing_has_to_be_said_of_it() -> None:
    free = a_line(5000, 0)

    a_document(free, tax_sums=()).check()
    with pytest.raises(UnbalancedInvoiceError, match=r"tax at 0\.0 %"):
        wrong = TaxSum(label="Exempt", tax_basis_points=0, net_minor=4999, tax_minor=0)
        a_document(free, tax_sums=(wrong,)).check()


def test_the_sign_fits_the_kind() -> None:
    with pytest.raises(UnbalancedInvoiceError, match="sign"):
        replace(a_document(), kind=DocumentKind.CREDIT_NOTE, corrects="R-2026-000001").check()
    with pytest.raises(UnbalancedInvoiceError, match="sign"):
        replace(credited(a_document()), kind=DocumentKind.INVOICE, corrects="").check()

    replace(credited(a_document()), kind=DocumentKind.STATEMENT, corrects="").check()
    replace(a_document(), kind=DocumentKind.STATEMENT).check()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seller": replace(SELLER, name="")}, "names its seller"),
        ({"buyer": replace(BUYER, name="")}, "names its seller"),
        ({"lines": ()}, "1 to 1000 lines"),
        ({"lines": (a_line(0, 0),) * (MAX_LINES + 1)}, "1 to 1000 lines"),
        ({"lines": (replace(a_line(), quantity=0),)}, "quantity"),
        ({"lines": (replace(a_line(), quantity=1_000_000),)}, "quantity"),
        ({"lines": (replace(a_line(), title=" "),)}, "what it is for"),
        ({"notes": ("x",) * 51}, "50 notes"),
        ({"bank_details": ("x",) * 51}, "50 notes"),
        ({"corrects": "R-2026-000001"}, "nothing else"),
        ({"kind": DocumentKind.CREDIT_NOTE}, "names the invoice"),
    ],
)
def test_what_is_missing_or_too_much_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(IncompleteInvoiceError, match=message):
        a_document(**changes).check()


@pytest.mark.parametrize(
    "changes",
    [
        {"seller": replace(SELLER, name="A\nB")},
        {"buyer": replace(BUYER, address=("\x00",))},
        {"notes": ("half \ud800",)},
        {"notes": ("end\u2028",)},
        {"notes": ("x" * 1001,)},
        {"lines": (replace(a_line(), title="tab\there"),)},
        {"buyer": replace(BUYER, name="x" * 201)},
        {"buyer": replace(BUYER, country="DEU")},
        {"buyer": replace(BUYER, address=("x" * 101,))},
        {"buyer": replace(BUYER, address=("x",) * 9)},
    ],
)
def test_a_text_that_cannot_be_printed_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInvoiceTextError):
        a_document(**changes).check()


@pytest.mark.parametrize("amount", [2 * MAX_MINOR + 1, -2 * MAX_MINOR - 1])
def test_an_amount_has_a_limit(amount: int) -> None:
    a_document(a_line(2 * MAX_MINOR, 0)).check()

    with pytest.raises(BadAmountError, match="too large"):
        a_document(a_line(amount, 0)).check()


def test_the_currency_is_one() -> None:
    with pytest.raises(BadCurrencyError):
        a_document(currency="EUX").check()


@given(LINES, st.text(max_size=20), st.none() | st.dates(), st.booleans())
def test_a_document_comes_back_from_json(
    lines: list[InvoiceLine], text: str, day: date | None, is_test: bool
) -> None:
    document = a_document(
        *lines,
        notes=(text,),
        buyer=replace(BUYER, name=text),
        due_on=day,
        supplied_on=day,
        is_test=is_test,
    )

    again = from_json(json.loads(json.dumps(document.to_json())))

    assert again == document
    assert again.to_json() == document.to_json()


def test_the_canonical_spelling_and_its_hash_stay_for_ever() -> None:
    document = a_document(number="REGENCY-2026-000001")

    assert document.canonical().startswith(b'{"bank_details":[],"buyer":{"address":["1 High')
    assert "Zoë".encode() in document.canonical()
    assert document.sha256() == ("84bd7ba7f0169a24b4c50e8b8fee87dfbc52bfd45cd5633ab091317bcac779ae")


def broken(**changes: Any) -> dict[str, Any]:
    """JSON of a document with a part that is wrong."""
    return {**a_document().to_json(), **changes}


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"format": 1},
        broken(format=2),
        broken(extra=1),
        broken(kind="receipt"),
        broken(issued_on="yesterday"),
        broken(issued_on=None),
        broken(issued_on="20260305"),
        broken(seller=[]),
        broken(seller={"address": []}),
        broken(lines=[{}]),
        broken(lines=5),
        broken(totals={"net_minor": True, "tax_minor": 0, "gross_minor": 1}),
        broken(totals={"net_minor": 1.5, "tax_minor": 0, "gross_minor": 1.5}),
        broken(totals={"net_minor": "1", "tax_minor": 0, "gross_minor": 1}),
        broken(is_test=0),
        broken(number=None),
        broken(notes="abc"),
        broken(notes=[1]),
    ],
)
def test_json_that_is_no_document_is_refused(content: object) -> None:
    with pytest.raises(UnreadableInvoiceError, match="no invoice document"):
        from_json(content)
