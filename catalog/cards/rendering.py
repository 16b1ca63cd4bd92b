"""Cards as HTML that is safe on our pages.

Markdown becomes HTML (markdown-it), HTML goes through an allow-list (nh3), and only then reaches a
page. Pictures come from the repository itself; remote ones become links, so that nobody counts our
readers. Ids get a prefix, so that a card cannot shadow the page's own (DOM clobbering).
"""

import re
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import nh3
from latex2mathml.converter import convert as to_mathml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin

from catalog.cards.highlighting import CLASS, highlight
from catalog.cards.keyboard import reachable
from catalog.cards.summaries import summary_of

RENDERER_VERSION = "cards-2"
"""Raised whenever the HTML may come out differently; older stored HTML is made anew."""

MAX_CHARS = 256 * 1024
MAX_SPECIAL = 20_000
"""Brackets, stars and the like; what makes Markdown slow is nesting and matching them."""
MAX_RUN = 200
"""The same special character so often in a row is an attack, not a text."""
MAX_QUOTE_DEPTH = 30
MAX_LINE_CHARS = 20_000
MAX_LINES = 8_000
MAX_QUOTES = 1_000
"""Quoted lines; the parser looks back over all of them for each."""
MAX_MATH_CHARS = 2_000
MAX_FORMULAS = 500
ID_PREFIX = "card-"

_MATHML = [
    "math",
    "mrow",
    "mi",
    "mn",
    "mo",
    "ms",
    "mtext",
    "mspace",
    "msup",
    "msub",
    "msubsup",
    "mfrac",
    "msqrt",
    "mroot",
    "munder",
    "mover",
    "munderover",
    "mtable",
    "mtr",
    "mtd",
    "mstyle",
    "mpadded",
    "mphantom",
    "menclose",
]
_TAGS = {
    *[
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "details",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
    ],
    *[
        "figcaption",
        "figure",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "input",
        "ins",
        "kbd",
        "li",
        "mark",
        "ol",
        "p",
        "picture",
        "pre",
        "q",
    ],
    *[
        "s",
        "samp",
        "section",
        "small",
        "span",
        "strong",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "u",
        "ul",
    ],
    *["var", "center", "font"],
    *_MATHML,
}
_ATTRIBUTES = {
    "a": {"href", "title", "id", "class"},
    "img": {"src", "alt", "title", "width", "height"},
    "td": {"align", "colspan", "rowspan"},
    "th": {"align", "colspan", "rowspan", "scope"},
    "ol": {"start"},
    "input": {"type", "checked", "disabled", "class"},
    "code": {"class"},
    "pre": {"class"},
    "span": {"class"},
    "div": {"class", "align"},
    "p": {"align"},
    "section": {"class"},
    "li": {"id", "class"},
    "ul": {"class"},
    "sup": {"class"},
    "hr": {"class"},
    "details": {"open"},
    "math": {"display", "xmlns"},
    "mo": {"stretchy", "fence", "separator", "form", "accent"},
    "mi": {"mathvariant"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "mtable": {"columnalign"},
    "mspace": {"width"},
    **{f"h{level}": {"id"} for level in range(1, 7)},
}
_ID = re.compile(rf"{ID_PREFIX}[\w-]{{1,100}}")
_CLASS_WORD = re.compile(r"[a-zA-Z][\w-]{0,30}")
_FORMULA = re.compile(r"[^\w -]+")


@dataclass(frozen=True, slots=True)
class Heading:
    """One entry of the table of contents."""

    level: int
    text: str
    anchor: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"level": self.level, "text": self.text, "anchor": self.anchor}


@dataclass(frozen=True, slots=True)
class RenderedCard:
    """A card ready for a page."""

    html: str
    toc: list[Heading] = field(default_factory=list)
    summary: str = ""
    """The first sentence or two of running text, at most 200 characters."""
    is_plain: bool = False
    """The text was too tangled to render and is shown as it is."""


