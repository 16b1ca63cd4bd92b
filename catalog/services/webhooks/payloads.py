"""What a receiver gets: payload version 3 of the hub, field for field."""

import json
from typing import Any

from django.conf import settings

from accounts.models import Namespace
from catalog.models import Discussion, DiscussionEvent, Listing, RepoEvent, Webhook

VERSION = 3
MAX_REFS = 100
"""Refs one payload names."""
MAX_TITLE_CHARS = 500
MAX_CONTENT_CHARS = 10_000
"""Of a comment."""

_Facts = dict[str, Any]


def domain_of(event: RepoEvent) -> Webhook.Domain | None:
    """Return the domain an event belongs to; ``None``: hub webhooks do not hear of such events."""
    first = event.scope.partition(".")[0]
    return Webhook.Domain(first) if first in Webhook.Domain.values else None


def describe(event: RepoEvent) -> dict[str, Any]:
    """Return what every webhook is told of ``event``.

    Needs ``event.namespace`` and ``event.actor`` loaded.
    """
    return {
        "event": {"action": event.action, "scope": event.scope},
        "repo": _repo(event),
        **_change(event),
    }


def render(parts: dict[str, Any], webhook: Webhook) -> str:
    """Return the JSON text for one webhook; ``parts`` as ``describe`` gives them."""
    return dump(parts | {"webhook": {"id": webhook.public_id, "version": VERSION}})


def render_test(webhook: Webhook, full_name: str) -> str:
    """Return the text of a test: settings of ``full_name`` that did not really change."""
    owner = webhook.owner
    repo = _repo_part(full_name, webhook.public_id, is_private=False, owner_id=owner.public_id)
    body = {
        "event": {"action": RepoEvent.Action.UPDATE, "scope": RepoEvent.Scope.CONFIG},
        "repo": repo,
        "updatedConfig": {},
        "webhook": {"id": webhook.public_id, "version": VERSION},
    }
    return dump(body)


def dump(body: dict[str, Any]) -> str:
    """Return ``body`` as the one text that is kept, sent and signed."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def owner_id(namespace: Namespace | None) -> str:
    """Return the public id of whoever holds a name; empty once they are gone."""
    owner = namespace.owner if namespace else None
    return owner.public_id if owner else ""


def _repo(event: RepoEvent) -> dict[str, Any]:
    part = _repo_part(
        event.full_name,
        event.repo_public_id,
        is_private=event.is_private,
        owner_id=owner_id(event.namespace),
    )
    if head := _head(event):
        part["headSha"] = head
    return part


def _repo_part(name: str, ident: str, *, is_private: bool, owner_id: str) -> dict[str, Any]:
    site = settings.PUBLIC_URL
    return {
        "type": "model",
        "name": name,
        "id": ident,
        "private": is_private,
        "url": {"web": f"{site}/{name}", "api": f"{site}/api/models/{name}"},
        "owner": {"id": owner_id},
    }


def _head(event: RepoEvent) -> str:
    """Return the newest commit of the default branch, as the event left it."""
    for ref in _refs(event.facts):
        if ref["ref"] == "refs/heads/main" and ref["newSha"]:
            return str(ref["newSha"])
    if event.repo_id is None or event.action == RepoEvent.Action.DELETE:
        return ""
    oid = Listing.objects.filter(repo_id=event.repo_id).values_list("head_oid", flat=True).first()
    return oid or ""


def _change(event: RepoEvent) -> _Facts:
    """Return what happened, in the parts that belong to the event's scope."""
    facts, parts = event.facts, _Facts()
    if event.scope == RepoEvent.Scope.CONTENT:
        parts["updatedRefs"] = _refs(facts)
    if event.scope == RepoEvent.Scope.CONFIG:
        parts["updatedConfig"] = facts.get("updated_config", facts)
    if moved := facts.get("moved_to"):
        parts["movedTo"] = _moved_to(str(moved["full_name"]))
    if event.scope == RepoEvent.Scope.SALE:
        parts["sale"] = facts.get("sale", {})
    if event.scope in {RepoEvent.Scope.DISCUSSION, RepoEvent.Scope.COMMENT}:
        parts["discussion"] = _discussion(event)
    if event.scope == RepoEvent.Scope.COMMENT:
        parts["comment"] = _comment(event)
    return parts


def _refs(facts: _Facts) -> list[dict[str, str | None]]:
    given = facts.get("updated_refs") or []
    return [
        {"ref": ref["ref"], "oldSha": ref.get("old") or None, "newSha": ref.get("new") or None}
        for ref in given[:MAX_REFS]
    ]


def _moved_to(full_name: str) -> dict[str, Any]:
    rows = Namespace.objects.select_related("user", "organization")
    namespace = rows.filter(name__iexact=full_name.partition("/")[0]).first()
    return {"name": full_name, "owner": {"id": owner_id(namespace)}}


def _discussion(event: RepoEvent) -> dict[str, Any]:
    """Return the discussion as the event left it; what it does not say, as it is now."""
    facts, num = event.facts, int(event.facts["num"])
    rows = Discussion.objects.select_related("author")
    row = rows.filter(repo_id=event.repo_id, number=num).first()
    web = f"{settings.PUBLIC_URL}/{event.full_name}/discussions/{num}"
    api = f"{settings.PUBLIC_URL}/api/models/{event.full_name}/discussions/{num}"
    is_pull_request = bool(facts.get("is_pull_request"))
    author = row.author if row else event.actor
    part = {
        "id": row.public_id if row else str(facts.get("discussion", "")),
        "title": str(facts.get("title", ""))[:MAX_TITLE_CHARS],
        "url": {"web": web, "api": api},
        "status": facts.get("status") or "open",
        "author": {"id": author.public_id if author else ""},
        "num": num,
        "isPullRequest": is_pull_request,
    }
    if is_pull_request:
        base = row.base_ref if row else facts.get("base")
        changes = {"base": base or "refs/heads/main"}
        if row and row.merge_oid:
            changes["mergeCommitId"] = row.merge_oid
        part["changes"] = changes
    return part


def _comment(event: RepoEvent) -> dict[str, Any]:
    """Return the comment as it is now: one that was hidden meanwhile says nothing."""
    ident = str(event.facts["comment"])
    rows = DiscussionEvent.objects.select_related("author").filter(public_id=ident)
    row = rows.filter(discussion__repo=event.repo_id).first()
    author = row.author if row else event.actor
    num = event.facts["num"]
    part = {
        "id": ident,
        "author": {"id": author.public_id if author else ""},
        "hidden": row.is_hidden if row else bool(event.facts.get("is_hidden")),
        "url": {"web": f"{settings.PUBLIC_URL}/{event.full_name}/discussions/{num}#{ident}"},
    }
    if row and not row.is_hidden:
        part["content"] = row.text[:MAX_CONTENT_CHARS]
    return part
