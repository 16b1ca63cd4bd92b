"""What can go wrong when reading or writing history."""

from store.core.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    StaleError,
    UnprocessableError,
)


class RevisionNotFoundError(NotFoundError):
    """No branch, tag, pull request or commit has this name."""

    code = "revision_not_found"


class EntryNotFoundError(NotFoundError):
    """The revision has no such file or folder. ``extra["commit"]`` is the resolved commit."""

    code = "entry_not_found"


class StaleParentError(StaleError):
    """The branch has moved since the caller looked. ``extra["head"]`` is where it is now."""

    code = "stale_parent"


class BadPathError(UnprocessableError):
    """A path in a commit cannot be stored."""

    code = "bad_path"


class RefExistsError(ConflictError):
    """The branch or tag is there already."""

    code = "ref_exists"


class BadRefNameError(InvalidError):
    """Git does not allow this name for a branch or tag."""

    code = "bad_ref_name"
