"""The form of a trusted publisher. It checks shapes; rules are the service's."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms import check_plain, name_input
from accounts.services.identities import issuers
from accounts.services.publishers import Trust


def _line(label: Any, most: int, help_text: Any, *, is_needed: bool = False) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=most,
        required=is_needed,
        help_text=help_text,
        validators=[check_plain],
        widget=name_input(autocomplete="off"),
    )


class PublisherForm(forms.Form):
    """A project whose CI jobs are trusted."""

    issuer = forms.ChoiceField(label=_("Service"))
    project = _line(_("Project"), 255, _("As in owner/name."), is_needed=True)
    workflow = _line(
        _("Workflow file"),
        100,
        _("GitHub: only this file of .github/workflows, as in publish.yml. Empty: any."),
    )
    environment = _line(_("Environment"), 255, _("Only jobs in this environment. Empty: any."))
    branch = _line(_("Branch"), 255, _("Only jobs of this branch. Empty: any, and tags."))

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        choices = [(each.url, each.label) for each in issuers()]
        self.fields["issuer"].choices = choices  # type: ignore[attr-defined]

    def trust(self) -> Trust:
        """Return what was typed."""
        return Trust(**self.cleaned_data)
