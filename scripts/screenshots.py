"""Pictures of the main pages: wide and phone, light and dark. ``make screenshots``."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi
from playwright.sync_api import Page

from tests import live
from tests.e2e.browser import chromium, sign_in
from tests.e2e.selling import buy

ROOT = Path(__file__).resolve().parent.parent
MODEL = "regency/austen-gpt2-small"
SOLD = f"{MODEL}-licensed"
GATED = "jane/lady-susan-gpt2"
SHOWN = {"home": "/", "models": "/models", "listing": f"/{MODEL}", "sold": f"/{SOLD}"}
"""In the README and the docs, as a visitor sees them."""
LIVED_IN = {
    "thread": f"/{MODEL}/discussions/1",
    "changes": f"/{MODEL}/discussions/2/changes",
    "gated": f"/{GATED}",
    "collections": "/collections",
    "notifications": "/notifications",
}
"""In the docs, as ``READER`` sees them in a store where people have been."""
SELLING = {"sales": "/sales?seller=regency", "offers": f"/{SOLD}/offers"}
"""In the docs, as ``SELLER`` sees them once a few copies are sold."""
OTHERS = {
    "files": f"/{MODEL}/tree/main",
    "file": f"/{MODEL}/blob/main/model.safetensors",
    "text": f"/{MODEL}/blob/main/config.json",
    "versions": f"/{MODEL}/commits/main",
    "refs": f"/{MODEL}/refs",
    "community": f"/{MODEL}/discussions",
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
OTHER = "regency/kjv-gpt2-small"
READ_TEXT = f"{PROMPT} a single man in possession of a good fortune, must be in want of a wife."
BOARD = "text"
MEASURED_WITHIN_S = 1800
READER, SELLER = "mary", "jane"
BUYERS = 6
CARD = """---
license: cc0-1.0
base_model: regency/austen-gpt2-small
base_model_relation: finetune
pipeline_tag: text-generation
extra_gated_heading: Tell us what you study
extra_gated_prompt: This model imitates letters. Please do not pass its letters off as real ones.
extra_gated_fields:
  University: text
  Country: country
  I will not publish forged letters as real: checkbox
---

# lady-susan-gpt2

Writes letters in the manner of *Lady Susan*: polite on the surface, and not below it.
"""


def shoot(
    url: str,
    folder: Path,
    pages: dict[str, str],
    *,
    is_full: bool,
    before: Callable[[Page], object] = lambda _page: None,
) -> None:
    """Save a picture of every page in each size and colour scheme, after ``before`` has acted."""
    with chromium() as browser:
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                view = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme=scheme
                )
                before(view)
                suffix = "" if scheme == "light" else "-dark"
                for name, path in pages.items():
                    view.goto(url + path)
                    view.wait_for_load_state("load")
                    view.screenshot(path=folder / f"{name}-{size}{suffix}.png", full_page=is_full)
                view.close()


def play(url: str, folder: Path) -> None:
    """Let a model write, and save how that looks."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{url}/{MODEL}/playground")
        page.fill("textarea", PROMPT)
        page.get_by_role("button", name="Generate").click()
        page.get_by_text("tokens/s").wait_for(timeout=60_000)
        page.screenshot(path=folder / "playground-wide.png")


def explain(url: str, folder: Path) -> None:
    """Ask why a model wrote what it wrote, and let two read one text; save how that looks."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{url}/{MODEL}/playground")
        page.fill("textarea", PROMPT)
        page.get_by_role("button", name="Generate").click()
        page.get_by_role("link", name="Why it wrote this").click(timeout=60_000)
        page.get_by_role("button", name="Explain").click()
        page.get_by_role("heading", name="How likely each token was").wait_for(timeout=60_000)
        page.screenshot(path=folder / "explained-wide.png")
        page.goto(f"{url}/playground/score?a={MODEL}&b={OTHER}")
        page.get_by_label("Text", exact=True).fill(READ_TEXT)
        page.get_by_role("button", name="Let them read it").click()
        page.get_by_role("heading", name="Token by token").wait_for(timeout=60_000)
        page.screenshot(path=folder / "read-by-two-wide.png", full_page=True)


def measured(url: str, folder: Path) -> None:
    """Wait until the store has measured its models by itself; save a board and a score card."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        until = time.monotonic() + MEASURED_WITHIN_S
        while not page.get_by_role("link", name=MODEL, exact=True).count():
            if time.monotonic() > until:
                raise TimeoutError(f"{MODEL} has no score within {MEASURED_WITHIN_S} s")
            time.sleep(1)
            page.goto(f"{url}/leaderboards/{BOARD}")
        page.screenshot(path=folder / "board-wide.png")
        page.goto(f"{url}/{MODEL}/evaluations")
        page.screenshot(path=folder / "scores-wide.png")


