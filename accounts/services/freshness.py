"""When the person of a session last proved who they are, and by what.

A session lives for weeks and a laptop stands open: what moves money or opens accounts asks for a
proof that is minutes old.
"""

import time

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase

_AT = "confirmed_at"
_SECOND = "second_factor"


def confirm(session: SessionBase, *, by_second_factor: bool = False) -> None:
    """Note that the person of ``session`` has just given a password or a second factor."""
    session[_AT] = int(time.time())
    if by_second_factor:
        session[_SECOND] = True


def is_recent(session: SessionBase) -> bool:
    """Whether the last proof is at most ``STORE_RECENT_LOGIN_S`` old."""
    at = session.get(_AT)
    return isinstance(at, int) and 0 <= time.time() - at <= settings.ENV.recent_login_s


def passed_second_factor(session: SessionBase) -> bool:
    """Whether a second factor was given in this session, at its start or later.

    A session that is older than the person's two-factor authentication has given none.
    """
    return session.get(_SECOND) is True
