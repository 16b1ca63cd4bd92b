"""Every page in a real browser: axe finds nothing, nothing scrolls sideways, the policy holds."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.e2e.browser import PHONE, WIDE, chromium, listen, violations
from tests.live import PASSWORD, LiveStore

pytestmark = pytest.mark.e2e

DEMO = "/regency/austen-gpt2-small"
PUBLIC = [
    "/",
    "/models",
    "/models?q=austen&license=cc0-1.0",
    "/models?q=zebraquagga",
    DEMO,
    f"{DEMO}-gguf",
    f"{DEMO}/tree/main",
    f"{DEMO}/blob/main/README.md",
    f"{DEMO}/blob/main/config.json",
    f"{DEMO}/blob/main/model.safetensors",
    f"{DEMO}/commits/main",
    f"{DEMO}/compare",
    f"{DEMO}/discussions",
    f"{DEMO}/refs",
    "/regency",
    "/ada",
    "/ada?tab=activity",
    "/regency?tab=members",
    "/regency?tab=collections",
    "/collections",
    "/login",
    "/signup",
    "/password-reset",
    "/docs",
    "/api/v1/docs",
    "/status",
    "/no/such-model",
]
SIGNED_IN = [
    "/publish",
    "/settings",
    "/settings/account",
    "/settings/security",
    "/settings/security/authenticator",
    "/settings/security/keys",
    "/login/confirm",
    "/settings/tokens",
    "/settings/tokens/new",
    "/settings/programs",
    "/settings/access-requests",
    "/oauth/verify",
    "/settings/organizations",
    "/settings/notifications",
    "/settings/storage",
    "/settings/webhooks",
    "/settings/webhooks/new",
    "/settings/activity",
    "/regency",
    f"{DEMO}/discussions/new",
    f"{DEMO}/propose/main",
    "/notifications",
    "/feed",
    "/collections/new",
    f"{DEMO}/collect",
    f"{DEMO}/upload/main",
    f"{DEMO}/checks",
    f"{DEMO}/settings",
    f"{DEMO}/offers",
    f"{DEMO}/offers/new",
    "/sales",
    "/sales?seller=regency&days=365",
    "/sales/orders",
    "/sales/buyers",
    "/sales/balance",
    "/sales/coupons",
    "/sales/coupons/new",
    "/sales/profile",
    f"{DEMO}/refs",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def member(store: LiveStore) -> str:
    """Somebody who runs the organization of the demo catalogue."""
    name, _ = store.person()
    store.manage("addorg", "regency", "--member", f"{name}:admin")
    return name


def context_of(browser: Browser, store: LiveStore, theme: str, name: str = "") -> BrowserContext:
    context = browser.new_context(viewport=WIDE, color_scheme=theme)  # type: ignore[arg-type]
    if name:
        page = context.new_page()
        page.goto(f"{store.url}/login")
        page.locator("input[name=username]").fill(name)
        page.locator("input[type=password]").fill(PASSWORD)
        page.locator("main form button").last.click()
        page.wait_for_url(lambda url: "/login" not in url)
        page.close()
    return context


def faults(context: BrowserContext, url: str, other_theme: str) -> list[str]:
    """Everything wrong with one page, wide, and then in the other theme on a phone."""
    page = context.new_page()
    complaints = listen(page)
    answer = page.goto(url)
    found = looked_at(page)
    page.emulate_media(color_scheme=other_theme)  # type: ignore[arg-type]
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    found += [f"{fault} ({other_theme}, phone)" for fault in looked_at(page)]
    expected = 404 if url.endswith("/no/such-model") else 200
    if answer is None or answer.status != expected:
        found.append(f"answered {answer and answer.status}")
    found += [text for text in complaints if "status of 404" not in text]
    page.close()
    return [f"{url}: {fault}" for fault in found]


def looked_at(page: Page) -> list[str]:
    """What is wrong with the page as it stands."""
    found = violations(page)
    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*found, f"{wider} pixels too wide"] if wider > 0 else found


def test_pages_of_strangers(store: LiveStore, browser: Browser) -> None:
    context = context_of(browser, store, "light")

    found = [fault for path in PUBLIC for fault in faults(context, store.url + path, "dark")]

    context.close()
    assert found == [], "\n".join(found)


def test_pages_of_members(store: LiveStore, browser: Browser, member: str) -> None:
    context = context_of(browser, store, "dark", member)

    found = [fault for path in SIGNED_IN for fault in faults(context, store.url + path, "light")]

    context.close()
    assert found == [], "\n".join(found)
