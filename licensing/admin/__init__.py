"""The shop in the administration. Rows are only looked at; what staff do are *deeds*."""

from licensing.admin import events, orders, payouts, reconciling, refunds, sellers, transfers

__all__ = ["events", "orders", "payouts", "reconciling", "refunds", "sellers", "transfers"]
