"""Tables of the catalog, one module a subject."""

from catalog.models.access_requests import AccessRequest, AccessRequestChange
from catalog.models.content import LfsObject, RepoLfsObject, StagedFile, Upload
from catalog.models.discussions import (
    Attachment,
    CommentVersion,
    Community,
    Discussion,
    DiscussionEvent,
)
from catalog.models.events import RepoEvent
from catalog.models.git import Commit, CommitPath, GitObject, Ref
from catalog.models.grants import Grant, GrantedRepo, GrantQuerySet
from catalog.models.listing import (
    BaseModelLink,
    Listing,
    ListingChange,
    ListingPrice,
    ListingText,
    ModelCard,
)
from catalog.models.locks import FileLock
from catalog.models.notices import Notice, NoticeSetting
from catalog.models.page_views import PageViews
from catalog.models.repo import Like, ModelRepo, RepoAlias, RepoQuerySet, RepoRedirect
from catalog.models.scan import FileScan
from catalog.models.social import Collection, CollectionItem, Follow, Upvote, Watch
from catalog.models.walks import StorageWalk
from catalog.models.webhooks import (
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookQuerySet,
    WebhookWatch,
)
from catalog.models.xet import DedupChunk, XetClaim, XetFile, XetFileXorb, Xorb

__all__ = [
    "AccessRequest",
    "AccessRequestChange",
    "Attachment",
    "BaseModelLink",
    "Collection",
    "CollectionItem",
    "CommentVersion",
    "Commit",
    "CommitPath",
    "Community",
    "DedupChunk",
    "Discussion",
    "DiscussionEvent",
    "FileLock",
    "FileScan",
    "Follow",
    "GitObject",
    "Grant",
    "GrantQuerySet",
    "GrantedRepo",
    "LfsObject",
    "Like",
    "Listing",
    "ListingChange",
    "ListingPrice",
    "ListingText",
    "ModelCard",
    "ModelRepo",
    "Notice",
    "NoticeSetting",
    "PageViews",
    "Ref",
    "RepoAlias",
    "RepoEvent",
    "RepoLfsObject",
    "RepoQuerySet",
    "RepoRedirect",
    "StagedFile",
    "StorageWalk",
    "Upload",
    "Upvote",
    "Watch",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookQuerySet",
    "WebhookWatch",
    "XetClaim",
    "XetFile",
    "XetFileXorb",
    "Xorb",
]
