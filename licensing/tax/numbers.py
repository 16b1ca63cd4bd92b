"""Tax numbers: read, checked, kept in one shape.

Shape and check digits are judged by ``python-stdnum``, offline. Whether a number is in use only
its tax office knows (for the EU: VIES).
"""

import re
from collections.abc import Sequence

from django.utils.translation import gettext as _
from eu_vat_rates_data import get_rate
from stdnum import get_cc_module
from stdnum.exceptions import InvalidChecksum, InvalidLength, ValidationError

from catalog.cards.countries import COUNTRIES
from licensing.tax.countries import capitals, check_country, country_name
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


class BadTaxNumberError(InvalidError):
    """Not a tax number of this country; the message says what is wrong with it."""

    code = "bad_tax_number"


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
    country = capitals(country)
    check_country(country)
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
    other = "GR" if bare.startswith("EL") else bare[:2]
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
