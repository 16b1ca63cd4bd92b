"""Numbers as people write them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.search.amounts import MAX_AMOUNT, BadAmountError, format_amount, parse_amount


@pytest.mark.parametrize(
    ("text", "measure", "amount"),
    [
        ("7000000", "parameters", 7_000_000),
        ("125M", "parameters", 125_000_000),
        (" 1.5b ", "parameters", 1_500_000_000),
        ("0.123456789k", "parameters", 123),
        ("2T", "parameters", 2 * 10**12),
        ("12", "size", 12),
        ("12B", "size", 12),
        ("1 kB", "size", 1000),
        ("1.5GB", "size", 1_500_000_000),
        ("2GiB", "size", 2 * 1024**3),
        ("3m", "size", 3_000_000),
        (str(MAX_AMOUNT), "size", MAX_AMOUNT),
    ],
)
def test_reads(text: str, measure: str, amount: int) -> None:
    assert parse_amount(text, measure=measure) == amount


@pytest.mark.parametrize(
    ("text", "measure"),
    [
        ("", "size"),
        ("-1", "size"),
        ("1e9", "size"),
        ("1MiB", "parameters"),
        ("1GB", "parameters"),
        ("1..2", "size"),
        ("½M", "size"),
        ("٣M", "size"),
        (str(MAX_AMOUNT + 1), "size"),
        ("9999999999T", "parameters"),
        ("1" * 10_000, "size"),
        ("0.1234567891k", "parameters"),
    ],
)
def test_refuses(text: str, measure: str) -> None:
    with pytest.raises(BadAmountError) as caught:
        parse_amount(text, measure=measure)

    assert len(caught.value.message) < 200


@settings(deadline=None)
@given(amount=st.integers(0, MAX_AMOUNT), measure=st.sampled_from(["parameters", "size"]))
def test_what_is_written_reads_back(amount: int, measure: str) -> None:
    assert parse_amount(format_amount(amount, measure=measure), measure=measure) == amount


def test_writes_the_largest_unit_that_fits() -> None:
    assert format_amount(3_000_000, measure="parameters") == "3M"
    assert format_amount(1_500_000, measure="size") == "1500kB"
    assert format_amount(124_439_808, measure="parameters") == "124439808"
    assert format_amount(0, measure="size") == "0"
