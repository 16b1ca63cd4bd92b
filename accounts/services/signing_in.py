"""Signing in: one slow look at one password, counted beforehand; then the second factor."""

import logging

from django.contrib.auth import authenticate
from django.core import signing
from django.core.cache import cache
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import limits, security_keys, two_factor
from accounts.services.audit import record
from accounts.services.people import find_person
from accounts.services.two_factor import has_two_factor
from store.core.errors import BadCredentialsError
from store.core.ids import new_public_id
from store.core.valkey import needed

logger = logging.getLogger(__name__)

DEVICE_AGE_S = 365 * 86400
"""How long a browser is remembered, in seconds."""
_SALT = "accounts.device"
_REMEMBERED_S = 300


class WrongLoginError(BadCredentialsError):
    """Name or password is wrong; the answer never says which."""

    code = "wrong_login"


class TokenNeededError(BadCredentialsError):
    """The password is right, but alone it opens nothing: the person has two factors."""

    code = "token_needed"


def sign_in(*, name: str, password: str, address: str = "", device_cookie: str = "") -> User:
    """Return the person whose name (or e-mail address) and password these are.

    Somebody with two-factor authentication (``two_factor.has_two_factor``) is not signed in by
    that: ``take_second_step`` comes after it.

    Args:
        name: As typed.
        password: As typed.
        address: The caller's IP address.
        device_cookie: What ``device_cookie_for`` gave this browser, if anything.

    Raises:
        RateLimitedError: too many attempts.
        ValkeyAwayError: attempts cannot be counted.
        WrongLoginError: there is no such person, or the password is another.
    """
    person = find_person(name)
    key = limits.person_key(person.pk if person else None, name)
    device = _device_of(device_cookie, person)
    limits.count_sign_in(key, address, device=device)
    user = authenticate(username=name, password=password)
    if not isinstance(user, User):
        logger.info("sign-in refused")
        raise WrongLoginError(_("Name or password is wrong."))
    limits.forgive_sign_in(key, address, device=device)
    if not has_two_factor(user):
        record("session.start", actor=user, namespace=user.namespace, address=address)
    return user


def take_second_step(
    user: User, *, code: str = "", key: str = "", address: str = "", device_cookie: str = ""
) -> None:
    """Finish what ``sign_in`` began, by a code or by what a security key answered.

    Raises:
        RateLimitedError: too many attempts.
        WrongCodeError: it is wrong, or was used before.
    """
    prove(user, code=code, key=key, address=address, device_cookie=device_cookie)
    record("session.start", actor=user, namespace=user.namespace, address=address)


def prove(
    user: User, *, code: str = "", key: str = "", address: str = "", device_cookie: str = ""
) -> None:
    """Have ``user`` prove by a second factor that it is them.

    Args:
        user: Who it must be.
        code: Of the authenticator app, or a recovery code.
        key: What a security key answered, JSON; it goes before the code.
        address: The caller's IP address.
        device_cookie: What ``device_cookie_for`` gave this browser, if anything.

    Raises:
        RateLimitedError: too many attempts.
        WrongCodeError: it is wrong, or was used before.
    """
    device = _device_of(device_cookie, user)
    if key:
        security_keys.use(user, key, address=address, device=device)
    else:
        two_factor.verify(user, code, address=address, device=device)


def sign_in_once(*, name: str, password: str, address: str = "") -> User:
    """Return the person for the length of one request; git sends the password with each.

    Counted as signing in is. A password that was right is remembered for some minutes, by a
    digest that nobody can make without the store's key and that ends with the password, so that
    many requests at once neither cost a slow look each nor look like guessing.

    Raises:
        RateLimitedError: too many attempts.
        WrongLoginError: there is no such person, or the password is another.
        TokenNeededError: the password is right, and the person has two-factor authentication.
        ValkeyAwayError: attempts cannot be counted.
    """
    person = find_person(name)
    key = limits.person_key(person.pk if person else None, name)
    slot = f"basic:{_proof(person, password)}" if person is not None and person.is_active else ""
    if slot and person is not None and _remembered(slot) == person.pk:
        _refuse_two_factor(person)
        return person
    limits.count_sign_in(key, address)
    user = authenticate(username=name, password=password)
    if not isinstance(user, User):
        logger.info("sign-in refused")
        raise WrongLoginError("Name or password is wrong. Use an access token as the password.")
    limits.forgive_sign_in(key, address)
    with needed():
        cache.set(slot, user.pk, _REMEMBERED_S)
    _refuse_two_factor(user)
    return user


def _remembered(slot: str) -> int | None:
    with needed():
        found: int | None = cache.get(slot)
    return found


def _refuse_two_factor(user: User) -> None:
    if has_two_factor(user):
        raise TokenNeededError(
            "This account has two-factor authentication, so its password does not open this."
            " Use an access token as the password; make one at /settings/tokens."
        )


def _proof(person: User, password: str) -> str:
    text = f"{person.pk}:{person.password}:{password}"
    return salted_hmac("accounts.basic", text, algorithm="sha256").hexdigest()


def device_cookie_for(user: User) -> str:
    """Return a signed note that this browser has signed ``user`` in."""
    return signing.dumps([user.pk, new_public_id()], salt=_SALT)


def _device_of(cookie: str, person: User | None) -> str:
    """Return the browser's id if its note is ours, fresh, and about ``person``."""
    try:
        user_id, device = signing.loads(cookie, salt=_SALT, max_age=DEVICE_AGE_S)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(device) if person is not None and user_id == person.pk else ""
