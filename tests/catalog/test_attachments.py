"""Attachments: told by their bytes, charged, shown to whoever may read the comment, swept."""

import hashlib
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Namespace, User
from accounts.viewer import Viewer
from catalog.content import collecting
from catalog.content.quotas import usage_of
from catalog.models import Attachment, DiscussionEvent, LfsObject, ModelRepo
from catalog.services import comments
from catalog.services.attachments import sweep_attachments
from catalog.services.discussions import open_discussion
from catalog.services.repos import change_settings
from tests.clients.test_discussions import png
from tests.factories import make_repo
from tests.hub.xet.calling import Made, XetClient

MP4 = b"\0\0\0\x18ftypmp42" + b"\0" * 64
SAMPLES = {
    "image/png": png(),
    "image/gif": b"GIF89a" + b"\0" * 20 + b";",
    "image/jpeg": b"\xff\xd8\xff\xe0" + b"\0" * 20 + b"\xff\xd9",
    "image/webp": b"RIFF\x14\0\0\0WEBPVP8 " + b"\0" * 12,
    "video/mp4": MP4,
    "video/quicktime": b"\0\0\0\x14ftypqt  " + b"\0" * 64,
    "video/webm": b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm" + b"\0" * 64,
    "audio/mpeg": b"ID3\x04" + b"\0" * 64,
    "audio/wav": b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 64,
}

Send = Callable[..., str]


@pytest.fixture
def send(client: Client, bob: User, bearer) -> Send:
    """Send bytes as bob; return the path of the attachment, or the error's code."""
    headers = bearer(bob)

    def go(data: bytes, content_type: str = "image/png") -> str:
        answer = client.post("/uploads", data, content_type=content_type, headers=headers)
        if answer.status_code == 200:
            assert answer["Content-Type"].startswith("text/plain")
            return answer.content.decode().removeprefix("http://testserver")
        return f"{answer.status_code} {answer.json()['code']}"

    return go


def body(answer) -> bytes:
    return b"".join(answer)


def status_of(client: Client, path: str) -> int:
    """The status of an answer that is read to its end."""
    answer = client.get(path)
    if answer.streaming:
        assert body(answer)
    return answer.status_code


def used(name: str) -> int:
    return usage_of(Namespace.objects.get(name=name)).used_bytes


def test_bytes_that_were_known_by_their_chunks_alone(
    client: Client, send: Send, alice: User, bearer, monkeypatch
) -> None:
    picture = Made(SAMPLES["image/png"])
    make_repo(alice)
    XetClient(client, bearer(alice)).publish({"a.png": picture})
    before = LfsObject.objects.get().is_whole

    path = send(picture.content)
    monkeypatch.setattr(collecting, "ORPHAN_AFTER", timedelta(seconds=-5))
    done = collecting.collect()

    assert (before, LfsObject.objects.get().is_whole) == (False, True)
    assert done.orphans == 0
    assert body(client.get(path)) == picture.content


def test_each_kind_is_told_by_its_bytes(client: Client, send: Send) -> None:
    for media_type, data in SAMPLES.items():
        path = send(data, "image/png")

        answer = client.get(path)

        assert (path[:9], answer["Content-Type"]) == ("/uploads/", media_type)
        assert body(answer) == data
        assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Cache-Control"] == "private, no-cache"
    frame = send(b"\xff\xfb\x90\x64" + b"\0" * 64)
    assert client.head(frame)["Content-Type"] == "audio/mpeg"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!doctype html><script>alert(1)</script>",
        b"%PDF-1.7",
        b"\x1a\x45\xdf\xa3\x9fB\x82\x88matroska" + b"\0" * 64,
        b"\xff\xff\xff\xff" + b"\0" * 64,
        png() + b"<script>",
        png()[:-4],
    ],
)
def test_everything_else_is_refused(send: Send, data: bytes) -> None:
    assert send(data) == "415 unsupported_media"
    assert Attachment.objects.count() == 0


def test_limits(send: Send, settings) -> None:
    limits = {"max_picture_bytes": 60, "max_media_bytes": 80}
    settings.ENV = settings.ENV.model_copy(update=limits)

    assert send(png()) == "413 too_large"
    assert send(MP4 + b"\0" * 9) == "413 too_large"
    assert send(MP4[:70]).startswith("/uploads/")
    assert Attachment.objects.count() == 1


