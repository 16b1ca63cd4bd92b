"""Wide parts of a card can be scrolled by keyboard, and its tables be read aloud."""

import re

_TAG = re.compile(r'<(/?)([a-z][a-z0-9]*)((?:[^">]|"[^"]*")*)>')
"""A whole tag of clean HTML, in which text has no ``<`` and every value stands in double quotes."""
_EMPTY_HEADING = re.compile(r'<th((?:[^">]|"[^"]*")*)></th>')


def reachable(html: str) -> str:
    """Return clean HTML whose wide parts take the keyboard's focus.

    Tables stand in a scrolling ``div`` (a table that scrolls itself is no table to a screen
    reader), code blocks get a place in the tab order, and a heading cell without a word, as
    Markdown needs them, becomes a plain cell.

    Args:
        html: From ``clean``. Tags are found as wholes, so that nothing inside an attribute's
            value is taken for one.
    """
    return _TAG.sub(_reach, _EMPTY_HEADING.sub(r"<td\1></td>", html))


def _reach(match: re.Match[str]) -> str:
    closing, name, rest = match.groups()
    if name == "table":
        return "</table></div>" if closing else f'<div class="wide" tabindex="0"><table{rest}>'
    if name == "pre" and not closing:
        return f'<pre tabindex="0"{rest}>'
    return match[0]
