"""``adduser`` and ``addorg``."""

import io

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Organization, User
from accounts.services.tokens import authenticate

COMMON = ["--email", "eve@example.org", "--password", "correct horse 77"]


def run(*args: str) -> str:
    out = io.StringIO()
    call_command(*args, stdout=out)
    return out.getvalue().strip()


@pytest.mark.django_db
def test_adduser_creates_updates_and_prints_a_token() -> None:
    assert run("adduser", "eve", *COMMON) == "User eve is ready."
    token = run("adduser", "EVE", *COMMON, "--full-name", "Eve", "--staff", "--token", "write")

    user = User.objects.get()
    assert (user.full_name, user.is_staff) == ("Eve", True)
    assert authenticate(token).user == user
    run("adduser", "eve", "--email", "e2@example.org", "--password", "something else 5")
    user.refresh_from_db()
    assert user.check_password("something else 5")
    assert user.is_staff


@pytest.mark.django_db
def test_adduser_refuses_with_a_reason() -> None:
    with pytest.raises(CommandError, match="uses itself"):
        run("adduser", "admin", *COMMON)
    assert User.objects.count() == 0


@pytest.mark.django_db
def test_addorg_sets_members() -> None:
    run("adduser", "eve", *COMMON)

    run("addorg", "acme", "--full-name", "Acme", "--member", "eve:admin", "--private-by-default")
    run("addorg", "ACME", "--member", "eve:admin")

    acme = Organization.objects.get()
    assert (acme.full_name, acme.is_private_by_default) == ("Acme", False)
    assert acme.memberships.get().role == "admin"
    for member in ("eve:boss", "nobody:read", "eve"):
        with pytest.raises(CommandError):
            run("addorg", "acme", "--member", member)
    with pytest.raises(CommandError, match="admin first"):
        run("addorg", "acme", "--member", "eve:read")
    with pytest.raises(CommandError, match="taken"):
        run("addorg", "eve")
