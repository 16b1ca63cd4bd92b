"""Completing a name while it is being typed."""

import re
from unicodedata import normalize

from django.contrib.postgres.search import TrigramWordSimilarity
from django.db import connection, transaction

from accounts.viewer import Viewer
from catalog.models import Listing, ListingText, ModelRepo
from catalog.search.documents import question_words
from catalog.search.index import current_index
from catalog.search.matching import listed_one_by_one, name_part, prefixed
from catalog.search.ordering import RELEVANCE, SORTS, page_of

MOST = 8
MAX_CHARS = 96
_PART_FROM, _ALIKE_FROM = 3, 4
"""Characters from which on parts of words, and words that look alike, are worth a look."""
_NO_WORD = re.compile(r"[^a-zA-Z0-9]+")


def suggest(viewer: Viewer, text: str) -> list[str]:
    """Return up to 8 ids that ``viewer`` may know of, for what has been typed so far.

    First ids that have the typed words, the last of them perhaps unfinished; then ids that contain
    the text anywhere; the most used first in both. When there are none, ids that look like it.
    """
    plain = normalize("NFKD", text[:MAX_CHARS]).encode("ascii", "ignore").decode()  # as ids are
    typed = " ".join(plain.replace("\0", " ").split())
    words = _NO_WORD.sub(" ", question_words(typed)).split()
    if not words:
        return []
    roles, listed = list(viewer.roles), listed_one_by_one(viewer)
    index = current_index()
    with index.lock:
        visible = index.visible(roles) | listed
    popular = SORTS[RELEVANCE]
    begun = prefixed(index, words) & visible
    ids = [place.repo_id for place in page_of(popular, begun, after=None, limit=MOST)]
    part = typed.lower().replace(" ", "-")
    if len(ids) < MOST and len(part) >= _PART_FROM:
        others = (name_part(index, part) & visible) - begun
        more = page_of(popular, others, after=None, limit=MOST - len(ids))
        ids += [place.repo_id for place in more]
    if not ids and len(part) >= _ALIKE_FROM:
        ids = _alike(viewer, part)
    shown = ModelRepo.objects.visible_to(viewer).filter(pk__in=ids)
    names = dict(Listing.objects.filter(repo__in=shown).values_list("repo_id", "full_name"))
    return [names[pk] for pk in ids if pk in names]


@transaction.atomic
def _alike(viewer: Viewer, typed: str) -> list[int]:
    with connection.cursor() as cursor:  # two wrong letters of seven; the usual 0.6 forgives none
        cursor.execute("SET LOCAL pg_trgm.word_similarity_threshold = 0.4")
    rows = (
        ListingText.objects.filter(name__trigram_word_similar=typed)
        .filter(repo__in=ModelRepo.objects.visible_to(viewer))
        .order_by(TrigramWordSimilarity(typed, "name").desc(), "repo_id")
    )
    return list(rows.values_list("repo_id", flat=True)[:MOST])
