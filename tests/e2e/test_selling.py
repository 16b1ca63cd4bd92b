"""A person prices a model in a real browser, sells it, sees the money, and gives it back."""

import json
import re
import secrets
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import WIDE, listen, look, sign_in
from tests.e2e.selling import model_of
from tests.live import LiveStore

pytestmark = pytest.mark.e2e
ADDRESS = {"name": "Ada Byron", "lines": ["Lindenallee 1"], "city": "Berlin", "country": "DE"}


def call(store: LiveStore, path: str, token: str, body: Any) -> Any:
    request = urllib.request.Request(
        store.url + path,
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Idempotency-Key": secrets.token_hex(8),
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def buy(store: LiveStore, repo: str, token: str) -> str:
    """Buy the first offer of a model; return the order's id."""
    offer = store.ask(f"/api/v1/models/{repo}/offers")["results"][0]["id"]
    wish = {"items": [{"offer": offer}], "currency": "EUR", "billing": ADDRESS}
    quote = call(store, "/api/v1/quotes", token, wish)
    terms = [line["terms"]["sha256"] for line in quote["lines"]]
    order = {"quote": quote["id"], "accepted_terms": terms, "payment_method": "test_success"}
    return str(call(store, "/api/v1/orders", token, order)["id"])


def price(page: Page, store: LiveStore, repo: str) -> list[str]:
    """Price a model in two currencies, watching the preview; return faults."""
    page.goto(f"{store.url}/{repo}")
    page.get_by_role("link", name="Sell", exact=True).click()
    faults = look(page, "offers-empty")
    page.get_by_role("link", name="Sell this model").click()
    page.get_by_label("Title").fill("Commercial")
    page.get_by_label("Price", exact=True).fill("19")
    expect(page.locator("#preview").get_by_text("You receive")).to_be_visible()
    expect(page.locator("#preview").get_by_text("€19.00").first).to_be_visible()
    faults += look(page, "editor")
    page.get_by_role("button", name="Add another currency").click()
    page.get_by_label("Currency").nth(1).fill("USD")
    page.get_by_label("Price", exact=True).nth(1).fill("21")
    expect(page.locator("#preview").get_by_text("$21.00").first).to_be_visible()
    page.wait_for_load_state("networkidle")  # or the preview that is asked for would be aborted
    page.get_by_role("button", name="Put it up for sale").click()
    expect(page.get_by_text("“Commercial” is saved.")).to_be_visible()
    return faults + look(page, "offers")


def look_around(page: Page, store: LiveStore) -> list[str]:
    """Look at every page of what was sold; return faults."""
    page.locator(".masthead details.menu > summary").click()
    page.get_by_role("link", name="Sales", exact=True).click()
    expect(page.get_by_text("These are test sales")).to_be_visible()
    expect(page.get_by_text("€38.00").first).to_be_visible()
    faults = look(page, "sales")
    for path in ("orders", "buyers", "balance", "coupons", "coupons/new", "profile"):
        page.goto(f"{store.url}/sales/{path}")
        faults += look(page, f"sales-{path.replace('/', '-')}")
    page.goto(f"{store.url}/sales/balance")
    expect(page.get_by_text(re.compile("Held for 14 days after the sale")).first).to_be_visible()
    return faults


def test_from_a_price_to_a_refund(store: LiveStore, browser: Browser) -> None:
    name, token = store.person()
    repo = model_of(store, name, token)
    context = browser.new_context(viewport=WIDE, color_scheme="light")
    page = context.new_page()
    complaints = listen(page)
    sign_in(page, store, name)
    page.goto(f"{store.url}/sales")
    faults = look(page, "sales-empty")
    faults += price(page, store, repo)

    _, buying = store.person(scope="buy")
    order = [buy(store, repo, buying) for _number in range(2)][-1]
    page.goto(f"{store.url}/{repo}/offers")
    expect(page.get_by_text("TEST 2")).to_be_visible()
    faults += look_around(page, store)

    page.goto(f"{store.url}/sales/orders/{order}")
    faults += look(page, "sold-order")
    page.get_by_role("button", name="Give back …").click()
    page.get_by_role("button", name="Give the money back").click()
    expect(page.get_by_text("Given back: access has ended")).to_be_visible()
    expect(page.get_by_text("Given back to the buyer")).to_be_visible()
    faults += look(page, "sold-order-refunded")
    context.close()
    assert faults + complaints == [], "\n".join(faults + complaints)


def test_a_price_without_a_script(store: LiveStore, browser: Browser) -> None:
    name, token = store.person()
    repo = model_of(store, name, token)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, store, name)

    page.goto(f"{store.url}/{repo}/offers/new")
    page.get_by_label("Title").fill("Commercial")
    page.get_by_label("Price", exact=True).fill("19")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("You receive").first).to_be_visible()
    page.wait_for_load_state("networkidle")  # or the preview that is asked for would be aborted
    page.get_by_role("button", name="Put it up for sale").click()

    expect(page.get_by_text("€19.00")).to_be_visible()
    context.close()
