"""A person makes a webhook in a real browser, tries it, and sees how it goes."""

import pytest
from huggingface_hub import HfApi
from playwright.sync_api import Browser, expect
from standardwebhooks.webhooks import Webhook as Verifier

from tests import receivers
from tests.e2e.browser import WIDE, listen, look, sign_in
from tests.live import LiveStore
from tests.receivers import Receiver

pytestmark = pytest.mark.e2e


def test_from_nothing_to_a_delivery(store: LiveStore, browser: Browser) -> None:
    name, token = store.person()
    api = HfApi(endpoint=store.url, token=token)
    api.create_repo(f"{name}/tiny")
    context = browser.new_context(viewport=WIDE, color_scheme="light")
    page = context.new_page()
    complaints = listen(page)
    sign_in(page, store, name)
    with Receiver(receivers.status(200, 503, 200)) as receiver:
        page.goto(f"{store.url}/settings/webhooks")
        faults = look(page, "empty")
        page.get_by_role("link", name="Make a webhook").click()
        page.get_by_label("Address").fill(receiver.url)
        page.get_by_label("Watch").fill(f"{name}/tiny\nregency")
        faults += look(page, "new")
        page.get_by_role("button", name="Make webhook").click()
        key = page.locator("[data-shown-once] code").first.inner_text()
        faults += look(page, "made")

        page.get_by_role("button", name="Send a test event").click()
        expect(page.get_by_text("HTTP 200")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("Delivered")).to_be_visible()
        [request] = receiver.requests
        assert Verifier(key).verify(request.body, request.headers)
        faults += look(page, "delivery")

        api.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id=f"{name}/tiny")
        receiver.wait_for(2)
        page.get_by_label("Settings").get_by_role("link", name="Webhooks").click()
        page.get_by_role("link", name="127.0.0.1").click()
        expect(page.get_by_text("HTTP 503")).to_be_visible(timeout=30_000)
        faults += look(page, "failing")
        page.get_by_role("button", name=f"Send again {name}/tiny").first.click()
        receiver.wait_for(3)
        page.goto(f"{store.url}/settings/webhooks")
        faults += look(page, "list")
        page.goto(f"{store.url}/{name}/tiny/settings")
        expect(page.get_by_role("link", name=receiver.url)).to_be_visible()
        faults += look(page, "repo")

    context.close()
    assert faults + complaints == []
