"""Between the right password and the code: somebody is expected, nobody is signed in."""

import time
from dataclasses import dataclass

from django.contrib.sessions.backends.base import SessionBase
from django.utils.crypto import constant_time_compare

from accounts.models import User

PENDING_S = 600
"""How long the code is waited for, in seconds."""
_KEY = "second_step"


@dataclass(frozen=True, slots=True)
class Expected:
    """Whose code is waited for.

    Args:
        user: The person whose password was right.
        next_path: Where they were going, a path of this site.
    """

    user: User
    next_path: str


def begin(session: SessionBase, user: User, *, next_path: str) -> None:
    """Note in a visitor's session that ``user``'s password was right.

    The session gets another key, so that nobody who planted the old one shares the step.
    """
    session.cycle_key()
    session[_KEY] = {
        "user": user.pk,
        "hash": user.get_session_auth_hash(),
        "at": int(time.time()),
        "next": next_path,
    }


def expected(session: SessionBase) -> Expected | None:
    """Return whose code is waited for; ``None``: nobody's, or it took too long.

    A password that was changed meanwhile ends it, as it ends sessions.
    """
    kept = session.get(_KEY)
    if not kept or not 0 <= time.time() - kept["at"] <= PENDING_S:
        return None
    user = User.objects.filter(pk=kept["user"], is_active=True).first()
    if user is None or not constant_time_compare(kept["hash"], user.get_session_auth_hash()):
        return None
    return Expected(user, kept["next"])


def end(session: SessionBase) -> None:
    """Forget it."""
    session.pop(_KEY, None)
