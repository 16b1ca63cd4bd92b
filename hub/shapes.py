"""JSON of the hub protocol. Fields and spellings are the wire contract's."""

from collections.abc import Iterable
from typing import Any

from accounts.models import AccessToken, Organization, User
from catalog.history.trees import Entry
from catalog.models import Commit, Listing, ModelRepo, Webhook
from store.core.clock import iso


def avatar(name: str) -> str:
    """Return the address of somebody's picture."""
    return f"/avatars/{name}.svg"


def whoami(user: User, token: AccessToken | None) -> dict[str, Any]:
    """Who the caller is, with every organization."""
    memberships = user.memberships.select_related("organization").order_by("organization__name")
    body: dict[str, Any] = {
        "type": "user",
        "id": user.public_id,
        "name": user.username,
        "fullname": user.display_name,
        "email": user.email,
        "emailVerified": True,
        "canPay": False,
        "isPro": False,
        "periodEnd": None,
        "billingMode": "postpaid",
        "avatarUrl": avatar(user.username),
        "orgs": [_org(item.organization, item.role) for item in memberships],
    }
    if token is not None:
        access = {
            "displayName": token.name,
            "role": token.role,
            "createdAt": iso(token.created_at),
        }
        if token.expires_at is not None:
            access["expiresAt"] = iso(token.expires_at)
        body["auth"] = {"type": "access_token", "accessToken": access}
    return body


def _org(organization: Organization, role: str) -> dict[str, Any]:
    return {
        "type": "org",
        "id": organization.public_id,
        "name": organization.name,
        "fullname": organization.display_name,
        "email": None,
        "canPay": False,
        "periodEnd": None,
        "avatarUrl": avatar(organization.name),
        "isEnterprise": False,
        "roleInOrg": role,
    }


def tree_entry(entry: Entry, last: Commit | None = None) -> dict[str, Any]:
    """One line of a tree, or of paths-info."""
    body: dict[str, Any] = {
        "type": "directory" if entry.is_folder else "file",
        "oid": entry.oid,
        "size": entry.size_bytes,
        "path": entry.path,
    }
    if entry.lfs is not None:
        body["lfs"] = lfs_of(entry)
    if last is not None:
        body["lastCommit"] = {
            "id": last.oid,
            "title": last.title,
            "date": iso(last.authored_at),
        }
    return body


def lfs_of(entry: Entry) -> dict[str, Any]:
    """What a tree says of an LFS file."""
    assert entry.lfs is not None  # noqa: S101
    return {
        "oid": entry.lfs.sha256,
        "size": entry.lfs.size_bytes,
        "pointerSize": entry.pointer_size_bytes,
    }


def sibling(entry: Entry, *, with_blobs: bool) -> dict[str, Any]:
    """One file of a model's info."""
    body: dict[str, Any] = {"rfilename": entry.path}
    if with_blobs:
        body |= {"size": entry.size_bytes, "blobId": entry.oid}
        if entry.lfs is not None:
            body["lfs"] = {
                "sha256": entry.lfs.sha256,
                "size": entry.lfs.size_bytes,
                "pointerSize": entry.pointer_size_bytes,
            }
    return body


def commit_item(commit: Commit, *, formatted: bool) -> dict[str, Any]:
    """One line of a history."""
    body: dict[str, Any] = {
        "id": commit.oid,
        "title": commit.title,
        "message": commit.message,
        "authors": [{"user": commit.author, "avatar": avatar(commit.author)}],
        "date": iso(commit.authored_at),
    }
    if formatted:
        from catalog.cards.rendering import render_text

        body["formatted"] = {
            "title": render_text(commit.title),
            "message": render_text(commit.message),
        }
    return body


def gated(repo: ModelRepo) -> str | bool:
    """The gate as clients know it."""
    return False if repo.gate == ModelRepo.Gate.NONE else repo.gate


def list_item(repo: ModelRepo, listing: Listing) -> dict[str, Any]:
    """A model in a list, default form."""
    body: dict[str, Any] = {
        "_id": repo.public_id,
        "id": repo.full_name,
        "modelId": repo.full_name,
        "likes": listing.likes,
        "trendingScore": listing.trending,
        "private": repo.is_private,
        "downloads": listing.downloads,
        "tags": listing.tags,
        "createdAt": iso(repo.created_at),
    }
    return body | optional(pipeline_tag=listing.pipeline_tag, library_name=listing.library)


def webhook(item: Webhook, *, secret: str | None = None, key: str = "") -> dict[str, Any]:
    """A webhook. Its secret stands only in the answer to the call that set it.

    Args:
        item: The row.
        secret: What was just set.
        key: What deliveries are signed with, if it was just made; no word of the hub's.
    """
    watches = [{"type": watch.kind, "name": watch.name} for watch in item.watches.all()]
    body = {
        "id": item.public_id,
        "url": item.url,
        "watched": watches,
        "domains": item.domains,
        "disabled": item.is_disabled,
    }
    return body | optional(secret=secret, signingKey=key, disabledReason=item.disabled_for)


def optional(**values: Any) -> dict[str, Any]:
    """Return the values that say something: absent beats empty on the wire."""
    return {name: value for name, value in values.items() if value not in ("", None, [], {})}


def names(entries: Iterable[Entry]) -> list[Entry]:
    """Return the files among ``entries``."""
    return [entry for entry in entries if not entry.is_folder]
