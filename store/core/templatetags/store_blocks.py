"""Components with content between their tags: ``{% alert "bad" %} … {% endalert %}``."""

from typing import Literal

from django import template
from django.template.loader import render_to_string

from store.core.templatetags.store_marks import Tone

register = template.Library()

_ALERT_SYMBOLS = {"good": "check", "caution": "warn", "bad": "warn", "info": "info"}


@register.simple_block_tag
def alert(content: str, tone: Tone = "info", title: str = "") -> str:
    """Say something that matters now; ``bad`` is announced at once."""
    parts = {"tone": tone, "title": title, "symbol": _ALERT_SYMBOLS[tone], "content": content}
    return render_to_string("components/alert.html", parts)


@register.simple_block_tag
def tabs(content: str, label: str) -> str:
    """Hold ``{% tab %}``s; ``label`` names the group. Each tab is a page of its own."""
    return render_to_string("components/tabs.html", {"label": label, "content": content})


@register.inclusion_tag("components/tab.html")
def tab(
    text: str, href: str, *, is_current: bool = False, count: int | None = None
) -> dict[str, object]:
    """Show one tab, with a count if there is something to count."""
    return {"text": text, "href": href, "is_current": is_current, "count": count}


@register.simple_block_tag
def menu(
    content: str, label: str, symbol: str = "", text: str = "", *, is_at_start: bool = False
) -> str:
    """Hold links and form buttons that open below a button; opens without a script.

    Args:
        content: ``<a>`` and ``<form><button>`` elements.
        label: What the menu is, for screen readers; shown unless ``symbol`` or ``text`` is given.
        symbol: Icon to show.
        text: Words to show, as the current choice.
        is_at_start: It opens towards the end of the line, not towards its start.
    """
    parts = {
        "label": label,
        "symbol": symbol,
        "text": text,
        "is_at_start": is_at_start,
        "content": content,
    }
    return render_to_string("components/menu.html", parts)


@register.simple_block_tag
def dialog(content: str, ident: str, title: str) -> str:
    """Hold content above the page; ``{% button … opens=ident %}`` opens it without a script."""
    parts = {"ident": ident, "title": title, "content": content}
    return render_to_string("components/dialog.html", parts)


@register.simple_block_tag
def steps(content: str, label: str) -> str:
    """Hold ``{% step %}``s of a procedure; ``label`` names it."""
    return render_to_string("components/steps.html", {"label": label, "content": content})


@register.simple_block_tag
def step(content: str, title: str, state: Literal["todo", "now", "done", "bad"] = "todo") -> str:
    """Show one step: its state as symbol and word, its title, what is to be done."""
    parts = {"title": title, "state": state, "content": content}
    return render_to_string("components/step.html", parts)


@register.simple_block_tag
def table(content: str, caption: str, *, is_caption_shown: bool = False) -> str:
    """Hold ``<thead>`` and ``<tbody>`` in a frame that scrolls sideways on a phone."""
    parts = {"caption": caption, "is_caption_shown": is_caption_shown, "content": content}
    return render_to_string("components/table.html", parts)
