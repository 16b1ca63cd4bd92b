"""Completing a name while it is being typed."""

from django.contrib.postgres.search import TrigramWordSimilarity

from accounts.viewer import Viewer
from catalog.models import Listing, ListingText, ModelRepo
from catalog.search.index import current_index
from catalog.search.matching import name_part, name_start
from catalog.search.ordering import RELEVANCE, SORTS, page_of

MOST = 8
MAX_CHARS = 96
_FUZZY_FROM = 4
"""Shorter texts are like everything."""


def suggest(viewer: Viewer, text: str) -> list[str]:
    """Return up to 8 ids that ``viewer`` may know of, for what has been typed so far.

    Ids whose owner or name begins with the text come first, then those that contain it, the most
    used first in both; when there are none, those that look like it.
    """
    typed = "".join(text.replace("\0", "").lower().split())[:MAX_CHARS]
    if not typed:
        return []
    roles = list(viewer.roles)
    index = current_index()
    starting, holding = name_start(index, typed), name_part(index, typed)
    with index.lock:
        visible = index.visible(roles)
    popular = SORTS[RELEVANCE]
    first = page_of(popular, starting & visible, after=None, limit=MOST)
    ids = [place.repo_id for place in first]
    if len(ids) < MOST:
        others = (holding - starting) & visible
        more = page_of(popular, others, after=None, limit=MOST - len(ids))
        ids += [place.repo_id for place in more]
    if not ids and len(typed) >= _FUZZY_FROM:
        ids = _alike(viewer, typed)
    shown = ModelRepo.objects.visible_to(viewer).filter(pk__in=ids)
    names = dict(Listing.objects.filter(repo__in=shown).values_list("repo_id", "full_name"))
    return [names[pk] for pk in ids if pk in names]


def _alike(viewer: Viewer, typed: str) -> list[int]:
    rows = (
        ListingText.objects.filter(name__trigram_word_similar=typed)
        .filter(repo__in=ModelRepo.objects.visible_to(viewer))
        .order_by(TrigramWordSimilarity(typed, "name").desc(), "repo_id")
    )
    return list(rows.values_list("repo_id", flat=True)[:MOST])
