"""Fixtures every room uses."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.management.commands import flush
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test import Client
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]

from accounts.models import Scope, User
from accounts.services import freshness
from accounts.services.tokens import create_token
from accounts.services.two_factor import has_two_factor
from accounts.viewer import Viewer
from catalog.content.tables import forget_all
from store.core.models import Job
from store.core.valkey import valkey
from store.engines.places import POSTGRES_ROLE
from store.engines.postgres import CLUSTER_OWNER
from tests import live
from tests.factories import enrol, make_user, proved_viewer
from tests.issuer import Issuer, serving
from tests.openapi import CheckedClient

if TYPE_CHECKING:
    from playwright.sync_api import Browser

hypothesis_settings.register_profile(
    "shared-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("shared-machine")  # which pauses, and that is no defect


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Give several test runs on one machine a database each (``STORE_TEST_DB=name``)."""
    if suffix := os.environ.get("STORE_TEST_DB"):
        database: Any = settings.DATABASES["default"]
        test = database.setdefault("TEST", {})
        test["NAME"] = f"{test.get('NAME') or 'test_store'}_{suffix}"


@pytest.fixture(autouse=True, scope="session")
def cheap_passwords() -> None:
    """Hash passwords by the same algorithm at a small part of its cost."""
    Argon2PasswordHasher.time_cost = 1
    Argon2PasswordHasher.memory_cost = 8
    Argon2PasswordHasher.parallelism = 1


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """What tests write in their own process needs to outlive no power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _file: None)
        yield


_TELL_SEARCH = (
    "INSERT INTO catalog_listingchange (repo_id, xid)"
    " VALUES (0, pg_current_xact_id()::text::bigint)"
    " ON CONFLICT (repo_id) DO UPDATE SET xid = EXCLUDED.xid",
)
"""What the trigger of an emptied table does: processes that keep sets of it read it anew."""


@pytest.fixture(autouse=True, scope="session")
def quick_flush() -> Iterator[None]:
    """After tests with real transactions, empty the tables that hold rows, not all of them.

    Django truncates every table, which makes some 900 files anew each time, and writes again what
    migrations leave: permissions and types of content. Those stay here.
    """
    kept = {"django_content_type", "auth_permission"}

    def deletions(self: DatabaseOperations, style: Any, tables: list[str], **_: Any) -> list[str]:
        with self.connection.cursor() as cursor:
            any_row = "(SELECT '{0}' FROM \"{0}\" LIMIT 1)"
            rows = (any_row.format(name) for name in tables if name not in kept)
            cursor.execute(" UNION ALL ".join(rows))
            full = [name for (name,) in cursor.fetchall()]
        unbound = "SET LOCAL session_replication_role = replica"  # no foreign keys, no triggers
        return [unbound, *map('DELETE FROM "{}"'.format, full), *(_TELL_SEARCH if full else ())]

    _let_triggers_rest()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", deletions)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *_, **__: None)
        yield


def _let_triggers_rest() -> None:
    """Allow the store's role of the tests' engine to delete what its triggers keep."""
    server: Any = settings.DATABASES["default"]
    address = {"host": server["HOST"], "port": server["PORT"], "dbname": "postgres"}
    with psycopg.connect(user=CLUSTER_OWNER, **address) as session:
        session.execute("SELECT pg_advisory_xact_lock(1)")  # two workers at once
        allowed = "SELECT has_parameter_privilege(%s, 'session_replication_role', 'SET')"
        if not session.execute(allowed, [POSTGRES_ROLE]).fetchone()[0]:
            session.execute(f"GRANT SET ON PARAMETER session_replication_role TO {POSTGRES_ROLE}")


@pytest.fixture(autouse=True)
def own_folders(settings: Any, tmp_path: Path) -> None:
    """Each test has its own blobs and spool: nothing another test left can help it."""
    settings.BLOB_DIR = tmp_path / "blobs"
    settings.SPOOL_DIR = tmp_path / "spool"
    settings.MODEL_DIR = tmp_path / "models"
    settings.LICENSE_KEY_DIR = tmp_path / "license-keys"
    forget_all()


@pytest.fixture(autouse=True)
def clean_valkey() -> None:
    """Counters, limits and streams start empty."""
    valkey().flushdb()


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    """A request in another language leaves its thread speaking it; tests speak English."""
    yield
    translation.activate(settings.LANGUAGE_CODE)


@pytest.fixture
def valkey_away(settings: Any, tmp_path: Path, rate_limits_on: None, db: None) -> Iterator[None]:
    """Nothing listens where Valkey was; limits are on."""
    nothing = f"unix://{tmp_path}/nothing.sock?db=0"
    settings.REDIS_URL = nothing
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": nothing}}
    valkey.cache_clear()
    yield
    valkey.cache_clear()


@pytest.fixture
def rate_limits_on(settings: Any) -> None:
    """Switch the limits on, which are off for tests."""
    settings.ENV = settings.ENV.model_copy(update={"rate_limits": "on"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with live stores share them: they run in one worker, and only drive other programs."""
    for item in items:
        if {"store", "s3_store"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("live"))
        if item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.no_cover)


