"""Addresses of sellers under ``/api/v1/``."""

from django.urls import path

from licensing.api import seller_views

urlpatterns = [
    path("sales", seller_views.SalesView.as_view()),
    path("sales/summary", seller_views.SalesSummaryView.as_view()),
    path("sales/<str:order_id>", seller_views.SaleView.as_view()),
    path("balance", seller_views.BalanceView.as_view()),
]
