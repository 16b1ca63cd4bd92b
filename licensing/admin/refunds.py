"""Refunds and disputes in the administration."""

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.viewer import Viewer
from licensing.admin.deeds import Deed, DeedAdmin, DeedForm, money
from licensing.models import Dispute, Refund
from licensing.services import refunds, refunds_by_hand
from licensing.services.payout_accounts import BY_HAND


class SentForm(DeedForm):
    """What is known of a transfer that was made by hand."""

    reference = forms.CharField(
        label=_("Bank's reference"), max_length=refunds_by_hand.MAX_REFERENCE_CHARS
    )
    sent_on = forms.DateField(
        label=_("Day"), required=False, help_text=_("As 2026-03-31. Empty: today.")
    )
    field_order = ("reference", "sent_on", "reason")


def _accept(viewer: Viewer, refund: Refund, values: dict[str, Any]) -> str:
    done = refunds.accept(viewer, refund, why=values["reason"])
    return str(_("The refund is: %(state)s.")) % {"state": done.get_state_display()}


def _decline(viewer: Viewer, refund: Refund, values: dict[str, Any]) -> str:
    refunds.decline(viewer, refund, values["reason"])
    return str(_("The request is declined; the buyer reads the reason."))


def _mark_sent(viewer: Viewer, refund: Refund, values: dict[str, Any]) -> str:
    refunds_by_hand.mark_sent(
        viewer, refund, values["reference"], values["reason"], sent_on=values["sent_on"]
    )
    return str(_("The refund is done."))


def _waits(refund: Refund) -> bool:
    return refund.state == Refund.State.ASKED


def _is_by_hand(refund: Refund) -> bool:
    """Whether people must send it: it failed, or came by bank transfer."""
    by_transfer = refund.state == Refund.State.SENDING and refund.order.gateway in BY_HAND
    return by_transfer or refund.state == Refund.State.FAILED


@admin.register(Refund)
class RefundAdmin(DeedAdmin[Refund]):
    """Money that goes back. What waits for an answer comes first."""

    list_display = ("public_id", "state", "order", "amount", "reason", "created_at")
    list_select_related = ("order",)
    list_filter = ("state", "is_surplus")
    ordering = ("state", "-id")  # "asked" sorts before all others
    show_full_result_count = False
    search_fields = ("=public_id", "=external_id", "=order__public_id", "^order__buyer__email")
    fields = (
        *("public_id", "order", "line", "payment", "state", "amount", "external_id"),
        *("is_surplus", "reason", "answer", "asked_by", "decided_by", "created_at"),
        *("decided_at", "done_at"),
    )
    readonly_fields = fields
    deeds = (
        Deed("accept", _("Refund it"), _accept, is_open=_waits),
        Deed("decline", _("Decline the request"), _decline, is_open=_waits),
        Deed(
            "mark-sent",
            _("Say that it was sent by hand"),
            _mark_sent,
            SentForm,
            is_open=_is_by_hand,
            needs_two_factor=True,
        ),
    )

    @admin.display(description=_("amount"))
    def amount(self, refund: Refund) -> str:
        """How much."""
        return money(refund.amount_minor, refund.order.currency)


@admin.register(Dispute)
class DisputeAdmin(DeedAdmin[Dispute]):
    """Payments that buyers' banks doubt; they are answered at the payment service."""

    list_display = ("external_id", "state", "order", "amount", "gateway", "opened_at")
    list_select_related = ("order",)
    list_filter = ("state", "gateway")
    ordering = ("-id",)
    show_full_result_count = False
    search_fields = ("=external_id", "=order__public_id", "^order__buyer__email")
    fields = ("external_id", "gateway", "order", "state", "amount", "opened_at", "closed_at")
    readonly_fields = fields

    @admin.display(description=_("amount"))
    def amount(self, dispute: Dispute) -> str:
        """How much."""
        return money(dispute.amount_minor, dispute.order.currency)
