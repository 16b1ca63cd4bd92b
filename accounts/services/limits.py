"""How often somebody may sign in, sign up, reset a password, commit or talk; for all processes.

The address comes first: whoever is stopped there costs nobody else anything, neither the person
whose name they try nor the site. While Valkey is away nobody can count, so what stops guesses stays
shut (``ValkeyAwayError``), and what only shares room out stands open.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from store.core.errors import RateLimitedError
from store.core.ratelimit import Window, forget, hit, hit_if_counting

LOGIN_ADDRESS = Window("login-address", quota=10, window_s=300)
LOGIN_PERSON = Window("login-person", quota=10, window_s=300)
LOGIN_DEVICE = Window("login-device", quota=10, window_s=300)
"""For a browser that has signed this person in before: strangers cannot lock its owner out."""
LOGIN_SITE = Window("login-site", quota=1000, window_s=300)
SIGN_UP_ADDRESS = Window("sign-up-address", quota=20, window_s=3600)
RESET_ADDRESS = Window("reset-address", quota=20, window_s=86400)
RESET_PERSON = Window("reset-person", quota=5, window_s=86400)
PASSWORD_CHECK = Window("password-check", quota=10, window_s=300)
"""For asking the password again inside a session, which may be somebody else's."""
SECOND_FACTOR = Window("second-factor", quota=5, window_s=300)
SECOND_FACTOR_DAY = Window("second-factor-day", quota=50, window_s=86400)
"""Three of a million codes are right at a time: a day of guesses finds one in 1 of 7,000 cases."""
SECOND_FACTOR_ADDRESS = Window("second-factor-address", quota=20, window_s=300)
DEVICE_LOGINS = Window("device-logins", quota=60, window_s=3600)
EXCHANGES = Window("ci-exchanges", quota=600, window_s=3600)
"""Whole fleets of runners share an address."""
USER_CODES = Window("user-codes", quota=30, window_s=300)
ACCESS_REQUESTS = Window("access-requests", quota=60, window_s=3600)

SITE = "all"


def count_sign_in(person: str, address: str, *, device: str = "") -> None:
    """Count an attempt to sign in, before its password is looked at.

    Args:
        person: Key of whose account it is (``person_key``).
        address: The caller's IP address.
        device: Id of the browser, if it has signed this person in before.

    Raises:
        RateLimitedError: too many from this address, for this person, or at the whole site.
    """
    with _in_words(_("Too many attempts to sign in.")):
        hit(LOGIN_ADDRESS, address)
        if device:
            hit(LOGIN_DEVICE, f"{person}:{device}")
        else:
            hit(LOGIN_PERSON, person)
        hit(LOGIN_SITE, SITE)


def forgive_sign_in(person: str, address: str, *, device: str = "") -> None:
    """Take an attempt back that brought the right password: only wrong ones count."""
    hit(LOGIN_ADDRESS, address, cost=-1)
    hit(LOGIN_SITE, SITE, cost=-1)
    if device:
        forget(LOGIN_DEVICE, f"{person}:{device}")
    else:
        forget(LOGIN_PERSON, person)


def count_sign_up(address: str) -> None:
    """Count an attempt to make an account.

    Raises:
        RateLimitedError: too many from this address.
    """
    with _in_words(_("Too many new accounts from your network.")):
        hit(SIGN_UP_ADDRESS, address)


def count_reset(person: str, address: str) -> None:
    """Count a wish for a new password; the same for people who exist and who do not.

    Raises:
        RateLimitedError: too many from this address, or for this person.
    """
    with _in_words(_("Too many requests for a new password.")):
        hit(RESET_ADDRESS, address)
        hit(RESET_PERSON, person)


def count_password_check(user_id: int) -> None:
    """Count a look at the password of somebody who is signed in.

    Raises:
        RateLimitedError: too many wrong ones.
    """
    with _in_words(_("Too many wrong passwords.")):
        hit(PASSWORD_CHECK, str(user_id))


