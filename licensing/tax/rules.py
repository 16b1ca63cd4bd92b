"""Which tax is due when a model is sold: ``assess`` knows the rules, ``rates`` the numbers.

What the store sells (downloads, licenses of files, use of models over the network) is an
*electronically supplied service* in the EU's words, and most countries tax it where the buyer is.
The rules, in the order they are asked:

1. The seller collects no tax at all: none is charged.
2. The buyer is in the US: the sales tax of the buyer's state if the seller declared nexus there,
   from businesses too; otherwise none.
3. Seller and buyer are in the same country: its own rate.
4. The buyer is in the EU. A business with a tax number of that country which the tax office
   confirmed accounts for the VAT itself (Articles 44 and 196 of Directive 2006/112/EC). Anybody
   else pays the buyer's rate if the seller declared the One Stop Shop or a registration in that
   country (Article 58), and the seller's own rate below the EU's threshold (Article 59c). A seller
   outside the EU who declared neither charges nothing; that is said on the document.
5. The buyer is elsewhere and the seller declared a registration there: the buyer's rate, except
   that businesses with a confirmed number account for it themselves where the country says so
   (``BUSINESSES_ACCOUNT``).
6. The buyer is elsewhere: outside the scope of the tax of the seller's country.

Areas: Monaco counts as France (Article 7 of the Directive); by their treaties the Isle of Man
counts as the United Kingdom and Liechtenstein as Switzerland. Northern Ireland follows the United
Kingdom, since the EU's rules hold there for goods alone. The Canary Islands, Ceuta, Melilla and
Mount Athos are outside the EU's VAT (Article 6), and so are those with a country code of their
own: Åland, the French overseas departments, the Faroe Islands, Greenland, the Dutch Caribbean.

Not covered, and left to the seller and their adviser: thresholds (what was sold so far is not
counted: the seller declares), duties to register abroad, US county and city taxes, states that
exempt downloads or software (declare nexus only where what you sell is taxed), resale and other
exemption certificates, provincial sales taxes of Canada, reduced rates, VAT groups, fixed
establishments in other countries, the French rates of Guadeloupe, Martinique and Réunion for
French sellers, the reduced Greek island and Austrian Jungholz rates, withholding by the buyer,
sales through a marketplace that counts as the seller (Article 9a of Regulation 282/2011: the store
assesses the seller it is given).
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from django.utils.translation import gettext as _
from eu_vat_rates_data import is_eu_member

from catalog.cards.countries import COUNTRIES
from licensing.tax.countries import AREAS_APART, TREATED_AS, country_name
from licensing.tax.parties import Buyer, BuyerKind, Place, Seller
from licensing.tax.rates import RateTable, TaxKind

BUSINESSES_ACCOUNT = frozenset({"AU", "CA", "GB", "IN", "IS", "JP", "KR", "NO", "NZ", "SG"})
"""Countries outside the EU where a registered business accounts for the tax on online services
from abroad, even if the seller is registered there. (Registered in Switzerland, a seller charges
them too.)"""
_REVERSE_CHARGE = "Reverse charge"
"""The mention Article 226 (11a) asks for, word for word; so it is never translated."""


class Treatment(StrEnum):
    """What happens to the tax of a sale."""

    VAT = "vat"
    GST = "gst"
    SALES_TAX = "sales_tax"
    NONE = "none"
    """There is no tax of this kind."""
    REVERSE_CHARGE = "reverse_charge"
    """The buyer accounts for it."""
    OUT_OF_SCOPE = "out_of_scope"
    """Not taxed where the seller is, because the buyer is elsewhere."""
    NOT_REGISTERED = "not_registered"
    """The seller does not collect it."""


class Reason(StrEnum):
    """Why; stable, for programs and statistics."""

    SELLER_NOT_REGISTERED = "seller_not_registered"
    DOMESTIC = "domestic"
    NEXUS = "nexus"
    NO_NEXUS = "no_nexus"
    NO_SUCH_TAX = "no_such_tax"
    EU_BUSINESS = "eu_business"
    EU_ONE_STOP_SHOP = "eu_one_stop_shop"
    EU_BELOW_THRESHOLD = "eu_below_threshold"
    REGISTERED_THERE = "registered_there"
    NOT_REGISTERED_THERE = "not_registered_there"
    BUSINESS_ABROAD = "business_abroad"
    BUYER_OUTSIDE_EU = "buyer_outside_eu"
    BUYER_ABROAD = "buyer_abroad"


@dataclass(frozen=True, slots=True)
class Assessment:
    """The tax of one sale.

    Args:
        kind: What happens to it.
        rate_basis_points: Hundredths of a percent the seller charges; 0 unless a tax is charged.
        country: Where it is due, ISO 3166-1; empty if nowhere.
        region: The state or province, if it is due there.
        reason: Why.
        note: What the invoice has to say about it, in the language of the page; may be empty.
        source: Where the rate is from; empty if none was needed.
    """

    kind: Treatment
    rate_basis_points: int
    country: str
    region: str
    reason: Reason
    note: str
    source: str


@dataclass(frozen=True, slots=True)
class _Area:
    """A place as the law of tax counts it."""

    place: Place
    """Whose rate holds."""
    code: str
    """What registrations call it; equal for the whole of one area."""
    is_eu: bool


def _area(place: Place) -> _Area:
    country = TREATED_AS.get(place.country, place.country)
    if country != place.country:
        place = Place(country)
    is_apart = place.code in AREAS_APART
    return _Area(
        place=place,
        code=place.code if is_apart else country,
        is_eu=is_eu_member(country) and not is_apart,
    )


def assess(seller: Seller, buyer: Buyer, on: date, rates: RateTable) -> Assessment:
    """Return the tax of a sale made on one day. See the module for the rules and their limits.

    Args:
        seller: Who sells, with what they declared.
        buyer: Who buys; only a confirmed tax number counts.
        on: Day of the sale.
        rates: Usually ``rates.rates_from_settings()``.

    Raises:
        RateMissingError: a tax is due and no table has its rate.
    """
    home, there = _area(seller.place), _area(buyer.place)
    if not seller.is_registered:
        return _uncharged(
            Treatment.NOT_REGISTERED,
            Reason.SELLER_NOT_REGISTERED,
            _("No tax is charged: the seller is not registered for it."),
        )
    if there.code == "US":
        return _in_the_us(seller, home, buyer, on, rates)
    if home.code == there.code:
        return _charged(there.place, Reason.DOMESTIC, on, rates)
    if there.is_eu:
        return _into_the_eu(seller, home, buyer, on, rates)
    if there.code not in seller.registrations:
        return _abroad(home, buyer)
    if there.code in BUSINESSES_ACCOUNT and buyer.is_taxable_in(there.code):
        note = _("the buyer accounts for the tax in %(country)s.") % {
            "country": country_name(there.place.country)
        }
        return _uncharged(
            Treatment.REVERSE_CHARGE,
            Reason.BUSINESS_ABROAD,
            f"{_REVERSE_CHARGE}: {note}",
            there.place,
        )
    return _charged(there.place, Reason.REGISTERED_THERE, on, rates)


def _in_the_us(seller: Seller, home: _Area, buyer: Buyer, on: date, rates: RateTable) -> Assessment:
    if buyer.place.code in seller.registrations:
        return _charged(buyer.place, Reason.NEXUS, on, rates)
    if home.code == "US":
        return _uncharged(
            Treatment.NONE,
            Reason.NO_NEXUS,
            _("No sales tax is charged: the seller collects none in the buyer's state."),
        )
    return _abroad(home, buyer)


def _into_the_eu(
    seller: Seller, home: _Area, buyer: Buyer, on: date, rates: RateTable
) -> Assessment:
    there = _area(buyer.place)
    if buyer.is_taxable_in(there.code):
        note = _("the buyer accounts for the VAT (Articles 44 and 196 of Directive 2006/112/EC).")
        return _uncharged(
            Treatment.REVERSE_CHARGE, Reason.EU_BUSINESS, f"{_REVERSE_CHARGE}: {note}", there.place
        )
    if seller.oss:
        return _charged(there.place, Reason.EU_ONE_STOP_SHOP, on, rates)
    if there.code in seller.registrations:
        return _charged(there.place, Reason.REGISTERED_THERE, on, rates)
    if home.is_eu:
        return _charged(home.place, Reason.EU_BELOW_THRESHOLD, on, rates)
    return _uncharged(
        Treatment.NOT_REGISTERED,
        Reason.NOT_REGISTERED_THERE,
        _("No tax is charged: the seller is not registered for it in %(country)s.")
        % {"country": country_name(there.place.country)},
    )


def _abroad(home: _Area, buyer: Buyer) -> Assessment:
    if home.is_eu:
        article = "44" if buyer.kind is BuyerKind.BUSINESS else "58"
        note = _(
            "Not subject to VAT of the EU: the buyer is outside it (Article %(article)s of"
            " Directive 2006/112/EC)."
        ) % {"article": article}
        return _uncharged(Treatment.OUT_OF_SCOPE, Reason.BUYER_OUTSIDE_EU, note)
    note = _("No tax of the seller's country (%(country)s): the buyer is in another.") % {
        "country": country_name(home.place.country)
    }
    return _uncharged(Treatment.OUT_OF_SCOPE, Reason.BUYER_ABROAD, note)


def _charged(place: Place, reason: Reason, on: date, rates: RateTable) -> Assessment:
    rate = rates.get(place, on)
    if rate.kind is TaxKind.NONE:
        note = _("There is no tax on this sale in %(country)s.") % {
            "country": country_name(place.country)
        }
        return _uncharged(Treatment.NONE, Reason.NO_SUCH_TAX, note, source=rate.source)
    return Assessment(
        kind=Treatment(rate.kind.value),
        rate_basis_points=rate.basis_points,
        country=rate.country,
        region=rate.region,
        reason=reason,
        note="",
        source=rate.source,
    )


def _uncharged(
    kind: Treatment, reason: Reason, note: str, due: Place | None = None, source: str = ""
) -> Assessment:
    return Assessment(
        kind=kind,
        rate_basis_points=0,
        country=due.country if due else "",
        region=due.region if due else "",
        reason=reason,
        note=note,
        source=source,
    )


def check_rates(seller: Seller, on: date, rates: RateTable) -> None:
    """Look up every rate the seller's declarations can ask for; for the form where they declare.

    In Canada that is the GST: provinces without a row of their own bear it.

    Raises:
        RateMissingError: one is in no table; each sale there would be refused.
    """
    home = _area(seller.place)
    if not seller.is_registered:
        return
    if home.code != "US":
        rates.get(home.place, on)
    if seller.oss:
        for member in (code for code in COUNTRIES if is_eu_member(code)):
            rates.get(Place(member), on)
    for code in sorted(seller.registrations):
        country, _dash, region = code.partition("-")
        if country == "CA":
            rates.get(Place(country, "AB"), on)
        else:
            rates.get(Place(country, region), on)
