"""Which revisions a license reaches: the same answer to a download, a digest, and a key."""

import hashlib
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from catalog.history.refs import create_branch, create_tag, delete_branch, delete_tag
from catalog.models import FileScan, GitObject, Grant, RepoLfsObject
from catalog.services.rewriting import LicensedFileError, delete_stored_files, squash_history
from licensing.configured import signer
from licensing.delivery.policy import authorize, authorize_object, check_whole
from licensing.documents.jws import open_license
from licensing.models import License
from licensing.services import covering
from licensing.services.covering import UpdateNotIncludedError
from licensing.services.issuing import issue_file, updates_of
from licensing.services.validating import Code, Scope, validate
from tests.factories import add_files, safetensors
from tests.licensing.license_api.holding import Held
from tests.licensing.selling.shop import open_shop

pytestmark = pytest.mark.django_db
Browser = Callable[[User], Client]
Headers = Callable[[User, str], dict[str, str]]
ALL, MAJOR, REVISION = Grant.Updates.ALL, Grant.Updates.MAJOR, Grant.Updates.REVISION
BOUGHT = {"before", "v1.0"}
LINE_1 = BOUGHT | {"fix", "v1.1", "late", "v1.2"}


class Story:
    """A model with versions, and a license bought at v1.0; revisions by a short name."""

    def __init__(self) -> None:
        self.shop = open_shop(updates=MAJOR)
        self.commits: dict[str, str] = {}
        self.weights: dict[str, bytes] = {}
        self.add("before")
        self.add("v1.0", tag="v1.0")
        row = License.objects.select_related("grant", "holder").get(line__order=self.shop.buy())
        self.held = Held(self.shop, row)
        for name, tag in (("fix", ""), ("v1.1", "v1.1"), ("late", ""), ("v2.0", "v2.0")):
            self.add(name, tag=tag)
        self.add("later")
        create_branch(self.shop.repo, "old", start="v1.1")
        self.add("v1.2", tag="v1.2", branch="old")

    def add(self, name: str, *, tag: str = "", branch: str = "main") -> None:
        """Publish weights and notes of their own."""
        self.weights[name] = safetensors(seed=len(self.weights) + 20, size=4)
        files = {"model.safetensors": self.weights[name], "notes.md": name.encode()}
        self.commits[name] = add_files(self.shop.seller, self.shop.repo, files, revision=branch)
        if tag:
            self.tag(tag, name)

    def tag(self, tag: str, name: str) -> None:
        create_tag(self.shop.repo, tag, revision=self.commits[name], message=None, tagger="maria")

    def reached(self, updates: str) -> set[str]:
        """Names of what the license would reach with these updates."""
        Grant.objects.update(updates=updates)
        return {name for name in self.commits if self._reaches(name)}

    def _reaches(self, name: str) -> bool:
        commit, weights = self.commits[name], hashlib.sha256(self.weights[name]).hexdigest()
        buying, repo = self.shop.buying, self.shop.repo
        notes = hashlib.sha256(name.encode()).hexdigest()
        told = {
            _passes(lambda: authorize(buying, repo, commit, "model.safetensors")),
            _passes(lambda: authorize_object(buying, repo, weights)),
            self.code(revision=commit) == Code.VALID,
            self.code(sha256=weights) == Code.VALID,
            self.code(sha256=notes) == Code.VALID,
        }
        assert len(told) == 1, f"{name} is reached by some ways only"
        return told.pop()

    def code(self, **scope: str) -> Code:
        return validate(self.held.key, Scope(**scope)).code

    def listed(self) -> list[tuple[str, str]]:
        """(major version, revision) of each model in the signed file."""
        document = open_license(issue_file(self.held.fresh()), signer().key_set()).document
        names = {oid: name for name, oid in self.commits.items()}
        return [(model.line, names[model.revision]) for model in document.models]


def _passes(work: Callable[[], object]) -> bool:
    try:
        work()
    except UpdateNotIncludedError:
        return False
    return True


