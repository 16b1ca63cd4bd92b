"""Bank transfers in the administration: what arrived, and for which order."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Case, Value, When
from django.utils.translation import gettext_lazy as _

from accounts.viewer import Viewer
from licensing.admin.deeds import Deed, DeedAdmin, DeedForm, money
from licensing.models import BankTransfer, Order
from licensing.services import statements, transfers
from store.core.errors import TooLargeError
from store.core.money import read_amount


class OrderForm(DeedForm):
    """Which order."""

    order = forms.ModelChoiceField(
        Order.objects.all(),
        label=_("Order"),
        to_field_name="public_id",
        widget=forms.TextInput,
        help_text=_("Its id."),
    )
    field_order: tuple[str, ...] = ("order", "reason")


class ArrivedForm(OrderForm):
    """What the bank says of a transfer."""

    amount = forms.CharField(
        label=_("Amount"), max_length=20, help_text=_("In the order's currency, as 19.00.")
    )
    reference = forms.CharField(label=_("Bank's reference"), max_length=transfers.MAX_REF_CHARS)
    received_on = forms.DateField(label=_("Day it was booked"), help_text=_("As 2026-03-31."))
    field_order: tuple[str, ...] = ("order", "amount", "reference", "received_on", "reason")


class StatementForm(DeedForm):
    """A bank's statement."""

    statement = forms.FileField(
        label=_("Statement"),
        help_text=_("CSV with the columns date, amount, currency, reference and perhaps id."),
    )
    field_order = ("statement", "reason")


def _note(viewer: Viewer, _row: None, values: dict[str, Any]) -> str:
    order = values["order"]
    amount = read_amount(values["amount"], order.currency)
    transfers.note_transfer(
        viewer,
        order,
        amount.amount_minor,
        values["reference"],
        values["received_on"],
        reason=values["reason"],
    )
    order.refresh_from_db()
    return str(_("The transfer is noted. The order is: %(state)s.")) % {
        "state": order.get_state_display()
    }


def _assign(viewer: Viewer, row: BankTransfer, values: dict[str, Any]) -> str:
    transfers.assign(viewer, row, values["order"], reason=values["reason"])
    return str(_("The transfer is for this order now."))


def _import(viewer: Viewer, _row: None, values: dict[str, Any]) -> str:
    file = values["statement"]
    if file.size > statements.MAX_BYTES:
        raise TooLargeError(str(_("A statement has at most 1 MB. Divide it.")))
    found = transfers.import_statement(viewer, file.read(), reason=values["reason"])
    return str(
        _("%(matched)d transfers found their order, %(unmatched)d did not, %(known)d were known.")
    ) % {
        "matched": found.matched,
        "unmatched": found.unmatched,
        "known": found.known,
    }


@admin.register(BankTransfer)
class BankTransferAdmin(DeedAdmin[BankTransfer]):
    """Money on the site's bank account. What fits no order comes first."""

    list_display = ("bank_ref", "amount", "booked_on", "order", "refund", "text", "noted_by")
    list_select_related = ("order", "refund", "noted_by")
    ordering = (
        Case(When(order=None, then=Value(0)), default=Value(1)).asc(),
        *("-booked_on", "-id"),
    )
    date_hierarchy = "booked_on"
    show_full_result_count = False
    search_fields = ("=bank_ref", "=order__public_id", "text")
    fields = ("bank_ref", "amount", "booked_on", "text", "order", "refund", "noted_by", "noted_at")
    readonly_fields = fields
    deeds = (
        Deed(
            "assign",
            _("Say which order it is for"),
            _assign,
            OrderForm,
            is_open=lambda row: row.order_id is None,
        ),
    )
    deeds_at_large = (
        Deed("note", _("Note a transfer"), _note, ArrivedForm),
        Deed("import", _("Import a statement"), _import, StatementForm),
    )

    @admin.display(description=_("amount"))
    def amount(self, row: BankTransfer) -> str:
        """Positive: came in. Negative: was sent back."""
        return money(row.amount_minor, row.currency)
