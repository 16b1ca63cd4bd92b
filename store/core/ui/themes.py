"""Light and dark: what the reader chose, kept in a cookie."""

from typing import Final

from django.http import HttpRequest

THEMES: Final = ("system", "light", "dark")
"""What can be chosen; the first is what holds without a choice."""
COOKIE: Final = "theme"
COOKIE_AGE_S: Final = 365 * 86400


def chosen_theme(request: HttpRequest) -> str:
    """Return the reader's theme; a cookie with anything else counts as none."""
    kept = request.COOKIES.get(COOKIE, "")
    return kept if kept in THEMES else THEMES[0]
