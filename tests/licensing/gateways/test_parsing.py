"""References, statements and amounts: what strangers' texts and Stripe's units are read as."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iso11649

from licensing.gateways.base import GatewayRefusedError
from licensing.gateways.references import find, reference_of, shown
from licensing.gateways.stripe_amounts import from_stripe, to_stripe
from licensing.services.statements import (
    MAX_BYTES,
    MAX_LINES,
    BadStatementError,
    read_statement,
)
from store.core.errors import TooLargeError
from store.core.money import currencies

IDS = st.text("0123456789abcdef", min_size=24, max_size=24)
HEADER = "date,amount,currency,reference"


@given(IDS)
def test_a_reference_is_one_of_iso_11649_and_finds_its_order(public_id: str) -> None:
    reference = reference_of(public_id)

    assert iso11649.validate(reference) == reference
    assert len(reference) == 16
    assert find(f"Order: {shown(reference).lower()} / thanks") == [public_id[:12]]


@given(IDS, st.integers(2, 15), st.data())
def test_one_wrong_digit_or_letter_is_no_reference(
    public_id: str, place: int, data: st.DataObject
) -> None:
    reference = reference_of(public_id)
    alike = "0123456789" if reference[place].isdigit() else "ABCDEF"
    char = data.draw(st.sampled_from(alike))
    wrong = reference[:place] + char + reference[place + 1 :]

    assert find(wrong) == ([public_id[:12]] if wrong == reference else [])


@given(st.text(max_size=200))
def test_any_text_can_be_looked_through(text: str) -> None:
    for start in find(text):
        assert re.fullmatch("[0-9a-f]{12}", start)


@given(IDS, IDS)
def test_two_references_are_both_found(one: str, two: str) -> None:
    text = f"{reference_of(one)}{reference_of(two)} {reference_of(one)}"

    assert find(text) == list(dict.fromkeys([one[:12], two[:12]]))


def test_a_statement_is_read_as_it_is_written() -> None:
    data = f'\ufeff{HEADER}\r\n2027-03-09,"1234,50",eur,"a,\nb"\r\n\r\n2027-03-09,5,JPY,x\r\n'

    first, second = read_statement(data.encode())

    assert (first.money.amount_minor, first.money.currency) == (123450, "EUR")
    assert first.text == "a, b"
    assert str(first.booked_on) == "2027-03-09"
    assert second.money.amount_minor == 5


def test_equal_lines_are_told_apart_and_named_the_same_each_time() -> None:
    data = f"{HEADER}\n" + "2027-03-09,5,EUR,x\n" * 3

    refs = [line.bank_ref for line in read_statement(data.encode())]

    assert len(set(refs)) == 3
    assert refs == [line.bank_ref for line in read_statement(data.encode())]


def test_the_banks_own_number_counts() -> None:
    data = b"id,Reference,CURRENCY,amount,date\n N1 ,x,EUR,5,2027-03-09\n"

    assert [line.bank_ref for line in read_statement(data)] == ["N1"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("date,amount,currency\n", 1),
        (f"{HEADER},colour\n", 1),
        (f"{HEADER},date\n", 1),
        (f"{HEADER}\n2027-03-09,5,EUR\n", 2),
        (f"{HEADER}\n2027-03-09,5,EUR,x,y\n", 2),
        (f"{HEADER}\n09.03.2027,5,EUR,x\n", 2),
        (f"{HEADER}\n2027-02-30,5,EUR,x\n", 2),
        (f"{HEADER}\n2027-03-09,1.234,EUR,x\n", 2),
        (f'{HEADER}\n2027-03-09,"1,234.00",EUR,x\n', 2),
        (f"{HEADER}\n2027-03-09,5e3,EUR,x\n", 2),
        (f"{HEADER}\n2027-03-09,0,EUR,x\n", 2),
        (f"{HEADER}\n2027-03-09,5,XXX,x\n", 2),
        (f"{HEADER}\n2027-03-09,5,EUR,x\0\n", 2),
        (f'{HEADER}\n2027-03-09,5,EUR,"x\n', 2),
        (f"{HEADER}\n2027-03-09,1,EUR,x\n2027-03-09,9999999999999999,EUR,x\n", 3),
        (f"{HEADER},id\n2027-03-09,5,EUR,x,{'n' * 91}\n", 2),
        (f"{HEADER},id\n2027-03-09,5,EUR,x,N1\n2027-03-09,6,EUR,x,N1\n", 1),
    ],
)
def test_a_bad_statement_says_where(text: str, line: int) -> None:
    with pytest.raises(BadStatementError) as caught:
        read_statement(text.encode())

    assert caught.value.extra == {"line": line}


def test_a_statement_in_another_encoding_is_refused() -> None:
    with pytest.raises(BadStatementError):
        read_statement(f"{HEADER}\n2027-03-09,5,EUR,Grüße\n".encode("latin-1"))


def test_a_statement_has_an_end() -> None:
    with pytest.raises(TooLargeError):
        read_statement(b"x" * (MAX_BYTES + 1))
    with pytest.raises(TooLargeError):
        read_statement(f"{HEADER}\n{'2027-03-09,1,EUR,x' * 1}\n".encode() + b"\n" * (MAX_LINES + 9))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        lines = read_statement(HEADER.encode() + b"\n" + data)
    except BadStatementError:
        return
    assert all(line.money.amount_minor > 0 for line in lines)


@pytest.mark.parametrize(
    ("currency", "ours", "theirs"),
    [
        ("EUR", 1900, 1900),
        ("JPY", 1900, 1900),
        ("KWD", 1500, 1500),
        ("ISK", 19, 1900),
        ("UGX", 19, 1900),
        ("MGA", 1900, 19),
    ],
)
def test_amounts_are_counted_as_stripe_counts(currency: str, ours: int, theirs: int) -> None:
    assert to_stripe(ours, currency) == theirs
    assert from_stripe(theirs, currency) == ours


@pytest.mark.parametrize(("currency", "amount"), [("MGA", 1901), ("KWD", 1501), ("MGA", 50)])
def test_what_stripe_cannot_charge_exactly_is_refused(currency: str, amount: int) -> None:
    with pytest.raises(GatewayRefusedError):
        to_stripe(amount, currency)


@given(st.integers(0, 10**12), st.sampled_from(sorted(currencies())))
def test_every_amount_comes_back_or_is_refused(amount: int, currency: str) -> None:
    try:
        theirs = to_stripe(amount, currency)
    except GatewayRefusedError:
        assert amount % 10
    else:
        assert from_stripe(theirs, currency) == amount


def test_a_currency_nobody_knows_is_left_as_it_is() -> None:
    assert from_stripe(5, "???") == 5
