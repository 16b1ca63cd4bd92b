"""The Community tab: what it shows, to whom, and what its buttons do. No JavaScript anywhere."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from accounts.viewer import Viewer
from catalog.models import Attachment, Discussion, DiscussionEvent, FileScan, ModelRepo, Ref
from catalog.services import comments
from catalog.services.discussions import open_discussion, pin, set_disabled, set_status
from catalog.services.folders import LocalFile, propose_files
from catalog.services.publishing import AddFile, publish
from catalog.views import community
from tests.clients.test_discussions import png
from tests.factories import add_files, make_repo, safetensors

HTML = {"Accept": "text/html"}
URL = "/alice/tiny/discussions"


@pytest.fixture
def repo(alice: User) -> ModelRepo:
    made = make_repo(alice)
    files = {"README.md": b"---\nlicense: mit\n---\n# Tiny\n\nIt writes.\n", "a.txt": b"one\n"}
    add_files(alice, made, files | {"model.safetensors": safetensors()})
    return made


def text(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path, headers=HTML)
    assert answer.status_code == status, answer.content[-2000:]
    return answer.content.decode()


def act(client: Client, number: int, act: str, status: int = 302, **fields) -> str:
    """Press a button of a discussion; return the page, or where it leads."""
    answer = client.post(f"{URL}/{number}", {"act": act} | fields, headers=HTML)
    assert answer.status_code == status, answer.content[-2000:]
    return answer["Location"] if status == 302 else answer.content.decode()


def propose(user: User, repo: ModelRepo, files: dict[str, bytes], title: str = "Better") -> int:
    published = publish(
        Viewer(user=user),
        repo,
        revision="main",
        operations=[AddFile(path, content) for path, content in files.items()],
        title=title,
        create_pr=True,
    )
    assert published.pull is not None
    return published.pull.number


def state() -> list:
    return [
        list(Discussion.objects.order_by("id").values()),
        list(DiscussionEvent.objects.order_by("id").values()),
        list(Ref.objects.order_by("id").values_list("name", "oid")),
    ]


def test_an_empty_community_says_what_to_do(client: Client, repo: ModelRepo) -> None:
    page = text(client, URL)

    assert "No open discussions" in page
    assert f'href="{URL}/new"' in page
    assert "Nothing fits" in text(client, f"{URL}?status=closed")
    assert "Nothing fits" in text(client, f"{URL}?author=bob")


def test_the_list_filters_and_pages(
    client: Client, alice: User, as_alice: Viewer, as_bob: Viewer, repo: ModelRepo, monkeypatch
) -> None:
    monkeypatch.setattr(community, "PAGE", 2)
    first = open_discussion(as_bob, repo, title="First of all", text="x")
    over = open_discussion(as_alice, repo, title="Over and done", text="x")
    open_discussion(as_bob, repo, title="Third <b>", text="x")
    propose(alice, repo, {"n.txt": b"n"}, title="A proposal")
    set_status(as_alice, over, status="closed")
    pin(as_alice, first, is_pinned=True)

    page = text(client, URL)

    titles = re.findall(r'<a href="/alice/tiny/discussions/\d+">([^<]+)<', page)
    assert titles == ["First of all", "A proposal"]
    assert "Pinned" in page
    assert "Third &lt;b&gt;" in text(client, f"{URL}?status=open&page=2")
    assert "Over and done" in text(client, f"{URL}?status=closed")
    only = text(client, f"{URL}?type=pull_request")
    assert "A proposal" in only
    assert "First of all" not in only
    theirs = text(client, f"{URL}?author=BOB&status=all&type=nonsense")
    assert "A proposal" not in theirs
    assert 'Community <span class="quiet">3</span>' in text(client, "/alice/tiny")


def test_lists_and_threads_take_a_fixed_number_of_queries(
    client: Client, as_bob: Viewer, repo: ModelRepo, django_assert_max_num_queries
) -> None:
    for number in range(10):
        found = open_discussion(as_bob, repo, title=f"Number {number}", text="x")
    for number in range(10):
        comments.comment(as_bob, found, text=f"{number}")

    for path, most in ((URL, 8), (f"{URL}/10", 10)):
        with django_assert_max_num_queries(most):
            text(client, path)


def test_opening_a_discussion(
    client: Client, browser_of, bob: User, repo: ModelRepo, settings
) -> None:
    browser = browser_of(bob)
    fields = {"title": "How fast?", "text": "I **wonder**", "kind": "discussion"}

    visitor = client.get(f"{URL}/new", headers=HTML)
    form = text(browser, f"{URL}/new")
    previewed = browser.post(f"{URL}/new", fields | {"act": "preview"}, headers=HTML)
    before = Discussion.objects.count()
    picture = SimpleUploadedFile("a dot].png", png(), content_type="image/png")
    made = browser.post(f"{URL}/new", fields | {"act": "open", "files": [picture]}, headers=HTML)

    assert visitor["Location"] == f"/login?next={URL}/new"
    assert "Preview" in form
    assert "<strong>wonder</strong>" in previewed.content.decode()
    assert before == 0
    assert made["Location"] == f"{URL}/1"
    page = text(client, f"{URL}/1")
    assert "<strong>wonder</strong>" in page
    assert f'<img src="{Attachment.objects.get().get_absolute_url()}" alt="a dot"' in page


def test_opening_a_draft_from_a_browser(browser_of, bob: User, repo: ModelRepo) -> None:
    fields = {"title": "Mine", "text": "", "kind": "pull_request", "act": "open"}

    browser_of(bob).post(f"{URL}/new", fields, headers=HTML)

    assert Discussion.objects.get().status == "draft"
    assert "No description." in text(browser_of(bob), f"{URL}/1")
    assert "No changes yet" in text(browser_of(bob), f"{URL}/1/changes")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"title": "Hi", "text": "x"}, 400),
        ({"title": "Hello", "text": "x", "kind": "nonsense"}, 400),
        ({"title": "Hello", "text": "x" * 70_000}, 400),
        ({"title": "Hello", "text": "", "act": "preview"}, 400),
    ],
)
def test_wrong_forms_say_what_is_wrong(
    browser_of, bob: User, repo: ModelRepo, fields: dict, status: int
) -> None:
    answer = browser_of(bob).post(f"{URL}/new", fields, headers=HTML)

    assert answer.status_code == status
    assert Discussion.objects.count() == 0


def test_a_bad_attachment_opens_nothing(browser_of, bob: User, repo: ModelRepo) -> None:
    page = SimpleUploadedFile("x.png", b"<script>", content_type="image/png")

    answer = browser_of(bob).post(
        f"{URL}/new", {"title": "Hello", "text": "x", "files": [page]}, headers=HTML
    )

    assert answer.status_code == 415
    assert "Attach PNG" in answer.content.decode()
    assert Discussion.objects.count() == 0


def test_talking(browser_of, alice: User, bob: User, as_bob: Viewer, repo: ModelRepo) -> None:
    open_discussion(as_bob, repo, title="How fast?", text="Say.")
    owner, asker = browser_of(alice), browser_of(bob)

    previewed = act(owner, 1, "preview", status=200, text="**Very**")
    said = act(owner, 1, "comment", text="Very, @bob")
    cid = said.rsplit("#", 1)[1]
    form = text(owner, f"{URL}/1?edit={cid}")
    act(owner, 1, "edit", comment=cid, text="Fast, @bob")
    act(asker, 1, "rename", title="How fast is it?")
    act(asker, 1, "close", text="Thanks!")
    act(owner, 1, "pin")

    assert "<strong>Very</strong>" in previewed
    assert "**Very**</textarea>" in previewed
    assert "Very, @bob</textarea>" in form
    assert "Very, @bob</textarea>" not in text(asker, f"{URL}/1?edit={cid}")
    page = text(asker, f"{URL}/1")
    for part in (
        'Fast, <a href="/bob" class="mention">@bob</a>',
        "1 former version",
        "renamed it from",
        "How fast is it?",
        "closed it",
        "Thanks!",
        "pinned it",
        "Open again",
    ):
        assert part in page, part
    act(owner, 1, "unpin")
    act(owner, 1, "open")
    act(owner, 1, "hide", comment=cid)
    page = text(asker, f"{URL}/1")
    assert "This comment is hidden." in page
    assert "Fast," not in page
    assert "opened it" in page


def test_refused_buttons_change_nothing(
    client: Client, browser_of, alice: User, bob: User, as_alice: Viewer, repo: ModelRepo
) -> None:
    open_discussion(as_alice, repo, title="Ours", text="Owner's words")
    cid = DiscussionEvent.objects.get().public_id
    stranger, owner = browser_of(bob), browser_of(alice)
    before = state()

    for browser, name, status, fields in (
        (client, "comment", 401, {"text": "x"}),
        (stranger, "comment", 400, {"text": " "}),
        (stranger, "preview", 400, {"text": ""}),
        (stranger, "edit", 403, {"comment": cid, "text": "x"}),
        (owner, "edit", 400, {"comment": cid, "text": ""}),
        (stranger, "hide", 403, {"comment": cid}),
        (stranger, "rename", 403, {"title": "Mine now"}),
        (owner, "rename", 400, {"title": ""}),
        (stranger, "close", 403, {}),
        (stranger, "pin", 403, {}),
        (stranger, "merge", 403, {}),
        (owner, "merge", 409, {}),
    ):
        page = act(browser, 1, name, status=status, **fields)
        assert "alert--bad" in page or status == 401, (name, status)
    assert state() == before
    assert text(stranger, f"{URL}/2", status=404)
    assert text(stranger, f"{URL}/1/changes", status=404)


def test_visitors_read_and_are_asked_in(client: Client, as_bob: Viewer, repo: ModelRepo) -> None:
    open_discussion(as_bob, repo, title="How fast?", text="Say.")

    page = text(client, f"{URL}/1")

    assert f"/login?next={URL}/1" in page
    assert "<textarea" not in page
    assert "Rename" not in page


def test_long_threads_show_their_end_first(
    client: Client, as_bob: Viewer, repo: ModelRepo, monkeypatch
) -> None:
    monkeypatch.setattr(community, "COMMENTS_PAGE", 2)
    found = open_discussion(as_bob, repo, title="Long", text="number 0")
    for number in range(1, 5):
        comments.comment(as_bob, found, text=f"number {number}")

    last, first = text(client, f"{URL}/1"), text(client, f"{URL}/1?page=1")

    assert "number 4" in last
    assert "number 3" not in last
    assert "Earlier" in last
    assert "number 0" in first
    assert "Later" in first


def test_merging_with_a_button(
    browser_of, client: Client, alice: User, bob: User, repo: ModelRepo
) -> None:
    propose(bob, repo, {"a.txt": b"two\n"})

    assert "The owners of the model decide" in text(browser_of(bob), f"{URL}/1")
    assert "Merge pull request" not in text(browser_of(bob), f"{URL}/1")
    assert "Merge pull request" in text(browser_of(alice), f"{URL}/1")
    act(browser_of(alice), 1, "merge")
    page = text(client, f"{URL}/1")
    assert "merged it as" in page
    assert "Merged" in page
    assert "two" in text(client, "/alice/tiny/blob/main/a.txt")


def test_why_it_cannot_be_merged(
    browser_of, client: Client, alice: User, bob: User, as_bob: Viewer, repo: ModelRepo
) -> None:
    propose(bob, repo, {"a.txt": b"two\n"})
    add_files(alice, repo, {"a.txt": b"three\n"})
    owner = browser_of(alice)
    before = state()

    page = text(owner, f"{URL}/1")

    assert "cannot be merged" in page
    assert ">a.txt</li>" in page
    assert 'value="merge"' not in page
    assert "other changes of the same files: a.txt" in act(owner, 1, "merge", status=409)
    assert state() == before
    from catalog.history.refs import create_branch, delete_branch
    from catalog.services.pulls import open_pull_request

    open_pull_request(as_bob, repo, title="A draft", text="")
    assert "This is a draft" in text(owner, f"{URL}/2")
    assert "Publish draft" in text(owner, f"{URL}/2")
    create_branch(repo, "dev")
    publish(
        as_bob,
        repo,
        revision="dev",
        operations=[AddFile("x", b"x")],
        title="For dev",
        create_pr=True,
    )
    delete_branch(repo, "dev")
    assert "was deleted" in text(owner, f"{URL}/3")


def test_changes_line_by_line_by_tensor_and_by_card(
    client: Client, alice: User, bob: User, as_bob: Viewer, repo: ModelRepo, tmp_path
) -> None:
    (tmp_path / "w").write_bytes(safetensors(seed=1))
    (tmp_path / "c").write_bytes(b"---\nlicense: gpl\n---\n# Tiny\n\nIt sings.\n")
    (tmp_path / "t").write_bytes(b"two\n")
    files = [
        LocalFile(tmp_path / "w", "model.safetensors"),
        LocalFile(tmp_path / "c", "README.md"),
        LocalFile(tmp_path / "t", "a.txt"),
    ]
    propose_files(as_bob, repo, files, title="All of it")

    page = text(client, f"{URL}/1/changes")

    assert "3 files differ." in page
    assert "other numbers" in page
    assert "F32 64 by 64" in page
    assert "It writes." in page
    assert "It sings." in page
    assert "Line by line" in page
    assert '<span class="diff__line diff__line--new">+two</span>' in page
    assert page.count('id="card-') == 0


def test_unsafe_changes_are_named_only(
    client: Client, browser_of, alice: User, bob: User, repo: ModelRepo
) -> None:
    propose(bob, repo, {"config.json": b'{"secret_marker": 1}', "README.md": b"# Marker two\n"})
    FileScan.objects.filter(is_proposed=True).update(verdict="unsafe")

    for browser, is_shown in ((client, False), (browser_of(bob), True), (browser_of(alice), True)):
        page = text(browser, f"{URL}/1/changes")
        assert ("secret_marker" in page) is is_shown
        assert ("Marker two" in page) is is_shown
        assert "config.json" in page


def test_proposing_files_from_a_browser(
    client: Client, browser_of, alice: User, bob: User, repo: ModelRepo
) -> None:
    url = "/alice/tiny/propose/main"
    stranger = browser_of(bob)

    visitor = client.get(url, headers=HTML)
    form = text(stranger, url)
    files = [
        SimpleUploadedFile("more.txt", b"more\n"),
        SimpleUploadedFile("model.safetensors", safetensors(seed=2)),
    ]
    sent = stranger.post(url, {"title": "More of it", "text": "Why", "files": files}, headers=HTML)
    before = state()
    nothing = stranger.post(url, {"title": "Nothing"}, headers=HTML)
    nowhere = stranger.post(
        "/alice/tiny/propose/nope",
        {"title": "Nowhere", "files": [SimpleUploadedFile("x", b"x")]},
        headers=HTML,
    )

    assert visitor["Location"] == f"/login?next={url}"
    assert "count against your own storage" in form
    assert sent["Location"] == f"{URL}/1"
    assert "More of it" in text(client, f"{URL}/1")
    assert "2 files differ." in text(client, f"{URL}/1/changes")
    assert (nothing.status_code, nowhere.status_code) == (400, 404)
    assert state() == before


def test_switching_discussions_off(
    client: Client, browser_of, alice: User, bob: User, as_bob: Viewer, repo: ModelRepo
) -> None:
    open_discussion(as_bob, repo, title="How fast?", text="Say.")
    owner = browser_of(alice)

    refused = browser_of(bob).post(f"{URL}/switch", {"disabled": "true"}, headers=HTML)
    owner.post(f"{URL}/switch", {"disabled": "true"}, headers=HTML)

    assert refused.status_code == 403
    assert "Community" not in text(client, "/alice/tiny")
    assert "Switch discussions on" in text(owner, "/alice/tiny/settings")
    for path in (URL, f"{URL}/1", f"{URL}/1/changes"):
        text(client, path, status=403)
    before = state()
    fields = {"title": "Hello", "text": "x"}
    assert browser_of(bob).post(f"{URL}/new", fields, headers=HTML).status_code == 403
    text(browser_of(bob), "/alice/tiny/propose/main", status=403)
    assert state() == before
    owner.post(f"{URL}/switch", {"disabled": "false"}, headers=HTML)
    assert "How fast?" in text(client, URL)


@pytest.mark.parametrize("path", ["", "/1", "/1/changes", "/new"])
def test_private_looks_absent(
    client: Client, browser_of, alice: User, bob: User, path: str
) -> None:
    hidden = make_repo(alice, "hidden", is_private=True)
    open_discussion(Viewer(user=alice), hidden, title="Secret", text="x")

    for browser in (client, browser_of(bob)):
        pages = [
            text(browser, f"/alice/{name}/discussions{path}", status=404)
            for name in ("hidden", "gone")
        ]
        tokens = re.compile(r"csrf[^>]*value=\"[^\"]+\"|X-CSRFToken[^}]*")
        same = {tokens.sub("", page).replace("gone", "hidden") for page in pages}
        assert len(same) == 1


def test_the_deleted_are_called_so(client: Client, as_bob: Viewer, repo: ModelRepo) -> None:
    open_discussion(as_bob, repo, title="How fast?", text="Say.")
    as_bob.signed_in().delete()

    assert "deleted" in text(client, URL)
    assert "deleted" in text(client, f"{URL}/1")


def test_switching_off_keeps_what_is_there(
    alice: User, as_alice: Viewer, as_bob: Viewer, repo: ModelRepo
) -> None:
    open_discussion(as_bob, repo, title="How fast?", text="Say.")

    set_disabled(as_alice, repo, is_disabled=True)
    set_disabled(as_alice, repo, is_disabled=False)

    assert open_discussion(as_bob, repo, title="Again", text="x").number == 2
