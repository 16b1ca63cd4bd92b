"""``/api/v1/jobs``: background work of the caller, as programs follow it."""

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Scope
from accounts.rest import viewer
from catalog.api.parameters import page_of, paging
from store.core.models import Job
from workers import desk
from workers.api import examples
from workers.api.serializers import JobOut, JobsPageOut


class JobsView(APIView):
    """The caller's jobs."""

    @extend_schema(
        operation_id="jobs_list",
        summary="List jobs",
        parameters=[
            OpenApiParameter("state", str, enum=list(desk.STATES), description="Only these."),
            *paging(),
        ],
        responses=JobsPageOut,
        examples=[examples.JOBS],
    )
    def get(self, request: Request) -> Response:
        """Answer the caller's background work of the last month, newest first."""
        who = viewer(request)
        rows = desk.jobs_of(who.signed_in())
        found, cursor = page_of(
            request, desk.narrowed(rows, state=request.query_params.get("state", ""))
        )
        body = {"results": desk.shown(who, found), "next": cursor}
        return Response(JobsPageOut(body).data)


class JobView(APIView):
    """One job."""

    @extend_schema(
        operation_id="jobs_read", summary="Read a job", responses=JobOut, examples=[examples.JOB]
    )
    def get(self, request: Request, job_id: str) -> Response:
        """Answer a job of the caller's; staff with an admin token read all."""
        return _answer(request, desk.job_for(viewer(request), job_id))


class CancelJobView(APIView):
    """Cancelling a job."""

    @extend_schema(
        operation_id="jobs_cancel",
        summary="Cancel a job",
        request=None,
        responses=JobOut,
        examples=[examples.JOB],
    )
    def post(self, request: Request, job_id: str) -> Response:
        """End it, and with it what it is for; a worker that does it stops within seconds."""
        who = viewer(request)
        who.require(Scope.WRITE)
        job = desk.job_for(who, job_id)
        desk.cancel(who, job)
        job.refresh_from_db()
        return _answer(request, job)


class RetryJobView(APIView):
    """Trying a job again."""

    @extend_schema(
        operation_id="jobs_retry",
        summary="Try a job again",
        request=None,
        responses=JobOut,
        examples=[examples.JOB],
    )
    def post(self, request: Request, job_id: str) -> Response:
        """Queue it again after it failed or was cancelled; a generation becomes a new job."""
        who = viewer(request)
        who.require(Scope.WRITE)
        return _answer(request, desk.retry(who, desk.job_for(who, job_id)))


def _answer(request: Request, job: Job) -> Response:
    (shown,) = desk.shown(viewer(request), [job])
    return Response(JobOut(shown).data)
