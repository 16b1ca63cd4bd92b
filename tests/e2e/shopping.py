"""What a buyer does in a browser: the steps that several tests take."""

import re

from playwright.sync_api import Page, expect

from tests.e2e.browser import violations


def fill_address(page: Page) -> None:
    """Fill in the address at the checkout."""
    page.locator("[name=name]").fill("Mary Crawford")
    page.locator("[name=line1]").fill("1 Mansfield Park")
    page.locator("[name=city]").fill("Northampton")
    page.locator("[name=country]").select_option("GB")


def pay(page: Page, total: str) -> None:
    """From the checkout to the button that pays ``total``, such as ``€19.00``."""
    page.wait_for_url("**/checkout")
    fill_address(page)
    button = page.get_by_role("button", name=f"Pay {total}")
    expect(button).to_be_visible()  # the country alone brought it, by htmx
    page.get_by_label("I accept").check()
    assert violations(page) == []
    button.click()


def pay_with_a_test_card(page: Page) -> None:
    """Pay at the sandbox; the order's page thanks with the key."""
    page.wait_for_url("**/sandbox/*")
    expect(page.get_by_text("no real money")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="4242 4242 4242 4242").click()
    page.wait_for_url("**/orders/*")

    expect(page.get_by_role("heading", name="Thank you. It is yours.")).to_be_visible()
    expect(page.get_by_text(re.compile("GPTS-")).first).to_be_visible()


def ask_for_a_refund(page: Page) -> None:
    """Give a license back on its page in the library."""
    page.get_by_label("Why do you give it back?").fill("It does not rhyme.")
    page.get_by_role("button", name="Ask for a refund").click()
    expect(page.get_by_text("“It does not rhyme.”")).to_be_visible()
