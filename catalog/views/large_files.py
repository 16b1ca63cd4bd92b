"""The large files of all versions of a model: what takes room, and how it is given up."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from accounts.models import User
from accounts.views.guards import personal, viewer_of
from catalog.access import repo_for
from catalog.forms import LargeFilesForm
from catalog.services.repos import NotConfirmedError
from catalog.services.rewriting import delete_stored_files
from catalog.services.stored_files import page_of_files
from catalog.views.listing import frame
from store.core.errors import InvalidError, StoreError
from store.core.paging import BadCursorError

PAGE = 100


@require_http_methods(["GET", "HEAD", "POST"])
@personal
def large_files_page(request: HttpRequest, user: User, ns: str, name: str) -> HttpResponse:
    """Show the large files of every version, in the order they came; delete some for good."""
    viewer = viewer_of(request)
    repo = repo_for(viewer, ns, name, to="write")
    form = LargeFilesForm(request.POST or None)
    chosen, status = request.POST.getlist("file"), 200
    if form.is_valid():
        values = form.cleaned_data
        try:
            if not chosen:
                raise InvalidError(_("Choose the files to delete."))
            if values["confirmation"] != repo.full_name:
                raise NotConfirmedError(
                    _("Type %(name)s to delete files for good. Nothing changed.")
                    % {"name": repo.full_name}
                )
            count = delete_stored_files(
                viewer, repo, chosen, rewrite_history=values["rewrite_history"]
            )
        except StoreError as error:
            form.add_error(None, error.message)
            status = error.status
        else:
            told = ngettext("%(n)d file is deleted.", "%(n)d files are deleted.", count)
            messages.success(request, told % {"n": count})
            return redirect(f"/{repo.full_name}/settings/files")
    elif form.errors:
        status = 400
    try:
        files, following = page_of_files(repo, request.GET.get("cursor"), limit=PAGE)
    except BadCursorError:  # an old link: start at the front
        files, following = page_of_files(repo, None, limit=PAGE)
    context = frame(viewer, repo, tab="settings") | {
        "files": files,
        "chosen": chosen,
        "form": form,
        "next_href": f"?cursor={following}" if following else "",
    }
    return render(request, "catalog/large_files.html", context, status=status)
