"""``.gitattributes``: which files are LFS objects, decided as the hub does."""

import re

from catalog.history.globs import Globs, rule_lines

FILE = ".gitattributes"
LFS_RULE = "filter=lfs diff=lfs merge=lfs -text"
DEFAULT_PATTERNS = [
    "*.7z",
    "*.arrow",
    "*.bin",
    "*.bz2",
    "*.ckpt",
    "*.ftz",
    "*.gz",
    "*.h5",
    "*.joblib",
    "*.lfs.*",
    "*.mlmodel",
    "*.model",
    "*.msgpack",
    "*.npy",
    "*.npz",
    "*.onnx",
    "*.ot",
    "*.parquet",
    "*.pb",
    "*.pickle",
    "*.pkl",
    "*.pt",
    "*.pth",
    "*.rar",
    "*.safetensors",
    "saved_model/**/*",
    "*.tar.*",
    "*.tar",
    "*.tflite",
    "*.tgz",
    "*.wasm",
    "*.xz",
    "*.zip",
    "*.zst",
    "tfevents*",
]

MAX_BYTES = 256 * 1024
_FILTER = re.compile(rb"[-!]?filter(=|$)")


def default_attributes() -> str:
    """Return the file every new repository starts with."""
    return "".join(f"{pattern} {LFS_RULE}\n" for pattern in DEFAULT_PATTERNS)


def with_rule(text: str, path: str) -> str:
    """Return ``text`` with a line that makes exactly ``path`` an LFS file."""
    pattern = path.replace(" ", "[[:space:]]")
    if text and not text.endswith("\n"):
        text += "\n"
    return f"{text}{pattern} {LFS_RULE}\n"


class Attributes:
    """The rules of one ``.gitattributes``; the last one that matches a path decides."""

    def __init__(self, text: str) -> None:
        patterns: list[bytes] = []
        self._are_lfs: list[bool] = []
        for line in rule_lines(text, MAX_BYTES):
            pattern, *attributes = line.split() or [b""]
            # git knows no exceptions here, and a pattern for folders is for no file
            if pattern.startswith((b"#", b"[attr]", b"!")) or pattern.endswith(b"/"):
                continue
            filters = [word for word in attributes if _FILTER.match(word)]
            if filters:
                patterns.append(pattern)
                self._are_lfs.append(filters[-1] == b"filter=lfs")
        self._globs = Globs(patterns)

    def is_lfs(self, path: str) -> bool:
        """Whether the file at ``path`` is stored as an LFS object."""
        *_, rule = self._globs.deciding(path)
        return rule >= 0 and self._are_lfs[rule]
