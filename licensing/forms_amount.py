"""The form that asks what a buyer gives where they name the price."""

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _

from licensing.models import Offer, Price
from licensing.services.pricing import check_given, proposed
from store.core.errors import StoreError
from store.core.money import Money, read_amount, show

MAX_CHARS = 16
"""Of an amount as typed."""


class AmountForm(forms.Form):
    """What is given for one unit; ``amount`` in ``cleaned_data`` is in minor units."""

    amount = forms.CharField(
        max_length=MAX_CHARS,
        required=False,
        widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
    )

    def __init__(self, sent: Any = None, *, offer: Offer, price: Price, given_minor: int) -> None:
        """Ask for the price of ``offer`` in the currency of ``price``.

        Args:
            sent: What the buyer typed; ``None``: nothing yet.
            offer: Whose price the buyer names.
            price: Its least and its proposal.
            given_minor: What the field holds at first.
        """
        given = Money(given_minor, price.currency)
        super().__init__(sent, initial={"amount": str(given.decimal)})
        self.offer, self.price = offer, price
        least = Money(price.at(timezone.now()), price.currency)
        field = self.fields["amount"]
        field.label = _("Your price in %(code)s") % {"code": price.currency}
        field.help_text = _("0 is fine, too")
        if least.amount_minor:
            field.help_text = _("at least %(least)s") % {"least": show(least, is_brief=True)}

    def clean_amount(self) -> int:
        """Return what was typed if it is enough; an empty field means what is proposed."""
        text, now = self.cleaned_data["amount"].strip(), timezone.now()
        if not text:
            return proposed(self.price, now)
        try:
            given = read_amount(text, self.price.currency).amount_minor
            return check_given(given, self.offer, self.price, now)
        except StoreError as error:
            raise forms.ValidationError(error.message) from error
