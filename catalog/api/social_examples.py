"""Real answers, shortened, for the REST API's description; each is tested against its schema."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_SLUG = "ada/small-models-6925f0a1b2c3d4e5f6a7b8c9"
_COLLECTION: dict[str, Any] = {
    "slug": _SLUG,
    "url": f"https://store.example/collections/{_SLUG}",
    "title": "Small models",
    "description": "For phones.",
    "owner": "ada",
    "is_private": False,
    "theme": "green",
    "position": 0,
    "upvotes": 3,
    "size": 1,
    "items": [
        {
            "id": "6925f0a1b2c3d4e5f6a7b8ca",
            "type": "model",
            "name": "regency/austen-gpt2-small",
            "note": "Where to begin.",
            "position": 0,
        }
    ],
    "updated_at": "2026-11-25T19:13:08.471377Z",
}
_NOTICE: dict[str, Any] = {
    "id": 12,
    "kind": "discussion",
    "text": "bob opened a discussion about ada/tiny: Does it know French?",
    "url": "https://store.example/ada/tiny/discussions/1",
    "model": "ada/tiny",
    "is_read": False,
    "created_at": "2026-11-25T19:13:08.471377Z",
}
_WISH = {"in_site": True, "by_mail": False}


def _answer(name: str, value: Any, *statuses: str) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=statuses or ("200",))


def _body(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


OWNERS = _answer(
    "Two",
    {
        "results": [
            {"name": "ada", "full_name": "Ada Publisher", "is_organization": False},
            {"name": "regency", "full_name": "Regency Models", "is_organization": True},
        ],
        "next": None,
    },
)
FIGURES = _answer(
    "A person",
    {
        "name": "ada",
        "is_organization": False,
        "models": 3,
        "collections": 1,
        "upvotes": 3,
        "likes": 12,
        "followers": 41,
        "following": 7,
        "following_organizations": 1,
        "members": 0,
        "is_followed": False,
    },
)
ACTIVITY = _answer(
    "Commits",
    {
        "results": [
            {
                "at": "2026-11-25T19:13:08.471377Z",
                "actor": "ada",
                "scope": "repo.content",
                "action": "update",
                "model": "regency/austen-gpt2-small",
                "title": "",
                "count": 3,
                "url": "https://store.example/regency/austen-gpt2-small/commit/"
                "cb4140ed35905615e3243c1b1e84335458b421ba",
            }
        ],
        "next": "WzQxXQ",
    },
)
COLLECTIONS = _answer("One page", {"results": [_COLLECTION], "next": None})
COLLECTION = _answer("A collection", _COLLECTION, "200", "201")
NEW_COLLECTION = _body("New", {"title": "Small models", "theme": "green"})
CHANGED_COLLECTION = _body("Hide it", {"is_private": True})
NEW_ITEM = _body("A model", {"name": "regency/austen-gpt2-small", "note": "Where to begin."})
CHANGED_ITEM = _body("To the top", {"position": 0})
NOTICES = _answer("One page", {"results": [_NOTICE], "next": None, "unread": 1})
NOTICE = _answer("Seen", _NOTICE | {"is_read": True})
READ_BODY = _body("Seen", {"is_read": True})
READ = _answer("All", {"marked": 3})
WISHES = _answer(
    "As they start",
    {
        "discussion": {"in_site": True, "by_mail": True},
        "comment": {"in_site": True, "by_mail": True},
        "access": {"in_site": True, "by_mail": True},
        "follower": _WISH,
        "revision": _WISH,
    },
)
WISHES_BODY = _body("Mail of new revisions", {"revision": {"in_site": True, "by_mail": True}})
WATCH = _answer("Watched", {"model": "ada/tiny", "level": "watch"})
WATCH_BODY = _body("Everything", {"level": "watch"})
LIKE = _answer("Liked", {"model": "ada/tiny", "liked": True, "likes": 41})