def forgive_password_check(user_id: int) -> None:
    """Forget the wrong passwords once the right one came."""
    forget(PASSWORD_CHECK, str(user_id))


def count_second_factor(user_id: int, address: str, *, device: str = "") -> None:
    """Count a code or a security key, before it is looked at.

    Args:
        user_id: Whose second factor is tried.
        address: The caller's IP address.
        device: Id of the browser, if it has signed this person in before: somebody who knows
            the password and guesses cannot lock its owner out there.

    Raises:
        RateLimitedError: too many from this address or for this person.
    """
    key = f"{user_id}:{device}" if device else str(user_id)
    with _in_words(_("Too many wrong codes.")):
        hit(SECOND_FACTOR_ADDRESS, address)
        hit(SECOND_FACTOR, key)
        hit(SECOND_FACTOR_DAY, key)


def forgive_second_factor(user_id: int, address: str, *, device: str = "") -> None:
    """Take an attempt back that was right: only wrong ones count."""
    key = f"{user_id}:{device}" if device else str(user_id)
    hit(SECOND_FACTOR_ADDRESS, address, cost=-1)
    forget(SECOND_FACTOR, key)
    hit(SECOND_FACTOR_DAY, key, cost=-1)


def count_commit(user_id: int) -> None:
    """Count a commit of a person, before its files are looked at.

    Raises:
        RateLimitedError: too many in this hour.
    """
    quota = settings.ENV.user_commits_per_hour
    if quota:
        with _in_words(_("Too many commits: put more files into one.")):
            hit_if_counting(Window("commits", quota=quota, window_s=3600), str(user_id))


def count_discussion(user_id: int) -> None:
    """Count a discussion or a pull request of a person, before it is opened.

    Raises:
        RateLimitedError: too many on this day.
    """
    if quota := settings.ENV.user_discussions_per_day:
        with _in_words(_("You opened many discussions today.")):
            hit_if_counting(Window("discussions", quota=quota, window_s=86400), str(user_id))


def count_comment(user_id: int) -> None:
    """Count a comment of a person, or another change in a discussion, before it is written.

    Raises:
        RateLimitedError: too many on this day.
    """
    if quota := settings.ENV.user_comments_per_day:
        with _in_words(_("You wrote very much today.")):
            hit_if_counting(Window("comments", quota=quota, window_s=86400), str(user_id))


def count_device_login(address: str) -> None:
    """Count a program that asks to be let in.

    Raises:
        RateLimitedError: too many from this address.
    """
    with _in_words(_("Too many logins were started from your network.")):
        hit(DEVICE_LOGINS, address)


def count_exchange(address: str) -> None:
    """Count an ID token of a CI job, before its signature is looked at.

    Raises:
        RateLimitedError: too many from this address.
    """
    with _in_words(_("Too many identities were sent from your network.")):
        hit(EXCHANGES, address)


def count_user_code(user_id: int) -> None:
    """Count a code somebody typed, before it is looked for.

    Raises:
        RateLimitedError: too many.
    """
    with _in_words(_("Too many codes.")):
        hit(USER_CODES, str(user_id))


def count_access_request(user_id: int) -> None:
    """Count a request for a gated model: each is a letter in somebody's mailbox.

    Raises:
        RateLimitedError: too many in this hour.
    """
    with _in_words(_("Too many requests for access.")):
        hit_if_counting(ACCESS_REQUESTS, str(user_id))


def person_key(user_id: int | None, typed: str) -> str:
    """Return what an account is counted by: its id, or what was typed when nobody is meant."""
    if user_id is not None:
        return f"id-{user_id}"
    return f"name-{hashlib.sha256(typed.casefold().encode()).hexdigest()[:32]}"


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Say what is limited, and when to come back, in the reader's language."""
    try:
        yield
    except RateLimitedError as error:
        minutes = -(-error.retry_after_s // 60)
        when = ngettext("Try again in a minute.", "Try again in %(n)d minutes.", minutes) % {
            "n": minutes
        }
        message = f"{what} {when}"
        raise RateLimitedError(message, **error.extra) from error  # type: ignore[arg-type]
