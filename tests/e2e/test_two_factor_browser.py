"""Two-factor authentication in a real browser: an app without a script, a key that Chromium plays.

WebAuthn works at names, not at numbers: these tests open the store as ``localhost``.
"""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import WIDE, listen, look
from tests.factories import code_of
from tests.live import PASSWORD, LiveStore

pytestmark = pytest.mark.e2e


def home(store: LiveStore) -> str:
    return store.url.replace("127.0.0.1", "localhost")


def give_password(page: Page, store: LiveStore, name: str) -> None:
    page.goto(f"{home(store)}/login?next=/settings/tokens")
    page.get_by_label("User name or e-mail address").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def add_virtual_key(page: Page) -> None:
    """Plug a key into the browser, which answers at once."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "usb",
        "hasResidentKey": False,
        "hasUserVerification": False,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_an_app_without_a_script(store: LiveStore, browser: Browser) -> None:
    name, _ = store.person()
    context = browser.new_context(java_script_enabled=False, viewport=WIDE)  # type: ignore[arg-type]
    page = context.new_page()
    give_password(page, store, name)
    page.goto(f"{home(store)}/settings/security")
    page.get_by_role("link", name="Set up an app").click()
    secret = page.locator(".copy code").inner_text()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    page.get_by_role("textbox", name="Code").fill(code_of(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("link", name="I have kept them")).to_be_visible()
    codes = re.findall(r"\d{4}-\d{4}-\d{4}", page.locator(".copy code").inner_text())
    assert len(codes) == 10
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 codes left.")).to_be_visible()
    page.context.clear_cookies()

    give_password(page, store, name)
    page.wait_for_url("**/login/two-factor")
    page.get_by_role("textbox", name="Code").fill("000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("The code is wrong or was used before.")).to_be_visible()
    page.get_by_role("textbox", name="Code").fill(code_of(secret, 1))
    page.get_by_role("button", name="Sign in").click()

    page.wait_for_url("**/settings/tokens")
    context.close()


def test_a_key_that_chromium_plays(store: LiveStore, browser: Browser) -> None:
    name, _ = store.person()
    context = browser.new_context(viewport=WIDE, color_scheme="light")
    page = context.new_page()
    complaints = listen(page)
    add_virtual_key(page)
    give_password(page, store, name)
    page.wait_for_url("**/settings/tokens")
    page.goto(f"{home(store)}/settings/security")
    faults = look(page, "security-off")
    page.get_by_role("link", name="Set up an app").click()
    faults += look(page, "authenticator")
    page.goto(f"{home(store)}/settings/security/keys")
    faults += look(page, "key")
    page.get_by_label("Name").fill("blue key")
    page.get_by_role("button", name="Add the key").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    faults += look(page, "codes")
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("rowheader", name="blue key")).to_be_visible()
    faults += look(page, "security-on")

    page.goto(f"{home(store)}/settings/security/keys")
    page.get_by_label("Name").fill("the same")
    page.get_by_role("button", name="Add the key").click()
    expect(page.get_by_text("or is yours already")).to_be_visible()
    page.goto(f"{home(store)}/login/confirm?next=/settings/security&factor=second")
    faults += look(page, "confirm")
    page.get_by_role("button", name="Use a security key").click()
    page.wait_for_url("**/settings/security")

    page.context.clear_cookies()
    give_password(page, store, name)
    page.wait_for_url("**/login/two-factor")
    faults += look(page, "second-step")
    page.get_by_role("button", name="Use a security key").click()
    page.wait_for_url("**/settings/tokens")

    context.close()
    assert faults == [], "\n".join(faults)
    assert complaints == []
