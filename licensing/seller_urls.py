"""Addresses of sellers: the offers of a model, and what they sold."""

from django.urls import path

from licensing.seller_views import (
    affairs,
    balance,
    buyers,
    offer_editor,
    offers,
    orders,
    overview,
    payout_account,
)

REPO = "<seg:ns>/<seg:name>"

urlpatterns = [
    path("sales", overview.overview_page),
    path("sales/orders", orders.orders_page),
    path("sales/orders/<seg:order>", orders.order_page),
    path("sales/orders/<seg:order>/documents/<seg:number>.pdf", orders.paper_file),
    path("sales/buyers", buyers.buyers_page),
    path("sales/balance", balance.balance_page),
    path("sales/payouts", balance.payouts_page),
    path("sales/payouts/account", payout_account.account_page),
    path("sales/payouts/<seg:payout>/statement.pdf", balance.statement_file),
    path("sales/coupons", affairs.coupons_page),
    path("sales/coupons/new", affairs.new_coupon_page),
    path("sales/coupons/<seg:coupon>/end", affairs.end_coupon_page),
    path("sales/profile", affairs.profile_page),
    path("sales/tables/payouts.csv", affairs.payouts_file),
    path("sales/tables/<seg:table>.csv", affairs.table_file),
    path(f"{REPO}/offers", offers.offers_page),
    path(f"{REPO}/offers/new", offer_editor.new_page),
    path(f"{REPO}/offers/<seg:offer>", offer_editor.edit_page),
]
