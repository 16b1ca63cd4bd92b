"""Countries and the regions that matter for tax, with names for people.

A place is a country of ISO 3166-1 and, where tax needs it, a region: the second half of its
ISO 3166-2 code. Regions stand here for two reasons: the tax is the region's (states of the US,
provinces of Canada), or the region has rules of its own (islands of Spain and Portugal, Mount
Athos). The two halves of ``US-NY`` are ``US`` and ``NY``.

Special areas with a country code of their own (Åland ``AX``, Réunion ``RE``, Monaco ``MC``, the
Isle of Man ``IM``) need no region. ``XI``, which stands before tax numbers of Northern Ireland, is
no country: people there choose the United Kingdom, whose rules hold for services. Areas without
any ISO code (Livigno, Campione d'Italia, Heligoland, Büsingen) cannot be told from the country
around them.
"""

import unicodedata
from collections.abc import Iterable

from babel import Locale
from babel.core import UnknownLocaleError
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _n

from catalog.cards.countries import COUNTRIES
from store.core.errors import InvalidError

_US = """\
AL Alabama|AK Alaska|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware
DC District of Columbia|FL Florida|GA Georgia|HI Hawaii|ID Idaho|IL Illinois|IN Indiana|IA Iowa
KS Kansas|KY Kentucky|LA Louisiana|ME Maine|MD Maryland|MA Massachusetts|MI Michigan|MN Minnesota
MS Mississippi|MO Missouri|MT Montana|NE Nebraska|NV Nevada|NH New Hampshire|NJ New Jersey
NM New Mexico|NY New York|NC North Carolina|ND North Dakota|OH Ohio|OK Oklahoma|OR Oregon
PA Pennsylvania|RI Rhode Island|SC South Carolina|SD South Dakota|TN Tennessee|TX Texas|UT Utah
VT Vermont|VA Virginia|WA Washington|WV West Virginia|WI Wisconsin|WY Wyoming"""
_CA = """\
AB Alberta|BC British Columbia|MB Manitoba|NB New Brunswick|NL Newfoundland and Labrador
NS Nova Scotia|NT Northwest Territories|NU Nunavut|ON Ontario|PE Prince Edward Island|QC Quebec
SK Saskatchewan|YT Yukon"""


def _parsed(rows: str) -> dict[str, str]:
    items = (item for row in rows.splitlines() for item in row.split("|"))
    return {code: name for code, _space, name in (item.partition(" ") for item in items)}


REGIONS: dict[str, dict[str, str]] = {
    "US": _parsed(_US),
    "CA": _parsed(_CA),
    "ES": {"CN": _n("Canary Islands"), "CE": _n("Ceuta"), "ML": _n("Melilla")},
    "GR": {"69": _n("Mount Athos")},
    "PT": {"20": _n("Azores"), "30": _n("Madeira")},
}
"""Regions that make a difference, by country: name by the second half of the ISO 3166-2 code."""

NEEDS_REGION = frozenset({"US", "CA"})
"""Countries whose tax cannot be told without the state or province."""

TREATED_AS = {"MC": "FR", "IM": "GB", "LI": "CH"}
"""Countries that share the tax of another by treaty: sales there are sales in the other."""

AREAS_APART = frozenset({"ES-CN", "ES-CE", "ES-ML", "GR-69"})
"""Regions with a tax of their own: sales there are none in the country around them."""


class BadCountryError(InvalidError):
    """No country of ISO 3166-1 that people can choose."""

    code = "bad_country"


class BadRegionError(InvalidError):
    """The country has no such region, or needs one that was not named."""

    code = "bad_region"


def capitals(code: str) -> str:
    """Return an ASCII code in capitals and trimmed, anything else as it is.

    Capitals of other letters can be ASCII: those of one ligature are ``FI``, Finland.
    """
    return code.strip().upper() if code.isascii() else code


def check_country(code: str) -> None:
    """Pass a country of ISO 3166-1, in capitals.

    Raises:
        BadCountryError: it is none.
    """
    if code not in COUNTRIES:
        raise BadCountryError(
            _("There is no country '%(code)s'. Use two letters of ISO 3166, as DE.")
            % {"code": ascii(code[:8])[1:-1]}
        )


def check_region(country: str, region: str) -> None:
    """Pass a region of ``REGIONS``.

    Raises:
        BadRegionError: it is none of this country.
    """
    if region not in REGIONS.get(country, {}):
        raise BadRegionError(
            _("%(country)s has no region '%(region)s' that the store knows.")
            % {"country": country_name(country), "region": ascii(region[:8])[1:-1]}
        )


def _locale() -> Locale:
    """Return Babel's data for the language of the page, or English."""
    language = (get_language() or "en").replace("-", "_")
    try:
        return Locale.parse(language)
    except (UnknownLocaleError, ValueError):
        return Locale("en")


def country_name(code: str) -> str:
    """Return how people call a country, in the language of the page.

    Args:
        code: Two letters of ISO 3166-1; what is none comes back as it is.
    """
    return str(_locale().territories.get(code) or COUNTRIES.get(code, code))


def countries_for_forms() -> list[tuple[str, str]]:
    """Return every country as (code, name in the language of the page), sorted by name."""
    return _sorted((code, country_name(code)) for code in COUNTRIES)


def region_name(country: str, region: str) -> str:
    """Return how people call a region; of an unknown one its code.

    States and provinces keep their own names; the other areas have one in each language.
    """
    return _(REGIONS.get(country, {}).get(region, region))


def regions_for_forms() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the regions of each country that has some, as groups for one select.

    A value is the whole code, as ``US-NY``, since two countries share codes of regions.
    """
    groups = sorted(REGIONS, key=lambda code: (code not in NEEDS_REGION, _key(country_name(code))))
    return [
        (
            country_name(country),
            _sorted((f"{country}-{code}", region_name(country, code)) for code in REGIONS[country]),
        )
        for country in groups
    ]


def _sorted(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(pairs, key=lambda pair: _key(pair[1]))


def _key(name: str) -> tuple[str, bytes]:
    """Sort a name as people look for it.

    Latin letters without their marks and case, so that Åland stands beside Albania. Chinese names
    follow GB 18030, whose common characters are in the order of their pinyin.
    """
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    folded = bare.casefold()
    return ("" if ord(folded[0]) > 0x2E7F else folded, folded.encode("gb18030"))
