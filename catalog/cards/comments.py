"""Comments as HTML: cards' own Markdown, with people linked and attachments shown in place.

Everything is added to HTML that is clean already, tag by tag, so nothing a stranger wrote can
become a tag here.
"""

import re
from collections.abc import Mapping
from html import escape, unescape

from catalog.cards.rendering import RENDERER_VERSION, render_card

COMMENTS_VERSION = f"{RENDERER_VERSION}/1"
"""Raised with the cards' renderer, or when the HTML of comments may come out differently."""

MAX_MENTIONS = 20
"""People one comment can link; further names stay plain."""

_TAG = re.compile(r'<(/?)([a-z][a-z0-9]*)((?:[^">]|"[^"]*")*)>')
_MENTION = re.compile(
    r"(?<![\w@/.:&;-])@([A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,40}[A-Za-z0-9_])?)(?![\w@/-])", re.ASCII
)
_NAME = r"[0-9a-f]{24}\.(?:png|jpg|gif|webp|mp4|mov|webm|mp3|wav)"
_ATTACHED = re.compile(rf"(?:https?://[A-Za-z0-9.:\[\]-]{{1,255}})?/uploads/({_NAME})\b")
_BARE = re.compile(rf"(?m)^[ ]{{0,3}}<?(?:https?://[^\s/<>]{{1,255}})?/uploads/({_NAME})>?[ ]*$")
_SHOWN = re.compile(rf'<a href="/uploads/({_NAME})"[^>]*>(.*?)</a>', re.DOTALL)
_ELEMENT = re.compile(
    r'<(?:video|audio|img)\s[^<>]{0,400}?src="'
    rf'(?:https?://[^\s/"<>]{{1,255}})?/uploads/({_NAME})"[^<>]{{0,200}}>(?:</(?:video|audio)>)?'
)
_QUIET = {"a", "code", "pre", "math"}
"""Inside these a name is no mention."""


def mentioned(text: str) -> list[str]:
    """Return the names a comment may be speaking to, as written, each once, in order."""
    names: dict[str, str] = {}
    for match in _MENTION.finditer(text):
        names.setdefault(match[1].lower(), match[1])
    return list(names.values())[:MAX_MENTIONS]


def attached(text: str) -> list[str]:
    """Return the names of the attachments a comment shows, each once, in order."""
    return list(dict.fromkeys(_ATTACHED.findall(text)))


def render_comment(
    text: str,
    *,
    file_base: str,
    page_base: str,
    people: Mapping[str, str],
    attachments: Mapping[str, str],
) -> str:
    """Return a comment as HTML that is safe on our pages.

    Args:
        text: Markdown, any stranger's.
        file_base: As for ``render_card``.
        page_base: As for ``render_card``.
        people: Who can be linked: names by their lower-case form.
        attachments: What can be shown: media types by the attachments' names.
    """
    html = render_card(_local(text, attachments), file_base=file_base, page_base=page_base).html
    return _with_media(_with_people(html, people), attachments)


def _local(text: str, attachments: Mapping[str, str]) -> str:
    """Write the attachments' addresses without a host: pages are reached by several names."""

    def here(match: re.Match[str]) -> str:
        return f"/uploads/{match[1]}" if match[1] in attachments else match[0]

    def link(match: re.Match[str]) -> str:
        name = match[1]
        return f"[{name}](/uploads/{name})" if name in attachments else match[0]

    return _ATTACHED.sub(here, _BARE.sub(link, _ELEMENT.sub(link, text)))


def _with_people(html: str, people: Mapping[str, str]) -> str:
    """Link the names in running text; links, code and formulas are left alone."""
    out: list[str] = []
    depth, reached = 0, 0
    for tag in _TAG.finditer(html):
        out += [_linked(html[reached : tag.start()], people, is_quiet=depth > 0), tag[0]]
        reached = tag.end()
        if tag[2] in _QUIET:
            depth += -1 if tag[1] else 1
    out.append(_linked(html[reached:], people, is_quiet=depth > 0))
    return "".join(out)


def _linked(text: str, people: Mapping[str, str], *, is_quiet: bool) -> str:
    if is_quiet or not people:
        return text

    def link(match: re.Match[str]) -> str:
        name = people.get(match[1].lower())
        return f'<a href="/{name}" class="mention">@{name}</a>' if name else match[0]

    return _MENTION.sub(link, text)


def _with_media(html: str, attachments: Mapping[str, str]) -> str:
    """Show attachments where clean HTML links to them."""

    def show(match: re.Match[str]) -> str:
        media_type = attachments.get(match[1])
        if media_type is None:
            return match[0]
        address = f"/uploads/{match[1]}"
        words = escape(unescape(re.sub(r"<[^<>]*>", "", match[2])).strip() or match[1], quote=True)
        kind = media_type.partition("/")[0]
        if kind == "image":
            return f'<a href="{address}"><img src="{address}" alt="{words}" loading="lazy"></a>'
        return f'<{kind} src="{address}" controls preload="none" title="{words}"></{kind}>'

    return _SHOWN.sub(show, html)
