"""What a listing is found by: the words of its name, facts and card, by weight.

A: the name. B: task, tags, architecture, bases, licenses. C: the summary. D: the card. Names are
kept as written (configuration ``simple``) beside their English stems; the rest is stemmed. Accents
do not matter. ``gpt2``, ``gpt-2`` and ``GPT2`` are one word, see ``catalog_words`` in
``catalog.search.furniture`` and its counterpart for questions below.
"""

import re
from collections.abc import Iterable

from django.db import connection, transaction

# The names come from the repository itself, so that a listing that was not told of a new name or
# a new setting is mended here. The derived tags (``license:mit``) stay out: else "license" would
# find everything.
_COPY = """
UPDATE catalog_listing l SET full_name = n.name || '/' || r.name, is_private = r.is_private
FROM catalog_modelrepo r JOIN accounts_namespace n ON n.id = r.namespace_id
WHERE r.id = l.repo_id AND r.id = ANY(%(ids)s)
  AND (l.full_name, l.is_private) IS DISTINCT FROM (n.name || '/' || r.name, r.is_private)
"""

_FILL = """
INSERT INTO catalog_listingtext (repo_id, name, names, words)
SELECT repo_id, lower(full_name), names,
       setweight(names, 'A')
       || setweight(to_tsvector('english', catalog_words(facts)), 'B')
       || setweight(to_tsvector('english', catalog_words(summary)), 'C')
       || setweight(to_tsvector('english', catalog_words(body)), 'D')
FROM (
    SELECT l.repo_id, l.full_name, l.summary, coalesce(c.body, '') AS body,
           to_tsvector('simple', catalog_words(l.full_name))
           || to_tsvector('english', catalog_words(l.full_name)) AS names,
           concat_ws(
               ' ', l.pipeline_tag, l.architecture, l.model_type, l.library,
               array_to_string(l.base_models || l.licenses || l.datasets || l.formats, ' '),
               (SELECT string_agg(tag, ' ') FROM unnest(l.tags) tag WHERE tag NOT LIKE '%%:%%')
           ) AS facts
    FROM catalog_listing l LEFT JOIN catalog_modelcard c ON c.repo_id = l.repo_id
    WHERE l.repo_id = ANY(%(ids)s)
    ORDER BY l.repo_id
) parts
ON CONFLICT (repo_id) DO UPDATE
SET name = EXCLUDED.name, names = EXCLUDED.names, words = EXCLUDED.words
WHERE (catalog_listingtext.name, catalog_listingtext.names, catalog_listingtext.words)
      IS DISTINCT FROM (EXCLUDED.name, EXCLUDED.names, EXCLUDED.words)
"""


@transaction.atomic
def refresh_search(repo_ids: Iterable[int]) -> None:
    """Bring the searchable words of these repositories up to date.

    To be called, in the same transaction, after anything changed that people search for: a
    commit, a new name, a setting. Repositories without a listing are passed over. Safe to repeat.

    Args:
        repo_ids: Which; a few thousand at a time.
    """
    parameters = {"ids": sorted(set(repo_ids))}
    with connection.cursor() as cursor:
        cursor.execute(_COPY, parameters)
        cursor.execute(_FILL, parameters)


_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z][A-Za-z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LETTER_DIGIT = re.compile(r"(?<=[^\W\d_])[-_.](?=[0-9])")
_SEPARATORS = re.compile(r"(?<=\S)[-_./:@#~](?=\S)|[_./:@#~]|-(?=\s|$)")
_IDEOGRAPHS = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")
_NOT = re.compile(r"(?:^|\s)-")

_STEMS = "websearch_to_tsquery('english', unaccent(%(text)s))"
_AS_WRITTEN = "websearch_to_tsquery('simple', unaccent(%(text)s))"


def question_words(text: str) -> str:
    """Return what a person typed in the words ``catalog_words`` files documents under.

    Quotes, ``or`` and a leading ``-`` keep their meaning for ``websearch_to_tsquery``.
    """
    text = _CAMEL.sub(" ", text)
    text = _LETTER_DIGIT.sub("", text)
    text = _SEPARATORS.sub(" ", text)
    return " ".join(_IDEOGRAPHS.sub(r" \1 ", text).split())


def question_sql(words: str) -> str:
    """Return the SQL of a question; its parameter ``text`` is ``words``.

    Words are looked for as stems and, for names, as written. To leave something out only stems
    will do: a card knows no word as written, so nothing would be left out.
    """
    return _STEMS if _NOT.search(words) else f"({_STEMS} || {_AS_WRITTEN})"
