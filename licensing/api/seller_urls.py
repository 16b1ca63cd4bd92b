"""Addresses of sellers under ``/api/v1/``."""

from django.urls import path

from licensing.api import affair_views, seller_views

urlpatterns = [
    path("sales", seller_views.SalesView.as_view()),
    path("sales/summary", seller_views.SalesSummaryView.as_view()),
    path("sales/<str:order_id>", seller_views.SaleView.as_view()),
    path("buyers", seller_views.BuyersView.as_view()),
    path("balance", seller_views.BalanceView.as_view()),
    path("balance/entries", seller_views.EntriesView.as_view()),
    path("coupons", affair_views.CouponsView.as_view()),
    path("coupons/<str:coupon_id>/end", affair_views.EndCouponView.as_view()),
    path("seller-profile", affair_views.SellerProfileView.as_view()),
    path("payouts", affair_views.PayoutsView.as_view()),
    path("payouts/account", affair_views.PayoutAccountView.as_view()),
    path("payouts/<str:payout_id>", affair_views.PayoutView.as_view()),
    path("payouts/<str:payout_id>/statement", affair_views.StatementView.as_view()),
]
