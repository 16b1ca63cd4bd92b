"""Public identifiers."""

import secrets


def new_public_id() -> str:
    """Return 24 random lower-case hex characters, the shape hub clients expect of an ``_id``."""
    return secrets.token_hex(12)
