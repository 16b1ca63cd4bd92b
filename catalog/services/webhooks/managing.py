"""The life of a webhook: made, changed, switched on and off, deleted; by its owner alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import AuditEvent, Scope, User
from accounts.services.audit import record
from accounts.viewer import Viewer
from catalog.models import Webhook, WebhookWatch
from catalog.services.webhooks import signing
from catalog.services.webhooks.upkeep import nudge_owner
from store.core.errors import ConflictError, InvalidError, NotFoundError
from store.core.outgoing.rules import current_rules, target_of
from store.core.sealing import seal

MAX_WEBHOOKS = 50
"""Of one person."""
MAX_WATCHED = 100
"""Names one webhook watches."""
MAX_SECRET_CHARS = 256
USUAL_DOMAINS = (Webhook.Domain.REPO.value, Webhook.Domain.DISCUSSION.value)
"""What a webhook hears of when its maker does not say; the hub's two."""
_PART = r"[A-Za-z0-9_.-]{1,96}"
_NAMES = {
    WebhookWatch.Kind.USER: re.compile(_PART),
    WebhookWatch.Kind.ORG: re.compile(_PART),
}
_REPO_NAME = re.compile(rf"(?:{_PART}/)?{_PART}")
_SECRET = re.compile(r"[!-~](?:[ -~]*[!-~])?")


class WebhookNotFoundError(NotFoundError):
    """There is no such webhook, or it is somebody else's."""

    code = "webhook_not_found"


class TooManyWebhooksError(ConflictError):
    """The person has as many as one may have."""

    code = "too_many_webhooks"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a webhook is to be. ``None`` leaves a value as it is (for a new one: the default)."""

    url: str | None = None
    watched: Sequence[Mapping[str, Any]] | None = None
    """``{"type", "name"}`` each. Programs of the hub send an empty list for "as it is"."""
    domains: Sequence[str] | None = None
    """Default: all."""
    secret: str | None = None
    """Empty: none."""


def webhooks_of(viewer: Viewer) -> QuerySet[Webhook]:
    """Return the caller's webhooks, oldest first, with what they watch.

    Raises:
        UnauthenticatedError: nobody is signed in.
        MissingScopeError: the token cannot write. Addresses of receivers are secrets often enough.
    """
    user = viewer.require(Scope.WRITE)
    watches = Prefetch("watches", WebhookWatch.objects.order_by("id"))
    return Webhook.objects.filter(owner=user).prefetch_related(watches).order_by("id")


def webhook_for(viewer: Viewer, public_id: str) -> Webhook:
    """Return one of the caller's webhooks.

    Raises:
        WebhookNotFoundError: absent or another's.
        UnauthenticatedError: nobody is signed in.
        MissingScopeError: the token cannot write.
    """
    found = webhooks_of(viewer).select_related("owner").filter(public_id=public_id).first()
    if found is None:
        raise WebhookNotFoundError(_("You have no such webhook."))
    return found


@transaction.atomic
def create(viewer: Viewer, wish: Wish) -> tuple[Webhook, str]:
    """Make a webhook.

    Returns:
        The row, and the key its deliveries are signed with, which is shown this once.

    Raises:
        OutgoingRefusedError: nothing is sent to this address.
        InvalidError: a name, a domain or the secret is wrong, or nothing is watched.
        TooManyWebhooksError: as many as one person may have.
    """
    user = viewer.require(Scope.WRITE)
    User.objects.select_for_update(no_key=True).get(pk=user.pk)  # counted one after the other
    if Webhook.objects.filter(owner=user).count() >= MAX_WEBHOOKS:
        raise TooManyWebhooksError(
            _("You have %(count)s webhooks, as many as one may have. Delete one first.")
            % {"count": MAX_WEBHOOKS}
        )
    watched = _checked_watched(wish.watched or [])
    if not watched:
        raise InvalidError(_("Name at least one person, organization or model to watch."))
    webhook = Webhook(
        owner=user,
        url=_checked_url(wish.url or ""),
        domains=_checked_domains(USUAL_DOMAINS if wish.domains is None else wish.domains),
    )
    key = signing.new_key()
    webhook.sealed_key = seal(key, purpose=signing.purpose(webhook, "key"))
    webhook.sealed_secret = _sealed_secret(webhook, wish.secret or "")
    webhook.save()
    _watch(webhook, watched)
    _record(viewer, webhook, "webhook.create")
    return webhook, key


@transaction.atomic
def update(viewer: Viewer, webhook: Webhook, wish: Wish) -> Webhook:
    """Change what is named. A new address starts without the old one's failures.

    Raises:
        OutgoingRefusedError: nothing is sent to this address.
        InvalidError: a name, a domain or the secret is wrong.
        WebhookNotFoundError: it was deleted meanwhile.
    """
    locked = _locked(viewer, webhook)
    if wish.url is not None and wish.url != locked.url:
        locked.url = _checked_url(wish.url)
        _forgive(locked)
    if wish.domains is not None:
        locked.domains = _checked_domains(wish.domains)
    if wish.secret is not None:
        locked.sealed_secret = _sealed_secret(locked, wish.secret)
    locked.save()
    if watched := _checked_watched(wish.watched or []):
        locked.watches.all().delete()
        _watch(locked, watched)
    _record(viewer, locked, "webhook.update")
    return locked


@transaction.atomic
def set_enabled(viewer: Viewer, webhook: Webhook, *, is_enabled: bool) -> Webhook:
    """Switch a webhook on or off. Repeating is harmless.

    What waits is kept for its three days and goes on when the webhook is on again; what happens
    while it is off is never told.

    Raises:
        WebhookNotFoundError: it was deleted meanwhile.
    """
    locked = _locked(viewer, webhook)
    if locked.is_disabled != is_enabled:
        return locked
    locked.disabled_for = "" if is_enabled else Webhook.Stop.OWNER
    locked.disabled_at = None if is_enabled else timezone.now()
    if is_enabled:
        _forgive(locked)
    locked.save()
    _record(viewer, locked, "webhook.enable" if is_enabled else "webhook.disable")
    if is_enabled:
        nudge_owner(locked.owner_id)
    return locked


@transaction.atomic
def renew_key(viewer: Viewer, webhook: Webhook) -> tuple[Webhook, str]:
    """Give a webhook another key to sign with; the old one signs beside it for a day.

    Returns:
        The row, and the new key, which is shown this once.

    Raises:
        WebhookNotFoundError: it was deleted meanwhile.
    """
    locked = _locked(viewer, webhook)
    key = signing.new_key()
    locked.sealed_old_key, locked.old_key_until = (
        locked.sealed_key,
        timezone.now() + signing.OVERLAP,
    )
    locked.sealed_key = seal(key, purpose=signing.purpose(locked, "key"))
    if locked.disabled_for == Webhook.Stop.UNREADABLE:
        locked.sealed_old_key, locked.old_key_until, locked.sealed_secret = "", None, ""
    locked.save()
    _record(viewer, locked, "webhook.key")
    return locked, key


@transaction.atomic
def delete(viewer: Viewer, webhook: Webhook) -> None:
    """Delete a webhook with everything it was told.

    Raises:
        WebhookNotFoundError: it was deleted meanwhile.
    """
    locked = _locked(viewer, webhook)
    _record(viewer, locked, "webhook.delete")
    locked.delete()


def _locked(viewer: Viewer, webhook: Webhook) -> Webhook:
    """Return the caller's webhook as it is now, held until the transaction ends."""
    user = viewer.require(Scope.WRITE)
    rows = Webhook.objects.select_for_update(no_key=True)
    found = rows.filter(pk=webhook.pk, owner=user).first()
    if found is None:
        raise WebhookNotFoundError(_("You have no such webhook."))
    return found


