"""What keeps the audit trail as it was written, below anything Python can do.

Put in place after every ``migrate``. Whatever writes to the table, a console included, meets it.
"""

from typing import Any

from django.db import connections

_KEEP = """
CREATE OR REPLACE FUNCTION accounts_keep_audit() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.actor_id IS NULL
        AND to_jsonb(NEW) - 'actor_id' = to_jsonb(OLD) - 'actor_id' THEN
        RETURN NEW;  -- the person has left; what they did stays, with their name
    END IF;
    RAISE EXCEPTION 'the audit trail is never changed: event %', OLD.id
        USING ERRCODE = 'integrity_constraint_violation';
END
$body$
"""

_TRIGGER = """
CREATE OR REPLACE TRIGGER audit_event_kept BEFORE UPDATE OR DELETE ON accounts_auditevent
FOR EACH ROW EXECUTE FUNCTION accounts_keep_audit()
"""


def create_triggers(*, using: str, **_signal: Any) -> None:
    """Create the trigger, if the table is there. Connected to ``post_migrate``."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('accounts_auditevent') IS NULL")
        if cursor.fetchone()[0]:
            return
        cursor.execute(_KEEP)
        cursor.execute(_TRIGGER)
