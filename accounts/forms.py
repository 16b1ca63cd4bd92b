"""Forms of the account pages. They check shapes; rules are the services'."""

import unicodedata
from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.translation import gettext_lazy as _

from accounts.models import Role, Scope, User
from accounts.services.passwords import reset_password
from accounts.services.people import WeakPasswordError, check_password
from accounts.services.security_keys import MAX_ANSWER_CHARS
from store.core.errors import StoreError
from store.core.money import read_amount
from store.core.ui.figures import days_text

MAX_PASSWORD_CHARS = 256
MAX_LOGIN_CHARS = 254
"""Length of the longest e-mail address."""
TOKEN_LIVES_DAYS = (30, 90, 365)
_days = lazy(days_text, str)

_FIELDS_OF_ERRORS = {
    "invalid_name": "username",
    "name_taken": "username",
    "email_taken": "email",
    "weak_password": "new",
    "wrong_password": "password",
    "wrong_code": "code",
    "wrong_confirmation": "confirmation",
}
"""Which field a refusal belongs to, where the form has it."""
_OTHER_NAMES = {"username": ("name",), "new": ("password",), "password": ("old",)}


def refuse(form: forms.BaseForm, error: StoreError) -> None:
    """Show a service's refusal beside the field it is about, or above the form."""
    wanted = _FIELDS_OF_ERRORS.get(error.code, "")
    names = (wanted, *_OTHER_NAMES.get(wanted, ()))
    form.add_error(next((name for name in names if name in form.fields), None), error.message)


def check_plain(text: str) -> None:
    """Refuse control and direction characters, which make a name look like another.

    Raises:
        ValidationError: there is one.
    """
    if any(unicodedata.category(char) in {"Cc", "Cf", "Co", "Cs"} for char in text):
        raise ValidationError(_("Use visible characters only."))


def _text(label: Any, max_length: int, **more: Any) -> forms.CharField:
    return forms.CharField(label=label, max_length=max_length, **more)


def _password(label: Any, *, is_new: bool = False, **more: Any) -> forms.CharField:
    attributes = {"autocomplete": "new-password" if is_new else "current-password"}
    if is_new:
        more.setdefault("help_text", _("At least 8 characters, and not one that is easy to guess."))
    return forms.CharField(
        label=label,
        max_length=MAX_PASSWORD_CHARS,
        strip=False,
        widget=forms.PasswordInput(attributes),
        **more,
    )


def name_input(**attributes: Any) -> forms.TextInput:
    """Return an input for a name: nothing corrects or capitalizes it."""
    return forms.TextInput({"autocapitalize": "none", "spellcheck": "false", **attributes})


class SignUpForm(forms.Form):
    """A new person."""

    username = _text(
        _("User name"),
        42,
        help_text=_("Your models live under it. It cannot be changed later."),
        widget=name_input(autocomplete="username", autofocus=True),
    )
    email = forms.EmailField(
        label=_("E-mail address"),
        help_text=_("Only for letters about your account. Nobody else sees it."),
        widget=forms.EmailInput({"autocomplete": "email"}),
    )
    password = _password(_("Password"), is_new=True)


class LoginForm(forms.Form):
    """Name and password."""

    username = _text(
        _("User name or e-mail address"),
        MAX_LOGIN_CHARS,
        widget=name_input(autocomplete="username", autofocus=True),
    )
    password = _password(_("Password"))


class CodeForm(forms.Form):
    """A code of an authenticator app, or a recovery code."""

    code = _text(
        _("Code"),
        40,
        help_text=_("Six digits from your authenticator app, or a recovery code."),
        widget=name_input(autocomplete="one-time-code", inputmode="numeric", autofocus=True),
    )


class ConfirmPasswordForm(forms.Form):
    """The password again."""

    password = _password(_("Your password"))


class AuthenticatorForm(forms.Form):
    """The first code of an authenticator app that is being set up."""

    sealed = forms.CharField(max_length=500, widget=forms.HiddenInput)
    code = _text(
        _("Code"),
        20,
        help_text=_("The six digits the app shows now."),
        widget=name_input(autocomplete="one-time-code", inputmode="numeric"),
    )


class KeyForm(forms.Form):
    """A security key; a script puts in what it answers."""

    name = _text(
        _("Name"),
        60,
        help_text=_("To tell your keys apart, as in: blue key."),
        validators=[check_plain],
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    credential = forms.CharField(max_length=MAX_ANSWER_CHARS, widget=forms.HiddenInput)


class ResetForm(forms.Form):
    """Who forgot their password."""

    name = _text(
        _("User name or e-mail address"),
        MAX_LOGIN_CHARS,
        widget=name_input(autocomplete="username", autofocus=True),
    )


class NewPasswordForm(forms.Form):
    """A new password for somebody who followed a mailed link.

    Django's view makes and saves it.
    """

    new = _password(_("New password"), is_new=True)

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, **kwargs)

    def clean_new(self) -> str:
        """Refuse a password that is easy to guess."""
        new: str = self.cleaned_data["new"]
        try:
            check_password(new, self.user)
        except WeakPasswordError as error:
            raise ValidationError(error.message) from error
        return new

    def save(self) -> User:
        """Set the password."""
        reset_password(self.user, new=self.cleaned_data["new"])
        return self.user


