import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.core.money import (
    MAX_MINOR,
    BadAmountError,
    BadCurrencyError,
    CurrencyMismatchError,
    Money,
    check_amount,
    check_currency,
    currencies,
    read_amount,
    share_of,
    show,
    spread,
)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("19", "eur", 1900),
        ("19,5", "EUR", 1950),
        ("0.01", "USD", 1),
        ("500", "JPY", 500),
        ("1.234", "KWD", 1234),
        (" 7.00 ", "CHF", 700),
    ],
)
def test_reads_what_people_write(text, currency, minor) -> None:
    assert read_amount(text, currency) == Money(minor, currency.upper())


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("-1", "EUR"),
        ("1e9", "EUR"),
        ("nan", "EUR"),
        ("1.234", "EUR"),
        ("0.5", "JPY"),
        ("", "EUR"),
        ("1.000,00", "EUR"),
        ("٣", "EUR"),
        ("9" * 13, "EUR"),
        ("9" * 40, "EUR"),
    ],
)
def test_refuses_what_is_no_amount(text, currency) -> None:
    with pytest.raises(BadAmountError):
        read_amount(text, currency)


@pytest.mark.parametrize("code", ["", "EURO", "XAU", "XXX", "\u0415UR", "12$", "B1T"])
def test_refuses_what_is_no_currency(code) -> None:
    with pytest.raises(BadCurrencyError):
        check_currency(code)


def test_amounts_of_two_currencies_do_not_join() -> None:
    with pytest.raises(CurrencyMismatchError):
        Money(1, "EUR") + Money(1, "USD")
    assert Money(5, "EUR") + Money(2, "EUR") - Money(1, "EUR") == Money(6, "EUR")


def test_prices_have_bounds() -> None:
    assert check_amount(Money(MAX_MINOR, "EUR")).amount_minor == MAX_MINOR
    for amount in (-1, MAX_MINOR + 1):
        with pytest.raises(BadAmountError):
            check_amount(Money(amount, "EUR"))


def test_shows_each_currency_with_its_own_decimals() -> None:
    assert show(Money(190000, "EUR"), "en") == "€1,900.00"
    assert show(Money(1900, "JPY"), "en") == "¥1,900"
    assert show(Money(-1900, "USD"), "en") == "-$19.00"
    assert "19.00" in show(Money(1900, "CNY"), "zh-hans")
    assert show(Money(1, "KWD"), "xx-nowhere").endswith("0.001")


@given(st.sampled_from(sorted(currencies())), st.integers(0, MAX_MINOR))
def test_what_is_written_is_read_back(currency, minor) -> None:
    money = Money(minor, currency)
    assert read_amount(f"{money.decimal:f}", currency) == money


@given(st.integers(0, MAX_MINOR), st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
def test_parts_add_up_and_are_fair(amount, weights) -> None:
    parts = spread(amount, weights)
    assert sum(parts) == amount
    total = sum(weights)
    if total:
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part * total - amount * weight) < total


@given(st.integers(-MAX_MINOR, MAX_MINOR), st.integers(0, 10_000))
def test_a_share_is_within_half_a_unit(amount, points) -> None:
    assert abs(share_of(amount, points) * 10_000 - amount * points) * 2 <= 10_000
    assert share_of(-amount, points) == -share_of(amount, points)


def test_spreading_needs_weights() -> None:
    for amount, weights in ((1, []), (-1, [1]), (1, [-1, 2])):
        with pytest.raises(ValueError, match="weight"):
            spread(amount, weights)
