"""Who sells and who buys, as far as tax and invoices ask."""

import re
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _

from licensing.tax.countries import (
    AREAS_APART,
    NEEDS_REGION,
    TREATED_AS,
    BadCountryError,
    BadRegionError,
    capitals,
    check_country,
    check_region,
    country_name,
)
from licensing.tax.numbers import TAX_NUMBER_PREFIX, BadTaxNumberError, read_vat_number
from licensing.tax.writing import read_line
from store.core.errors import InvalidError

__all__ = [
    "BadAddressError",
    "BadCountryError",
    "BadRegionError",
    "BadTaxNumberError",
    "BillingAddress",
    "Buyer",
    "BuyerKind",
    "Place",
    "Seller",
    "read_place",
    "read_postcode",
    "read_registrations",
    "read_vat_number",
]

MAX_NAME_CHARS = 120
"""Longest name on an invoice, in characters."""
MAX_LINE_CHARS = 80
"""Longest line of an address, in characters."""
MAX_ADDRESS_LINES = 2
MAX_CITY_CHARS = 80
_POSTCODE = re.compile(r"[A-Z0-9](?:[A-Z0-9 -]{0,10}[A-Z0-9])?", re.ASCII)
_KEYS = frozenset({"kind", "name", "lines", "postcode", "city", "region", "country", "vat_number"})
_STATE_TAX = "US"
"""The country where registrations are made with each region."""


class BadAddressError(InvalidError):
    """Not an address the store can print; the message says why."""

    code = "bad_address"


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is established or lives.

    Args:
        country: ISO 3166-1, two capitals.
        region: Second half of the ISO 3166-2 code. Needed in the US and Canada; elsewhere only
            for the areas ``countries.REGIONS`` lists.

    Raises:
        BadCountryError: no such country.
        BadRegionError: no such region, or it is needed and missing.
    """

    country: str
    region: str = ""

    def __post_init__(self) -> None:
        check_country(self.country)
        if self.region:
            check_region(self.country, self.region)
        elif self.country in NEEDS_REGION:
            raise BadRegionError(
                _("Choose the state or province: tax in %(country)s depends on it.")
                % {"country": country_name(self.country)}
            )

    @property
    def code(self) -> str:
        """The whole code: ``DE`` or ``US-NY``."""
        return f"{self.country}-{self.region}" if self.region else self.country


class BuyerKind(StrEnum):
    """As what somebody buys."""

    PERSON = "person"
    BUSINESS = "business"


@dataclass(frozen=True, slots=True)
class Seller:
    """Who sells, and where they collect tax.

    Args:
        place: Where they are established.
        is_registered: They collect tax at all. False for a small business that is exempt.
        vat_number: As ``read_vat_number`` gives it; may be empty.
        oss: Registered for the One Stop Shop: sales to consumers anywhere in the EU are taxed
            where the buyer is. So declare sellers above the EU's threshold too.
        registrations: Where else they are registered, by ISO 3166: ``AU``, ``GB``, and each state
            of the US with nexus, as ``US-NY``.

    Raises:
        BadCountryError: a registration is in no country.
        BadRegionError: a registration is in no region.
    """

    place: Place
    is_registered: bool
    vat_number: str = ""
    oss: bool = False
    registrations: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for code in self.registrations:
            _check_registration(code)


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys.

    Args:
        place: Where they are established or live.
        kind: As what they buy.
        vat_number: As ``read_vat_number`` gives it; may be empty.
        vat_checked: The tax office confirmed the number.
    """

    place: Place
    kind: BuyerKind
    vat_number: str = ""
    vat_checked: bool = False

    def is_taxable_in(self, country: str) -> bool:
        """Whether they are a business with a confirmed tax number of ``country``."""
        return (
            self.kind is BuyerKind.BUSINESS
            and self.vat_checked
            and self.vat_number.startswith(TAX_NUMBER_PREFIX.get(country, country))
        )


