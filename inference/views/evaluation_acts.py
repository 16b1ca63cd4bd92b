"""What people do about evaluations: ask for one, try again, stop it, say something about it."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.views.guards import viewer_of
from catalog.access import repo_for
from catalog.models import ModelRepo
from inference.models import EvaluationRun
from inference.services import asking, datasets, evaluations, scoreboards
from inference.views.scores import show_evaluation, show_evaluations
from store.core.errors import InvalidError, StoreError, UnauthenticatedError


@require_POST
def ask(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Ask for a suite on the newest revision, or on one that is named."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name)
    typed = {key: request.POST.get(key, "") for key in ("suite", "task", "revision")}
    try:
        suite = asking.chosen(viewer, typed["suite"], typed["task"].strip())
        run, is_new = evaluations.ask(viewer, repo, suite, typed["revision"].strip())
    except UnauthenticatedError:
        raise
    except StoreError as error:
        return _refused(request, repo, error, typed)
    text = _("The evaluation is queued.") if is_new else _("This was measured already.")
    messages.success(request, text)
    return _to(repo, run)


@require_POST
def ask_with_file(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Judge the model by questions of one's own: keep the file as a suite, and ask for it."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name)
    typed = {key: request.POST.get(key, "") for key in ("name", "match")}
    try:
        suite = datasets.add_dataset(
            viewer,
            typed["name"].strip().lower(),
            _uploaded(request),
            match="contains" if typed["match"] == "contains" else "exact",
        )
        run, _is_new = evaluations.ask(viewer, repo, suite)
    except UnauthenticatedError:
        raise
    except StoreError as error:
        return _refused(request, repo, error, typed, place="file")
    messages.success(request, _("The evaluation is queued. Only you see it."))
    return _to(repo, run)


def _uploaded(request: HttpRequest) -> bytes:
    """Return the file of a form, no more of it than a data set may have.

    Raises:
        InvalidError: there is none.
    """
    file = request.FILES.get("file")
    if file is None:
        raise InvalidError(_("Choose a file with one question a line (JSONL)."))
    return bytes(file.read(datasets.MAX_BYTES + 1))


def _refused(
    request: HttpRequest,
    repo: ModelRepo,
    error: StoreError,
    typed: dict[str, str],
    *,
    place: str = "suite",
) -> HttpResponse:
    """Show the page again with what was typed and why it was refused."""
    line = error.extra.get("line")
    text = _("Line %(line)s: %(why)s") % {"line": line, "why": error.message}
    context = {"problem": text if line else error.message, "problem_place": place, "typed": typed}
    return show_evaluations(request, repo, status=error.status, **context)


def _run(request: HttpRequest, ns: str, name: str, run: str) -> EvaluationRun:
    viewer = viewer_of(request)
    return scoreboards.run_for(viewer, repo_for(viewer, ns, name), run)


@require_POST
def retry(request: HttpRequest, ns: str, name: str, run: str) -> HttpResponse:
    """Do a run that failed again."""
    return _act(request, _run(request, ns, name, run), evaluations.retry, _("It is queued again."))


@require_POST
def cancel(request: HttpRequest, ns: str, name: str, run: str) -> HttpResponse:
    """Stop a run."""
    return _act(request, _run(request, ns, name, run), evaluations.cancel, _("It is stopped."))


@require_POST
def note(request: HttpRequest, ns: str, name: str, run: str) -> HttpResponse:
    """Add a public note."""
    found, text = _run(request, ns, name, run), request.POST.get("text", "")

    def add(viewer: object, run: EvaluationRun) -> None:
        evaluations.add_note(viewer_of(request), run, text)

    return _act(request, found, add, _("Your note is public."), place="#notes", note_text=text)


def _act(
    request: HttpRequest,
    run: EvaluationRun,
    act: Callable[..., object],
    done: str,
    *,
    place: str = "",
    note_text: str = "",
) -> HttpResponse:
    """Do something with a run and show it; after a refusal with the reason."""
    try:
        act(viewer_of(request), run)
    except UnauthenticatedError:
        raise
    except StoreError as error:
        context = {"problem": error.message, "note_text": note_text}
        return show_evaluation(request, run, status=error.status, **context)
    messages.success(request, done)
    return _to(run.repo, run, place)


def _to(repo: ModelRepo, run: EvaluationRun, place: str = "") -> HttpResponse:
    return redirect(f"/{repo.full_name}/evaluations/{run.public_id}{place}")
