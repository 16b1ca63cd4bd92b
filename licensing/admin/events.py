"""The inbox of payment messages in the administration: what was set aside comes first."""

from typing import Any

from django.contrib import admin
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.viewer import Viewer
from licensing.admin.deeds import Deed, DeedAdmin
from licensing.models import PaymentEvent
from licensing.services import order_office

Outcome = PaymentEvent.Outcome
UNAPPLIED = (Outcome.PARKED, Outcome.WAITING)


def _apply(viewer: Viewer, event: PaymentEvent, values: dict[str, Any]) -> str:
    outcome = order_office.apply_again(viewer, event, values["reason"])
    return str(_("What came of it: %(outcome)s.")) % {"outcome": Outcome(outcome).label}


def _dismiss(viewer: Viewer, event: PaymentEvent, values: dict[str, Any]) -> str:
    order_office.dismiss(viewer, event, values["reason"])
    return str(_("The message is set aside for good."))


def _is_unapplied(event: PaymentEvent) -> bool:
    return event.outcome in UNAPPLIED


@admin.register(PaymentEvent)
class PaymentEventAdmin(DeedAdmin[PaymentEvent]):
    """Verified messages of gateways."""

    list_display = ("received_at", "kind", "outcome", "note", "gateway", "order_ref", "external_id")
    list_filter = ("outcome", "gateway", "kind")
    show_full_result_count = False
    search_fields = ("=external_id", "=order_ref")
    fields = (
        *("gateway", "external_id", "kind", "order_ref", "fact", "received_at"),
        *("outcome", "applied_at", "note"),
    )
    readonly_fields = fields
    deeds = (
        Deed("apply", _("Apply it again"), _apply, is_open=_is_unapplied),
        Deed("dismiss", _("Set it aside for good"), _dismiss, is_open=_is_unapplied),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PaymentEvent]:
        """What is parked comes first, then what waits, then the newest."""
        place = Case(
            When(outcome=Outcome.PARKED, then=Value(0)),
            When(outcome=Outcome.WAITING, then=Value(1)),
            default=Value(2),
            output_field=IntegerField(),
        )
        return super().get_queryset(request).order_by(place, "-id")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """The query has the order already."""
        return ()
