import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from catalog.cards.countries import COUNTRIES
from licensing.tax.countries import (
    NEEDS_REGION,
    REGIONS,
    countries_for_forms,
    country_name,
    region_name,
    regions_for_forms,
)
from licensing.tax.parties import (
    BadCountryError,
    BadRegionError,
    BadTaxNumberError,
    Buyer,
    BuyerKind,
    Place,
    Seller,
    read_place,
    read_registrations,
    read_vat_number,
)
from store.core.errors import StoreError

NUMBERS = [
    ("ATU13585627", "AT", "ATU13585627"),
    ("u13585627", "AT", "ATU13585627"),
    ("BE 0403.019.261", "BE", "BE0403019261"),
    ("CHE-107.787.577 IVA", "CH", "CHE107787577IVA"),
    ("DE 136.695 976", "de", "DE136695976"),
    ("136695976", "DE", "DE136695976"),
    ("EL 094259216", "GR", "EL094259216"),
    ("FR 40303265045", "FR", "FR40303265045"),
    ("GB 980 7806 84", "GB", "GB980780684"),
    ("980780684", "IM", "GB980780684"),
    ("XI 980 7806 84", "GB", "GB980780684"),
    ("NL004495445B01", "NL", "NL004495445B01"),
    ("NO 995 525 828 MVA", "NO", "NO995525828MVA"),
    ("51 824 753 556", "AU", "AU51824753556"),
    ("AU51824753556", "AU", "AU51824753556"),
    ("IE 6433435F", "IE", "IE6433435F"),
    ("ES B-58378431", "ES", "ESB58378431"),
    ("SE 556188840401", "SE", "SE556188840401"),
    ("18547290", "RO", "RO18547290"),
    ("RO 185 472 90", "RO", "RO18547290"),
]
"""What people write, the country, what the store keeps. Examples of python-stdnum's own pages."""


@pytest.mark.parametrize(
    ("country", "region", "code"),
    [
        ("DE", "", "DE"),
        (" de ", "", "DE"),
        ("us", "ny", "US-NY"),
        ("US", "US-NY", "US-NY"),
        ("CA", "CA-QC", "CA-QC"),
        ("ES", "CN", "ES-CN"),
        ("ES", "", "ES"),
        ("AX", "", "AX"),
    ],
)
def test_reads_places(country, region, code) -> None:
    assert read_place(country, region).code == code


@pytest.mark.parametrize(
    "country",
    [
        "",
        "D",
        "DEU",
        "XI",
        "EU",
        "UK",
        "ZZ",
        "1A",
        "\u0415S",
        "D\u0395",
        "D\x00",
        "\uff24\uff25",
        "\ufb01",
        "\u00df",
    ],
)
def test_refuses_what_is_no_country(country) -> None:
    with pytest.raises(BadCountryError) as caught:
        read_place(country)
    assert caught.value.code == "bad_country"
    assert caught.value.message.isascii()


@pytest.mark.parametrize(
    ("country", "region"),
    [
        ("US", ""),
        ("CA", ""),
        ("US", "ON"),
        ("US", "CA-ON"),
        ("DE", "BY"),
        ("ES", "MD"),
        ("US", "N\u0423"),
        ("CA", "\u202eNO"),
    ],
)
def test_refuses_what_is_no_region_or_none_where_one_is_needed(country, region) -> None:
    with pytest.raises(BadRegionError) as caught:
        read_place(country, region)
    assert caught.value.code == "bad_region"


@given(st.text(max_size=12), st.text(max_size=12))
def test_places_are_read_or_refused_by_name(country, region) -> None:
    try:
        place = read_place(country, region)
    except (BadCountryError, BadRegionError):
        return
    assert place == Place(place.country, place.region)
    assert place.country in COUNTRIES


@pytest.mark.parametrize(("text", "country", "kept"), NUMBERS)
def test_keeps_tax_numbers_in_one_shape(text, country, kept) -> None:
    assert read_vat_number(text, country) == kept
    assert read_vat_number(kept, country) == kept
    assert read_vat_number(f"  {kept.lower()} ", country.lower()) == kept


@pytest.mark.parametrize(
    ("text", "country", "says"),
    [
        ("DE136695977", "DE", "check digit"),
        ("DE13669597", "DE", "DE + 9 digits"),
        ("CHE-107.787.578 IVA", "CH", "check digit"),
        ("CHE-107.787.577", "CH", "MWST"),
        ("995525828", "NO", "MVA"),
        ("GB 980780685", "GB", "check digit"),
        ("AT13585627", "AT", "shape"),
        ("FR40303265045", "DE", "tax number of France"),
        ("EL094259216", "DE", "tax number of Greece"),
        ("DE136695977", "FR", "France"),
        ("51824753557", "AU", "check digit"),
        ("AU51824753557", "AU", "check digit"),
        ("5182475355", "AU", "another length."),
        ("123456", "US", "cannot check"),
        ("", "DE", "plain letters"),
        ("DE" + "1" * 40, "DE", "at most 32"),
    ],
)
def test_says_what_is_wrong_with_a_tax_number(text, country, says) -> None:
    with pytest.raises(BadTaxNumberError) as caught:
        read_vat_number(text, country)
    assert says in caught.value.message
    assert caught.value.code == "bad_tax_number"


