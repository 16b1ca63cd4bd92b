"""Fixtures for webhooks: a site that may send to this machine, and receivers on it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from typing import Any

import pytest

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo, RepoEvent, Webhook
from catalog.services.events import emit
from catalog.services.webhooks.managing import Wish, create
from store.core.jobs import JobName
from store.core.models import Job
from store.core.outgoing import sending
from tests.factories import make_repo
from tests.receivers import Receiver

LOOPBACK = {
    "outgoing_http": True,
    "outgoing_ports": (0,),
    "outgoing_networks": (ip_network("127.0.0.0/8"),),
}


@pytest.fixture(autouse=True)
def site_that_sends_to_itself(settings: Any) -> None:
    """Webhooks may have addresses of this machine."""
    settings.ENV = settings.ENV.model_copy(update=LOOPBACK)


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    """Start receivers; none outlives the test."""
    with ExitStack() as stack:
        yield lambda *args, **more: stack.enter_context(Receiver(*args, **more))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give receivers one second instead of ten."""
    monkeypatch.setattr(
        sending.post, "__kwdefaults__", sending.post.__kwdefaults__ | {"timeout_s": 1.0}
    )


def hook(
    owner: User,
    url: str = "https://hooks.example.org/in",
    *watched: str,
    domains: list[str] | None = None,
    secret: str = "",
) -> Webhook:
    """A webhook of ``owner``; ``watched`` is ``user:alice`` and the like, by default their own."""
    pairs = [each.split(":") for each in watched or (f"user:{owner.username}",)]
    items = [{"type": kind, "name": name} for kind, name in pairs]
    wish = Wish(url=url, watched=items, domains=domains, secret=secret)
    return create(Viewer(user=owner), wish)[0]


def quiet_repo(owner: User, name: str = "tiny", **more: Any) -> ModelRepo:
    """A repository whose making is no event any more."""
    repo = make_repo(owner, name, **more)
    RepoEvent.objects.filter(repo=repo).delete()
    Job.objects.filter(name=JobName.SPREAD_EVENT).delete()
    return repo


def happen(
    repo: ModelRepo, scope: str = "repo.content", action: str = "update", **facts: Any
) -> RepoEvent:
    """Note that something happened to ``repo``."""
    return emit(
        RepoEvent.Scope(scope),
        RepoEvent.Action(action),
        repo=repo,
        actor=repo.created_by,
        **facts,
    )
