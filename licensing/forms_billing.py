"""The form that asks who an invoice is made out to."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from licensing.tax.countries import countries_for_forms, regions_for_forms
from licensing.tax.numbers import MAX_TAX_NUMBER_CHARS
from licensing.tax.parties import (
    MAX_CITY_CHARS,
    MAX_LINE_CHARS,
    MAX_NAME_CHARS,
    BillingAddress,
    BuyerKind,
    Place,
    read_place,
    read_postcode,
    read_vat_number,
)
from licensing.tax.writing import read_line
from store.core.errors import StoreError

_LINES = {
    "name": MAX_NAME_CHARS,
    "line1": MAX_LINE_CHARS,
    "line2": MAX_LINE_CHARS,
    "city": MAX_CITY_CHARS,
}
"""Fields that hold a line of the document, with how long it may be."""


def _line(label: Any, key: str, autocomplete: str, **more: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=_LINES[key],
        widget=forms.TextInput({"autocomplete": f"billing {autocomplete}"}),
        **more,
    )


class BillingForm(forms.Form):
    """Who buys and where they live; ``address`` in ``cleaned_data`` is a ``BillingAddress``."""

    kind = forms.ChoiceField(
        label=_("You buy as"),
        choices=[
            (BuyerKind.PERSON.value, _("A person")),
            (BuyerKind.BUSINESS.value, _("A business")),
        ],
        initial=BuyerKind.PERSON.value,
        widget=forms.RadioSelect,
    )
    name = _line(_("Full name, or name of the business"), "name", "name")
    line1 = _line(_("Street and number"), "line1", "address-line1")
    line2 = _line(_("More of the address"), "line2", "address-line2", required=False)
    postcode = forms.CharField(
        label=_("Postcode"),
        max_length=20,
        required=False,
        widget=forms.TextInput({"autocomplete": "billing postal-code"}),
    )
    city = _line(_("Town"), "city", "address-level2")
    country = forms.ChoiceField(
        label=_("Country"), widget=forms.Select({"autocomplete": "billing country"})
    )
    region = forms.ChoiceField(
        label=_("State, province or area"),
        required=False,
        help_text=_("Only in the United States and Canada, and if your area is in the list."),
    )
    vat_number = forms.CharField(
        label=_("Tax number"),
        max_length=MAX_TAX_NUMBER_CHARS,
        required=False,
        help_text=_("For businesses: VAT or GST number. Leave it empty if you have none."),
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, address: BillingAddress | None = None, **kwargs: Any) -> None:
        """Ask; ``address`` fills the form in."""
        if address is not None:
            kwargs["initial"] = {**_initial(address), **kwargs.get("initial", {})}
        super().__init__(*args, **kwargs)
        self.address = address
        self._choose("country", [("", _("Choose a country")), *countries_for_forms()])
        self._choose("region", [("", _("None of these")), *regions_for_forms()])

    def _choose(self, name: str, choices: list[Any]) -> None:
        """Set the choices anew for each form: their names are in the language of the page."""
        cast("forms.ChoiceField", self.fields[name]).choices = choices

    def clean(self) -> dict[str, Any]:
        """Judge the lines, the place and the tax number; join them to an address."""
        cleaned = super().clean() or {}
        for name, most in _LINES.items():
            if cleaned.get(name):
                self._read(name, partial(read_line, max_chars=most))
        if cleaned.get("postcode"):
            self._read("postcode", read_postcode)
        if "country" in cleaned and "region" in cleaned:
            self._read("region", lambda region: read_place(cleaned["country"], region))
        if cleaned.get("kind") == BuyerKind.PERSON:
            cleaned["vat_number"] = ""
        if cleaned.get("vat_number") and "country" in cleaned:
            self._read("vat_number", lambda text: read_vat_number(text, cleaned["country"]))
        if not self.errors:
            cleaned["address"] = _address(cleaned)
        return cleaned

    def _read(self, name: str, read: Callable[[str], object]) -> None:
        """Replace a value by what ``read`` makes of it, or show why it cannot be."""
        try:
            self.cleaned_data[name] = read(self.cleaned_data[name])
        except StoreError as exc:
            self.add_error(name, exc.message)


def _address(cleaned: dict[str, Any]) -> BillingAddress:
    place: Place = cleaned["region"]
    return BillingAddress(
        kind=BuyerKind(cleaned["kind"]),
        name=cleaned["name"],
        lines=tuple(line for line in (cleaned["line1"], cleaned["line2"]) if line),
        postcode=cleaned["postcode"],
        city=cleaned["city"],
        place=place,
        vat_number=cleaned["vat_number"],
    )


def _initial(address: BillingAddress) -> dict[str, str]:
    first, *more = address.lines
    return {
        "kind": address.kind.value,
        "name": address.name,
        "line1": first,
        "line2": more[0] if more else "",
        "postcode": address.postcode,
        "city": address.city,
        "country": address.place.country,
        "region": address.place.code if address.place.region else "",
        "vat_number": address.vat_number,
    }
