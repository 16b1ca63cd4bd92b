"""Whether a license key counts now, and for what a program is about to do with it.

The answer is a code, never an error: a program branches on it. An unknown key and a text that is
no key at all take the same way and get the same answer.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.models import Grant, GrantedRepo, RepoRedirect
from catalog.models.grants import CLOCKS_DIFFER
from licensing.documents.keys import digest_to_look_up
from licensing.models import Activation, LicensedFile
from licensing.services.covering import covers_commit, covers_file
from licensing.services.license_facts import LicenseFacts, Model, facts_by_digest
from licensing.terms.rights import Allowed
from store.core.errors import InvalidError, UnprocessableError

MAX_FINGERPRINT_CHARS = 128
MAX_NAME_CHARS = 200
MAX_ENTITLEMENTS = 20
HEARD_EVERY = timedelta(hours=6)
"""Validating for a machine counts as a sign of life, written down at most so often."""
_FINGERPRINT = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Code(StrEnum):
    """What is wrong with a license, or ``VALID``. Stable; the first that applies is told."""

    VALID = "VALID"
    NOT_FOUND = "NOT_FOUND"
    REVOKED = "REVOKED"
    """Refunded, or lost in a dispute; for good."""
    SUSPENDED = "SUSPENDED"
    FROZEN = "FROZEN"
    """Its payment is disputed."""
    NOT_STARTED = "NOT_STARTED"
    OVERDUE = "OVERDUE"
    """A subscription that ran out because a payment failed."""
    EXPIRED = "EXPIRED"
    PRODUCT_SCOPE_MISMATCH = "PRODUCT_SCOPE_MISMATCH"
    VERSION_SCOPE_MISMATCH = "VERSION_SCOPE_MISMATCH"
    CHECKSUM_SCOPE_MISMATCH = "CHECKSUM_SCOPE_MISMATCH"
    ENTITLEMENTS_MISSING = "ENTITLEMENTS_MISSING"
    TOO_MANY_MACHINES = "TOO_MANY_MACHINES"
    TOO_MANY_USERS = "TOO_MANY_USERS"
    NO_MACHINE = "NO_MACHINE"
    """No machine uses it yet; activate this one."""
    NO_USER = "NO_USER"
    FINGERPRINT_SCOPE_MISMATCH = "FINGERPRINT_SCOPE_MISMATCH"
    """Other machines use it, not this one."""
    USER_SCOPE_MISMATCH = "USER_SCOPE_MISMATCH"


class BadScopeError(InvalidError):
    """What a validation is for cannot be read; ``extra.field`` names the value."""

    code = "bad_scope"


class BadFingerprintError(UnprocessableError):
    """A fingerprint has 1 to 128 printable ASCII characters, with no space around them."""

    code = "bad_fingerprint"


class BadLabelError(UnprocessableError):
    """A label has at most 120 characters, none of them a control character."""

    code = "bad_label"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a program is about to do; empty parts are not asked about.

    Args:
        fingerprint: The machine it runs on.
        user: The person who uses it, by name.
        model: ``ns/name``, also an earlier one, or the store's id of the model.
        revision: A commit, 40 hex digits.
        sha256: Of a file it loads.
        entitlements: Rights it needs, such as ``hosted_service``.
    """

    fingerprint: str = ""
    user: str = ""
    model: str = ""
    revision: str = ""
    sha256: str = ""
    entitlements: tuple[str, ...] = ()


ANYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Validation:
    """The answer.

    Args:
        code: What is wrong, or ``VALID``.
        facts: The license; ``None`` with ``NOT_FOUND``.
    """

    code: Code
    facts: LicenseFacts | None

    @property
    def is_valid(self) -> bool:
        """Whether the license counts for what was asked."""
        return self.code == Code.VALID

    @property
    def message(self) -> str:
        """One sentence for a person, in the language of the request."""
        return message_of(self.code)


def validate(key: str, scope: Scope = ANYTHING, *, now: datetime | None = None) -> Validation:
    """Judge a license key for ``scope``. One query; more only for parts of the scope that need it.

    Args:
        key: What somebody sent.
        scope: See there; ``read_scope`` makes one.
        now: The moment to judge for.
    """
    now = now or timezone.now()
    digest = digest_to_look_up(key)
    facts = facts_by_digest(digest, fingerprint=scope.fingerprint, user=scope.user, now=now)
    if facts is None:
        return Validation(Code.NOT_FOUND, None)
    code = standing_of(facts, now)
    if code == Code.VALID:
        code = _judge(facts, scope)
    _hear(facts, now)
    return Validation(code, facts)


