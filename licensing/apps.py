"""The shop and the one door through which bytes leave."""

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate


class LicensingConfig(AppConfig):
    """Owns offers, orders, licenses and the ledger, delivery, and the honest counters behind it."""

    name = "licensing"
    verbose_name = "Licensing and delivery"

    def ready(self) -> None:
        """Read the tables of tax rates and the gateways: a mistake stops the start, no sale."""
        from licensing import furniture, invoice_triggers
        from licensing.gateways.registry import check_settings
        from licensing.tax.rates import rates_from_settings

        post_migrate.connect(furniture.create_triggers, sender=self)
        post_migrate.connect(invoice_triggers.create_triggers, sender=self)
        rates_from_settings()
        check_settings(settings.ENV)
