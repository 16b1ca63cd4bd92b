"""Addresses of buying, of what was bought, of archives and keys, and of what gateways send."""

from django.urls import path

from licensing import (
    seller_urls,
    views,
    views_cart,
    views_checkout,
    views_gateways,
    views_keys,
    views_library,
    views_orders,
    views_renewing,
    views_sandbox,
    views_terms,
)

urlpatterns = [
    path("gateways/<slug:name>/events", views_gateways.receive_event),
    path(".well-known/jwks.json", views_keys.jwks),
    path("cart", views_cart.cart_page),
    path("cart/add", views_cart.add),
    path("checkout", views_checkout.checkout_page),
    path("sandbox/<seg:charge>", views_sandbox.sandbox_page),
    path("library", views_library.library_page),
    path("library/<seg:ident>", views_library.license_page),
    path("library/<seg:ident>/key", views_library.key_page),
    path("library/<seg:ident>/file", views_library.license_file),
    path("library/<seg:ident>/seats/<seg:seat>", views_library.change_seat),
    path("library/<seg:ident>/refund", views_library.ask_refund),
    path("library/<seg:ident>/renew", views_renewing.renew_page),
    path("library/<seg:ident>/mend-payment", views_renewing.mend_payment),
    path("library/<seg:ident>/end-subscription", views_renewing.end_subscription),
    path("library/<seg:ident>/resume-subscription", views_renewing.resume_subscription),
    path("orders", views_orders.list_page),
    path("orders/<seg:order>", views_orders.order_page),
    path("orders/<seg:order>/pay", views_orders.pay_order),
    path("orders/<seg:order>/cancel", views_orders.cancel_order),
    path("invoices/<seg:invoice>.pdf", views_orders.invoice_pdf),
    path("terms/<seg:sha256>", views_terms.terms_page),
    path("<seg:ns>/<seg:name>/archive/<rev:rev>.zip", views.download_all),
    *seller_urls.urlpatterns,
]
