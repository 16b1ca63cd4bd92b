"""The Community tab in a real browser: without JavaScript, by keyboard, and against axe."""

import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from playwright.sync_api import Browser, expect

from tests.e2e.browser import PHONE, WIDE, listen, sign_in, violations
from tests.factories import safetensors
from tests.live import LiveStore

pytestmark = pytest.mark.e2e


@pytest.fixture
def people(store: LiveStore, monkeypatch: pytest.MonkeyPatch) -> tuple[HfApi, HfApi, str]:
    """(owner, stranger, model); the stranger has proposed a card and weights."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    (_, first), (_, second) = store.person(), store.person()
    owner, stranger = (HfApi(endpoint=store.url, token=token) for token in (first, second))
    repo = f"{owner.whoami()['name']}/m-{secrets.token_hex(3)}"
    owner.create_repo(repo)

    def files(seed: int, word: str) -> list[CommitOperationAdd]:
        card = f"---\nlicense: mit\n---\n# Tiny\n\nIt {word}.\n\n## Use\n\nNot yet.\n"
        return [
            CommitOperationAdd("README.md", card.encode()),
            CommitOperationAdd("model.safetensors", safetensors(seed=seed)),
            CommitOperationAdd("notes.txt", f"{word}\n".encode()),
        ]

    owner.create_commit(repo, files(0, "writes"), commit_message="Publish")
    stranger.create_commit(repo, files(1, "sings"), commit_message="Let it sing", create_pr=True)
    return owner, stranger, repo


def test_everything_works_without_javascript(
    store: LiveStore, browser: Browser, people: tuple[HfApi, HfApi, str]
) -> None:
    owner, stranger, repo = people
    asking = browser.new_context(java_script_enabled=False).new_page()
    sign_in(asking, store, stranger.whoami()["name"])

    asking.goto(f"{store.url}/{repo}")
    asking.get_by_role("link", name="Community").click()
    asking.get_by_role("link", name="New discussion").click()
    asking.get_by_label("Title").fill("How fast is it?")
    asking.get_by_label("What is it about?").fill("I **wonder**.")
    asking.get_by_role("button", name="Preview").click()
    expect(asking.locator(".prose strong")).to_have_text("wonder")
    asking.get_by_role("button", name="Open it").click()
    asking.get_by_label("Your comment").fill("Nobody?")
    asking.get_by_role("button", name="Comment", exact=True).click()
    asking.get_by_role("link", name="Edit").last.click()
    asking.get_by_label("Your comment").first.fill("Anybody?")
    asking.get_by_role("button", name="Save", exact=True).click()
    expect(asking.locator(".said__body").last).to_have_text("Anybody?")

    deciding = browser.new_context(java_script_enabled=False).new_page()
    sign_in(deciding, store, owner.whoami()["name"])
    deciding.goto(f"{store.url}/{repo}/discussions")
    deciding.get_by_role("link", name="Let it sing").click()
    deciding.get_by_role("link", name="Changes").click()
    expect(deciding.locator("main")).to_contain_text("other numbers")
    deciding.get_by_role("link", name="Conversation").click()
    deciding.get_by_role("button", name="Merge pull request").click()
    expect(deciding.locator("main")).to_contain_text("merged it as")
    deciding.get_by_role("link", name="Files", exact=True).last.click()
    expect(deciding.locator("main")).to_contain_text("notes.txt")
    assert owner.get_discussion_details(repo, 1).status == "merged"


@pytest.mark.parametrize(
    ("theme", "size"), [("light", WIDE), ("dark", PHONE)], ids=["light-wide", "dark-phone"]
)
def test_pages_of_the_community(
    store: LiveStore,
    browser: Browser,
    people: tuple[HfApi, HfApi, str],
    theme: str,
    size: dict[str, int],
) -> None:
    owner, stranger, repo = people
    said = stranger.create_discussion(repo, "How *fast*?", description="Say `it` @nobody.")
    stranger.comment_discussion(repo, said.num, "x" * 300 + "\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    owner.change_discussion_status(repo, said.num, "closed")
    context = browser.new_context(viewport=size, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    complaints = listen(page)
    sign_in(page, store, owner.whoami()["name"])
    base, found = f"{store.url}/{repo}/discussions", []

    for path in ("", "?status=closed", "/new", "/1", "/1/changes", f"/{said.num}"):
        answer = page.goto(base + path)
        assert answer is not None
        assert answer.status == 200
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        found += [f"{path}: {fault}" for fault in violations(page)]
        found += [f"{path}: {wider} pixels too wide"] if wider > 0 else []

    context.close()
    assert found + complaints == []


def test_the_command_line(
    store: LiveStore, people: tuple[HfApi, HfApi, str], tmp_path: Path
) -> None:
    owner, _, repo = people

    def hf(*args: str) -> str:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("hf")), "discussions", *args],
            env={"HF_ENDPOINT": store.url, "HF_TOKEN": owner.token, "HF_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Let it sing" in hf("list", repo)
    assert "+sings" in hf("diff", repo, "1")
    hf("create", repo, "--title", "From a terminal", "--body", "Hello")
    hf("comment", repo, "2", "--body", "World")
    hf("rename", repo, "2", "From my terminal")
    hf("close", repo, "2", "--yes")
    hf("reopen", repo, "2", "--yes")
    hf("merge", repo, "1", "--yes")
    assert "From my terminal" in hf("info", repo, "2")
    assert owner.get_discussion_details(repo, 1).status == "merged"
