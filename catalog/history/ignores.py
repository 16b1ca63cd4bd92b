"""``.gitignore``: which files a commit leaves out."""

from catalog.history.globs import Globs, rule_lines

FILE = ".gitignore"
_MAX_CHARS = 64 * 1024


class Ignores:
    """The rules of one ``.gitignore`` at the root of a repository."""

    def __init__(self, text: str) -> None:
        lines = [line.removesuffix(b"\r") for line in rule_lines(text, _MAX_CHARS)]
        rules = [_without_spaces(line) for line in lines if line and not line.startswith(b"#")]
        self._leaves_out = [not rule.startswith(b"!") for rule in rules]
        self._globs = Globs(rule.removeprefix(b"!") for rule in rules)

    def matches(self, path: str) -> bool:
        """Whether the file at ``path`` is ignored, itself or through a folder above it."""
        # the first that is left out decides: nothing below it is looked at, whatever rules say
        return any(rule >= 0 and self._leaves_out[rule] for rule in self._globs.deciding(path))


def _without_spaces(line: bytes) -> bytes:
    """Take spaces off the end, but not the one a backslash keeps."""
    bare = line.rstrip(b" ")
    backslashes = len(bare) - len(bare.rstrip(b"\\"))
    return line[: len(bare) + 1] if backslashes % 2 else bare