def test_who_may_have_which_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what is older than the commits that are listed, and on another branch."""
    monkeypatch.setattr(covering, "MOST_UPDATES", 2)
    story = Story()

    assert story.reached(ALL) == set(story.commits)
    assert story.listed() == [("main", "v1.0"), ("main", "later")]
    assert story.reached(REVISION) == BOUGHT
    assert story.listed() == [("main", "v1.0")]
    assert story.reached(MAJOR) == LINE_1
    assert story.listed() == [("v1", "v1.0"), ("v1", "late")]
    assert len(updates_of(story.held.fresh())) == 2


def test_tags_that_move_or_go_take_nothing_away() -> None:
    story = Story()
    repo = story.shop.repo

    delete_tag(repo, "v1.0")
    assert story.reached(MAJOR) == LINE_1
    story.tag("v1.0", "late")
    assert story.reached(MAJOR) == LINE_1
    story.tag("v2", "v1.1")  # what is tagged as both is both
    assert story.reached(MAJOR) == LINE_1
    assert story.reached(REVISION) == BOUGHT
    for name in ("v2", "v2.0"):  # a line without an end goes on
        delete_tag(repo, name)
    assert story.reached(MAJOR) == set(story.commits)
    assert story.listed() == [("v1", "v1.0"), ("v1", "later")]


def test_a_squashed_history_is_where_it_was() -> None:
    story = Story()
    shop = story.shop

    def squash(name: str, files_of: str, branch: str = "main") -> None:
        story.commits[name] = squash_history(shop.selling, shop.repo, revision=branch, message="x")
        story.weights[name] = story.weights[files_of]

    def reaches(name: str) -> bool:
        return _passes(
            lambda: authorize(shop.buying, shop.repo, story.commits[name], "model.safetensors")
        )

    squash("squashed", "later")
    story.add("after")
    squash("squashed old", "v1.2", branch="old")
    story.add("v1.3", branch="old")
    back = {"model.safetensors": story.weights["fix"], "notes.md": b"fix"}
    story.commits["again"] = add_files(shop.seller, shop.repo, back)

    for updates, wanted in (
        (ALL, {"squashed", "after", "squashed old", "v1.3", "again"}),
        (MAJOR, {"squashed old", "v1.3", "again"}),
        (REVISION, set()),
    ):
        Grant.objects.update(updates=updates)
        assert {name for name in story.commits if reaches(name)} - LINE_1 - {"v2.0", "later"} == (
            wanted
        )
        assert all(reaches(name) for name in BOUGHT)
    Grant.objects.update(updates=MAJOR)
    for name in ("fix", "v1.1", "v1.3"):
        assert story.code(revision=story.commits[name]) == Code.VALID
    assert story.code(revision=story.commits["after"]) == Code.VERSION_SCOPE_MISMATCH
    assert story.listed() == [("v1", "v1.0"), ("v1", "again")]


def test_an_update_that_is_not_included_is_nowhere_to_be_read(browser_of: Browser) -> None:
    shop = open_shop(updates=REVISION)
    shop.buy()
    bought, name = covering.head_of(shop.repo), shop.repo.full_name
    buyer, seller = browser_of(shop.buyer), browser_of(shop.seller)
    check_whole(shop.buying, shop.repo)  # git clones what is all theirs
    add_files(shop.seller, shop.repo, {"notes.md": b"only for new buyers"})
    newer = covering.head_of(shop.repo)
    places = [
        f"/{name}/blob/main/notes.md",
        f"/{name}/commit/{newer}",
        f"/{name}/compare?from={bought}&to={newer}",
        f"/api/models/{name}/compare/{bought}..{newer}",
    ]

    for place in places:
        assert b"only for new buyers" in seller.get(place).content, place
        answer = buyer.get(place)
        assert (answer.status_code, b"only for new" in answer.content) == (200, False), place
    raw = f"/api/models/{name}/compare/{bought}..{newer}?raw=1"
    assert (buyer.get(raw).status_code, seller.get(raw).status_code) == (403, 200)
    with pytest.raises(UpdateNotIncludedError):
        check_whole(shop.buying, shop.repo)
    Grant.objects.update(updates=MAJOR)
    check_whole(shop.buying, shop.repo)
    for place in places:
        assert b"only for new buyers" in buyer.get(place).content, place


def deletable(story: Story) -> set[str]:
    """Names of the revisions whose weights the seller could delete; the hub's own call is tried."""
    shop, found = story.shop, set()
    before = list(RepoLfsObject.objects.order_by("id").values())
    for name, weights in story.weights.items():
        with transaction.atomic():
            try:
                delete_stored_files(
                    shop.selling,
                    shop.repo,
                    [hashlib.sha256(weights).hexdigest()],
                    rewrite_history=False,
                )
                found.add(name)
            except LicensedFileError:
                assert list(RepoLfsObject.objects.order_by("id").values()) == before
            transaction.set_rollback(True)
    return found


