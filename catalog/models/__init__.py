"""Tables of the catalog, one module a subject."""

from catalog.models.content import LfsObject, RepoLfsObject, StagedFile, Upload
from catalog.models.events import RepoEvent
from catalog.models.git import Commit, CommitPath, GitObject, Ref
from catalog.models.listing import (
    BaseModelLink,
    Listing,
    ListingChange,
    ListingText,
    ModelCard,
)
from catalog.models.notices import Notice, NoticeSetting
from catalog.models.repo import Like, ModelRepo, RepoAlias, RepoQuerySet, RepoRedirect
from catalog.models.scan import FileScan
from catalog.models.social import Collection, CollectionItem, Follow, Upvote, Watch

__all__ = [
    "BaseModelLink",
    "Collection",
    "CollectionItem",
    "Commit",
    "CommitPath",
    "FileScan",
    "Follow",
    "GitObject",
    "LfsObject",
    "Like",
    "Listing",
    "ListingChange",
    "ListingText",
    "ModelCard",
    "ModelRepo",
    "Notice",
    "NoticeSetting",
    "Ref",
    "RepoAlias",
    "RepoEvent",
    "RepoLfsObject",
    "RepoQuerySet",
    "RepoRedirect",
    "StagedFile",
    "Upload",
    "Upvote",
    "Watch",
]
