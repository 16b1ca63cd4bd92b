"""What keeps records of usage as they are, below anything Python can do.

Put in place after every ``migrate``, as for invoices (``licensing.invoice_triggers``).
"""

from typing import Any

from django.db import connections

_KEEP_RECORD = """
CREATE OR REPLACE FUNCTION inference_keep_usage() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'A record of usage is never changed or deleted: %', OLD.run
        USING ERRCODE = 'integrity_constraint_violation';
END
$body$
"""
_TRIGGER = """
CREATE OR REPLACE TRIGGER usage_kept BEFORE UPDATE OR DELETE ON inference_usagerecord
FOR EACH ROW EXECUTE FUNCTION inference_keep_usage()
"""


def create_triggers(*, using: str, **_signal: Any) -> None:
    """Create the trigger, if the table is there. Connected to ``post_migrate``."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('inference_usagerecord') IS NULL")
        if not cursor.fetchone()[0]:
            cursor.execute(_KEEP_RECORD)
            cursor.execute(_TRIGGER)
