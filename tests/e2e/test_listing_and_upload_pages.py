"""How listings use the room they have; what the upload page does with files before they go."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import PHONE, WIDE
from tests.e2e.test_journey import sign_up
from tests.live import LiveStore

pytestmark = pytest.mark.e2e
MODEL = "regency/austen-gpt2-small"


def height(page: Page, selector: str) -> float:
    box = page.locator(selector).first.bounding_box()
    assert box is not None
    return box["height"]


def test_a_phone_has_the_download_at_hand(store: LiveStore, browser: Browser) -> None:
    phone, wide = browser.new_page(viewport=PHONE), browser.new_page(viewport=WIDE)

    phone.goto(f"{store.url}/{MODEL}")
    wide.goto(f"{store.url}/{MODEL}")

    bar = phone.locator(".getbar").bounding_box()
    assert bar is not None
    assert bar["y"] + bar["height"] <= PHONE["height"] + 1
    expect(phone.locator(".getbar a[href$='/archive/main.zip']")).to_be_visible()
    expect(wide.locator(".getbar")).to_be_hidden()
    phone.locator(".getbar a[href='#use']").click()
    expect(phone.locator("#use")).to_be_in_viewport()


def test_lists_of_files_fit_a_phone(store: LiveStore, browser: Browser) -> None:
    page = browser.new_page(viewport=PHONE)

    for path in ("tree/main", "commits/main", "blob/main/model.safetensors"):
        page.goto(f"{store.url}/{MODEL}/{path}")
        inside = page.locator(".framed").first
        assert inside.evaluate("box => box.scrollWidth <= box.clientWidth"), path
        assert height(page, ".framed tbody tr") < 70, path


def test_printed_code_keeps_its_lines(store: LiveStore, browser: Browser) -> None:
    page = browser.new_page(viewport=WIDE)

    page.goto(f"{store.url}/{MODEL}")

    assert (
        page.locator(".snippets pre").first.evaluate("box => getComputedStyle(box).whiteSpace")
        == "pre"
    )


def new_model(page: Page, store: LiveStore, name: str) -> None:
    page.goto(f"{store.url}/publish")
    page.locator("input[name=name]").fill(name)
    page.get_by_role("button", name="Create and add files").click()
    page.wait_for_url("**/upload/main")


def test_files_are_taken_out_and_replaced_before_they_go(
    store: LiveStore, browser: Browser, tmp_path: Path
) -> None:
    page = browser.new_page(viewport=WIDE)
    sign_up(page, store, f"gwen{os.getpid()}")
    new_model(page, store, "picked")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "b.txt").write_text("b" * 1500)

    page.get_by_role("button", name="Commit files").click()
    expect(page.get_by_text("Choose some files first.")).to_be_visible()
    page.locator("input[type=file]").set_input_files([tmp_path / "a.txt", tmp_path / "b.txt"])
    expect(page.get_by_text("Choose some files first.")).to_be_hidden()
    expect(page.locator("[data-list] li")).to_have_text(
        ["a.txt · 5\u2009BTake out", "b.txt · 1.5\u2009kBTake out"]
    )
    page.get_by_role("button", name="Take out: b.txt").click()
    (tmp_path / "a.txt").write_text("second!")
    page.locator("input[type=file]").set_input_files([tmp_path / "a.txt"])
    expect(page.locator("[data-list] li")).to_have_text(["a.txt · 7\u2009BTake out"])
    page.get_by_role("button", name="Commit files").click()
    page.wait_for_url("**/checks")

    page.goto(page.url.replace("/checks", "/tree/main"))
    expect(page.locator(".files tbody")).to_contain_text("a.txt")
    expect(page.locator(".files tbody")).not_to_contain_text("b.txt")


def test_without_scripts_the_chosen_files_can_be_seen(
    store: LiveStore, browser: Browser, tmp_path: Path
) -> None:
    page = browser.new_context(viewport=WIDE, java_script_enabled=False).new_page()
    sign_up(page, store, f"hugo{os.getpid()}")
    new_model(page, store, "bare")
    (tmp_path / "a.txt").write_text("first")

    expect(page.locator("input[type=file]")).to_be_visible()
    expect(page.get_by_text("Drag files")).to_be_hidden()
    page.locator("input[type=file]").set_input_files([tmp_path / "a.txt"])
    page.get_by_role("button", name="Commit files").click()

    page.wait_for_url("**/checks")
