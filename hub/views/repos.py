"""Creating, deleting, moving repositories and their settings (contract 7)."""

import base64
import binascii
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.access import RepoMovedError, repo_for
from catalog.models import ModelRepo
from catalog.services.discussions import are_disabled, set_disabled
from catalog.services.repos import (
    NewRepo,
    RepoExistsError,
    change_settings,
    create_repo,
    delete_repo,
    move_repo,
)
from hub import shapes
from hub.answers import hub_view
from store.core.bodies import read_json
from store.core.errors import InvalidError
from store.core.web import origin

MAX_CREATE_BYTES = 32 * 1024 * 1024
_LETTERS = ("gatedNotificationsEmail", "gatedNotificationsMode")
"""Settings of the hub that would send access requests elsewhere than to the writers."""


class SettingError(InvalidError):
    """The hub has this setting and this store has not."""

    code = "setting_not_offered"


@hub_view("POST")
def create(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Make a repository (contract 7.1)."""
    viewer.identified()  # before a body of many megabytes is read
    body = read_json(request, max_bytes=MAX_CREATE_BYTES)
    _only_models(body)
    new = NewRepo(
        name=text_of(body, "name"),
        namespace=body.get("organization") or None,
        is_private=privacy_of(body),
        license=str(body.get("license") or ""),
        files=dict(_file(item) for item in body.get("files") or []),
    )
    if "/" in new.name and new.namespace is None:
        namespace, _, name = new.name.partition("/")
        new = NewRepo(name, namespace, new.is_private, new.license, new.files)
    try:
        repo = create_repo(viewer, new)
    except RepoExistsError as error:
        url = f"{origin(request)}/{error.extra['full_name']}"
        return JsonResponse({"error": error.message, "url": url}, status=409)
    url = f"{origin(request)}/{repo.full_name}"
    return JsonResponse({"url": url, "name": repo.full_name, "id": repo.public_id})


@hub_view("DELETE")
def delete(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Delete a repository (contract 7.2)."""
    body = read_json(request)
    _only_models(body)
    viewer.identified()
    repo = _named(viewer, body.get("organization"), text_of(body, "name"))
    delete_repo(viewer, repo)
    return JsonResponse({"success": True})


@hub_view("POST")
def move(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Rename a repository, or give it to another name space (contract 7.3)."""
    body = read_json(request)
    _only_models(body)
    viewer.identified()
    source = _named(viewer, None, text_of(body, "fromRepo"))
    namespace, _, name = text_of(body, "toRepo").rpartition("/")
    moved = move_repo(viewer, source, namespace=namespace or source.namespace.name, name=name)
    return JsonResponse({"success": True, "url": f"{origin(request)}/{moved.full_name}"})


@hub_view("PUT")
def settings(request: HttpRequest, viewer: Viewer, ns: str, name: str) -> HttpResponseBase:
    """Change visibility and gate (contract 7.4)."""
    repo = repo_for(viewer, ns, name, to="admin")
    body = read_json(request)
    is_private, gate, is_disabled = privacy_of(body), _gate(body), body.get("discussionsDisabled")
    if is_disabled is not None and not isinstance(is_disabled, bool):
        raise InvalidError("discussionsDisabled is true or false.")
    if asked := [key for key in _LETTERS if key in body]:
        raise SettingError(
            f"{asked[0]} is not a setting of a model here: each of its writers is told of access"
            " requests, and chooses how at /settings/notifications. Leave it out."
        )
    changed = change_settings(viewer, repo, is_private=is_private, gate=gate)
    if is_disabled is not None:
        set_disabled(viewer, repo, is_disabled=is_disabled)
    return JsonResponse(
        {
            "private": changed.is_private,
            "visibility": "private" if changed.is_private else "public",
            "gated": shapes.gated(changed),
            "discussionsDisabled": are_disabled(repo),
        }
    )


def _gate(body: dict[str, Any]) -> str | None:
    """Return the gate a body asks for; ``None``: it does not say."""
    gate = body.get("gated")
    if gate is None:
        return None
    if gate is False:
        return str(ModelRepo.Gate.NONE)
    if gate not in ("auto", "manual"):
        raise InvalidError("gated is 'auto', 'manual' or false.")
    return str(gate)


def _named(viewer: Viewer, namespace: str | None, name: str) -> ModelRepo:
    """Return the repository a body names; an old id leads to the present one."""
    user = viewer.identified()
    if "/" in name and not namespace:
        namespace, _, name = name.partition("/")
    try:
        return repo_for(viewer, namespace or user.username, name)
    except RepoMovedError as moved:
        return moved.repo


def privacy_of(body: dict[str, Any]) -> bool | None:
    """Return whether a body asks for a private repository; ``None``: it does not say.

    Raises:
        InvalidError: it says something else.
    """
    visibility = body.get("visibility")
    if visibility is not None:
        if visibility not in {"public", "private"}:
            raise InvalidError("visibility is 'public' or 'private'.")
        return bool(visibility == "private")
    private = body.get("private")
    if private is None:
        return None
    if not isinstance(private, bool):
        raise InvalidError("private is true or false.")
    return private


def text_of(body: dict[str, Any], key: str) -> str:
    """Return a text that must be there.

    Raises:
        InvalidError: it is missing, empty or no text.
    """
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidError(f"'{key}' is missing.")
    return value


def _only_models(body: dict[str, Any]) -> None:
    if (body.get("type") or "model") != "model":
        raise InvalidError("This store holds models only: leave 'type' out or say 'model'.")


def _file(item: Any) -> tuple[str, bytes]:
    if not isinstance(item, dict):
        raise InvalidError("Each of 'files' is an object with path, content and encoding.")
    return text_of(item, "path"), decode_content(item)


def decode_content(item: dict[str, Any]) -> bytes:
    """Return the bytes of a ``content`` + ``encoding`` pair.

    Raises:
        InvalidError: it is not what its encoding says.
    """
    content, encoding = item.get("content"), item.get("encoding") or "utf-8"
    if not isinstance(content, str):
        raise InvalidError("'content' is missing.")
    if encoding == "base64":
        try:
            return base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise InvalidError("'content' is not valid base64.") from exc
    if encoding != "utf-8":
        raise InvalidError("'encoding' is 'utf-8' or 'base64'.")
    return content.encode("utf-8", "surrogatepass")
