"""Pictures of the main pages: wide and phone, light and dark. ``make screenshots``."""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests import live

ROOT = Path(__file__).resolve().parent.parent
MODEL = "regency/austen-gpt2-small"
SHOWN = {"home": "/", "models": "/models", "listing": f"/{MODEL}"}
"""In the README and the docs."""
OTHERS = {
    "files": f"/{MODEL}/tree/main",
    "file": f"/{MODEL}/blob/main/model.safetensors",
    "text": f"/{MODEL}/blob/main/config.json",
    "versions": f"/{MODEL}/commits/main",
    "nothing": "/models?q=zebra+crossing",
    "missing": "/nobody/nothing",
    "publisher": "/regency",
    "signup": "/signup",
    "login": "/login",
    "guide": "/docs",
    "status": "/status",
    "components": "/_components",
    "api": "/api/v1/docs",
}
SIZES = {"wide": (1280, 800), "phone": (390, 844)}
PROMPT = "It is a truth universally acknowledged, that"


def shoot(url: str, folder: Path, pages: dict[str, str], *, is_full: bool) -> None:
    """Save a picture of every page in each size and colour scheme."""
    with _browser() as browser:
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                view = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme=scheme
                )
                suffix = "" if scheme == "light" else "-dark"
                for name, path in pages.items():
                    view.goto(url + path)
                    view.wait_for_load_state("load")
                    view.screenshot(path=folder / f"{name}-{size}{suffix}.png", full_page=is_full)
                view.close()
        _play(browser.new_page(viewport={"width": 1280, "height": 900}), url, folder)


def _play(page: Page, url: str, folder: Path) -> None:
    """Let a model write, and save how that looks."""
    page.goto(f"{url}/{MODEL}/playground")
    page.fill("textarea", PROMPT)
    page.get_by_role("button", name="Generate").click()
    page.get_by_text("tokens/s").wait_for(timeout=60_000)
    page.screenshot(path=folder / "playground-wide.png")


@contextmanager
def _browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


def main() -> None:
    """Take pictures of a running store, or of a fresh one with the demo catalogue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="of a running store; default: a fresh one")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("--all", action="store_true", help="every page, from top to bottom")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    pages = SHOWN | OTHERS if chosen.all else SHOWN
    if chosen.url:
        shoot(chosen.url, chosen.folder, pages, is_full=chosen.all)
        return
    store = live.start()
    try:
        shoot(store.url, chosen.folder, pages, is_full=chosen.all)
    finally:
        live.discard(store)


if __name__ == "__main__":
    main()
