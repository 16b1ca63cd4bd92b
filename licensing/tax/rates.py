"""Rates of tax on downloads and online services, with the source of each.

Three layers:

1. the operator's table, the CSV file that ``STORE_TAX_TABLE`` names;
2. the store's own table, ``rates.csv`` beside this module: countries and US states no maintained
   package covers, compiled by hand, each row with a source and the day it was known to hold;
3. the package ``eu-vat-rates-data``: standard rates of the EU (from the Commission's database) and
   of sixteen more countries, as shipped with the installed version. It knows today's rates only,
   so it answers for every day; nothing here uses the network.

A row of the region goes before any of the whole country, then an earlier layer before a later one,
then the latest ``valid_from`` that is not after the day. Only general rates are here, no reduced
ones.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import eu_vat_rates_data
from django.conf import settings
from django.utils.translation import gettext as _

from catalog.cards.countries import COUNTRIES
from licensing.tax.countries import REGIONS, country_name, region_name
from licensing.tax.parties import Place
from store.core.errors import InvalidError, UnprocessableError
from store.core.money import BASIS_POINTS

MAX_TABLE_BYTES = 1024**2
"""Largest table the store reads, in bytes; a row has about 80."""
MAX_SOURCE_CHARS = 200
"""Longest source of a row, in characters."""
ALWAYS = date.min
"""First day of a rate whose history is not known."""
OWN_TABLE = Path(__file__).with_name("rates.csv")
COLUMNS = ("country", "region", "kind", "rate_basis_points", "valid_from", "as_of", "source")
"""First line of a table. ``as_of``: the day the row was known to hold; may be empty."""
_DIGITS = re.compile(r"\d{1,5}", re.ASCII)


class TaxKind(StrEnum):
    """What a tax is."""

    VAT = "vat"
    GST = "gst"
    SALES_TAX = "sales_tax"
    NONE = "none"
    """There is no such tax in this place."""


class BadTaxTableError(InvalidError):
    """A table of rates cannot be read; the message says which line and why."""

    code = "bad_tax_table"


class RateMissingError(UnprocessableError):
    """No table has a rate for this place and day."""

    code = "tax_rate_missing"


@dataclass(frozen=True, slots=True)
class Rate:
    """The general rate of one place from one day on.

    Args:
        country: ISO 3166-1.
        region: Second half of the ISO 3166-2 code; empty: the whole country.
        kind: What tax it is.
        basis_points: Hundredths of a percent, 0 to 10,000.
        valid_from: First day it holds; ``ALWAYS`` if that is not known.
        as_of: Last day somebody knew it to hold, or ``None``.
        source: Where it is from.
    """

    country: str
    region: str
    kind: TaxKind
    basis_points: int
    valid_from: date
    as_of: date | None
    source: str


class RateTable:
    """Rates in layers.

    Args:
        layers: Rows of each layer, the strongest first.
    """

    def __init__(self, *layers: Iterable[Rate]) -> None:
        self._layers = [_by_place(rows) for rows in layers]

    def find(self, place: Place, on: date) -> Rate | None:
        """Return the rate of ``place`` on a day, or ``None`` if no row is in force."""
        return next(
            (
                rate
                for region in dict.fromkeys((place.region, ""))
                for layer in self._layers
                for rate in layer.get((place.country, region), ())
                if rate.valid_from <= on
            ),
            None,
        )

    def get(self, place: Place, on: date) -> Rate:
        """Return the rate of ``place`` on a day.

        Raises:
            RateMissingError: no row is in force. A sale is refused rather than untaxed.
        """
        found = self.find(place, on)
        if found is None:
            raise RateMissingError(
                _(
                    "The store knows no tax rate of %(place)s for %(day)s. Whoever runs it can"
                    " add one (STORE_TAX_TABLE)."
                )
                % {"place": _place_name(place), "day": on.isoformat()},
                place=place.code,
            )
        return found


def _by_place(rows: Iterable[Rate]) -> dict[tuple[str, str], list[Rate]]:
    found: dict[tuple[str, str], list[Rate]] = {}
    for rate in sorted(rows, key=lambda rate: rate.valid_from, reverse=True):
        found.setdefault((rate.country, rate.region), []).append(rate)
    return found


def _place_name(place: Place) -> str:
    name = country_name(place.country)
    return f"{region_name(place.country, place.region)}, {name}" if place.region else name


def package_rates() -> list[Rate]:
    """Return the standard rates of the installed ``eu-vat-rates-data``.

    Codes that are no country of ISO 3166-1 (``XI``, ``XK``) are left out.
    """
    version = eu_vat_rates_data.data_version
    return [
        Rate(
            country=code,
            region="",
            kind=TaxKind.VAT,
            basis_points=int(Decimal(str(row["standard"])) * 100),
            valid_from=ALWAYS,
            as_of=date.fromisoformat(version),
            source=f"eu-vat-rates-data {version}",
        )
        for code, row in eu_vat_rates_data.get_all_rates().items()
        if code in COUNTRIES
    ]


def rates_from_settings() -> RateTable:
    """Return the rates of this store: the operator's rows before ours and the package's.

    Raises:
        BadTaxTableError: ``STORE_TAX_TABLE`` names no readable table.
    """
    return _layered(settings.TAX_TABLE)


@lru_cache(maxsize=1)
def _layered(operator_table: str) -> RateTable:
    rows = read_table(Path(operator_table)) if operator_table else []
    return RateTable(rows, read_table(OWN_TABLE), package_rates())


def read_table(path: Path) -> list[Rate]:
    """Return the rows of a CSV file in UTF-8 whose first line is ``COLUMNS``.

    Raises:
        BadTaxTableError: the file is missing, too large or no such table, or a row is wrong.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_TABLE_BYTES + 1)
    except OSError as exc:
        raise BadTaxTableError(
            f"The tax table {path} cannot be read: {exc.strerror}. Check STORE_TAX_TABLE."
        ) from exc
    if len(raw) > MAX_TABLE_BYTES:
        raise BadTaxTableError(f"The tax table {path} has more than {MAX_TABLE_BYTES} bytes.")
    try:
        text = raw.decode("utf-8-sig")  # spreadsheets put a mark in front
    except UnicodeDecodeError as exc:
        raise BadTaxTableError(f"The tax table {path} is not in UTF-8. Save it so.") from exc
    return parse_table(text, name=str(path))


