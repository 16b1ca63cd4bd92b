"""Forms of collections and notices."""

from collections.abc import Iterable

from django import forms
from django.utils.translation import gettext_lazy as _

from catalog.models import Collection
from catalog.services.collection_items import MAX_NOTE_CHARS
from catalog.services.collections import MAX_DESCRIPTION_CHARS, MAX_TITLE_CHARS


class CollectionForm(forms.Form):
    """What a collection is."""

    title = forms.CharField(label=_("Title"), max_length=MAX_TITLE_CHARS)
    description = forms.CharField(
        label=_("Description"), max_length=MAX_DESCRIPTION_CHARS, required=False
    )
    theme = forms.ChoiceField(
        label=_("Color"), choices=Collection.Theme.choices, initial=Collection.Theme.BLUE
    )
    is_private = forms.BooleanField(label=_("Only I and my team can see it"), required=False)


class NewCollectionForm(CollectionForm):
    """What a new collection starts as, and whose it is."""

    namespace = forms.ChoiceField(label=_("Owner"))
    field_order = ("namespace",)

    def __init__(self, *args: object, namespaces: Iterable[str], **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self.fields["namespace"].choices = [(name, name) for name in namespaces]  # type: ignore[attr-defined]


class CollectForm(forms.Form):
    """Into which collection a model goes: one that is there, or a new one."""

    collection = forms.ChoiceField(label=_("Collection"), required=False)
    title = forms.CharField(
        label=_("Or a new collection"),
        max_length=MAX_TITLE_CHARS,
        required=False,
        help_text=_("Its title; everybody can see it until you change that."),
    )
    note = forms.CharField(
        label=_("Note"),
        max_length=MAX_NOTE_CHARS,
        required=False,
        help_text=_("Why it is in the collection."),
    )

    def __init__(self, *args: object, collections: Iterable[Collection], **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        choices = [(row.public_id, f"{row.namespace.name} / {row.title}") for row in collections]
        self.fields["collection"].choices = [("", _("Choose one")), *choices]  # type: ignore[attr-defined]
        if not choices:  # nothing to choose from: it can only be a new one
            self.fields["title"].label, self.fields["title"].required = _("New collection"), True

    def clean(self) -> dict[str, str]:
        values: dict[str, str] = super().clean() or {}
        is_told = "title" in self.errors
        if not is_told and bool(values.get("collection")) == bool(values.get("title")):
            raise forms.ValidationError(_("Choose a collection, or write the title of a new one."))
        return values


class NoteForm(forms.Form):
    """What is said of an item."""

    note = forms.CharField(label=_("Note"), max_length=MAX_NOTE_CHARS, required=False)
