"""Who calls the Xet service: tokens of its own, bound to a repository and short-lived.

A token says nothing a client could use elsewhere and grants nothing by itself: whoever it was
made for must still exist, be active and see the repository whenever it is used.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, Literal

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from accounts.models import AccessToken, Namespace, User
from accounts.throttling import XET, count_request, key_of
from accounts.viewer import Viewer
from catalog.access import RepoNotFoundError
from catalog.content.quotas import charged_for
from catalog.content.uploads import check_may_upload
from catalog.models import ModelRepo
from hub.answers import HubView, hub_view
from store.core.errors import BadCredentialsError, ForbiddenError
from store.core.web import client_address, origin

LIFE_S = 900
"""Clients renew a token by themselves when less than a minute of it is left."""
_SALT = "hub.xet"

Scope = Literal["read", "write"]


class XetScopeError(ForbiddenError):
    """The token only reads."""

    code = "missing_scope"


@dataclass(frozen=True)
class XetCaller:
    """The caller of the Xet service."""

    viewer: Viewer
    repo: ModelRepo
    """The repository the token is for."""

    @property
    def user(self) -> User:
        """The person. Tokens that write always have one."""
        return self.viewer.identified()

    @cached_property
    def charged_to(self) -> Namespace:
        """Whose room an upload takes."""
        return charged_for(self.repo, self.user)


def service_url(request: HttpRequest) -> str:
    """Return the ``casUrl``: clients keep what they know of xorbs by exactly this text."""
    generation: int = settings.ENV.xet_generation
    return f"{origin(request)}/xet" + (f"/{generation}" if generation > 1 else "")


def token_answer(
    request: HttpRequest, viewer: Viewer, repo: ModelRepo, scope: Scope
) -> JsonResponse:
    """Answer with a token in both forms: some clients read the body, others the headers."""
    until_s = int(time.time()) + LIFE_S
    text = signing.dumps(
        {
            "repo": repo.pk,
            "user": viewer.user.pk if viewer.user else None,
            "token": viewer.token.pk if viewer.token else None,
            "scope": scope,
            "until": until_s,
        },
        salt=_SALT,
    )
    url = service_url(request)
    answer = JsonResponse({"accessToken": text, "exp": until_s, "casUrl": url})
    answer["X-Xet-Access-Token"] = text
    answer["X-Xet-Token-Expiration"] = str(until_s)
    answer["X-Xet-Cas-Url"] = url
    answer["Cache-Control"] = "private, no-store"
    return answer


def token_headers(
    request: HttpRequest, viewer: Viewer, repo: ModelRepo, scope: Scope
) -> dict[str, str]:
    """Return the token as LFS batch answers carry it."""
    answer = token_answer(request, viewer, repo, scope)
    return {name: answer[name] for name in answer.headers if name.startswith("X-Xet-")}


def xet_view(*methods: str, scope: Scope) -> Callable[[HubView], HubView]:
    """Make a function a view of the Xet service.

    The function gets ``(request, caller, **path)``; what it raises becomes the protocol's answer.
    """

    def decorate(function: HubView) -> HubView:
        @hub_view(*methods)
        @wraps(function)
        def view(request: HttpRequest, _viewer: Viewer, **path: Any) -> HttpResponseBase:
            path.pop("generation", None)
            return function(request, caller_of(request, scope), **path)

        return view

    return decorate


def caller_of(request: HttpRequest, scope: Scope) -> XetCaller:
    """Return who calls.

    Raises:
        BadCredentialsError: no token, or one that is forged, expired or revoked.
        XetScopeError: it only reads.
        MissingScopeError: the token it was made with may not upload here any more.
        RepoNotFoundError: its repository went, or is hidden from its person now.
        RateLimitedError: too many calls.
    """
    said = _said(request)
    viewer = _viewer(request, said)
    count_request(XET, key_of(request, viewer))
    repo = (
        ModelRepo.objects.visible_to(viewer)
        .select_related("namespace")
        .filter(pk=said["repo"])
        .first()
    )
    if repo is None:
        raise RepoNotFoundError("The repository this token is for is gone.")
    if scope == "write" and said["scope"] != "write":
        raise XetScopeError("This Xet token only reads. Ask for a write token.")
    if scope == "write":
        check_may_upload(viewer, repo)  # what a fine-grained token may do can be taken back
    return XetCaller(viewer, repo)


def _said(request: HttpRequest) -> dict[str, Any]:
    kind, _, text = request.headers.get("Authorization", "").strip().partition(" ")
    try:
        said: dict[str, Any] = signing.loads(text.strip(), salt=_SALT)
    except signing.BadSignature as exc:
        raise BadCredentialsError("This is no Xet token of this store.") from exc
    if kind.lower() != "bearer" or said["until"] < time.time():
        raise BadCredentialsError("This Xet token has expired. Ask for a new one.")
    return said


def _viewer(request: HttpRequest, said: dict[str, Any]) -> Viewer:
    address = client_address(request)
    if said["user"] is None:
        return Viewer(address=address)
    token = None
    if said["token"]:
        token = AccessToken.objects.select_related("user").filter(pk=said["token"]).first()
    user = token.user if token else User.objects.filter(pk=said["user"]).first()
    is_good = user is not None and user.is_active and user.pk == said["user"]
    if not is_good or (said["token"] and (token is None or not token.is_usable)):
        raise BadCredentialsError("Whoever this Xet token was made for may not use it any more.")
    return Viewer(user=user, token=token, address=address)


def not_here(message: str) -> HttpResponse:
    """Answer 404 where that is a normal answer: clients then do without."""
    answer = JsonResponse({"error": message}, status=404)
    answer._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 - no warning
    return answer
