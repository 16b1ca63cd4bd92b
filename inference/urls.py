"""Addresses of the playground, of evaluations, leaderboards and the comparison of models."""

from django.urls import path

from inference import (
    views,
    views_compare,
    views_evaluation_acts,
    views_leaderboards,
    views_scores,
)

EVALUATIONS = "<seg:ns>/<seg:name>/evaluations"

urlpatterns = [
    path("runs/<seg:run>", views.run_page),
    path("runs/<seg:run>/events", views.run_events),
    path("runs/<seg:run>/state.json", views.run_state),
    path("runs/<seg:run>/cancel", views.run_cancel),
    path("leaderboards", views_leaderboards.boards_page),
    path("leaderboards/<file:key>.csv", views_leaderboards.board_table),
    path("leaderboards/<file:key>", views_leaderboards.board_page),
    path("models/compare", views_compare.compare_page),
    path("<seg:ns>/<seg:name>/playground", views.playground),
    path(EVALUATIONS, views_scores.evaluations_page),
    path(f"{EVALUATIONS}/ask", views_evaluation_acts.ask),
    path(f"{EVALUATIONS}/ask-with-file", views_evaluation_acts.ask_with_file),
    path(f"{EVALUATIONS}/<seg:run>", views_scores.evaluation_page),
    path(f"{EVALUATIONS}/<seg:run>/note", views_evaluation_acts.note),
    path(f"{EVALUATIONS}/<seg:run>/retry", views_evaluation_acts.retry),
    path(f"{EVALUATIONS}/<seg:run>/cancel", views_evaluation_acts.cancel),
]
