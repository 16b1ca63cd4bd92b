"""Form fields with label, help and errors beside them."""

from typing import Any, TypedDict

from django import template
from django.forms import BaseForm, BaseFormSet, BoundField, CheckboxInput, PasswordInput
from django.forms.widgets import CheckboxSelectMultiple, RadioSelect

register = template.Library()


class FieldContext(TypedDict):
    """A form field and how it is laid out."""

    field: BoundField
    kind: str
    help_id: str
    errors_id: str


@register.inclusion_tag("components/field.html")
def field(bound: BoundField) -> FieldContext:
    """Show a form field; Django ties help and errors to it (``aria-describedby``)."""
    widget, ident = bound.field.widget, bound.auto_id or bound.html_name
    kind = "line"
    if isinstance(widget, RadioSelect | CheckboxSelectMultiple):
        kind = "group"
    elif isinstance(widget, CheckboxInput):
        kind = "check"
    elif isinstance(widget, PasswordInput):
        kind = "password"
    return {
        "field": bound,
        "kind": kind,
        "help_id": f"{ident}_helptext",
        "errors_id": f"{ident}_error",
    }


class FormErrors(TypedDict):
    """What is wrong with a form as a whole."""

    errors: list[str]


@register.inclusion_tag("components/form_errors.html")
def form_errors(form: "BaseForm | BaseFormSet[Any]") -> FormErrors:
    """Show what is wrong with a form, or a set of forms, as a whole; nothing when all is well."""
    if isinstance(form, BaseFormSet):
        return {"errors": [str(error) for error in form.non_form_errors()]}
    errors = form.non_field_errors()
    return {"errors": [str(error) for error in errors]}
