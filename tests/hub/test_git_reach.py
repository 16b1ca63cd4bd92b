"""What git sends to holders of "this revision only", on a model others propose changes to."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.viewer import Viewer
from catalog.models import Commit, GitObject, Grant, Ref
from catalog.services.publishing import AddFile, publish
from licensing.models import License
from licensing.services import covering, refunds
from tests.factories import add_files, make_user
from tests.hub.test_git import FLUSH, UPLOAD, V2, content, fetch_v2, post, said, unbanded
from tests.licensing.selling.shop import Shop, open_shop

pytestmark = pytest.mark.django_db
Bearer = Callable[..., dict[str, str]]
REPO = "maria/haiku-gpt"
SECRET = b"what comes in the next version"


class Proposed:
    """A license for one revision, and a pull request somebody opened since."""

    def __init__(self, headers: Bearer) -> None:
        self.shop: Shop = open_shop(updates=Grant.Updates.REVISION)
        self.order = self.shop.buy()
        self.main = covering.head_of(self.shop.repo)
        self.who = headers(self.shop.buyer, "read")

    def propose(self, viewer: Viewer, path: str, text: bytes) -> str:
        """Open a pull request; return its commit."""
        made = publish(
            viewer,
            self.shop.repo,
            revision="main",
            operations=[AddFile(path, text)],
            title="Better",
            create_pr=True,
        )
        return str(made.commit.oid)

    def fetch(self, client: Client, *wants: str) -> Any:
        """What git fetches with the second version of its protocol."""
        return fetch_v2(client, *(f"want {oid}" for oid in wants), "done", repo=REPO, **self.who)


@pytest.fixture
def proposed(bearer: Bearer) -> Proposed:
    return Proposed(bearer)


def refs(client: Client, who: dict[str, str], **more: str) -> Any:
    address = f"/{REPO}.git/info/refs?service=git-upload-pack"
    return client.get(address, headers=who | more)


def test_nobody_loses_git_because_somebody_opened_a_pull_request(
    client: Client, proposed: Proposed
) -> None:
    stranger = Viewer(user=make_user("eve"))
    commit = proposed.propose(stranger, "README.md", b"# mine\n")

    told = refs(client, proposed.who)

    assert told.status_code == 200
    assert proposed.main.encode() in content(told)
    assert commit.encode() not in content(told)
    assert b"refs/pr/" not in content(told)
    listed = post(client, UPLOAD, said("command=ls-refs", FLUSH), REPO, **V2, **proposed.who)
    assert proposed.main.encode() in content(listed)
    assert b"refs/pr/" not in content(listed)
    _plain, bands = unbanded(content(proposed.fetch(client, proposed.main)))
    assert bands[1][:4] == b"PACK"


def test_what_is_proposed_is_not_sent_by_any_name(client: Client, proposed: Proposed) -> None:
    commit = proposed.propose(proposed.shop.selling, "notes.md", SECRET)
    blob = GitObject.objects.get(repo=proposed.shop.repo, data=SECRET).oid
    tree = GitObject.objects.filter(repo=proposed.shop.repo, kind=GitObject.Kind.TREE).latest("pk")
    before = list(License.objects.values()), list(Ref.objects.order_by("pk").values())

    for oid in (commit, blob, tree.oid):
        answers = [
            proposed.fetch(client, oid),
            proposed.fetch(client, proposed.main, oid),
            post(client, UPLOAD, said(f"want {oid}", FLUSH, "done"), REPO, **proposed.who),
        ]
        for answer in answers:
            assert b"ERR not our ref" in content(answer)
    deeper = fetch_v2(
        client,
        f"want {proposed.main}",
        f"shallow {commit}",
        "deepen 5",
        "done",
        repo=REPO,
        **proposed.who,
    )
    assert b"unshallow" not in content(deeper)

    assert (list(License.objects.values()), list(Ref.objects.order_by("pk").values())) == before
    everything = {"repo": REPO, **proposed.who}
    Grant.objects.update(updates=Grant.Updates.ALL)
    assert b"PACK" in content(fetch_v2(client, f"want {commit}", "done", **everything))


def test_the_old_files_on_top_of_new_ones_open_no_history(
    client: Client, proposed: Proposed
) -> None:
    """The same files are the same revision, but not what lies between."""
    shop, old = proposed.shop, b"---\nlicense: mit\n---\n# hi\n"
    proposed.propose(shop.selling, "README.md", SECRET)
    ref = Ref.objects.get(repo=shop.repo, name__startswith="refs/pr/").name
    back = publish(
        shop.selling,
        shop.repo,
        revision=ref,
        operations=[AddFile("README.md", old)],
        title="Back",
    ).commit
    assert back.tree_oid == Commit.objects.get(oid=proposed.main).tree_oid

    assert b"ERR not our ref" in content(proposed.fetch(client, back.oid))
    assert back.oid.encode() not in content(refs(client, proposed.who))


def test_published_updates_still_close_git_and_an_ended_license_everything(
    client: Client, proposed: Proposed
) -> None:
    shop = proposed.shop
    commit = proposed.propose(shop.buying, "README.md", b"# of the buyer\n")
    add_files(shop.seller, shop.repo, {"notes.md": SECRET})

    assert refs(client, proposed.who).status_code == 403
    assert b"earlier revisions" in content(refs(client, proposed.who))
    refunds.give_back(shop.selling, proposed.order, None, "Sorry")

    for address in (
        f"/{REPO}.git/info/refs?service=git-upload-pack",
        f"/{REPO}/resolve/{proposed.main}/model.safetensors",
        f"/{REPO}/resolve/{commit}/config.json",
        f"/{REPO}/resolve/refs%2Fpr%2F1/config.json",
        f"/{REPO}/archive/refs%2Fpr%2F1.zip",
        f"/api/models/{REPO}/compare/main..refs%2Fpr%2F1?raw=1",
    ):
        answer = client.get(address, headers=proposed.who)
        assert answer.status_code == 403, (address, answer.status_code)
    answer = proposed.fetch(client, proposed.main)
    assert answer.status_code == 403
