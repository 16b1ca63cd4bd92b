"""Checking a card before it is committed, in the words hub clients test for."""

from dataclasses import dataclass

from catalog.cards.front_matter import FrontMatterError, read_card
from catalog.cards.licenses import LICENSES
from catalog.cards.metadata import read_metadata

EMPTY = "empty or missing yaml metadata in repo card"


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """What is wrong with a card."""

    errors: tuple[str, ...] = ()
    """The hub would refuse the card."""
    warnings: tuple[str, ...] = ()
    """It is accepted and could be better."""

    def as_text(self) -> str:
        """Return the findings as lines, the form ``RepoCard.validate`` shows."""
        lines = [f"- Error: {message}" for message in self.errors]
        lines += [f"- Warning: {message}" for message in self.warnings]
        return "\n".join(lines)


def validate(content: str, repo_type: str = "model") -> ValidationReport:
    """Check the text of a README.

    Args:
        content: The whole file.
        repo_type: ``model``; other types have fewer rules.
    """
    try:
        card = read_card(content)
    except FrontMatterError as exc:
        return ValidationReport(errors=(f"Invalid YAML front matter. {exc}",))
    if not card.data:
        return ValidationReport(warnings=(EMPTY,))
    errors = []
    given = card.data.get("license")
    ids = given if isinstance(given, list) else [given]
    if given is not None and not all(isinstance(item, str) and item in LICENSES for item in ids):
        allowed = ", ".join(sorted(LICENSES))
        errors.append(f'"license" must be one of [{allowed}]')
    if repo_type == "model" and not isinstance(card.data.get("model-index", []), list):
        errors.append('"model-index" must be an array')
    warnings = [text for text in read_metadata(card.data).warnings if "model-index" not in text]
    return ValidationReport(tuple(errors), tuple(warnings))
