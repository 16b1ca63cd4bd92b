"""The design system: every component, rendered and described."""

import inspect
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.template import Context, Template, TemplateSyntaxError
from django.test import Client

from accounts.templatetags import accounts_ui
from licensing.templatetags import licensing_ui, terms_ui
from scripts import stylesheet
from store.components_page import SPECIMENS, shown_specimens
from store.components_samples import ICONS, sample_listing
from store.core.templatetags import store_ui
from store.core.ui import drawing
from store.core.ui.identicon import identicon

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTED = (ROOT / "docs/components.md").read_text()
FRAME_ONLY = {"theme", "theme_switch", "language_switch"}
"""Parts of base.html alone; no page calls them."""


def render(source: str, **values: Any) -> str:
    """Render template source with the components loaded, whitespace folded."""
    text = Template("{% load store_ui %}" + source).render(Context(values))
    return re.sub(r"[ \n]+", " ", text).strip()


def facet_line(label: str, count: int, *, chosen: bool = False) -> SimpleNamespace:
    """One value of a facet."""
    return SimpleNamespace(label=label, count=count, is_selected=chosen, query_string=label)


@pytest.mark.parametrize("name", sorted({*store_ui.register.tags} - FRAME_ONLY))
def test_each_component_is_shown_and_documented(name: str) -> None:
    shown = "\n".join(specimen.source for specimen in SPECIMENS)

    assert f"{{% {name} " in shown
    assert f"{{% {name} " in DOCUMENTED


@pytest.mark.parametrize("name", sorted(store_ui.register.filters))
def test_each_filter_is_shown_and_documented(name: str) -> None:
    shown = "\n".join(specimen.source for specimen in SPECIMENS)

    assert f"|{name}" in shown
    assert f"\\|{name}" in DOCUMENTED


def test_the_documents_name_no_part_that_is_gone() -> None:
    named = set(re.findall(r"{% (\w+) ", DOCUMENTED)) - {"load"}
    rooms = (store_ui, accounts_ui, licensing_ui, terms_ui)
    known = {name for room in rooms for name in room.register.tags}

    assert {name for name in named if not name.startswith("end")} <= known


def test_every_specimen_renders_on_light_and_on_dark() -> None:
    shown = shown_specimens()

    assert [item.specimen for item in shown] == list(SPECIMENS)
    for item in shown:
        assert [side for side, _html in item.sides] == ["light", "dark"]
        assert all(len(html.strip()) > 20 for _side, html in item.sides), item.specimen.name


def test_the_page_shows_each_call_beside_what_it_makes(client: Client, db: None) -> None:
    page = client.get("/_components")

    assert page.status_code == 200
    body = page.content.decode()
    assert body.count('class="specimen__side"') == 2 * len(SPECIMENS)
    assert "{% badge &quot;text-generation&quot; %}" in body
    ids = re.findall(r'\sid="([^"]+)"', body)
    assert sorted(ids) == sorted(set(ids))


@pytest.mark.parametrize("path", sorted((ROOT / "templates/components").glob("*.html")))
def test_each_component_lists_its_variables_first(path: Path) -> None:
    assert re.match(r"{# Variables: .+ Rendered by \w+\.\w+", path.read_text())


def test_nothing_is_styled_or_scripted_inline() -> None:
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text()
        assert not re.search(r'\sstyle="|<style|\son[a-z]+="', text), path
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path


def test_the_style_sheet_is_joined_anew_after_each_change() -> None:
    assert stylesheet.RESULT.read_text() == stylesheet.build(), "run: make css"


def test_the_style_sheet_is_small() -> None:
    assert len(stylesheet.build().encode()) < stylesheet.MAX_BYTES


def test_a_class_is_styled_in_one_file() -> None:
    found: dict[str, set[Path]] = {}
    for path in stylesheet.component_files():
        for rule in re.findall(r"^(\.[\w-]+) {", path.read_text(), flags=re.MULTILINE):
            found.setdefault(rule, set()).add(path)

    assert {rule: paths for rule, paths in found.items() if len(paths) > 1} == {}


def test_every_rule_is_in_a_layer() -> None:
    text = re.sub(r"/\*.*?\*/", "", stylesheet.build(), flags=re.DOTALL)
    depth, outside = 0, ""
    for char in text:
        depth += char == "{"
        outside += char if depth == 0 else ""
        depth -= char == "}"

    layers = [*stylesheet.FOUNDATIONS, "components", "utilities"]
    assert depth == 0
    order = f"@layer {','.join(layers)};"
    assert "".join(outside.splitlines()) == order + "".join(f"@layer {name}" for name in layers)


