"""Tables of the licensing room, one module a subject."""

from licensing.models.counting import DownloadCount
from licensing.models.gateways import (
    BankTransfer,
    SellerAccount,
    StripeCustomer,
    StripeObject,
    TransferReminder,
)
from licensing.models.invoicing import ConfirmedTaxNumber, Invoice, InvoiceSeries, SellerProfile
from licensing.models.ledger import (
    LedgerAccount,
    LedgerEntry,
    LedgerMovement,
    Payout,
    PayoutItem,
    PayoutPause,
)
from licensing.models.licenses import Activation, ActivationQuerySet, License, LicensedFile
from licensing.models.offers import (
    MAX_COUPON_PERIODS,
    Coupon,
    FeeRule,
    Offer,
    OfferedRepo,
    OfferQuerySet,
    Price,
    RevenueAsk,
    SeatKind,
)
from licensing.models.orders import LineShare, Order, OrderLine, Quote, Subscription
from licensing.models.payments import Dispute, Payment, PaymentEvent, Refund
from licensing.models.reconciling import ReconcileRun
from licensing.models.sandbox import SandboxCharge
from licensing.models.terms import Terms
from licensing.models.trials import TrialUse

__all__ = [
    "MAX_COUPON_PERIODS",
    "Activation",
    "ActivationQuerySet",
    "BankTransfer",
    "ConfirmedTaxNumber",
    "Coupon",
    "Dispute",
    "DownloadCount",
    "FeeRule",
    "Invoice",
    "InvoiceSeries",
    "LedgerAccount",
    "LedgerEntry",
    "LedgerMovement",
    "License",
    "LicensedFile",
    "LineShare",
    "Offer",
    "OfferQuerySet",
    "OfferedRepo",
    "Order",
    "OrderLine",
    "Payment",
    "PaymentEvent",
    "Payout",
    "PayoutItem",
    "PayoutPause",
    "Price",
    "Quote",
    "ReconcileRun",
    "Refund",
    "RevenueAsk",
    "SandboxCharge",
    "SeatKind",
    "SellerAccount",
    "SellerProfile",
    "StripeCustomer",
    "StripeObject",
    "Subscription",
    "Terms",
    "TransferReminder",
    "TrialUse",
]
