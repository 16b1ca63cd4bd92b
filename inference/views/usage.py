"""What a person used of models, and what is left to them today."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.models import Namespace, Organization, Role, User
from accounts.views.guards import personal, viewer_of
from inference.services import quotas, usage


@require_safe
@personal
def usage_page(request: HttpRequest, user: User) -> HttpResponse:
    """Show the last 30 days, of the person or of an organization they run."""
    viewer = viewer_of(request)
    name = request.GET.get("organization", "")
    found = usage.sums(usage.records_of(viewer, name), usage.span_of(None, None))
    admin_of = [pk for pk, role in viewer.person_roles.items() if role == Role.ADMIN]
    teams = Namespace.objects.filter(pk__in=admin_of, organization__isnull=False).order_by("name")
    context = {
        "section": "usage",
        "organization": name,
        "organizations": [team.name for team in teams],
        "sums": found,
        "requests": sum(each.requests for each in found),
        "new_tokens": sum(each.new_tokens for each in found),
        **_today(user, name),
    }
    return render(request, "inference/usage.html", context)


def _today(user: User, name: str) -> dict[str, Any]:
    payer = f"user:{user.pk}"
    if name:
        payer = f"organization:{Organization.objects.get(name__iexact=name).pk}"
    left = quotas.left_of(payer, now=timezone.now())
    return {"left": left, "quota": quotas.quota_of(payer)}
