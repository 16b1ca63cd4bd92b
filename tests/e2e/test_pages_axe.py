"""Every page in a real browser: axe finds nothing, nothing scrolls sideways, the policy holds."""

import numpy as np
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from playwright.sync_api import Browser, BrowserContext
from safetensors.numpy import save

from tests.e2e.browser import PHONE, WIDE, listen, looked_at, sign_in
from tests.e2e.selling import buy, put_on_sale
from tests.live import LiveStore

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
    "/cart",
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
    "/settings/publishers",
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
    "/library",
    "/orders",
    "/feed",
    "/collections/new",
    f"{DEMO}/collect",
    f"{DEMO}/upload/main",
    f"{DEMO}/checks",
    f"{DEMO}/settings",
    f"{DEMO}/settings/publishers",
    f"{DEMO}/settings/files",
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
def member(store: LiveStore) -> str:
    """Somebody who runs the organization of the demo catalogue."""
    name, _ = store.person()
    store.manage("addorg", "regency", "--member", f"{name}:admin")
    return name


def context_of(browser: Browser, store: LiveStore, theme: str, name: str = "") -> BrowserContext:
    context = browser.new_context(viewport=WIDE, color_scheme=theme)  # type: ignore[arg-type]
    if name:
        page = context.new_page()
        sign_in(page, store, name)
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


def test_pages_of_strangers(store: LiveStore, browser: Browser) -> None:
    context = context_of(browser, store, "light")

    found = [fault for path in PUBLIC for fault in faults(context, store.url + path, "dark")]

    context.close()
    assert found == [], "\n".join(found)


@pytest.fixture(scope="module")
def buyer(store: LiveStore) -> tuple[str, list[str]]:
    """Somebody with things in the cart and in the library; their name and their pages."""
    seller, token = store.person()
    name, _ = store.person()
    api = HfApi(store.url, token=token)
    weights = {"weight": np.zeros((4, 4), dtype=np.float32)}
    files = {"model.safetensors": save(weights), "README.md": b"---\nlicense: mit\n---\n# poems\n"}
    api.create_repo(f"{seller}/poems")
    changes = [CommitOperationAdd(path, data) for path, data in files.items()]
    api.create_commit(f"{seller}/poems", changes, commit_message="First version")
    store.settled(f"{seller}/poems", token)
    offers = [
        {"title": "Commercial", "kind": "fixed", "terms_id": "store-commercial"}
        | {"prices": [["EUR", 1900], ["USD", 2100]]},
        {"title": "Thanks", "kind": "pwyw", "terms_id": "store-research", "prices": [["EUR", 500]]},
    ]
    ids = put_on_sale(store, seller, f"{seller}/poems", *offers)
    return name, [f"/{seller}/poems", *buy(store, name, ids[0])]


def test_pages_of_buyers(store: LiveStore, browser: Browser, buyer: tuple[str, list[str]]) -> None:
    name, paths = buyer
    visitors, members = (
        context_of(browser, store, "dark"),
        context_of(browser, store, "light", name),
    )

    found = faults(visitors, store.url + paths[0], "light")
    page = members.new_page()
    page.goto(store.url + paths[0])
    page.locator("summary", has_text="Buy another license").click()
    page.get_by_role("button", name="Add to cart").first.click()
    page.wait_for_url("**/cart")
    page.close()
    for path in [*paths, "/cart", "/checkout", "/library", "/orders"]:
        found += faults(members, store.url + path, "dark")

    visitors.close()
    members.close()
    assert found == [], "\n".join(found)


def test_pages_of_members(store: LiveStore, browser: Browser, member: str) -> None:
    context = context_of(browser, store, "dark", member)

    found = [fault for path in SIGNED_IN for fault in faults(context, store.url + path, "light")]

    context.close()
    assert found == [], "\n".join(found)
