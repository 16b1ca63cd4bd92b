"""Pages of the catalog: what they show, to whom, and with how many queries."""

import json
import os
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from catalog.formats.sources import Budget
from catalog.history.refs import create_branch, create_tag
from catalog.history.trees import list_entries
from catalog.models import FileScan, Like, Listing, ModelRepo, RepoRedirect, StagedFile
from catalog.services.preview import preview
from catalog.views.listing import FOLDER_PAGE
from tests.catalog.formats.files import gg_model, gg_tensor
from tests.factories import add_files, make_org, make_repo, safetensors

HTML = {"Accept": "text/html"}
README = b"""---
license: mit
language: en
pipeline_tag: text-generation
base_model: alice/base
---
# Tiny

It writes. [More](docs/more.md)
"""


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    make_repo(alice, "base")
    made = make_repo(alice)
    add_files(
        alice,
        made,
        {
            "README.md": README,
            "model.safetensors": safetensors(),
            "config.json": json.dumps({"model_type": "gpt2", "architectures": ["X"]}).encode(),
            "docs/more.md": b"no front matter\n",
            "pic.png": b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
            "code.py": b"print('<b>')\n",
            "data.bin": b"\0\1\2\3" * 100,
        },
    )
    return made


def text(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path, headers=HTML)
    assert response.status_code == status, response.content[-2000:]
    return response.content.decode()


def test_an_empty_store_says_what_to_do(client: Client, db: None) -> None:
    assert "No models yet" in text(client, "/")
    assert "Nothing fits" in text(client, "/models?q=zebra")


def test_home_and_list(client: Client, repo: ModelRepo, alice: User) -> None:
    make_repo(alice, "secret", is_private=True)

    home, found = text(client, "/"), text(client, "/models?task=text-generation")

    assert "alice/tiny" in home
    assert "secret" not in home
    assert "alice/tiny" in found
    assert "alice/base" not in found.split('id="results"')[1]
    assert "<title>tiny · Models" in text(client, "/models?q=tiny")
    fragment = client.get("/models?q=tiny", headers=HTML | {"HX-Request": "true"}).content.decode()
    assert "<html" not in fragment
    assert text(client, "/models?cursor=nonsense&sort=likes")
    assert "alice/tiny" in text(client, "/search/suggest?q=tin")


def test_the_listing(client: Client, repo: ModelRepo) -> None:
    page = text(client, "/Alice/TINY")

    assert "It writes." in page
    assert 'href="/alice/tiny/blob/main/docs/more.md"' in page
    assert "4.1" in page  # thousand parameters, measured
    assert "Commercial use allowed" in page
    assert 'href="/alice/base"' in page
    assert "Fine-tuned from" in page
    assert "hf download alice/tiny" in page
    assert "snapshot_download" in page
    base = text(client, "/alice/base")
    assert re.search(r"Fine-tuned: <a href=./alice/tiny", base)
    assert "facts__grid" not in base  # nothing was measured: no row of dashes


def test_a_listing_takes_a_fixed_number_of_queries(
    client: Client, repo: ModelRepo, alice: User, django_assert_max_num_queries
) -> None:
    text(client, "/alice/tiny")
    for number in range(5):
        make_repo(alice, f"more{number}")
    add_files(alice, repo, {f"f{number}.txt": b"x" for number in range(30)})

    for path, most in [("/alice/tiny", 15), ("/alice/tiny/tree/main", 16), ("/models", 12)]:
        with django_assert_max_num_queries(most):
            text(client, path)


