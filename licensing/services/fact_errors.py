"""Why a fact of a gateway is not applied now."""

from store.core.errors import ConflictError


class TooEarlyError(ConflictError):
    """The fact follows from one that has not been heard of yet; it waits."""

    code = "too_early"


class DoesNotFitError(ConflictError):
    """The fact contradicts what is known; people must look at it."""

    code = "does_not_fit"
