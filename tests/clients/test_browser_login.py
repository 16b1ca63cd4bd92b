"""``hf auth login`` through a browser: the released program, a real page, a real token."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.live import PASSWORD, LiveStore

HF = Path(sys.executable).with_name("hf")


def environment(store: LiveStore, home: Path) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("HF_")}
    return kept | {"HF_ENDPOINT": store.url, "HF_HOME": str(home), "PYTHONUNBUFFERED": "1"}


def hf(store: LiveStore, home: Path, *args: str) -> str:
    done = subprocess.run(
        [HF, *args],
        env=environment(store, home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def start_login(store: LiveStore, home: Path) -> tuple[subprocess.Popen[str], str]:
    """Start ``hf auth login``; return it and the address it prints."""
    process = subprocess.Popen(
        [HF, "auth", "login"],
        env=environment(store, home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://\S+/oauth/verify\?code=[A-Z]{4}-[A-Z]{4}", line):
            return process, found[0]
    raise AssertionError("hf printed no address")


def answer_in_browser(name: str, address: str, button: str) -> str:
    """Sign in, open the printed address, press a button; return what the page says."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)  # leads to the sign-in page first, and back here
        page.get_by_label("User name or e-mail address").fill(name)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("button", name=button)).to_have_count(0)
        told = page.get_by_role("main").inner_text()
        browser.close()
    return told


def test_hf_auth_login_in_a_browser(store: LiveStore, tmp_path: Path) -> None:
    name, _token = store.person()
    process, address = start_login(store, tmp_path)

    told = answer_in_browser(name, address, "Let it in")
    said, _ = process.communicate(timeout=60)

    assert "signs in by itself" in told
    assert process.returncode == 0, said
    assert "Login successful" in said
    assert name in hf(store, tmp_path, "auth", "whoami")
    hf(store, tmp_path, "repos", "create", f"{name}/made-after-login")
    # near its end the client renews the token by itself, and goes on under the same name
    stored = tmp_path / "stored_tokens"
    before = stored.read_text()
    stored.write_text(re.sub(r"(?m)^(expires_at\s*=\s*)\d+", r"\g<1>1", before))
    assert name in hf(store, tmp_path, "auth", "whoami")
    after = stored.read_text()
    assert re.findall(r"hf_\w+", after) != re.findall(r"hf_\w+", before)
    assert re.findall(r"(?m)^\[.*\]$", after) == re.findall(r"(?m)^\[.*\]$", before)


def test_hf_hears_a_no(store: LiveStore, tmp_path: Path) -> None:
    name, _token = store.person()
    process, address = start_login(store, tmp_path)

    answer_in_browser(name, address, "No")
    said, _ = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "denied" in said
    assert not (tmp_path / "token").exists()


def test_hf_lists_what_takes_room(store: LiveStore, tmp_path: Path) -> None:
    name, token = store.person()
    hf(store, tmp_path, "auth", "login", "--token", token)
    hf(store, tmp_path, "repos", "create", f"{name}/sized")

    listed = hf(store, tmp_path, "repos", "list")

    assert f"{name}/sized" in listed


@pytest.fixture(autouse=True)
def _only_where_it_is_installed() -> None:
    assert HF.exists()
