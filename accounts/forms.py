"""Forms of the account pages."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Role, Scope

_PASSWORD = {"autocomplete": "new-password"}


class SignUpForm(forms.Form):
    """A new person."""

    username = forms.CharField(
        label=_("User name"),
        max_length=42,
        help_text=_("Your models live under it. It cannot be changed."),
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    email = forms.EmailField(
        label=_("E-mail"), widget=forms.EmailInput(attrs={"autocomplete": "email"})
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=256,
        help_text=_("At least 8 characters."),
        widget=forms.PasswordInput(attrs=_PASSWORD),
    )


class LoginForm(forms.Form):
    """Name and password."""

    username = forms.CharField(
        label=_("User name or e-mail"),
        max_length=254,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=256,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class ResetForm(forms.Form):
    """Who forgot their password."""

    name = forms.CharField(label=_("User name or e-mail"), max_length=254)


class NewPasswordForm(forms.Form):
    """A new password."""

    password = forms.CharField(
        label=_("New password"), max_length=256, widget=forms.PasswordInput(attrs=_PASSWORD)
    )


class ProfileForm(forms.Form):
    """What others see."""

    full_name = forms.CharField(label=_("Full name"), max_length=120, required=False)
    bio = forms.CharField(
        label=_("About you"), max_length=2000, required=False, widget=forms.Textarea
    )
    homepage = forms.URLField(label=_("Home page"), required=False, assume_scheme="https")
    email = forms.EmailField(label=_("E-mail"))
    password = forms.CharField(
        label=_("Password"),
        help_text=_("Needed only to change the e-mail address."),
        max_length=256,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class PasswordForm(forms.Form):
    """The old and the new password."""

    old = forms.CharField(
        label=_("Present password"),
        max_length=256,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    new = forms.CharField(
        label=_("New password"), max_length=256, widget=forms.PasswordInput(attrs=_PASSWORD)
    )


class DeleteAccountForm(forms.Form):
    """The name typed in, and the password."""

    confirmation = forms.CharField(label=_("Type your user name"), max_length=42)
    password = forms.CharField(
        label=_("Password"),
        max_length=256,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class TokenForm(forms.Form):
    """A new access token."""

    LIVES = (("", _("Never")), ("30", _("30 days")), ("90", _("90 days")), ("365", _("1 year")))

    name = forms.CharField(
        label=_("Name"), max_length=96, help_text=_("Where you will use it, as in: laptop.")
    )
    scope = forms.ChoiceField(
        label=_("May be used to"),
        choices=[
            (Scope.READ, _("Read: download, private models included")),
            (Scope.WRITE, _("Write: publish and change, too")),
            (Scope.ADMIN, _("Administer: everything you can do")),
        ],
    )
    life_days = forms.ChoiceField(label=_("Expires after"), choices=LIVES, required=False)

    def clean(self) -> dict[str, Any]:
        """Turn the chosen life into a moment."""
        values = super().clean() or {}
        days = values.get("life_days")
        values["expires_at"] = timezone.now() + timedelta(days=int(days)) if days else None
        return values


class OrganizationForm(forms.Form):
    """A new organization."""

    name = forms.CharField(label=_("Name"), max_length=42)
    full_name = forms.CharField(label=_("Full name"), max_length=120, required=False)
    is_private_by_default = forms.BooleanField(label=_("New models start private"), required=False)


class MemberForm(forms.Form):
    """A person and their role."""

    username = forms.CharField(label=_("User name"), max_length=42)
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices)
