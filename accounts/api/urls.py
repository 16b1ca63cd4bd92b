"""Addresses under ``/api/v1/``."""

from django.urls import path

from accounts.api import views

urlpatterns = [
    path("me", views.MeView.as_view()),
    path("tokens", views.TokensView.as_view()),
    path("tokens/<int:token_id>", views.TokenView.as_view()),
    path("organizations", views.OrganizationsView.as_view()),
    path("organizations/<str:name>", views.OrganizationView.as_view()),
    path("organizations/<str:name>/members/<str:user>", views.MemberView.as_view()),
]
