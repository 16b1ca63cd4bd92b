"""The whole journey, as a person and their programs make it."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.clients.models import save_tiny_gpt
from tests.e2e.browser import PHONE, WIDE, listen
from tests.live import LiveStore, environment

pytestmark = pytest.mark.e2e
PASSWORD = "correct horse battery 9"
BIN = Path(sys.executable).parent


def hf(store: LiveStore, token: str, home: Path, *args: str) -> str:
    """Run the ``hf`` command as a person would."""
    env = environment(store.data_dir) | {
        "HF_ENDPOINT": store.url,
        "HF_TOKEN": token,
        "HF_HOME": str(home),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["hf", *args], env=env, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sign_up(page: Page, store: LiveStore, name: str) -> None:
    page.goto(f"{store.url}/signup")
    page.get_by_label("User name").fill(name)
    page.get_by_label("E-mail").fill(f"{name}@example.org")
    page.locator("input[type=password]").fill(PASSWORD)
    page.locator("main form button[type=submit], main form button:not([type])").last.click()
    page.wait_for_url(lambda url: "/signup" not in url)


def make_token(page: Page, store: LiveStore) -> str:
    page.goto(f"{store.url}/settings/tokens")
    form = page.locator("main form").last
    form.locator("input[name=name]").fill("laptop")
    write = form.locator("[name=scope][value=write], [name=scopes][value=write]")
    if write.count():
        write.first.check()
    else:
        form.locator("select[name=scope]").select_option("write")
    form.locator("button").last.click()
    shown = page.locator("main").get_by_text(re.compile(r"hf_[A-Za-z0-9]{34}")).first
    expect(shown).to_be_visible(timeout=30_000)
    text = re.search(r"hf_[A-Za-z0-9]{34}", page.content())
    assert text, page.content()
    return text[0]


def reload_until(page: Page, text: str) -> None:
    """Wait for what a worker adds to the page, as a person would: by looking again."""
    until = time.monotonic() + 60
    while not page.get_by_text(text).first.is_visible() and time.monotonic() < until:
        page.wait_for_timeout(500)
        page.reload()
    expect(page.get_by_text(text).first).to_be_visible()


def logits_equal(store: LiveStore, repo: str, folder: Path, home: Path) -> bool:
    """Load the model from the store and from the folder, in a process of its own."""
    code = f"""
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
torch.set_num_threads(1)
theirs = AutoModelForCausalLM.from_pretrained({repo!r})
tokenizer = AutoTokenizer.from_pretrained({repo!r})
ours = AutoModelForCausalLM.from_pretrained({str(folder)!r})
ids = tokenizer("It is a truth", return_tensors="pt").input_ids
print(torch.equal(theirs(ids).logits, ours(ids).logits))
"""
    env = environment(store.data_dir) | {"HF_ENDPOINT": store.url, "HF_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().endswith("True")


def test_publish_try_download_load_delete(
    store: LiveStore, browser: Browser, tmp_path: Path
) -> None:
    folder = save_tiny_gpt(tmp_path / "gpt")
    page = browser.new_page(viewport=WIDE)
    complaints = listen(page)
    name = f"dora{os.getpid()}"

    sign_up(page, store, name)
    token = make_token(page, store)
    printed = hf(store, token, tmp_path / "home", "upload", f"{name}/my-gpt", str(folder))
    assert f"{store.url}/{name}/my-gpt" in printed

    page.goto(f"{store.url}/models?q=my-gpt")
    page.get_by_role("link", name=f"{name}/my-gpt").first.click()
    reload_until(page, "Clean")
    reload_until(page, "GPT2LMHeadModel")

    page.locator("textarea[name=prompt]").fill("It is a truth")
    page.locator("[name=max_new_tokens]").fill("8")
    page.get_by_role("button", name="Generate").click()
    # What a random model writes may be nothing at all; the count tells that it wrote.
    expect(page.locator("[data-status]")).to_contain_text("tokens in", timeout=120_000)
    expect(page.locator(".playground__output")).to_have_count(1)

    page.goto(f"{store.url}/{name}/my-gpt/tree/main")
    with page.expect_download() as saved:
        page.locator("a[href*='model.safetensors?download']").click()
    got = Path(saved.value.path()).read_bytes()
    assert got == (folder / "model.safetensors").read_bytes()

    assert logits_equal(store, f"{name}/my-gpt", folder, tmp_path / "home2")
    down = tmp_path / "down"
    hf(store, token, tmp_path / "home3", "download", f"{name}/my-gpt", "--local-dir", str(down))
    assert (down / "config.json").read_bytes() == (folder / "config.json").read_bytes()

    page.goto(f"{store.url}/{name}/my-gpt/settings")
    page.locator("form:has(input[value=delete]) input[name=confirmation]").fill(f"{name}/my-gpt")
    page.get_by_role("button", name="Delete this model").click()
    page.wait_for_url(f"{store.url}/{name}")
    assert page.goto(f"{store.url}/{name}/my-gpt").status == 404
    assert [line for line in complaints if "404" not in line] == []


def test_publish_by_dropping_files(store: LiveStore, browser: Browser, tmp_path: Path) -> None:
    folder = save_tiny_gpt(tmp_path / "gpt")
    page = browser.new_page(viewport=PHONE)
    name = f"finn{os.getpid()}"
    sign_up(page, store, name)

    page.goto(f"{store.url}/publish")
    page.locator("input[name=name]").fill("dropped")
    page.get_by_role("button", name="Create and add files").click()
    page.wait_for_url("**/upload/main")
    page.locator("input[type=file]").set_input_files([str(path) for path in folder.iterdir()])
    page.get_by_role("button", name="Commit files").click()
    page.wait_for_url("**/checks", timeout=60_000)

    expect(page.get_by_text("Every file is clean.")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Ready to run")).to_be_visible()


def test_pages_do_not_scroll_sideways_on_a_phone(store: LiveStore, browser: Browser) -> None:
    page = browser.new_page(viewport=PHONE)

    for path in ("/", "/models", "/regency/austen-gpt2-small", "/signup", "/api/v1/docs"):
        page.goto(store.url + path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= PHONE["width"], path
