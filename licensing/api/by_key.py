"""Operations for programs that have nothing but a license key.

They are described like every operation of the API and answer like it, but are dispatched without
the REST framework, whose request, negotiation and serializers cost more than the answer itself.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from rest_framework.permissions import AllowAny
from rest_framework.views import APIView

from accounts.viewer import Viewer
from store.core.bodies import read_json
from store.core.errors import InvalidError, StoreError
from store.core.web import client_address, error_body

MAX_BODY_BYTES = 16 * 1024


class MethodError(StoreError):
    """The operation is a ``POST``."""

    code = "method_not_allowed"
    status = 405


class ByKeyView(APIView):
    """One operation with a key in its body; ``post`` does it."""

    permission_classes = (AllowAny,)
    members: frozenset[str] = frozenset()
    """What the body may have beside ``key``."""

    @classmethod
    def as_view(cls, **_initkwargs: Any) -> Callable[..., HttpResponseBase]:  # type: ignore[override]
        """Return the view as a plain function of Django.

        A browser's session is no proof here, so there is nothing another site could forge.
        """

        @csrf_exempt
        def view(request: HttpRequest) -> HttpResponseBase:
            try:
                if request.method != "POST":
                    raise MethodError(_("Send a POST with a JSON body."))
                answer: HttpResponse = cls().post(request)
            except StoreError as error:
                answer = JsonResponse({"error": error_body(error)}, status=error.status)
                if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
                    answer["Allow"] = "POST"
            answer["Cache-Control"] = "no-store"
            return answer

        # what drf-spectacular looks for to find and describe an operation
        view.cls, view.initkwargs = cls, {}  # type: ignore[attr-defined]
        return view

    @classmethod
    def read(cls, request: HttpRequest) -> dict[str, Any]:
        """Return the body, checked to have a key and no member that means nothing.

        Raises:
            InvalidError, BrokenBodyError, TooLargeError: see there.
        """
        body = read_json(request, max_bytes=MAX_BODY_BYTES)
        if not isinstance(body.get("key"), str):
            raise InvalidError(_("Send the license key as 'key'."), field="key")
        if unknown := sorted(body.keys() - cls.members - {"key"}):
            raise InvalidError(
                _("The body has members that mean nothing here: %(names)s.")
                % {"names": ", ".join(unknown)},
                fields=unknown,
            )
        return body

    def post(self, request: HttpRequest) -> JsonResponse:
        """Do it."""
        raise NotImplementedError


def caller(request: HttpRequest) -> Viewer:
    """Return who asks: the owner of a token that was sent, or else nobody."""
    if "Authorization" in request.headers:
        viewer: Viewer = request.viewer  # type: ignore[attr-defined]
        return viewer
    return Viewer(address=client_address(request))


def text_of(body: dict[str, Any], name: str) -> str:
    """Return a text of the body; empty without it.

    Raises:
        InvalidError: it is something else.
    """
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidError(_("'%(name)s' is a text.") % {"name": name}, field=name)
    return value
