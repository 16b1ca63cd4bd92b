"""Payouts in the administration: run them, say what was transferred, pause a seller."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.models import Namespace
from accounts.viewer import Viewer
from licensing.admin.deeds import Deed, DeedAdmin, DeedForm, money, table
from licensing.models import LedgerEntry, Payout, PayoutPause
from licensing.paper_answers import pdf_answer
from licensing.services import exports, paying_out, payouts
from licensing.services.invoicing import DOCUMENT_LANGUAGE
from licensing.services.payout_accounts import BY_HAND
from store.core.errors import NotFoundError
from store.core.spreadsheets import csv_answer

State = Payout.State


class NoStatementError(NotFoundError):
    """There is no such payout, or it has no statement."""

    code = "no_statement"


class TransferredForm(DeedForm):
    """What is known of a transfer that was made by hand."""

    reference = forms.CharField(
        label=_("Bank's reference"), max_length=paying_out.MAX_REFERENCE_CHARS
    )
    field_order = ("reference", "reason")


class SellerForm(DeedForm):
    """Which seller."""

    seller = forms.ModelChoiceField(
        Namespace.objects.all(),
        label=_("Seller"),
        to_field_name="name",
        widget=forms.TextInput,
        help_text=_("Name of the person or organization."),
    )
    field_order = ("seller", "reason")


def _run(viewer: Viewer, _row: None, values: dict[str, Any]) -> str:
    made = payouts.run_for_staff(viewer, values["reason"])
    text = ngettext("%(n)d payout is on its way.", "%(n)d payouts are on their way.", len(made))
    return text % {"n": len(made)}


def _send_again(viewer: Viewer, payout: Payout, values: dict[str, Any]) -> str:
    paying_out.send_again(viewer, payout, values["reason"])
    return str(_("The payment service is asked again."))


def _mark_sent(viewer: Viewer, payout: Payout, values: dict[str, Any]) -> str:
    paying_out.mark_sent(viewer, payout, values["reference"], values["reason"])
    return str(_("The payout is sent."))


def _mark_failed(viewer: Viewer, payout: Payout, values: dict[str, Any]) -> str:
    paying_out.mark_failed(viewer, payout, values["reason"])
    return str(_("The money is the seller's again, and in their next payout."))


def _pause(viewer: Viewer, _row: None, values: dict[str, Any]) -> str:
    payouts.pause(viewer, values["seller"], values["reason"])
    return str(_("%(name)s is not paid out until you resume it.")) % {"name": values["seller"]}


def _resume(viewer: Viewer, pause: PayoutPause, values: dict[str, Any]) -> str:
    payouts.resume(viewer, pause.namespace, values["reason"])
    return str(_("%(name)s is paid out again.")) % {"name": pause.namespace}


def _waits(payout: Payout) -> bool:
    return payout.state == State.SENDING


def _may_fail(payout: Payout) -> bool:
    by_hand = _waits(payout) and payout.gateway in BY_HAND
    return by_hand or payout.state == State.SENT


@admin.register(Payout)
class PayoutAdmin(DeedAdmin[Payout]):
    """Money on its way to sellers, what was sent and what came back."""

    list_display = ("public_id", "namespace", "state", "amount", "gateway", "created_at")
    list_select_related = ("namespace",)
    list_filter = ("state", "gateway", "currency")
    date_hierarchy = "created_at"
    ordering = ("-id",)
    show_full_result_count = False
    search_fields = ("=public_id", "=namespace__name", "=external_id")
    fields = (
        *("public_id", "namespace", "state", "amount", "gateway", "account", "external_id"),
        *("failure", "until", "created_at", "closed_at", "statement_link", "entries_table"),
    )
    readonly_fields = fields
    deeds = (
        Deed(
            "mark-sent",
            _("Say that it was transferred"),
            _mark_sent,
            TransferredForm,
            is_open=lambda payout: _waits(payout) and payout.gateway in BY_HAND,
            needs_two_factor=True,
        ),
        Deed(
            "mark-failed",
            _("Say that it did not arrive"),
            _mark_failed,
            is_open=_may_fail,
            needs_two_factor=True,
        ),
        Deed(
            "send-again",
            _("Ask the payment service again"),
            _send_again,
            is_open=lambda payout: _waits(payout) and payout.gateway not in BY_HAND,
            needs_two_factor=True,
        ),
    )
    deeds_at_large = (Deed("run", _("Pay out what is available now"), _run, needs_two_factor=True),)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("table.csv", view(self.csv), name="licensing_payout_csv"),
            path("<int:pk>/statement.pdf", view(self.statement), name="licensing_payout_pdf"),
            *super().get_urls(),
        ]

    def csv(self, request: HttpRequest) -> StreamingHttpResponse:
        """All payouts as a table for spreadsheets."""
        return csv_answer(exports.all_payouts_table(), "payouts.csv")

    def statement(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The statement as PDF."""
        payout = Payout.objects.select_related("statement").filter(pk=pk).first()
        if payout is None or payout.statement is None:
            raise NoStatementError(str(_("There is no such statement.")))
        return pdf_answer(payout.statement, language=DOCUMENT_LANGUAGE)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        more = {"downloads": [(_("Table (CSV)"), reverse("admin:licensing_payout_csv"))]}
        return super().changelist_view(request, more | (extra_context or {}))

    @admin.display(description=_("amount"))
    def amount(self, payout: Payout) -> str:
        """How much."""
        return money(payout.amount_minor, payout.currency)

    @admin.display(description=_("statement"))
    def statement_link(self, payout: Payout) -> SafeString | str:
        """Where the statement is."""
        if payout.statement is None:
            return ""
        place = reverse("admin:licensing_payout_pdf", args=[payout.pk])
        return format_html('<a href="{}">{}</a>', place, payout.statement.text_number)

    @admin.display(description=_("entries"))
    def entries_table(self, payout: Payout) -> SafeString | str:
        """What it settles; the amounts are what the seller is owed by each."""
        rows = LedgerEntry.objects.filter(settled_by__payout=payout)
        rows = rows.select_related("movement__order", "line").order_by("id")[:MOST_ENTRIES]
        return table(
            (_("At"), _("Booking"), _("Order"), _("What"), _("Amount")), _lines(payout, rows)
        )


MOST_ENTRIES = 1000
"""More are in the seller's table."""


def _lines(payout: Payout, rows: Any) -> Iterator[tuple[object, ...]]:
    for row in rows:
        order, line = row.movement.order, row.line
        yield (
            row.movement.at,
            row.movement.get_kind_display(),
            order.public_id if order is not None else "",
            line.title if line is not None else "",
            money(-row.amount_minor, payout.currency),
        )


@admin.register(PayoutPause)
class PayoutPauseAdmin(DeedAdmin[PayoutPause]):
    """Sellers who are not paid out for the time being."""

    list_display = ("namespace", "reason", "paused_by", "paused_at", "waiting")
    list_select_related = ("namespace", "paused_by")
    search_fields = ("=namespace__name",)
    fields = ("namespace", "reason", "paused_by", "paused_at", "waiting")
    readonly_fields = fields
    deeds = (Deed("resume", _("Pay out again"), _resume, needs_two_factor=True),)
    deeds_at_large = (
        Deed("pause", _("Pause a seller"), _pause, SellerForm, needs_two_factor=True),
    )

    @admin.display(description=_("payouts that wait"))
    def waiting(self, pause: PayoutPause) -> int:
        """How many are booked and not sent."""
        return Payout.objects.filter(namespace=pause.namespace, state=State.SENDING).count()
