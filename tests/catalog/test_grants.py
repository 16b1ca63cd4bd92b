"""Grants in force: one rule, asked in SQL and of rows that were read."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from accounts.models import User
from accounts.viewer import Viewer
from catalog.access import grants_in_force
from catalog.models import Grant, GrantedRepo
from catalog.models.grants import CLOCKS_DIFFER
from tests.factories import make_repo

NOW = datetime(2027, 3, 9, 12, tzinfo=UTC)
EDGES = (-timedelta(microseconds=1), timedelta(0), timedelta(microseconds=1))


@pytest.mark.django_db
def test_sql_and_rows_agree_at_every_edge(alice: User) -> None:
    starts = [at + edge for at in (NOW, NOW + CLOCKS_DIFFER) for edge in EDGES]
    ends = [None, *(NOW + edge for edge in EDGES)]
    possible = [
        each for each in product(Grant.State, starts, ends) if not each[2] or each[1] <= each[2]
    ]
    made = [
        Grant.objects.create(holder=alice.namespace, state=state, starts_at=start, ends_at=end)
        for state, start, end in possible
    ]

    in_sql = set(Grant.objects.in_force(NOW).values_list("pk", flat=True))

    assert in_sql == {grant.pk for grant in made if grant.is_in_force(NOW)}
    assert len(in_sql) == 5 + 3  # active; begun by some clock; for ever, or a moment longer


@pytest.mark.django_db
def test_a_person_has_their_own_grants_and_their_teams(alice: User, bob: User) -> None:
    repo, other = make_repo(bob), make_repo(bob, "other")
    mine = Grant.objects.create(holder=alice.namespace)
    ended = Grant.objects.create(holder=alice.namespace, state=Grant.State.REVOKED)
    elsewhere = Grant.objects.create(holder=alice.namespace)
    strangers = Grant.objects.create(holder=bob.namespace)
    for grant, opened in [(mine, repo), (ended, repo), (elsewhere, other), (strangers, repo)]:
        GrantedRepo.objects.create(grant=grant, repo=opened, commit_oid="0" * 40)

    found = grants_in_force(Viewer(user=alice), repo)

    assert [row.grant_id for row in found] == [mine.pk]
    assert grants_in_force(Viewer(), repo) == []
