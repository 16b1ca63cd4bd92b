"""Which models a server elsewhere runs, as the operator said (``STORE_ENGINES``)."""

import re
from typing import Protocol

from django.conf import settings
from pydantic import HttpUrl, SecretStr


class Remote(Protocol):
    """One OpenAI-compatible server, as ``store.env.RemoteEngine`` reads it."""

    @property
    def models(self) -> str: ...
    @property
    def base_url(self) -> HttpUrl: ...
    @property
    def model(self) -> str: ...
    @property
    def api_key(self) -> SecretStr: ...
    @property
    def api_key_file(self) -> object: ...


def remote_for(full_name: str) -> Remote | None:
    """Return the server that runs a model, the first that fits; ``None``: the store's own box does.

    Args:
        full_name: ``ns/name``; letters' case does not matter.
    """
    for each in _remotes():
        if re.fullmatch(_expression(each.models), full_name, re.IGNORECASE):
            return each
    return None


def name_patterns() -> list[str]:
    """Return what they run as regular expressions of PostgreSQL, for whole names."""
    return [f"^{_expression(each.models)}$" for each in _remotes()]


def _remotes() -> tuple[Remote, ...]:
    remotes: tuple[Remote, ...] = settings.ENV.engines
    return remotes


def _expression(pattern: str) -> str:
    """Return a pattern as a regular expression: ``*`` is anything, ``?`` one character."""
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
