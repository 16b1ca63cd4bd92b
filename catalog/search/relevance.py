"""The order of a search for words: how well a listing fits, and how much it is used.

Few matches are scored one by one. Of many (``SCORED_MOST``), scoring each would cost seconds and
tell little, for a common word says little: those that carry the words in their name come first,
the others after, the most used first in both. Which of the two ways applies is settled on the
first page and written into the cursor, so the pages of one search always fit together.
"""

from django.db import connection
from pyroaring import BitMap

from catalog.search.documents import question_sql, question_words
from catalog.search.matching import Matches, named
from catalog.search.ordering import RELEVANCE, SORTS, Mark, Place, Sort, Step, follow
from catalog.search.query import SearchQuery

SCORED_MOST = 400
"""Scoring so many takes 10 ms, and 50 ms when their words must be read from the disk first."""

SCORED, NAMES, REST = "relevance.scored", "relevance.names", "relevance.rest"
PHASES = {SCORED: Sort("score", float), NAMES: SORTS[RELEVANCE], REST: SORTS[RELEVANCE]}

# ts_rank's weights are D, C, B, A; 1 divides by the logarithm of the length, so that a long card
# does not win by repeating itself. A match in the name is worth more than any other.
_SCORE = """
SELECT score, repo_id FROM (
    SELECT t.repo_id,
           (t.names @@ q.question)::int
           + ts_rank('{0.05, 0.2, 0.4, 1.0}', t.words, q.question, 1)::float8
             * (1 + l.popularity / 10) AS score
    FROM catalog_listingtext t
    JOIN catalog_listing l ON l.repo_id = t.repo_id,
    (SELECT QUESTION AS question) q
    WHERE t.repo_id = ANY(%(ids)s)
) scored
WHERE %(start)s OR (score, repo_id) < (%(score)s, %(repo_id)s)
ORDER BY score DESC, repo_id DESC LIMIT %(limit)s
"""


def relevant(matches: Matches, query: SearchQuery, *, after: Mark | None, limit: int) -> list[Mark]:
    """Return the next ``limit`` matches, best first."""
    few = len(matches.wanted) <= SCORED_MOST
    phase = after.phase if after else SCORED if few else NAMES
    if phase == SCORED:
        place = after.place if after else None
        return [Mark(SCORED, found) for found in _scored(matches.wanted, query, place, limit)]
    in_names = matches.wanted & named(matches.index, query)
    steps = [
        Step(NAMES, PHASES[NAMES], in_names),
        Step(REST, PHASES[REST], matches.wanted - in_names),
    ]
    return follow(steps, after=after, limit=limit)


def _scored(wanted: BitMap, query: SearchQuery, after: Place | None, limit: int) -> list[Place]:
    words = question_words(query.text)
    parameters = {
        "text": words,
        "ids": list(wanted),
        "start": after is None,
        "score": after.value if after else 0.0,
        "repo_id": after.repo_id if after else 0,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_SCORE.replace("QUESTION", question_sql(words)), parameters)
        return [Place(score, repo_id) for score, repo_id in cursor.fetchall()]
