"""JSON of likes, people, organizations and collections (contract 13, 15, 17)."""

from typing import Any

from django.utils.html import escape

from accounts.models import Namespace, Organization, User
from catalog.models import Collection, CollectionItem, Like
from catalog.services.collection_items import Placed
from catalog.services.overviews import Figures
from hub import shapes
from store.core.clock import iso


def person(user: User, *, is_following: bool = False) -> dict[str, Any]:
    """One person of a list."""
    return {
        "_id": user.public_id,
        "user": user.username,
        "fullname": user.display_name,
        "avatarUrl": shapes.avatar(user.username),
        "type": "user",
        "isPro": False,
        "isFollowing": is_following,
    }


def organization(found: Organization) -> dict[str, Any]:
    """One organization of a person."""
    return {
        "_id": found.public_id,
        "name": found.name,
        "fullname": found.display_name,
        "avatarUrl": shapes.avatar(found.name),
        "type": "org",
    }


def user_overview(user: User, figures: Figures, orgs: list[Organization]) -> dict[str, Any]:
    """One person in figures."""
    body = person(user, is_following=figures.is_followed) | {
        "createdAt": iso(user.date_joined),
        "numModels": figures.models,
        "numDatasets": 0,
        "numSpaces": 0,
        "numDiscussions": figures.discussions,
        "numPapers": 0,
        "numUpvotes": figures.upvotes,
        "numLikes": figures.likes,
        "numFollowers": figures.followers,
        "numFollowing": figures.following,
        "numFollowingOrgs": figures.following_organizations,
        "orgs": [organization(org) for org in orgs],
    }
    return body | shapes.optional(details=user.bio)


def organization_overview(found: Organization, figures: Figures) -> dict[str, Any]:
    """One organization in figures."""
    body = organization(found) | {
        "isVerified": False,
        "isFollowing": figures.is_followed,
        "numUsers": figures.members,
        "numModels": figures.models,
        "numDatasets": 0,
        "numSpaces": 0,
        "numFollowers": figures.followers,
        "numPapers": 0,
    }
    return body | shapes.optional(details=found.bio)


def like(found: Like) -> dict[str, Any]:
    """One model somebody likes."""
    return {
        "createdAt": iso(found.created_at),
        "repo": {"name": found.repo.full_name, "type": "model"},
    }


def collection(found: Collection, items: list[Placed], origin: str) -> dict[str, Any]:
    """A collection by itself: with its own ``position``, which clients demand here."""
    return listed_collection(found, items, origin) | {"position": found.position}


def listed_collection(found: Collection, items: list[Placed], origin: str) -> dict[str, Any]:
    """A collection in a list: clients number these themselves and refuse a ``position``."""
    body: dict[str, Any] = {
        "slug": found.slug,
        "title": found.title,
        "owner": _owner(found.namespace),
        "items": [_item(placed) for placed in items],
        "lastUpdated": iso(found.updated_at),
        "private": found.is_private,
        "theme": found.theme,
        "upvotes": found.upvotes,
        "gating": False,
        "shareUrl": f"{origin}/collections/{found.slug}",
    }
    return body | shapes.optional(description=found.description)


def _owner(namespace: Namespace) -> dict[str, Any]:
    owner = namespace.owner
    body: dict[str, Any] = {
        "name": namespace.name,
        "fullname": owner.display_name if owner else namespace.name,
        "avatarUrl": shapes.avatar(namespace.name),
        "type": "user" if namespace.user_id else "org",
    }
    return body | ({"_id": owner.public_id} if owner else {})


def _item(placed: Placed) -> dict[str, Any]:
    item = placed.item
    body: dict[str, Any] = {"_id": item.public_id, "position": placed.position}
    body |= _model(item) if item.repo is not None else _child(item)
    if item.note:
        body["note"] = {"text": item.note, "html": escape(item.note)}
    return body


def _model(item: CollectionItem) -> dict[str, Any]:
    repo = item.repo
    assert repo is not None  # noqa: S101
    listing = repo.listing
    body: dict[str, Any] = {
        "id": repo.full_name,
        "type": "model",
        "author": repo.namespace.name,
        "downloads": listing.downloads,
        "likes": listing.likes,
        "lastModified": iso(repo.updated_at),
        "private": repo.is_private,
        "gated": shapes.gated(repo),
        "repoType": "model",
    }
    return body | shapes.optional(pipeline_tag=listing.pipeline_tag)


def _child(item: CollectionItem) -> dict[str, Any]:
    child = item.child
    assert child is not None  # noqa: S101
    return {
        "id": child.public_id,
        "type": "collection",
        "slug": child.slug,
        "title": child.title,
        "theme": child.theme,
        "upvotes": child.upvotes,
        "lastUpdated": iso(child.updated_at),
    }
