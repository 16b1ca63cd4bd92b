"""The jobs pages in a real browser: how they look, and what can be done without a script."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from inference.services.runs import submit
from store.core import presence
from store.core.jobs import JobName, claim, enqueue
from store.core.models import Job
from store.core.presence import Worker
from tests.e2e.browser import WIDE, listen, look

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, browser_of: Any, alice: User) -> Iterator[Page]:
    """A browser in which alice, who is staff, has signed in."""
    alice.is_staff = True
    alice.save()
    client: Client = browser_of(alice)
    context = browser.new_context(viewport=WIDE, base_url=live_server.url)  # type: ignore[arg-type]
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}]
    )
    page = context.new_page()
    page.complaints = listen(page)  # type: ignore[attr-defined]
    yield page
    context.close()


def test_the_pages_of_jobs(page: Page, tiny_repo: ModelRepo, alice: User) -> None:
    gib = 2**30
    presence.announce(Worker("worker@store", ("default", "scan"), 2))
    presence.announce(
        Worker(
            "inference@store",
            ("inference",),
            16,
            hardware="8 cores",
            memory_bytes=6 * gib,
            protection="models run in a box: no network (own network namespace), files closed",
            boxes=2,
            boxes_bytes=gib,
        )
    )
    me = f"user:{alice.pk}"
    asked = {"max_new_tokens": 8}
    waiting = submit(Viewer(user=alice), tiny_repo, "", "Once", asked)
    running = enqueue(JobName.SCAN_COMMIT, asker=me, repo_id=tiny_repo.pk)
    enqueue(JobName.GENERATE, asker=me, memory_bytes=80 * gib)
    broken = enqueue(JobName.SCAN_COMMIT, asker=me, repo_id=tiny_repo.pk)
    for job, ending in ((running, ""), (broken, "model.safetensors ends too early.")):
        mine = claim(job.pk)
        assert mine is not None
        mine.report(progress=0.4, line="read config.json\nread 3 of 8 files", tokens=120)
        if ending:
            mine.fail(code="broken", message=ending)
    Job.objects.filter(pk=running.pk).update(started_at=timezone.now() - timedelta(seconds=30))

    found = []
    for name, path in (
        ("jobs-own", "/settings/jobs"),
        ("jobs-all", "/jobs"),
        ("job-running", f"/settings/jobs/{running.pk}"),
        ("job-failed", f"/settings/jobs/{broken.pk}"),
        ("job-waiting", f"/settings/jobs/{waiting.job_id}"),
    ):
        page.goto(path)
        found += look(page, name)
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_text("The job is cancelled.")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("It is tried again.")).to_be_visible()

    assert found == []
    assert page.complaints == []  # type: ignore[attr-defined]