def parse_table(text: str, *, name: str) -> list[Rate]:
    """Return the rows of a table.

    Args:
        text: CSV; its first line is ``COLUMNS``. Empty lines are skipped.
        name: What errors call it.

    Raises:
        BadTaxTableError: with the number of the line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return _read_rows(reader)
    except (_BadRowError, csv.Error) as exc:
        line = max(reader.line_num, 1)
        raise BadTaxTableError(f"Line {line} of the tax table {name}: {exc}.", line=line) from exc


class _BadRowError(ValueError):
    """What is wrong with a row, as the end of a sentence."""


def _read_rows(rows: Iterator[list[str]]) -> list[Rate]:
    if tuple(next(rows, [])) != COLUMNS:
        raise _BadRowError(f"the first line has to be {','.join(COLUMNS)}")
    rates: dict[tuple[str, str, date], Rate] = {}
    for row in rows:
        if not row:
            continue
        rate = _read_row(row)
        if rates.setdefault((rate.country, rate.region, rate.valid_from), rate) is not rate:
            raise _BadRowError("the same place and day stand in an earlier line")
    return list(rates.values())


def _read_row(row: Sequence[str]) -> Rate:
    if len(row) != len(COLUMNS):
        raise _BadRowError(f"it has {len(row)} columns, not {len(COLUMNS)}")
    country, region, kind, points, valid_from, as_of, source = row
    if country not in COUNTRIES:
        raise _BadRowError("country has to be two capitals of ISO 3166-1")
    if region and region not in REGIONS.get(country, {}):
        raise _BadRowError(f"the store knows no such region of {country}")
    if kind not in set(TaxKind):
        raise _BadRowError(f"kind has to be one of {', '.join(TaxKind)}")
    if not _DIGITS.fullmatch(points) or int(points) > BASIS_POINTS:
        raise _BadRowError(f"rate_basis_points has to be a whole number up to {BASIS_POINTS}")
    if kind == TaxKind.NONE and int(points):
        raise _BadRowError("where there is no tax (kind none) its rate is 0")
    if not source.strip() or not source.isprintable() or len(source) > MAX_SOURCE_CHARS:
        raise _BadRowError(f"source has to be 1 to {MAX_SOURCE_CHARS} printable characters")
    return Rate(
        country=country,
        region=region,
        kind=TaxKind(kind),
        basis_points=int(points),
        valid_from=_read_day(valid_from, "valid_from"),
        as_of=_read_day(as_of, "as_of") if as_of else None,
        source=source.strip(),
    )


def _read_day(text: str, column: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as exc:
        raise _BadRowError(f"{column} has to be a day, as 2025-01-31") from exc
    if day.isoformat() != text:
        raise _BadRowError(f"{column} has to be a day, as 2025-01-31")
    return day
