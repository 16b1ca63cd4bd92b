"""From a written text to why it was written, in a browser; and how it works at all."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from catalog.models import ModelRepo
from tests.e2e.browser import WIDE, listen, look
from tests.inference.conftest import jobs_done

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(900),  # a real box and axe six times, on machines that are busy
]
SLOW_MS = 60_000


@pytest.fixture
def worker() -> Iterator[None]:
    """Do jobs as they come, in a thread of this process."""
    with jobs_done(join_s=60):
        yield


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, tiny_repo: ModelRepo) -> Iterator[Page]:
    """A page that complains of nothing."""
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page = context.new_page()
    complaints = listen(page)
    yield page
    context.close()
    assert complaints == []


def write(page: Page, url: str) -> None:
    """Let the model write, and go to the page that explains it."""
    page.goto(f"{url}/alice/tiny/playground")
    page.get_by_label("Prompt").fill("Once upon a time\nthere was a small store")
    page.get_by_label("Length", exact=True).fill("60")
    page.get_by_role("button", name="Generate").click()
    why = page.get_by_role("link", name="Why it wrote this")
    expect(why).to_be_visible(timeout=SLOW_MS)
    why.click()


def test_a_visitor_learns_how_likely_tokens_were_and_what_one_came_from(
    page: Page, live_server: LiveServer, real_pool: Any, worker: None
) -> None:
    write(page, live_server.url)
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("heading", name="How likely each token was")).to_be_visible(
        timeout=SLOW_MS
    )

    assert look(page, "explain-tokens") == []

    token = page.locator("button.token").nth(20)
    token.focus()
    card = token.evaluate("node => getComputedStyle(node, '::after').content")
    assert "#" in card
    token.press("Enter")
    expect(page.get_by_role("heading", name="Why “")).to_be_visible(timeout=SLOW_MS)
    assert look(page, "explain-saliency") == []


def test_a_visitor_looks_into_the_layers(
    page: Page, live_server: LiveServer, real_pool: Any, worker: None
) -> None:
    write(page, live_server.url)
    page.get_by_role("link", name="Attention").click()
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("img.heatmap")).to_be_visible(timeout=SLOW_MS)
    page.get_by_label("Layer").select_option("1")
    page.get_by_label("Head").select_option("0")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_label("Head")).to_have_value("0", timeout=SLOW_MS)
    expect(page.locator("img.heatmap")).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("button", name="0-63").click()
    expect(page.locator("[aria-current=true]", has_text="0-63")).to_be_visible(timeout=SLOW_MS)
    assert look(page, "explain-attention") == []

    page.get_by_role("link", name="Layers").click()
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("heading", name="What each layer")).to_be_visible(timeout=SLOW_MS)
    assert look(page, "explain-lens") == []


def test_a_visitor_walks_a_prompt_through_a_model(
    page: Page, live_server: LiveServer, real_pool: Any, worker: None
) -> None:
    page.goto(live_server.url)
    page.get_by_role("link", name="How it works").click()
    page.get_by_label("Prompt").fill("Once upon a time there")
    assert look(page, "walk-begin") == []
    page.get_by_role("button", name="Walk").click()
    expect(page.get_by_role("heading", name="1 · Tokens")).to_be_visible(timeout=SLOW_MS)

    assert look(page, "walk") == []

    slider = page.get_by_role("slider", name="Temperature")
    first = page.locator("[data-percent]").first
    before = first.text_content()
    slider.focus()
    slider.press("Home")
    expect(page.locator("[data-temperature]")).to_have_text("0.2")
    expect(first).not_to_have_text(before or "")


def test_a_visitor_lets_two_models_read_a_text(
    page: Page, live_server: LiveServer, real_pool: Any, worker: None
) -> None:
    page.goto(f"{live_server.url}/playground/score")
    page.get_by_label("First model").fill("alice/tiny")
    page.get_by_label("Second model").fill("alice/tiny")
    page.get_by_label("Text", exact=True).fill("Once upon a time\nthere was a 日本 store 😀")
    assert look(page, "score-begin") == []
    page.get_by_role("button", name="Let them read it").click()
    expect(page.get_by_role("heading", name="Token by token")).to_be_visible(timeout=SLOW_MS)
    expect(page.get_by_text("about equally well")).to_be_visible()
    page.get_by_text("The same as a table").click()

    assert look(page, "score") == []
