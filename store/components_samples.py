"""What the specimens on ``/_components`` show: a listing, forms, facets."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from django import forms

from store.core.templatetags.store_charts import Point
from store.core.templatetags.store_parts import Fact
from store.core.ui.figures import count_text
from store.core.ui.plotting import Dot, Plot, plot

ICONS = (
    *("mark", "search", "download", "upload", "heart", "heart-full", "file", "folder", "check"),
    *("cross", "warn", "info", "clock", "lock", "key", "copy", "plus", "person", "people", "link"),
    *("play", "branch", "down", "more", "comment", "merge", "bell", "cart", "eye", "list", "up"),
)

_EARNED = list(enumerate([8, 0, 24, 19, 42, 31, 57], start=1))


class SampleForm(forms.Form):
    """One field of each kind."""

    name = forms.CharField(
        label="Name", max_length=20, help_text="Letters, digits, '-', '_' and '.'."
    )
    password = forms.CharField(
        label="Password", widget=forms.PasswordInput({"autocomplete": "off"})
    )
    homepage = forms.CharField(label="Home page", required=False)
    about = forms.CharField(label="About", widget=forms.Textarea({"rows": 3}), required=False)
    owner = forms.ChoiceField(label="Owner", choices=[("ada", "ada"), ("acme", "acme")])
    seen_by = forms.ChoiceField(
        label="Who can see it",
        choices=[("all", "Everybody"), ("team", "Only its owners")],
        widget=forms.RadioSelect,
    )
    is_agreed = forms.BooleanField(label="I may publish these files")

    def clean(self) -> dict[str, Any]:
        """Refuse, to show how that looks."""
        raise forms.ValidationError("The name ada/gpt is taken. Choose another.")


def sample_listing(**changes: object) -> SimpleNamespace:
    """Return something with the attributes of ``store_parts.Facts``."""
    values: dict[str, object] = {
        "full_name": "novels/austen-gpt2-small",
        "summary": "A small GPT-2 that writes like Jane Austen.",
        "is_private": False,
        "head_oid": "1f0c2b9a4d7e",
        "verdict": "clean",
        "pipeline_tag": "text-generation",
        "parameters": 2_200_000,
        "weights_bytes": 4_400_000,
        "context_length": 256,
        "vocabulary": 2048,
        "dtype": "F16",
        "quantization": "",
        "architecture": "GPT2LMHeadModel",
        "licenses": ["mit"],
        "downloads": 12_400,
        "likes": 41,
        "updated_at": datetime(2026, 2, 3, 16, 5, tzinfo=UTC),
    }
    return SimpleNamespace(**(values | changes))


def _lines(*lines: tuple[str, int, bool]) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(label=label, count=count, is_selected=chosen, query_string=f"v={label}")
        for label, count, chosen in lines
    ]


def _measured() -> Plot:
    """Return three models: one that both others beat in one number or both."""
    models = [("ada/small", 14e6, 34.0, True), ("ada/base", 124e6, 47.0, True)]
    models.append(("ben/base", 160e6, 31.0, False))
    dots = [
        Dot(name, x, y, count_text(x), f"{y} %", y - 4, y + 4, "#plot", is_marked=is_best)
        for name, x, y, is_best in models
    ]
    return plot(dots, x_scale="log", x_say=count_text)


def specimen_context(side: str) -> dict[str, Any]:
    """Return what specimens refer to; ``side`` keeps the ids of two renderings apart."""
    wrong = SampleForm({"name": "a name far too long for it"}, auto_id=f"wrong_{side}_%s")
    wrong.is_valid()
    nothing: dict[str, object] = dict.fromkeys(("parameters", "context_length", "vocabulary"))
    nothing |= dict.fromkeys(("summary", "dtype", "architecture", "pipeline_tag"), "")
    return {
        "listing": sample_listing(),
        "private": sample_listing(full_name="ada/secret", is_private=True, verdict="pending"),
        "bare": sample_listing(full_name="ada/bare", weights_bytes=0, licenses=[], **nothing),
        "more_facts": [
            Fact("Memory", "1.3 GB", hint="Peak while generating 128 tokens, 3 Feb 2026."),
            Fact("Speed", "15 tok/s", hint="One core of an EPYC 7B13, fp32, 3 Feb 2026."),
            Fact("Perplexity", "24 ± 1", is_measured=False, hint="As the card says."),
        ],
        "licenses": _lines(
            ("mit", 802, True), ("apache-2.0", 311, False), ("cc-by-4.0", 91, False)
        ),
        "sizes": _lines(("< 1M", 12, False), ("1M to 10M", 140, False), ("≥ 10M", 61, False)),
        "code": "export HF_ENDPOINT=http://127.0.0.1:8000\nhf download novels/austen-gpt2-small",
        "fresh": SampleForm(auto_id=f"fresh_{side}_%s"),
        "wrong": wrong,
        "downloads": [3, 5, 4, 9, 14, 11, 12, 18, 24, 22, 31, 41],
        "measured": _measured(),
        "earned": [Point(f"Nov {day}", value, f"€{value}") for day, value in _EARNED],
        "earned_before": [
            Point(f"Oct {day}", value / 2, f"€{value / 2}") for day, value in _EARNED
        ],
        "balance": [Point(f"Nov {day}", value - 20, f"€{value - 20}") for day, value in _EARNED],
        "nothing": [],
    }