def _forgive(webhook: Webhook) -> None:
    webhook.failures, webhook.failing_since, webhook.rest_until = 0, None, None


def _checked_url(url: str) -> str:
    """Return ``url`` as it was written, if the store sends there."""
    target_of(url, current_rules())
    return url


def _checked_domains(domains: Sequence[str]) -> list[str]:
    chosen = [domain for domain in Webhook.Domain.values if domain in domains]
    if not chosen or len(chosen) != len(set(domains)):
        raise InvalidError(_("'domains' holds one or more of 'repo', 'discussion', 'sale'."))
    return chosen


def _checked_watched(watched: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (kind, name) of each, once. Whether they exist is nobody's business here."""
    if len(watched) > MAX_WATCHED:
        raise InvalidError(
            _("One webhook watches at most %(count)s names.") % {"count": MAX_WATCHED}
        )
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for item in watched:
        kind, name = item.get("type"), item.get("name")
        if kind not in WebhookWatch.Kind.values or not isinstance(name, str):
            raise InvalidError(
                _("Each of 'watched' has a 'type' (user, org, model, …) and a 'name'.")
            )
        if not _NAMES.get(WebhookWatch.Kind(kind), _REPO_NAME).fullmatch(name):
            raise InvalidError(_("A name to watch is not one: write 'name' or 'owner/name'."))
        found.setdefault((kind, name.lower()), (kind, name))
    return list(found.values())


def _sealed_secret(webhook: Webhook, secret: str) -> str:
    if not secret:
        return ""
    if len(secret) > MAX_SECRET_CHARS or not _SECRET.fullmatch(secret):
        raise InvalidError(
            _("The secret has up to %(count)s visible ASCII characters, as it goes into a header.")
            % {"count": MAX_SECRET_CHARS}
        )
    return seal(secret, purpose=signing.purpose(webhook, "secret"))


def _watch(webhook: Webhook, watched: Sequence[tuple[str, str]]) -> None:
    WebhookWatch.objects.bulk_create(
        WebhookWatch(webhook=webhook, kind=kind, name=name) for kind, name in watched
    )


def _record(viewer: Viewer, webhook: Webhook, action: str) -> AuditEvent:
    """Note it in the trail; of the address only the host, as paths hold secrets."""
    user = viewer.signed_in()
    return record(
        action,
        actor=user,
        subject=urlsplit(webhook.url).hostname or "",
        namespace=user.namespace,
        address=viewer.address,
        webhook=webhook.public_id,
    )
