"""Every expected failure of the store, as one family of exceptions.

An expected failure is a named class with a stable ``code`` and an HTTP ``status``; each door
(pages, REST, hub protocol) renders the same exception in its own words. Anything else that is
raised is a bug: it stays a 500 and wakes somebody.
"""

from typing import ClassVar


class StoreError(Exception):
    """Base of every expected failure.

    Args:
        message: One sentence for a person: what happened and what to do next.
        **extra: Facts that are safe to show to the caller, JSON-able.
    """

    code: ClassVar[str] = "error"
    """Stable; clients branch on it, never on the text."""
    status: ClassVar[int] = 400
    """HTTP status every door answers with."""

    def __init__(self, message: str, **extra: object) -> None:
        super().__init__(message)
        self.message = message
        self.extra = extra


class InvalidError(StoreError):
    """The request is understood but a value in it is wrong."""

    code = "invalid"


class UnprocessableError(StoreError):
    """The shape is right, the content cannot be accepted (a bad path in a commit, say)."""

    code = "unprocessable"
    status = 422


class UnauthenticatedError(StoreError):
    """Nobody is signed in and the action needs somebody."""

    code = "not_signed_in"
    status = 401


class BadCredentialsError(StoreError):
    """A token or password was sent and it is not valid.

    The answer does not say more: whether the name is known is no stranger's business.
    """

    code = "bad_credentials"
    status = 401

    def __init__(
        self,
        message: str = "Invalid username or password, or a token that has ended. Sign in, or make "
        "a new token in your settings.",
        **extra: object,
    ) -> None:
        super().__init__(message, **extra)


class ForbiddenError(StoreError):
    """The caller may see the thing but may not do this to it."""

    code = "forbidden"
    status = 403


class NotFoundError(StoreError):
    """Absent, or hidden from this caller: the two look the same."""

    code = "not_found"
    status = 404


class ConflictError(StoreError):
    """The action does not fit the present state (a name is taken, a job is done)."""

    code = "conflict"
    status = 409


class StaleError(StoreError):
    """The caller acted on a state that has moved on; read again and retry."""

    code = "stale"
    status = 412


class TooLargeError(StoreError):
    """A limit on size or count is exceeded; ``extra`` names the limit."""

    code = "too_large"
    status = 413


class RateLimitedError(StoreError):
    """Too many requests.

    Args:
        message: What is limited.
        retry_after_s: Whole seconds until the next attempt can succeed.
        **extra: More facts.
    """

    code = "rate_limited"
    status = 429

    def __init__(self, message: str, *, retry_after_s: int, **extra: object) -> None:
        super().__init__(message, retry_after_s=retry_after_s, **extra)
        self.retry_after_s = retry_after_s


class TransientError(StoreError):
    """A dependency failed in a way that may heal; workers retry, web answers 503."""

    code = "try_again"
    status = 503
