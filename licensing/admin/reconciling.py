"""Reports of the reconciler in the administration."""

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from licensing.admin.deeds import DeedAdmin, table
from licensing.models import ReconcileRun


@admin.register(ReconcileRun)
class ReconcileRunAdmin(DeedAdmin[ReconcileRun]):
    """Did charges, grants, refunds, payouts and the ledger agree? The newest first."""

    list_display = ("began_at", "agrees", "differences_found", "orders", "lost_messages", "away")
    ordering = ("-began_at",)
    fields = (
        *("began_at", "ended_at", "orders", "lost_messages", "completed", "away"),
        "differences_table",
    )
    readonly_fields = fields

    @admin.display(boolean=True, description=_("agrees"))
    def agrees(self, run: ReconcileRun) -> bool:
        """Nothing differed."""
        return not run.differences

    @admin.display(description=_("differences"))
    def differences_found(self, run: ReconcileRun) -> int:
        """How many."""
        return len(run.differences)

    @admin.display(description=_("orders looked at"))
    def orders(self, run: ReconcileRun) -> int:
        """How many."""
        return int(run.figures["orders"])

    @admin.display(description=_("lost messages found"))
    def lost_messages(self, run: ReconcileRun) -> int:
        """Applied now."""
        return int(run.figures["facts_found"])

    @admin.display(description=_("orders completed"))
    def completed(self, run: ReconcileRun) -> int:
        """Paid orders whose licenses were missing, now made."""
        return int(run.figures["fulfilled"])

    @admin.display(description=_("could not be asked"))
    def away(self, run: ReconcileRun) -> str:
        """Gateways that did not answer."""
        return ", ".join(run.figures["unreachable"])

    @admin.display(description=_("differences"))
    def differences_table(self, run: ReconcileRun) -> SafeString | str:
        """What to look at; docs/operations.md says what each kind means."""
        rows = [(row["kind"], row["subject"], row["note"]) for row in run.differences]
        return table((_("Kind"), _("Of"), _("What is wrong")), rows)
