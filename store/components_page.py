"""``/_components``: every component in every state, with the call that makes it.

What a page shows here is what its call makes: each specimen is a piece of template source that
is rendered twice, on light and on dark, and printed below.
"""

from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import Context, Engine, Template
from django.views.decorators.http import require_safe

from store.components_samples import ICONS, specimen_context
from store.core.ui.themes import THEMES

SIDES = [theme for theme in THEMES if theme != "system"]


@dataclass(frozen=True, slots=True)
class Specimen:
    """One component in one or several states."""

    name: str
    source: str
    """Template source; ``side`` (light or dark) keeps ids apart."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A specimen as the page shows it."""

    specimen: Specimen
    sides: list[tuple[str, str]] = field(default_factory=list)
    """(theme, HTML)."""


def _icons() -> str:
    calls = "\n".join(
        f'  <span class="badge">{{% icon "{name}" %}} {name}</span>' for name in ICONS
    )
    return f'<p class="row">\n{calls}\n</p>'


SPECIMENS = (
    Specimen(
        "button",
        """<p class="row">
  {% button "Save" %}
  {% button "Publish model" "main" "upload" %}
  {% button "Delete" "danger" %}
  {% button "Cancel" "quiet" %}
  {% button "Small" is_small=True %}
  {% button "Choose" name="choice" value="a" %}
</p>
{% button "Wide" "main" is_wide=True %}""",
    ),
    Specimen(
        "link_button",
        """<p class="row">
  {% link_button "All models" "/models" %}
  {% link_button "Download 269 MB" "#download" "main" "download" is_download=True %}
  {% link_button "Small" "/models" is_small=True %}
</p>
{% link_button "Wide" "/models" "main" is_wide=True %}""",
    ),
    Specimen("icon", _icons()),
    Specimen(
        "badge",
        """<p class="row">
  {% badge "text-generation" %}
  {% badge "Public" "good" "check" %}
  {% badge "Gated" "caution" "lock" "Ask for access first." %}
  {% badge "Revoked" "bad" "cross" %}
  {% badge "Private" "info" "lock" %}
</p>""",
    ),
    Specimen(
        "verdict_badge",
        """<p class="row">
  {% verdict_badge "clean" %} {% verdict_badge "unknown" %} {% verdict_badge "unsafe" %}
  {% verdict_badge "pending" %} {% verdict_badge "error" %}
</p>""",
    ),
    Specimen(
        "commercial_badge",
        """<p class="row">
  {% commercial_badge "yes" %} {% commercial_badge "conditional" %}
  {% commercial_badge "no" %} {% commercial_badge "unknown" %}
</p>""",
    ),
    Specimen("fact_strip", "{% fact_strip listing more=more_facts %}\n{% fact_strip bare %}"),
    Specimen("facts", "{% facts more_facts %}"),
    Specimen(
        "size, amount, exact, measured, percent, rate, money, duration",
        """<p class="factline">
  <span>{{ 269000000|size }}</span> <span>{{ 1234000000|size }}</span> <span>{{ None|size }}</span>
  <span>{{ 135000000|amount }}</span> <span>{{ 12400|amount }}</span>
  <span>{{ 1204|exact }}</span> <span>{{ 15.04|measured:"tok/s" }}</span>
  <span>{{ 0.483|percent }}</span> <span>{{ 1250|rate }}</span>
  <span>{{ 2261|money:"EUR" }}</span> <span>{{ 125|duration }}</span>
</p>""",
    ),
    Specimen(
        "day, moment",
        "<p>{{ listing.updated_at|day }} · {{ listing.updated_at|moment }}</p>",
    ),
    Specimen(
        "model_row",
        """<div class="models">
  {% model_row listing %}
  {% model_row private %}
  {% model_row bare %}
</div>""",
    ),
    Specimen(
        "tabs, tab",
        """{% tabs "This model" %}
  {% tab "Card" "#card" is_current=True %}
  {% tab "Files" "#files" count=12 %}
  {% tab "Versions" "#versions" count=1204 %}
{% endtabs %}""",
    ),
    Specimen(
        "chip",
        """<p class="row">
  {% chip "text-generation" "?" "Task" %}
  {% chip "austen" "?" %}
</p>""",
    ),
    Specimen(
        "facet_group",
        """{% facet_group "License" licenses "/models" %}
{% facet_group "Parameters" sizes "/models" has_bars=True %}""",
    ),
    Specimen(
        "pager",
        """{% pager next_href="?cursor=b" shown="20 of 1,204" %}
{% pager next_href="?cursor=c" previous_href="?cursor=a" %}""",
    ),
    Specimen("copyable", '{% copyable code "Download in a terminal" %}'),
    Specimen("crumbs", '{% crumbs "/ada/gpt/tree/main" "gpt" "runs/second/model.safetensors" %}'),
    Specimen(
        "avatar",
        '<p class="row">{% avatar "ada" 24 %} {% avatar "ben" %} {% avatar "lovelace" 72 %}</p>',
    ),
    Specimen(
        "field",
        """<form class="stack narrow">
  {% for bound in fresh %}{% field bound %}{% endfor %}
</form>""",
    ),
    Specimen(
        "form_errors",
        """<form class="stack narrow">
  {% form_errors wrong %}
  {% for bound in wrong %}{% field bound %}{% endfor %}
</form>""",
    ),
    Specimen(
        "alert",
        """<div class="stack-2">
  {% alert "info" %}The scan takes a minute.{% endalert %}
  {% alert "good" "Saved." %}Everybody sees the new name now.{% endalert %}
  {% alert "caution" %}Your card names no license. <a href="#card">Add one</a>{% endalert %}
  {% alert "bad" "model.bin is not served." %}It imports os.system.{% endalert %}
</div>""",
    ),
    Specimen(
        "empty_state",
        '{% empty_state "No models yet" "Drag a folder onto the page." "/publish" "Publish" %}',
    ),
    Specimen(
        "dialog",
        """{% with ident="delete-"|add:side %}
  {% button "Delete …" "danger" opens=ident %}
  {% dialog ident "Delete this model?" %}
    <p>All files and the history go.</p>
    <p class="row">{% button "Delete model" "danger" %}</p>
  {% enddialog %}
{% endwith %}""",
    ),
    Specimen(
        "progress_bar",
        """<div class="stack">
  {% progress_bar "model.safetensors" 0.42 "113 of 269 MB" %}
  {% progress_bar "Scan" 1 %}
  {% progress_bar "Waiting for a worker" %}
</div>""",
    ),
    Specimen(
        "steps, step",
        """{% steps "Publish a model" %}
  {% step "Files" "done" %}<p>3 files, 269 MB</p>{% endstep %}
  {% step "Checks" "bad" %}<p>config.json, line 3: a comma is missing.</p>{% endstep %}
  {% step "Card" "now" %}<p>Say what it is for.</p>{% endstep %}
  {% step "Publish" %}{% endstep %}
{% endsteps %}""",
    ),
    Specimen(
        "table, file_row",
        """{% table "Files" %}
  <tbody>
    {% file_row "runs" "#runs" change="Add a run" change_href="#c" changed_at=listing.updated_at %}
    {% file_row "model.safetensors" "#m" size_bytes=269000000 verdict="clean" download_href="#d" %}
    {% file_row "old.bin" "#b" size_bytes=4400 verdict="unsafe" %}
  </tbody>
{% endtable %}""",
    ),
    Specimen(
        "sparkline",
        """<p class="row-4">
  {% sparkline downloads "Downloads a day" %}
  {% sparkline nothing "Downloads a day" %}
</p>""",
    ),
    Specimen(
        "interval_bar",
        """<p>{% interval_bar 24.1 23.3 24.9 18 40 "bits" %}</p>
<p>{% interval_bar 0.61 0.52 0.7 0 1 %}</p>""",
    ),
    Specimen(
        "line_chart",
        """<div class="pair">
  {% line_chart earned "Earned a day" earned_before "30 days before" %}
  {% line_chart balance "Balance" %}
  {% line_chart nothing "Earned a day" %}
</div>""",
    ),
    Specimen(
        "plot",
        """{% plot measured "Quality" "Parameters" "right answers" "no other is better in both" %}
{% plot None "Quality" "Parameters" "right answers" %}""",
    ),
    Specimen(
        "menu",
        """{% menu "Revision" "branch" "main" is_at_start=True %}
  <a href="#main" aria-current="true">main</a>
  <a href="#v1">v1.0</a>
  <hr>
  <button type="button">New branch</button>
{% endmenu %}
{% menu "More" "more" is_at_start=True %}<a href="#report">Report</a>{% endmenu %}""",
    ),
)


def shown_specimens() -> list[Shown]:
    """Return every specimen rendered on each side."""
    engine = Engine.get_default()
    shown = []
    for specimen in SPECIMENS:
        template = Template("{% load store_ui %}" + specimen.source, engine=engine)
        sides: list[tuple[str, str]] = [(side, template.render(_context(side))) for side in SIDES]
        shown.append(Shown(specimen, sides))
    return shown


def _context(side: str) -> Context:
    values: dict[str, Any] = specimen_context(side)
    return Context({"side": side, **values})


@require_safe
def components(request: HttpRequest) -> HttpResponse:
    """Show the design system."""
    return render(request, "components_page.html", {"shown": shown_specimens()})
