"""A picture for everybody, drawn from the name alone: no upload, no database, no tracking."""

import colorsys
import hashlib

_CELLS = 5
_HALF = 3  # columns that are drawn; the others mirror them
_CELL = 14
_MARGIN = 15
_SIDE = _CELLS * _CELL + 2 * _MARGIN


def identicon(name: str) -> str:
    """Return an SVG of ``name``; spelling in capitals makes no difference."""
    digest = hashlib.sha256(name.casefold().encode()).digest()
    hue = digest[0] / 256
    paper, ink = _colour(hue, 0.9, 0.28), _colour(hue, 0.34, 0.55)
    cells = [
        f'<rect x="{_MARGIN + column * _CELL}" y="{_MARGIN + row * _CELL}"'
        f' width="{_CELL}" height="{_CELL}"/>'
        for row in range(_CELLS)
        for column in range(_CELLS)
        if digest[1 + row * _HALF + min(column, _CELLS - 1 - column)] & 1
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIDE} {_SIDE}"'
        ' shape-rendering="crispEdges">'
        f'<rect width="{_SIDE}" height="{_SIDE}" fill="{paper}"/>'
        f'<g fill="{ink}">{"".join(cells)}</g></svg>'
    )


def _colour(hue: float, lightness: float, saturation: float) -> str:
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