def standing_of(facts: LicenseFacts, now: datetime | None = None) -> Code:
    """Return whether a license is in force, whatever it is to be used for."""
    now = now or timezone.now()
    if facts.is_revoked:
        return Code.REVOKED
    if facts.is_suspended:
        return Code.SUSPENDED
    if facts.state == Grant.State.FROZEN:
        return Code.FROZEN
    if facts.starts_at > now + CLOCKS_DIFFER:
        return Code.NOT_STARTED
    if facts.ends_at is not None and facts.ends_at <= now:
        return Code.OVERDUE if facts.is_overdue else Code.EXPIRED
    return Code.VALID


def _judge(facts: LicenseFacts, scope: Scope) -> Code:
    models = facts.models
    if scope.model:
        models = _named(facts, scope.model)
        if not models:
            return Code.PRODUCT_SCOPE_MISMATCH
    if scope.revision and not _has_revision(models, scope.revision):
        return Code.VERSION_SCOPE_MISMATCH
    if scope.sha256 and not _has_file(facts, models, scope.sha256):
        return Code.CHECKSUM_SCOPE_MISMATCH
    allowed = {Allowed.YES.value, Allowed.CONDITIONAL.value}
    if any(facts.rights.get(name) not in allowed for name in scope.entitlements):
        return Code.ENTITLEMENTS_MISSING
    return _judge_seats(facts, scope)


def _judge_seats(facts: LicenseFacts, scope: Scope) -> Code:
    people = facts.is_for_people
    if facts.seats and facts.used_seats > facts.seats:
        return Code.TOO_MANY_USERS if people else Code.TOO_MANY_MACHINES
    if not (scope.fingerprint or scope.user) or facts.seat_id is not None:
        return Code.VALID
    if not facts.used_seats:
        return Code.NO_USER if people else Code.NO_MACHINE
    return Code.USER_SCOPE_MISMATCH if people else Code.FINGERPRINT_SCOPE_MISMATCH


def _named(facts: LicenseFacts, model: str) -> tuple[Model, ...]:
    """Return the licensed model of this id or name, also one it had before it was renamed."""
    wanted = model.lower()
    found = tuple(one for one in facts.models if wanted in {one.id, one.name.lower()})
    if found or "/" not in model:
        return found
    namespace, _sep, name = model.partition("/")
    moved = RepoRedirect.objects.filter(
        namespace__name__iexact=namespace,
        name__iexact=name,
        repo__public_id__in=[one.id for one in facts.models],
    )
    ids = set(moved.values_list("repo__public_id", flat=True))
    return tuple(one for one in facts.models if one.id in ids)


def _has_revision(models: tuple[Model, ...], revision: str) -> bool:
    if any(one.revision == revision for one in models):
        return True
    return any(covers_commit(row, revision) for row in _rows(models))


def _has_file(facts: LicenseFacts, models: tuple[Model, ...], sha256: str) -> bool:
    bought = LicensedFile.objects.filter(license_id=facts.row_id, sha256=sha256)
    if bought.filter(repo__public_id__in=[one.id for one in models]).exists():
        return True
    return any(covers_file(row, sha256) for row in _rows(models))


def _rows(models: tuple[Model, ...]) -> list[GrantedRepo]:
    rows = GrantedRepo.objects.filter(pk__in=[one.row_id for one in models])
    return list(rows.select_related("grant", "repo__namespace").order_by("pk"))


def _hear(facts: LicenseFacts, now: datetime) -> None:
    """Note that a seat is in use, so that it does not count as silent."""
    if facts.seat_id is not None and facts.seen_at and now - facts.seen_at > HEARD_EVERY:
        Activation.objects.filter(pk=facts.seat_id).update(seen_at=now)


def message_of(code: Code) -> str:
    """Return what a code means, in the language of the request."""
    return _MESSAGES[code]()


