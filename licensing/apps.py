"""Delivery of bytes today; offers, orders and licenses join it."""

from django.apps import AppConfig


class LicensingConfig(AppConfig):
    """Owns the one door through which bytes leave, and the honest counters behind it."""

    name = "licensing"
    verbose_name = "Licensing and delivery"

    def ready(self) -> None:
        """Read the tables of tax rates: a bad one stops the start, not the first sale."""
        from licensing.tax.rates import rates_from_settings

        rates_from_settings()
