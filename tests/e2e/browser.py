"""A Chromium for tests that need a real browser."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.live import PASSWORD, LiveStore

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PICTURES = os.environ.get("PAGE_PICTURES", "")
"""Folder for pictures of the pages that ``look`` sees; empty: none are made."""


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


def sign_in(page: Page, store: LiveStore, name: str) -> None:
    """Sign in by password, as somebody that ``LiveStore.person`` made."""
    page.goto(f"{store.url}/login")
    page.locator("input[name=username]").fill(name)
    page.locator("input[type=password]").fill(PASSWORD)
    page.locator("main form button").last.click()
    page.wait_for_url(lambda url: "/login" not in url)


def looked_at(page: Page) -> list[str]:
    """Return what is wrong with the page as it stands: what axe finds, and scrolling sideways."""
    found = violations(page)
    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*found, f"{wider} pixels too wide"] if wider > 0 else found


def look(page: Page, name: str) -> list[str]:
    """Return what is wrong with the page, light and wide, and dark on a phone; take its pictures.

    Args:
        page: The page; it is light and wide afterwards.
        name: What faults and pictures are called.
    """
    found = []
    for way, theme, viewport in (("wide", "light", WIDE), ("phone-dark", "dark", PHONE)):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.set_viewport_size(viewport)  # type: ignore[arg-type]
        found += [f"{name} {way}: {fault}" for fault in looked_at(page)]
        if PICTURES:
            page.screenshot(path=Path(PICTURES) / f"{name}-{way}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    return found
