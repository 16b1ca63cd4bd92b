"""Tables of the catalog, one module a subject."""

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
from catalog.models.listing import (
    BaseModelLink,
    Listing,
    ListingChange,
    ListingText,
    ModelCard,
)
from catalog.models.repo import Like, ModelRepo, RepoAlias, RepoQuerySet, RepoRedirect
from catalog.models.scan import FileScan
from catalog.models.webhooks import (
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookQuerySet,
    WebhookWatch,
)

__all__ = [
    "Attachment",
    "BaseModelLink",
    "CommentVersion",
    "Commit",
    "CommitPath",
    "Community",
    "Discussion",
    "DiscussionEvent",
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
    "RepoEvent",
    "RepoLfsObject",
    "RepoQuerySet",
    "RepoRedirect",
    "StagedFile",
    "Upload",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookQuerySet",
    "WebhookWatch",
]