def pytest_collection_finish() -> None:
    """Spare the garbage collector the thousands of tests and what they imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def static_files_once() -> Iterator[None]:
    """Each test's client has middleware of its own; what lies in ``static/`` is looked up once."""
    found: dict[str, Any] = {}
    look = WhiteNoiseMiddleware.add_files_from_finders

    def look_once(self: WhiteNoiseMiddleware) -> None:
        if not found:
            look(self)
            found.update(self.files)
        self.files = dict(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", look_once)
        yield


@pytest.fixture(scope="session")
def running_issuer() -> Iterator[Issuer]:
    """A CI service of this machine; one for the session."""
    with serving() as running:
        yield running


@pytest.fixture
def issuer(running_issuer: Issuer, settings: Any) -> Issuer:
    """The CI service this site trusts, as at its start."""
    running_issuer.reset()
    trusted = (f"github={running_issuer.url}", "gitlab=https://gitlab.com")
    settings.ENV = settings.ENV.model_copy(update={"oidc_issuers": trusted})
    settings.PUBLIC_URL = "http://testserver"
    return running_issuer


@pytest.fixture(scope="session")
def store(running_issuer: Issuer) -> Iterator[live.LiveStore]:
    """A whole running store; webhooks may go to this machine, jobs of its CI service come in."""
    trusted = f"github={running_issuer.url}"
    running = live.start(STORE_OIDC_ISSUERS=trusted, **live.RECEIVERS_HERE)
    yield running
    live.discard(running)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One Chromium for all tests of a module."""
    from tests.e2e.browser import chromium  # only a few tests need it

    with chromium() as found:
        yield found


@pytest.fixture
def alice(db: None) -> User:
    """The publisher of most tests."""
    return make_user("alice")


@pytest.fixture
def bob(db: None) -> User:
    """Somebody else, with no rights on anything of alice's."""
    return make_user("bob")


@pytest.fixture
def staff(db: None) -> User:
    """A member of staff."""
    return make_user("carol", is_staff=True)


@pytest.fixture
def as_alice(alice: User) -> Viewer:
    """Alice in a browser."""
    return Viewer(user=alice)


@pytest.fixture
def as_bob(bob: User) -> Viewer:
    """Bob in a browser."""
    return Viewer(user=bob)


@pytest.fixture
def client() -> Client:
    """A program or browser nobody is signed in to."""
    return CheckedClient()


@pytest.fixture
def token_for() -> Callable[..., str]:
    """Make a token by all its owner has proved: ``token_for(user, "write")`` gives its text."""

    def make(user: User, *scopes: str) -> str:
        chosen = [Scope(scope) for scope in scopes or ("write",)]
        is_for_staff = user.is_staff and Scope.ADMIN in chosen
        by = proved_viewer(user) if is_for_staff else Viewer(user=user, gave_second_factor=True)
        return create_token(user, name="test", scopes=chosen, by=by)[1]

    return make


@pytest.fixture
def bearer(token_for: Callable[..., str]) -> Callable[..., dict[str, str]]:
    """Headers of a program with a token: ``client.get(url, headers=bearer(alice))``."""

    def make(user: User, *scopes: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token_for(user, *scopes)}"}

    return make


@pytest.fixture
def browser_of() -> Callable[[User], Client]:
    """A Django test client that has just signed in: staff by two factors, as they must."""

    def make(user: User) -> Client:
        client = CheckedClient()
        client.force_login(user)
        if user.is_staff and not has_two_factor(user):
            enrol(user)
        session = client.session
        freshness.confirm(session, by_second_factor=has_two_factor(user))
        session.save()
        return client

    return make


@pytest.fixture
def run_jobs(db: None) -> Callable[[], list[Job]]:
    """Run every waiting job as a worker would, until none is left."""

    def run() -> list[Job]:
        from workers.runner import run_job

        done = []
        while job := Job.objects.filter(state=Job.State.QUEUED).order_by("id").first():
            Job.objects.filter(pk=job.pk).update(not_before=job.created_at)
            run_job(job.pk)
            job.refresh_from_db()
            done.append(job)
        return done

    return run