def live_in(store: live.LiveStore) -> None:
    """Let two people talk, propose, merge, gate and collect, so that there is something to see."""
    _, reader = store.person(READER)
    _, owner = store.person(SELLER)
    store.manage("addorg", "regency", "--member", f"{SELLER}:admin")
    mary, jane = (HfApi(store.url, token=token) for token in (reader, owner))
    talk = mary.create_discussion(
        MODEL,
        "Which editions of the novels were used?",
        description="The spelling of *chuse* and *shew* is kept. Is the text that of **1811**?",
    )
    jane.comment_discussion(
        MODEL, talk.num, "Of the first editions, yes; `training.json` names each file, @mary."
    )
    mary.comment_discussion(MODEL, talk.num, "Thank you. I shall say so in the card.")
    _propose(mary)
    jane.comment_discussion(MODEL, 2, "A good sentence. I shall merge it tomorrow.")
    _gate(jane)
    shelf = jane.create_collection(
        "Novels of the Regency", description="Models that write as one wrote from 1795 to 1820."
    )
    for model in (MODEL, GATED):
        jane.add_collection_item(shelf.slug, model, "model")
    mary.create_collection("To read by the fire")
    store.settled(GATED, owner)


def trade(store: live.LiveStore) -> dict[str, str]:
    """Let people buy with test cards; return pages of the reader's own purchase."""
    offers = store.ask(f"/api/v1/models/{SOLD}/offers")["results"]
    paid = [offer["id"] for offer in offers if offer["kind"] != "free"]
    for number in range(BUYERS):
        name, _ = store.person()
        buy(store, name, paid[number % len(paid)])
    pages = buy(store, READER, paid[0])
    license_page = next(path for path in pages if path.startswith("/library/"))
    order_page = [path for path in pages if path.startswith("/orders/")][-1]
    return {"license": license_page, "order": order_page, "checkout": "/checkout"}


def fill_cart(page: Page, store: live.LiveStore) -> None:
    """Sign in as the reader, with something in the cart."""
    sign_in(page, store, READER)
    page.goto(f"{store.url}/{SOLD}")
    page.locator("summary", has_text="Buy another license").click()
    page.get_by_role("button", name="Add to cart").first.click()
    page.wait_for_url("**/cart")


def _propose(api: HfApi) -> None:
    card = Path(api.hf_hub_download(MODEL, "README.md")).read_text(encoding="utf-8")
    told = card.replace("\n## ", "\nThe text is that of the first editions.\n\n## ", 1)
    change = CommitOperationAdd("README.md", told.encode())
    api.create_commit(
        MODEL, [change], commit_message="Say which editions were used", create_pr=True
    )


def _gate(api: HfApi) -> None:
    folder = Path(api.snapshot_download(MODEL))
    api.create_repo(GATED)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".png"}
    files["README.md"] = CARD.encode()
    changes = [CommitOperationAdd(name, data) for name, data in files.items()]
    api.create_commit(GATED, changes, commit_message="First version")
    api.update_repo_settings(GATED, gated="manual")


def lab(url: str, folder: Path) -> None:
    """Save how it looks when models write, are explained and measured."""
    play(url, folder)
    explain(url, folder)
    measured(url, folder)


def main() -> None:
    """Take pictures of a running store, or of a fresh one with the demo catalogue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="of a running store, as a visitor; default: a fresh one")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("--all", action="store_true", help="every page, from top to bottom")
    chosen = parser.parse_args()
    folder, is_full = chosen.folder, chosen.all
    folder.mkdir(parents=True, exist_ok=True)
    pages = SHOWN | OTHERS if is_full else SHOWN
    if chosen.url:
        shoot(chosen.url, folder, pages, is_full=is_full)
        lab(chosen.url, folder)
        return
    store = live.start()
    try:
        shoot(store.url, folder, pages, is_full=is_full)
        lab(store.url, folder)
        live_in(store)
        shoot(
            store.url,
            folder,
            LIVED_IN | trade(store),
            is_full=is_full,
            before=lambda page: fill_cart(page, store),
        )
        shoot(
            store.url,
            folder,
            SELLING,
            is_full=is_full,
            before=lambda page: sign_in(page, store, SELLER),
        )
    finally:
        live.discard(store)


if __name__ == "__main__":
    main()
