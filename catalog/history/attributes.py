"""``.gitattributes``: which files are LFS objects, decided as the hub does."""

import fnmatch
import re
from functools import lru_cache

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
_MAX_RULES = 2000


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
        self.rules: list[tuple[re.Pattern[str], bool]] = []
        for line in text[:MAX_BYTES].splitlines()[:_MAX_RULES]:
            pattern, *attributes = line.split() or [""]
            if not pattern or pattern.startswith(("#", "[attr]")):
                continue
            filters = [word for word in attributes if re.match(r"[-!]?filter(=|$)", word)]
            if filters:
                self.rules.append((_compile(pattern), filters[-1] == "filter=lfs"))

    def is_lfs(self, path: str) -> bool:
        """Whether the file at ``path`` is stored as an LFS object."""
        for pattern, lfs in reversed(self.rules):
            if pattern.fullmatch(path):
                return lfs
        return False


@lru_cache(maxsize=4096)
def _compile(pattern: str) -> re.Pattern[str]:
    """Translate a gitattributes pattern (gitattributes(5), gitignore(5)) into a regex.

    A pattern without a slash matches the file name at any depth, one with a slash the whole
    path; ``**`` crosses folders, ``*`` does not.
    """
    pattern = pattern.replace("[[:space:]]", "[ ]")
    anywhere = "/" not in pattern.rstrip("/")
    parts = pattern.strip("/").split("/")
    out = "(?:.*/)?" if anywhere else ""
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if part == "**":
            out += ".*" if is_last else "(?:.*/)?"
            continue
        body = fnmatch.translate(part).removeprefix("(?s:").removesuffix(")\\Z")
        out += body.replace(".*", "[^/]*") + ("" if is_last else "/")
    return re.compile(out, re.DOTALL)
