"""What the reconciler found, night by night."""

from django.db import models


class ReconcileRun(models.Model):
    """One comparison of charges, grants, refunds, payouts and the ledger."""

    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    figures = models.JSONField()
    """How many orders were looked at, lost messages found and orders completed, and the gateways
    that could not be asked."""
    differences = models.JSONField()
    """A list of ``kind``, ``subject`` and ``note``; empty: everything agreed."""

    class Meta:
        indexes = [models.Index(fields=["-began_at"], name="reconcile_run_newest")]

    def __str__(self) -> str:
        return f"{self.began_at:%Y-%m-%d %H:%M}: {len(self.differences)}"
