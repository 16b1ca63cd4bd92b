"""Deeds: what staff may do to a row, on a page of its own that asks for the reason.

Nothing in the shop is edited by hand. Each deed calls one service, which checks, acts and writes
exactly one event into the audit trail; if it refuses, its message is shown and nothing changed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.contrib.admin.options import TO_FIELD_VAR
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from accounts.admin import ReadOnlyAdmin
from accounts.models import User
from accounts.viewer import Viewer
from accounts.views.guards import confirm_path, is_recent, passed_two_factor, to_second_factor
from licensing.services.office import MAX_REASON_CHARS
from store.core.errors import StoreError
from store.core.money import Money, show
from store.core.web import client_address

M = TypeVar("M", bound=Model)
Text = str | Promise


class DeedForm(forms.Form):
    """Every deed has a reason."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_REASON_CHARS,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 60}),
        help_text=_("Kept in the audit trail for good; the person concerned may read it."),
    )


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing staff may do.

    Args:
        name: Last part of its address.
        title: What the button says, a verb first.
        act: Does it: takes who acts, the row (``None`` for a deed without one) and the form's
            values, and returns what to tell. Raises ``StoreError`` if it cannot be.
        form: What it asks for.
        is_open: Whether it makes sense for a row; without it the button is not shown.
        needs_two_factor: It moves money out, so it asks for two factors even on a site whose
            staff need only one.
    """

    name: str
    title: Text
    act: Callable[[Viewer, Any, dict[str, Any]], Text]
    form: type[DeedForm] = DeedForm
    is_open: Callable[[Any], bool] = bool
    needs_two_factor: bool = False


class DeedAdmin(ReadOnlyAdmin[M]):
    """Read-only rows with deeds."""

    deeds: Sequence[Deed] = ()
    """For one row."""
    deeds_at_large: Sequence[Deed] = ()
    """For none."""
    change_form_template = "admin/licensing/row.html"
    change_list_template = "admin/licensing/rows.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(never_cache(self.do))
        names = self._place()
        return [
            path("do/<slug:name>/", view, name=f"{names}_do"),
            path("<path:object_id>/do/<slug:name>/", view, name=f"{names}_do_to"),
            *super().get_urls(),
        ]

    def do(self, request: HttpRequest, name: str, object_id: str | None = None) -> HttpResponse:
        """Ask for the reason, then do it."""
        deed, row = self._chosen(request, name, object_id)
        if deed.needs_two_factor and not passed_two_factor(request, _staff(request)):
            return to_second_factor(request, _staff(request), request.path)
        if not is_recent(request):
            return redirect(confirm_path(request.path))
        posted = (request.POST, request.FILES) if request.method == "POST" else (None, None)
        form = deed.form(*posted)
        if request.method == "POST" and form.is_valid():
            user, address = _staff(request), client_address(request)
            proved = passed_two_factor(request, user)
            viewer = Viewer(user=user, address=address, gave_second_factor=proved)
            try:
                told = deed.act(viewer, row, form.cleaned_data)
            except StoreError as error:
                form.add_error(None, error.message)
            else:
                messages.success(request, str(told))
                return redirect(self._address(request, row))
        context = {
            **self.admin_site.each_context(request),
            "title": deed.title,
            "subtitle": str(row) if row is not None else None,
            "opts": self.opts,
            "form": form,
            "deed": deed,
            "back": self._address(request, row),
        }
        return render(request, "admin/licensing/deed.html", context)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        more = {
            "deeds": [
                (deed.title, reverse(f"admin:{self._place()}_do", args=[deed.name]))
                for deed in self.deeds_at_large
            ]
        }
        return super().changelist_view(request, more | (extra_context or {}))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id, request.GET.get(TO_FIELD_VAR))
        more = {
            "deeds": [
                (deed.title, reverse(f"admin:{self._place()}_do_to", args=[row.pk, deed.name]))
                for deed in self.deeds
                if row is not None and deed.is_open(row)
            ]
        }
        return super().change_view(request, object_id, form_url, more | (extra_context or {}))

    def _chosen(
        self, request: HttpRequest, name: str, object_id: str | None
    ) -> tuple[Deed, M | None]:
        row = self.get_object(request, object_id) if object_id is not None else None
        if object_id is not None and row is None:
            raise Http404
        choices = self.deeds if object_id is not None else self.deeds_at_large
        found = next((deed for deed in choices if deed.name == name), None)
        if found is None:
            raise Http404
        return found, row

    def _place(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}"

    def _address(self, request: HttpRequest, row: M | None) -> str:
        """Return the page of a row that is still there; else of all rows."""
        if row is None or self.get_object(request, str(row.pk)) is None:
            return reverse(f"admin:{self._place()}_changelist")
        return reverse(f"admin:{self._place()}_change", args=[row.pk])


def _staff(request: HttpRequest) -> User:
    """Return who acts; the administration lets nobody else come so far."""
    user: Any = request.user
    found: User = user
    return found


def money(amount_minor: int, currency: str) -> str:
    """Return an amount for people."""
    return show(Money(amount_minor, currency))


def link(row: Model, text: object = None) -> SafeString:
    """Return a link to a row's page here."""
    options = row._meta  # noqa: SLF001 - Django documents it for everybody
    place = reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', place, text or row)


def _cell(value: object) -> object:
    """Return what a cell shows: a time as the rest of the page writes it, nothing for none."""
    if isinstance(value, datetime):
        return date_format(localtime(value), "DATETIME_FORMAT")
    return "" if value is None else value


def table(head: Sequence[Text], rows: Iterable[Sequence[object]]) -> SafeString | str:
    """Return a small table of what belongs to a row; a dash without rows. Times are local."""
    found = list(rows)
    if not found:
        return "-"
    titles = format_html_join("", '<th scope="col">{}</th>', ((title,) for title in head))
    lines = format_html_join(
        "",
        "<tr>{}</tr>",
        ((format_html_join("", "<td>{}</td>", ((_cell(c),) for c in line)),) for line in found),
    )
    return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", titles, lines)
