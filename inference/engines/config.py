"""Which models a server elsewhere runs, as the operator said (``STORE_ENGINES``)."""

import re
from collections.abc import Callable
from typing import Protocol

from django.conf import settings
from pydantic import HttpUrl, SecretStr


class Remote(Protocol):
    """One OpenAI-compatible server, as ``store.env.RemoteEngine`` reads it."""

    @property
    def models(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def base_url(self) -> HttpUrl: ...
    @property
    def model(self) -> str: ...
    @property
    def api_key(self) -> SecretStr: ...
    @property
    def api_key_file(self) -> object: ...


def remote_for(full_name: str, class_of: Callable[[], str] = lambda: "") -> Remote | None:
    """Return the server that runs a model, the first that fits; ``None``: the store's own box does.

    Args:
        full_name: ``ns/name``; letters' case does not matter.
        class_of: Tells the model's hardware class, empty where it has none; asked only where a
            server runs a class. Without it those servers do not fit.
    """
    for each in _remotes():
        if not re.fullmatch(_expression(each.models), full_name, re.IGNORECASE):
            continue
        if not each.queue or each.queue == class_of():
            return each
    return None


def name_patterns() -> list[str]:
    """Return what they run of any size as regular expressions of PostgreSQL, for whole names."""
    return [f"^{_expression(each.models)}$" for each in _remotes() if not each.queue]


def _remotes() -> tuple[Remote, ...]:
    remotes: tuple[Remote, ...] = settings.ENV.engines
    return remotes


def _expression(pattern: str) -> str:
    """Return a pattern as a regular expression: ``*`` is anything, ``?`` one character."""
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
