"""Query parameters as hub clients of several languages write them."""

from django.http import HttpRequest

from store.core.errors import InvalidError

_TRUE = {"true", "1", ""}


def flag(request: HttpRequest, name: str) -> bool:
    """Return a boolean: ``true``, ``1`` and empty are true, absent and the rest false."""
    for key in (name, f"{name}[]"):
        if key in request.GET:
            return request.GET[key].lower() in _TRUE
    return False


def values(request: HttpRequest, name: str) -> list[str]:
    """Return every value of a repeatable parameter, ``k`` and ``k[]`` alike."""
    return request.GET.getlist(name) + request.GET.getlist(f"{name}[]")


def number(request: HttpRequest, name: str, default: int, *, least: int = 0) -> int:
    """Return a whole number.

    Raises:
        InvalidError: it is none, or below ``least``.
    """
    text = request.GET.get(name, "")
    if not text:
        return default
    if not text.isdigit() or len(text) > 9 or int(text) < least:
        raise InvalidError(f"'{name}' is a whole number of at least {least}.")
    return int(text)


def words(request: HttpRequest, name: str) -> list[str]:
    """Return every word of a repeatable parameter; some clients join them by commas."""
    return [word for text in values(request, name) for word in text.split(",") if word]
