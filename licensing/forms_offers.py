"""The forms that price a model: the offer, its prices, early access, what upstream asks."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from django import forms
from django.forms.formsets import BaseFormSet
from django.http import QueryDict
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _

from catalog.models import Grant, ModelRepo
from licensing.models import Offer, Price, SeatKind
from licensing.services.offer_checks import (
    MAX_PRICES,
    MAX_SEATS,
    MAX_TERM_DAYS,
    MAX_TRIAL_TOKENS,
    NewPrice,
    OfferDraft,
)
from licensing.terms.catalogue import OWN, shipped_terms
from licensing.terms.rights import FLAGS, QUESTIONS, Allowed, Rights
from licensing.terms.shares import MOST_BASIS_POINTS
from store.core.errors import StoreError
from store.core.money import Money, check_currency, read_amount

SPARE_ROWS = 1
"""Empty price rows below those that are filled in."""
_AMOUNTS = ("amount", "suggested", "launch")
_PLANS: dict[str, tuple[Offer.Kind, str, Any]] = {
    "fixed": (Offer.Kind.FIXED, "", _("One price")),
    "month": (Offer.Kind.SUBSCRIPTION, Offer.Interval.MONTH.value, _("Subscription, by the month")),
    "year": (Offer.Kind.SUBSCRIPTION, Offer.Interval.YEAR.value, _("Subscription, by the year")),
    "pwyw": (Offer.Kind.PAY_WHAT_YOU_WANT, "", _("Pay what you want")),
    "free": (Offer.Kind.FREE, "", _("Free, for accepting the terms")),
}
_ANSWERS = [
    (Allowed.YES.value, _("yes")),
    (Allowed.CONDITIONAL.value, _("with conditions")),
    (Allowed.NO.value, _("no")),
    (Allowed.UNKNOWN.value, _("the text must tell")),
]


class MomentField(forms.DateTimeField):
    """A moment in UTC, as the browser's own picker writes it."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        super().__init__(widget=widget, **kwargs)


class PriceForm(forms.Form):
    """What one unit costs in one currency; a row without an amount is left out."""

    currency = forms.CharField(
        label=_("Currency"),
        max_length=3,
        required=False,
        initial="",  # a price is not optional, though a spare row is
        widget=forms.TextInput({"placeholder": "EUR", "autocapitalize": "characters", "size": 4}),
    )
    amount = forms.CharField(
        label=_("Price"),
        max_length=20,
        required=False,
        initial="",
        widget=forms.TextInput({"inputmode": "decimal", "placeholder": "19.00"}),
    )
    suggested = forms.CharField(
        label=_("Suggested"),
        max_length=20,
        required=False,
        widget=forms.TextInput({"inputmode": "decimal"}),
        help_text=_("Only with “pay what you want”; the price is then the least you take."),
    )
    launch = forms.CharField(
        label=_("Launch price"),
        max_length=20,
        required=False,
        widget=forms.TextInput({"inputmode": "decimal"}),
        help_text=_(
            "Lower than the price, for a while. Who subscribes meanwhile keeps it for every period."
        ),
    )
    launch_from = MomentField(label=_("From (UTC)"), required=False)
    launch_until = MomentField(label=_("Until (UTC)"), required=False)

    @property
    def is_blank(self) -> bool:
        """Whether the row says nothing; a currency alone is as the page proposed it."""
        return not any(self.cleaned_data.get(name) for name in _AMOUNTS)

    def clean(self) -> dict[str, Any]:
        """Read the amounts in the row's currency."""
        values = super().clean() or {}
        if self.is_blank:
            return values
        try:
            currency = check_currency(values.get("currency") or "")
        except StoreError as error:
            self.add_error("currency", error.message)
            return values
        for name in _AMOUNTS:
            text = values.get(name) or ("" if name != "amount" else "0")
            if text:
                self._read(name, text, currency)
        return values

    def _read(self, name: str, text: str, currency: str) -> None:
        try:
            self.cleaned_data[f"{name}_minor"] = read_amount(text, currency).amount_minor
        except StoreError as error:
            self.add_error(name, error.message)

    def price(self) -> NewPrice:
        """Return what the valid row says."""
        values = self.cleaned_data
        return NewPrice(
            values["currency"].strip().upper(),
            values["amount_minor"],
            suggested_minor=values.get("suggested_minor"),
            launch_minor=values.get("launch_minor"),
            launch_from=values.get("launch_from"),
            launch_until=values.get("launch_until"),
        )


