"""Which file names a commit may contain, and how folders are named."""

from catalog.history.errors import BadPathError

MAX_PATH_BYTES = 1000
MAX_PART_BYTES = 255
MAX_DEPTH = 64


def check_path(path: str) -> str:
    r"""Return ``path`` if it can be stored.

    Refused: absolute, empty parts, ``.`` and ``..``, ``.git``, control characters, a first part
    that starts ``..\``, undecodable text, too long. A backslash further in is legal: released
    hub clients test that it is accepted.

    Raises:
        BadPathError: with the reason.
    """
    reason = _fault(path)
    if reason:
        raise BadPathError(f"The path '{path[:200]}' {reason}.", path=path[:200])
    return path


def _fault(path: str) -> str:
    try:
        size_bytes = len(path.encode())
    except UnicodeEncodeError:
        return "is not valid text"
    parts = path.split("/")
    if not path or size_bytes > MAX_PATH_BYTES or len(parts) > MAX_DEPTH:
        return f"is empty, longer than {MAX_PATH_BYTES} bytes or deeper than {MAX_DEPTH} folders"
    if path.startswith(("/", "..\\", "\\")):
        return "leads out of the repository"
    if any(ord(char) < 32 or ord(char) == 127 or char in "\ufffd\ue000" for char in path):
        return "contains a control character"
    for part in parts:
        if part in {"", ".", ".."}:
            return "contains an empty part, '.' or '..'"
        if part.lower() == ".git":
            return "contains '.git'"
        if len(part.encode()) > MAX_PART_BYTES:
            return f"has a part longer than {MAX_PART_BYTES} bytes"
    return ""


def folders_above(path: str) -> list[str]:
    """Return every folder that contains ``path``: ``a/b/c`` gives ``a`` and ``a/b``."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
