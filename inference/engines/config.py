"""Which models a server elsewhere runs, as the operator said (``STORE_ENGINES``)."""

from fnmatch import fnmatchcase
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
    """Return the server that runs a model; ``None``: the store's own box does.

    Args:
        full_name: ``ns/name``; letters' case does not matter.
    """
    remotes: tuple[Remote, ...] = settings.ENV.engines
    name = full_name.lower()
    return next((each for each in remotes if fnmatchcase(name, each.models.lower())), None)
