"""Pictures of the main pages: wide and phone, light and dark. ``make screenshots``."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PAGES = {
    "home": "/",
    "models": "/models",
    "listing": "/{model}",
    "files": "/{model}/tree/main",
    "file": "/{model}/blob/main/model.safetensors",
    "versions": "/{model}/commits/main",
    "signup": "/signup",
    "components": "/_components",
    "api": "/api/v1/docs",
}
SIZES = {"wide": (1280, 800), "phone": (390, 844)}


def shoot(url: str, model: str, folder: Path, *, full: bool = False) -> None:
    """Save a picture of every page in each size and colour scheme."""
    folder.mkdir(parents=True, exist_ok=True)
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-background-networking"]
        )
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                page = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme=scheme
                )
                for name, path in PAGES.items():
                    page.goto(url + path.format(model=model))
                    page.wait_for_load_state("load")
                    suffix = "" if scheme == "light" else "-dark"
                    page.screenshot(path=folder / f"{name}-{size}{suffix}.png", full_page=full)
                page.close()
        browser.close()


if __name__ == "__main__":
    shoot(sys.argv[1], sys.argv[2], Path(sys.argv[3]), full="--full" in sys.argv)
