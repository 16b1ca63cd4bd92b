"""JSON of discussions and pull requests (contract 12.1)."""

from typing import Any

from accounts.models import User
from accounts.viewer import Viewer
from catalog.history.diffs import unified_text
from catalog.models import CommentVersion, Discussion, DiscussionEvent
from catalog.services.changes import diffs_of
from catalog.services.comments import HIDDEN, html_of
from catalog.services.merging import MAX_NAMED, Proposal
from hub.shapes import avatar
from store.core.clock import iso


def author(user: User | None) -> dict[str, Any]:
    """Who did it. An account that was deleted is left out: clients then say "deleted"."""
    if user is None:
        return {}
    return {
        "author": {
            "_id": user.public_id,
            "name": user.username,
            "fullname": user.display_name,
            "avatarUrl": avatar(user.username),
            "type": "user",
            "isPro": False,
            "isHf": False,
        }
    }


def item(discussion: Discussion) -> dict[str, Any]:
    """A discussion in a list. Needs ``author`` and ``repo`` loaded."""
    return {
        "_id": discussion.public_id,
        "num": discussion.number,
        "title": discussion.title,
        "status": discussion.status,
        **author(discussion.author),
        "isPullRequest": discussion.is_pull_request,
        "createdAt": iso(discussion.created_at),
        "repo": {"name": discussion.repo.full_name, "type": "model"},
        "repoOwner": {"name": discussion.repo.namespace.name},
        "numComments": discussion.comment_count,
        "numReactionUsers": 0,
        "topReactions": [],
        "pinned": discussion.is_pinned,
    }


def details(
    viewer: Viewer,
    discussion: Discussion,
    events: list[DiscussionEvent],
    proposal: Proposal | None,
    *,
    with_diff: bool,
) -> dict[str, Any]:
    """A discussion with everything that happened in it; a pull request with what it changes."""
    body = item(discussion) | {"events": [event(discussion, each) for each in events]}
    if proposal is None:
        return body
    changes = {"base": discussion.base_ref}
    if discussion.merge_oid:
        changes["mergeCommitId"] = discussion.merge_oid
    body |= {"changes": changes, "filesWithConflicts": _conflicts(proposal)}
    if with_diff:
        body["diff"] = unified_text(diffs_of(viewer, discussion, proposal))
    return body


def _conflicts(proposal: Proposal) -> list[str] | bool:
    """Return the files in conflict; ``True`` when there is nothing to merge into any more."""
    return proposal.conflicts[:MAX_NAMED] if proposal.is_base_there else True


def event(discussion: Discussion, happened: DiscussionEvent) -> dict[str, Any]:
    """One thing that happened. Needs ``author``, ``edited_by`` and ``versions`` loaded."""
    is_comment = happened.kind == DiscussionEvent.Kind.COMMENT
    return {
        "id": happened.public_id,
        "type": happened.kind,
        "createdAt": iso(happened.created_at),
        **author(happened.author),
        "data": _comment(discussion, happened) if is_comment else happened.facts,
    }


def _comment(discussion: Discussion, happened: DiscussionEvent) -> dict[str, Any]:
    versions = list(happened.versions.all())
    editor = happened.edited_by if happened.edited_at else happened.author
    latest = {
        "raw": HIDDEN if happened.is_hidden else happened.text,
        "html": "" if happened.is_hidden else html_of(discussion, happened),
        "updatedAt": iso(happened.edited_at or happened.created_at),
        **author(editor),
    }
    data: dict[str, Any] = {
        "edited": bool(versions),
        "hidden": happened.is_hidden,
        "latest": latest,
        "history": [_version(version) for version in versions],
        "numEdits": len(versions),
        "identifiedLanguage": None,
        "isReport": False,
        "reactions": [],
        "relatedEventId": None,
    }
    if happened.is_hidden and happened.edited_by is not None:
        data |= {"hiddenBy": happened.edited_by.username}
    return {key: value for key, value in data.items() if value is not None}


def _version(version: CommentVersion) -> dict[str, Any]:
    return {
        "raw": version.text,
        "html": version.html,
        "updatedAt": iso(version.written_at),
        **author(version.author),
    }
