from datetime import date
from itertools import pairwise
from pathlib import Path

import eu_vat_rates_data
import pytest
from django.apps import apps
from hypothesis import given
from hypothesis import strategies as st

from licensing.tax.countries import REGIONS
from licensing.tax.parties import Place
from licensing.tax.rates import (
    ALWAYS,
    COLUMNS,
    MAX_TABLE_BYTES,
    OWN_TABLE,
    BadTaxTableError,
    Rate,
    RateMissingError,
    RateTable,
    TaxKind,
    package_rates,
    parse_table,
    rates_from_settings,
    read_table,
)

DAY = date(2025, 7, 1)
HEAD = ",".join(COLUMNS)


def table(*rows: str) -> str:
    """A table with these lines under its head."""
    return "\n".join([HEAD, *rows, ""])


def points(rates: RateTable, place: Place, on: date = DAY) -> int:
    """The rate of a place on a day."""
    return rates.get(place, on).basis_points


def test_the_package_gives_the_standard_rate_of_each_member_state() -> None:
    rates = {rate.country: rate for rate in package_rates()}
    members = {code for code, row in eu_vat_rates_data.get_all_rates().items() if row["eu_member"]}

    assert len(members) == 27
    assert members <= set(rates)
    assert "XI" not in rates
    assert "XK" not in rates
    for rate in rates.values():
        assert rate.kind is TaxKind.VAT
        assert rate.valid_from == ALWAYS
        assert rate.source == f"eu-vat-rates-data {eu_vat_rates_data.data_version}"
        assert rate.basis_points == round(
            eu_vat_rates_data.get_all_rates()[rate.country]["standard"] * 100
        )
    assert (rates["DE"].basis_points, rates["FI"].basis_points) == (1900, 2550)
    assert (rates["CH"].basis_points, rates["GB"].basis_points) == (810, 2000)


def test_our_own_table_covers_what_the_package_does_not() -> None:
    own = read_table(OWN_TABLE)
    packaged = {rate.country for rate in package_rates()}

    assert len(own) > 70
    for rate in own:
        assert rate.region or rate.country not in packaged
        assert rate.source
        assert rate.as_of == date(2025, 7, 1)
        assert rate.valid_from <= rate.as_of
    assert {rate.basis_points for rate in own if rate.kind is TaxKind.NONE} == {0}


def test_states_whose_rate_is_no_whole_number_of_basis_points_are_left_out() -> None:
    rates = rates_from_settings()

    missing = {state for state in REGIONS["US"] if not rates.find(Place("US", state), DAY)}

    assert missing == {"MN", "MO", "NJ", "NM", "DC"}  # 6.875, 4.225, 6.625, 4.875 %; DC: changing
    assert points(rates, Place("US", "NY")) == 400


def test_a_region_goes_before_its_country_and_a_day_has_its_rate() -> None:
    rates = rates_from_settings()

    assert points(rates, Place("PT")) == 2300
    assert points(rates, Place("PT", "20")) == 1600
    assert points(rates, Place("CA", "AB")) == 500
    assert points(rates, Place("CA", "NS"), date(2025, 3, 31)) == 1500
    assert points(rates, Place("CA", "NS"), date(2025, 4, 1)) == 1400
    assert points(rates, Place("SG"), date(2023, 12, 31)) == 800
    assert points(rates, Place("SG"), date(2024, 1, 1)) == 900


def test_a_missing_rate_is_an_error_that_names_the_place() -> None:
    rates = rates_from_settings()

    for place, named in ((Place("NG"), "Nigeria"), (Place("US", "DC"), "District of Columbia, U")):
        assert rates.find(place, DAY) is None
        with pytest.raises(RateMissingError, match=named) as caught:
            rates.get(place, DAY)
        assert caught.value.extra == {"place": place.code}
        assert caught.value.code == "tax_rate_missing"
    with pytest.raises(RateMissingError):
        rates.get(Place("SG"), date(2022, 12, 31))


