"""Security keys (WebAuthn): adding one, using one, removing one.

A ceremony has two halves. The first gives options for the browser and keeps its challenge in the
session, where django-allauth looks for it; the second takes what the key signed.
"""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth as webauthn
from cryptography.exceptions import InvalidSignature
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from fido2.cose import CoseKey

from accounts.models import User
from accounts.services import limits
from accounts.services.two_factor import Type, WrongCodeError, added, has_two_factor, lock, removed
from store.core.errors import ConflictError, NotFoundError
from store.core.valkey import needed

MAX_KEYS = 10
MAX_ANSWER_CHARS = 65536
"""Length of what a browser sends; keys with attestation send some thousand characters."""
_CHALLENGE_S = 600
_MALFORMED = (
    *(ValidationError, ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(AssertionError, struct.error, RecursionError, NotImplementedError),
)
"""What the readers of a key's answer raise for answers no key gives."""


class TooManyKeysError(ConflictError):
    """There are as many keys as one account may have."""

    code = "too_many_keys"


def begin_adding(user: User) -> dict[str, Any]:
    """Return what the browser asks a new key to make, JSON-able.

    Raises:
        TooManyKeysError: remove one first.
    """
    _refuse_too_many(user)
    options: dict[str, Any] = webauthn.begin_registration(user, passwordless=False)
    return options


def add(user: User, *, name: str, answer: str, address: str = "") -> list[str]:
    """Add the key that answered.

    Args:
        user: Whose.
        name: What the person calls it.
        answer: What the browser got of the key, JSON.
        address: The caller's IP address.

    Returns:
        Recovery codes to show once, when this is the first second factor; else none.

    Raises:
        WrongCodeError: the answer is not one to the last ``begin_adding`` of this session.
        TooManyKeysError: remove one first.
    """
    credential = _read(answer)
    with _answering():
        binding = webauthn.complete_registration(credential)
        identity = binding.credential_data.credential_id
        _refuse_unusable(binding.credential_data.public_key)
    with transaction.atomic():
        lock(user)
        _refuse_too_many(user)
        if webauthn.get_authenticator_by_credential_id(user, identity) is not None:
            raise ConflictError(_("This key is yours already."))
        was_on = has_two_factor(user)
        webauthn.WebAuthn.add(user, name, credential)
        return added(user, was_on=was_on, what=name, address=address)


def begin_use(user: User) -> dict[str, Any]:
    """Return what the browser asks one of the person's keys to sign, JSON-able."""
    options: dict[str, Any] = webauthn.begin_authentication(user)
    return options


def use(user: User, answer: str, *, address: str = "", device: str = "") -> None:
    """Take what a key signed; good once.

    Args:
        user: Whose key it must be.
        answer: What the browser got of the key, JSON.
        address: The caller's IP address.
        device: Id of the browser, if it has signed this person in before.

    Raises:
        RateLimitedError: too many attempts.
        WrongCodeError: not a key of this person, an answer to another question, or a copied key.
    """
    limits.count_second_factor(user.pk, address, device=device)
    credential = _read(answer)
    with _answering():
        found = webauthn.complete_authentication(user, credential)
        signed = webauthn.parse_authentication_response(credential)
        count = signed.response.authenticator_data.counter
    _count_up(found.pk, count)
    limits.forgive_second_factor(user.pk, address, device=device)


@transaction.atomic
def remove(user: User, key_id: int, *, address: str = "") -> None:
    """Remove a key; the last factor takes two-factor authentication with it.

    Raises:
        NotFoundError: the person has no such key.
    """
    lock(user)
    row = Authenticator.objects.filter(pk=key_id, user=user, type=Type.WEBAUTHN).first()
    if row is None:
        raise NotFoundError(_("You have no such security key."))
    name = row.wrap().name
    row.delete()
    removed(user, what=name, address=address)


def _refuse_too_many(user: User) -> None:
    if Authenticator.objects.filter(user=user, type=Type.WEBAUTHN).count() >= MAX_KEYS:
        raise TooManyKeysError(_("You have ten security keys. Remove one first."))


def _refuse_unusable(public_key: CoseKey) -> None:
    """Refuse a key that could never sign in: nothing else reads it before it is needed.

    Raises:
        ValueError: it is no point of its curve, say.
        NotImplementedError: it signs by an algorithm nobody here knows.
    """
    with suppress(InvalidSignature):
        public_key.verify(b"", b"")


def _read(answer: str) -> dict[str, Any]:
    try:
        found = json.loads(answer[:MAX_ANSWER_CHARS])
    except (ValueError, RecursionError) as error:
        raise _refused() from error
    if not isinstance(found, dict):
        raise _refused()
    return found


@contextmanager
def _answering() -> Iterator[None]:
    """Let the session's challenge be answered once, also by two requests at the same instant."""
    state = webauthn.get_state()
    try:
        with needed():
            is_first = state and cache.add(f"webauthn:{state['challenge']}", 1, _CHALLENGE_S)
        if not is_first:
            raise _refused()
        yield
    except _MALFORMED as error:
        raise _refused() from error
    finally:
        webauthn.clear_state()


@transaction.atomic
def _count_up(key_id: int, count: int) -> None:
    """Refuse a key that counts its signatures and did not go on: it is a copy of another."""
    row = Authenticator.objects.select_for_update().filter(pk=key_id).first()
    if row is None:  # removed this instant
        raise _refused()
    last = row.data.get("sign_count", row.wrap().authenticator_data.counter)
    if (count or last) and count <= last:
        raise _refused()
    row.data["sign_count"] = count
    row.last_used_at = timezone.now()
    row.save(update_fields=["data", "last_used_at"])


def _refused() -> WrongCodeError:
    return WrongCodeError(_("The security key was not accepted. Try again, or use a code."))