def test_what_a_license_reaches_cannot_be_deleted() -> None:
    story = Story()
    every = set(story.commits)

    for updates, kept in ((ALL, every), (MAJOR, LINE_1), (REVISION, BOUGHT)):
        Grant.objects.update(updates=updates)
        assert deletable(story) == every - kept
    ended = {"starts_at": timezone.now() - timedelta(9), "ends_at": timezone.now() - timedelta(1)}
    Grant.objects.update(**ended)  # another term may be bought
    assert deletable(story) == every - BOUGHT
    Grant.objects.update(state=Grant.State.FROZEN)
    assert deletable(story) == every - BOUGHT
    Grant.objects.update(state=Grant.State.REVOKED)
    assert deletable(story) == every


def test_what_strangers_merely_proposed_can_be_deleted() -> None:
    story = Story()
    shop, weights = story.shop, safetensors(seed=99, size=4)
    Grant.objects.update(updates=ALL)
    add_files(shop.seller, shop.repo, {"model.safetensors": weights})
    story.weights["proposed"] = weights
    assert "proposed" not in deletable(story)
    blob = GitObject.objects.get(lfs_sha256=hashlib.sha256(weights).hexdigest())
    assert FileScan.objects.filter(blob_oid=blob.oid).update(is_proposed=True) == 1

    assert deletable(story) == {"proposed"}


def test_no_way_to_withdraw_a_version_takes_it_from_its_buyers(
    client: Client, browser_of: Browser, bearer: Headers
) -> None:
    """Branches and tags that go and squashed history, then the files by the hub's own call."""
    story = Story()
    shop, buyer = story.shop, browser_of(story.shop.buyer)
    name, headers = shop.repo.full_name, bearer(shop.seller, "write")
    for tag in ("v1.0", "v1.1", "v1.2"):
        delete_tag(shop.repo, tag)
    delete_branch(shop.repo, "old")
    squash_history(shop.selling, shop.repo, revision="main", message="Anew")
    before = list(RepoLfsObject.objects.order_by("id").values())

    for revision in LINE_1:
        digest = hashlib.sha256(story.weights[revision]).hexdigest()
        for rewriting in ("true", "false"):
            place = f"/api/models/{name}/lfs-files/{digest}?rewriteHistory={rewriting}"
            answer = client.delete(place, headers=headers)
            assert (answer.status_code, b"People hold licenses" in answer.content) == (409, True)

    assert list(RepoLfsObject.objects.order_by("id").values()) == before
    for revision in LINE_1:
        got = buyer.get(f"/{name}/resolve/{story.commits[revision]}/model.safetensors")
        assert got.status_code == 200
        assert got.getvalue() == story.weights[revision]


def test_what_is_deleted_takes_nothing_from_a_license() -> None:
    story = Story()
    shop, sold = story.shop, hashlib.sha256(story.weights["v1.0"]).hexdigest()
    newer = hashlib.sha256(story.weights["v2.0"]).hexdigest()

    assert delete_stored_files(shop.selling, shop.repo, [newer], rewrite_history=True) == 1
    assert story.code(revision=story.commits["v1.0"]) == Code.VALID
    assert authorize(shop.buying, shop.repo, story.commits["v1.0"], "model.safetensors")
    Grant.objects.update(updates=REVISION)
    fix = hashlib.sha256(story.weights["fix"]).hexdigest()
    assert delete_stored_files(shop.selling, shop.repo, [fix], rewrite_history=True) == 1
    document = open_license(issue_file(story.held.fresh()), signer().key_set()).document
    (bought,) = document.models
    assert bought.revision == story.commits["v1.0"]
    Grant.objects.update(state=Grant.State.REVOKED)
    assert delete_stored_files(shop.selling, shop.repo, [sold], rewrite_history=False) == 1
