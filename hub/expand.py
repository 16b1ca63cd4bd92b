"""Reading ``expand``: which fields an answer shall have (contract 4)."""

from hub.describe import FIELDS
from store.core.errors import InvalidError

_TOLERATED = {"gitalyUid", "xetEnabled"}


def check_expand(fields: list[str]) -> list[str]:
    """Return the fields that mean something here.

    Raises:
        InvalidError: an unknown one, in the words a client test parses.
    """
    for index, field in enumerate(fields):
        if field not in FIELDS and field not in _TOLERATED:
            known = "|".join(f'"{name}"' for name in sorted(FIELDS))
            raise InvalidError(f"Invalid option: expected one of {known}\n  -> at expand[{index}]")
    return [field for field in dict.fromkeys(fields) if field in FIELDS]
