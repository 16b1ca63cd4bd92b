"""What money needs in the database beside tables: rows that cannot be changed, sums that hold.

Put in place after every ``migrate``; each statement can be repeated. Whatever writes to the tables,
a console included, meets these rules.
"""

from typing import Any

from django.db import connections

APPEND_ONLY = (
    "licensing_ledgermovement",
    "licensing_ledgerentry",
    "licensing_payoutitem",
    "licensing_feerule",
    "licensing_terms",
)
"""Tables whose rows are never changed or deleted."""

_FROZEN = """
CREATE OR REPLACE FUNCTION licensing_frozen() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END
$body$
"""

_KEEP = """
CREATE OR REPLACE TRIGGER {table}_frozen BEFORE UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION licensing_frozen()
"""

_BALANCED = """
CREATE OR REPLACE FUNCTION licensing_balanced() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    off_by text;
BEGIN
    SELECT string_agg(a.currency || ' ' || s.total, ', ') INTO off_by
    FROM (
        SELECT e.account_id, sum(e.amount_minor) AS total
        FROM licensing_ledgerentry e WHERE e.movement_id = NEW.movement_id GROUP BY e.account_id
    ) s JOIN licensing_ledgeraccount a ON a.id = s.account_id
    GROUP BY a.currency, a.gateway HAVING sum(s.total) <> 0 LIMIT 1;
    IF off_by IS NOT NULL THEN
        RAISE EXCEPTION 'movement % does not balance: %', NEW.movement_id, off_by
        USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$body$
"""

_CHECK_BALANCE = """
DO $body$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'ledger_movement_balances') THEN
        CREATE CONSTRAINT TRIGGER ledger_movement_balances AFTER INSERT ON licensing_ledgerentry
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION licensing_balanced();
    END IF;
END $body$
"""


def create_triggers(*, using: str, **_signal: Any) -> None:
    """Create functions and triggers, if the tables are there. Connected to ``post_migrate``."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('licensing_ledgerentry') IS NULL")
        if cursor.fetchone()[0]:
            return
        cursor.execute(_FROZEN)
        for table in APPEND_ONLY:
            cursor.execute(_KEEP.format(table=table))
        cursor.execute(_BALANCED)
        cursor.execute(_CHECK_BALANCE)
