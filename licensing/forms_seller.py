"""Forms of a seller's own affairs: coupons, and who they are on documents."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from licensing.forms_offers import MomentField
from licensing.invoices.names import clean_name
from licensing.models import MAX_COUPON_PERIODS, Offer, SellerProfile
from licensing.services.coupon_making import MAX_USES, CouponDraft
from licensing.services.seller_profiles import MAX_PREFIX_CHARS, ProfileChange
from licensing.tax.countries import countries_for_forms, regions_for_forms
from licensing.tax.numbers import MAX_TAX_NUMBER_CHARS
from licensing.tax.parties import read_place, read_registrations, read_vat_number
from store.core.errors import StoreError
from store.core.money import check_currency, read_amount

_COUPON_FIELDS = {"basis_points": "percent", "amount_minor": "amount"}


class CouponForm(forms.Form):
    """A coupon; ``draft`` is what the valid form says."""

    code = forms.CharField(
        label=_("Code"),
        max_length=40,
        help_text=_("3 to 40 letters A to Z, digits and hyphens, as SPRING-25. Buyers type it."),
        widget=forms.TextInput({"autocapitalize": "characters", "spellcheck": "false"}),
    )
    percent = forms.DecimalField(
        label=_("Percent off"),
        required=False,
        decimal_places=2,
        max_digits=5,
        help_text=_("Or an amount:"),
        widget=forms.NumberInput({"inputmode": "decimal", "step": "0.01"}),
    )
    amount = forms.CharField(
        label=_("Amount off"),
        required=False,
        max_length=20,
        widget=forms.TextInput({"inputmode": "decimal"}),
    )
    currency = forms.CharField(
        label=_("Currency of the amount"),
        required=False,
        max_length=3,
        widget=forms.TextInput({"placeholder": "EUR", "autocapitalize": "characters"}),
    )
    periods = forms.IntegerField(
        label=_("Periods of a subscription"),
        required=False,
        min_value=1,
        max_value=MAX_COUPON_PERIODS,
        help_text=_("3: its first three payments cost less. Empty: all of them."),
    )
    starts_at = MomentField(label=_("From (UTC)"), required=False)
    ends_at = MomentField(label=_("Until (UTC)"), required=False)
    most_uses = forms.IntegerField(
        label=_("Orders in all"), required=False, min_value=1, max_value=MAX_USES
    )
    most_uses_each = forms.IntegerField(
        label=_("Orders of one buyer"), required=False, min_value=1, max_value=MAX_USES
    )
    offers = forms.MultipleChoiceField(
        label=_("For these offers"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: for all of yours."),
    )

    def __init__(self, *args: Any, offers: Sequence[Offer] = (), **kwargs: Any) -> None:
        """Ask; ``offers`` are those of the seller."""
        super().__init__(*args, **kwargs)
        choices = [(offer.public_id, offer_label(offer)) for offer in offers]
        cast("forms.MultipleChoiceField", self.fields["offers"]).choices = choices

    def clean(self) -> dict[str, Any]:
        """Read the amount in its currency."""
        values = super().clean() or {}
        if text := values.get("amount"):
            try:
                currency = check_currency(values.get("currency") or "")
            except StoreError as error:
                self.add_error("currency", error.message)
                return values
            try:
                values["amount_minor"] = read_amount(text, currency).amount_minor
            except StoreError as error:
                self.add_error("amount", error.message)
        return values

    def draft(self) -> CouponDraft:
        """Return the coupon the valid form describes."""
        values = self.cleaned_data
        percent = values["percent"]
        return CouponDraft(
            code=values["code"],
            basis_points=None if percent is None else int(percent * 100),
            amount_minor=values.get("amount_minor"),
            currency=values["currency"],
            periods=values["periods"],
            starts_at=values["starts_at"],
            ends_at=values["ends_at"],
            most_uses=values["most_uses"],
            most_uses_each=values["most_uses_each"],
            offers=tuple(values["offers"]),
        )

    def refuse(self, error: StoreError) -> None:
        """Show a refusal at its field."""
        named = str(error.extra.get("field", ""))
        name = _COUPON_FIELDS.get(named, named)
        self.add_error(name if name in self.fields else None, error.message)


def offer_label(offer: Offer) -> str:
    """Return an offer with its models, to choose from."""
    models = ", ".join(repo.full_name for repo in offer.repos.all())
    return f"{offer.title} · {models}" if models else offer.title


class SellerForm(forms.Form):
    """Who a seller is on documents, where they owe tax, and where money goes."""

    legal_name = forms.CharField(
        label=_("Legal name"),
        required=False,
        max_length=200,
        help_text=_("As it stands on invoices. Empty: the name the store shows."),
        widget=forms.TextInput({"autocomplete": "organization"}),
    )
    address = forms.CharField(
        label=_("Address"),
        required=False,
        max_length=900,
        help_text=_("In lines, without the country."),
        widget=forms.Textarea({"rows": 4, "autocomplete": "street-address"}),
    )
    country = forms.ChoiceField(
        label=_("Country"), required=False, widget=forms.Select({"autocomplete": "country"})
    )
    region = forms.ChoiceField(
        label=_("State, province or area"),
        required=False,
        help_text=_("Only in the United States and Canada, and if your area is in the list."),
    )
    is_registered = forms.BooleanField(
        label=_("I am registered for VAT or GST there, and charge it"), required=False
    )
    vat_number = forms.CharField(
        label=_("VAT or GST number"),
        required=False,
        max_length=MAX_TAX_NUMBER_CHARS,
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    uses_oss = forms.BooleanField(
        label=_("I use the EU's One Stop Shop"),
        required=False,
        help_text=_("Then consumers in the EU pay the tax of their own country."),
    )
    registrations = forms.CharField(
        label=_("Where else you collect tax"),
        required=False,
        max_length=600,
        help_text=_("Codes of countries, and of states of the US: AU, GB, US-NY."),
    )
    invoice_prefix = forms.CharField(
        label=_("Your invoice numbers begin with"),
        required=False,
        max_length=MAX_PREFIX_CHARS,
        help_text=_("2 to 16 letters and digits. Another beginning starts from number 1."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Ask, with the countries in the language of the page."""
        super().__init__(*args, **kwargs)
        countries = [("", _("Choose a country")), *countries_for_forms()]
        regions = [("", _("None of these")), *regions_for_forms()]
        cast("forms.ChoiceField", self.fields["country"]).choices = countries
        cast("forms.ChoiceField", self.fields["region"]).choices = regions

    def clean(self) -> dict[str, Any]:
        """Judge name, place, number and registrations, each at its field."""
        values = super().clean() or {}
        country = values.get("country", "")
        if values.get("legal_name"):
            self._judge("legal_name", clean_name)
        if country:
            self._judge("region", lambda region: read_place(country, region))
            if values.get("vat_number"):
                self._judge("vat_number", lambda text: read_vat_number(text, country))
        if values.get("registrations"):
            self._judge("registrations", read_registrations)
        return values

    def _judge(self, name: str, read: Callable[[str], object]) -> None:
        try:
            read(self.cleaned_data.get(name, ""))
        except StoreError as error:
            self.add_error(name, error.message)

    def change(self) -> ProfileChange:
        """Return what the valid form says."""
        values = dict(self.cleaned_data)
        lines = values.pop("address").splitlines()
        codes = values.pop("registrations").split(",")
        return ProfileChange(**values, address=tuple(lines), registrations=tuple(codes))

    def refuse(self, error: StoreError) -> None:
        """Show a refusal at its field."""
        name = str(error.extra.get("field", ""))
        self.add_error(name if name in self.fields else None, error.message)


class BankForm(forms.Form):
    """Where a seller's money is transferred to."""

    bank_details = forms.CharField(
        label=_("Bank account"),
        required=False,
        max_length=1000,
        help_text=_(
            "Lines that say where to transfer to: a name, IBAN and BIC, or what banks want."
        ),
        widget=forms.Textarea({"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
    )


def profile_values(profile: SellerProfile) -> dict[str, Any]:
    """Return what the form shows of a profile."""
    region = f"{profile.country}-{profile.region}" if profile.region else ""
    return {
        "legal_name": profile.legal_name,
        "address": "\n".join(profile.address),
        "country": profile.country,
        "region": region,
        "is_registered": profile.is_registered,
        "vat_number": profile.vat_number,
        "uses_oss": profile.uses_oss,
        "registrations": ", ".join(profile.registrations),
        "invoice_prefix": profile.invoice_prefix,
    }
