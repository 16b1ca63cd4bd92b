"""Signing in with a name or an e-mail address."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.models import User
from accounts.services.people import find_person


class NameOrEmailBackend(ModelBackend):
    """Finds people by either; an unknown name costs as much time as a wrong password."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        if not username or not password or len(password) > 256:
            return None
        user = find_person(username)
        if user is None:
            User().set_password(password)  # the same hashing work as for a known name
            return None
        if user.check_password(password) and self.user_can_authenticate(user):
            return user
        return None
