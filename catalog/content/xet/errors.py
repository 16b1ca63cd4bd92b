"""What can be wrong with what a Xet client sends."""

from store.core.errors import InvalidError


class XetFormatError(InvalidError):
    """A xorb or shard breaks a rule of its format; nothing of it is kept."""

    code = "malformed_xet"


class XetProofError(InvalidError):
    """A hash is not that of the content it stands for; nothing of it is kept."""

    code = "xet_hash_mismatch"
