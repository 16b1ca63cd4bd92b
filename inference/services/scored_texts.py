"""Handing a text to one or two models to see how much each of its tokens surprised them."""

from collections.abc import Sequence

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.viewer import Viewer
from catalog.models import ModelRepo
from inference.models import Explanation, ScoredText
from inference.services import answering, explanations, runs
from inference.services.params import InvalidParamsError, check_prompt
from store.core.errors import NotFoundError, StoreError

MAX_TEXT_CHARS = 6000
"""A page of tokens; models read it at once."""
MOST_MODELS = 2


class ScoredTextNotFoundError(NotFoundError):
    """The text is absent, or somebody else's: the two look the same."""

    code = "scored_text_not_found"


def submit(
    viewer: Viewer,
    repos: Sequence[ModelRepo],
    text: str,
    *,
    prompt: str = "",
    visitor_key: str = "",
) -> ScoredText:
    """Let each model read a text, or none of them.

    Args:
        viewer: Who asks.
        repos: One or two, through ``catalog.access``; in the order they are shown.
        text: 1 to ``MAX_TEXT_CHARS`` characters.
        prompt: What stands before it: read, but not scored. Empty: each model begins by itself.
        visitor_key: Secret of the visitor's session; opens the text to them later.

    Raises:
        InvalidParamsError: text or prompt cannot be used, or there are too many models or none.
        StoreError: as ``explanations.ask_of_text``, with the name of the model it is about.
    Nothing is written or queued in any of these cases.
    """
    _check(repos, text, prompt)
    asked: list[Explanation] = []
    try:
        with transaction.atomic():
            row = ScoredText.objects.create(
                user=viewer.user,
                visitor_key=runs.hashed(visitor_key) if viewer.is_visitor else "",
                prompt=prompt,
                text=text,
            )
            for place, repo in enumerate(repos):
                asked.append(_ask(viewer, repo, row, place))
    except BaseException:
        for explanation in asked:
            answering.give_back(explanation)
        raise
    return row


def _check(repos: Sequence[ModelRepo], text: str, prompt: str) -> None:
    if not 1 <= len(repos) <= MOST_MODELS:
        told = ngettext(
            "Name one model, or %(most)d.", "Name one model, or %(most)d.", MOST_MODELS
        ) % {"most": MOST_MODELS}
        raise InvalidParamsError(told, fields={"models": told})
    if not text:
        raise _bad_text(_("Write or paste the text that the models are to read."))
    if len(text) > MAX_TEXT_CHARS:
        raise _bad_text(
            _("A text has at most %(most)d characters here. Shorten it.") % {"most": MAX_TEXT_CHARS}
        )
    try:
        check_prompt(text)
    except InvalidParamsError as error:
        raise _bad_text(_("The text has characters that are no text. Remove them.")) from error
    if prompt:
        check_prompt(prompt)


def _bad_text(message: str) -> InvalidParamsError:
    return InvalidParamsError(message, fields={"text": message})


def _ask(viewer: Viewer, repo: ModelRepo, row: ScoredText, place: int) -> Explanation:
    try:
        return explanations.ask_of_text(viewer, repo, row, place=place)
    except StoreError as error:
        if repo.full_name not in error.message:
            error.message = f"{repo.full_name}: {error.message}"
        raise


def read(
    viewer: Viewer, public_id: str, visitor_key: str = ""
) -> tuple[ScoredText, list[Explanation]]:
    """Return a text and what each model made of it to whoever handed it in, and to nobody else.

    A model that was deleted meanwhile is not among them.

    Raises:
        ScoredTextNotFoundError: there is none, it is somebody else's, or its models are gone.
    """
    row = ScoredText.objects.filter(public_id=public_id).first()
    rows = Explanation.objects.filter(scored_text=row).select_related("repo__namespace", "job")
    found = list(rows.order_by("place")) if row is not None else []
    is_theirs = all(runs.is_theirs(each, viewer, visitor_key) for each in found)
    if row is None or not found or not is_theirs:
        raise ScoredTextNotFoundError(_("There is no such text, or it has been deleted."))
    return row, found


def cancel(
    viewer: Viewer, public_id: str, visitor_key: str = ""
) -> tuple[ScoredText, list[Explanation]]:
    """Stop whichever models still read a text; what one has made of it already stays.

    Raises:
        ScoredTextNotFoundError: there is none, or it is somebody else's.
    """
    row, found = read(viewer, public_id, visitor_key)
    for explanation in found:
        answering.cancel(explanation)
    return row, found


def delete(viewer: Viewer, public_id: str, visitor_key: str = "") -> None:
    """Delete a text and all that was said of it.

    Raises:
        ScoredTextNotFoundError: there is none, or it is somebody else's.
    """
    row, _found = read(viewer, public_id, visitor_key)
    row.delete()
