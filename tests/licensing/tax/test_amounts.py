import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.tax.amounts import Line, RateSum, Taxed, tax_lines, tax_on
from store.core.money import MAX_MINOR

AMOUNTS = st.integers(-MAX_MINOR, MAX_MINOR)
RATES = st.integers(0, 10_000)
LINES = st.lists(
    st.builds(Line, st.integers(0, MAX_MINOR), st.sampled_from([0, 530, 810, 1900, 2100, 2550])),
    max_size=12,
)


@pytest.mark.parametrize(
    ("amount", "rate", "included", "expected"),
    [
        (10000, 1900, False, Taxed(10000, 1900, 11900)),
        (11900, 1900, True, Taxed(10000, 1900, 11900)),
        (1999, 2550, False, Taxed(1999, 510, 2509)),  # 509.745
        (999, 2550, True, Taxed(796, 203, 999)),  # 202.987...
        (500, 1000, False, Taxed(500, 50, 550)),  # yen
        (5, 1000, False, Taxed(5, 1, 6)),  # 0.5 goes away from zero
        (-5, 1000, False, Taxed(-5, -1, -6)),
        (-11900, 1900, True, Taxed(-10000, -1900, -11900)),
        (3, 10000, True, Taxed(1, 2, 3)),  # 1.5 goes away from zero
        (1234, 0, False, Taxed(1234, 0, 1234)),
        (1234, 0, True, Taxed(1234, 0, 1234)),
        (0, 1900, True, Taxed(0, 0, 0)),
    ],
)
def test_reckons_tax_in_whole_units(amount, rate, included, expected) -> None:
    assert tax_on(amount, rate, included=included) == expected


def test_a_rate_is_not_negative() -> None:
    for included in (True, False):
        with pytest.raises(ValueError, match="negative"):
            tax_on(100, -1, included=included)


@given(AMOUNTS, RATES, st.booleans())
def test_net_and_tax_make_gross_and_signs_mirror(amount, rate, included) -> None:
    taxed = tax_on(amount, rate, included=included)
    back = tax_on(-amount, rate, included=included)

    assert taxed.net_minor + taxed.tax_minor == taxed.gross_minor
    assert (taxed.gross_minor if included else taxed.net_minor) == amount
    assert back == Taxed(-taxed.net_minor, -taxed.tax_minor, -taxed.gross_minor)


@given(st.integers(2, MAX_MINOR), st.data(), RATES, st.booleans())
def test_a_period_without_its_discount_is_dearer_and_adds_up(price, data, rate, included) -> None:
    """So what Stripe takes off the full price for the discounted periods is always something."""
    off = data.draw(st.integers(1, price - 1))

    cheap, full = (tax_on(each, rate, included=included) for each in (price - off, price))

    for taxed in (cheap, full):
        assert taxed.net_minor + taxed.tax_minor == taxed.gross_minor
    assert 0 < cheap.gross_minor < full.gross_minor


@given(AMOUNTS, RATES)
def test_tax_is_within_half_a_unit(amount, rate) -> None:
    on_top = tax_on(amount, rate, included=False).tax_minor
    inside = tax_on(amount, rate, included=True).tax_minor

    assert 2 * abs(on_top * 10_000 - amount * rate) <= 10_000
    assert 2 * abs(inside * (10_000 + rate) - amount * rate) <= 10_000 + rate


@given(AMOUNTS, RATES)
def test_taking_tax_out_undoes_putting_it_on(amount, rate) -> None:
    gross = tax_on(amount, rate, included=False).gross_minor
    assert abs(tax_on(gross, rate, included=True).net_minor - amount) <= 1

    net = tax_on(amount, rate, included=True).net_minor
    assert abs(tax_on(net, rate, included=False).gross_minor - amount) <= 1


def test_a_document_rounds_once_for_each_rate() -> None:
    three = [Line(33, 1900)] * 3  # alone each has 6.27

    document = tax_lines([*three, Line(1000, 0)], included=False)

    assert document.lines == (
        Taxed(33, 7, 40),
        Taxed(33, 6, 39),
        Taxed(33, 6, 39),
        Taxed(1000, 0, 1000),
    )
    assert document.rates == (
        RateSum(1900, Taxed(99, 19, 118)),
        RateSum(0, Taxed(1000, 0, 1000)),
    )
    assert document.total == Taxed(1099, 19, 1118)


def test_a_document_may_be_empty_or_give_back() -> None:
    assert tax_lines([], included=True).total == Taxed(0, 0, 0)
    back = tax_lines([Line(-3, 1000), Line(-2, 1000), Line(0, 1000)], included=False)
    assert back.total == Taxed(-5, -1, -6)
    assert [line.tax_minor for line in back.lines] == [-1, 0, 0]


def test_a_discount_is_no_line_of_its_own() -> None:
    with pytest.raises(ValueError, match="discounts"):
        tax_lines([Line(100, 1900), Line(-10, 1900)], included=False)
    mixed = tax_lines([Line(100, 1900), Line(-10, 700)], included=False)
    assert mixed.total == Taxed(90, 18, 108)


@given(LINES, st.booleans(), st.sampled_from([1, -1]))
def test_lines_add_up_to_rates_and_rates_to_the_total(lines, included, sign) -> None:
    lines = [Line(sign * line.amount_minor, line.rate_basis_points) for line in lines]

    document = tax_lines(lines, included=included)

    assert len(document.lines) == len(lines)
    for name in ("net_minor", "tax_minor", "gross_minor"):
        total = getattr(document.total, name)
        assert sum(getattr(line, name) for line in document.lines) == total
        assert sum(getattr(item.taxed, name) for item in document.rates) == total
    for line, taxed in zip(lines, document.lines, strict=True):
        assert taxed.net_minor + taxed.tax_minor == taxed.gross_minor
        assert (taxed.gross_minor if included else taxed.net_minor) == line.amount_minor
        alone = tax_on(line.amount_minor, line.rate_basis_points, included=included)
        assert abs(taxed.tax_minor - alone.tax_minor) <= 2
    for item in document.rates:
        chosen = [one for one in lines if one.rate_basis_points == item.rate_basis_points]
        summed = sum(one.amount_minor for one in chosen)
        assert item.taxed == tax_on(summed, item.rate_basis_points, included=included)