def render_card(body: str, *, file_base: str, page_base: str) -> RenderedCard:
    """Render the body of a README.

    Args:
        body: Markdown, any stranger's.
        file_base: Address below which the repository's files are served, for pictures.
        page_base: Address below which their pages are, for links.
    """
    if (reason := tangle(body)) is not None:
        note = f"<p>This card is shown as plain text: {reason}.</p>"
        html = f'{note}<pre tabindex="0" class="card-plain">{escape(body[:MAX_CHARS])}</pre>'
        return RenderedCard(html, is_plain=True, summary=summary_of(body[:4000]))
    parser = _parser()
    env: MutableMapping[str, Any] = {}
    tokens = parser.parse(body, env)
    toc = _number_headings(tokens)
    _rewrite(tokens, file_base=file_base, page_base=page_base)
    raw = parser.renderer.render(tokens, parser.options, env)
    html = clean(raw, file_base=file_base, page_base=page_base)
    return RenderedCard(reachable(html), toc, summary_of(body))


def render_text(text: str) -> str:
    """Render a line or two of minimal Markdown (a bio, a commit title): no HTML, no pictures."""
    parser = MarkdownIt("commonmark", {"html": False}).disable("image")
    if tangle(text) is not None:
        return f"<p>{escape(text[:MAX_CHARS])}</p>"
    return clean(parser.render(text), file_base="", page_base="")


def tangle(text: str) -> str | None:
    """Return why ``text`` is not fit for the Markdown parser, ``None`` when it is."""
    if len(text) > MAX_CHARS:
        return f"it has more than {MAX_CHARS // 1024} kB"
    if re.search(rf"([\[\]()*_`~>!<&$|#+\\-])\1{{{MAX_RUN},}}", text.replace("-", "")):
        return "it repeats one character too often"
    if len(re.findall(r"[\[\]*_`~<$]", text)) > MAX_SPECIAL:
        return "it has too many brackets and marks"
    lines = text.splitlines()
    if len(lines) > MAX_LINES or sum(line.lstrip().startswith(">") for line in lines) > MAX_QUOTES:
        return "it has too many lines"
    if any(len(line) > MAX_LINE_CHARS for line in lines):
        return f"a line has more than {MAX_LINE_CHARS} characters"
    if any(re.match(rf"(\s*[>*+-]\s*){{{MAX_QUOTE_DEPTH},}}\S", line) for line in lines):
        return "its quotes or lists are nested too deep"
    if any(len(line) - len(line.lstrip()) > 400 for line in lines):
        return "it is indented too deep"
    return None


def clean(html: str, *, file_base: str, page_base: str) -> str:
    """Return ``html`` with nothing left that is not on the allow-list."""

    def keep(tag: str, name: str, value: str) -> str | None:
        if name == "id":
            return value if _ID.fullmatch(value) else _footnote(value)
        if name == "class":
            words = [word for word in value.split() if _CLASS_WORD.fullmatch(word)][:6]
            return " ".join(words) or None
        if name == "src":
            return picture_address(value, file_base)
        if name == "href":
            return link_address(value, page_base)
        if tag == "input":
            return value if (name, value) != ("type", "checkbox") or value == "checkbox" else None
        return value

    cleaned = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=keep,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener ugc",
        strip_comments=True,
        clean_content_tags={"script", "style", "iframe", "object", "template", "svg", "noscript"},
    )
    return re.sub(r'<input(?![^>]*type="checkbox")[^>]*>', "", cleaned)


def _footnote(value: str) -> str | None:
    """Keep the ids that the footnote plug-in makes, with our prefix."""
    return ID_PREFIX + value if re.fullmatch(r"fn(ref)?[\d:]{1,12}", value) else None


def picture_address(value: str, file_base: str) -> str | None:
    """Return where a card's picture is served from; ``None`` for what is not ours to show."""
    if file_base and value.startswith(file_base):
        return value
    path = _inside(value)
    return f"{file_base}{quote(path)}" if path and file_base else None


