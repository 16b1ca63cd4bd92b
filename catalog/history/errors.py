"""What can go wrong when reading or writing history."""

from store.core.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    StaleError,
    TooLargeError,
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


class BadObjectError(UnprocessableError):
    """A git object that was sent is malformed, or of a kind the store does not take."""

    code = "bad_git_object"


class BadPackError(UnprocessableError):
    """A pack that was sent is broken, incomplete, or not what it says."""

    code = "bad_pack"


class PackTooLargeError(TooLargeError):
    """A pack that was sent, or what it unpacks to, exceeds a limit."""

    code = "pack_too_large"


class MissingBaseError(UnprocessableError):
    """A pack leaves out objects that the repository does not have either."""

    code = "missing_object"
