"""What the frame of every page needs to know about its reader."""

from typing import Any, TypedDict

from django import template
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language, get_language_info
from django.utils.translation import gettext_lazy as _

from store.core.ui.themes import THEMES, chosen_theme

register = template.Library()

_THEME_LABELS = {"system": _("As my system"), "light": _("Light"), "dark": _("Dark")}


@register.simple_tag(takes_context=True)
def theme(context: dict[str, Any]) -> str:
    """Return the theme the reader chose, ``system`` when none."""
    request = context.get("request")
    return chosen_theme(request) if isinstance(request, HttpRequest) else THEMES[0]


class Choice(TypedDict):
    """One thing to choose from."""

    value: str
    label: Any
    is_current: bool


class Choices(TypedDict):
    """A small form that changes how pages look to one reader."""

    choices: list[Choice]
    next: str
    csrf_token: Any


@register.inclusion_tag("components/theme_switch.html", takes_context=True)
def theme_switch(context: dict[str, Any]) -> Choices:
    """Show the choice of light and dark; a form, so it works without a script."""
    current = theme(context)
    return _form(
        context,
        [
            {"value": value, "label": _THEME_LABELS[value], "is_current": value == current}
            for value in THEMES
        ],
    )


@register.inclusion_tag("components/language_switch.html", takes_context=True)
def language_switch(context: dict[str, Any]) -> Choices:
    """Show the languages, each in its own."""
    current = get_language()
    return _form(
        context,
        [
            {
                "value": code,
                "label": get_language_info(code)["name_local"],
                "is_current": code == current,
            }
            for code, _name in settings.LANGUAGES
        ],
    )


def _form(context: dict[str, Any], choices: list[Choice]) -> Choices:
    request = context.get("request")
    here = request.get_full_path() if isinstance(request, HttpRequest) else "/"
    return {"choices": choices, "next": here, "csrf_token": context.get("csrf_token")}
