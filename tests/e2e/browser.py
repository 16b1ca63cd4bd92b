"""A Chromium for tests that need a real browser."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; fail, never skip, when there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "install Chromium: make system"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def listen(page: Page) -> list[str]:
    """Collect what a page complains about: errors, and whatever its own policy refuses."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    return complaints


def violations(page: Page, *, without: str = "") -> list[str]:
    """Return what axe finds wrong with the page as it stands: rule and place.

    Args:
        page: The page.
        without: A rule that does not apply to it.
    """
    options: dict[str, Any] = {
        "resultTypes": ["violations"],
        "runOnly": {"type": "tag", "values": RULES},
        "rules": {without: {"enabled": False}} if without else {},
    }
    results = Axe().run(page, options=options).response
    return [
        f"{violation['id']}: {node['target']} {node['html'][:160]}"
        for violation in results["violations"]
        for node in violation["nodes"]
    ]
