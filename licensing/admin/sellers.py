"""Sellers in the administration: profiles, fees, buyers' tax numbers, licenses."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.models import Namespace
from accounts.viewer import Viewer
from catalog.models import Grant
from licensing.admin.deeds import Deed, DeedAdmin, DeedForm, money, table
from licensing.models import ConfirmedTaxNumber, FeeRule, License, SellerProfile
from licensing.services import balances, fees, license_keys, tax_numbers


class FeeForm(DeedForm):
    """What a new rule says."""

    percent = forms.DecimalField(
        label=_("Fee in percent of the net price"),
        min_value=Decimal(0),
        max_value=Decimal(100),
        max_digits=5,
        decimal_places=2,
    )
    seller = forms.ModelChoiceField(
        Namespace.objects.all(),
        label=_("Seller"),
        to_field_name="name",
        required=False,
        widget=forms.TextInput,
        help_text=_("Empty: everybody who has no rule of their own."),
    )
    starts_at = forms.DateTimeField(
        label=_("Begins"), required=False, help_text=_("As 2026-03-31 12:00 (UTC). Empty: now.")
    )
    field_order = ("percent", "seller", "starts_at", "reason")


class NumberForm(DeedForm):
    """Which number was confirmed, and where."""

    number = forms.CharField(label=_("Tax number"), max_length=40)
    country = forms.CharField(
        label=_("Country"), max_length=2, help_text=_("Two letters of ISO 3166, as DE.")
    )
    field_order = ("number", "country", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].label = _("Register that was asked, and its answer's reference")


def _add_rule(viewer: Viewer, _row: None, values: dict[str, Any]) -> str:
    starts_at: datetime | None = values["starts_at"]
    basis_points = int(values["percent"] * 100)
    rule = fees.add_rule(viewer, values["seller"], basis_points, starts_at, values["reason"])
    return str(_("A new rule: %(rule)s.")) % {"rule": rule}


def _confirm(viewer: Viewer, _row: None, values: dict[str, Any]) -> str:
    row = tax_numbers.confirm(viewer, values["number"], values["country"], values["reason"])
    return str(_("%(number)s is confirmed.")) % {"number": row.number}


def _withdraw(viewer: Viewer, row: ConfirmedTaxNumber, values: dict[str, Any]) -> str:
    tax_numbers.withdraw(viewer, row.number, values["reason"])
    return str(_("%(number)s is not confirmed any more.")) % {"number": row.number}


def _suspend(viewer: Viewer, held: License, values: dict[str, Any]) -> str:
    license_keys.suspend(viewer, held, values["reason"])
    return str(_("The license opens nothing until you reinstate it."))


def _reinstate(viewer: Viewer, held: License, values: dict[str, Any]) -> str:
    license_keys.reinstate(viewer, held, values["reason"])
    return str(_("The license counts again."))


@admin.register(FeeRule)
class FeeRuleAdmin(DeedAdmin[FeeRule]):
    """What the store keeps. Rules are added, never changed: the newest that has begun counts."""

    list_display = ("percent", "seller", "starts_at", "note")
    list_select_related = ("namespace",)
    ordering = ("-starts_at", "-id")
    search_fields = ("=namespace__name",)
    fields = ("percent", "seller", "starts_at", "note")
    readonly_fields = fields
    deeds_at_large = (Deed("add", _("Add a rule"), _add_rule, FeeForm),)

    @admin.display(description=_("fee"))
    def percent(self, rule: FeeRule) -> str:
        """In percent."""
        return f"{Decimal(rule.basis_points) / 100} %"

    @admin.display(description=_("seller"))
    def seller(self, rule: FeeRule) -> str:
        """Whose sales."""
        return rule.namespace.name if rule.namespace is not None else str(_("everybody"))


@admin.register(SellerProfile)
class SellerProfileAdmin(DeedAdmin[SellerProfile]):
    """Who sellers are on paper, and what they are owed. Sellers change it themselves."""

    list_display = ("namespace", "legal_name", "country", "vat_number", "is_registered")
    list_select_related = ("namespace",)
    search_fields = ("=namespace__name", "^legal_name", "=vat_number")
    fields = (
        *("namespace", "legal_name", "address", "country", "region", "vat_number"),
        *("is_registered", "uses_oss", "registrations", "invoice_prefix", "bank_details"),
        *("updated_at", "balance_table"),
    )
    readonly_fields = fields

    @admin.display(description=_("balance"))
    def balance_table(self, profile: SellerProfile) -> Any:
        """What the ledger owes them."""
        head = (_("Gateway"), _("Available"), _("Held"), _("Disputed"), _("On its way"))
        return table(
            head,
            [
                (
                    found.gateway,
                    money(found.available_minor, found.currency),
                    money(found.held_minor, found.currency),
                    money(found.disputed_minor, found.currency),
                    money(found.sending_minor, found.currency),
                )
                for found in balances.balances_of(profile.namespace)
            ],
        )


@admin.register(ConfirmedTaxNumber)
class ConfirmedTaxNumberAdmin(DeedAdmin[ConfirmedTaxNumber]):
    """Tax numbers of buyers that a tax office confirmed: reverse charge may rest on them."""

    list_display = ("number", "source", "confirmed_by", "confirmed_at")
    list_select_related = ("confirmed_by",)
    search_fields = ("^number",)
    fields = ("number", "source", "confirmed_by", "confirmed_at")
    readonly_fields = fields
    deeds = (Deed("withdraw", _("Withdraw"), _withdraw),)
    deeds_at_large = (Deed("confirm", _("Confirm a number"), _confirm, NumberForm),)


@admin.register(License)
class LicenseAdmin(DeedAdmin[License]):
    """What buyers hold. Keys are shown to nobody but their holders."""

    list_display = ("public_id", "title", "holder", "seller", "is_test", "suspended_at")
    list_select_related = ("holder", "seller")
    list_filter = ("is_test",)
    ordering = ("-id",)
    show_full_result_count = False
    search_fields = ("=public_id", "=holder__name", "=seller__name", "=line__order__public_id")
    fields = (
        *("public_id", "title", "licensee", "holder", "seller", "line", "state", "seats"),
        *("seat_kind", "terms", "rights", "suspended_at", "suspended_for", "is_test"),
        "created_at",
    )
    readonly_fields = fields
    deeds = (
        Deed(
            "suspend",
            _("Suspend"),
            _suspend,
            is_open=lambda held: (
                held.suspended_at is None and held.grant.state != Grant.State.REVOKED
            ),
        ),
        Deed(
            "reinstate",
            _("Reinstate"),
            _reinstate,
            is_open=lambda held: (
                held.suspended_at is not None and held.grant.state != Grant.State.REVOKED
            ),
        ),
    )

    @admin.display(description=_("state"))
    def state(self, held: License) -> str:
        """Of its grant."""
        return held.grant.get_state_display()
