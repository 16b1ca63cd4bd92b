"""Joins the style sheets beside the templates into the one file that pages load.

Sources hold plain rules; the layer comes from the place: ``templates/styles/`` has one file for
each foundation layer, every other folder of ``templates/`` one file for each component. The result
is committed, so that running the store needs no build; a test keeps it up to date.

    python -m scripts.stylesheet
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "templates"
RESULT = ROOT / "static/css/store.css"
MAX_BYTES = 40_000
"""Of the result, before compression."""

FOUNDATIONS = ("reset", "tokens", "base", "layout")
COMPONENTS = "components"
LAST = "utilities"
_HEAD = "/* Made by scripts/stylesheet.py from the .css files below templates/. Change those. */\n"


def build() -> str:
    """Return the whole style sheet."""
    order = ", ".join((*FOUNDATIONS, COMPONENTS, LAST))
    parts = [f"@layer {order};\n"]
    parts += [_layer(name, [SOURCES / f"styles/{name}.css"]) for name in FOUNDATIONS]
    parts.append(_layer(COMPONENTS, component_files()))
    parts.append(_layer(LAST, [SOURCES / f"styles/{LAST}.css"]))
    return _HEAD + tight("".join(parts))


_IDLE = re.compile(
    r"""("[^"]*")|/\*.*?\*/|\s*([{};])\s*|([:,])\s+|^\s+""", re.DOTALL | re.MULTILINE
)


def tight(rules: str) -> str:
    """Return rules without comments and without the spaces that mean nothing; a rule a line.

    Spaces within selectors and values stay: they combine, and ``calc`` needs them.
    """
    packed = _IDLE.sub(lambda m: m[1] or m[2] or m[3] or "", rules)
    return packed.replace(";}", "}").replace("}", "}\n")


def component_files() -> list[Path]:
    """Return the files of all components: the shared ones first, then room by room."""
    files = sorted(SOURCES.glob("*/*.css"))
    files = [file for file in files if file.parent.name != "styles"]
    return sorted(files, key=lambda file: (file.parent.name != "components", file))


def _layer(name: str, files: list[Path]) -> str:
    rules = "".join(file.read_text() for file in files)
    return f"@layer {name} {{\n{rules}}}\n"


if __name__ == "__main__":
    RESULT.write_text(build())
    print(f"{RESULT.relative_to(ROOT)}: {len(build().encode()):,} of {MAX_BYTES:,} bytes")
