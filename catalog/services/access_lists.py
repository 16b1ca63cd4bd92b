"""Reading requests for access: the publisher's list, as a table too, and one's own."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, QuerySet

from accounts.viewer import Viewer
from catalog.access import check_may
from catalog.models import AccessRequest, ModelRepo
from catalog.services.access_requests import check_publisher
from store.core.errors import InvalidError
from store.core.paging import keyset_page
from store.core.spreadsheets import plain_cell

MAX_COLUMNS = 200
"""Questions a table has columns for; cards change, and each question ever asked is one."""
_HEAD = ("user", "full_name", "email", "status", "asked_at", "changed_at", "answered_by", "reason")


@dataclass(frozen=True, slots=True)
class RequestsPage:
    """One page of a list of requests, the newest first."""

    rows: list[AccessRequest]
    next_cursor: str
    """Empty: this is the last page."""


def list_requests(
    viewer: Viewer, repo: ModelRepo, status: str, *, cursor: str | None = None, limit: int = 50
) -> RequestsPage:
    """Return the requests at ``repo`` that have ``status``, with person and history.

    Raises:
        ForbiddenError, NotGatedError: not the viewer's to see; there is no gate. A model that is
            sold has one, as clients see it, where nobody asks.
        InvalidError: no such status.
        BadCursorError: the cursor is not ours.
    """
    rows = _of(viewer, repo, status).prefetch_related("changes")
    found, following = keyset_page(rows, cursor, limit)
    return RequestsPage(found, following or "")


def counts_of(repo: ModelRepo) -> dict[str, int]:
    """Return how many requests have each status that publishers see."""
    rows = AccessRequest.objects.filter(repo=repo).values_list("status").annotate(Count("id"))
    found = dict(rows)
    return {status: found.get(status, 0) for status in AccessRequest.LISTED}


def table_of(viewer: Viewer, repo: ModelRepo, status: str) -> Iterator[list[str]]:
    """Yield the lines of a spreadsheet of requests, its head first.

    No cell can be taken for a formula: what begins like one gets an apostrophe before it.

    Raises:
        ForbiddenError, NotGatedError, InvalidError: as ``list_requests``.
    """
    rows = _of(viewer, repo, status)
    labels: dict[str, None] = {}
    for answers in rows.values_list("answers", flat=True).iterator(chunk_size=500):
        labels |= dict.fromkeys(question for question, _answer in answers)
        if len(labels) > MAX_COLUMNS:
            break
    columns = list(labels)[:MAX_COLUMNS]
    return _lines(rows, columns)


def _lines(rows: QuerySet[AccessRequest], columns: list[str]) -> Iterator[list[str]]:
    yield [plain_cell(text) for text in (*_HEAD, *columns)]
    for row in rows.iterator(chunk_size=500):
        answers = dict(row.answers)
        cells = [
            row.user.username,
            row.user.full_name,
            email_of(row),
            row.status,
            row.asked_at.isoformat(),
            row.changed_at.isoformat(),
            row.decided_by.username if row.decided_by else "",
            row.reason,
            *(_answer_text(answers.get(label)) for label in columns),
        ]
        yield [plain_cell(text) for text in cells]


def email_of(request: AccessRequest) -> str:
    """Return the asker's address; empty for whoever never agreed to show it."""
    return "" if request.is_by_hand else request.user.email


def own_requests(viewer: Viewer) -> QuerySet[AccessRequest]:
    """Return the viewer's own requests at models they may still see, the latest change first."""
    visible = ModelRepo.objects.visible_to(viewer).exclude(gate=ModelRepo.Gate.NONE)
    rows = AccessRequest.objects.filter(user=viewer.signed_in(), repo__in=visible)
    shown = rows.exclude(status=AccessRequest.Status.WITHDRAWN)
    return shown.select_related("repo__namespace").order_by("-changed_at", "-pk")


def own_request(viewer: Viewer, repo: ModelRepo) -> AccessRequest | None:
    """Return the viewer's request at one model, ``None`` while there is none."""
    if viewer.user is None:
        return None
    rows = AccessRequest.objects.filter(user=viewer.user, repo=repo)
    return rows.exclude(status=AccessRequest.Status.WITHDRAWN).first()


def _of(viewer: Viewer, repo: ModelRepo, status: str) -> QuerySet[AccessRequest]:
    is_paid_only = repo.is_sold and repo.gate == ModelRepo.Gate.NONE
    if is_paid_only:
        check_may(viewer, repo, to="write")
    else:
        check_publisher(viewer, repo)
    if status not in AccessRequest.LISTED:
        raise InvalidError(f"'status' is one of {', '.join(AccessRequest.LISTED)}.")
    rows = AccessRequest.objects.filter(repo=repo, status=status)
    if is_paid_only:  # what was asked while there was a gate means nothing now
        rows = rows.none()
    return rows.select_related("user", "decided_by").order_by("-pk")


def _answer_text(answer: object) -> str:
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    return "" if answer is None else str(answer)
