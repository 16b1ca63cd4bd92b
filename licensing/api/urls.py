"""Addresses under ``/api/v1/``."""

from django.urls import path

from licensing.api import invoices, offers, orders

urlpatterns = [
    path("models/<seg:ns>/<seg:name>/offers", offers.ModelOffersView.as_view()),
    path("models/<seg:ns>/<seg:name>/opening", offers.OpeningView.as_view()),
    path("models/<seg:ns>/<seg:name>/revenue-ask", offers.RevenueAskView.as_view()),
    path("offers", offers.OwnOffersView.as_view()),
    path("offers/<str:offer_id>", offers.OfferView.as_view()),
    path("terms/<str:sha256>", offers.TermsView.as_view()),
    path("quotes", orders.QuotesView.as_view()),
    path("quotes/<str:quote_id>", orders.QuoteView.as_view()),
    path("orders", orders.OrdersView.as_view()),
    path("orders/<str:order_id>", orders.OrderView.as_view()),
    path("orders/<str:order_id>/pay", orders.PayView.as_view()),
    path("orders/<str:order_id>/cancel", orders.CancelOrderView.as_view()),
    path("orders/<str:order_id>/refunds", orders.RefundsView.as_view()),
    path("invoices", invoices.InvoicesView.as_view()),
    path("invoices/<str:invoice_id>/pdf", invoices.InvoicePdfView.as_view()),
    path("refunds/<str:refund_id>/accept", orders.AcceptRefundView.as_view()),
    path("refunds/<str:refund_id>/decline", orders.DeclineRefundView.as_view()),
]
