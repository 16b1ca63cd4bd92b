"""Collections and notifications in a real browser: by keyboard, without a script, and for axe."""

import json
import urllib.request

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.browser import PHONE, WIDE, listen, sign_in, violations
from tests.live import LiveStore

pytestmark = pytest.mark.e2e

DEMO = "regency/austen-gpt2-small"


def follow(store: LiveStore, name: str, token: str) -> None:
    request = urllib.request.Request(
        f"{store.url}/api/v1/following/{name}",
        headers={"Authorization": f"Bearer {token}"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=30):
        pass


def items_of(page: Page) -> Locator:
    return page.locator(".shelf .spread > a")


def test_collecting_and_ordering_by_keyboard(store: LiveStore, browser: Browser) -> None:
    name, _token = store.person()
    page = browser.new_page(viewport=WIDE)  # type: ignore[arg-type]
    complaints = listen(page)
    sign_in(page, store, name)

    page.goto(f"{store.url}/{DEMO}")
    page.get_by_role("button", name="Collect").focus()
    page.keyboard.press("Enter")
    page.locator("#collect input[name=title]").fill("By keyboard")
    assert violations(page) == []
    page.locator("#collect input[name=note]").fill("Read this first.")
    page.keyboard.press("Enter")
    page.wait_for_url("**/collections/**")
    expect(page.get_by_text("Read this first.")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Share").click()
    expect(page.locator("#share code").first).to_have_text(page.url)

    page.goto(f"{page.url}/edit")
    page.get_by_label("Add a model").fill(f"{DEMO}-gguf")
    page.keyboard.press("Enter")
    page.get_by_text("The model is in the collection.").wait_for()
    expect(items_of(page)).to_have_text([DEMO, f"{DEMO}-gguf"])
    page.get_by_role("button", name=f"Up: {DEMO}-gguf").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**#item-*")
    expect(items_of(page)).to_have_text([f"{DEMO}-gguf", DEMO])
    assert violations(page) == []

    assert complaints == []
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_collections_on_a_phone(store: LiveStore, browser: Browser, theme: str) -> None:
    name, token = store.person()
    body = {"title": "A title that is as long as a title of a collection may become, here"[:60]}
    made = store.ask("/api/v1/collections", token, body=body)
    ident = made["slug"].rsplit("-", 1)[1]
    for model in (DEMO, f"{DEMO}-gguf"):
        store.ask(f"/api/v1/collections/{ident}/items", token, body={"name": model})
    context = browser.new_context(viewport=PHONE, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    sign_in(page, store, name)

    for path in (f"/collections/{made['slug']}", f"/collections/{made['slug']}/edit"):
        page.goto(store.url + path)
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.goto(f"{store.url}/collections/{made['slug']}")
    page.get_by_role("button", name="Share").click()
    dialog = page.locator("#share")
    assert dialog.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    assert violations(page) == []

    context.close()


def test_everything_works_without_a_script(store: LiveStore, browser: Browser) -> None:
    name, token = store.person()
    fan, fans_token = store.person()
    context = browser.new_context(java_script_enabled=False, viewport=WIDE)  # type: ignore[arg-type]
    page = context.new_page()
    sign_in(page, store, name)

    page.goto(f"{store.url}/regency")
    page.get_by_role("button", name="Follow").click()
    expect(page.get_by_role("button", name="Following")).to_be_visible()
    page.goto(f"{store.url}/{DEMO}")
    page.get_by_role("button", name="Collect").click()
    page.get_by_role("link", name="Choose a collection").click()
    page.locator("input[name=title]").fill("Without a script")
    page.get_by_role("button", name="Add to the collection").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Without a script")
    page.get_by_role("link", name="Edit").click()
    page.locator("summary", has_text="Note and place").click()
    page.get_by_label("Note").fill("Noted.")
    page.get_by_role("button", name="Save note").click()
    expect(page.locator("summary", has_text="Noted.")).to_be_visible()

    follow(store, name, fans_token)
    page.goto(f"{store.url}/")
    bell = page.get_by_role("link", name="Notifications: 1 unread")
    bell.click()
    expect(page.get_by_role("link", name=f"{fan} follows you")).to_be_visible()
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.get_by_role("link", name="Notifications: 0 unread")).to_be_visible()
    page.goto(f"{store.url}/settings/notifications")
    page.get_by_label("By mail: New followers").check()
    page.get_by_role("button", name="Save").click()

    wishes = json.dumps(store.ask("/api/v1/notification-settings", token)["follower"])
    assert wishes == '{"in_site": true, "by_mail": true}'
    context.close()