@pytest.mark.parametrize(
    "text",
    [
        "\u0414E136695976",  # a Cyrillic letter
        "DE13669597\uff16",  # a full-width digit
        "DE13669597\u0666",  # an Arabic digit
        "DE\u2013136695976",
        "DE\u200b136695976",
        "\u202eDE136695976",
        "DE136695976\n2",
        "DE136695976\x00",
        "DE136695976'--",
        "<b>DE136695976",
    ],
)
def test_refuses_look_alikes_that_a_lenient_reader_maps(text) -> None:
    with pytest.raises(BadTaxNumberError, match="plain letters"):
        read_vat_number(text, "DE")


def test_a_tax_number_needs_a_country() -> None:
    with pytest.raises(BadCountryError):
        read_vat_number("DE136695976", "XX")


@given(
    st.text("0123456789ABUEXMVTHIDGRLFS .-*+/", max_size=20) | st.text(max_size=40),
    st.sampled_from(sorted(COUNTRIES)),
)
def test_any_text_is_a_stable_number_or_a_named_refusal(text, country) -> None:
    try:
        kept = read_vat_number(text, country)
    except BadTaxNumberError:
        return
    assert read_vat_number(kept, country) == kept
    assert kept.isascii()


def test_reads_where_a_seller_is_registered() -> None:
    assert read_registrations(" au, US-ny,GB ,, ca, es-cn") == {"AU", "US-NY", "GB", "CA", "ES-CN"}
    assert read_registrations("") == frozenset()


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("AU, XX", BadCountryError, "XX"),
        ("US", BadRegionError, "US-NY"),
        ("US-ZZ", BadRegionError, "ZZ"),
        ("CA-ON", BadRegionError, "write CA"),
        ("DE-BY", BadRegionError, "write DE"),
        ("DE-", BadRegionError, "write DE"),
        ("PT-20", BadRegionError, "write PT"),
        ("MC", BadRegionError, "write FR"),
        ("IM", BadRegionError, "write GB"),
    ],
)
def test_refuses_registrations_that_are_nowhere(text, error, says) -> None:
    with pytest.raises(error, match=says):
        read_registrations(text)
    with pytest.raises(StoreError):
        Seller(Place("DE"), is_registered=True, registrations=frozenset({text}))


def test_only_a_confirmed_number_of_the_country_makes_a_business_taxable() -> None:
    place, number = Place("FR"), "FR40303265045"

    assert Buyer(place, BuyerKind.BUSINESS, number, vat_checked=True).is_taxable_in("FR")
    assert not Buyer(place, BuyerKind.BUSINESS, number).is_taxable_in("FR")
    assert not Buyer(place, BuyerKind.BUSINESS, "", vat_checked=True).is_taxable_in("FR")
    assert not Buyer(place, BuyerKind.PERSON, number, vat_checked=True).is_taxable_in("FR")
    assert not Buyer(place, BuyerKind.BUSINESS, number, vat_checked=True).is_taxable_in("DE")


def test_countries_are_all_there_named_and_sorted_for_people() -> None:
    named = countries_for_forms()

    assert {code for code, _name in named} == set(COUNTRIES)
    names = [name for _code, name in named]
    assert names.index("Åland Islands") < names.index("Albania") < names.index("Zimbabwe")
    assert dict(named)["CI"].startswith("C")


def test_countries_are_named_in_the_language_of_the_page() -> None:
    with translation.override("zh-hans"):
        named = countries_for_forms()
        names = [name for _code, name in named]

        assert dict(named)["DE"] == "德国"
        assert names.index("阿尔巴尼亚") < names.index("德国") < names.index("中国")
    with translation.override("xx"):
        assert country_name("DE") == "Germany"
    assert country_name("Q9") == "Q9"


def test_regions_come_in_groups_those_that_are_needed_first() -> None:
    groups = regions_for_forms()

    assert [name for name, _items in groups] == [
        "Canada",
        "United States",
        "Greece",
        "Portugal",
        "Spain",
    ]
    values = [value for _name, items in groups for value, _label in items]
    assert len(values) == len(set(values)) == sum(len(items) for items in REGIONS.values())
    assert dict(groups[1][1])["US-NY"] == "New York"
    assert set(REGIONS) >= NEEDS_REGION
    assert len(REGIONS["US"]) == 51
    assert len(REGIONS["CA"]) == 13
    assert region_name("US", "NY") == "New York"
    assert region_name("US", "ZZ") == "ZZ"
