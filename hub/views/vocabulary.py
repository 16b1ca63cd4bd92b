"""The words filters take (contract 18)."""

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from accounts.viewer import Viewer
from catalog.cards.tasks import TASKS
from catalog.services.vocabulary import words_by_kind
from hub.answers import hub_view
from store.core.errors import InvalidError


@hub_view("GET")
def tags_by_type(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """List the tags in use, by kind; ``type`` asks for one kind."""
    kinds = words_by_kind()
    wanted = request.GET.get("type")
    if wanted and wanted not in kinds:
        raise InvalidError(f"'type' is one of {', '.join(kinds)}.")
    return JsonResponse({wanted: kinds[wanted]} if wanted else kinds)


@hub_view("GET")
def tasks(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """List the tasks a card can name."""
    return JsonResponse(
        {
            name: {"id": name, "label": task.label, "group": task.group}
            for name, task in TASKS.items()
        }
    )
