"""Orders in the administration: found by any id, shown with all that belongs to them."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.viewer import Viewer
from licensing.admin.deeds import Deed, DeedAdmin, link, money, table
from licensing.models import LedgerEntry, License, Order, PaymentEvent
from licensing.services import order_office, refunds, tax_numbers
from licensing.services.paperwork import buyer_party


def _refund(viewer: Viewer, order: Order, values: dict[str, Any]) -> str:
    refund = refunds.give_back(viewer, order, None, values["reason"])
    return str(_("Refund %(id)s: %(state)s.")) % {
        "id": refund.public_id,
        "state": refund.get_state_display(),
    }


def _cancel(viewer: Viewer, order: Order, values: dict[str, Any]) -> str:
    order_office.cancel(viewer, order, values["reason"])
    return str(_("The order is cancelled."))


def _fetch(viewer: Viewer, order: Order, values: dict[str, Any]) -> str:
    new = order_office.fetch(viewer, order, values["reason"])
    text = ngettext("%(n)d message was new.", "%(n)d messages were new.", new)
    return text % {"n": new}


class TaxNumberFilter(admin.SimpleListFilter):
    """Finds the numbers that wait for somebody to ask at a register."""

    title = _("tax number")
    parameter_name = "tax_number"

    def lookups(self, _request: HttpRequest, _admin: Any) -> list[tuple[str, Any]]:
        return [("waits", _("Given, taxed, not confirmed"))]

    def queryset(self, _request: HttpRequest, rows: QuerySet[Order]) -> QuerySet[Order]:
        return rows.filter(tax_numbers.keep_waiting()) if self.value() == "waits" else rows


@admin.register(Order)
class OrderAdmin(DeedAdmin[Order]):
    """Purchases. Search takes ids of orders, payments, refunds and disputes, names, e-mails."""

    list_display = ("public_id", "created_at", "state", "total", "buyer", "holder", "gateway")
    list_select_related = ("buyer", "holder")
    list_filter = ("state", "gateway", TaxNumberFilter)
    date_hierarchy = "created_at"
    ordering = ("-id",)
    show_full_result_count = False
    search_fields = (
        *("=public_id", "^buyer__username", "^buyer__email", "=holder__name"),
        *("=lines__seller__name", "=payments__external_id", "=refunds__external_id"),
        *("=refunds__public_id", "=disputes__external_id"),
    )
    fields = (
        *("public_id", "state", "is_test", "total", "paid", "refunded", "gateway"),
        *("buyer", "holder", "invoiced_to", "created_at", "terms_accepted_at", "expires_at"),
        *("paid_at", "fulfilled_at", "closed_at", "coupon", "renews"),
        *("lines_table", "licenses_table", "payments_table", "refunds_table"),
        *("disputes_table", "events_table", "ledger_table"),
    )
    readonly_fields = fields
    deeds = (
        Deed(
            "refund",
            _("Refund all that is left"),
            _refund,
            is_open=lambda order: order.state in refunds.REFUNDABLE,
        ),
        Deed(
            "cancel",
            _("Cancel"),
            _cancel,
            is_open=lambda order: order.state == Order.State.OPEN,
        ),
        Deed("fetch", _("Fetch from the payment service now"), _fetch),
    )

    @admin.display(description=_("total"))
    def total(self, order: Order) -> str:
        """The price with its tax."""
        return money(order.gross_minor, order.currency)

    @admin.display(description=_("invoiced to"))
    def invoiced_to(self, order: Order) -> SafeString | str:
        """The name and address on its invoices, a line each."""
        party = buyer_party(order)
        lines = [party.name, *party.address, party.country, party.vat_number, party.email]
        said = ((line,) for line in lines if line)
        return format_html_join(SafeString("<br>"), "{}", said) if order.billing else "-"

    @admin.display(description=_("paid"))
    def paid(self, order: Order) -> str:
        """What came."""
        return money(order.paid_minor, order.currency)

    @admin.display(description=_("refunded"))
    def refunded(self, order: Order) -> str:
        """What went back, or is on its way."""
        return money(order.refunded_minor, order.currency)

    @admin.display(description=_("lines"))
    def lines_table(self, order: Order) -> SafeString | str:
        """What was bought of whom."""
        head = (_("Seller"), _("What"), _("Net"), _("Tax"), _("Gross"), _("Fee"), _("Refunded"))
        rows = order.lines.select_related("seller").order_by("position")
        return table(
            head,
            [
                (
                    link(line.seller, line.seller.name),
                    f"{line.quantity} x {line.title}",
                    *(
                        money(amount, order.currency)
                        for amount in (
                            *(line.net_minor, line.tax_minor, line.gross_minor),
                            *(line.fee_minor, line.refunded_minor),
                        )
                    ),
                )
                for line in rows
            ],
        )

    @admin.display(description=_("licenses"))
    def licenses_table(self, order: Order) -> SafeString | str:
        """What the buyer holds of it."""
        rows = License.objects.filter(line__order=order).select_related("grant").order_by("id")
        return table(
            (_("License"), _("State"), _("Suspended")),
            [(link(row), row.grant.state, row.suspended_for) for row in rows],
        )

    @admin.display(description=_("payments"))
    def payments_table(self, order: Order) -> SafeString | str:
        """Money that came."""
        return table(
            (_("Id"), _("Amount"), _("Sent back"), _("At")),
            [
                (
                    row.external_id,
                    money(row.amount_minor, order.currency),
                    money(row.refunded_minor, order.currency),
                    row.at,
                )
                for row in order.payments.order_by("id")
            ],
        )

    @admin.display(description=_("refunds"))
    def refunds_table(self, order: Order) -> SafeString | str:
        """Money that went back, or was asked for."""
        return table(
            (_("Refund"), _("State"), _("Amount"), _("Reason"), _("Answer")),
            [
                (
                    link(row, row.public_id),
                    row.get_state_display(),
                    money(row.amount_minor, order.currency),
                    row.reason,
                    row.answer,
                )
                for row in order.refunds.order_by("id")
            ],
        )

    @admin.display(description=_("disputes"))
    def disputes_table(self, order: Order) -> SafeString | str:
        """Payments the buyer's bank doubts."""
        return table(
            (_("Dispute"), _("State"), _("Amount"), _("Opened"), _("Closed")),
            [
                (
                    link(row, row.external_id),
                    row.get_state_display(),
                    money(row.amount_minor, order.currency),
                    row.opened_at,
                    row.closed_at or "",
                )
                for row in order.disputes.order_by("id")
            ],
        )

    @admin.display(description=_("messages"))
    def events_table(self, order: Order) -> SafeString | str:
        """What the gateway told."""
        rows = PaymentEvent.objects.filter(gateway=order.gateway, order_ref=order.public_id)
        return table(
            (_("Message"), _("Outcome"), _("Received"), _("Note")),
            [
                (link(row, row.kind), row.get_outcome_display(), row.received_at, row.note)
                for row in rows.order_by("id")
            ],
        )

    @admin.display(description=_("ledger"))
    def ledger_table(self, order: Order) -> SafeString | str:
        """Every booking of it. Positive: the store has it; negative: it owes or earned it."""
        rows = LedgerEntry.objects.filter(movement__order=order)
        rows = rows.select_related("movement", "account__namespace").order_by("id")
        return table(
            (_("Booking"), _("Account"), _("Purpose"), _("Amount"), _("Available"), _("At")),
            [
                (
                    row.movement.get_kind_display(),
                    _account(row),
                    row.get_purpose_display(),
                    money(row.amount_minor, order.currency),
                    row.available_at,
                    row.movement.at,
                )
                for row in rows
            ],
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return super().get_queryset(request).select_related("buyer", "holder", "coupon")


def _account(row: LedgerEntry) -> str:
    owner = row.account.namespace
    return f"{row.account.kind} {owner.name}" if owner is not None else row.account.kind
