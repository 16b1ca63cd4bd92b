"""Path pieces that may carry encoded slashes, as Django URL converters.

Hub clients send revisions and tree paths as one percent-encoded segment, and WSGI decodes the
path before Django sees it. ``store.wsgi`` therefore marks each ``%2F`` of the request line with
``ENCODED_SLASH``; after routing has told the segments apart the mark becomes a slash again.
"""

from django.urls import register_converter

ENCODED_SLASH = "\ue000"
"""A private-use character; a genuine one in a request never reaches routing."""


class _Marked:
    """Turns the mark back into a slash."""

    regex = ".+"

    def to_python(self, value: str) -> str:
        return value.replace(ENCODED_SLASH, "/")

    def to_url(self, value: str) -> str:
        return value


class RevisionConverter(_Marked):
    """One encoded segment, or the raw form of a full ref with a one-segment name."""

    regex = "refs/(?:pr|convert|heads|tags)/[^/]+|[^/]+"

    def to_url(self, value: str) -> str:
        return value.replace("/", ENCODED_SLASH)


class FilePathConverter(_Marked):
    """The rest of the path."""


class SegmentConverter:
    """A name: no slash, encoded or not."""

    regex = f"[^/{ENCODED_SLASH}]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


def register() -> None:
    """Make ``<seg:>``, ``<rev:>`` and ``<file:>`` known to ``django.urls.path``."""
    register_converter(SegmentConverter, "seg")
    register_converter(RevisionConverter, "rev")
    register_converter(FilePathConverter, "file")
