"""Who pays what where: cases with the rule each follows.

Articles without a name are those of Directive 2006/112/EC. Rates are those of a small table here,
so that a new version of the rates package changes no case.
"""

import dataclasses
from datetime import date

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from catalog.cards.countries import COUNTRIES
from licensing.tax.countries import NEEDS_REGION, TREATED_AS
from licensing.tax.parties import Buyer, BuyerKind, Place, Seller
from licensing.tax.rates import (
    ALWAYS,
    Rate,
    RateMissingError,
    RateTable,
    TaxKind,
    rates_from_settings,
)
from licensing.tax.rules import Assessment, Reason, Treatment, assess, check_rates

DAY = date(2026, 3, 1)
ROWS = """\
DE vat 1900|FR vat 2000|ES vat 2100|PT vat 2300|PT-20 vat 1600|FI vat 2550|GR vat 2400|IE vat 2300
GB vat 2000|CH vat 810|NO vat 2500|AU gst 1000|JP vat 1000|SG gst 900|CA gst 500|CA-ON gst 1300
US-NY sales_tax 400|US-TX sales_tax 625|US-OR none 0|HK none 0|ZA vat 1500"""


def _rate(row: str) -> Rate:
    code, kind, points = row.split()
    country, _dash, region = code.partition("-")
    return Rate(country, region, TaxKind(kind), int(points), ALWAYS, None, f"test {code}")


RATES = RateTable([_rate(row) for line in ROWS.splitlines() for row in line.split("|")])
NUMBERS = {
    "DE": "DE136695976",
    "FR": "FR40303265045",
    "ES": "ESB58378431",
    "GR": "EL094259216",
    "GB": "GB980780684",
    "AU": "AU51824753556",
    "CH": "CHE107787577IVA",
    "ZA": "",
    "NO": "NO995525828MVA",
    "US": "",
}


def place(code: str) -> Place:
    country, _dash, region = code.partition("-")
    return Place(country, region)


def seller(written: str) -> Seller:
    """A seller as ``DE``, ``DE unregistered``, ``DE oss`` or ``DE +GB +US-NY``."""
    code, *words = written.split()
    return Seller(
        place(code),
        is_registered="unregistered" not in words,
        oss="oss" in words,
        registrations=frozenset(word[1:] for word in words if word.startswith("+")),
    )


def buyer(written: str) -> Buyer:
    """A buyer as ``FR person``, ``FR business`` (confirmed number), ``FR claims`` (number not
    confirmed), ``FR numberless`` or ``FR has DE`` (confirmed number of another country)."""
    code, word, *of = written.split()
    issuer = of[0] if of else TREATED_AS.get(code[:2], code[:2])
    return Buyer(
        place(code),
        BuyerKind.PERSON if word == "person" else BuyerKind.BUSINESS,
        "" if word in {"person", "numberless"} else NUMBERS[issuer],
        vat_checked=word in {"business", "has"},
    )


