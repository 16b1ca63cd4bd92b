"""Forms of the catalog's pages."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from catalog.cards.countries import COUNTRIES
from catalog.cards.gate_form import MAX_ANSWER_CHARS, FieldKind, GateField, GateForm
from catalog.models import ModelRepo


class VisibilityForm(forms.Form):
    """Who sees a model."""

    is_private = forms.TypedChoiceField(
        label=_("Who can see it"),
        choices=[("false", _("Everybody")), ("true", _("Only its owners"))],
        coerce=lambda value: value == "true",
        widget=forms.RadioSelect,
    )


class GateSettingsForm(forms.Form):
    """Who may download a model that everybody sees."""

    gate = forms.ChoiceField(
        label=_("Who can download it"),
        choices=[
            (ModelRepo.Gate.NONE.value, _("Everybody who sees it")),
            (
                ModelRepo.Gate.AUTO.value,
                _("Whoever asks: you get their name, address and answers; they get it at once"),
            ),
            (ModelRepo.Gate.MANUAL.value, _("Whoever you let in: you answer each request")),
        ],
        widget=forms.RadioSelect,
    )


class GateQuestions(forms.Form):
    """The questions of a gated model, as its card asks them.

    It only shows them: what is an answer, ``catalog.services.gate_answers`` decides. Inputs are
    numbered, since a question is no good name for one.
    """

    def __init__(
        self,
        gate: GateForm,
        *,
        given: Mapping[str, Any] | None = None,
        wrong: Mapping[str, str] | None = None,
    ) -> None:
        """Show ``gate``; ``given`` are answers by question, ``wrong`` what is wrong with them."""
        super().__init__(auto_id="gate_%s")
        names = {field.label: f"q{number}" for number, field in enumerate(gate.fields)}
        self.fields = {names[field.label]: _question(field) for field in gate.fields}
        self.initial = {names[key]: value for key, value in (given or {}).items() if key in names}
        if wrong:
            self.errors_by_name = {names[key]: text for key, text in wrong.items() if key in names}
            self._errors = forms.utils.ErrorDict(
                {name: self.error_class([text]) for name, text in self.errors_by_name.items()}
            )


def _question(field: GateField) -> forms.Field:
    label = field.label
    if field.kind is FieldKind.CHECKBOX:
        return forms.BooleanField(label=label)
    if field.kind is FieldKind.DATE:
        widget = forms.DateInput({"type": "date"})
        return forms.CharField(label=label, widget=widget)
    if field.kind is FieldKind.TEXT:
        return forms.CharField(label=label, max_length=MAX_ANSWER_CHARS)
    options = (
        [(name, name) for name in sorted(COUNTRIES.values())]
        if field.kind is FieldKind.COUNTRY
        else list(field.options)
    )
    return forms.ChoiceField(label=label, choices=[("", _("Choose")), *options])


def sent_answers(gate: GateForm, sent: Mapping[str, str]) -> dict[str, str]:
    """Return what was sent by question: pages number their inputs, programs name them."""
    return {
        field.label: str(sent.get(field.label, sent.get(f"q{number}", "")))
        for number, field in enumerate(gate.fields)
    }


class MemberNameForm(forms.Form):
    """Somebody to let in."""

    user = forms.CharField(
        label=_("User name"),
        max_length=42,
        widget=forms.TextInput({"autocapitalize": "none", "spellcheck": "false"}),
    )


class MoveForm(forms.Form):
    """A new id."""

    namespace = forms.CharField(label=_("Owner"), max_length=42)
    name = forms.CharField(label=_("Name"), max_length=96)


class ConfirmedForm(forms.Form):
    """The full name, typed, before something is lost for good."""

    confirmation = forms.CharField(label=_("Type the full name of the model"), max_length=140)


class DiscussionForm(forms.Form):
    """What a discussion or a draft starts as."""

    title = forms.CharField(label=_("Title"), min_length=3, max_length=300)
    text = forms.CharField(
        label=_("What is it about?"),
        required=False,
        max_length=64 * 1024,
        help_text=_("Markdown works; @name speaks to somebody."),
        widget=forms.Textarea(attrs={"rows": 10}),
    )
    kind = forms.ChoiceField(
        label=_("Kind"),
        required=False,
        choices=[
            ("discussion", _("A discussion")),
            ("pull_request", _("A draft of a pull request, which commits are added to later")),
        ],
        widget=forms.RadioSelect,
        initial="discussion",
    )


class NewModelForm(forms.Form):
    """What a new model starts as."""

    namespace = forms.ChoiceField(label=_("Owner"))
    name = forms.CharField(
        label=_("Name"),
        max_length=96,
        help_text=_("Letters, digits, '-', '_' and '.', as in tiny-gpt2-novels."),
    )
    license = forms.ChoiceField(label=_("License"), required=False)
    is_private = forms.BooleanField(
        label=_("Only I and my team can see it for now"), required=False, initial=True
    )

    def __init__(
        self, *args: object, namespaces: list[str], licenses: list[tuple[str, str]]
    ) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.fields["namespace"].choices = [(name, name) for name in namespaces]  # type: ignore[attr-defined]
        self.fields["license"].choices = [("", _("Choose later")), *licenses]  # type: ignore[attr-defined]


class BranchForm(forms.Form):
    """A new branch."""

    name = forms.CharField(
        label=_("Name"), max_length=200, help_text=_("As in experiment or release/2.")
    )
    start = forms.CharField(
        label=_("Starts at"),
        max_length=255,
        initial="main",
        help_text=_("A branch, a tag or a commit."),
    )


class TagForm(forms.Form):
    """A new tag."""

    tag = forms.CharField(label=_("Name"), max_length=200, help_text=_("As in v1.0."))
    revision = forms.CharField(
        label=_("Marks"),
        max_length=255,
        initial="main",
        help_text=_("A branch, a tag or a commit."),
    )
    message = forms.CharField(label=_("What is in it"), max_length=1000, required=False)


class LargeFilesForm(ConfirmedForm):
    """Whether history forgets the chosen files, and the full name, typed."""

    rewrite_history = forms.BooleanField(
        label=_("Take them out of every version, too"),
        help_text=_(
            "All commits get new ids. Otherwise they go on naming files that cannot be downloaded."
        ),
        required=False,
        initial=True,
    )


class SquashForm(ConfirmedForm):
    """Which history to give up, and the full name, typed."""

    branch = forms.CharField(label=_("Branch"), max_length=200, initial="main")
    message = forms.CharField(label=_("Message of the one commit"), max_length=500)
