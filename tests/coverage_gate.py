"""Fails when too little of the code is exercised: branches, overall, for money and delivery."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

OVERALL_PERCENT = 95.0
WHOLE = (
    "licensing/delivery/",
    "licensing/gateways/base.py",
    "licensing/gateways/registry.py",
    *(
        f"licensing/services/{name}.py"
        for name in (
            *("booking", "checkout", "closing", "coupons", "disputing", "fees", "inbox", "ledger"),
            *("paperwork", "periods", "refunds", "returning", "settling", "taxing", "upstream"),
        )
    ),
)
"""Every branch of what lets bytes out, and of what moves money."""


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
        (name, file["summary"]["percent_covered"])
        for name, file in report["files"].items()
        if name.startswith(WHOLE) and file["summary"]["percent_covered"] < 100
    ]
    for name, percent in short:
        print(f"{name}: {percent:.1f} % covered, 100 % wanted")
    print(f"overall {overall:.2f} %, at least {OVERALL_PERCENT} % wanted")
    return int(bool(short) or overall < OVERALL_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