CASES = [
    # no registration at all: nothing (Articles 282-292, small businesses)
    ("DE unregistered", "DE person", "not_registered", 0, "", "seller_not_registered"),
    (
        "DE unregistered oss +US-NY",
        "US-NY person",
        "not_registered",
        0,
        "",
        "seller_not_registered",
    ),
    ("US-NY unregistered", "FR business", "not_registered", 0, "", "seller_not_registered"),
    # the same country (Articles 44, 45, 58 and 193)
    ("DE", "DE person", "vat", 1900, "DE", "domestic"),
    ("DE oss", "DE business", "vat", 1900, "DE", "domestic"),
    ("GB", "GB business", "vat", 2000, "GB", "domestic"),
    ("CH", "CH person", "vat", 810, "CH", "domestic"),
    ("AU", "AU business", "gst", 1000, "AU", "domestic"),
    ("HK", "HK person", "none", 0, "", "no_such_tax"),
    ("PT", "PT-20 person", "vat", 1600, "PT", "domestic"),
    # Canada: by the buyer's province (CRA, place of supply)
    ("CA-AB", "CA-ON person", "gst", 1300, "CA", "domestic"),
    ("CA-ON", "CA-AB person", "gst", 500, "CA", "domestic"),
    ("DE +CA", "CA-ON person", "gst", 1300, "CA", "registered_there"),
    # EU to a consumer in another member state (Articles 58, 59c, 369a-k)
    ("DE", "FR person", "vat", 1900, "DE", "eu_below_threshold"),
    ("DE oss", "FR person", "vat", 2000, "FR", "eu_one_stop_shop"),
    ("DE oss", "PT-20 person", "vat", 1600, "PT", "eu_one_stop_shop"),
    ("DE +FR", "FR person", "vat", 2000, "FR", "registered_there"),
    ("PT-20", "FR person", "vat", 1600, "PT", "eu_below_threshold"),
    ("DE oss", "FI person", "vat", 2550, "FI", "eu_one_stop_shop"),
    # EU to a business in another member state (Articles 44, 196)
    ("DE", "FR business", "reverse_charge", 0, "FR", "eu_business"),
    ("DE oss +FR", "FR business", "reverse_charge", 0, "FR", "eu_business"),
    ("DE", "GR business", "reverse_charge", 0, "GR", "eu_business"),
    # a business that shows no confirmed number of its country (Regulation 282/2011, Article 18)
    ("DE oss", "FR claims", "vat", 2000, "FR", "eu_one_stop_shop"),
    ("DE", "FR numberless", "vat", 1900, "DE", "eu_below_threshold"),
    ("DE oss", "FR has ES", "vat", 2000, "FR", "eu_one_stop_shop"),
    # EU to outside (Articles 44 and 58)
    ("DE oss", "GB person", "out_of_scope", 0, "", "buyer_outside_eu"),
    ("DE", "CH business", "out_of_scope", 0, "", "buyer_outside_eu"),
    ("DE", "US-NY person", "out_of_scope", 0, "", "buyer_outside_eu"),
    ("DE +GB", "GB person", "vat", 2000, "GB", "registered_there"),
    # areas (Articles 6 and 7; Northern Ireland is GB here)
    ("ES", "ES-CN person", "out_of_scope", 0, "", "buyer_outside_eu"),
    ("DE oss", "ES-CN person", "out_of_scope", 0, "", "buyer_outside_eu"),
    ("DE oss", "GR-69 person", "out_of_scope", 0, "", "buyer_outside_eu"),
    ("FI", "AX person", "out_of_scope", 0, "", "buyer_outside_eu"),
    ("DE oss", "RE person", "out_of_scope", 0, "", "buyer_outside_eu"),
    ("DE oss", "MC person", "vat", 2000, "FR", "eu_one_stop_shop"),
    ("FR", "MC person", "vat", 2000, "FR", "domestic"),
    ("MC", "FR person", "vat", 2000, "FR", "domestic"),
    ("DE", "MC has FR", "reverse_charge", 0, "FR", "eu_business"),
    ("GB", "IM person", "vat", 2000, "GB", "domestic"),
    ("CH", "LI person", "vat", 810, "CH", "domestic"),
    ("LI", "CH business", "vat", 810, "CH", "domestic"),
    # from outside into the EU (Articles 58, 196, 358a-369)
    ("GB", "DE business", "reverse_charge", 0, "DE", "eu_business"),
    ("US-TX oss", "DE person", "vat", 1900, "DE", "eu_one_stop_shop"),
    ("CH +DE", "DE person", "vat", 1900, "DE", "registered_there"),
    ("GB", "DE person", "not_registered", 0, "", "not_registered_there"),
    ("ES-CN", "ES person", "not_registered", 0, "", "not_registered_there"),
    # United States (South Dakota v. Wayfair: only with nexus; no federal tax)
    ("US-TX +US-NY", "US-NY person", "sales_tax", 400, "US", "nexus"),
    ("US-TX +US-TX", "US-TX numberless", "sales_tax", 625, "US", "nexus"),
    ("US-TX +US-TX", "US-NY person", "none", 0, "", "no_nexus"),
    ("US-TX +US-OR", "US-OR person", "none", 0, "", "no_such_tax"),
    ("DE +US-NY", "US-NY person", "sales_tax", 400, "US", "nexus"),
    ("US-TX", "AU person", "out_of_scope", 0, "", "buyer_abroad"),
    # elsewhere, registered there: consumers pay, businesses where they do not account themselves
    ("US-TX +AU", "AU person", "gst", 1000, "AU", "registered_there"),
    ("US-TX +AU", "AU business", "reverse_charge", 0, "AU", "business_abroad"),
    ("US-TX +AU", "AU claims", "gst", 1000, "AU", "registered_there"),
    ("DE +NO", "NO business", "reverse_charge", 0, "NO", "business_abroad"),
    ("DE +CH", "CH business", "vat", 810, "CH", "registered_there"),
    ("DE +ZA", "ZA business", "vat", 1500, "ZA", "registered_there"),
    ("GB", "NO person", "out_of_scope", 0, "", "buyer_abroad"),
    ("AU", "US-NY person", "out_of_scope", 0, "", "buyer_abroad"),
]


@pytest.mark.parametrize(("sells", "buys", "kind", "points", "country", "reason"), CASES)
def test_cases(sells, buys, kind, points, country, reason) -> None:
    found = assess(seller(sells), buyer(buys), DAY, RATES)

    assert (found.kind, found.rate_basis_points, found.country, found.reason) == (
        Treatment(kind),
        points,
        country,
        Reason(reason),
    )


def test_every_reason_and_treatment_has_a_case() -> None:
    assert {case[5] for case in CASES} == set(Reason)
    assert {case[2] for case in CASES} == set(Treatment)


