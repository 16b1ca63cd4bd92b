"""Which contents somebody may have: the rule for one repository and the query say the same."""

from itertools import product

import pytest

from accounts.models import Permission, Scope, User
from accounts.services.tokens import NewReach, create_token
from accounts.viewer import VISITOR, Viewer
from catalog.access import may_see_contents, open_repos
from catalog.models import AccessRequest, ModelRepo
from tests.factories import make_org, make_repo, make_user, proved_viewer

READ = frozenset({Permission.READ})
GATES = ("none", "auto", "manual")


@pytest.fixture
def repos(alice: User, bob: User) -> list[ModelRepo]:
    """Every gate, public and private, up and taken down: alice's, her team's and bob's."""
    make_org("acme", alice="read", bob="admin")
    made = []
    for number, (gate, is_private, is_down) in enumerate(product(GATES, (False, True), (0, 1))):
        for owner, namespace in ((alice, None), (bob, None), (bob, "acme")):
            repo = make_repo(owner, f"m{number}", namespace=namespace, is_private=is_private)
            repo.gate, repo.disabled_reason = gate, "stolen" if is_down else ""
            repo.save()
            made.append(repo)
    return made


def viewers(alice: User, repos: list[ModelRepo]) -> dict[str, Viewer]:
    bobs = next(each for each in repos if each.full_name == "bob/m4")  # public, gated
    hers = next(each for each in repos if each.full_name == "alice/m6")  # private, gated
    listed = {bobs.public_id: READ, hers.public_id: READ}
    reaches = {
        "of talking": NewReach(everywhere=frozenset({Permission.DISCUSS})),
        "of gated ones": NewReach(has_gated=True),
        "of two": NewReach(repos=listed),
        "of her own": NewReach(namespaces={hers.namespace_id: READ}),
        "of all that": NewReach({hers.namespace_id: READ}, listed, has_gated=True),
    }
    found = {
        "visitor": VISITOR,
        "alice": Viewer(user=alice),
        "stranger": Viewer(user=make_user("dora")),
        "staff": proved_viewer(make_user("carol", is_staff=True)),
        "reader": Viewer(user=alice, token=create_token(alice, name="r", scopes=[Scope.READ])[0]),
    }
    for name, reach in reaches.items():
        token, _ = create_token(alice, name=name, scopes=[], reach=reach)
        found[name] = Viewer(user=alice, token=token)
    return found


def test_the_query_and_the_rule_agree(alice: User, repos: list[ModelRepo]) -> None:
    statuses = [*AccessRequest.Status.values, None]
    for repo, status in zip((r for r in repos if r.namespace.name == "bob"), statuses * 9):  # noqa: B905 - as many as there are
        if status is not None:
            AccessRequest.objects.create(repo=repo, user=alice, status=status)

    sizes = set()
    for name, viewer in viewers(alice, repos).items():
        visible = ModelRepo.objects.visible_to(viewer)
        by_rule = {repo.full_name for repo in visible if may_see_contents(viewer, repo)}
        assert {repo.full_name for repo in open_repos(viewer)} == by_rule, name
        sizes.add(len(by_rule))
    assert len(sizes) > 5  # the viewers differ, or this proves nothing
