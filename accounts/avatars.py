"""Pictures made from names: five by five squares, mirrored, in a quiet colour."""

import hashlib

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from accounts.names import MAX_CHARS

_CELLS = 5


@require_safe
def avatar(request: HttpRequest, name: str) -> HttpResponse:
    """Answer the picture of ``name``, whether somebody has it or not: it tells nothing."""
    answer = HttpResponse(draw(name[:MAX_CHARS].lower()), content_type="image/svg+xml")
    answer["Cache-Control"] = "public, max-age=31536000, immutable"
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer


def draw(name: str) -> str:
    """Return the SVG for ``name``."""
    digest = hashlib.sha256(name.encode("utf-8", "replace")).digest()
    hue = digest[0] * 360 // 256
    squares = []
    for row in range(_CELLS):
        for column in range((_CELLS + 1) // 2):
            if digest[1 + row * 3 + column] % 2:
                squares += [f"M{x + 1} {row + 1}h1v1h-1z" for x in {column, _CELLS - 1 - column}]
    side = _CELLS + 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">'
        f'<rect width="{side}" height="{side}" fill="hsl({hue} 30% 88%)"/>'
        f'<path fill="hsl({hue} 45% 40%)" d="{"".join(sorted(squares))}"/></svg>'
    )
