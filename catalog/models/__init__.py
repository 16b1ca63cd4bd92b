"""Tables of the catalog, one module a subject."""

from catalog.models.content import LfsObject, RepoLfsObject, StagedFile, Upload
from catalog.models.git import Commit, CommitPath, GitObject, Ref
from catalog.models.listing import (
    BaseModelLink,
    Listing,
    ListingChange,
    ListingText,
    ModelCard,
)
from catalog.models.repo import Like, ModelRepo, RepoAlias, RepoQuerySet, RepoRedirect
from catalog.models.scan import FileScan
from catalog.models.walks import StorageWalk
from catalog.models.xet import DedupChunk, XetClaim, XetFile, XetFileXorb, Xorb

__all__ = [
    "BaseModelLink",
    "Commit",
    "CommitPath",
    "DedupChunk",
    "FileScan",
    "GitObject",
    "LfsObject",
    "Like",
    "Listing",
    "ListingChange",
    "ListingText",
    "ModelCard",
    "ModelRepo",
    "Ref",
    "RepoAlias",
    "RepoLfsObject",
    "RepoQuerySet",
    "RepoRedirect",
    "StagedFile",
    "StorageWalk",
    "Upload",
    "XetClaim",
    "XetFile",
    "XetFileXorb",
    "Xorb",
]
