"""Forms about one or two models: comparing what they write, and letting them read a text."""

from django import forms
from django.utils.translation import gettext_lazy as _

from inference.forms import ChatForm, PlaygroundForm, problem_of
from inference.services.params import MAX_PROMPT_CHARS, InvalidParamsError
from inference.services.scored_texts import MAX_TEXT_CHARS


def _model_input() -> forms.TextInput:
    return forms.TextInput(
        attrs={"list": "models-to-compare", "spellcheck": "false", "autocapitalize": "none"}
    )


class _TwoModels(forms.Form):
    """The models that are compared."""

    a = forms.CharField(label=_("First model"), max_length=200, widget=_model_input())
    b = forms.CharField(label=_("Second model"), max_length=200, widget=_model_input())


class CompareForm(_TwoModels, PlaygroundForm):
    """The same prompt for two models."""


class CompareChatForm(_TwoModels, ChatForm):
    """The same message for two models that take messages."""


class ScoreForm(forms.Form):
    """A text for one or two models to read."""

    a = forms.CharField(label=_("First model"), max_length=200, widget=_model_input())
    b = forms.CharField(
        label=_("Second model"),
        help_text=_("Empty: the first alone."),
        max_length=200,
        required=False,
        widget=_model_input(),
    )
    prompt = forms.CharField(
        label=_("What stands before it"),
        help_text=_("Read, but not scored: the prompt, where the text is an answer."),
        max_length=MAX_PROMPT_CHARS,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )
    text = forms.CharField(
        label=_("Text"),
        help_text=_("Yours, or what a model wrote."),
        max_length=MAX_TEXT_CHARS,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )

    def clean_prompt(self) -> str:
        """Undo what browsers do to line ends."""
        return str(self.cleaned_data["prompt"]).replace("\r\n", "\n")

    def clean_text(self) -> str:
        """Undo what browsers do to line ends."""
        return str(self.cleaned_data["text"]).replace("\r\n", "\n")

    def names(self) -> list[str]:
        """Return the models of a valid form."""
        given = (self.cleaned_data[side].strip() for side in ("a", "b"))
        return [name for name in given if name]

    def problem(self) -> InvalidParamsError:
        """Return what is wrong with an invalid form, for programs."""
        return problem_of(self)
