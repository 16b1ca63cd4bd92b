"""Objects of strangers: well-formed, or refused with the reason."""

from pathlib import Path

import pytest

from catalog.history.errors import BadObjectError, BadPathError
from catalog.history.strict import read_commit, read_tag, read_tree
from catalog.models import GitObject
from tests.catalog.history.packs import git

OID = b"\1" * 20
HEX = b"ab" * 20
WHO = b"Ann <a@b> 1700000000 +0100"
HEAD = b"tree %s\nauthor %s\ncommitter %s\n" % (HEX, WHO, WHO)


def line(name: bytes, mode: bytes = b"100644") -> bytes:
    return mode + b" " + name + b"\0" + OID


def test_a_commit_with_everything() -> None:
    data = (
        b"tree %s\nparent %s\nparent %s\nauthor  <> 99999999999999 -1200\ncommitter %s\n"
        % (HEX, HEX, HEX, WHO)
        + b"encoding latin1\ngpgsig -----BEGIN\n more\n \n end\nHG:extra x\n"
        + b"\nFirst\n\nmore\nb\xe4d\n"
    )

    facts = read_commit(OID, data)

    assert facts.parents == (bytes.fromhex(HEX.decode()),) * 2
    assert (facts.author, facts.email, facts.authored_at.year) == ("", "", 9999)
    assert (facts.title, facts.rest) == ("First", "more\nb\ufffdd")


@pytest.mark.parametrize(
    "rest", [b"", b"\n", b"\nx", b"gpgsig x\n", b"gpgsig x\n\n", b"a b\n c\n\nx"]
)
def test_commits_that_end_early(rest: bytes) -> None:
    assert read_commit(OID, HEAD + rest).tree.hex() == HEX.decode()


BAD_COMMITS = {
    "empty": b"",
    "no tree": b"author %s\ncommitter %s\n\nx" % (WHO, WHO),
    "short id": HEAD.replace(HEX, HEX[:39]) + b"\nx",
    "capital id": HEAD.replace(HEX, HEX.upper()) + b"\nx",
    "no committer": b"tree %s\nauthor %s\n\nx" % (HEX, WHO),
    "no date": HEAD.replace(b" 1700000000 +0100", b"") + b"\nx",
    "angles": HEAD.replace(b"Ann", b"A<n") + b"\nx",
    "late parent": HEAD + b"parent " + HEX + b"\n\nx",
    "two trees": HEAD + b"tree " + HEX + b"\n\nx",
    "two authors": HEAD + b"author " + WHO + b"\n\nx",
    "no header": HEAD + b"hello\n\nx",
    "cut header": HEAD + b"gpgsig",
    "nul in message": HEAD + b"\nx\0y",
    "nul in name": HEAD.replace(b"Ann", b"A\0n") + b"\nx",
    "many parents": HEAD.replace(b"\n", b"\n" + b"parent %s\n" % HEX * 65, 1) + b"\nx",
}


@pytest.mark.parametrize("name", BAD_COMMITS)
def test_bad_commits(name: str) -> None:
    with pytest.raises(BadObjectError):
        read_commit(OID, BAD_COMMITS[name])


def test_tags() -> None:
    data = b"object %s\ntype commit\ntag v1\ntagger %s\n\nfirst\n" % (HEX, WHO)

    assert read_tag(OID, data).kind == GitObject.Kind.COMMIT
    assert read_tag(OID, b"object %s\ntype tag\ntag v1\n\n" % HEX).kind == GitObject.Kind.TAG
    for bad in [
        data.replace(b"commit", b"submodule"),
        data.replace(b"object", b"subject"),
        data.replace(b"tag v1", b"tag "),
        data.replace(b"\n\nfirst", b"\nfirst"),
        data + b"\0",
        data[:60],
    ]:
        with pytest.raises(BadObjectError):
            read_tag(OID, bad)


def test_a_tree_of_every_kind() -> None:
    lines = [line(b"a.b"), line(b"a", b"40000"), line(b"link", b"120000"), line(b"run", b"100755")]

    found = read_tree(OID, b"".join(lines))

    assert [item.name for item in found] == [b"a.b", b"a", b"link", b"run"]
    assert read_tree(OID, b"") == []


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([line(b"b"), line(b"a")], "not sorted"),
        ([line(b"a", b"40000"), line(b"a.b")], "not sorted"),
        ([line(b"a"), line(b"a")], "not sorted"),
        ([line(b"a"), line(b"a.b"), line(b"a", b"40000")], "a name twice"),
        ([line(b"m", b"160000")], "'m' is a submodule"),
        ([line(b"m", b"100664")], "the mode 100664"),
        ([line(b"m", b"100600")], "the mode 100600"),
        ([line(b"m", b"0100644")], "cannot be read"),
        ([line(b"m", b"10z644")], "cannot be read"),
        ([b"100644 a"], "cannot be read"),
        ([b"100644"], "cannot be read"),
        ([line(b"a")[:-1]], "cannot be read"),
    ],
)
def test_bad_trees(lines: list[bytes], reason: str) -> None:
    with pytest.raises(BadObjectError, match=reason):
        read_tree(OID, b"".join(lines))


@pytest.mark.parametrize(
    "name", [b"", b".", b"..", b".git", b".GIT", b"git~1", b"a/b", b"a\nb", b"\xff", b"x" * 256]
)
def test_names_no_file_may_have(name: bytes) -> None:
    with pytest.raises((BadPathError, BadObjectError)):
        read_tree(OID, line(name))


def test_what_we_take_passes_gits_own_check(tmp_path: Path) -> None:
    """Whatever is read without a complaint, git finds no fault with."""
    git(tmp_path, "init", "-q")
    blob = git(tmp_path, "hash-object", "-w", "--stdin", data=b"x").strip()
    raw = (
        b"100644 a\0" + bytes.fromhex(blob.decode()) + b"120000 l\0" + bytes.fromhex(blob.decode())
    )
    read_tree(OID, raw)
    tree = git(tmp_path, "hash-object", "-w", "--literally", "-t", "tree", "--stdin", data=raw)
    data = HEAD.replace(HEX, tree.strip()) + b"\nmessage\n"
    read_commit(OID, data)
    oid = git(tmp_path, "hash-object", "-w", "--literally", "-t", "commit", "--stdin", data=data)

    git(tmp_path, "update-ref", "refs/heads/main", oid.decode().strip())

    assert git(tmp_path, "fsck", "--strict", "--full") == b""
