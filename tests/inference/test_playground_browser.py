"""The playground in a real browser: streaming, polling, stopping, and with scripts off."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.folders import files_of, publish_files
from inference.models import GenerationRun
from tests.e2e.browser import PHONE, WIDE, listen, look, violations
from tests.factories import make_repo
from tests.inference import test_chat
from tests.inference.conftest import forget_news, jobs_done
from tests.inference.fakes import FakeBox
from workers.runner import run_job

chatty_repo = test_chat.chatty_repo
pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def worker() -> Iterator[None]:
    """Do jobs as they come, in a thread of this process."""
    with jobs_done(join_s=30):
        yield


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, tiny_repo: ModelRepo) -> Iterator[Page]:
    """The playground of the very small model."""
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page = context.new_page()
    page.complaints = listen(page)  # type: ignore[attr-defined]
    page.goto(f"{live_server.url}/alice/tiny/playground")
    yield page
    context.close()


def slowly(box: FakeBox, gate: threading.Event) -> None:
    """Write the first two tokens at once, the rest when the test says so."""

    def before_token(count: int) -> None:
        while count >= 2 and not gate.is_set() and not box.cancelled.is_set():
            time.sleep(0.02)

    box.before_token = before_token


def test_text_appears_while_it_is_written(page: Page, fake_box: FakeBox, worker: None) -> None:
    gate = threading.Event()
    fake_box.texts = [["从前", " <b>", "end"], ["once", " upon", "!"]]
    slowly(fake_box, gate)
    page.get_by_label("Prompt").fill("Once")
    page.get_by_label("Texts").fill("2")

    page.get_by_role("button", name="Generate").click()

    texts = page.locator("[data-text]")
    expect(texts.nth(1)).to_have_text("once", timeout=30_000)
    expect(page.locator("[data-texts]")).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name="Generate")).to_be_disabled()
    expect(page.locator("[data-status]")).to_have_text("Writing: 2 tokens.")
    gate.set()
    expect(texts.first).to_have_text("从前 <b>end")
    expect(texts.nth(1)).to_have_text("once upon!")
    seed = GenerationRun.objects.get().params["seed"]
    expect(page.locator("[data-status]")).to_have_text(
        f"6 tokens in 0.5 s (12 tokens/s). Seed {seed}."
    )
    expect(page.locator("[data-texts]")).to_have_attribute("aria-busy", "false")
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    assert violations(page) == []
    assert page.complaints == []  # type: ignore[attr-defined]


def test_the_stop_button_stops(page: Page, fake_box: FakeBox, worker: None) -> None:
    slowly(fake_box, threading.Event())
    page.get_by_label("Prompt").fill("Once")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("[data-text]").first).to_have_text("Hello,", timeout=30_000)

    page.get_by_role("button", name="Stop").click()

    expect(page.locator("[data-status]")).to_contain_text("Stopped after 2 tokens.")
    expect(page.locator("[data-text]").first).to_have_text("Hello,")
    assert GenerationRun.objects.get().state == "cancelled"
    assert fake_box.cancelled.wait(5)
    assert page.complaints == []  # type: ignore[attr-defined]


def test_past_the_cap_of_streams_the_page_polls(
    page: Page, fake_box: FakeBox, worker: None, settings: Any
) -> None:
    settings.ENV = settings.ENV.model_copy(update={"max_streams": 0})
    page.get_by_label("Prompt").fill("Once")

    page.get_by_role("button", name="Generate").click()

    expect(page.locator("[data-text]").first).to_have_text("Hello, world", timeout=30_000)
    expect(page.locator("[data-status]")).to_contain_text("3 tokens in 0.5 s")


def test_what_is_refused_is_said_beside_the_prompt(page: Page, settings: Any) -> None:
    settings.ENV = settings.ENV.model_copy(
        update={"rate_limits": "on", "visitor_tokens_per_day": 10}
    )
    page.get_by_label("Prompt").fill("Once")

    page.get_by_role("button", name="Generate").click()

    expect(page.get_by_role("alert")).to_contain_text("You have 10 of 10 tokens left today")
    expect(page.get_by_label("Prompt")).to_have_value("Once")
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    assert GenerationRun.objects.count() == 0


def test_a_failed_run_says_why_and_another_can_be_asked(
    page: Page, fake_box: FakeBox, worker: None
) -> None:
    from inference.box.errors import ModelRefusedError

    fake_box.error = ModelRefusedError("The model's numbers are not finite.", reason="not_finite")
    page.get_by_label("Prompt").fill("Once")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("alert")).to_have_text(
        "The model's numbers are not finite.", timeout=30_000
    )

    fake_box.error = None
    page.get_by_role("button", name="Generate").click()

    expect(page.locator("[data-text]").first).to_have_text("Hello, world", timeout=30_000)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_value_changed_by_hand_is_meant(page: Page, fake_box: FakeBox, worker: None) -> None:
    page.get_by_text("Sampling", exact=True).click()
    page.get_by_label("Temperature").fill("0.3")
    expect(page.get_by_label("Style")).to_have_value("custom")
    page.get_by_label("Prompt").fill("Once")

    page.get_by_label("Prompt").press("Control+Enter")

    expect(page.locator("[data-text]").first).to_have_text("Hello, world", timeout=30_000)
    assert fake_box.asked[0][1].temperature == 0.3
    assert violations(page) == []


def test_a_run_is_followed_on_its_own_page(
    page: Page, fake_box: FakeBox, live_server: LiveServer, worker: None
) -> None:
    gate = threading.Event()
    slowly(fake_box, gate)
    page.get_by_label("Prompt").fill("Once upon")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("[data-text]").first).to_have_text("Hello,", timeout=30_000)

    page.goto(f"{live_server.url}/runs/{GenerationRun.objects.get().public_id}")

    expect(page.get_by_text("Once upon", exact=True)).to_be_visible()
    expect(page.locator("[data-text]").first).to_have_text("Hello,")
    gate.set()
    expect(page.locator("[data-text]").first).to_have_text("Hello, world")
    expect(page.locator("[data-status]")).to_contain_text("3 tokens in 0.5 s")
    assert violations(page) == []
    assert page.complaints == []  # type: ignore[attr-defined]


def test_everything_works_without_scripts(
    browser: Browser,
    live_server: LiveServer,
    tiny_repo: ModelRepo,
    fake_box: FakeBox,
) -> None:
    context = browser.new_context(viewport=PHONE, java_script_enabled=False)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{live_server.url}/alice/tiny/playground")
    page.get_by_label("Prompt").fill("Once")
    page.get_by_role("button", name="Generate").click()
    page.wait_for_url("**/runs/*")
    expect(page.get_by_text("Waiting: you are next.")).to_be_visible()

    run_job(GenerationRun.objects.get().job_id or 0)

    expect(page.get_by_text("Hello, world")).to_be_visible(timeout=15_000)  # it reloads itself
    page.get_by_role("link", name="Ask something else").click()
    page.get_by_label("Prompt").fill("Again")
    page.get_by_role("button", name="Generate").click()
    page.wait_for_url("**/runs/*")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped after 0 tokens.")).to_be_visible()
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_it_all(
    browser: Browser, live_server: LiveServer, tiny_repo: ModelRepo, theme: Any
) -> None:
    context = browser.new_context(viewport=PHONE, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{live_server.url}/alice/tiny/playground")
    page.get_by_text("Sampling", exact=True).click()

    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert violations(page) == []
    context.close()


def test_beams_are_set_and_explained_under_sampling(
    page: Page, fake_box: FakeBox, worker: None
) -> None:
    page.get_by_text("Sampling", exact=True).click()
    page.locator("[name=num_beams]").fill("3")

    expect(page.get_by_label("Style")).to_have_value("custom")
    page.get_by_text("What do these do?").click()
    expect(page.get_by_text("no words appear before the end")).to_be_visible()
    assert look(page, "playground-beams") == []
    page.get_by_label("Prompt").fill("Once")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("[data-text]").first).to_have_text("Hello, world", timeout=30_000)
    params = GenerationRun.objects.get().params
    assert (params["num_beams"], params["temperature"]) == (3, 0)


def test_two_models_are_asked_one_message_by_keyboard(
    browser: Browser,
    live_server: LiveServer,
    chatty_repo: ModelRepo,
    alice: User,
    tmp_path: Path,
    fake_box: FakeBox,
    worker: None,
) -> None:
    other = make_repo(alice, "talker")
    publish_files(Viewer(user=alice), other, files_of(tmp_path / "chatty"), title="Add the model")
    forget_news()
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page = context.new_page()
    complaints = listen(page)
    page.goto(f"{live_server.url}/playground/compare?a=alice/chatty&b=alice/talker")
    page.get_by_role("link", name="Chat", exact=True).press("Enter")
    page.get_by_label("Your message").fill("Hi")

    page.get_by_label("Your message").press("Control+Enter")

    texts = page.locator("[data-pane] [data-text]")
    expect(texts.nth(0)).to_have_text("Hello, world", timeout=30_000)
    expect(texts.nth(1)).to_have_text("Hello, world", timeout=30_000)
    first, second = GenerationRun.objects.all()
    assert first.messages == second.messages == [{"role": "user", "content": "Hi"}]
    assert look(page, "compare-chat") == []
    assert complaints == []
    context.close()