def test_the_sprite_has_every_icon_that_pages_use() -> None:
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (ROOT / "static/img/icons.svg").read_text()))
    used = {
        name
        for path in (ROOT / "templates").rglob("*.html")
        for name in re.findall(r'{% icon "([\w-]+)"', path.read_text())
    }

    assert sprite == set(ICONS)
    assert used <= sprite


def test_no_component_asks_the_database(django_assert_num_queries, db: None) -> None:
    with django_assert_num_queries(0):
        shown_specimens()


HOSTILE = "<script>alert('x')</script>\"'&"
TAKES_TEXT = [
    "{% badge text tone symbol text %}",
    "{% chip text text text %}",
    "{% avatar text %}",
    "{% icon 'mark' text %}",
    "{% button text name=text value=text %}",
    "{% link_button text text %}",
    "{% copyable text text %}",
    "{% crumbs text text text %}",
    "{% empty_state text text text text %}",
    "{% progress_bar text 0.5 text %}",
    "{% pager text text text %}",
    "{% file_row text text change=text change_href=text download_href=text size_bytes=1 %}",
    "{% tab text text %}",
    "{% tabs text %}{{ text }}{% endtabs %}",
    "{% menu text 'more' text %}{{ text }}{% endmenu %}",
    "{% dialog text text %}{{ text }}{% enddialog %}",
    "{% steps text %}{% step text %}{{ text }}{% endstep %}{% endsteps %}",
    "{% table text %}{{ text }}{% endtable %}",
    "{% alert 'bad' text %}{{ text }}{% endalert %}",
    "{% sparkline values text %}",
    "{% interval_bar 1 0 2 0 3 text %}",
    "{% model_row listing %}",
    "{% fact_strip listing %}",
    "{% facet_group text lines text %}",
]


@pytest.mark.parametrize("source", TAKES_TEXT)
def test_hostile_text_stays_text(source: str) -> None:
    listing = sample_listing(
        full_name=HOSTILE,
        summary=HOSTILE,
        pipeline_tag=HOSTILE,
        architecture=HOSTILE,
        quantization=HOSTILE,
        head_oid=HOSTILE,
        licenses=[HOSTILE],
    )
    line = facet_line(HOSTILE, 1, chosen=True)

    html = render(
        source,
        text=HOSTILE,
        tone="",
        symbol="",
        values=[1.0],
        listing=listing,
        lines=[line],
    )

    assert "<script" not in html
    assert "alert('x')\"" not in html
    assert re.search(r"=\"[^\"]*<", html) is None


def test_buttons() -> None:
    assert render('{% button "Save" %}') == '<button class="button" type="submit">Save</button>'
    assert render('{% button "Open" opens="x" %}') == (
        '<button class="button" type="button" popovertarget="x">Open</button>'
    )
    assert render('{% button "A" "main" name="n" value="v" is_small=True is_wide=True %}') == (
        '<button class="button button--main button--small button--wide" type="submit" name="n"'
        ' value="v">A</button>'
    )


@pytest.mark.parametrize(
    ("verdict", "tone", "text"),
    [
        ("clean", "good", "Clean"),
        ("unknown", "caution", "Not verified"),
        ("unsafe", "bad", "Unsafe"),
        ("pending", "info", "Being checked"),
        ("error", "bad", "Check failed"),
        ("no such verdict", "info", "Being checked"),
    ],
)
def test_verdicts_say_what_they_mean(verdict: str, tone: str, text: str) -> None:
    html = render("{% verdict_badge verdict %}", verdict=verdict)

    assert f"badge--{tone}" in html
    assert html.endswith(f"{text}</span>")
    assert "<svg" in html


def test_facts_are_marked_by_their_source() -> None:
    html = render("{% fact_strip listing %}", listing=sample_listing())

    assert re.findall(r"<dd>\s*([^<]*?)\s*</dd>", html) == [
        "2.2\u202fM",
        "4.4\u202fMB",
        "256",
        "F16",
        "2,048",
        "GPT2LMHeadModel",
    ]
    assert html.count("dot--measured") == 6
    assert "Measured: Read by the store from the files of commit 1f0c2b9a." in html


def test_unknown_facts_are_dashes_not_guesses() -> None:
    unknown = dict.fromkeys(("parameters", "context_length", "vocabulary"))
    known = sample_listing(dtype="", architecture="", head_oid="", **unknown)
    bare = sample_listing(weights_bytes=0, dtype="", architecture="", head_oid="", **unknown)

    assert render("{% fact_strip listing %}", listing=known).count("<dd> \u2013 </dd>") == 5
    assert "<dl" not in render("{% fact_strip listing %}", listing=bare)


def test_rows_show_what_is_special_only() -> None:
    plain = render("{% model_row listing 2 %}", listing=sample_listing())
    special = render(
        "{% model_row listing %}", listing=sample_listing(is_private=True, verdict="unsafe")
    )

    assert "badge" not in plain
    assert "<h2" in plain
    assert ("Private" in special, "Unsafe" in special) == (True, True)
    assert "<h3" in special


