"""From a leaderboard to a comparison and down to a single answer, and how those pages look."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import WIDE, listen, look, sign_in
from tests.e2e.scores import OWNER
from tests.live import LiveStore

pytestmark = pytest.mark.e2e
MODEL = f"{OWNER}/engine-base"


@pytest.fixture(scope="module")
def shelf(store: LiveStore) -> LiveStore:
    """The store with a shelf of measured models."""
    store.person(OWNER)
    store.manage("shell", "-v", "0", "-c", "from tests.e2e.scores import fill; fill()")
    return store


@pytest.fixture
def page(browser: Browser) -> Page:
    """A wide window."""
    return browser.new_page(viewport=WIDE)


def test_from_the_board_to_a_single_answer(shelf: LiveStore, page: Page) -> None:
    complaints = listen(page)
    page.goto(f"{shelf.url}/leaderboards")
    page.get_by_role("link", name="Sums in words").click()
    expect(page.locator("[role=status]").last).to_contain_text("7 models of 7")
    found = look(page, "leaderboard")

    page.get_by_role("link", name="Price").first.click()
    page.get_by_role("link", name="Speed, tokens/s").click()
    found += look(page, "leaderboard-speed")
    page.locator(f"input[name=m][value='{MODEL}']").check()
    page.locator(f"input[name=m][value='{OWNER}/wordy-large']").check()
    page.locator(f"input[name=m][value='{OWNER}/engine-tiny']").check()
    page.get_by_role("button", name="Compare the ticked models").click()
    expect(page.locator("thead th")).to_have_count(3 + 4)
    found += look(page, "compare")

    page.locator("#compare-m").fill(f"{OWNER}/engine-small")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#compare-m")).to_have_count(0)
    found += look(page, "compare-four")
    page.get_by_role("link", name=f"Remove {OWNER}/engine-small").click()
    expect(page.locator("#compare-m")).to_have_count(1)

    page.get_by_role("link", name=MODEL, exact=True).first.click()
    found += look(page, "listing-scores")
    page.get_by_role("link", name="All evaluations").click()
    expect(page.locator(".progress__text")).to_contain_text("30 of 90")
    found += look(page, "evaluations")
    page.get_by_role("link", name="120 samples").click()
    page.locator("#samples-show").select_option("wrong")
    expect(page.locator(".sample").first).to_contain_text("Wrong")
    expect(page.locator(".sample").filter(has_text="Right")).to_have_count(0)
    found += look(page, "evaluation")

    assert found == []
    assert complaints == []


def test_dots_are_reached_by_keyboard(shelf: LiveStore, page: Page) -> None:
    page.goto(f"{shelf.url}/leaderboards/sums")
    dot = page.locator(f".plot a[href='/{OWNER}/wordy-large']")

    dot.focus()
    expect(dot).to_be_focused()
    page.keyboard.press("Enter")

    page.wait_for_url(f"**/{OWNER}/wordy-large")


def test_a_publisher_disputes_without_scripts(shelf: LiveStore, browser: Browser) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    sign_in(page, shelf, OWNER)
    page.goto(f"{shelf.url}/{OWNER}/engine-small/evaluations")
    page.get_by_role("link", name="120 samples").click()
    page.locator("#note-text").fill("The prompt has a space too many.")
    page.get_by_role("button", name="Publish the note").click()

    expect(page.locator("#notes")).to_contain_text("The prompt has a space too many.")


def test_empty_pages_look_right(shelf: LiveStore, page: Page) -> None:
    found = []
    for name, path in (("boards", "/leaderboards"), ("compare-none", "/models/compare")):
        page.goto(shelf.url + path)
        found += look(page, name)
    page.goto(f"{shelf.url}/models?q={OWNER}")
    page.locator("input[name=m]").first.check()
    expect(page.get_by_role("button", name="Compare the ticked models")).to_be_in_viewport()
    page.locator("input[name=m]").first.uncheck()  # what a bar above the list covers is no fault
    found += look(page, "models-to-tick")

    assert found == []
