"""What search needs in the database beside tables: extensions, functions, triggers.

Put in place around every ``migrate``: extensions before it (indexes name their operator classes),
the rest after it. Each statement can be repeated, so a new release simply says how it wants things.
"""

from typing import Any

from django.db import connections

EXTENSIONS = ("pg_trgm", "unaccent")
"""Both are "trusted": the owner of a database may create them."""

MAX_TEXT_CHARS = 20_000
"""So much of a card is searched."""

_WORDS = """
CREATE OR REPLACE FUNCTION catalog_words(raw text) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $body$
DECLARE
    -- Every pattern has a fixed width: hostile texts cost no more than others.
    plain text := regexp_replace(
        unaccent(left(raw, MAX_TEXT_CHARS)),
        '([\\u3040-\\u30ff\\u3400-\\u9fff\\uac00-\\ud7af])', ' \\1 ', 'g'
    );
    camels text := regexp_replace(
        plain, '(?<=[a-z0-9])(?=[A-Z][A-Za-z])|(?<=[A-Z])(?=[A-Z][a-z])', ' ', 'g'
    );
    cut text := regexp_replace(
        camels, '(?<=[[:alpha:]])(?=[0-9])|(?<=[0-9])(?=[[:alpha:]])', ' ', 'g'
    );
    joined text := regexp_replace(camels, '(?<=[[:alpha:]])[-_. ](?=[0-9])', '', 'g');
BEGIN
    -- as written, cut at camels and digits, and with "gpt-2" joined to "gpt2"
    IF cut <> plain THEN
        plain := plain || ' ' || cut;
    END IF;
    IF joined <> cut THEN
        plain := plain || ' ' || joined;
    END IF;
    RETURN regexp_replace(plain, '[-_./:@#~]', ' ', 'g');
END
$body$
""".replace("MAX_TEXT_CHARS", str(MAX_TEXT_CHARS))

_FIND = """
CREATE OR REPLACE FUNCTION catalog_find(part text, question tsquery, among bigint[])
RETURNS bytea LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $body$
DECLARE
    found bytea;
BEGIN
    -- Reading every word list to find a common word takes ten times as long as asking the index,
    -- which the planner does not know.
    EXECUTE format(
        'SELECT string_agg(int4send(repo_id::int4), '''') FROM catalog_listingtext'
        ' WHERE %I @@ $1 AND ($2 IS NULL OR repo_id = ANY($2))', part
    ) INTO found USING question, among;
    RETURN found;
END
$body$
"""

_NOTE_CHANGE = """
CREATE OR REPLACE FUNCTION catalog_note_change() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    changed bigint;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        changed := 0;
    ELSIF TG_TABLE_NAME = 'catalog_modelrepo' THEN
        changed := NEW.id;
    ELSIF TG_OP = 'DELETE' THEN
        changed := OLD.repo_id;
    ELSE
        changed := NEW.repo_id;
    END IF;
    INSERT INTO catalog_listingchange (repo_id, xid)
    VALUES (changed, pg_current_xact_id()::text::bigint)
    ON CONFLICT (repo_id) DO UPDATE SET xid = EXCLUDED.xid;
    RETURN NULL;
END
$body$
"""

COUNTERS = ("likes", "downloads", "downloads_all_time", "trending", "popularity")
"""Columns of a listing that sort but never decide what matches."""

_TRIGGERS = (
    """
    CREATE OR REPLACE TRIGGER listing_added AFTER INSERT OR DELETE ON catalog_listing
    FOR EACH ROW EXECUTE FUNCTION catalog_note_change()
    """,
    """
    CREATE OR REPLACE TRIGGER listing_emptied AFTER TRUNCATE ON catalog_listing
    FOR EACH STATEMENT EXECUTE FUNCTION catalog_note_change()
    """,
    """
    CREATE OR REPLACE TRIGGER listing_text_changed
    AFTER INSERT OR UPDATE OR DELETE ON catalog_listingtext
    FOR EACH ROW EXECUTE FUNCTION catalog_note_change()
    """,
    """
    CREATE OR REPLACE TRIGGER listing_price_changed
    AFTER INSERT OR UPDATE OR DELETE ON catalog_listingprice
    FOR EACH ROW EXECUTE FUNCTION catalog_note_change()
    """,
    """
    CREATE OR REPLACE TRIGGER listing_repo_changed AFTER UPDATE ON catalog_modelrepo
    FOR EACH ROW WHEN (
        (OLD.is_private, OLD.namespace_id, OLD.gate, OLD.is_for_sale, OLD.opens_at)
        IS DISTINCT FROM
        (NEW.is_private, NEW.namespace_id, NEW.gate, NEW.is_for_sale, NEW.opens_at)
    ) EXECUTE FUNCTION catalog_note_change()
    """,
)

_LISTING_CHANGED = """
CREATE OR REPLACE TRIGGER listing_changed AFTER UPDATE ON catalog_listing
FOR EACH ROW WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION catalog_note_change()
"""


def create_extensions(*, using: str, **_signal: Any) -> None:
    """Create the extensions. Connected to ``pre_migrate``."""
    with connections[using].cursor() as cursor:
        for name in EXTENSIONS:
            cursor.execute(f"CREATE EXTENSION IF NOT EXISTS {name}")


def create_functions(*, using: str, **_signal: Any) -> None:
    """Create functions and triggers, if the tables are there. Connected to ``post_migrate``."""
    from catalog.models import Listing

    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('catalog_listingchange') IS NULL")
        if cursor.fetchone()[0]:
            return
        for statement in (_WORDS, _FIND, _NOTE_CHANGE, *_TRIGGERS):
            cursor.execute(statement)
        columns = [field.column for field in Listing._meta.fields]  # noqa: SLF001 - Django's API
        deciding = [name for name in columns if name not in COUNTERS]
        old, new = (", ".join(f"{row}.{name}" for name in deciding) for row in ("OLD", "NEW"))
        cursor.execute(_LISTING_CHANGED.format(old=old, new=new))
