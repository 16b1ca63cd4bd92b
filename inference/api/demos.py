"""``/api/v1/models/{ns}/{name}/demos``: what the store let a model write."""

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import viewer
from catalog.access import repo_for
from catalog.api import parameters
from catalog.history.refs import resolve
from inference.api import examples
from inference.api.serializers import DemosOut
from inference.services.demos import demos_of


class DemosView(APIView):
    """Demo generations of one revision."""

    permission_classes = (IsAuthenticatedOrReadOnly,)

    @extend_schema(
        operation_id="models_demos",
        summary="Read what the store let a model write",
        description="The same published prompts for every model, greedy and with a fixed seed."
        " Without `revision` those of the newest commit that has any.",
        parameters=[parameters.REVISION],
        responses=DemosOut,
        examples=[examples.DEMOS],
    )
    def get(self, request: Request, ns: str, name: str) -> Response:
        """Answer all of them; nobody can write here."""
        who = viewer(request)
        repo = repo_for(who, ns, name)
        revision = request.query_params.get("revision", "")
        commit_oid = resolve(repo, revision).commit_oid if revision else ""
        found = demos_of(who, repo, commit_oid)
        body = {
            "model": repo.full_name,
            "revision": found.commit_oid,
            "is_current": found.is_current,
            "set_version": found.rows[0].set_version if found.rows else None,
            "reason": found.why_none,
            "results": found.rows,
        }
        return Response(DemosOut(body).data)