PriceFormSet = forms.formset_factory(
    PriceForm,
    extra=SPARE_ROWS,
    max_num=MAX_PRICES,
    absolute_max=MAX_PRICES,
    validate_max=True,
)


def filled(prices: BaseFormSet[PriceForm]) -> list[tuple[int, NewPrice]]:
    """Return the prices of valid rows that say something, with the number of their row."""
    rows = enumerate(prices.forms)
    return [(number, form.price()) for number, form in rows if not form.is_blank]


class OfferForm(forms.Form):
    """One offer without its prices."""

    title = forms.CharField(
        label=_("Title"),
        max_length=120,
        help_text=_("What buyers choose between, as “Research” or “Commercial”."),
    )
    plan = forms.ChoiceField(
        label=_("How it is paid"),
        choices=[(name, words) for name, (_kind, _interval, words) in _PLANS.items()],
        widget=forms.RadioSelect,
        initial="fixed",
    )
    is_tax_included = forms.BooleanField(
        label=_("The prices have the tax in them"),
        required=False,
        help_text=_("Then every buyer pays the same, and the tax comes out of it."),
    )
    terms_id = forms.ChoiceField(label=_("Terms"))
    own_text = forms.CharField(
        label=_("Your own text"),
        required=False,
        max_length=120_000,
        widget=forms.Textarea({"rows": 8}),
        help_text=_("Only with “My own text”. Plain text; buyers accept it word for word."),
    )
    commercial_use = forms.ChoiceField(label=_("Commercial use"), choices=_ANSWERS)
    derivatives = forms.ChoiceField(label=_("Change it"), choices=_ANSWERS)
    redistribution = forms.ChoiceField(label=_("Hand it on"), choices=_ANSWERS)
    hosted_service = forms.ChoiceField(label=_("Offer it as a service"), choices=_ANSWERS)
    credit = forms.BooleanField(label=_("The author must be named"), required=False)
    share_alike = forms.BooleanField(
        label=_("What is derived must carry the same terms"), required=False
    )
    seats = forms.IntegerField(
        label=_("Seats"),
        min_value=0,
        max_value=MAX_SEATS,
        initial=1,
        help_text=_("In one unit; 0 for any number."),
    )
    seat_kind = forms.ChoiceField(
        label=_("A seat is for"),
        choices=[(SeatKind.MACHINES.value, _("a machine")), (SeatKind.PEOPLE.value, _("a person"))],
    )
    term_days = forms.IntegerField(
        label=_("Days it lasts"),
        required=False,
        min_value=1,
        max_value=MAX_TERM_DAYS,
        help_text=_("Empty: for good."),
    )
    updates = forms.ChoiceField(label=_("Updates"), choices=Grant.Updates.choices)
    trial_tokens = forms.IntegerField(
        label=_("Free trial, in tokens"),
        required=False,
        min_value=0,
        max_value=MAX_TRIAL_TOKENS,
        help_text=_("What each person may generate here before they buy. Empty: none."),
    )
    description = forms.CharField(
        label=_("What it is for"),
        required=False,
        max_length=500,
        widget=forms.Textarea({"rows": 3}),
    )
    models = forms.MultipleChoiceField(
        label=_("Sold together with"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("One price for all of them."),
    )
    confirmed = forms.BooleanField(required=False)

    def __init__(self, *args: Any, others: Sequence[ModelRepo] = (), **kwargs: Any) -> None:
        """Ask; ``others`` are the models a bundle can have beside this one."""
        super().__init__(*args, **kwargs)
        cast("forms.ChoiceField", self.fields["terms_id"]).choices = terms_choices()
        if others:
            choices = [(repo.public_id, repo.name) for repo in others]
            cast("forms.MultipleChoiceField", self.fields["models"]).choices = choices
        else:
            del self.fields["models"]
        for name in QUESTIONS:
            self.fields[name].required = False

    def money_draft(self, prices: Sequence[NewPrice]) -> OfferDraft:
        """Return what a preview needs; the rest of the form may be wrong or empty yet."""
        values = self.cleaned_data
        kind, interval, _words = _PLANS[values.get("plan") or "fixed"]
        return OfferDraft(
            title="",
            kind=kind,
            interval=interval,
            terms_id="",
            prices=() if kind == Offer.Kind.FREE else tuple(prices),
            is_tax_included=values.get("is_tax_included", False),
        )

    def rights(self) -> Rights:
        """Return what the form says that an own text allows."""
        return _rights(self.cleaned_data)

    def draft(self, prices: Sequence[NewPrice]) -> OfferDraft:
        """Return the offer the valid form describes."""
        values = self.cleaned_data
        kind, interval, _words = _PLANS[values["plan"]]
        is_own = values["terms_id"] == OWN
        return OfferDraft(
            title=values["title"],
            kind=kind,
            interval=interval,
            terms_id=values["terms_id"],
            own_text=values["own_text"],
            rights=self.rights() if is_own else None,
            description=values["description"],
            prices=tuple(prices),
            seats=values["seats"],
            seat_kind=SeatKind(values["seat_kind"]),
            term_days=values["term_days"],
            updates=Grant.Updates(values["updates"]),
            trial_tokens=values["trial_tokens"] or 0,
            is_tax_included=values["is_tax_included"],
            lineage_confirmed=values["confirmed"],
        )


def _rights(values: Mapping[str, Any]) -> Rights:
    answers = {name: values.get(name) or Allowed.UNKNOWN.value for name in QUESTIONS}
    return Rights.from_json(answers | {name: bool(values.get(name)) for name in FLAGS})


def terms_choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the terms an offer can be under, in groups, in the language of the page."""
    groups: dict[str, list[tuple[str, str]]] = {}
    words = {
        "template": _("Plain terms of this store"),
        "spdx": _("Well-known licenses"),
        "openrail": _("Responsible-use licenses"),
    }
    for terms in shipped_terms().values():
        groups.setdefault(str(words[terms.kind.value]), []).append((terms.id, str(terms.title)))
    groups[str(_("Yours"))] = [(OWN, str(_("My own text")))]
    return list(groups.items())


def first_values(offer: Offer) -> dict[str, Any]:
    """Return what the form shows of an offer that is there."""
    plan = offer.interval or offer.kind
    terms_id = offer.terms.template_id or OWN
    return {
        "title": offer.title,
        "plan": plan,
        "is_tax_included": offer.is_tax_included,
        "terms_id": terms_id,
        "own_text": offer.terms.text if terms_id == OWN else "",
        "seats": offer.seats,
        "seat_kind": offer.seat_kind,
        "term_days": offer.term_days,
        "updates": offer.updates,
        "trial_tokens": offer.trial_tokens or None,
        "description": offer.description,
        "confirmed": offer.lineage_confirmed_at is not None,
        **offer.rights,
    }


def first_prices(prices: Sequence[Price]) -> list[dict[str, Any]]:
    """Return what the rows show of prices that are there."""
    return [
        {
            "currency": price.currency,
            "amount": _written(price.amount_minor, price.currency),
            "suggested": _written(price.suggested_minor, price.currency),
            "launch": _written(price.launch_minor, price.currency),
            "launch_from": price.launch_from,
            "launch_until": price.launch_until,
        }
        for price in sorted(prices, key=lambda row: row.currency)
    ]


def _written(amount_minor: int | None, currency: str) -> str:
    return "" if amount_minor is None else f"{Money(amount_minor, currency).decimal:f}"


def as_typed(form: type[forms.Form], sent: QueryDict, prefix: str = "") -> dict[str, Any]:
    """Return what somebody typed into a form, to show it again without judging it."""
    names = form.base_fields.items()
    start = f"{prefix}-" if prefix else ""
    return {
        name: field.widget.value_from_datadict(sent, MultiValueDict(), start + name)
        for name, field in names
    }


class OpeningForm(forms.Form):
    """When a model that is sold becomes free for all."""

    opens_at = MomentField(
        label=_("Free for everybody from (UTC)"),
        required=False,
        help_text=_("Empty: it stays for sale."),
    )

    def clean_opens_at(self) -> Any:
        """Return the moment."""
        moment = self.cleaned_data["opens_at"]
        if moment is not None and moment <= timezone.now():
            raise forms.ValidationError(_("Choose a moment in the future."))
        return moment


class AskForm(forms.Form):
    """What an owner asks of each sale of models that are made from theirs."""

    percent = forms.DecimalField(
        label=_("Share of each sale, in percent"),
        min_value=0,
        max_value=MOST_BASIS_POINTS // 100,
        decimal_places=2,
        help_text=_("Of the price without tax and the store's fee. 0: nothing."),
        widget=forms.NumberInput({"inputmode": "decimal"}),
    )

    @property
    def basis_points(self) -> int:
        """The share of the valid form, in basis points."""
        return int(self.cleaned_data["percent"] * 100)
