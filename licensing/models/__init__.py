"""Tables of licensing, one module a subject."""

from licensing.models.counting import CounterBatch, DownloadCount
from licensing.models.invoicing import Invoice, InvoiceSeries, SellerProfile

__all__ = [
    "CounterBatch",
    "DownloadCount",
    "Invoice",
    "InvoiceSeries",
    "SellerProfile",
]
