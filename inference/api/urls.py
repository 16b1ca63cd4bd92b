"""Addresses under ``/api/v1/``."""

from django.urls import path

from inference.api import explanations, usage, views

urlpatterns = [
    path("usage", usage.UsageView.as_view()),
    path("usage.csv", usage.UsageTableView.as_view()),
    path("generations", views.GenerationsView.as_view()),
    path("generations/<str:run_id>", views.GenerationView.as_view()),
    path("generations/<str:run_id>/cancel", views.CancelView.as_view()),
    path("generations/<str:run_id>/events", views.EventsView.as_view()),
    path("generations/<str:run_id>/explanations", explanations.ExplanationsView.as_view()),
    path(
        "generations/<str:run_id>/explanations/<str:explanation_id>",
        explanations.ExplanationView.as_view(),
    ),
]
