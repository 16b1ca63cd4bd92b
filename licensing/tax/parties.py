"""Who sells and who buys, as far as tax asks: places, registrations, tax numbers.

Tax numbers are checked by ``python-stdnum``: shape and check digits, offline. Whether a number is
in use only its tax office knows (for the EU: VIES); ``Buyer.vat_checked`` says that somebody asked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _
from eu_vat_rates_data import get_rate
from stdnum import get_cc_module
from stdnum.exceptions import InvalidChecksum, InvalidLength, ValidationError

from catalog.cards.countries import COUNTRIES
from licensing.tax.countries import AREAS_APART, NEEDS_REGION, REGIONS, TREATED_AS, country_name
from store.core.errors import InvalidError

MAX_TAX_NUMBER_CHARS = 32
"""Longest tax number anybody may write, separators included (the longest in use has 16)."""
TAX_NUMBER_PREFIX = {"GR": "EL", "MC": "FR", "IM": "GB"}
"""Two letters before a tax number, where they are not the country's own code."""
_NUMBER_OF = {"IM": "GB"}
"""Countries whose numbers are issued and shaped by another."""
_PREFIX_IS_PART = frozenset({"CH"})
"""Countries whose numbers begin with the prefix anyway (``CHE``)."""
_WRITTEN_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .\-/+*]*", re.ASCII)
_SEPARATORS = re.compile(r"[ .\-/]")
_STATE_TAX = "US"
"""The country where registrations are made with each region."""


class BadCountryError(InvalidError):
    """No country of ISO 3166-1 that people can choose."""

    code = "bad_country"


class BadRegionError(InvalidError):
    """The country has no such region, or needs one that was not named."""

    code = "bad_region"


class BadTaxNumberError(InvalidError):
    """Not a tax number of this country; the message says what is wrong with it."""

    code = "bad_tax_number"


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
        _check_country(self.country)
        if self.region:
            _check_region(self.country, self.region)
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


def read_place(country: str, region: str = "") -> Place:
    """Return the place somebody wrote or chose.

    Args:
        country: Two letters, in any case.
        region: ``NY`` or ``US-NY``, in any case; may be empty.

    Raises:
        BadCountryError: no such country.
        BadRegionError: no such region, or it is needed and missing.
    """
    country = country.strip().upper()
    return Place(country, region.strip().upper().removeprefix(f"{country}-"))


def read_registrations(text: str) -> frozenset[str]:
    """Return where a seller is registered, as ``AU, GB, US-NY``.

    Raises:
        BadCountryError: a code names no country.
        BadRegionError: a code names no region.
    """
    codes = frozenset(part.strip().upper() for part in text.split(",") if part.strip())
    for code in codes:
        _check_registration(code)
    return codes


def _check_registration(code: str) -> None:
    country, dash, region = code.partition("-")
    _check_country(country)
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
        _check_region(country, region)
    elif dash and code not in AREAS_APART:
        raise BadRegionError(
            _("A registration in %(country)s holds for all of it: write %(code)s.")
            % {"country": country_name(country), "code": country}
        )


def _check_country(code: str) -> None:
    if code not in COUNTRIES:
        raise BadCountryError(
            _("There is no country '%(code)s'. Use two letters of ISO 3166, as DE.")
            % {"code": ascii(code[:8])[1:-1]}
        )


def _check_region(country: str, region: str) -> None:
    if region not in REGIONS.get(country, {}):
        raise BadRegionError(
            _("%(country)s has no region '%(region)s' that the store knows.")
            % {"country": country_name(country), "region": ascii(region[:8])[1:-1]}
        )


def read_vat_number(text: str, country: str) -> str:
    """Return a tax number without separators, in capitals, its prefix in front.

    The prefix may be missing in ``text``. The result read again is the same.

    Args:
        text: What somebody wrote.
        country: Where the number was issued, ISO 3166-1.

    Raises:
        BadCountryError: no such country.
        BadTaxNumberError: other characters than ASCII, a number of another country, a wrong shape
            or length, a check digit that does not fit, or a country whose numbers cannot be
            checked.
    """
    country = country.strip().upper()
    _check_country(country)
    text = text.strip()
    if len(text) > MAX_TAX_NUMBER_CHARS or not _WRITTEN_NUMBER.fullmatch(text):
        raise BadTaxNumberError(
            _("A tax number has at most %(most)d plain letters and digits (A to Z, 0 to 9).")
            % {"most": MAX_TAX_NUMBER_CHARS}
        )
    module = get_cc_module(_NUMBER_OF.get(country, country).lower(), "vat")
    if module is None:
        raise BadTaxNumberError(
            _("The store cannot check tax numbers of %(country)s. Leave it empty.")
            % {"country": country_name(country)}
        )
    prefix = TAX_NUMBER_PREFIX.get(country, country)
    bare = _SEPARATORS.sub("", text).upper()
    problems = []
    for candidate in dict.fromkeys((bare.removeprefix(prefix), bare)):
        try:
            number = module.validate(candidate)
        except ValidationError as exc:
            problems.append(exc)
        else:
            return number if country in _PREFIX_IS_PART else prefix + number
    if not bare.startswith(prefix):
        _refuse_other_country(bare, country)
    raise BadTaxNumberError(_what_is_wrong(problems, country))


def _refuse_other_country(bare: str, country: str) -> None:
    """Say so if a number is one of another country's, by its prefix and check digits."""
    theirs = {prefix: code for code, prefix in TAX_NUMBER_PREFIX.items() if code == "GR"}
    other = theirs.get(bare[:2], bare[:2])
    module = get_cc_module(other.lower(), "vat") if other in COUNTRIES else None
    if other != country and module is not None and module.is_valid(bare):
        raise BadTaxNumberError(
            _("This is a tax number of %(other)s. Choose that country, or give one of %(country)s.")
            % {"other": country_name(other), "country": country_name(country)}
        )


def _what_is_wrong(problems: Sequence[ValidationError], country: str) -> str:
    facts = {"country": country_name(country)}
    if any(isinstance(problem, InvalidChecksum) for problem in problems):
        return (
            _("The check digit does not fit a tax number of %(country)s: a typing error?") % facts
        )
    if isinstance(problems[-1], InvalidLength):
        wrong = _("A tax number of %(country)s has another length.") % facts
    else:
        wrong = _("A tax number of %(country)s has another shape.") % facts
    known = get_rate(country)
    return f"{wrong} {_('It is:')} {known['format']}." if known else wrong
