"""Addresses under ``/api/v1/``."""

from django.urls import path

from inference.api import (
    demos,
    evaluation_views,
    explanations,
    leaderboards,
    scored_texts,
    usage,
    views,
)

EVALUATION = "evaluations/<str:run_id>"

urlpatterns = [
    path("usage", usage.UsageView.as_view()),
    path("usage.csv", usage.UsageTableView.as_view()),
    path("models/<str:ns>/<str:name>/demos", demos.DemosView.as_view()),
    path("leaderboards", leaderboards.BoardsView.as_view()),
    path("leaderboards/<file:suite>", leaderboards.BoardView.as_view()),
    path("generations", views.GenerationsView.as_view()),
    path("generations/<str:run_id>", views.GenerationView.as_view()),
    path("generations/<str:run_id>/cancel", views.CancelView.as_view()),
    path("generations/<str:run_id>/events", views.EventsView.as_view()),
    path("generations/<str:run_id>/explanations", explanations.ExplanationsView.as_view()),
    path(
        "generations/<str:run_id>/explanations/<str:explanation_id>",
        explanations.ExplanationView.as_view(),
    ),
    path(
        "generations/<str:run_id>/explanations/<str:explanation_id>/cancel",
        explanations.CancelExplanationView.as_view(),
    ),
    path("scored-texts", scored_texts.ScoredTextsView.as_view()),
    path("scored-texts/<str:text_id>", scored_texts.ScoredTextView.as_view()),
    path("scored-texts/<str:text_id>/cancel", scored_texts.CancelScoredTextView.as_view()),
    path("suites", evaluation_views.SuitesView.as_view()),
    path("suites/<str:suite_id>", evaluation_views.SuiteView.as_view()),
    path(
        "models/<str:ns>/<str:name>/evaluations",
        evaluation_views.ModelEvaluationsView.as_view(),
    ),
    path(EVALUATION, evaluation_views.EvaluationView.as_view()),
    path(f"{EVALUATION}/cancel", evaluation_views.CancelEvaluationView.as_view()),
    path(f"{EVALUATION}/retry", evaluation_views.RetryEvaluationView.as_view()),
    path(f"{EVALUATION}/samples", evaluation_views.SamplesView.as_view()),
    path(f"{EVALUATION}/samples.jsonl", evaluation_views.SamplesFileView.as_view()),
    path(f"{EVALUATION}/notes", evaluation_views.NotesView.as_view()),
]
