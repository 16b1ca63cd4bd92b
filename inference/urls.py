"""Addresses of the playground."""

from django.urls import path

from inference import explain_views, views, views_usage

urlpatterns = [
    path("settings/usage", views_usage.usage_page),
    path("runs/<seg:run>", views.run_page),
    path("runs/<seg:run>/events", views.run_events),
    path("runs/<seg:run>/state.json", views.run_state),
    path("runs/<seg:run>/cancel", views.run_cancel),
    path("runs/<seg:run>/explain", explain_views.explain_page),
    path("how-it-works", explain_views.how_it_works),
    path("how-it-works/<seg:walk>", explain_views.walk_page),
    path("<seg:ns>/<seg:name>/playground", views.playground),
]