def test_owners_see_warnings_and_settings(client: Client, alice: User, repo: ModelRepo) -> None:
    bare = make_repo(alice, "bare", is_private=True)
    add_files(alice, bare, {"weights.safetensors": b"no header at all"})
    client.force_login(alice)

    page = text(client, "/alice/bare")

    assert "There is no README.md yet" in page
    assert "weights.safetensors" in page
    assert "/alice/bare/settings" in page
    assert "HF_TOKEN=hf_…" in page
    assert "/alice/tiny/settings" not in text(Client(), "/alice/tiny")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/tree/main",
        "/tree/main/docs",
        "/blob/main/README.md",
        "/commits/main",
        "/settings",
        "/upload/main",
        "/checks",
        "/archive/main.zip",
        "/resolve/main/README.md",
        "/playground",
    ],
)
def test_private_looks_absent_on_every_page(
    client: Client, alice: User, bob: User, path: str
) -> None:
    hidden = make_repo(alice, "hidden", is_private=True)
    add_files(alice, hidden, {"README.md": README, "docs/x": b"x"})
    client.force_login(bob)

    answers = [
        (answer.status_code, answer.content.decode().replace(name, "*"))
        for name in ("hidden", "absent")
        for answer in [client.get(f"/alice/{name}{path}", headers={"Accept": "application/json"})]
    ]

    assert answers[0] == answers[1]
    assert answers[0][0] == 404


def test_files_and_folders(client: Client, alice: User, repo: ModelRepo) -> None:
    create_branch(repo, "dev/x")
    create_tag(repo, "v1", revision="main", message=None, tagger="alice")

    root, folder = text(client, "/alice/tiny/tree/main"), text(client, "/alice/tiny/tree/main/docs")

    assert root.index("docs") < root.index("config.json")
    assert "/alice/tiny/tree/dev%2Fx" in root
    assert "tag v1" in root
    assert "/alice/tiny/blob/main/docs/more.md" in folder
    text(client, "/alice/tiny/tree/main/none", 404)
    text(client, "/alice/tiny/tree/nope", 404)
    assert client.get("/alice/tiny/blob/main/docs", headers=HTML).status_code == 302


def test_a_large_file_is_compared_by_size_not_by_its_pointer(
    client: Client, alice: User, repo: ModelRepo
) -> None:
    before = add_files(alice, repo, {"model.safetensors": safetensors(size=32)})
    after = add_files(alice, repo, {"model.safetensors": safetensors(size=16)})

    page = text(client, f"/alice/tiny/compare?from={before}&to={after}")

    assert "A large file, kept by its digest:" in page
    assert "4.2\u202fkB" in page
    assert "1.1\u202fkB" in page
    assert "git-lfs.github.com" not in page


def test_what_is_absent_inside_a_model_leads_back_to_it(
    client: Client, repo: ModelRepo, bob: User
) -> None:
    file = text(client, "/alice/tiny/blob/main/no%20ne.txt", 404)
    revision = text(client, "/alice/tiny/tree/nope", 404)
    model = text(client, "/alice/none", 404)
    client.force_login(bob)
    forbidden = text(client, "/alice/tiny/settings", 403)

    assert "There is no file or folder “no ne.txt” in this version." in file
    assert "There is no branch, tag or commit called “nope”." in revision
    for page in (file, revision):
        assert 'href="/alice/tiny/tree/main"' in page
        assert "Sign in with" not in page
    assert "There is no model of this name, or it is private." in model
    assert "/alice/none/tree" not in model
    assert 'href="/alice/tiny"' in forbidden


