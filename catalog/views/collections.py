"""Collections: finding, showing, making and ordering them."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import Namespace
from accounts.viewer import Viewer
from accounts.views.guards import viewer_of
from catalog.access import RepoMovedError, repo_for
from catalog.forms_social import CollectForm, CollectionForm, NewCollectionForm, NoteForm
from catalog.models import Collection, ModelRepo
from catalog.services.collection_items import (
    Placed,
    add_item,
    change_item,
    items_of,
    remove_item,
)
from catalog.services.collection_lists import (
    CollectionQuery,
    find_collections,
    writable_collections,
)
from catalog.services.collections import (
    NewCollection,
    change_collection,
    collection_for,
    create_collection,
    delete_collection,
    is_upvoted,
    set_upvote,
)
from store.core.errors import InvalidError, StoreError

PAGE = 24
MOST_OFFERED = 200
"""Collections a person is offered to put a model into."""


@require_safe
def list_page(request: HttpRequest) -> HttpResponse:
    """Show the collections that fit."""
    text, sort = request.GET.get("q", "").strip(), request.GET.get("sort", "trending")
    query = CollectionQuery(text=text, sort=sort)
    cursor = request.GET.get("cursor")
    page = find_collections(viewer_of(request), query, limit=PAGE, cursor=cursor)
    rest = {"q": text, "sort": sort, "cursor": page.next_cursor or ""}
    context = {
        "collections": page.rows,
        "text": text,
        "sort": sort,
        "sorts": [
            ("trending", _("Trending")),
            ("lastModified", _("Last change")),
            ("upvotes", _("Most liked")),
        ],
        "more": f"?{urlencode(rest)}" if page.next_cursor else "",
    }
    return render(request, "catalog/collections.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def new_page(request: HttpRequest) -> HttpResponse:
    """Start a collection."""
    viewer = viewer_of(request)
    if viewer.is_visitor:
        return redirect("/login?next=/collections/new")
    form = NewCollectionForm(
        *([request.POST] if request.method == "POST" else []),
        namespaces=_own_names(viewer),
        initial={"namespace": request.GET.get("owner", "")},
    )
    if form.is_valid():
        try:
            made = create_collection(viewer, NewCollection(**form.cleaned_data))
        except StoreError as error:
            form.add_error("title", error.message)
        else:
            return redirect(made)
    status = 400 if form.errors else 200
    return render(request, "catalog/collection_new.html", {"form": form}, status=status)


@require_safe
def collection_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a collection; any slug it ever had leads here."""
    viewer = viewer_of(request)
    found = collection_for(viewer, slug)
    if slug != found.slug:
        return redirect(found)
    context = _frame(viewer, found) | {"is_upvoted": is_upvoted(viewer, found)}
    return render(request, "catalog/collection.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def edit_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Change what a collection says of itself; order, note and take out its items."""
    viewer = viewer_of(request)
    found = collection_for(viewer, slug, to="write")
    shown = {name: getattr(found, name) for name in ("title", "description", "theme", "is_private")}
    form = CollectionForm(request.POST if request.method == "POST" else None, initial=shown)
    if form.is_valid():
        try:
            found = change_collection(viewer, found, **form.cleaned_data)
        except StoreError as error:
            form.add_error("title", error.message)
        else:
            messages.success(request, _("The collection is saved."))
            return redirect(f"/collections/{found.slug}/edit")
    context = _frame(viewer, found) | {"form": form}
    status = 400 if form.errors else 200
    return render(request, "catalog/collection_edit.html", context, status=status)


@require_POST
def change_items(request: HttpRequest, slug: str) -> HttpResponse:
    """Add an item, move one, note something of it, or take it out: as the pressed button says."""
    viewer = viewer_of(request)
    found = collection_for(viewer, slug, to="write")
    here, item_id = f"/collections/{found.slug}/edit", request.POST.get("item", "")
    step = request.POST.get("step", "")
    try:
        if step == "add":
            add_item(viewer, found, kind="model", name=request.POST.get("name", "").strip(" /"))
            messages.success(request, _("The model is in the collection."))
            return redirect(here)
        if step == "remove":
            remove_item(viewer, found, item_id)
            return redirect(here)
        if step == "note":
            form = NoteForm(request.POST)
            if not form.is_valid():
                raise InvalidError(_("A note has at most 500 characters."))
            change_item(viewer, found, item_id, note=form.cleaned_data["note"])
        else:
            position = _position(request.POST, step)
            change_item(viewer, found, item_id, position=position)
    except StoreError as error:
        messages.error(request, error.message)
        return redirect(here)
    return redirect(f"{here}#item-{item_id}")


@require_POST
def delete(request: HttpRequest, slug: str) -> HttpResponse:
    """Delete a collection."""
    viewer = viewer_of(request)
    found = collection_for(viewer, slug, to="write")
    delete_collection(viewer, found)
    messages.success(request, _("The collection is deleted. The models in it are where they were."))
    return redirect(f"/{found.namespace.name}?tab=collections")


@require_POST
def upvote(request: HttpRequest, slug: str) -> HttpResponse:
    """Find a collection good, or no longer."""
    viewer = viewer_of(request)
    found = collection_for(viewer, slug)
    set_upvote(viewer, found, upvoted=request.POST.get("liked") == "true")
    return redirect(found)


@require_http_methods(["GET", "HEAD", "POST"])
def collect_page(request: HttpRequest, ns: str, name: str) -> HttpResponse:
    """Put a model into a collection; a page of its own, or the inside of a dialog (htmx)."""
    viewer = viewer_of(request)
    try:
        repo = repo_for(viewer, ns, name)
    except RepoMovedError as moved:
        repo = moved.repo
    if viewer.is_visitor:
        return redirect(f"/login?{urlencode({'next': f'/{repo.full_name}/collect'})}")
    mine = list(writable_collections(viewer)[:MOST_OFFERED])
    form = CollectForm(request.POST if request.method == "POST" else None, collections=mine)
    if form.is_valid():
        try:
            into = _collect(viewer, repo, **form.cleaned_data)
        except StoreError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, _("The model is in the collection."))
            return redirect(into)
    is_fragment = bool(getattr(request, "htmx", False))
    template = "catalog/_collect.html" if is_fragment else "catalog/collect.html"
    status = 400 if form.errors else 200
    return render(request, template, {"repo": repo, "form": form, "mine": mine}, status=status)


@transaction.atomic
def _collect(
    viewer: Viewer, repo: ModelRepo, *, collection: str, title: str, note: str
) -> Collection:
    if title:
        into = create_collection(viewer, NewCollection(title))
    else:
        into = collection_for(viewer, collection, to="write")
    add_item(viewer, into, kind="model", name=repo.full_name, note=note)
    return into


def _frame(viewer: Viewer, found: Collection) -> dict[str, Any]:
    placed: list[Placed] = items_of(viewer, found)
    return {
        "collection": found,
        "placed": placed,
        "last": len(placed) - 1,
        "can_write": viewer.can_write(found.namespace_id),
    }


def _position(values: Any, step: str) -> int:
    """Return where an item is to go: one up or down, or to the number that was typed (from 1)."""
    text = values.get("position", "")
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise InvalidError(_("A position is a whole number from 1."))
    at = int(text)
    if step in {"up", "down"}:
        return max(at - 1, 0) if step == "up" else at + 1
    return max(at - 1, 0)


def _own_names(viewer: Viewer) -> list[str]:
    mine = [pk for pk in viewer.roles if viewer.can_write(pk)]
    rows = Namespace.objects.filter(pk__in=mine).order_by("organization", "name")
    return list(rows.values_list("name", flat=True))
