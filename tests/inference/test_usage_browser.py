"""The page of usage in a real browser: wide, on a phone, light and dark."""

from collections.abc import Callable

import pytest
from django.test import Client
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from tests.e2e.browser import WIDE, listen, look
from tests.factories import make_org
from tests.inference.test_usage import used

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def test_usage_is_read_by_everybody(
    browser: Browser,
    live_server: LiveServer,
    bob: User,
    as_bob: Viewer,
    tiny_repo: ModelRepo,
    browser_of: Callable[[User], Client],
) -> None:
    make_org("reading-group", bob="admin")
    for _ in range(3):
        used(as_bob, tiny_repo)
    cookie = browser_of(bob).cookies["sessionid"].value
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
    page = context.new_page()
    complaints = listen(page)

    page.goto(f"{live_server.url}/settings/usage")
    faults = look(page, "usage")
    page.goto(f"{live_server.url}/settings/usage?organization=reading-group")
    faults += look(page, "usage-empty")
    context.close()

    assert faults == []
    assert complaints == []
