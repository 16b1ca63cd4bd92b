"""Forms of the webhook pages. They check shapes; rules are the services'."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from catalog.models import Webhook, WebhookWatch
from catalog.services.webhooks.managing import MAX_SECRET_CHARS, MAX_WATCHED, USUAL_DOMAINS

_NAME_CHARS = 140
_KINDS = "|".join(WebhookWatch.Kind.values)
_LINE = re.compile(rf"(?:(?P<kind>{_KINDS}):)?(?P<name>[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)?)")


class WebhookForm(forms.Form):
    """What a webhook is to be."""

    url = forms.CharField(
        label=_("Address"),
        max_length=2000,
        help_text=_("We send a POST request with JSON to it."),
        widget=forms.URLInput({"placeholder": "https://", "autocomplete": "off"}),
    )
    watched = forms.CharField(
        label=_("Watch"),
        max_length=(_NAME_CHARS + 10) * MAX_WATCHED,
        help_text=_(
            "One name on each line: a person, an organization, or a model as in regency/tiny-gpt2."
        ),
        widget=forms.Textarea({"rows": 3, "spellcheck": "false", "autocapitalize": "none"}),
    )
    domains = forms.MultipleChoiceField(
        label=_("Tell it about"),
        choices=Webhook.Domain.choices,
        initial=USUAL_DOMAINS,
        widget=forms.CheckboxSelectMultiple,
    )
    secret = forms.CharField(
        label=_("Secret word"),
        max_length=MAX_SECRET_CHARS,
        required=False,
        strip=False,
        help_text=_(
            "For receivers made for the hub, which compare the header X-Webhook-Secret."
            " Every delivery is signed as well, which is safer."
        ),
        widget=forms.PasswordInput({"autocomplete": "off"}),
    )

    def clean_watched(self) -> list[dict[str, str]]:
        """Turn the lines into what is watched."""
        lines = [line.strip() for line in self.cleaned_data["watched"].splitlines()]
        return [_watch_of(line) for line in lines if line]


class EditWebhookForm(WebhookForm):
    """What to change; an empty secret leaves the one there is."""

    removes_secret = forms.BooleanField(label=_("Remove the secret word"), required=False)

    def __init__(self, data: Any, *, webhook: Webhook) -> None:
        initial = {
            "url": webhook.url,
            "watched": "\n".join(_line_of(watch) for watch in webhook.watches.all()),
            "domains": webhook.domains,
        }
        super().__init__(data, initial=initial)
        if webhook.sealed_secret:
            self.fields["secret"].help_text = _("One is set. Leave this empty to keep it.")
        else:
            del self.fields["removes_secret"]


def _watch_of(line: str) -> dict[str, str]:
    """Return what one line means; ``type:name`` says it outright, as the ``hf`` command does."""
    match = _LINE.fullmatch(line)
    if match is None or len(line) > _NAME_CHARS:
        raise ValidationError(_("This is no name: %(line)s"), params={"line": line[:60]})
    kind, name = match["kind"], match["name"]
    if kind is None and "/" in name:
        kind = WebhookWatch.Kind.MODEL
    elif kind is None:
        is_team = Organization.objects.filter(name__iexact=name).exists()
        kind = WebhookWatch.Kind.ORG if is_team else WebhookWatch.Kind.USER
    return {"type": str(kind), "name": name}


def _line_of(watch: WebhookWatch) -> str:
    """Return the line that means ``watch`` again."""
    people = {WebhookWatch.Kind.USER, WebhookWatch.Kind.ORG}
    is_plain = watch.kind in people if "/" not in watch.name else watch.kind == "model"
    return watch.name if is_plain else str(watch)
