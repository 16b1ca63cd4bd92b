"""Addresses of the playground."""

from django.urls import path

from inference.views import compare, demos, explaining, history, playground, usage

urlpatterns = [
    path("settings/usage", usage.usage_page),
    path("runs", history.runs_page),
    path("runs/delete-all", history.runs_delete_all),
    path("runs/<seg:run>", playground.run_page),
    path("runs/<seg:run>/events", playground.run_events),
    path("runs/<seg:run>/state.json", playground.run_state),
    path("runs/<seg:run>/cancel", playground.run_cancel),
    path("runs/<seg:run>/explain", explaining.explain_page),
    path("runs/<seg:run>/share", history.run_share),
    path("runs/<seg:run>/unshare", history.run_unshare),
    path("runs/<seg:run>/delete", history.run_delete),
    path("shared/<seg:token>", history.shared_page),
    path("how-it-works", explaining.how_it_works),
    path("how-it-works/<seg:walk>", explaining.walk_page),
    path("playground/compare", compare.compare),
    path("<seg:ns>/<seg:name>/playground", playground.playground),
    path("<seg:ns>/<seg:name>/playground/code", playground.code),
    path("<seg:ns>/<seg:name>/demos", demos.demos_page),
]
