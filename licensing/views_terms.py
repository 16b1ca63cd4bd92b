"""Terms as they were offered, by their hash."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from licensing.models import Offer, OrderLine, Terms
from licensing.terms.rights import Rights
from store.core.errors import NotFoundError


class TermsNotFoundError(NotFoundError):
    """No terms have this hash."""

    code = "terms_not_found"


@require_safe
def terms_page(request: HttpRequest, sha256: str) -> HttpResponse:
    """Show the whole text, its hash and what it allows. It is never changed, so it may be kept."""
    found = Terms.objects.filter(sha256=sha256.lower()).first()
    if found is None:
        raise TermsNotFoundError(_("There are no terms with this hash."))
    context = {"terms": found, "rights": _rights(found)}
    return render(request, "licensing/terms.html", context)


def _rights(terms: Terms) -> Rights | None:
    """Return what they allow, as any offer or order with them says: the same text, the same."""
    for rows in (Offer.objects.all(), OrderLine.objects.all()):
        kept = rows.filter(terms=terms).values_list("rights", flat=True).first()
        if kept:
            return Rights.from_json(kept)
    return None
