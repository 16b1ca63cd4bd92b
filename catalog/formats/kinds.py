"""What a file can be, and what its name makes a reader expect."""

from enum import StrEnum


class Kind(StrEnum):
    """What the bytes are, whatever the name says."""

    EMPTY = "empty"
    SAFETENSORS = "safetensors"
    GGUF = "gguf"
    JSON = "json"
    TEXT = "text"
    HTML = "html"
    SVG = "svg"
    XML = "xml"
    LFS_POINTER = "lfs_pointer"
    PNG = "png"
    JPEG = "jpeg"
    GIF = "gif"
    WEBP = "webp"
    PDF = "pdf"
    SENTENCEPIECE = "sentencepiece"
    PICKLE = "pickle"
    TORCH_ZIP = "torch_zip"
    COMPRESSED_PICKLE = "compressed_pickle"
    NUMPY = "numpy"
    NPZ = "npz"
    KERAS = "keras"
    HDF5 = "hdf5"
    ONNX = "onnx"
    TFLITE = "tflite"
    GGML = "ggml"
    MSGPACK = "msgpack"
    PARQUET = "parquet"
    ARROW = "arrow"
    SQLITE = "sqlite"
    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    ZLIB = "zlib"
    XZ = "xz"
    BZIP2 = "bzip2"
    ZSTD = "zstd"
    LZ4 = "lz4"
    SEVEN_ZIP = "seven_zip"
    RAR = "rar"
    ELF = "elf"
    PE = "pe"
    MACH_O = "mach_o"
    JAVA_CLASS = "java_class"
    WASM = "wasm"
    PYTHON_BYTECODE = "python_bytecode"
    BINARY = "binary"


TEXTS = frozenset(
    {Kind.EMPTY, Kind.JSON, Kind.TEXT, Kind.HTML, Kind.SVG, Kind.XML, Kind.LFS_POINTER}
)
"""Kinds that are readable text."""
PICTURES = frozenset({Kind.PNG, Kind.JPEG, Kind.GIF, Kind.WEBP})
EXECUTABLES = frozenset(
    {Kind.ELF, Kind.PE, Kind.MACH_O, Kind.JAVA_CLASS, Kind.WASM, Kind.PYTHON_BYTECODE}
)
ACTIVE = frozenset({Kind.HTML, Kind.SVG, Kind.XML, Kind.PDF})
"""Kinds a browser may run as a program: delivered as plain text or as a download only."""
COMPRESSED = frozenset({Kind.GZIP, Kind.ZLIB, Kind.XZ, Kind.BZIP2, Kind.ZSTD, Kind.LZ4})

NOUNS = {
    Kind.EMPTY: "an empty file",
    Kind.TEXT: "plain text",
    Kind.JSON: "JSON",
    Kind.LFS_POINTER: "a Git LFS pointer",
    Kind.PICKLE: "a pickle",
    Kind.TORCH_ZIP: "a torch pickle container",
    Kind.COMPRESSED_PICKLE: "a compressed pickle",
    Kind.SAFETENSORS: "a safetensors file",
    Kind.GGUF: "a GGUF file",
    Kind.ELF: "a Linux program",
    Kind.PE: "a Windows program",
    Kind.MACH_O: "a macOS program",
    Kind.JAVA_CLASS: "a Java program",
    Kind.WASM: "a WebAssembly program",
    Kind.PYTHON_BYTECODE: "compiled Python code",
    Kind.BINARY: "of an unknown format",
}
"""How a sentence calls a kind; the others go by their own name."""

_TORCH = frozenset({Kind.TORCH_ZIP, Kind.PICKLE})
_TEXT_ENDINGS = (
    "txt md markdown rst json jsonl py js ts css csv tsv yaml yml toml ini cfg conf jinja html htm "
    "svg xml sh ipynb gitattributes gitignore license tiktoken bpe vocab merges log tex bib"
)
_CLAIMS: dict[str, frozenset[Kind]] = {
    **dict.fromkeys(_TEXT_ENDINGS.split(), TEXTS),
    "safetensors": frozenset({Kind.SAFETENSORS}),
    "gguf": frozenset({Kind.GGUF}),
    **dict.fromkeys(["png", "jpg", "jpeg", "gif", "webp"], PICTURES),
    **dict.fromkeys(["bin", "pt", "pth", "ckpt"], _TORCH | {Kind.BINARY, Kind.GGML}),
    **dict.fromkeys(["pkl", "pickle", "joblib"], _TORCH | {Kind.COMPRESSED_PICKLE}),
    "npy": frozenset({Kind.NUMPY}),
    "npz": frozenset({Kind.NPZ, Kind.ZIP}),
    "model": frozenset({Kind.SENTENCEPIECE}),
    "spm": frozenset({Kind.SENTENCEPIECE}),
    "h5": frozenset({Kind.HDF5}),
    "hdf5": frozenset({Kind.HDF5}),
    "keras": frozenset({Kind.KERAS, Kind.HDF5}),
    "onnx": frozenset({Kind.ONNX}),
    "tflite": frozenset({Kind.TFLITE}),
    "msgpack": frozenset({Kind.MSGPACK}),
    "parquet": frozenset({Kind.PARQUET}),
    "arrow": frozenset({Kind.ARROW}),
    "pdf": frozenset({Kind.PDF}),
    "zip": frozenset({Kind.ZIP, Kind.NPZ, Kind.KERAS}),
    "tar": frozenset({Kind.TAR}),
    **dict.fromkeys(["gz", "tgz"], frozenset({Kind.GZIP})),
    "xz": frozenset({Kind.XZ}),
    "bz2": frozenset({Kind.BZIP2}),
    "zst": frozenset({Kind.ZSTD}),
}


def base_name(path: str) -> str:
    """Return the part of a repository path behind its last ``/``."""
    return path.rpartition("/")[2]


def ending(path: str) -> str:
    """Return the part of a path's name behind its last dot, lower case, or the whole name.

    Loaders compare endings without regard to case on some systems, and so does this room.
    """
    return base_name(path).rpartition(".")[2].casefold().strip()


def agrees(kind: Kind, path: str) -> bool | None:
    """Tell whether ``kind`` is what the name promises; ``None`` when it promises nothing."""
    claimed = _CLAIMS.get(ending(path))
    return None if claimed is None else kind in claimed
