"""Events and notices in words, for feeds, inboxes and mails."""

from typing import Any
from urllib.parse import quote

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.models import Notice, RepoEvent

MAX_TITLE_CHARS = 120
_Scope, _Action = RepoEvent.Scope, RepoEvent.Action


def title_of(event: RepoEvent) -> str:
    """Return the title of what an event is about: of a commit or a thread; else empty."""
    title = str(event.facts.get("title") or "")
    return title if len(title) <= MAX_TITLE_CHARS else title[: MAX_TITLE_CHARS - 1] + "…"


def event_words(event: RepoEvent, *, count: int = 1) -> str:
    """Say what the actor did, as the middle of a sentence: actor, words, model.

    Args:
        event: What happened.
        count: How many such events in a row stand behind it.
    """
    is_pull = bool(event.facts.get("is_pull_request"))
    match (event.scope, event.action):
        case (_Scope.CONTENT, _):
            return ngettext("changed files of", "changed files %(n)d times of", count) % {
                "n": count
            }
        case (_Scope.REPO, _Action.CREATE):
            return _("created")
        case (_Scope.REPO, _Action.MOVE):
            return _("renamed a model to")
        case (_Scope.CONFIG, _):
            return _("opened to everybody")
        case (_Scope.LIKE, _):
            return _("liked")
        case (_Scope.DISCUSSION, _Action.CREATE):
            return _("proposed a change to") if is_pull else _("opened a discussion about")
        case (_Scope.COMMENT, _):
            return _("commented on")
    return _("changed")


def event_link(event: RepoEvent, full_name: str) -> str:
    """Return the path of what an event is about, at the model's present name."""
    number = event.facts.get("num")
    if event.scope in {_Scope.DISCUSSION, _Scope.COMMENT} and isinstance(number, int):
        comment = event.facts.get("comment")
        place = f"#{quote(comment, safe='')}" if isinstance(comment, str) else ""
        return f"/{full_name}/discussions/{number}{place}"
    if event.scope == _Scope.CONTENT:
        moved = event.facts.get("updated_refs") or [{}]
        new = moved[0].get("new")
        if isinstance(new, str) and new:
            return f"/{full_name}/commit/{quote(new, safe='')}"
    return f"/{full_name}"


def notice_words(notice: Notice) -> str:
    """Say in one sentence what a notice is about. Needs its event, model and people loaded."""
    if notice.event is None or notice.repo is None:
        who = notice.actor.username if notice.actor else _("Somebody")
        return _("%(who)s follows you") % {"who": who}
    event, model = notice.event, notice.repo.full_name
    who = event.actor.username if event.actor else _("Somebody")
    values: dict[str, Any] = {"who": who, "model": model, "title": title_of(event)}
    return _sentence(event) % values


def _sentence(event: RepoEvent) -> str:
    has_title = bool(title_of(event))
    match (event.scope, event.action):
        case (_Scope.CONTENT, _) if has_title:
            return _("%(model)s has a new revision by %(who)s: %(title)s")
        case (_Scope.CONTENT, _):
            return _("%(model)s has a new revision by %(who)s")
        case (_Scope.DISCUSSION, _Action.CREATE) if event.facts.get("is_pull_request"):
            return _("%(who)s proposes a change to %(model)s: %(title)s")
        case (_Scope.DISCUSSION, _Action.CREATE):
            return _("%(who)s opened a discussion about %(model)s: %(title)s")
        case (_Scope.DISCUSSION, _):
            return _("%(who)s changed a thread of %(model)s: %(title)s")
        case (_Scope.COMMENT, _):
            return _("%(who)s commented at %(model)s: %(title)s")
        case (_Scope.SALE, _):
            return _sale_sentence(event)
    return _access_sentence(event)


def _sale_sentence(event: RepoEvent) -> str:
    if event.buyer_id is not None:
        if event.facts.get("status") == "accepted":
            return _("Your license of %(model)s was refunded: %(title)s")
        return _("Your request for a refund of %(model)s was declined: %(title)s")
    if event.action == _Action.CREATE:
        return _("%(who)s bought a license of %(model)s: %(title)s")
    if event.action == _Action.DELETE:
        return _("A license of %(model)s was refunded: %(title)s")
    return _("%(who)s asks for a refund of %(model)s: %(title)s")


def _access_sentence(event: RepoEvent) -> str:
    match event.facts.get("status"):
        case "accepted":
            return _("You may download %(model)s now: %(who)s said yes")
        case "rejected":
            return _("Your request for %(model)s was turned down by %(who)s")
    return _("%(who)s asks for access to %(model)s")


def notice_link(notice: Notice) -> str:
    """Return the path a notice leads to."""
    if notice.event is None or notice.repo is None:
        return f"/{notice.actor.username}" if notice.actor else "/notifications"
    event, full_name = notice.event, notice.repo.full_name
    if event.scope == _Scope.ACCESS and event.facts.get("status") == "pending":
        return f"/{full_name}/access-requests"
    if event.scope == _Scope.SALE:
        order = quote(str(event.facts.get("order", "")), safe="")
        return "/sales" if event.buyer_id is None else f"/orders/{order}"
    return event_link(event, full_name)