def test_a_charged_tax_names_its_region_and_source() -> None:
    assert assess(seller("DE +CA"), buyer("CA-ON person"), DAY, RATES) == Assessment(
        kind=Treatment.GST,
        rate_basis_points=1300,
        country="CA",
        region="ON",
        reason=Reason.REGISTERED_THERE,
        note="",
        source="test CA-ON",
    )


@pytest.mark.parametrize(
    ("sells", "buys", "note"),
    [
        (
            "DE",
            "FR business",
            "Reverse charge: the buyer accounts for the VAT (Articles 44 and 196 of Directive"
            " 2006/112/EC).",
        ),
        (
            "DE +AU",
            "AU business",
            "Reverse charge: the buyer accounts for the tax in Australia.",
        ),
        ("DE", "CH business", "Not subject to VAT of the EU: the buyer is outside it (Article 44 "),
        ("DE", "CH person", "Not subject to VAT of the EU: the buyer is outside it (Article 58 "),
        (
            "GB",
            "CH person",
            "No tax of the seller's country (United Kingdom): the buyer is in another.",
        ),
        ("GB", "FR person", "No tax is charged: the seller is not registered for it in France."),
        ("GB unregistered", "GB person", "No tax is charged: the seller is not registered for it."),
        ("US-TX", "US-NY person", "No sales tax is charged: the seller collects none in the buyer"),
        ("HK", "HK person", "There is no tax on this sale in Hong Kong SAR China."),
    ],
)
def test_notes_say_what_an_invoice_has_to_say(sells, buys, note) -> None:
    assert assess(seller(sells), buyer(buys), DAY, RATES).note.startswith(note)


def test_the_mention_the_directive_asks_for_stays_in_every_language() -> None:
    with translation.override("zh-hans"):
        found = assess(seller("DE"), buyer("FR business"), DAY, RATES)

    assert found.note.startswith("Reverse charge: ")


@pytest.mark.parametrize(
    ("sells", "buys", "missing"),
    [
        ("BR", "BR person", "BR"),
        ("DE +NG", "NG person", "NG"),
        ("US-TX +US-DC", "US-DC person", "US-DC"),
        ("DE oss", "SE person", "SE"),
    ],
)
def test_a_tax_that_is_due_without_a_known_rate_refuses_the_sale(sells, buys, missing) -> None:
    with pytest.raises(RateMissingError) as caught:
        assess(seller(sells), buyer(buys), DAY, RATES)
    assert caught.value.extra == {"place": missing}


@pytest.mark.parametrize(
    "sells", ["DE", "DE +GB +CA +US-NY +ZA", "US-DC", "US-DC +US-NY", "BR unregistered +NG"]
)
def test_sellers_whose_rates_are_known_pass_the_check(sells) -> None:
    check_rates(seller(sells), DAY, RATES)


@pytest.mark.parametrize("sells", ["BR", "DE oss", "DE +NG", "US-TX +US-DC", "DE +ES-CN +SE"])
def test_sellers_with_a_missing_rate_are_told_when_they_declare(sells) -> None:
    with pytest.raises(RateMissingError):
        check_rates(seller(sells), DAY, RATES)


def test_the_stores_own_rates_serve_the_one_stop_shop() -> None:
    rates = rates_from_settings()

    check_rates(seller("FR oss +GB +CH +AU +CA +US-NY"), DAY, rates)
    assert assess(seller("FR oss"), buyer("HR person"), DAY, rates).rate_basis_points == 2500


@st.composite
def places(draw: st.DrawFn) -> Place:
    country = draw(st.sampled_from(["DE", "FR", "US", "CA", "GB", *sorted(COUNTRIES)]))
    region = {"US": "NY", "CA": "ON"}[country] if country in NEEDS_REGION else ""
    return Place(country, region)


SELLERS = st.builds(
    Seller,
    places(),
    st.booleans(),
    oss=st.booleans(),
    registrations=st.frozensets(st.sampled_from(["FR", "GB", "AU", "US-NY", "CA"])),
)
BUYERS = st.builds(
    Buyer,
    places(),
    st.sampled_from(BuyerKind),
    st.sampled_from(sorted(NUMBERS.values())),
    st.booleans(),
)


@given(SELLERS, BUYERS)
def test_tax_is_charged_only_by_who_collects_and_to_who_does_not(sells, buys) -> None:
    try:
        found = assess(sells, buys, DAY, RATES)
    except RateMissingError:
        assert sells.is_registered
        return

    charged = found.kind in {Treatment.VAT, Treatment.GST, Treatment.SALES_TAX}
    assert charged == (found.rate_basis_points > 0)
    assert charged == (found.note == "")
    if not sells.is_registered:
        assert found.kind is Treatment.NOT_REGISTERED
    if found.kind is Treatment.REVERSE_CHARGE:
        assert buys.kind is BuyerKind.BUSINESS
        assert buys.vat_checked
        assert sells.place.country != buys.place.country
    confirmed = dataclasses.replace(buys, vat_checked=False)
    assert assess(sells, confirmed, DAY, RATES).kind is not Treatment.REVERSE_CHARGE
