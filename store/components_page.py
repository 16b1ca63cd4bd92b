"""``/_components``: every component in every state, with its template call."""

from datetime import timedelta
from types import SimpleNamespace

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

ICONS = ("mark", "search", "download", "heart", "heart-full", "file", "folder", "check", "cross")
ICONS += ("warn", "clock", "lock", "copy", "plus", "person", "play", "branch")


class SampleForm(forms.Form):
    """One field of each kind."""

    text = forms.CharField(label="Text", help_text="With a line of help.", max_length=20)
    choice = forms.ChoiceField(label="Choice", choices=[("a", "One"), ("b", "Two")])
    check = forms.BooleanField(label="A check box", required=False)
    long = forms.CharField(label="Long text", widget=forms.Textarea, required=False)


def sample_listing(**changes: object) -> SimpleNamespace:
    """Return something that looks like a listing to the components."""
    values: dict[str, object] = {
        "full_name": "novels/austen-gpt2-small",
        "summary": "A small GPT-2 that writes like Jane Austen.",
        "is_private": False,
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
        "updated_at": timezone.now() - timedelta(days=3),
    }
    return SimpleNamespace(**(values | changes))


@require_safe
def components(request: HttpRequest) -> HttpResponse:
    """Show the design system."""
    bound = SampleForm({"text": "", "choice": "a"})
    bound.is_valid()
    unknown = dict.fromkeys(("parameters", "context_length", "vocabulary"))
    context = {
        "listing": sample_listing(),
        "private": sample_listing(is_private=True, verdict="pending", full_name="ada/secret"),
        "bare": sample_listing(summary="", weights_bytes=0, dtype="", architecture="", **unknown),
        "verdicts": ["clean", "unknown", "unsafe", "pending", "error"],
        "uses": ["yes", "no", "conditional", "unknown"],
        "form": SampleForm(auto_id="fresh_%s"),
        "bound": bound,
        "code": "export HF_ENDPOINT=http://127.0.0.1:8000\nhf download novels/austen-gpt2-small",
        "icons": ICONS,
    }
    return render(request, "components_page.html", context)
