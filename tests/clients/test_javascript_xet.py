"""``@huggingface/hub`` for JavaScript over Xet, which it takes unless it is told otherwise."""

import hashlib
import secrets
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import HfApi
from safetensors.numpy import save_file

from tests.clients.javascript import run
from tests.clients.programs import machines
from tests.e2e.browser import chromium, listen, sign_in
from tests.live import LiveStore

SIZE_BYTES = 6_000_000
PACKED_BYTES = 68 * 1024**2


def packed() -> bytes:
    """Content that packs well and repeats nothing: one xorb of it has more than 64 MiB raw."""
    line = secrets.token_bytes(PACKED_BYTES // 2)
    return b"".join(line[at : at + 2048] + bytes(2048) for at in range(0, len(line), 2048))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files to send: a first one, a later version of it, one that packs well, somebody's."""
    first = secrets.token_bytes(SIZE_BYTES)
    found = {
        "first.bin": first,
        "second.bin": first[:4_500_000] + b"a few bytes more" + first[4_500_000:],
        "packed.bin": packed(),
        "theirs.bin": secrets.token_bytes(SIZE_BYTES),
    }
    for name, content in found.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_large_files_by_xet(store: LiveStore, folder: Path) -> None:
    name, token = store.person()
    python = machines(folder / "python", store.url, token)
    theirs = f"{name}/theirs"
    python().do(["create", theirs], ["upload", theirs, str(folder / "theirs.bin"), "theirs.bin"])

    seen = run("xet.mjs", store.url, token, name, str(folder), theirs, timeout_s=280)
    back = [folder / "first.back", folder / "second.back", folder / "packed.back"]
    python().do(
        ["download", f"{name}/js-one", "weights.bin", str(back[0])],
        ["download", f"{name}/js-two", "weights.bin", str(back[1])],
        ["download", f"{name}/js-two", "packed.bin", str(back[2])],
    )

    first, same, other, changed = (
        seen[key] for key in ("first", "samePlace", "otherPlace", "changed")
    )
    assert SIZE_BYTES < first["sent"] < SIZE_BYTES * 1.01
    assert (first["xorbs"], first["shards"], first["lfs"]) == (1, 1, 0)
    assert (same["sent"] < 2000, same["xorbs"], same["lfs"]) == (True, 0, 0)
    assert (other["sent"] < 2000, other["xorbs"], other["shards"]) == (True, 0, 1)
    assert other["questions"] > 0
    assert changed["sent"] < SIZE_BYTES // 10
    assert seen["info"]["size"] == SIZE_BYTES
    assert len(seen["info"]["hash"]) == 64
    assert seen["kind"] == "XetBlob"
    assert (seen["whole"], seen["serial"], seen["fetched"]["pieces"]) == (True, True, 1)
    assert (seen["slices"], seen["sliceOfSlice"], seen["narrow"]["pieces"]) == ([], True, 1)
    assert (seen["changedIsSame"], seen["editedIsSame"]) == (True, True)
    assert seen["edit"]["sent"] < SIZE_BYTES // 10
    assert seen["phases"] == ["preuploading", "uploadingLargeFiles", "committing"]
    assert (seen["progress"], seen["packedIsSame"]) == (1, True)
    hashes = seen["files"]
    assert hashes["small/config.json"] is None
    assert all(len(hashes[path]) == 64 for path in ("weights.bin", "edited.bin", "packed.bin"))
    assert seen["theirs"] == ["XetBlob", True, True]
    for path, original in zip(back, ("first.bin", "second.bin", "packed.bin"), strict=True):
        assert path.read_bytes() == (folder / original).read_bytes()


def test_pull_requests_caches_and_refusals(store: LiveStore, tmp_path: Path) -> None:
    name, token = store.person()
    stranger, theirs = store.person()
    _, read_only = store.person(scope="read")
    save_file(
        {"a.weight": np.zeros((3, 5), np.float32), "b.bias": np.zeros(7, np.float16)},
        tmp_path / "weights.safetensors",
    )

    seen = run("more.mjs", store.url, token, name, theirs, read_only, str(tmp_path), timeout_s=280)
    repo = f"{name}/js-open"
    api = HfApi(endpoint=store.url, token=token)
    opened = {each.num: each for each in api.get_repo_discussions(repo)}
    api.merge_pull_request(repo, 2)

    assert sorted(seen["created"]) == [".gitattributes", "README.md", "made/first.bin"]
    assert seen["createdSize"] == 2000
    assert seen["header"] == {
        "sharded": False,
        "names": ["a.weight", "b.bias"],
        "counts": {"F32": 15, "F16": 7},
    }
    pages = [f"{store.url}/{repo}/discussions/{number}" for number in (1, 2, 3)]
    assert [seen["own"], seen["other"], seen["plain"]] == pages
    assert {number: each.author for number, each in opened.items()} == {
        1: name,
        2: stranger,
        3: stranger,
    }
    assert (opened[2].title, opened[2].is_pull_request) == ("Propose other", True)
    assert seen["onTop"] == "nothing was refused"
    assert {"other.bin", "other.txt", "top.txt"} <= set(seen["inProposal"])
    assert "other.bin" not in seen["mainBefore"]
    assert seen["mainAfter"] == seen["mainBefore"]
    assert {"other.bin", "other.txt"} <= set(api.list_repo_files(repo))
    assert seen["readToken"].startswith("403 This token lacks the scope 'write'.")
    assert seen["straight"].startswith(f"403 You may not change {repo}.")
    assert seen["straightText"].startswith(f"403 You may not change {repo}.")
    assert seen["visitor"].startswith("401 Sign in, or send an access token")
    assert seen["branchAgain"].startswith("409 Reference refs/heads/tries already exists")
    assert seen["branch"] == [".gitattributes", "branch.txt", "model.safetensors"]
    assert seen["titles"][:2] == ["Two go", "Add branch.txt"]
    assert (seen["authors"], seen["dates"]) == ([name], True)
    assert seen["gone"].startswith("404 A file with this name doesn't exist: none.txt")
    assert seen["noBranch"].startswith("404 Invalid rev id: tries")
    assert {"made/first.bin", "model.safetensors"} <= set(seen["snapshot"])
    assert (seen["weights"], seen["again"], seen["cached"][0]) == (True, True, repo)
    assert seen["collections"] == [[seen["slug"], "From JavaScript", name]]
    assert seen["noCollections"] == 0
    assert seen["me"] == ["user", "access_token", "read", True]


def test_a_private_repository_is_hidden_in_every_call(store: LiveStore, tmp_path: Path) -> None:
    """From who may not see it, and from a token that is none; status and text say which."""
    name, token = store.person()
    _, theirs = store.person()

    seen = run("refusals.mjs", store.url, token, name, theirs)

    absent = f"Repository Not Found: there is no model {name}/js-hidden."
    begins = {
        "stranger": f"404 {absent}",
        "visitor": f"401 {absent}",
        "wrong": "401 Invalid username or password, or a token that has ended.",
    }
    assert set(seen["refused"]) == set(begins)
    for who, calls in seen["refused"].items():
        assert len(calls) == 8
        assert {
            what: text for what, text in calls.items() if not text.startswith(begins[who])
        } == {}
    assert seen["batch"].startswith("401 Invalid username or password")  # of git-lfs's own route
    assert (seen["exists"], seen["files"]) == ([False, True], [".gitattributes", "a.bin"])


IN_A_PAGE = """
async ([name, ...args]) => (await import("/browser.mjs"))[name](args)
"""


def test_large_files_in_a_page_of_another_site(
    store: LiveStore, tmp_path: Path, other_site: str
) -> None:
    name, token = store.person()
    python = machines(tmp_path / "python", store.url, token)
    repo, theirs, source = f"{name}/page", f"{name}/theirs", tmp_path / "theirs.bin"
    source.write_bytes(secrets.token_bytes(2_000_000))
    python().do(["create", repo], ["create", theirs], ["upload", theirs, str(source), "theirs.bin"])

    with chromium() as browser:
        page = browser.new_page()
        complaints = listen(page)
        page.goto(f"{other_site}/page.html")
        seen = page.evaluate(IN_A_PAGE, ["exchange", store.url, token, repo, theirs, 3_000_000])
    python().do(["download", repo, "page.bin", str(tmp_path / "back")])

    called = set(seen["calls"])
    assert {"POST xet/v1/xorbs", "POST xet/v1/shards", "GET xet/v2/reconstructions"} <= called
    assert any(call.startswith("GET xet/v1/chunks") for call in called)
    assert any(call.startswith("GET xet/data/") for call in called)
    assert seen["kinds"] == ["XetBlob", "WebBlob"]
    assert seen["sent"] == seen["back"] == sha256(tmp_path / "back")
    assert seen["again"] != seen["sent"]
    assert seen["other"] == sha256(source)
    assert (seen["slice"], seen["small"], seen["progress"]) == (True, True, 1)
    assert [text for text in complaints if "404" not in text] == []  # a chunk that is not known


def test_signing_in_from_a_page_of_another_site(store: LiveStore, other_site: str) -> None:
    name, _ = store.person()
    address = f"{other_site}/page.html"

    with chromium() as browser:
        page = browser.new_page()
        sign_in(page, store, name)
        page.goto(f"{store.url}/settings/programs")
        page.locator("[name=name]").fill("Chat")
        page.locator("[name=redirect_uris]").fill(address)
        page.locator("form:has([name=redirect_uris]) button").click()
        client_id = page.locator("p:has-text('Client id') > code").inner_text()
        page.goto(address)
        asked = ["loginUrl", store.url, client_id, "openid profile read-repos"]
        page.goto(page.evaluate(IN_A_PAGE, asked))
        page.locator("button[value=allow]").click()
        page.wait_for_url(f"{address}?*")
        got = page.evaluate(IN_A_PAGE, ["finishLogin", store.url])

    assert got["userInfo"]["preferred_username"] == name
    assert (got["scope"], got["state"]) == ("openid profile read-repos", "mine")
    assert store.ask("/api/whoami-v2", got["accessToken"])["name"] == name


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
