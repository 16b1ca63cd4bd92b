"""Delivery of bytes today; offers, orders and licenses join it."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class LicensingConfig(AppConfig):
    """Owns the one door through which bytes leave, and the honest counters behind it."""

    name = "licensing"
    verbose_name = "Licensing and delivery"

    def ready(self) -> None:
        from licensing import invoice_triggers

        post_migrate.connect(invoice_triggers.create_triggers, sender=self)