def test_the_operator_overrides_and_adds_rows_from_a_day_on(tmp_path, settings) -> None:
    file = tmp_path / "rates.csv"
    file.write_bytes(
        b"\xef\xbb\xbf"
        + table(
            "DE,,vat,1800,2027-01-01,,Our adviser",
            "",
            'NG,,vat,750,2020-02-01,2026-01-01,"Finance Act, 2019"',
            "CA,,gst,600,2024-01-01,,Test",
        ).encode()
    )
    settings.TAX_TABLE = str(file)

    rates = rates_from_settings()

    assert points(rates, Place("DE"), date(2026, 12, 31)) == 1900
    assert points(rates, Place("DE"), date(2027, 1, 1)) == 1800
    assert rates.get(Place("NG"), DAY) == Rate(
        "NG", "", TaxKind.VAT, 750, date(2020, 2, 1), date(2026, 1, 1), "Finance Act, 2019"
    )
    assert points(rates, Place("CA", "AB")) == 600
    assert points(rates, Place("CA", "ON")) == 1300
    settings.TAX_TABLE = ""
    assert rates_from_settings().find(Place("NG"), DAY) is None


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "first line"),
        ("country,rate\nDE,1900\n", 1, "first line"),
        (table("DE,,vat,1900,2025-01-01,"), 2, "6 columns"),
        (table("DE,,vat,1900,2025-01-01,,a,b"), 2, "8 columns"),
        (table("de,,vat,1900,2025-01-01,,x"), 2, "ISO 3166-1"),
        (table("XI,,vat,1900,2025-01-01,,x"), 2, "ISO 3166-1"),
        (table("DE,BY,vat,1900,2025-01-01,,x"), 2, "region of DE"),
        (table("DE,,VAT,1900,2025-01-01,,x"), 2, "kind"),
        (table("DE,,vat,19.5,2025-01-01,,x"), 2, "whole number"),
        (table("DE,,vat,-1,2025-01-01,,x"), 2, "whole number"),
        (table("DE,,vat,10001,2025-01-01,,x"), 2, "whole number"),
        (table("DE,,vat,1_9,2025-01-01,,x"), 2, "whole number"),
        (table("DE,,vat,\u0661\u0669,2025-01-01,,x"), 2, "whole number"),
        (table("DE,,vat,,2025-01-01,,x"), 2, "whole number"),
        (table("DE,,none,1900,2025-01-01,,x"), 2, "rate is 0"),
        (table("DE,,vat,1900,01.01.2025,,x"), 2, "valid_from"),
        (table("DE,,vat,1900,20250101,,x"), 2, "valid_from"),
        (table("DE,,vat,1900,2025-02-30,,x"), 2, "valid_from"),
        (table("DE,,vat,1900,2025-01-01,soon,x"), 2, "as_of"),
        (table("DE,,vat,1900,2025-01-01,, "), 2, "source"),
        (table("DE,,vat,1900,2025-01-01,,a\u202eb"), 2, "source"),
        (table("DE,,vat,1900,2025-01-01,," + "x" * 201), 2, "source"),
        (table('DE,,vat,1900,2025-01-01,,"x'), 2, "end of data"),
        (table("FR,,vat,1,2025-01-01,,x", "FR,,vat,2,2025-01-01,,x"), 3, "earlier line"),
        (table('FR,,vat,1,2025-01-01,,"x" y'), 2, "expected after"),
    ],
)
def test_refuses_a_bad_table_and_names_the_line(text, line, says) -> None:
    with pytest.raises(BadTaxTableError, match=says) as caught:
        parse_table(text, name="rates.csv")
    assert caught.value.extra == {"line": line}
    assert "rates.csv" in caught.value.message


@given(st.text(max_size=200) | st.text(",0123456789DEvat-\n\"'", max_size=80).map(table))
def test_any_text_is_a_table_or_a_named_refusal(text) -> None:
    try:
        rates = parse_table(text, name="x")
    except BadTaxTableError:
        return
    assert all(0 <= rate.basis_points <= 10_000 for rate in rates)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b"x" * (MAX_TABLE_BYTES + 1), "more than"),
        (None, "No such file"),
    ],
)
def test_refuses_files_that_are_no_table(tmp_path, content, says) -> None:
    file: Path = tmp_path / "rates.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadTaxTableError, match=says):
        read_table(file)


def test_a_bad_table_stops_the_start(tmp_path, settings) -> None:
    settings.TAX_TABLE = str(tmp_path / "absent.csv")

    with pytest.raises(BadTaxTableError, match="STORE_TAX_TABLE"):
        apps.get_app_config("licensing").ready()

    settings.TAX_TABLE = ""
    apps.get_app_config("licensing").ready()


@given(st.lists(st.dates(date(2000, 1, 1), date(2040, 1, 1)), min_size=1, unique=True), st.data())
def test_the_latest_row_in_force_answers(days, data) -> None:
    rows = [Rate("DE", "", TaxKind.VAT, number, day, None, "x") for number, day in enumerate(days)]
    rates = RateTable(data.draw(st.permutations(rows)))
    days = sorted(days)

    for first, after in pairwise([*days, date(2041, 1, 1)]):
        for on in (first, first + (after - first) / 2):
            assert rates.get(Place("DE"), on).valid_from == first
    assert rates.find(Place("DE"), date(1999, 12, 31)) is None


def test_the_example_in_the_documentation_is_a_table() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/tax.md").read_text()
    example = page.split("```csv\n")[1].split("```")[0]

    assert [rate.country for rate in parse_table(example, name="docs/tax.md")] == ["DE", "NG"]
