"""Forms of the catalog's pages."""

from django import forms
from django.utils.translation import gettext_lazy as _


class VisibilityForm(forms.Form):
    """Who sees a model."""

    is_private = forms.TypedChoiceField(
        label=_("Who can see it"),
        choices=[("false", _("Everybody")), ("true", _("Only its owners"))],
        coerce=lambda value: value == "true",
        widget=forms.RadioSelect,
    )


class MoveForm(forms.Form):
    """A new id."""

    namespace = forms.CharField(label=_("Owner"), max_length=42)
    name = forms.CharField(label=_("Name"), max_length=96)


class DeleteForm(forms.Form):
    """The full name, typed."""

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
