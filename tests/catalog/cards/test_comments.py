"""Comments: people are linked where they are spoken to, and nothing becomes a tag that was none."""

import re

import pytest

from catalog.cards.comments import MAX_MENTIONS, attached, mentioned, render_comment

NAME = "0123456789abcdef01234567.png"
PEOPLE = {"ada": "Ada", "bob-1": "bob-1"}


def html(text: str, **attachments: str) -> str:
    return render_comment(
        text,
        file_base="/a/b/resolve/main/",
        page_base="/a/b/blob/main/",
        people=PEOPLE,
        attachments={NAME: attachments.get("kind", "image/png")},
    )


def test_people_are_linked_in_running_text() -> None:
    shown = html("Hello @ADA, (@bob-1) and @nobody. *@ada*")

    assert shown.count('<a href="/Ada" class="mention">@Ada</a>') == 2
    assert '(<a href="/bob-1" class="mention">@bob-1</a>)' in shown
    assert "@nobody" in shown
    assert "/nobody" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "`@ada`",
        "```\n@ada\n```",
        "[@ada](https://example.org)",
        "me@ada",
        "x@ada.org",
        "https://x.org/@ada",
        "@@ada",
        "@ada/model",
        "<a title='@ada'>x</a>",
    ],
)
def test_names_elsewhere_are_left_alone(text: str) -> None:
    assert 'class="mention"' not in html(text)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "![x](https://tracker.example/pixel.png)",
        f'![" onerror="alert(1)](/uploads/{NAME})',
        f'<a href="/uploads/{NAME}"><img src=x onerror=alert(1)></a>',
        f'<a href="/uploads/{NAME}" title="</a><script>">x</a>',
        f"[<script>alert(1)</script>](/uploads/{NAME})",
        '@ada"><script>alert(1)</script>',
        f'<video src="/uploads/{NAME}" onplay="alert(1)"></video>',
        f'<audio src="/uploads/{NAME}" autoplay>',
    ],
)
def test_nothing_runs(text: str) -> None:
    shown = html(text)

    tags = "".join(re.findall(r'<(?:[^">]|"[^"]*")*>', shown))
    names_only = re.sub(r'"[^"]*"', "", tags)
    assert "<script" not in shown
    assert not re.search(r"\son\w+=|autoplay|<iframe", names_only)
    assert 'src="https' not in shown
    assert 'href="javascript' not in shown


def test_attachments_are_shown_whatever_the_host() -> None:
    for host in ("", "https://store.example", "http://127.0.0.1:8000", "http://[::1]:80"):
        shown = html(f"![A dot]({host}/uploads/{NAME})")
        assert f'<img src="/uploads/{NAME}" alt="A dot" loading="lazy">' in shown
    assert f'<video src="/uploads/{NAME}" controls' in html(f"/uploads/{NAME}", kind="video/mp4")
    assert f'title="{NAME}"' in html(f"[](/uploads/{NAME})", kind="audio/wav")
    other = f"/uploads/{'f' * 24}.png"
    assert "<img" not in html(f"![x]({other})")


def test_what_a_text_speaks_of() -> None:
    assert mentioned("@Ada @ada @x and mail@ada @b.c.") == ["Ada", "x", "b.c"]
    assert len(mentioned(" ".join(f"@u{number}" for number in range(99)))) == MAX_MENTIONS
    assert attached(f"/uploads/{NAME} http://x/uploads/{NAME} /uploads/zz.png") == [NAME]


def test_tangled_text_is_shown_plain() -> None:
    assert "card-plain" in html("[" * 1000)
