"""Who is asking: a person or nobody, through a browser or a token."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from accounts.models import AccessToken, Membership, Namespace, Role, Scope, User
from store.core.errors import ForbiddenError, UnauthenticatedError

_IMPLIED = {
    Scope.ADMIN: frozenset(Scope),
    Scope.WRITE: frozenset({Scope.WRITE, Scope.READ}),
    Scope.READ: frozenset({Scope.READ}),
    Scope.BUY: frozenset({Scope.BUY, Scope.READ}),
}


class MissingScopeError(ForbiddenError):
    """The token is valid but was not made for this."""

    code = "missing_scope"


@dataclass(frozen=True)
class Viewer:
    """The caller of one request or one command.

    Args:
        user: The person, or ``None`` for a visitor.
        token: The token that was sent; ``None`` in a browser session and in commands.
        address: The caller's IP address, for limits and the audit trail.
        is_browser: The person came with a session cookie.
    """

    user: User | None = None
    token: AccessToken | None = None
    address: str = field(default="", compare=False)

    @property
    def is_visitor(self) -> bool:
        """Nobody is signed in."""
        return self.user is None

    @property
    def is_staff(self) -> bool:
        """A member of staff, acting in a browser or with an ``admin`` token."""
        return self.user is not None and self.user.is_staff and self.may(Scope.ADMIN)

    def may(self, scope: Scope) -> bool:
        """Whether the session or the token covers ``scope`` (rights on objects come on top)."""
        if self.user is None:
            return False
        if self.token is None:
            return True
        return any(scope in _IMPLIED[Scope(held)] for held in self.token.scopes)

    def signed_in(self) -> User:
        """Return the person.

        Raises:
            UnauthenticatedError: nobody is signed in.
        """
        if self.user is None:
            raise UnauthenticatedError("Sign in, or send an access token, to do this.")
        return self.user

    def require(self, scope: Scope) -> User:
        """Return the person if ``scope`` is covered.

        Raises:
            UnauthenticatedError: nobody is signed in.
            MissingScopeError: the token does not cover it.
        """
        user = self.signed_in()
        if not self.may(scope):
            raise MissingScopeError(
                f"This token lacks the scope '{scope.value}'. Make one with it in your settings.",
                scope=scope.value,
            )
        return user

    @cached_property
    def roles(self) -> dict[int, Role]:
        """The person's role in each namespace they belong to, by namespace id. One query each."""
        if self.user is None:
            return {}
        roles = dict.fromkeys(
            Namespace.objects.filter(user=self.user).values_list("pk", flat=True), Role.ADMIN
        )
        rows = Membership.objects.filter(user=self.user).values_list(
            "organization__namespace__pk", "role"
        )
        roles.update({pk: Role(role) for pk, role in rows if pk is not None})
        return roles

    def role_in(self, namespace_id: int) -> Role | None:
        """Return the role in one namespace, ``None`` for strangers."""
        return self.roles.get(namespace_id)

    def can_write(self, namespace_id: int) -> bool:
        """Whether the person's role lets them publish there (the token's scope comes on top)."""
        return self.role_in(namespace_id) in {Role.ADMIN, Role.WRITE}


VISITOR = Viewer()
"""Nobody in particular."""
