"""Pages of background work: a person's own, and everybody's for staff."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from accounts.views.guards import personal, viewer_of
from store.core.errors import NotFoundError, StoreError
from store.core.models import Job
from store.core.paging import keyset_page
from store.core.placing import present
from store.core.queue_figures import figures
from store.core.queues import Queue
from workers import desk

PAGE = 30
_FILTERS = ("state", "queue", "name")


@require_safe
@personal
def own_jobs(request: HttpRequest, user: User) -> HttpResponse:
    """List the jobs of the person in the browser."""
    return _list(request, desk.jobs_of(user), is_all=False)


@require_safe
@personal
def all_jobs(request: HttpRequest, user: User) -> HttpResponse:
    """List everybody's jobs, with queues and workers.

    Raises:
        NotFoundError: for all who are not staff there is no such page.
    """
    if not viewer_of(request).is_staff:
        raise NotFoundError(_("There is nothing at this address."))
    return _list(request, desk.all_jobs(), is_all=True)


@require_safe
@personal
def job_page(request: HttpRequest, user: User, job_id: str) -> HttpResponse:
    """Show one job. Looks again by itself while it is open."""
    viewer = viewer_of(request)
    job = desk.job_for(viewer, job_id)
    (shown,) = desk.shown(viewer, [job])
    context = {"shown": shown, "job": job, "is_mine": job.asker == f"user:{user.pk}"}
    return render(request, "workers/job.html", context | {"section": "jobs"})


@require_POST
@personal
def cancel_job(request: HttpRequest, user: User, job_id: str) -> HttpResponse:
    """End a job."""
    viewer = viewer_of(request)
    job = desk.job_for(viewer, job_id)
    try:
        desk.cancel(viewer, job)
    except StoreError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("The job is cancelled."))
    return redirect(f"/settings/jobs/{job.pk}")


@require_POST
@personal
def retry_job(request: HttpRequest, user: User, job_id: str) -> HttpResponse:
    """Try a job again."""
    viewer = viewer_of(request)
    job = desk.job_for(viewer, job_id)
    try:
        job = desk.retry(viewer, job)
    except StoreError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("It is tried again."))
    return redirect(f"/settings/jobs/{job.pk}")


def _list(request: HttpRequest, rows: QuerySet[Job], *, is_all: bool) -> HttpResponse:
    chosen = {name: request.GET.get(name, "")[:64] for name in _FILTERS}
    if not is_all:
        chosen |= {"queue": "", "name": ""}
    found, cursor = keyset_page(desk.narrowed(rows, **chosen), request.GET.get("cursor"), PAGE)
    given = {name: value for name, value in chosen.items() if value}
    context: dict[str, Any] = {
        "rows": desk.shown(viewer_of(request), found),
        "next_href": f"?{urlencode(given | {'cursor': cursor})}" if cursor else "",
        "chosen": chosen,
        "states": desk.STATES.items(),
        "section": "jobs",
    }
    if is_all:
        context |= {"queues": figures(), "workers": present(), "queue_names": list(Queue)}
    template = "workers/all_jobs.html" if is_all else "workers/jobs.html"
    return render(request, template, context)
