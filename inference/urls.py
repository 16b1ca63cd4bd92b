"""Addresses of the playground, of evaluations, leaderboards and the comparison of models."""

from django.urls import path

from inference.views import (
    compare,
    demos,
    evaluation_acts,
    explaining,
    history,
    leaderboards,
    playground,
    scored_texts,
    scores,
    side_by_side,
    usage,
)

EVALUATIONS = "<seg:ns>/<seg:name>/evaluations"

urlpatterns = [
    path("settings/usage", usage.usage_page),
    path("runs", history.runs_page),
    path("runs/delete-all", history.runs_delete_all),
    path("runs/<seg:run>", playground.run_page),
    path("runs/<seg:run>/events", playground.run_events),
    path("runs/<seg:run>/state.json", playground.run_state),
    path("runs/<seg:run>/cancel", playground.run_cancel),
    path("runs/<seg:run>/explain", explaining.explain_page),
    path("runs/<seg:run>/explain/<seg:explanation>/cancel", explaining.explain_cancel),
    path("runs/<seg:run>/share", history.run_share),
    path("runs/<seg:run>/unshare", history.run_unshare),
    path("runs/<seg:run>/delete", history.run_delete),
    path("shared/<seg:token>", history.shared_page),
    path("how-it-works", explaining.how_it_works),
    path("how-it-works/<seg:walk>", explaining.walk_page),
    path("how-it-works/<seg:walk>/cancel", explaining.walk_cancel),
    path("leaderboards", leaderboards.boards_page),
    path("leaderboards/<file:key>.csv", leaderboards.board_table),
    path("leaderboards/<file:key>", leaderboards.board_page),
    path("models/compare", compare.compare_page),
    path("playground/compare", side_by_side.compare),
    path("playground/score", scored_texts.score_page),
    path("playground/score/<seg:text>", scored_texts.text_page),
    path("playground/score/<seg:text>/cancel", scored_texts.text_cancel),
    path("playground/score/<seg:text>/delete", scored_texts.text_delete),
    path("<seg:ns>/<seg:name>/playground", playground.playground),
    path("<seg:ns>/<seg:name>/playground/code", playground.code),
    path("<seg:ns>/<seg:name>/demos", demos.demos_page),
    path(EVALUATIONS, scores.evaluations_page),
    path(f"{EVALUATIONS}/ask", evaluation_acts.ask),
    path(f"{EVALUATIONS}/ask-with-file", evaluation_acts.ask_with_file),
    path(f"{EVALUATIONS}/<seg:run>", scores.evaluation_page),
    path(f"{EVALUATIONS}/<seg:run>/note", evaluation_acts.note),
    path(f"{EVALUATIONS}/<seg:run>/retry", evaluation_acts.retry),
    path(f"{EVALUATIONS}/<seg:run>/cancel", evaluation_acts.cancel),
]