def test_a_quota_holds(client: Client, send: Send, bob: User, bearer) -> None:
    Namespace.objects.filter(name="bob").update(storage_quota_bytes=len(MP4) + 10)

    assert send(MP4).startswith("/uploads/")
    assert used("bob") == len(MP4)
    assert send(png()) == "403 storage_quota"
    read = client.post("/uploads", MP4, content_type="video/mp4", headers=bearer(bob, "read"))
    assert read.status_code == 403
    assert Attachment.objects.count() == 1


def test_ranges(client: Client, send: Send) -> None:
    path = send(MP4)

    part = client.get(path, headers={"Range": "bytes=4-7"})
    same = client.get(path, headers={"If-None-Match": f'"{hashlib.sha256(MP4).hexdigest()}"'})
    past = client.get(path, headers={"Range": "bytes=999-"})

    assert (part.status_code, body(part)) == (206, b"ftyp")
    assert part["Content-Range"] == f"bytes 4-7/{len(MP4)}"
    assert (same.status_code, past.status_code) == (304, 416)


def test_who_sees_what(
    client: Client, send: Send, alice: User, bob: User, as_bob: Viewer, browser_of
) -> None:
    repo = make_repo(alice)
    path = send(png())
    name = path.rsplit("/", 1)[1]
    assert status_of(client, path) == 200  # its address is a secret so far

    open_discussion(as_bob, repo, title="Look", text=f"![dot](https://elsewhere{path})")
    assert status_of(client, path) == 200
    change_settings(Viewer(user=alice), repo, is_private=True)

    statuses = [status_of(each, path) for each in (client, browser_of(alice), browser_of(bob))]
    assert statuses == [404, 200, 200]
    for wrong in (name.replace(".png", ".gif"), f"{'0' * 24}.png", "x", f"{name}x"):
        assert status_of(client, f"/uploads/{wrong}") == 404


def test_it_is_shown_in_place(alice: User, as_bob: Viewer, send: Send) -> None:
    repo = make_repo(alice)
    picture, film, sound = send(png()), send(MP4), send(SAMPLES["audio/wav"])
    text = (
        f'![a "dot"](http://host:8000{picture})\n\nhttp://host{film}\n\n'
        f'<audio controls src="http://host{sound}"></audio>\n\n'
        f"`{picture}` and ![gone](/uploads/{'0' * 24}.png)"
    )

    open_discussion(as_bob, repo, title="Look", text=text)

    html = DiscussionEvent.objects.get().html
    assert f'<a href="{picture}"><img src="{picture}" alt="a &quot;dot&quot;" loading=' in html
    assert f'<video src="{film}" controls preload="none"' in html
    assert f'<audio src="{sound}" controls preload="none"' in html
    assert f"<code>{picture}</code>" in html
    assert f'src="/uploads/{"0" * 24}' not in html
    assert DiscussionEvent.objects.get().attachments.count() == 3


def test_what_no_comment_shows_is_swept(
    alice: User, bob: User, as_bob: Viewer, send: Send, client: Client
) -> None:
    repo = make_repo(alice)
    shown, unused, fresh = send(png()), send(MP4), send(SAMPLES["audio/wav"])
    discussion = open_discussion(as_bob, repo, title="Look", text=f"![dot]({shown})")
    old = timezone.now() - timedelta(days=2)
    Attachment.objects.exclude(public_id=fresh[9:33]).update(created_at=old)

    assert sweep_attachments() == 1
    assert status_of(client, unused) == 404
    assert status_of(client, shown) == 200

    comment = DiscussionEvent.objects.get()
    comments.hide(as_bob, discussion, comment.public_id)
    assert sweep_attachments() == 1
    assert [each.get_absolute_url() for each in Attachment.objects.all()] == [fresh]
    assert used("bob") == len(SAMPLES["audio/wav"])


def test_an_edit_takes_over_its_attachments(alice: User, as_bob: Viewer, send: Send) -> None:
    repo = make_repo(alice)
    first, second = send(png()), send(MP4)
    discussion = open_discussion(as_bob, repo, title="Look", text=f"![dot]({first})")
    comment = DiscussionEvent.objects.get()

    comments.edit(as_bob, discussion, comment.public_id, text=second)

    assert [each.get_absolute_url() for each in comment.attachments.all()] == [second]


def test_private_models_keep_their_attachments(
    client: Client, send: Send, alice: User, browser_of
) -> None:
    hidden: ModelRepo = make_repo(alice, "hidden", is_private=True)
    path = send(png())

    open_discussion(Viewer(user=alice), hidden, title="Look", text=f"![dot]({path})")

    assert status_of(client, path) == 404
    assert status_of(browser_of(alice), path) == 200
