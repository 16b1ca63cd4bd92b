"""``python -m bench [NAME …] [--write]``: run benches, print their figures, keep them if asked."""

import argparse
import importlib
import pkgutil
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import bench

FIGURES = Path(__file__).resolve().parent.parent / "docs" / "figures.md"
TITLE = "# Figures\n\nMeasured by `make bench`; each section says when and where.\n"

Rows = list[tuple[str, str]]


def names() -> list[str]:
    """Every bench there is: the modules of this package that have ``run``."""
    found = (module.name for module in pkgutil.iter_modules(bench.__path__))
    return [name for name in found if not name.startswith("_")]


def show(name: str, rows: Rows) -> None:
    """Print one bench's figures."""
    width = max((len(figure) for figure, _value in rows), default=0)
    print(f"\n{name}")
    for figure, value in rows:
        print(f"  {figure:<{width}}  {value}")


def write(name: str, rows: Rows, machine: str) -> None:
    """Replace the bench's section of docs/figures.md, or add it."""
    text = FIGURES.read_text() if FIGURES.exists() else TITLE
    begin, end = f"<!-- bench {name} -->", f"<!-- end {name} -->"
    lines = [
        begin,
        f"## {name}",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}: `python -m bench {name}`",
        "",
        "| figure | measured |",
        "|---|---|",
        *(f"| {figure} | {value} |" for figure, value in rows),
        end,
    ]
    section = "\n".join(lines)
    place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if place.search(text):
        text = place.sub(lambda _old: section, text)
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(text)


def machine() -> str:
    """Say in a few words what was measured on."""
    import os

    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    kind = model[1].strip() if model else "unknown processor"
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, {kind}, load {load:.1f} at the start"


def main(arguments: list[str]) -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {FIGURES.name}")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.names) - set(names()):
        parser.error(f"no such bench: {', '.join(sorted(unknown))}. There are {', '.join(names())}")
    wanted = chosen.names or names()
    if len(wanted) > 1:  # each in a process of its own: none finds what another left behind
        flags = ["--write"] if chosen.write else []
        command = [sys.executable, "-m", "bench"]
        return max(subprocess.call([*command, name, *flags]) for name in wanted)
    where = machine()
    rows: Rows = importlib.import_module(f"bench.{wanted[0]}").run()
    show(wanted[0], rows)
    if chosen.write:
        write(wanted[0], rows, where)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
