"""From the shelf to a shared text, and two models side by side, in a real browser."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import ModelRepo
from catalog.services.folders import files_of, publish_files
from inference.models import DemoGeneration, GenerationRun
from inference.services import demos
from store.core.jobs import JobName
from store.core.models import Job
from tests.e2e.browser import WIDE, listen, look
from tests.factories import make_repo
from tests.inference import test_chat
from tests.inference.fakes import FakeBox
from workers.runner import run_job

chatty_repo = test_chat.chatty_repo
pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

WRITTEN = {
    "story": " an old keeper of a lighthouse who had never been to the town.\nEvery evening he lit"
    " the lamp, and every morning he put it out, and in between he counted the ships.",
    "essay": " that they are curious: a book is a room one has not been in yet. The second is",
    "dialogue": " I slept like a stone. Shall I close the window tonight?",
    "question": " Paris",
    "translation": " Merci pour le livre.",
    "summary": " After two years the museum opens again on Saturday, free for all.",
    "sentiment": " negative",
    "code": "    if n < 2:\n        return n\n    return fibonacci(n - 1) + fibonacci(n - 2)\n",
}


@pytest.fixture
def shelf(alice: User, tiny_repo: ModelRepo, tiny_folder: Path) -> ModelRepo:
    """Two models, of which one was tried; one text failed and one still waits."""
    other = make_repo(alice, "other")
    publish_files(Viewer(user=alice), other, files_of(tiny_folder), title="Add the model")
    demos.plan_head(tiny_repo.pk)
    for row in DemoGeneration.objects.all():
        text = WRITTEN[row.prompt_key]
        demos.finish(
            row,
            text=text,
            finish_reason="length",
            prompt_tokens=19,
            new_tokens=len(text.split()),
            generate_s=0.1,
        )
    last = DemoGeneration.objects.filter(prompt_key="code")
    last.filter(way="greedy").update(
        state="failed", text="", error="The model's numbers are not finite."
    )
    last.filter(way="seeded").update(state="queued", text="")
    Job.objects.all().delete()
    return tiny_repo


@pytest.fixture
def worker() -> Iterator[None]:
    """Do the runs as they come, in a thread of this process."""
    over = threading.Event()

    def work() -> None:
        try:
            while not over.wait(0.1):
                for job in Job.objects.filter(state="queued", name=JobName.GENERATE):
                    run_job(job.pk)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join(timeout=30)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A visitor's browser."""
    context = browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    page = context.new_page()
    page.complaints = listen(page)  # type: ignore[attr-defined]
    yield page
    context.close()


def having(part: str) -> re.Pattern[str]:
    """Match a value that has ``part`` in it."""
    return re.compile(re.escape(part))


def look_at_the_shelf(page: Page, url: str) -> list[str]:
    """The list, the listing, and all the store let the model write."""
    page.goto(f"{url}/models")
    expect(page.get_by_text("an old keeper of a lighthouse")).to_be_visible()
    faults = look(page, "models-with-demos")
    page.goto(f"{url}/alice/tiny")
    expect(page.get_by_role("heading", name="What it writes")).to_be_visible()
    faults += look(page, "listing-demos")
    page.get_by_role("link", name="See all").click()
    expect(page.get_by_text("The model's numbers are not finite.")).to_be_visible()
    return faults + look(page, "demos")


def try_a_task(page: Page, url: str, fake_box: FakeBox) -> list[str]:
    """A task fills the form; help by keyboard; two texts beside each other; the code; again."""
    page.goto(f"{url}/alice/tiny/playground")
    page.get_by_role("link", name="Answer a question").click()
    expect(page.get_by_label("Prompt")).to_have_value(having("Who wrote the play Hamlet?"))
    page.get_by_text("Sampling", exact=True).press("Enter")
    page.get_by_text("What do these do?").press("Enter")
    expect(page.get_by_text("How much chance decides.")).to_be_visible()
    faults = look(page, "playground-help")
    page.get_by_label("Temperature").fill("0.7")
    page.get_by_label("Texts").fill("2")
    fake_box.texts = [["Shake", "speare"], [" William", " Shakespeare"]]
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("[data-text]").nth(1)).to_have_text(" William Shakespeare", timeout=30_000)
    tops = page.evaluate(
        "[...document.querySelectorAll('[data-texts] > .copy')].map(one => one.offsetTop)"
    )
    assert tops[0] == tops[1], "texts stand side by side"
    page.get_by_text("Use this in code").click()
    expect(page.get_by_text("temperature=0.7").first).to_be_visible()
    faults += look(page, "playground-done")
    again = page.get_by_role("button", name="Again, same seed")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        again.click()
    expect(again).to_be_visible(timeout=30_000)
    seeds = {run.params["seed"] for run in GenerationRun.objects.all()}
    assert (GenerationRun.objects.count(), len(seeds)) == (2, 1)
    return faults


