"""Rules for the names of people, organizations and repositories."""

import re

from django.utils.translation import gettext as _

from store.core.errors import ConflictError, InvalidError

RESERVED = frozenset(
    [
        "_components",
        "_blobs",
        ".well-known",
        "about",
        "account",
        "accounts",
        "admin",
        "api",
        "apps",
        "assets",
        "auth",
        "avatars",
        "blog",
        "buckets",
        "cart",
        "checkout",
        "collections",
        "compare",
        "components",
        "contact",
        "dashboard",
        "datasets",
        "docs",
        "download",
        "explore",
        "favicon.ico",
        "feed",
        "gateways",
        "healthz",
        "help",
        "how-it-works",
        "home",
        "inference",
        "invoices",
        "jobs",
        "join",
        "kernels",
        "language",
        "leaderboards",
        "legal",
        "library",
        "login",
        "logout",
        "me",
        "metrics",
        "models",
        "new",
        "null",
        "none",
        "notifications",
        "oauth",
        "orders",
        "organizations",
        "orgs",
        "papers",
        "password-reset",
        "playground",
        "pricing",
        "privacy",
        "publish",
        "readyz",
        "root",
        "robots.txt",
        "runs",
        "sandbox",
        "sales",
        "search",
        "security",
        "settings",
        "shared",
        "signup",
        "spaces",
        "staff",
        "static",
        "status",
        "store",
        "support",
        "system",
        "tasks",
        "terms",
        "theme",
        "undefined",
        "uploads",
        "user",
        "users",
        "v1",
        "v2",
        "webhooks",
        "xet",
    ]
)
"""First path segments that pages and protocols use; nobody can be called so."""

MAX_CHARS = 96
_SHAPE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?", re.ASCII)


class InvalidNameError(InvalidError):
    """The name breaks a rule; the message says which."""

    code = "invalid_name"


class NameTakenError(ConflictError):
    """Somebody has, or had, this name."""

    code = "name_taken"


def check_repo_name(name: str) -> str:
    """Return ``name`` if a repository may be called so (the hub clients' own rule).

    Raises:
        InvalidNameError: it may not, with the reason.
    """
    if not 1 <= len(name) <= MAX_CHARS or not _SHAPE.fullmatch(name):
        raise InvalidNameError(
            _(
                "A name has 1 to %(most)d letters, digits, '-', '_' or '.', and starts and ends"
                " with a letter, a digit or '_'."
            )
            % {"most": MAX_CHARS}
        )
    if "--" in name or ".." in name:
        raise InvalidNameError(_("A name cannot contain '--' or '..'."))
    if name.lower().endswith((".git", ".ipynb")):
        raise InvalidNameError(_("A name cannot end with '.git' or '.ipynb'."))
    return name


def check_namespace_name(name: str) -> str:
    """Return ``name`` if a person or an organization may be called so.

    Raises:
        InvalidNameError: it may not, with the reason.
    """
    check_repo_name(name)
    if len(name) < 2 or len(name) > 42:
        raise InvalidNameError(_("A user or organization name has 2 to 42 characters."))
    if name.lower() in RESERVED:
        raise InvalidNameError(
            _("'%(name)s' is a word the store uses itself. Choose another name.") % {"name": name}
        )
    return name
