"""JSON of the hub protocol. Fields and spellings are the wire contract's."""

from collections.abc import Iterable
from typing import Any

from accounts.models import AccessToken, Organization, User
from catalog.formats.kinds import Kind
from catalog.history.trees import Entry
from catalog.models import AccessRequest, Commit, FileScan, Listing, ModelRepo, Webhook
from catalog.services.access_lists import email_of
from catalog.services.token_reach import places_of
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
        "email": user.email if shows_email(token) else None,
        "emailVerified": True,
        "canPay": False,
        "isPro": False,
        "periodEnd": None,
        "billingMode": "postpaid",
        "avatarUrl": avatar(user.username),
        "orgs": [_org(item.organization, item.role) for item in memberships],
    }
    if token is not None:
        access: dict[str, Any] = {
            "displayName": token.name,
            "role": token.role,
            "createdAt": iso(token.created_at),
        }
        if token.expires_at is not None:
            access["expiresAt"] = iso(token.expires_at)
        if token.is_fine_grained:
            access["fineGrained"] = fine_grained(token)
        body["auth"] = {"type": "access_token", "accessToken": access}
    return body


def userinfo(base: str, user: User, token: AccessToken | None) -> dict[str, Any]:
    """Who the person is, in the words of OpenID Connect and the hub."""
    memberships = user.memberships.select_related("organization").order_by("organization__name")
    body: dict[str, Any] = {
        "sub": user.public_id,
        "name": user.display_name,
        "preferred_username": user.username,
        "profile": f"{base}/{user.username}",
        "picture": f"{base}{avatar(user.username)}",
        "isPro": False,
        "orgs": [
            {
                "sub": item.organization.public_id,
                "name": item.organization.display_name,
                "preferred_username": item.organization.name,
                "picture": f"{base}{avatar(item.organization.name)}",
                "isEnterprise": False,
                "roleInOrg": item.role,
            }
            for item in memberships
        ],
    }
    if shows_email(token):
        body |= {"email": user.email, "email_verified": True}
    return body


def shows_email(token: AccessToken | None) -> bool:
    """Whether the person agreed that this program learns their address."""
    return token is None or token.session is None or token.session.shows_email


def fine_grained(token: AccessToken) -> dict[str, Any]:
    """What a fine-grained token reaches."""
    return {
        "canReadGatedRepos": token.reaches_gated,
        "global": list(token.global_permissions),
        "scoped": [
            {
                "entity": {"_id": place.public_id, "type": place.kind, "name": place.name},
                "permissions": [permission.value for permission in place.permissions],
            }
            for place in places_of(token)
        ],
    }


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


def tree_entry(
    entry: Entry,
    last: Commit | None = None,
    *,
    scan: dict[str, Any] | None = None,
    xet_hash: str | None = None,
) -> dict[str, Any]:
    """One line of a tree, or of paths-info; ``scan`` as ``file_status`` makes it."""
    body: dict[str, Any] = {
        "type": "directory" if entry.is_folder else "file",
        "oid": entry.oid,
        "size": entry.size_bytes,
        "path": entry.path,
    }
    if entry.lfs is not None:
        body["lfs"] = lfs_of(entry)
    if xet_hash is not None:
        body["xetHash"] = xet_hash
    if last is not None:
        body["lastCommit"] = {
            "id": last.oid,
            "title": last.title,
            "date": iso(last.authored_at),
        }
    if scan is not None and not entry.is_folder:
        body["securityFileStatus"] = scan
    return body


_STATUS = {
    FileScan.Verdict.CLEAN: "safe",
    FileScan.Verdict.UNKNOWN: "unscanned",
    FileScan.Verdict.UNSAFE: "unsafe",
    FileScan.Verdict.PENDING: "queued",
    FileScan.Verdict.ERROR: "error",
}
"""Our verdicts in the hub's words; of what no reader knows, nothing was found out."""
_PICKLES = {Kind.PICKLE, Kind.COMPRESSED_PICKLE, Kind.TORCH_ZIP}


def file_status(scan: FileScan | None) -> dict[str, Any]:
    """What the scanner thinks of a file; all three keys are required."""
    if scan is None:
        return {"status": "queued", "avScan": None, "pickleImportScan": None}
    return {
        "status": _STATUS[FileScan.Verdict(scan.verdict)],
        "avScan": None,
        "pickleImportScan": _pickle_scan(scan) if scan.kind in _PICKLES else None,
    }


def _pickle_scan(scan: FileScan) -> dict[str, Any]:
    facts = (scan.report or {}).get("facts") or {}
    is_harmless = scan.verdict in FileScan.SERVED
    safety = "innocuous" if is_harmless else "dangerous"
    imports = [str(name).rpartition(".") for name in facts.get("imports", [])]
    return {
        "status": safety,
        "pickleImports": [
            {"module": module, "name": name, "safety": safety} for module, _dot, name in imports
        ],
        "version": scan.scanner_version,
    }


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
    """The gate as clients know it; a model that is sold opens after a purchase."""
    if repo.is_sold:
        return ModelRepo.Gate.MANUAL.value
    return False if repo.gate == ModelRepo.Gate.NONE else repo.gate


def trending(listing: Listing) -> int:
    """The trending score, a whole number on the wire."""
    return round(listing.trending)


def person(user: User) -> dict[str, Any]:
    """Somebody, as others see them."""
    return {
        "_id": user.public_id,
        "user": user.username,
        "fullname": user.display_name,
        "avatarUrl": avatar(user.username),
        "type": "user",
        "isPro": False,
    }


def access_request(request: AccessRequest) -> dict[str, Any]:
    """A request for a gated model, as its publisher sees it."""
    body: dict[str, Any] = {
        "requestId": request.public_id,
        "status": request.status,
        "timestamp": iso(request.asked_at),
        "user": person(request.user) | optional(email=email_of(request)),
    }
    if request.decided_by is not None:
        body["grantedBy"] = person(request.decided_by)
    return body | optional(fields=dict(request.answers), rejectionReason=request.reason)


def list_item(repo: ModelRepo, listing: Listing) -> dict[str, Any]:
    """A model in a list, default form."""
    body: dict[str, Any] = {
        "_id": repo.public_id,
        "id": repo.full_name,
        "modelId": repo.full_name,
        "likes": listing.likes,
        "trendingScore": trending(listing),
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
