import dataclasses
import json
from unittest import mock

import pytest
from django.utils import translation

from licensing.forms_billing import BillingForm
from licensing.tax.parties import (
    BadAddressError,
    BadCountryError,
    BadRegionError,
    BadTaxNumberError,
    BillingAddress,
    BuyerKind,
    Place,
    read_postcode,
)
from licensing.tax.writing import BadTextError

GIVEN = {
    "kind": "business",
    "name": " Regency   Books GmbH ",
    "line1": "Unter den Linden 1",
    "line2": "",
    "postcode": "10117",
    "city": "Berlin",
    "country": "DE",
    "region": "",
    "vat_number": "de 136.695.976",
}
ADDRESS = BillingAddress(
    kind=BuyerKind.BUSINESS,
    name="Regency Books GmbH",
    lines=("Unter den Linden 1",),
    postcode="10117",
    city="Berlin",
    place=Place("DE"),
    vat_number="DE136695976",
)


def test_gives_an_address_ready_for_an_invoice() -> None:
    form = BillingForm(GIVEN)

    assert form.is_valid(), form.errors
    assert form.cleaned_data["address"] == ADDRESS


def test_a_person_in_a_state_has_a_region_and_no_tax_number() -> None:
    form = BillingForm(
        {
            **GIVEN,
            "kind": "person",
            "country": "US",
            "region": "US-NY",
            "postcode": " 10001-1234",
            "line2": "Apt 5",
        }
    )

    assert form.is_valid(), form.errors
    address = form.cleaned_data["address"]
    assert address.place == Place("US", "NY")
    assert address.vat_number == ""
    assert address.postcode == "10001-1234"
    assert address.lines == ("Unter den Linden 1", "Apt 5")


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"name": ""}, "name", "required"),
        ({"name": "R\u0435gency"}, "name", "alphabets"),
        ({"name": "Regency\u202e"}, "name", "cannot be seen"),
        ({"name": "x" * 121}, "name", "120"),
        ({"name": "Re\x00gency"}, "name", "Null"),
        ({"line1": "\u200b"}, "line1", "cannot be seen"),
        ({"line2": "--"}, "line2", "letter or digit"),
        ({"city": "Berl\u0456n"}, "city", "alphabets"),
        ({"postcode": "1\u0660117"}, "postcode", "plain letters"),
        ({"postcode": "1234567890123"}, "postcode", "up to 12"),
        ({"country": ""}, "country", "required"),
        ({"country": "XX"}, "country", "valid choice"),
        ({"country": "US"}, "region", "state or province"),
        ({"country": "US", "region": "CA-ON"}, "region", "no region"),
        ({"region": "US-NY"}, "region", "no region"),
        ({"region": "NY"}, "region", "valid choice"),
        ({"kind": "robot"}, "kind", "valid choice"),
        ({"vat_number": "DE136695977"}, "vat_number", "check digit"),
        ({"country": "FR"}, "vat_number", "tax number of Germany"),
    ],
)
def test_refuses_beside_the_field_and_gives_no_address(changed, field, says) -> None:
    form = BillingForm({**GIVEN, **changed})

    assert not form.is_valid()
    assert says in str(form.errors[field])
    assert "address" not in form.cleaned_data


def test_shows_what_is_known_in_the_language_of_the_page() -> None:
    known = dataclasses.replace(
        ADDRESS, lines=("A 1", "B 2"), place=Place("ES", "CN"), vat_number="ESB58378431"
    )

    form = BillingForm(address=known, initial={"city": "Las Palmas"})

    shown = {name: form[name].value() for name in form.fields}
    assert shown == {
        "kind": "business",
        "name": "Regency Books GmbH",
        "line1": "A 1",
        "line2": "B 2",
        "postcode": "10117",
        "city": "Las Palmas",
        "country": "ES",
        "region": "ES-CN",
        "vat_number": "ESB58378431",
    }
    again = BillingForm({**shown, "city": known.city})
    assert again.is_valid(), again.errors
    assert again.cleaned_data["address"] == known
    assert BillingForm(address=ADDRESS)["region"].value() == ""
    with translation.override("zh-hans"):
        assert "德国" in str(BillingForm()["country"])
    assert "Germany" in str(BillingForm()["country"])
    assert '<optgroup label="United States">' in str(BillingForm()["region"])


def test_an_address_goes_to_json_and_back() -> None:
    kept = json.dumps(ADDRESS.to_json())

    assert BillingAddress.from_json(json.loads(kept)) == ADDRESS


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"kind": "robot"}, BadAddressError),
        ({"kind": None}, BadAddressError),
        ({"name": 5}, BadAddressError),
        ({"lines": "Unter"}, BadAddressError),
        ({"lines": ["a", None]}, BadAddressError),
        ({"lines": []}, BadAddressError),
        ({"lines": ["a", "b", "c"]}, BadAddressError),
        ({"more": "x"}, BadAddressError),
        ({"name": " Regency"}, BadAddressError),
        ({"postcode": "ab"}, BadAddressError),
        ({"postcode": "\u00df"}, BadAddressError),
        ({"name": "R\u0435gency"}, BadTextError),
        ({"lines": [""]}, BadTextError),
        ({"country": "XX"}, BadCountryError),
        ({"country": "US"}, BadRegionError),
        ({"kind": "person"}, BadTaxNumberError),
        ({"vat_number": "136695976"}, BadTaxNumberError),
        ({"country": "FR"}, BadTaxNumberError),
    ],
)
def test_no_address_is_made_of_anything_else(changed, error) -> None:
    data = {**ADDRESS.to_json(), **changed}
    before = json.dumps(data)

    with pytest.raises(error):
        BillingAddress.from_json(data)

    assert json.dumps(data) == before


@pytest.mark.parametrize("data", [None, [], "x", {}, {"kind": "person"}])
def test_other_json_is_no_address(data) -> None:
    with pytest.raises(BadAddressError, match="no billing address"):
        BillingAddress.from_json(data)


def test_an_address_says_what_tax_asks() -> None:
    assert ADDRESS.buyer(vat_checked=True).is_taxable_in("DE")
    assert not ADDRESS.buyer(vat_checked=False).is_taxable_in("DE")
    numberless = dataclasses.replace(ADDRESS, vat_number="")
    assert not numberless.buyer(vat_checked=True).is_taxable_in("DE")


def test_postcodes_are_optional_but_plain() -> None:
    assert read_postcode(" sw1a  1aa ") == "SW1A 1AA"
    assert dataclasses.replace(ADDRESS, postcode="").postcode == ""
    form = BillingForm({**GIVEN, "postcode": ""})
    assert form.is_valid()
    assert form.cleaned_data["address"].postcode == ""


def test_a_form_checks_nothing_over_the_network() -> None:
    with mock.patch("socket.socket", side_effect=AssertionError("no network")):
        assert BillingForm(GIVEN).is_valid()