def test_facets_leave_out_what_gives_nothing() -> None:
    lines = [facet_line("mit", 4), facet_line("none", 0), facet_line("kept", 0, chosen=True)]

    html = render('{% facet_group "License" lines "/models" has_bars=True %}', lines=lines)

    assert re.findall(r'href="([^"]+)"', html)[0] == "/models?mit"
    assert ">none<" not in html
    assert html.count('aria-current="true"') == 1
    assert re.findall(r'<rect width="(\d+)"', html) == ["100", "0"]


@pytest.mark.parametrize(
    ("share", "shown"), [("0.42", 'value="0.42"'), ("7", 'value="1.0"'), ("-1", 'value="0.0"')]
)
def test_progress_stays_between_nothing_and_all(share: str, shown: str) -> None:
    assert shown in render(f'{{% progress_bar "Scan" {share} %}}')


def test_progress_without_a_share_waits() -> None:
    assert "value=" not in render('{% progress_bar "Waiting" %}')


def test_sparklines_reach_from_zero_to_the_largest() -> None:
    shape = drawing.spark([0, 5, 10])

    assert shape.points == "2.5,25.5 60.0,14.0 117.5,2.5"
    assert shape.area == "2.5,25.5 60.0,14.0 117.5,2.5 117.5,25.5 2.5,25.5"
    assert (shape.end_x, shape.end_y) == (117.5, 2.5)
    assert drawing.spark([3]).points == "2.5,2.5 117.5,2.5"
    assert drawing.spark([0, 0]).points == "2.5,25.5 117.5,25.5"


@pytest.mark.parametrize("values", [[], [1, -1]])
def test_sparklines_refuse_what_they_cannot_draw(values: list[float]) -> None:
    with pytest.raises(ValueError, match="none of them negative"):
        drawing.spark(values)


def test_sparklines_say_what_they_show() -> None:
    html = render('{% sparkline values "Downloads a day" %}', values=[3, 41, 12])

    assert 'aria-label="Downloads a day: 3 to 41, last 12"' in html
    assert "none yet" in render('{% sparkline values "Downloads a day" %}', values=[])


def test_intervals_lie_on_their_track() -> None:
    shape = drawing.interval(25, 20, 30, span_low=0, span_high=100)
    beyond = drawing.interval(5, -50, 500, span_low=0, span_high=100)
    narrow = drawing.interval(5, 5, 5, span_low=0, span_high=100)

    assert (shape.low, shape.width, shape.value) == (20, 10, 25)
    assert (beyond.low, beyond.width, beyond.value) == (0, 100, 5)
    assert narrow.width == 1


@pytest.mark.parametrize(
    ("value", "low", "high", "span"), [(5, 1, 4, (0, 9)), (5, 6, 7, (0, 9)), (5, 5, 5, (3, 3))]
)
def test_intervals_refuse_nonsense(
    value: float, low: float, high: float, span: tuple[float, float]
) -> None:
    with pytest.raises(ValueError, match="interval"):
        drawing.interval(value, low, high, span_low=span[0], span_high=span[1])


def test_charts_have_their_numbers_in_words() -> None:
    html = render('{% interval_bar 24.1 23.3 24.9 18 40 "bits" %}').replace("\u202f", " ")

    assert 'aria-label="24.1 ± 0.8 bits; the family reaches from 18 bits to 40 bits"' in html
    assert "24.1 ± 0.8 bits</span>" in html


def test_a_bad_alert_is_announced() -> None:
    assert 'role="alert"' in render('{% alert "bad" %}No.{% endalert %}')
    assert 'role="alert"' not in render('{% alert "info" %}Well.{% endalert %}')


def test_menus_open_towards_either_side() -> None:
    assert 'class="menu"' in render('{% menu "More" %}x{% endmenu %}')
    assert 'class="menu menu--start"' in render('{% menu "More" is_at_start=True %}x{% endmenu %}')


def test_a_misspelt_argument_is_refused() -> None:
    with pytest.raises(TemplateSyntaxError):
        render('{% badge "x" colour="red" %}')


def test_pictures_belong_to_names() -> None:
    assert identicon("ada") == identicon("ADA")
    assert len({identicon(name) for name in ("ada", "ben", "acme", "lovelace")}) == 4
    assert inspect.cleandoc(identicon("<x>&")).count("<") == identicon("<x>&").count(">")


def test_pictures_are_mirrored() -> None:
    cells = re.findall(r'<rect x="(\d+)" y="(\d+)"', identicon("ada"))
    places = {(int(x), int(y)) for x, y in cells}

    assert places == {(2 * 15 + 4 * 14 - x, y) for x, y in places}
    assert places
