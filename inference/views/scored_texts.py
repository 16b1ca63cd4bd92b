"""A text of anybody's, read by one or two models: how much each token surprised them."""

from contextlib import suppress
from itertools import zip_longest
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.views.guards import viewer_of
from inference.forms_of_two import ScoreForm
from inference.models import Explanation, ScoredText
from inference.services import explanations, runs, scored_texts
from inference.services.reading_along import along, word_around
from inference.services.runs import RunNotFoundError
from inference.views.choosing import named, offered, trials_of
from inference.views.playground import can_see, read_own
from inference.visitors import visitor_key
from store.core.errors import RateLimitedError, StoreError

_SIDES = ("A", "B")
_LEAST = explanations.COST_TOKENS["tokens"]
"""Tokens each reading takes at least."""


@require_http_methods(["GET", "HEAD", "POST"])
def score_page(request: HttpRequest) -> HttpResponse:
    """Show the form, filled from an own run where the address names one, or take a text."""
    if request.method != "POST":
        return _form_page(request, ScoreForm(initial=_initial(request)))
    form = ScoreForm(request.POST)
    try:
        if not form.is_valid():
            raise form.problem()
        row = scored_texts.submit(
            viewer_of(request),
            [named(request, name) for name in form.names()],
            form.cleaned_data["text"],
            prompt=form.cleaned_data["prompt"],
            visitor_key=visitor_key(request, make=True),
        )
    except StoreError as error:
        return _form_page(request, form, problem=error)
    return redirect(f"/playground/score/{row.public_id}")


def _initial(request: HttpRequest) -> dict[str, str]:
    initial = {name: request.GET.get(name, "") for name in ("a", "b", "prompt", "text")}
    with suppress(RunNotFoundError):
        run = read_own(request, request.GET.get("run", ""))
        initial["a"] = initial["a"] or run.repo.full_name
        if run.texts and run.messages is None:
            initial |= {"prompt": run.prompt, "text": run.texts[0]}
    return initial


def _form_page(
    request: HttpRequest, form: ScoreForm, problem: StoreError | None = None
) -> HttpResponse:
    context = {
        "form": form,
        "problem": problem.message if problem else "",
        "choices": offered(),
        "trials": trials_of(request, [form[side].value() or "" for side in ("a", "b")]),
        "cost": _LEAST,
    }
    status = problem.status if problem else 200
    answer = render(request, "inference/score.html", context, status=status)
    if isinstance(problem, RateLimitedError):
        answer["Retry-After"] = str(problem.retry_after_s)
    return _private(answer)


@require_safe
def text_page(request: HttpRequest, text: str) -> HttpResponse:
    """Show what each model made of a text, as far as it has come."""
    row, found = scored_texts.read(viewer_of(request), text, visitor_key(request))
    names = [each.repo.full_name for each in found]
    context: dict[str, Any] = {
        "row": row,
        "sides": [
            {
                "side": _SIDES[each.place],
                "name": each.repo.full_name,
                "is_visible": can_see(request, each.repo),
                "explanation": each,
            }
            for each in found
        ],
        "is_open": any(each.is_open for each in found),
        "standing": next((runs.standing(each) for each in found if each.is_open), None),
        "form": ScoreForm(initial=_again(row, names)),
        "trials": trials_of(request, names),
        "cost": _LEAST,
        "cancel_url": f"/playground/score/{text}/cancel",
    }
    context |= _shown(row, found)
    return _private(render(request, "inference/scored_text.html", context))


def _again(row: ScoredText, names: list[str]) -> dict[str, str]:
    """Return what the form begins with to let others read the same text."""
    sides = dict(zip_longest(("a", "b"), names, fillvalue=""))
    return sides | {"prompt": row.prompt, "text": row.text}


def _shown(row: ScoredText, found: list[Explanation]) -> dict[str, Any]:
    """Return what the models that have read it made of it; nothing while one still reads."""
    done = [each for each in found if each.result is not None]
    if not done or any(each.is_open for each in found):
        return {}
    shown = along(row.text, [each.result for each in done if each.result is not None])
    names = [each.repo.full_name for each in done]
    sides = [_SIDES[each.place] for each in done]
    rates = [total.bits_per_byte for total in shown.totals]
    best = None
    if len(rates) > 1 and rates[0] is not None and rates[1] is not None:
        best = min(range(2), key=lambda at: rates[at] or 0.0)
    return {
        "shown": shown,
        "sums": list(zip(sides, names, shown.totals, shown.curves, strict=True)),
        "names": names,
        "better": "" if best is None else names[best],
        "is_even": best is not None and abs((rates[0] or 0) - (rates[1] or 0)) < 0.005,
        "differences": [
            {
                "name": names[(each.difference or 0.0) > 0],
                "bits": abs(each.difference or 0.0),
                "passage": each,
                "word": word_around(row.text, each),
            }
            for each in shown.differences
        ],
        "is_partly": any(not each.is_counted for each in shown.passages),
    }


@require_POST
def text_cancel(request: HttpRequest, text: str) -> HttpResponse:
    """Stop the models that still read a text."""
    scored_texts.cancel(viewer_of(request), text, visitor_key(request))
    return redirect(f"/playground/score/{text}")


@require_POST
def text_delete(request: HttpRequest, text: str) -> HttpResponse:
    """Delete a text and what was said of it."""
    scored_texts.delete(viewer_of(request), text, visitor_key(request))
    messages.success(request, _("The text is deleted, and what the models made of it."))
    return redirect("/playground/score")


def _private(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "private, no-store"
    return answer