class _PublicForm(forms.Form):
    """What others see of a person or an organization."""

    full_name = _text(_("Full name"), 120, required=False, validators=[check_plain])
    bio = _text(_("About"), 2000, required=False, widget=forms.Textarea({"rows": 4}))
    homepage = forms.URLField(
        label=_("Home page"),
        max_length=200,
        required=False,
        assume_scheme="https",
        validators=[URLValidator(schemes=["http", "https"])],
        widget=forms.URLInput({"autocomplete": "url", "placeholder": "https://"}),
    )


class ProfileForm(_PublicForm):
    """What others see of a person."""


class OrganizationProfileForm(_PublicForm):
    """What others see of an organization, and how it works."""

    is_private_by_default = forms.BooleanField(
        label=_("New models are private at first"), required=False
    )


class EmailForm(forms.Form):
    """Another address, and the password."""

    email = forms.EmailField(
        label=_("E-mail address"), widget=forms.EmailInput({"autocomplete": "email"})
    )
    password = _password(_("Your password"))


class PasswordForm(forms.Form):
    """The old and the new password."""

    old = _password(_("Present password"))
    new = _password(_("New password"), is_new=True)


class DeleteAccountForm(forms.Form):
    """The name typed in, and the password."""

    confirmation = _text(_("Your user name"), 42, widget=name_input(autocomplete="off"))
    password = _password(_("Your password"))


class _NamedTokenForm(forms.Form):
    """What every access token has."""

    name = _text(
        _("Name"),
        96,
        help_text=_("Where you will use it, as in: laptop."),
        validators=[check_plain],
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    life_days = forms.TypedChoiceField(
        label=_("It works for"),
        initial="90",
        coerce=int,
        choices=[*((str(days), _days(days)) for days in TOKEN_LIVES_DAYS), ("0", _("ever"))],
    )

    def clean(self) -> dict[str, Any]:
        """Turn the chosen life into a moment."""
        values = super().clean() or {}
        days = values.get("life_days")
        values["expires_at"] = timezone.now() + timedelta(days=days) if days else None
        return values


class FineGrainedForm(_NamedTokenForm):
    """A token that reaches only what it lists; the places are lines of their own on the page."""

    reaches_gated = forms.BooleanField(
        label=_("Download public gated models I have access to"), required=False
    )
    discusses_everywhere = forms.BooleanField(
        label=_("Take part in discussions of every model I can see"), required=False
    )


class TokenForm(_NamedTokenForm):
    """A new access token by scope."""

    scope = forms.ChoiceField(
        label=_("It may"),
        initial=Scope.READ.value,
        choices=[
            (Scope.READ.value, _("Read: download, private models included")),
            (Scope.WRITE.value, _("Write: publish and change models, too")),
            (Scope.BUY.value, _("Buy: order licenses, too, up to a limit")),
            (Scope.ADMIN.value, _("Everything: tokens and organizations, too")),
        ],
        widget=forms.RadioSelect,
    )
    spend_limit = _text(
        _("Spend at most, each month"),
        20,
        required=False,
        help_text=_("For tokens that may buy: an amount such as 50, and no more is ordered."),
        widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
    )
    spend_currency = forms.CharField(
        label=_("Currency"), max_length=3, min_length=3, required=False, initial="EUR"
    )
    field_order = ("name", "scope", "spend_limit", "spend_currency", "life_days")

    def clean(self) -> dict[str, Any]:
        """Turn amount and currency into a limit; a token that may buy needs one."""
        values = super().clean()
        text, currency = values.get("spend_limit", ""), values.get("spend_currency") or "EUR"
        values["limit"] = None
        if text:
            try:
                values["limit"] = read_amount(text, currency)
            except StoreError as error:
                self.add_error("spend_limit", error.message)
        elif values.get("scope") == Scope.BUY:
            self.add_error("spend_limit", _("Say how much it may spend in a month."))
        return values


class DeviceCodeForm(forms.Form):
    """The code a program shows."""

    code = _text(
        _("Code"),
        40,
        help_text=_("Eight letters, as in BCDF-GHJK."),
        widget=name_input(autocomplete="off", autofocus=True),
    )


class ClientForm(forms.Form):
    """A program people sign in to with their account here."""

    name = _text(_("Name"), 60, validators=[check_plain])
    redirect_uris = _text(
        _("Addresses people are sent back to"),
        5000,
        help_text=_("One a line, whole and exact, as in https://example.org/signed-in."),
        widget=forms.Textarea({"rows": 3, "spellcheck": "false"}),
    )


class OrganizationForm(forms.Form):
    """A new organization."""

    name = _text(
        _("Name"),
        42,
        help_text=_("Its models live under it. It cannot be changed later."),
        widget=name_input(autocomplete="off"),
    )
    full_name = _text(_("Full name"), 120, required=False, validators=[check_plain])


class MemberForm(forms.Form):
    """A person and their role."""

    username = _text(_("User name"), 42, widget=name_input(autocomplete="off"))
    role = forms.ChoiceField(
        label=_("Role"), choices=Role.choices, initial=Role.READ.value, required=True
    )


class DeleteOrganizationForm(forms.Form):
    """The name, typed."""

    confirmation = _text(_("Name of the organization"), 42, widget=name_input(autocomplete="off"))
