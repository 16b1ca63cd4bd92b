"""The walk through the graph of base models, and who may see what of it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Permission, User
from accounts.services.tokens import create_token
from accounts.viewer import VISITOR, Viewer
from catalog.models import BaseModelLink, ModelRepo
from catalog.services.repos import move_repo
from catalog.services.token_reach import Wanted, read_reach
from licensing.services import lineage
from licensing.services.lineage import (
    ConfirmInPersonError,
    LineageUnconfirmedError,
    SaleForbiddenError,
    ancestry_of,
    check_sale,
    sale_verdict,
)
from licensing.terms.sale_rules import Sale
from tests.factories import add_files, make_org, make_repo, make_user


def model(
    owner: User,
    name: str,
    *bases: str,
    license_id: str = "mit",
    is_private: bool = False,
    namespace: str | None = None,
    more: str = "",
) -> ModelRepo:
    """A repository whose card names a license and what it was made from."""
    named = "".join(f"- {base}\n" for base in bases)
    card = f"---\n{license_id and f'license: {license_id}'}\n{more}"
    card += f"base_model:\n{named}" if bases else ""
    files = {"README.md": f"{card}---\nIt writes.\n".encode()}
    repo = make_repo(owner, name, is_private=is_private, namespace=namespace)
    add_files(owner, repo, files)
    return repo


def narrow(user: User, *repos: ModelRepo) -> Viewer:
    """The person with a token that reaches these repositories only."""
    wanted = [Wanted(repo.full_name, frozenset({Permission.WRITE})) for repo in repos]
    reach = read_reach(Viewer(user=user), wanted)
    token, _text = create_token(user, name="narrow", scopes=[], reach=reach)
    return Viewer(user=user, token=token)


def seen(viewer: Viewer, repo: ModelRepo) -> list[tuple[str, int, tuple[str, ...]]]:
    """What the walk finds, in its order."""
    return [(one.name, one.distance, one.licenses) for one in ancestry_of(viewer, repo).ancestors]


def test_a_chain_is_followed_to_a_base_that_is_elsewhere(alice: User, bob: User) -> None:
    model(bob, "first", "EleutherAI/pythia-160m", license_id="cc-by-4.0")
    model(bob, "second", "bob/first", license_id="apache-2.0")
    repo = model(alice, "third", "bob/second")

    found = ancestry_of(VISITOR, repo)

    assert found.is_complete
    assert seen(VISITOR, repo) == [
        ("bob/second", 1, ("apache-2.0",)),
        ("bob/first", 2, ("cc-by-4.0",)),
        ("EleutherAI/pythia-160m", 3, ("apache-2.0",)),
    ]
    first, _second, last = found.ancestors
    assert first.repo_id == ModelRepo.objects.get(name="second").pk
    assert first.namespace_id == bob.namespace.pk
    assert (last.repo_id, last.namespace_id) == (None, None)
    assert sale_verdict(VISITOR, repo).sale is Sale.ALLOWED


def test_no_base_no_obstacle(alice: User, as_alice: Viewer) -> None:
    verdict = check_sale(as_alice, model(alice, "own", license_id="cc-by-nc-4.0"), confirmed=False)

    assert (verdict.sale, verdict.reasons) == (Sale.ALLOWED, ())


def test_what_is_forbidden_far_up_stays_so(alice: User, bob: User, as_alice: Viewer) -> None:
    model(bob, "first", "facebook/opt-125m")
    repo = model(alice, "second", "bob/first")

    for confirmed in (False, True):
        with pytest.raises(SaleForbiddenError) as caught:
            check_sale(as_alice, repo, confirmed=confirmed)
        assert caught.value.status == 403
        assert caught.value.extra == {
            "reasons": [
                {
                    "ancestor": "facebook/opt-125m",
                    "license": "opt",
                    "sentence": "For research only: what is derived may not be sold.",
                    "source": "https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/MODEL_LICENSE.md",
                }
            ]
        }
    assert BaseModelLink.objects.count() == 2


def test_what_nobody_knows_needs_the_publishers_word(alice: User, as_alice: Viewer) -> None:
    repo = model(alice, "tuned", "someone/something")

    with pytest.raises(LineageUnconfirmedError) as caught:
        check_sale(as_alice, repo, confirmed=False)
    verdict = check_sale(as_alice, repo, confirmed=True)

    assert caught.value.status == 409
    assert "'ancestor': 'someone/something'" in str(caught.value.extra)
    assert verdict.needs_confirmation


def test_conditions_need_no_confirmation(alice: User, as_alice: Viewer) -> None:
    repo = model(alice, "Llama-mine", "meta-llama/Llama-3.2-1B")

    assert check_sale(as_alice, repo, confirmed=False).sale is Sale.CONDITIONAL


def test_hidden_and_absent_ancestors_look_the_same(
    alice: User, bob: User, as_alice: Viewer
) -> None:
    model(bob, "opted", "facebook/opt-125m", license_id="cc-by-nc-4.0", is_private=True)
    hidden = model(alice, "guess1", "bob/opted")
    absent = model(alice, "guess2", "bob/other")
    verdicts, counts = [], []
    assert as_alice.roles  # read once for a request

    for repo in (hidden, absent):
        with CaptureQueriesContext(connection) as queries:
            verdicts.append(sale_verdict(as_alice, repo))
        counts.append(len(queries))

    one, other = verdicts
    assert counts[0] == counts[1]
    assert (one.sale, one.obligations) == (other.sale, other.obligations) == (Sale.UNKNOWN, ())
    assert [reason.ancestor for reason in one.reasons] == ["bob/opted"]
    assert one.reasons[0].sentence == other.reasons[0].sentence
    assert ancestry_of(as_alice, hidden).ancestors[0].repo_id is None
    assert sale_verdict(Viewer(user=bob), hidden).sale is Sale.FORBIDDEN


def test_a_hidden_ancestor_keeps_the_name_of_the_card(
    alice: User, bob: User, as_alice: Viewer
) -> None:
    base = model(bob, "before")
    repo = model(alice, "tuned", "bob/before")
    move_repo(Viewer(user=bob), base, namespace="bob", name="after")
    assert [one.name for one in ancestry_of(as_alice, repo).ancestors] == ["bob/after"]

    ModelRepo.objects.filter(pk=base.pk).update(is_private=True)

    assert [one.name for one in ancestry_of(as_alice, repo).ancestors] == ["bob/before"]


def test_what_is_hidden_from_visitors_counts_for_members(alice: User, bob: User) -> None:
    make_org("acme", alice="admin", bob="write")
    model(alice, "base", "facebook/opt-125m", is_private=True, namespace="acme")
    repo = model(alice, "tuned", "acme/base", namespace="acme")

    assert sale_verdict(Viewer(user=bob), repo).sale is Sale.FORBIDDEN
    assert sale_verdict(VISITOR, repo).sale is Sale.UNKNOWN
    assert seen(VISITOR, repo) == [("acme/base", 1, ())]


def test_a_token_that_sees_a_part_confirms_nothing(alice: User, as_alice: Viewer) -> None:
    model(alice, "base", "facebook/opt-125m", is_private=True)
    repo = model(alice, "tuned", "alice/base")
    clean = model(alice, "clean", "gpt2")
    viewer = narrow(alice, repo, clean)

    with pytest.raises(LineageUnconfirmedError):
        check_sale(viewer, repo, confirmed=False)
    with pytest.raises(ConfirmInPersonError):
        check_sale(viewer, repo, confirmed=True)
    with pytest.raises(SaleForbiddenError):
        check_sale(as_alice, repo, confirmed=True)
    assert check_sale(viewer, clean, confirmed=False).sale is Sale.ALLOWED


def test_circles_end(alice: User, bob: User, as_alice: Viewer) -> None:
    first = model(alice, "first", "bob/second", "alice/first")
    model(bob, "second", "alice/first", license_id="cc-by-4.0")

    assert seen(as_alice, first) == [("bob/second", 1, ("cc-by-4.0",))]
    assert ancestry_of(as_alice, first).is_complete


def test_an_ancestor_met_twice_counts_once_at_its_nearest(alice: User, bob: User) -> None:
    model(bob, "root", license_id="gpl-3.0")
    model(bob, "left", "bob/root")
    repo = model(alice, "merge", "bob/left", "bob/root", "BOB/Root")

    assert seen(VISITOR, repo) == [("bob/left", 1, ("mit",)), ("bob/root", 1, ("gpl-3.0",))]
    assert sale_verdict(VISITOR, repo).same_licenses == ("gpl-3.0",)


def test_a_copy_under_a_well_known_name_keeps_its_license(alice: User) -> None:
    famous = make_user("facebook")
    model(famous, "opt-125m", license_id="mit")
    repo = model(alice, "tuned", "facebook/opt-125m")

    assert seen(VISITOR, repo) == [("facebook/opt-125m", 1, ("mit", "opt"))]
    assert sale_verdict(VISITOR, repo).sale is Sale.FORBIDDEN


def test_another_name_of_a_met_ancestor_counts_too(alice: User, bob: User) -> None:
    base = model(bob, "nice")
    repo = model(alice, "tuned", "bob/nice", "facebook/opt-125m")
    BaseModelLink.objects.filter(base_name="facebook/opt-125m").update(base=base)

    assert seen(VISITOR, repo) == [("bob/nice", 1, ("mit", "opt"))]


def test_licenses_filed_as_other_go_by_their_name(alice: User, bob: User) -> None:
    model(bob, "named", license_id="other", more="license_name: MRL\n")
    model(bob, "unnamed", license_id="other", more="license_name: house rules\n")
    model(bob, "silent", license_id="")

    repo = model(alice, "merge", "bob/named", "bob/unnamed", "bob/silent")

    assert seen(VISITOR, repo) == [
        ("bob/named", 1, ("mrl",)),
        ("bob/unnamed", 1, ("other",)),
        ("bob/silent", 1, ()),
    ]


def test_sellers_are_not_bound_by_what_they_grant_others(alice: User, as_alice: Viewer) -> None:
    model(alice, "base", "gpt2", license_id="cc-by-nc-4.0")
    repo = model(alice, "tuned", "alice/base")

    assert check_sale(as_alice, repo, confirmed=False).sale is Sale.ALLOWED


@pytest.mark.parametrize(
    ("named", "sale"),
    [("llama3.1", Sale.CONDITIONAL), ("gemma", Sale.CONDITIONAL), ("apple-amlr", Sale.UNKNOWN)],
)
def test_a_card_with_a_makers_license_has_a_base_even_if_it_names_none(
    alice: User, as_alice: Viewer, named: str, sale: Sale
) -> None:
    verdict = sale_verdict(as_alice, model(alice, "tuned", license_id=named))

    assert verdict.sale is sale
    assert [(one.ancestor, one.distance) for one in verdict.reasons] == [("alice/tuned", 0)]


def test_too_deep_a_lineage_is_unknown(
    alice: User, as_alice: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model(alice, "r0")
    for number in range(1, 4):
        model(alice, f"r{number}", f"alice/r{number - 1}")
    repo = ModelRepo.objects.select_related("namespace").get(name="r3")

    monkeypatch.setattr(lineage, "MAX_DEPTH", 3)
    assert sale_verdict(as_alice, repo).sale is Sale.ALLOWED
    monkeypatch.setattr(lineage, "MAX_DEPTH", 2)
    short = ancestry_of(as_alice, repo)

    assert [one.name for one in short.ancestors] == ["alice/r2", "alice/r1"]
    assert not short.is_complete
    assert sale_verdict(as_alice, repo).sale is Sale.UNKNOWN


def test_too_wide_a_lineage_is_unknown(alice: User, as_alice: Viewer, monkeypatch) -> None:
    repo = model(alice, "merge", "EleutherAI/pythia-14m", "EleutherAI/pythia-70m", "gpt2")

    monkeypatch.setattr(lineage, "MAX_ANCESTORS", 3)
    assert sale_verdict(as_alice, repo).sale is Sale.ALLOWED
    monkeypatch.setattr(lineage, "MAX_ANCESTORS", 2)

    assert len(ancestry_of(as_alice, repo).ancestors) == 2
    assert sale_verdict(as_alice, repo).sale is Sale.UNKNOWN


def test_links_that_are_left_out_make_it_unknown(alice: User, as_alice: Viewer, monkeypatch):
    repo = model(alice, "merge", "alice/merge", "ALICE/merge", "Alice/Merge", "facebook/opt-125m")
    monkeypatch.setattr(lineage, "MAX_ANCESTORS", 2)

    found = ancestry_of(as_alice, repo)

    assert (found.ancestors, found.is_complete) == ((), False)


def test_one_query_a_step(alice: User, django_assert_num_queries) -> None:
    for number in range(20):
        model(alice, f"base{number}")
    wide = model(alice, "wide", *(f"alice/base{number}" for number in range(20)))
    repo = model(alice, "top", "alice/wide")
    viewer = Viewer(user=alice)
    assert viewer.roles  # read once for a request
    repo = ModelRepo.objects.select_related("namespace").get(pk=repo.pk)

    with django_assert_num_queries(3):
        assert len(ancestry_of(viewer, repo).ancestors) == 21
    with django_assert_num_queries(4):
        sale_verdict(viewer, repo)
    assert wide.pk in {one.repo_id for one in ancestry_of(viewer, repo).ancestors}
