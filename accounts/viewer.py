"""Who is asking: a person or nobody, through a browser or a token."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from django.conf import settings

from accounts.models import AccessToken, Membership, Namespace, Permission, Role, Scope, User
from accounts.reach import Reach, reach_of
from accounts.services.two_factor import has_two_factor
from store.core.errors import ForbiddenError, UnauthenticatedError

_IMPLIED = {
    Scope.ADMIN: frozenset(Scope),
    Scope.WRITE: frozenset({Scope.WRITE, Scope.READ}),
    Scope.READ: frozenset({Scope.READ}),
    Scope.BUY: frozenset({Scope.BUY, Scope.READ}),
}


_SCOPE_OF = {Permission.READ: Scope.READ}
"""What a token by scope needs for each permission; ``write`` where it is not named."""
_WRITERS = frozenset({Role.ADMIN, Role.WRITE})


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
        gave_second_factor: The browser's session began, or was confirmed, by a second factor.
    """

    user: User | None = None
    token: AccessToken | None = None
    address: str = field(default="", compare=False)
    gave_second_factor: bool = field(default=False, compare=False)

    @property
    def is_visitor(self) -> bool:
        """Nobody is signed in."""
        return self.user is None

    @property
    def is_staff(self) -> bool:
        """A member of staff who proved it: by two factors, unless the site needs none of them.

        In a browser, or with a token of scope ``admin`` that was made after such a proof.
        """
        if self.user is None or not self.user.is_staff or not self.may(Scope.ADMIN):
            return False
        return settings.ENV.staff_two_factor == "off" or self.passed_two_factor

    @cached_property
    def passed_two_factor(self) -> bool:
        """The person has two-factor authentication, and used it where this request comes from.

        That is the session, or the one their token was made in.
        """
        token = self.token
        is_given = self.gave_second_factor if token is None else token.by_second_factor
        return is_given and self.user is not None and has_two_factor(self.user)

    def may(self, scope: Scope) -> bool:
        """Whether the session or the token covers ``scope`` (rights on objects come on top).

        A fine-grained token covers none: it is good at the places it lists, and nowhere else.
        """
        if self.user is None or self.reach is not None:
            return False
        if self.token is None:
            return True
        return any(scope in _IMPLIED[Scope(held)] for held in self.token.scopes)

    def allows(self, permission: Permission, namespace_id: int, repo_id: str = "") -> bool:
        """Whether the session or the token covers ``permission`` at one place.

        Args:
            permission: What is to be done. Rights of the person come on top.
            namespace_id: In which name space.
            repo_id: Public id of the repository; empty: at the name space itself.
        """
        if self.reach is not None:
            return permission in self.reach.at(namespace_id, repo_id) | self.reach.everywhere
        return self.may(_SCOPE_OF.get(permission, Scope.WRITE))

    def identified(self) -> User:
        """Return the person, whatever their token reaches; ``require_at`` comes after it.

        Raises:
            UnauthenticatedError: nobody is signed in.
        """
        if self.user is None:
            raise UnauthenticatedError("Sign in, or send an access token, to do this.")
        return self.user

    def signed_in(self) -> User:
        """Return the person. A fine-grained token does not stand for the whole of them.

        Raises:
            UnauthenticatedError: nobody is signed in.
            MissingScopeError: the token is fine-grained.
        """
        user = self.identified()
        if self.reach is not None:
            raise MissingScopeError(
                "A fine-grained token cannot do this. Use a token that reads or writes everything.",
                scope=Scope.WRITE.value,
            )
        return user

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

    def require_at(self, permission: Permission, namespace_id: int, repo_id: str = "") -> User:
        """Return the person if ``permission`` is covered at one place; see ``allows``.

        Raises:
            UnauthenticatedError: nobody is signed in.
            MissingScopeError: the token does not cover it there.
        """
        if self.reach is None:
            return self.require(_SCOPE_OF.get(permission, Scope.WRITE))
        if not self.allows(permission, namespace_id, repo_id):
            raise MissingScopeError(
                f"This token lacks the permission '{permission.value}' here. Give it that in your"
                " settings.",
                scope=permission.value,
            )
        return self.identified()

    def require_somewhere(self, permission: Permission) -> User:
        """Return the person if ``permission`` is covered at any place at all.

        For what belongs to no place yet, such as a picture a comment will show.

        Raises:
            UnauthenticatedError: nobody is signed in.
            MissingScopeError: the token covers it nowhere.
        """
        reach = self.reach
        if reach is None:
            return self.require(_SCOPE_OF.get(permission, Scope.WRITE))
        places = [reach.everywhere, *reach.namespaces.values(), *reach.repos.values()]
        if not any(permission in held for held in places):
            raise MissingScopeError(
                f"This token lacks the permission '{permission.value}'. Give it that in your"
                " settings.",
                scope=permission.value,
            )
        return self.identified()

    @cached_property
    def reach(self) -> Reach | None:
        """Where the token reaches; ``None``: it is not fine-grained, or there is none."""
        if self.token is None or not self.token.is_fine_grained:
            return None
        return reach_of(self.token)

    @cached_property
    def person_roles(self) -> dict[int, Role]:
        """The person's role in each namespace they belong to, by namespace id, whatever the token.

        One query each.
        """
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

    @cached_property
    def roles(self) -> dict[int, Role]:
        """The person's role in each namespace the token reaches as a whole."""
        if self.reach is None:
            return self.person_roles
        listed = self.reach.namespaces
        return {pk: role for pk, role in self.person_roles.items() if pk in listed}

    @property
    def listed_repos(self) -> frozenset[str]:
        """Public ids of the repositories a fine-grained token lists one by one."""
        return frozenset(self.reach.repos) if self.reach is not None else frozenset()

    def role_in(self, namespace_id: int) -> Role | None:
        """Return the role in one namespace, ``None`` for strangers and where the token ends."""
        return self.roles.get(namespace_id)

    def role_at(self, namespace_id: int, repo_id: str) -> Role | None:
        """Return the role at one repository, ``None`` for strangers and where the token ends."""
        if repo_id in self.listed_repos:
            return self.person_roles.get(namespace_id)
        return self.role_in(namespace_id)

    def is_writer(self, namespace_id: int) -> bool:
        """Whether the person's role lets them publish there; what the token covers comes on top."""
        return self.person_roles.get(namespace_id) in _WRITERS

    def can_write(self, namespace_id: int) -> bool:
        """Whether role and token reach let them publish there (a token's scope comes on top)."""
        return self.is_writer(namespace_id) and namespace_id in self.roles


VISITOR = Viewer()
"""Nobody in particular."""
