"""Delivery of bytes today; offers, orders and licenses join it."""

from django.apps import AppConfig


class LicensingConfig(AppConfig):
    """Owns the one door through which bytes leave, and the honest counters behind it."""

    name = "licensing"
    verbose_name = "Licensing and delivery"
