"""What keeps issued documents as they are, below anything Python can do.

Put in place after every ``migrate``. ``TRUNCATE`` is not refused: nothing in the store truncates,
and whoever may truncate may drop a trigger as well.
"""

from typing import Any

from django.db import connections

_KEEP_INVOICE = """
CREATE OR REPLACE FUNCTION licensing_keep_invoice() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.buyer_id IS NULL
        AND to_jsonb(NEW) - 'buyer_id' = to_jsonb(OLD) - 'buyer_id' THEN
        RETURN NEW;  -- the person has left; the document stays
    END IF;
    RAISE EXCEPTION 'An issued document is never changed or deleted: %', OLD.text_number
        USING ERRCODE = 'integrity_constraint_violation';
END
$body$
"""

_KEEP_SERIES = """
CREATE OR REPLACE FUNCTION licensing_keep_series() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.last_number = OLD.last_number + 1
        AND to_jsonb(NEW) - 'last_number' = to_jsonb(OLD) - 'last_number' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'A series of numbers only counts on by one: %', OLD.id
        USING ERRCODE = 'integrity_constraint_violation';
END
$body$
"""

_KEEP_ORDER = """
CREATE OR REPLACE FUNCTION licensing_next_invoice() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM 1 FROM licensing_invoiceseries
    WHERE id = NEW.series_id AND last_number = NEW.number AND kind = NEW.kind
        AND namespace_id = NEW.seller_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'The number is not the next one of its series: %', NEW.text_number
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$body$
"""

_TRIGGERS = (
    """
    CREATE OR REPLACE TRIGGER invoice_kept BEFORE UPDATE OR DELETE ON licensing_invoice
    FOR EACH ROW EXECUTE FUNCTION licensing_keep_invoice()
    """,
    """
    CREATE OR REPLACE TRIGGER invoice_series_kept BEFORE UPDATE OR DELETE ON licensing_invoiceseries
    FOR EACH ROW EXECUTE FUNCTION licensing_keep_series()
    """,
    """
    CREATE OR REPLACE TRIGGER invoice_is_next BEFORE INSERT ON licensing_invoice
    FOR EACH ROW EXECUTE FUNCTION licensing_next_invoice()
    """,
)


def create_triggers(*, using: str, **_signal: Any) -> None:
    """Create the triggers, if the tables are there. Connected to ``post_migrate``."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('licensing_invoice') IS NULL")
        if cursor.fetchone()[0]:
            return
        for statement in (_KEEP_INVOICE, _KEEP_SERIES, _KEEP_ORDER, *_TRIGGERS):
            cursor.execute(statement)
