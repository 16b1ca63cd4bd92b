"""docs/selling.md says what the code does."""

import re
from itertools import groupby
from pathlib import Path

from licensing.services.lineage import MAX_ANCESTORS, MAX_DEPTH
from licensing.terms.catalogue import shipped_terms
from licensing.terms.sale_rules import SALE_RULES, Sale
from licensing.terms.shares import MOST_BASIS_POINTS
from licensing.terms.text import MAX_BYTES, PLACEHOLDERS

TEXT = (Path(__file__).resolve().parents[3] / "docs/selling.md").read_text()
WORDS = {
    Sale.ALLOWED: "yes",
    Sale.CONDITIONAL: "with conditions",
    Sale.UNKNOWN: "you confirm",
    Sale.FORBIDDEN: "no",
}


def rows() -> list[str]:
    """One row for each way to be judged, in the order of the rules."""
    order = list(Sale)
    rules = sorted(
        SALE_RULES.values(), key=lambda rule: (order.index(rule.sale), str(rule.sentence))
    )
    found = []
    for (sale, sentence), group in groupby(rules, key=lambda rule: (rule.sale, str(rule.sentence))):
        ids = " ".join(f"`{rule.license_id}`" for rule in group)
        found.append(f"| {WORDS[sale]} | {sentence} | {ids} |")
    return found


def test_the_table_of_licenses_is_that_of_the_code() -> None:
    told = [
        line for line in TEXT.splitlines() if re.match(r"\| (yes|with|you|no)\b.* \| .*`", line)
    ]

    assert told == rows(), "write:\n" + "\n".join(rows())


def test_the_table_of_terms_is_that_of_the_code() -> None:
    wanted = [
        f"| `{one.id}` | {one.title} | {one.rights.commercial_use} | {one.rights.derivatives}"
        f" | {one.rights.redistribution} | {one.rights.hosted_service} |"
        for one in shipped_terms().values()
    ]
    told = [line for line in TEXT.splitlines() if re.match(r"\| `[^`]+` \|(?: [^|]+ \|){5}$", line)]

    assert told == wanted, "write:\n" + "\n".join(wanted)


def test_numbers_and_names_are_those_of_the_code() -> None:
    assert f"{MAX_DEPTH} steps" in TEXT
    assert f"{MAX_ANCESTORS} ancestors" in TEXT
    assert f"{MOST_BASIS_POINTS // 100} %" in TEXT
    assert f"{MAX_BYTES:,} bytes" in TEXT
    assert all(f"`{{{name}}}`" in TEXT for name in PLACEHOLDERS)