def test_a_menu_of_revisions_has_an_end(
    client: Client, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.views.listing.MAX_REVISIONS", 3)
    for name in ("a", "b", "c", "d"):
        create_branch(repo, name)

    page = text(client, "/alice/tiny/compare")

    assert re.findall(r'<option value="([a-z]+)">', page) == ["main", "a", "b"]


def test_two_revisions_side_by_side(client: Client, alice: User, repo: ModelRepo) -> None:
    create_tag(repo, "v1", revision="main", message=None, tagger="alice")
    add_files(alice, repo, {"code.py": b"print('<i>')\n", "new <b>.txt": b"hello\n"})

    form = text(client, "/alice/tiny/compare")
    page = text(client, "/alice/tiny/compare?from=v1&to=main")
    back = text(client, "/alice/tiny/compare?from=main&to=v1")
    same = text(client, "/alice/tiny/compare?from=v1&to=v1")
    wrong = text(client, "/alice/tiny/compare?from=nope", 404)

    assert '<option value="v1">' in form
    assert "2 files differ." in page
    assert "-print(&#x27;&lt;b&gt;&#x27;)" in page
    assert "+print(&#x27;&lt;i&gt;&#x27;)" in page
    assert "new &lt;b&gt;.txt" in page
    assert "<b>.txt" not in page
    assert "-hello" in back
    assert "0 files differ." in same
    assert "nope" in wrong
    text(client, "/alice/none/compare?from=v1", 404)


def test_a_huge_folder_comes_in_pages(client: Client, alice: User) -> None:
    repo = make_repo(alice, "many")
    files = {f"part/{number:03}.txt": b"x\n" for number in range(FOLDER_PAGE + 5)}
    add_files(alice, repo, files | {"part/z/deep.txt": b"x\n"})

    first = text(client, "/alice/many/tree/main/part")
    second = text(client, "/alice/many/tree/main/part?page=2")
    beyond = text(client, "/alice/many/tree/main/part?page=99")

    assert f"1 to {FOLDER_PAGE} of {FOLDER_PAGE + 6}" in first
    assert first.index("part/z") < first.index("000.txt")  # folders first
    assert 'href="?page=2"' in first
    assert "?page=1" in second
    assert "204.txt" in second
    assert "204.txt" in beyond
    assert "000.txt" not in second
    for odd in ("x", "-1", "0", "1e9", "9" * 40):
        assert "000.txt" in text(client, f"/alice/many/tree/main/part?page={odd}")


def test_the_file_viewer(client: Client, alice: User, repo: ModelRepo) -> None:
    base = "/alice/tiny/blob/main"

    assert "weight" in (tensors := text(client, f"{base}/model.safetensors"))
    assert "64 by 64" in tensors
    assert "&lt;b&gt;" in text(client, f"{base}/code.py")
    assert 'class="nt"' in text(client, f"{base}/config.json")
    assert "license" in (card := text(client, f"{base}/README.md"))
    assert "<h1 id=" in card
    assert "no front matter" in text(client, f"{base}/docs/more.md")
    assert "resolve/main/pic.png" in text(client, f"{base}/pic.png")
    assert "not text" in text(client, f"{base}/data.bin")
    text(client, f"{base}/none", 404)


def test_a_gguf_shows_its_tensors(client: Client, alice: User, repo: ModelRepo) -> None:
    tensors = [gg_tensor("tok.weight", [2, 5], 0, 0), gg_tensor("norm.bias", [2], 0, 64)]
    add_files(alice, repo, {"tiny.gguf": gg_model(tensors=tensors, data=b"\0" * 96)})

    page = text(client, "/alice/tiny/blob/main/tiny.gguf")

    assert "tok.weight" in page
    assert "5 by 2" in page  # rows first, as everywhere else
    assert "norm.bias" in page


def test_a_header_too_long_for_a_request_is_told_in_words(
    client: Client, alice: User, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.services.preview.AT_ONCE", Budget(1, 1, 1, is_final=False))

    page = text(client, "/alice/tiny/blob/main/model.safetensors")

    assert "too long to read while you wait" in page


def test_a_card_is_shown_as_of_its_revision_and_folder(
    client: Client, alice: User, repo: ModelRepo
) -> None:
    create_branch(repo, "older")
    body = b"![p](pic.png) [next](more.md)\n"
    add_files(alice, repo, {"a b/deep.md": body}, revision="older")

    page = text(client, "/alice/tiny/blob/older/a%20b/deep.md")

    assert 'src="/alice/tiny/resolve/older/a%20b/pic.png"' in page
    assert 'href="/alice/tiny/blob/older/a%20b/more.md"' in page


def test_files_too_long_or_broken(
    client: Client, alice: User, repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_files(
        alice,
        repo,
        {
            "long.txt": b"x" * 600_000,
            "broken.safetensors": b"\x10" + b"\0" * 40,
            "half.md": b"---\nlicense: mit\n",
        },
    )
    client.force_login(alice)

    assert "too long to show" in text(client, "/alice/tiny/blob/main/long.txt")
    assert "alert--bad" in text(client, "/alice/tiny/blob/main/broken.safetensors")
    assert "never ends" in text(client, "/alice/tiny/blob/main/half.md")
    monkeypatch.setattr("catalog.services.preview.MAX_TENSORS", 0)
    assert "1 more tensor is not" in text(client, "/alice/tiny/blob/main/model.safetensors")
    assert preview.__doc__


def test_history_and_commits(client: Client, alice: User, repo: ModelRepo) -> None:
    oid = add_files(alice, repo, {"code.py": b"print(2)\n"})

    page = text(client, "/alice/tiny/commits/main")
    commit = text(client, f"/alice/tiny/commit/{oid[:10]}")
    from catalog.history.log import history

    first = history(repo, oid, limit=9)[-1].oid

    assert "3 commits" in page
    assert "+print(2)" in commit
    assert "added: " in text(client, f"/alice/tiny/commit/{first}")
    assert "initial commit" in text(client, f"/alice/tiny/commits/main?from={first}")


def test_settings_rename_and_delete(client: Client, alice: User, repo: ModelRepo) -> None:
    client.force_login(alice)
    url = "/alice/tiny/settings"

    open_page = text(client, url)
    undecided = client.post(url, {"form": "visibility"})
    still_open = not ModelRepo.objects.get(name="tiny").is_private
    hidden = client.post(url, {"form": "visibility", "is_private": "true"})
    hidden_page = text(client, url)
    undecided_again = client.post(url, {"form": "visibility"})
    still_hidden = ModelRepo.objects.get(name="tiny").is_private
    taken = client.post(url, {"form": "move", "namespace": "alice", "name": "base"})
    moved = client.post(url, {"form": "move", "namespace": "alice", "name": "new"})
    old = client.get("/alice/tiny/tree/main", headers=HTML)
    wrong = client.post("/alice/new/settings", {"form": "delete", "confirmation": "new"})
    kept = ModelRepo.objects.filter(name="new").exists()
    gone = client.post("/alice/new/settings", {"form": "delete", "confirmation": "alice/new"})

    assert re.findall(r'value="(true|false)"[^>]* checked', open_page) == ["false"]
    assert re.findall(r'value="(true|false)"[^>]* checked', hidden_page) == ["true"]
    assert (undecided.status_code, undecided_again.status_code) == (400, 400)
    assert (still_open, still_hidden) == (True, True)
    assert hidden["Location"] == url
    assert b"already exists" in taken.content
    assert moved["Location"] == "/alice/new/settings"
    assert (old.status_code, old["Location"]) == (307, "/alice/new/tree/main")
    assert b"Type alice/new" in wrong.content
    assert kept
    assert gone["Location"] == "/alice"
    assert not RepoRedirect.objects.exists()
    assert text(client, "/alice/base/settings")


def test_only_owners_change_settings(client: Client, repo: ModelRepo, bob: User) -> None:
    assert client.get("/alice/tiny/settings", headers=HTML).status_code == 401
    client.force_login(bob)

    refused = client.post("/alice/tiny/settings", {"form": "delete", "confirmation": "alice/tiny"})

    assert refused.status_code == 403
    assert ModelRepo.objects.filter(name="tiny").exists()


def test_likes(client: Client, repo: ModelRepo, bob: User) -> None:
    assert client.post("/alice/tiny/like", {"liked": "true"}, headers=HTML).status_code == 401
    client.force_login(bob)
    for _ in range(2):
        client.post("/alice/tiny/like", {"liked": "true"})
    assert Listing.objects.get(repo=repo).likes == Like.objects.count() == 1
    fragment = client.post(
        "/alice/tiny/like", {"liked": "false"}, headers={"HX-Request": "true"}
    ).content.decode()
    assert 'aria-pressed="false"' in fragment
    assert Listing.objects.get(repo=repo).likes == 0


def test_profiles(client: Client, alice: User, repo: ModelRepo) -> None:
    make_org("acme", alice="admin")

    assert "alice/tiny" in text(client, "/alice")
    assert "No models yet" in (org := text(client, "/acme"))
    assert 'href="/alice"' in org
    assert "Publish a model" not in org  # somebody else's
    client.force_login(alice)
    assert "Publish a model" in text(client, "/acme")
    text(client, "/nobody", 404)


def test_publishing_from_the_browser(client: Client, alice: User) -> None:
    assert client.get("/publish")["Location"] == "/login?next=/publish"
    make_org("acme", alice="write")
    client.force_login(alice)
    owners = re.findall(r'<option value="(alice|acme)"', text(client, "/publish"))
    assert owners == ["alice", "acme"]  # one's own name before the teams'
    new = {"namespace": "alice", "name": "mine", "license": "mit", "is_private": "on"}

    bad = client.post("/publish", new | {"name": "a--b"})
    made = client.post("/publish", new)
    again = client.post("/publish", new)
    empty = client.post("/alice/mine/upload/main", {"title": "x"})
    sent = client.post(
        "/alice/mine/upload/main",
        {
            "title": "All",
            "files": [
                SimpleUploadedFile("a.txt", b"A"),
                SimpleUploadedFile("model.safetensors", safetensors()),
            ],
        },
    )

    assert b"cannot contain" in bad.content
    assert (bad.status_code, again.status_code) == (400, 400)
    assert made["Location"] == "/alice/mine/upload/main"
    assert b"already created" in again.content
    assert empty.status_code == 400
    assert sent["Location"] == "/alice/mine/checks"
    repo = ModelRepo.objects.get()
    assert repo.is_private
    checks = text(client, "/alice/mine/checks")
    assert "Every file is clean." in checks
    assert 'href="/alice/mine/settings">Let everybody find it' in checks
    assert "<html" not in text(client, "/alice/mine/checks?fragment=1")
    FileScan.objects.filter(path="a.txt").update(verdict="unsafe", reason="Bad thing.")
    assert "Bad thing." in text(client, "/alice/mine/checks")
    assert "/alice/mine/upload/main" in text(client, "/alice/mine/upload/main")


def post(client: Client, path: str, body: dict):
    return client.post(path, body, content_type="application/json")


def piece(client: Client, path: str, data: bytes):
    return client.post(path, data, content_type="application/octet-stream")


def test_only_the_files_on_the_page_are_committed(client: Client, alice: User) -> None:
    repo = make_repo(alice)
    client.force_login(alice)
    base = "/alice/tiny/staging"
    for path in ("from-yesterday.txt", "now.txt"):
        staged = post(client, base, {"path": path, "size": 2}).json()
        piece(client, f"{base}/{staged['id']}?offset=0", b"hi")

    odd = post(client, f"{base}/commit/main", {"paths": "now.txt"})
    none = post(client, f"{base}/commit/main", {"paths": []})
    done = post(client, f"{base}/commit/main", {"paths": ["now.txt"]})

    assert (odd.status_code, none.status_code, done.status_code) == (400, 400, 200)
    paths = {entry.path for entry in list_entries(repo, done.json()["commit"])}
    assert paths == {".gitattributes", "now.txt"}
    assert [each.path for each in StagedFile.objects.all()] == ["from-yesterday.txt"]


def test_files_arrive_in_pieces_and_resume(client: Client, alice: User) -> None:
    make_repo(alice)
    client.force_login(alice)
    data = safetensors()
    base = "/alice/tiny/staging"

    staged = post(client, base, {"path": "model.safetensors", "size": len(data)}).json()
    first = piece(client, f"{base}/{staged['id']}?offset=0", data[:5000])
    repeated = piece(client, f"{base}/{staged['id']}?offset=0", data[:5000])
    early = post(client, f"{base}/commit/main", {"title": "x"})
    resumed = post(client, base, {"path": "model.safetensors", "size": len(data)}).json()
    too_much = piece(client, f"{base}/{staged['id']}?offset=5000", data[5000:] + b"x")
    rest = piece(client, f"{base}/{staged['id']}?offset=5000", data[5000:])
    done = post(client, f"{base}/commit/main", {"title": "Weights"})

    assert first.json()["received_bytes"] == 5000
    assert (repeated.status_code, repeated.json()["extra"]) == (409, {"received_bytes": 5000})
    assert "not arrived whole" in early.json()["error"]
    assert resumed == {"id": staged["id"], "received_bytes": 5000}
    assert too_much.status_code == 413
    assert rest.json()["received_bytes"] == len(data)
    assert done.json()["next"] == "/alice/tiny/checks"
    assert StagedFile.objects.count() == 0
    assert b"".join(client.get("/alice/tiny/resolve/main/model.safetensors")) == data


def test_staging_refuses_nonsense(client: Client, alice: User, bob: User, settings) -> None:
    make_repo(alice)
    base = "/alice/tiny/staging"
    client.force_login(alice)
    settings.ENV = settings.ENV.model_copy(update={"max_file_bytes": 100})

    statuses = [
        post(client, base, {"path": 3, "size": 1}).status_code,
        post(client, base, {"path": "../x", "size": 1}).status_code,
        post(client, base, {"path": "x", "size": 101}).status_code,
        piece(client, f"{base}/none?offset=0", b"x").status_code,
        piece(client, f"{base}/none?offset=x", b"x").status_code,
        post(client, f"{base}/commit/main", {}).status_code,
        client.post(base, b"[]", content_type="application/json").status_code,
    ]
    client.force_login(bob)
    stranger = post(client, base, {"path": "x", "size": 1}).status_code

    assert statuses == [400, 422, 413, 404, 400, 400, 400]
    assert stranger == 403
    assert StagedFile.objects.count() == 0


def test_staged_files_are_replaced_limited_and_swept(
    alice: User, as_alice, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from django.utils import timezone

    from catalog.services import staging
    from store.core.errors import TooLargeError

    repo = make_repo(alice)
    monkeypatch.setattr(staging, "MAX_FILES", 1)
    staging.stage(as_alice, repo, path="a", size_bytes=5)
    other = staging.stage(as_alice, repo, path="a", size_bytes=6)
    with pytest.raises(TooLargeError):
        staging.stage(as_alice, repo, path="b", size_bytes=1)
    assert StagedFile.objects.get() == other
    assert staging.sweep_staged() == 0
    StagedFile.objects.update(touched_at=timezone.now() - timedelta(days=4))
    assert staging.sweep_staged() == 1
    assert str(other).startswith("a (0 of 6)")


def test_staged_files_of_a_deleted_repository_are_swept(
    alice: User, as_alice, settings: Any
) -> None:
    from catalog.services import staging

    repo = make_repo(alice)
    staged = staging.stage(as_alice, repo, path="a", size_bytes=5)
    path = settings.SPOOL_DIR / "staged" / staged.public_id
    repo.delete()

    assert staging.sweep_staged() == 0
    assert path.exists()  # may belong to a commit that is on its way
    os.utime(path, (0, 0))

    assert staging.sweep_staged() == 1
    assert not path.exists()


def test_components_page_and_docs(client: Client, db: None) -> None:
    assert "Components" in text(client, "/_components")
    assert "GET /api/v1/models" in text(client, "/api/v1/docs")
    assert client.get("/healthz").json() == {"status": "ok"}
