"""Addresses under ``/api/v1/``."""

from django.urls import path

from inference.api import leaderboards, views

urlpatterns = [
    path("leaderboards", leaderboards.BoardsView.as_view()),
    path("leaderboards/<file:suite>", leaderboards.BoardView.as_view()),
    path("generations", views.GenerationsView.as_view()),
    path("generations/<str:run_id>", views.GenerationView.as_view()),
    path("generations/<str:run_id>/cancel", views.CancelView.as_view()),
    path("generations/<str:run_id>/events", views.EventsView.as_view()),
]
