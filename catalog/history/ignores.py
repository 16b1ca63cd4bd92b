"""``.gitignore``: which files a commit leaves out (dulwich reads the patterns)."""

import io

from dulwich.ignore import IgnoreFilter, read_ignore_patterns

FILE = ".gitignore"
_MAX_CHARS = 64 * 1024


class Ignores:
    """The rules of one ``.gitignore`` at the root of a repository."""

    def __init__(self, text: str) -> None:
        patterns = list(read_ignore_patterns(io.BytesIO(text[:_MAX_CHARS].encode())))
        self._filter = IgnoreFilter(patterns) if patterns else None

    def matches(self, path: str) -> bool:
        """Whether the file at ``path`` is ignored, itself or through a folder above it."""
        if self._filter is None:
            return False
        parts = path.split("/")
        above = ["/".join(parts[:count]) + "/" for count in range(1, len(parts))]
        return any(self._filter.is_ignored(name) for name in [*above, path])
