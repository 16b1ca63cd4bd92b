"""Asking for a gated model, answering who asks, and one's own requests."""

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from accounts.views.guards import personal, viewer_of
from catalog.access import repo_for
from catalog.forms import GateQuestions, MemberNameForm, sent_answers
from catalog.models import AccessRequest, ModelRepo
from catalog.services import access_lists, access_requests
from catalog.services.gate_answers import AnswersError, gate_form_of
from catalog.views.listing import frame, open_repo
from store.core.errors import InvalidError, StoreError
from store.core.paging import BadCursorError
from store.core.spreadsheets import csv_answer
from store.core.web import wants_json

PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
def ask_page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Show what a gated model asks, and take the answers (contract 14)."""
    repo = open_repo(request, ns, name)
    if isinstance(repo, HttpResponse):
        return repo
    viewer = viewer_of(request)
    if viewer.is_visitor and not wants_json(request):
        return redirect(f"/login?{urlencode({'next': f'/{repo.full_name}/ask-access'})}")
    form, status, problem = gate_form_of(repo), 200, ""
    shown = GateQuestions(form)
    if request.method == "POST":
        given = sent_answers(form, request.POST.dict())
        try:
            asked = access_requests.ask(viewer, repo, given)
        except StoreError as error:
            if wants_json(request):
                raise
            wrong = error.extra.get("fields") if isinstance(error, AnswersError) else {}
            shown = GateQuestions(form, given=given, wrong=wrong if isinstance(wrong, dict) else {})
            status = error.status
            problem = "" if isinstance(error, AnswersError) else error.message
        else:
            return _asked(request, repo, asked)
    context = frame(viewer, repo, tab="card")
    context |= {"gate_questions": shown, "gate_problem": problem}
    answer = render(request, "catalog/ask.html", context, status=status)
    answer["Cache-Control"] = "private, no-store"
    return answer


def _asked(request: HttpRequest, repo: ModelRepo, asked: AccessRequest) -> HttpResponse:
    """Lead back to the model, as the contract says: 303."""
    if asked.status == AccessRequest.Status.ACCEPTED:
        messages.success(request, _("You have access: everything here is yours to download."))
    else:
        messages.success(request, _("Your request is sent. You get a letter with the answer."))
    answer = redirect(f"/{repo.full_name}")
    answer.status_code = 303
    return answer


@require_POST
def withdraw(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Take one's own request back."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name)
    access_requests.withdraw(viewer, repo)
    messages.success(request, _("Your request is taken back, and your answers are deleted."))
    here = request.POST.get("next") == "mine"
    answer = redirect("/settings/access-requests" if here else f"/{repo.full_name}")
    answer.status_code = 303
    return answer


@require_safe
@personal
def own_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show the person's requests and what came of them."""
    rows = access_lists.own_requests(viewer_of(request))[:200]
    context = {"requests": rows, "section": "access"}
    return render(request, "catalog/own_requests.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def requests_page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Show who asks for a gated model, and answer them."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="write")
    access_requests.check_publisher(viewer, repo)
    form, code = MemberNameForm(), 200
    if request.method == "POST":
        form = MemberNameForm(request.POST if request.POST.get("form") == "grant" else None)
        try:
            if done := _apply(request, repo, form):
                return done
            code = 400
        except StoreError as error:
            if wants_json(request):
                raise
            code = error.status
            if form.is_bound:
                form.add_error("user", error.message)
            else:
                messages.error(request, error.message)
    status = _status(request)
    try:
        page = access_lists.list_requests(
            viewer, repo, status, cursor=request.GET.get("cursor"), limit=PAGE
        )
    except BadCursorError:  # an old link: start at the front
        page = access_lists.list_requests(viewer, repo, status, limit=PAGE)
    more = urlencode({"status": status, "cursor": page.next_cursor})
    context = frame(viewer, repo, tab="access") | {
        "requests": page.rows,
        "next_href": f"?{more}" if page.next_cursor else "",
        "status": status,
        "counts": access_lists.counts_of(repo),
        "form": form,
    }
    answer = render(request, "catalog/access_requests.html", context, status=code)
    answer["Cache-Control"] = "private, no-store"
    return answer


def _status(request: HttpRequest) -> str:
    asked = request.GET.get("status", "")
    return asked if asked in AccessRequest.LISTED else AccessRequest.Status.PENDING.value


def _apply(request: HttpRequest, repo: ModelRepo, form: MemberNameForm) -> HttpResponse | None:
    """Do what the page's forms ask for; ``None``: there is an error to show.

    Raises:
        StoreError: what the services refuse.
    """
    viewer, sent = viewer_of(request), request.POST
    if form.is_bound:
        if not form.is_valid():
            return None
        let_in = access_requests.grant(viewer, repo, form.cleaned_data["user"])
        messages.success(request, _("%(name)s has access.") % {"name": let_in.user.username})
        return redirect(f"/{repo.full_name}/access-requests?status=accepted")
    ids, reason = sent.getlist("request"), sent.get("reason", "").strip()
    if not ids:
        raise InvalidError(_("Choose at least one request."))
    seen, status = sent.get("seen") or None, sent.get("status", "")
    if len(ids) == 1:
        access_requests.answer(
            viewer, repo, status=status, request_id=ids[0], reason=reason, seen=seen
        )
        failed: list[str] = []
    else:
        results = access_requests.answer_many(
            viewer, repo, ids, status=status, reason=reason, seen=seen
        )
        failed = [each.error.message for each in results if each.error]
    done = len(set(ids)) - len(failed)
    if done:
        text = ngettext("%(n)d request is answered.", "%(n)d requests are answered.", done)
        messages.success(request, text % {"n": done})
    for message in dict.fromkeys(failed):
        messages.error(request, message)
    return redirect(f"/{repo.full_name}/access-requests?status={_status(request)}")


@require_safe
def requests_table(request: HttpRequest, ns: str, name: str) -> HttpResponseBase:
    """Send the requests of one status as CSV."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="write")
    status = _status(request)
    lines = access_lists.table_of(viewer, repo, status)
    return csv_answer(lines, f"{repo.name}-access-{status}.csv")