def link_address(value: str, page_base: str) -> str | None:
    """Return a link's target: absolute as it is, relative below the repository's pages."""
    value = re.sub(r"[\x00-\x20\x7f]+", "", value) if ":" in value[:40] else value.strip()
    if value.startswith("#"):
        anchor = value[1:].removeprefix(ID_PREFIX)
        return f"#{ID_PREFIX}{anchor}" if anchor else None
    try:
        parts = urlsplit(value)
    except ValueError:  # http://[
        return None
    if parts.scheme:
        return value if parts.scheme in {"http", "https", "mailto"} else None
    if value.startswith("//"):
        return None
    if value.startswith("/"):
        return value if not value.startswith("/\\") else None
    path = _inside(value)
    return f"{page_base}{quote(path)}" if path and page_base else None


def _inside(value: str) -> str | None:
    """Return a relative address as a path inside the repository, ``None`` when it leads out."""
    try:
        parts = urlsplit(value.strip())
    except ValueError:
        return None
    if parts.scheme or parts.netloc or value.startswith(("/", "\\")):
        return None
    pieces: list[str] = []
    for piece in unquote(parts.path).split("/"):
        if piece == "..":
            if not pieces:
                return None
            pieces.pop()
        elif piece not in {"", "."}:
            pieces.append(piece)
    return "/".join(pieces) or None


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "typographer": False, "maxNesting": 40})
    parser.enable(["table", "strikethrough"])
    parser.use(footnote_plugin)
    parser.use(tasklists_plugin)
    parser.use(dollarmath_plugin, allow_digits=False, double_inline=True, renderer=_formula())
    parser.options["highlight"] = _code
    return parser


def _code(code: str, language: str, _attributes: str) -> str:
    return f'<pre class="{CLASS}"><code>{highlight(code, language)}</code></pre>'


def _formula() -> Callable[[str, dict[str, Any]], str]:
    """Return a renderer of formulas that stops at ``MAX_FORMULAS``."""
    count = 0

    def formula(source: str, options: dict[str, Any]) -> str:
        nonlocal count
        count += 1
        if count > MAX_FORMULAS or len(source) > MAX_MATH_CHARS:
            return f"<code>{escape(source[:MAX_MATH_CHARS])}</code>"
        display = "block" if options.get("display_mode") else "inline"
        try:
            return str(to_mathml(source, display=display))
        except Exception:  # noqa: BLE001 - its parser raises whatever comes; the source is shown
            return f"<code>{escape(source)}</code>"

    return formula


def _number_headings(tokens: Sequence[Token]) -> list[Heading]:
    """Give each heading an id and return the table of contents."""
    toc: list[Heading] = []
    used: set[str] = set()
    for at, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        text = _plain(tokens[at + 1])
        slug = _FORMULA.sub("", text.lower()).strip().replace(" ", "-")[:80] or "section"
        anchor, number = slug, 1
        while anchor in used:
            number += 1
            anchor = f"{slug}-{number}"
        used.add(anchor)
        token.attrSet("id", ID_PREFIX + anchor)
        toc.append(Heading(int(token.tag[1]), text[:120], ID_PREFIX + anchor))
    return toc


def _plain(inline: Token) -> str:
    children = inline.children or []
    return "".join(child.content for child in children if child.type in {"text", "code_inline"})


def _rewrite(tokens: Sequence[Token], *, file_base: str, page_base: str) -> None:
    """Point pictures at the repository; a remote one becomes a link with its description."""
    for token in tokens:
        for child in token.children or []:
            if child.type != "image":
                continue
            source = str(child.attrGet("src") or "")
            address = picture_address(source, file_base)
            if address is not None:
                child.attrSet("src", address)
                child.attrSet("alt", _plain(child))
                continue
            child.type, child.tag = "html_inline", ""
            target = escape(link_address(source, page_base) or "", quote=True)
            shown = escape(_plain(child) or "picture")
            child.content = f'<a href="{target}">{shown}</a>' if target else shown