def share_and_take_back(page: Page, browser: Browser, url: str) -> list[str]:
    """A guest reads the text as long as the link holds."""
    page.get_by_role("link", name="Share, keep or delete").click()
    page.get_by_role("button", name="Make a link").click()
    link = page.locator("#share code").inner_text()
    assert link.startswith(f"{url}/shared/")
    faults = look(page, "run-shared")
    guest = browser.new_context(viewport=WIDE).new_page()  # type: ignore[arg-type]
    guest.goto(link)
    expect(guest.get_by_text("William Shakespeare")).to_be_visible()
    faults += look(guest, "shared")
    page.get_by_role("button", name="Take the link back").click()
    expect(page.get_by_role("button", name="Make a link")).to_be_visible()
    answer = guest.goto(link)
    assert answer
    assert answer.status == 404
    guest.context.close()
    return faults


def find_and_delete(page: Page) -> list[str]:
    """The list of runs, its search, and nothing left."""
    page.get_by_role("link", name="Your runs").click()
    faults = look(page, "runs")
    page.get_by_label("Search your runs").fill("hamlet")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**hamlet**")
    page.get_by_text("Delete all", exact=True).click()
    page.get_by_role("button", name="Delete all my runs").click()
    expect(page.get_by_text("No runs yet")).to_be_visible()
    assert GenerationRun.objects.count() == 0
    return faults + look(page, "runs-none")


def test_from_the_shelf_to_a_shared_text(
    page: Page,
    browser: Browser,
    live_server: LiveServer,
    shelf: ModelRepo,
    fake_box: FakeBox,
    worker: None,
) -> None:
    url = live_server.url

    faults = look_at_the_shelf(page, url)
    faults += try_a_task(page, url, fake_box)
    faults += share_and_take_back(page, browser, url)
    faults += find_and_delete(page)

    assert faults == []
    assert page.complaints == []  # type: ignore[attr-defined]


def test_two_models_write_side_by_side(
    page: Page, live_server: LiveServer, shelf: ModelRepo, fake_box: FakeBox, worker: None
) -> None:
    faults: list[str] = []
    page.goto(f"{live_server.url}/alice/tiny/playground")
    page.get_by_role("link", name="Compare with another model").click()
    expect(page.get_by_label("First model")).to_have_value("alice/tiny")
    faults += look(page, "compare-empty")
    page.get_by_label("Second model").fill("alice/nowhere")
    page.get_by_label("Prompt").fill("Once upon a time")
    page.get_by_role("button", name="Let both write").click()
    expect(page.get_by_role("alert").first).to_contain_text("There is no model alice/nowhere.")
    page.get_by_label("Second model").fill("alice/other")
    fake_box.texts = [[" there", " was", " a", " store", "."]]

    page.get_by_role("button", name="Let both write").click()

    texts = page.locator("[data-text]")
    for number in range(2):
        expect(texts.nth(number)).to_have_text(" there was a store.", timeout=30_000)
    expect(page.get_by_role("link", name="alice/other")).to_be_visible()
    expect(page.get_by_role("button", name="Let both write")).to_be_enabled()
    tops = page.evaluate("[...document.querySelectorAll('.duel pre')].map(one => one.offsetTop)")
    assert tops[0] == tops[1]
    seeds = {run.params["seed"] for run in GenerationRun.objects.all()}
    assert len(seeds) == 1
    faults += look(page, "compare-done")
    page.reload()
    expect(page.get_by_text("The two texts begin with the same 19 characters.")).to_be_visible()
    faults += look(page, "compare-again")
    assert faults == []
    assert [one for one in page.complaints if "404" not in one] == []  # type: ignore[attr-defined]


def test_a_conversation_stays_on_the_page(
    page: Page, live_server: LiveServer, chatty_repo: ModelRepo, fake_box: FakeBox, worker: None
) -> None:
    page.goto(f"{live_server.url}/alice/chatty/playground")
    fake_box.texts = [["Good", " day."]]
    page.get_by_label("Your message").fill("Hello!")
    page.get_by_label("Your message").press("Control+Enter")
    expect(page.locator("[data-text]").first).to_have_text("Good day.", timeout=30_000)
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    fake_box.texts = [["It", " rains."]]
    page.get_by_label("Your message").fill("How is the weather?")
    page.get_by_role("button", name="Send").click()

    expect(page.locator("[data-text]").first).to_have_text("It rains.", timeout=30_000)

    expect(page.locator(".talk__said")).to_have_text(["Hello!", "Good day.", "How is the weather?"])
    last = GenerationRun.objects.latest("pk").messages
    assert [turn["role"] for turn in last] == ["user", "assistant", "user"]
    expect(page.get_by_role("link", name="Share, keep or delete")).to_be_visible()
    assert look(page, "chat") == []
    assert page.complaints == []  # type: ignore[attr-defined]
