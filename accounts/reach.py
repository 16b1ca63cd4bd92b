"""Where a fine-grained token reaches, read once for a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from accounts.models import AccessToken
from accounts.token_grants import Permission

Permissions = frozenset[Permission]
NOTHING: Permissions = frozenset()


@dataclass(frozen=True, slots=True)
class Reach:
    """What one fine-grained token may do, and where. Rights of its owner come on top."""

    namespaces: Mapping[int, Permissions] = field(default_factory=dict)
    """By id of a name space."""
    repos: Mapping[str, Permissions] = field(default_factory=dict)
    """By public id of a repository."""
    everywhere: Permissions = NOTHING
    """At every repository the owner sees: taking part in discussions, or nothing."""
    has_gated: bool = False
    """Reads the contents of gated and bought models that are open to the owner."""

    def at(self, namespace_id: int, repo_id: str = "") -> Permissions:
        """Return what the token may do at a name space, or at a repository in it."""
        held = self.namespaces.get(namespace_id, NOTHING)
        return held | self.repos.get(repo_id, NOTHING) if repo_id else held


def reach_of(token: AccessToken) -> Reach:
    """Read what ``token`` reaches. One query."""
    namespaces: dict[int, Permissions] = {}
    repos: dict[str, Permissions] = {}
    for grant in token.grants.all():
        held = frozenset(Permission(each) for each in grant.permissions) | {Permission.READ}
        if grant.namespace_id is not None:
            namespaces[grant.namespace_id] = held
        else:
            repos[grant.repo_id] = held
    everywhere = frozenset(Permission(each) for each in token.global_permissions)
    return Reach(namespaces, repos, everywhere, has_gated=token.reaches_gated)
