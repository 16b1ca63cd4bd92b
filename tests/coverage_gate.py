"""Fails when too little of the code is exercised: branches, for money, delivery, and over all."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

OVERALL_PERCENT = 95.0
FLOORS: dict[str, float] = {
    "licensing/delivery/": 100.0,
    "licensing/gateways/": 90.0,
    "licensing/services/": 90.0,
}
"""Least percent of branches of each file: what lets bytes out, and what moves money."""


def main() -> int:
    """Combine the data of all processes, judge, print what is missing."""
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet"], check=False)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "coverage.json"
        subprocess.run([*coverage, "json", "--quiet", "-o", str(out)], check=True)
        report = json.loads(out.read_text())
    subprocess.run([*coverage, "report"], check=True)
    overall = report["totals"]["percent_covered"]
    short = [
        (name, file["summary"]["percent_covered"], floor)
        for name, file in report["files"].items()
        for start, floor in FLOORS.items()
        if name.startswith(start) and file["summary"]["percent_covered"] < floor
    ]
    for name, percent, floor in short:
        print(f"{name}: {percent:.1f} % covered, {floor} % wanted")
    print(f"{overall:.2f} % of branches over all, at least {OVERALL_PERCENT} % wanted")
    return int(bool(short) or overall < OVERALL_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
