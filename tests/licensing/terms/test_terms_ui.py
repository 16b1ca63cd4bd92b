"""How terms and verdicts are shown."""

import re
from pathlib import Path

import pytest
from django.template import Context, Template

from licensing.terms.lineage import AncestorLicense, judge
from licensing.terms.rights import Allowed, Rights

FOLDER = Path(__file__).resolve().parents[3] / "templates/licensing"
CHECKBOX = '<input type="checkbox" name="confirmed" value="1"'


def render(call: str, **values) -> str:
    """Render one tag, whitespace folded."""
    text = Template("{% load terms_ui %}{% " + call + " %}").render(Context(values))
    return re.sub(r"\s+", " ", text).strip()


def shown(*ancestors: AncestorLicense, options: str = "", is_complete: bool = True) -> str:
    """Render a verdict."""
    verdict = judge(ancestors, is_complete=is_complete)
    return render(f"lineage_verdict verdict {options}", verdict=verdict)


def test_four_rights_in_icons_and_words() -> None:
    html = render(
        "rights_badges rights",
        rights=Rights(Allowed.YES, Allowed.NO, Allowed.CONDITIONAL, Allowed.UNKNOWN),
    )

    assert re.findall(r"rights__item--(\w+)", html) == ["yes", "no", "conditional", "unknown"]
    assert re.findall(r"icons\.\w*\.?svg#([\w-]+)", html) == ["check", "cross", "warn", "info"]
    assert "Commercial use: <b>yes</b>" in html
    assert "Offer it as a service: <b>not known</b>" in html
    assert 'title="You may not change it."' in html
    assert "<p" not in html


def test_duties_stand_below_the_rights() -> None:
    both = render("rights_badges rights", rights=Rights(credit=True, share_alike=True))
    one = render("rights_badges rights", rights=Rights(share_alike=True))

    assert "You must name the author. What you derive" in both
    assert "You must name" not in one
    assert "same license" in one


@pytest.mark.parametrize(
    ("license_id", "tone", "title"),
    [
        ("mit", "good", "This model may be sold"),
        ("gemma", "info", "This model may be sold, with conditions"),
        ("other", "caution", "Nobody here knows whether this model may be sold"),
        ("opt", "bad", "This model may not be sold"),
    ],
)
def test_the_verdict_stands_on_top(license_id, tone, title) -> None:
    html = shown(AncestorLicense("a/base", (license_id,)))

    assert f"alert--{tone}" in html
    assert title in html
    assert "a/base" in html


def test_only_what_is_unknown_can_be_confirmed_and_only_in_a_form() -> None:
    unknown, forbidden = AncestorLicense("a/b", ()), AncestorLicense("a/b", ("opt",))

    assert CHECKBOX not in shown(unknown)
    assert CHECKBOX + ">" in shown(unknown, options="is_form=True")
    assert CHECKBOX + " checked>" in shown(unknown, options="is_form=True is_confirmed=True")
    for other in (forbidden, AncestorLicense("a/b", ("mit",)), AncestorLicense("a/b", ("gemma",))):
        assert CHECKBOX not in shown(other, options="is_form=True")


def test_reasons_name_their_source_and_harmless_ones_are_folded() -> None:
    html = shown(AncestorLicense("a/b", ("gemma",)), AncestorLicense("c/d", ("mit",)))

    before, after = html.split("<details")
    assert '<a href="https://ai.google.dev/gemma/terms" rel="noreferrer">' in before
    assert "c/d" not in before
    assert "1 license that lets it be sold" in after
    assert "Say what you changed." in after


def test_what_is_forbidden_lists_no_duties() -> None:
    html = shown(AncestorLicense("a/b", ("opt",)), AncestorLicense("c/d", ("gpl-3.0",)))

    assert "Offer it free of charge" in html
    assert "What you must do" not in html


def test_nothing_upstream_is_said_too() -> None:
    assert "names no base model" in shown()


def test_clashes_and_ends_of_the_walk_are_told() -> None:
    clash = shown(AncestorLicense("a/b", ("gpl-3.0", "gemma")))
    cut = shown(AncestorLicense("a/b", ("mit",)), is_complete=False)

    assert "cannot be done together" in clash
    assert "longer than the store follows" in cut
    assert "cannot be done together" not in cut


def test_names_of_strangers_stay_text() -> None:
    html = shown(AncestorLicense("<script>x", ("<b>weird</b>",)))

    assert "<script>" not in html
    assert "&lt;script&gt;x" in html
    assert "<b>weird" not in html


def test_each_fragment_lists_its_variables_first() -> None:
    for path in FOLDER.glob("_*.html"):
        assert path.read_text().startswith(("{# Variables: ", "{# No variables."))