_MESSAGES = {
    Code.VALID: lambda: _("The license is valid."),
    Code.NOT_FOUND: lambda: _("There is no such license. Copy its key from your library."),
    Code.REVOKED: lambda: _("The license was taken back, as after a refund."),
    Code.SUSPENDED: lambda: _("The license is suspended. Write to its seller."),
    Code.FROZEN: lambda: _("The payment of the license is disputed."),
    Code.NOT_STARTED: lambda: _("The license has not begun yet."),
    Code.OVERDUE: lambda: _("The subscription was not paid. Pay it in your library."),
    Code.EXPIRED: lambda: _("The license has ended. Renew it in your library."),
    Code.PRODUCT_SCOPE_MISMATCH: lambda: _("The license is for other models."),
    Code.VERSION_SCOPE_MISMATCH: lambda: _("The license does not reach this revision."),
    Code.CHECKSUM_SCOPE_MISMATCH: lambda: _("The license does not cover this file."),
    Code.ENTITLEMENTS_MISSING: lambda: _("The license does not allow this use."),
    Code.TOO_MANY_MACHINES: lambda: _("More machines use the license than it has seats."),
    Code.TOO_MANY_USERS: lambda: _("More people use the license than it has seats."),
    Code.NO_MACHINE: lambda: _("No machine uses the license yet. Activate this one."),
    Code.NO_USER: lambda: _("Nobody uses the license yet. Activate this person."),
    Code.FINGERPRINT_SCOPE_MISMATCH: lambda: _("Other machines use the license, not this one."),
    Code.USER_SCOPE_MISMATCH: lambda: _("Other people use the license, not this one."),
}


def read_scope(value: Any) -> Scope:
    """Return the scope in what a program sent as JSON; ``None`` is none.

    Raises:
        BadScopeError: a member is unknown or has a value that cannot be meant.
        BadFingerprintError: see there.
    """
    if value is None:
        return ANYTHING
    if not isinstance(value, Mapping) or not value.keys() <= set(Scope.__slots__):
        raise BadScopeError(
            _("A scope is an object with some of these: %(names)s.")
            % {"names": ", ".join(Scope.__slots__)},
            field="scope",
        )
    if value.get("fingerprint") and value.get("user"):
        raise BadScopeError(_("Name a machine or a person, not both."), field="user")
    return Scope(
        fingerprint=check_fingerprint(value["fingerprint"]) if value.get("fingerprint") else "",
        user=_text(value, "user"),
        model=_text(value, "model"),
        revision=_matching(
            value, "revision", _COMMIT, _("A revision is a commit of 40 hex digits.")
        ),
        sha256=_matching(value, "sha256", _SHA256, _("A sha256 has 64 hex digits.")),
        entitlements=_entitlements(value.get("entitlements")),
    )


def check_fingerprint(value: Any) -> str:
    """Return a machine's fingerprint as it is.

    Raises:
        BadFingerprintError: see there.
    """
    if not isinstance(value, str) or not _FINGERPRINT.fullmatch(value):
        raise BadFingerprintError(
            _("A fingerprint has 1 to %(most)d printable ASCII characters.")
            % {"most": MAX_FINGERPRINT_CHARS}
        )
    return value


def clean_label(value: Any, *, most_chars: int = 120) -> str:
    """Return what somebody calls a machine, in Unicode's composed form, without space around it.

    Raises:
        BadLabelError: it is too long, or has characters that cannot be seen.
    """
    text = unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else None
    if text is None or len(text) > most_chars or any(_is_unseen(char) for char in text):
        raise BadLabelError(
            _("A label has at most %(most)d characters, no control characters.")
            % {"most": most_chars}
        )
    return text


def _is_unseen(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name) or ""
    if not isinstance(found, str) or len(found) > MAX_NAME_CHARS or not found.isprintable():
        raise BadScopeError(_("'%(name)s' is a short text.") % {"name": name}, field=name)
    return found


def _matching(value: Mapping[str, Any], name: str, shape: re.Pattern[str], wanted: str) -> str:
    found = _text(value, name).lower()
    if found and not shape.fullmatch(found):
        raise BadScopeError(wanted, field=name)
    return found


def _entitlements(value: Any) -> tuple[str, ...]:
    names = value or []
    is_list = isinstance(names, list) and len(names) <= MAX_ENTITLEMENTS
    if not is_list or not all(isinstance(one, str) and len(one) <= MAX_NAME_CHARS for one in names):
        raise BadScopeError(_("'entitlements' is a list of rights."), field="entitlements")
    return tuple(names)
