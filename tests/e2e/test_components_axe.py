"""The design system in a real browser: axe, both themes, wide and phone, no script needed."""

import pytest
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from tests.e2e.browser import PHONE, WIDE, listen, violations

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_components_are_accessible_and_obey_the_policy(
    live_server: LiveServer, browser: Browser, theme: str, size: dict[str, int]
) -> None:
    context = browser.new_context(viewport=size, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    complaints = listen(page)

    page.goto(f"{live_server.url}/_components")

    # every specimen stands there twice, so its landmarks do too
    assert violations(page, without="landmark-unique") == []
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    context.close()