@dataclass(frozen=True, slots=True)
class BillingAddress:
    """Who an invoice is made out to. Orders keep it as it was, by ``to_json``.

    Args:
        kind: As what they buy.
        name: A person's full name, or the business as it is registered.
        lines: Street and whatever goes before the town, one to ``MAX_ADDRESS_LINES``.
        postcode: May be empty.
        city: Town.
        place: Country and region.
        vat_number: As ``read_vat_number`` gives it; may be empty.

    Raises:
        BadTextError: a line is empty, too long or full of tricks.
        BadTaxNumberError: a person with a tax number, or one in another shape.
        BadAddressError: no line or too many, or a value in another shape than this class keeps.
    """

    kind: BuyerKind
    name: str
    lines: tuple[str, ...]
    postcode: str
    city: str
    place: Place
    vat_number: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.lines) <= MAX_ADDRESS_LINES:
            raise BadAddressError(
                _("An address has one to %(most)d lines.") % {"most": MAX_ADDRESS_LINES}
            )
        texts = [(line, MAX_LINE_CHARS) for line in self.lines]
        for text, most in [(self.name, MAX_NAME_CHARS), (self.city, MAX_CITY_CHARS), *texts]:
            if read_line(text, max_chars=most) != text:
                raise BadAddressError(_("Write the address with single spaces."))
        if self.postcode and read_postcode(self.postcode) != self.postcode:
            raise BadAddressError(_("Write the postcode in capitals."))
        if self.vat_number:
            if self.kind is BuyerKind.PERSON:
                raise BadTaxNumberError(_("Only a business has a tax number. Leave it empty."))
            if read_vat_number(self.vat_number, self.place.country) != self.vat_number:
                raise BadTaxNumberError(_("Write the tax number without spaces and in capitals."))

    def buyer(self, *, vat_checked: bool) -> Buyer:
        """Return what tax asks of it; ``vat_checked``: the tax office confirmed the number."""
        return Buyer(self.place, self.kind, self.vat_number, vat_checked)

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values, for the order."""
        return {
            "kind": self.kind.value,
            "name": self.name,
            "lines": list(self.lines),
            "postcode": self.postcode,
            "city": self.city,
            "region": self.place.region,
            "country": self.place.country,
            "vat_number": self.vat_number,
        }

    @classmethod
    def from_json(cls, data: object) -> "BillingAddress":
        """Return what ``to_json`` wrote.

        Raises:
            BadAddressError: it is of another shape.
            StoreError: a value in it is wrong; see the class.
        """
        if not isinstance(data, dict) or set(data) != _KEYS:
            raise BadAddressError(_("This is no billing address."))
        lines = data["lines"]
        texts = {key: data[key] for key in _KEYS - {"lines"}}
        if not isinstance(lines, list) or not all(
            isinstance(text, str) for text in [*lines, *texts.values()]
        ):
            raise BadAddressError(_("This is no billing address."))
        if texts["kind"] not in set(BuyerKind):
            raise BadAddressError(_("A buyer is a person or a business."))
        return cls(
            kind=BuyerKind(texts["kind"]),
            name=texts["name"],
            lines=tuple(lines),
            postcode=texts["postcode"],
            city=texts["city"],
            place=Place(texts["country"], texts["region"]),
            vat_number=texts["vat_number"],
        )


def read_place(country: str, region: str = "") -> Place:
    """Return the place somebody wrote or chose.

    Args:
        country: Two letters, in any case.
        region: ``NY`` or ``US-NY``, in any case; may be empty.

    Raises:
        BadCountryError: no such country.
        BadRegionError: no such region, or it is needed and missing.
    """
    country = capitals(country)
    return Place(country, capitals(region).removeprefix(f"{country}-"))


def read_postcode(text: str) -> str:
    """Return a postcode in capitals, with single spaces.

    Raises:
        BadAddressError: it has other characters than ASCII letters, digits, spaces and hyphens,
            or more than twelve.
    """
    code = capitals(" ".join(text.split()))
    if not _POSTCODE.fullmatch(code):
        raise BadAddressError(
            _("A postcode has up to 12 plain letters and digits, spaces and hyphens.")
        )
    return code


def read_registrations(text: str) -> frozenset[str]:
    """Return where a seller is registered, as ``AU, GB, US-NY``.

    Raises:
        BadCountryError: a code names no country.
        BadRegionError: a code names no region.
    """
    codes = frozenset(capitals(part) for part in text.split(",") if part.strip())
    for code in codes:
        _check_registration(code)
    return codes


def _check_registration(code: str) -> None:
    country, dash, region = code.partition("-")
    check_country(country)
    if country in TREATED_AS:
        raise BadRegionError(
            _("For tax, %(country)s belongs to %(other)s: write %(code)s.")
            % {
                "country": country_name(country),
                "other": country_name(TREATED_AS[country]),
                "code": TREATED_AS[country],
            }
        )
    if country == _STATE_TAX:
        if not dash:
            raise BadRegionError(_("In the United States name each state, as US-NY."))
        check_region(country, region)
    elif dash and code not in AREAS_APART:
        raise BadRegionError(
            _("A registration in %(country)s holds for all of it: write %(code)s.")
            % {"country": country_name(country), "code": country}
        )
