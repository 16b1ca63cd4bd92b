"""The first start of an empty store: soon every demo listing is tried, judged and explained.

``STORE_FIRST_START=all`` waits for every built-in suite (``make first-start``); without it the
store runs only the suite it runs on each new revision.
"""

import json
import os
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from inference.services.suite_specs import builtin_files
from tests import live
from tests.e2e.browser import WIDE, listen, looked_at, sign_in
from tests.live import ROOT, LiveStore

WHICH = os.environ.get("STORE_FIRST_START", "quick")
TITLES = {suite.key: suite.title for suite in builtin_files()}
SUITES = list(TITLES) if WHICH == "all" else WHICH.split(",")
ITEMS = json.loads((ROOT / "demo" / "catalogue.json").read_text())["models"]
MODELS = [f"{item['owner']}/{item['name']}" for item in ITEMS]
EXPLAINED = {
    "Why this token": "Tokens that did most for it",
    "Attention": "Where the chosen token looks",
    "Layers": "Predictions layer by layer",
}
"""Tabs of explanations beside the first, and the table each has when it is answered."""
PATIENCE_S = 300 * len(SUITES)
SLOW_MS = 90_000
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(PATIENCE_S + 600)]


@pytest.fixture(scope="module")
def store() -> Iterator[LiveStore]:
    """An empty store, started as ``make run`` does, that measures as it does."""
    running = live.start(STORE_EVALUATE_ON_PUBLISH="quick", STORE_EVALUATE_DEMO=",".join(SUITES))
    yield running
    live.discard(running)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that complains of nothing."""
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(SLOW_MS)
    complaints = listen(page)
    yield page
    context.close()
    assert complaints == []


def await_scores(store: LiveStore) -> float:
    """Wait until every listing has every suite and its demo texts; return the seconds."""
    began = time.monotonic()
    missing = MODELS
    while missing:
        assert time.monotonic() - began < PATIENCE_S, missing
        time.sleep(1)
        missing = [name for name in missing if what_is_missing(store, name)]
    return time.monotonic() - began


def what_is_missing(store: LiveStore, name: str) -> set[str]:
    """Return the suites a listing has no run of, and ``demos``; a run that failed is an error."""
    runs = store.ask(f"/api/v1/models/{name}/evaluations?limit=100")["results"]
    assert [run for run in runs if run["state"] == "failed"] == []
    done = {run["suite"]["key"] for run in runs if run["state"] == "done"}
    texts = store.ask(f"/api/v1/models/{name}/demos")["results"]
    assert [text for text in texts if text["state"] == "failed"] == []
    is_tried = bool(texts) and all(text["state"] == "done" for text in texts)
    return set(SUITES) - done | (set() if is_tried else {"demos"})


def read_the_scores(page: Page, name: str) -> None:
    """From the list to the listing, its score card, and the samples of a run."""
    page.get_by_role("link", name="Models", exact=True).first.click()
    page.locator(f"a[href='/{name}']").first.click()
    expect(page.get_by_role("heading", name="What it writes")).to_be_visible()
    card = page.get_by_role("table", name="Scores measured by the store")
    expect(card.locator("tbody tr")).to_have_count(len(SUITES))
    for key in SUITES:
        line = card.locator("tbody tr").filter(has_text=TITLES[key])
        expect(line).to_have_count(1)
    line = card.locator("tbody tr").filter(has_text=TITLES["quick"])
    expect(line.locator(".interval svg rect")).to_be_visible()  # the error bar
    line.get_by_role("link", name="sample").click()
    expect(page.locator(".sample").first).to_be_visible()
    expect(page.get_by_role("table", name="Scores of this evaluation")).to_be_visible()


def ask_it(page: Page) -> None:
    """From a listing's tabs to its playground, an answer, and all that explains it."""
    page.get_by_role("link", name="Try it", exact=True).click()
    page.get_by_label("Prompt").fill("It is a truth universally acknowledged,")
    page.get_by_label("Length", exact=True).fill("20")
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("link", name="Why it wrote this").click()
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("heading", name="How likely each token was")).to_be_visible()
    expect(page.locator("button.token").nth(10)).to_be_visible()
    for tab, table in EXPLAINED.items():
        page.get_by_role("navigation", name="Explanations").get_by_role("link", name=tab).click()
        page.get_by_role("button", name="Explain").click()
        expect(page.get_by_role("table", name=table).locator("tbody tr").first).to_be_visible()


def test_every_demo_listing_is_judged_tried_and_explained(store: LiveStore, page: Page) -> None:
    name, _token = store.person()
    took_s = await_scores(store)
    print(f"every listing had {len(SUITES)} suites and its texts {took_s:.0f} s after the start")

    sign_in(page, store, name)
    for model in MODELS:
        read_the_scores(page, model)
        ask_it(page)
    for key in SUITES:
        page.get_by_role("link", name="Leaderboards").first.click()
        page.wait_for_url("**/leaderboards")
        board = page.locator("main").get_by_role("link", name=TITLES[key], exact=True)
        if not board.count():  # it ranks nobody
            continue
        board.click()
        for model in MODELS:
            line = page.locator("main tbody").get_by_role("link", name=model, exact=True)
            expect(line).to_be_visible()
    assert looked_at(page) == []
