"""Coloured code, by CSS classes."""

from html import escape
from typing import Any

from pygments import highlight as colour
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.util import ClassNotFound

MAX_CHARS = 100_000
"""Longer code is shown plain: lexers are regular expressions."""
CLASS = "code"

_LEXERS = {
    "bash", "c", "c++", "console", "cpp", "css", "diff", "go", "html", "ini", "java",
    "javascript", "js", "json", "jsonl", "markdown", "md", "python", "py", "pycon", "rust", "sh",
    "shell", "sql", "text", "toml", "ts", "typescript", "xml", "yaml", "yml", "jinja",
}  # fmt: skip
"""Lexers strangers may ask for; a few well-trodden ones."""


def highlight(code: str, language: str) -> str:
    """Return ``code`` as HTML spans; plain when the language is unknown or the code too long."""
    if language.lower() not in _LEXERS or len(code) > MAX_CHARS:
        return escape(code)
    try:
        lexer = get_lexer_by_name(language.lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:  # pragma: no cover - every listed lexer exists
        return escape(code)
    return colour(code, lexer, HtmlFormatter(nowrap=True, classprefix=""))


def language_of(filename: str) -> str:
    """Return the language a file's name speaks of, ``text`` when it says nothing."""
    if filename.endswith(".jinja"):
        return "jinja"
    try:
        names = set(get_lexer_for_filename(filename).aliases)
    except ClassNotFound:
        return "text"
    return next(iter(sorted(names & _LEXERS)), "text")


def stylesheet() -> str:
    """Return the CSS for ``highlight``, light and dark; committed as a static file."""
    light, dark = (_style(name) for name in ("default", "monokai"))
    dark_rules = "\n".join(f"  {line}" for line in _rules(dark))
    return (
        "/* Made by catalog.cards.highlighting.stylesheet. */\n"
        + "\n".join(_rules(light))
        + f"\n@media (prefers-color-scheme: dark) {{\n{dark_rules}\n}}\n"
    )


def _style(name: str) -> str:
    formatter: Any = HtmlFormatter(style=name, classprefix="")
    return str(formatter.get_style_defs(f".{CLASS}"))


def _rules(css: str) -> list[str]:
    """Keep the token colours; backgrounds and line numbers are the page's own affair."""
    return [
        line
        for line in css.splitlines()
        if line.startswith(f".{CLASS} .") and "background" not in line and ".hll" not in line
    ]
