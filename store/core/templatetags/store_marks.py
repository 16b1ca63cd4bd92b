"""Small marks: icons, badges, avatars, chips, buttons."""

from typing import Any, Literal, TypedDict

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

register = template.Library()

Tone = Literal["", "good", "caution", "bad", "info"]
ButtonTone = Literal["", "main", "danger", "quiet"]

_VERDICTS: dict[str, tuple[Tone, str, Any, Any]] = {
    "clean": (
        "good",
        "check",
        _("Clean"),
        _("A known format that our own strict reader accepts, or plain text."),
    ),
    "unknown": (
        "caution",
        "warn",
        _("Not verified"),
        _("We cannot tell what is inside. It is served, and never run here."),
    ),
    "unsafe": (
        "bad",
        "cross",
        _("Unsafe"),
        _("It can run code or is malformed. It is not served."),
    ),
    "pending": ("info", "clock", _("Being checked"), _("The scan has not finished yet.")),
    "error": ("bad", "warn", _("Check failed"), _("The scan broke off; treated as unsafe.")),
}
_COMMERCIAL: dict[str, tuple[Tone, str, Any]] = {
    "yes": ("good", "check", _("Commercial use allowed")),
    "no": ("bad", "cross", _("No commercial use")),
    "conditional": ("caution", "warn", _("Commercial use with conditions")),
    "unknown": ("", "", _("Commercial use: ask the author")),
}


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Show an icon of the sprite; without a label it is decoration."""
    place = format_html("{}#{}", static("img/icons.svg"), name)
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}"></use></svg>', label, place
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"></use></svg>', place)


class Badge(TypedDict):
    """A short word with a meaning."""

    tone: Tone
    symbol: str
    text: Any
    hint: Any


@register.inclusion_tag("components/badge.html")
def badge(text: str, tone: Tone = "", symbol: str = "", hint: str = "") -> Badge:
    """Show a short word; the tone colours it, symbol and text carry the meaning."""
    return {"tone": tone, "symbol": symbol, "text": text, "hint": hint}


@register.inclusion_tag("components/badge.html")
def verdict_badge(verdict: str) -> Badge:
    """Show what the store thinks of a file or a listing; anything unknown is "being checked"."""
    tone, symbol, text, hint = _VERDICTS.get(verdict, _VERDICTS["pending"])
    return {"tone": tone, "symbol": symbol, "text": text, "hint": hint}


@register.inclusion_tag("components/badge.html")
def commercial_badge(commercial_use: str) -> Badge:
    """Show whether the license allows commercial use."""
    tone, symbol, text = _COMMERCIAL.get(commercial_use, _COMMERCIAL["unknown"])
    return {"tone": tone, "symbol": symbol, "text": text, "hint": ""}


class Avatar(TypedDict):
    """Somebody's picture."""

    name: str
    side_px: int


@register.inclusion_tag("components/avatar.html")
def avatar(name: str, side_px: Literal[24, 32, 72] = 32) -> Avatar:
    """Show the picture drawn from a name. Decoration: the name itself stands beside it."""
    return {"name": name, "side_px": side_px}


class Chip(TypedDict):
    """A condition that a click takes away."""

    label: Any
    text: str
    href: str


@register.inclusion_tag("components/chip.html")
def chip(text: str, href: str, label: str = "") -> Chip:
    """Show an active filter; ``href`` is the address without it."""
    return {"label": label, "text": text, "href": href}


class Button(TypedDict):
    """A button of a form, or one that opens a dialog."""

    text: str
    tone: ButtonTone
    symbol: str
    name: str
    value: str
    opens: str
    is_small: bool
    is_wide: bool


@register.inclusion_tag("components/button.html")
def button(
    text: str,
    tone: ButtonTone = "",
    symbol: str = "",
    *,
    name: str = "",
    value: str = "",
    opens: str = "",
    is_small: bool = False,
    is_wide: bool = False,
) -> Button:
    """Show a button that sends its form, or opens the dialog whose id is ``opens``."""
    return {
        "text": text,
        "tone": tone,
        "symbol": symbol,
        "name": name,
        "value": value,
        "opens": opens,
        "is_small": is_small,
        "is_wide": is_wide,
    }


class LinkButton(TypedDict):
    """A link that looks like a button."""

    text: str
    href: str
    tone: ButtonTone
    symbol: str
    is_small: bool
    is_wide: bool
    is_download: bool


@register.inclusion_tag("components/link_button.html")
def link_button(
    text: str,
    href: str,
    tone: ButtonTone = "",
    symbol: str = "",
    *,
    is_small: bool = False,
    is_wide: bool = False,
    is_download: bool = False,
) -> LinkButton:
    """Show a link as a button: for steps that change nothing, and for downloads."""
    return {
        "text": text,
        "href": href,
        "tone": tone,
        "symbol": symbol,
        "is_small": is_small,
        "is_wide": is_wide,
        "is_download": is_download,
    }
