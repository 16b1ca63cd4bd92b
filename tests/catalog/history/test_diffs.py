"""Line by line differences: right, as git reads them, and never without end."""

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from catalog.history import diffs
from catalog.history.changes import changes_between
from catalog.history.diffs import FileDiff, _Budget, _hunks, _operations, file_diffs, unified_text
from tests.catalog.history.test_history import put
from tests.factories import make_repo

lines = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n", "long line\n"]), max_size=40)


def both_sides(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """What the hunks of a diff say of both files, put in place of what they replace."""
    operations = _operations(old, new, _Budget())
    assert operations is not None
    left, right = list(old), list(new)
    for hunk in _hunks(old, new, operations):
        kept = [line.text + "\n" for line in hunk.lines if line.sign in " -"]
        made = [line.text + "\n" for line in hunk.lines if line.sign in " +"]
        old_at = hunk.old_start - (hunk.old_count > 0)
        new_at = hunk.new_start - (hunk.new_count > 0)
        assert kept == old[old_at : old_at + hunk.old_count]
        assert made == new[new_at : new_at + hunk.new_count]
        left[old_at : old_at + hunk.old_count] = [""] * hunk.old_count
        right[new_at : new_at + hunk.new_count] = [""] * hunk.new_count
    return [line for line in left if line], [line for line in right if line]


@given(lines, lines)
def test_outside_the_hunks_both_files_are_the_same(old: list[str], new: list[str]) -> None:
    left, right = both_sides(old, new)

    assert left == right


NUMBERS = b"".join(b"%d\n" % n for n in range(100))
NINTHS = b"".join(b"%d\n" % (n // 9) for n in range(99))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"1\n2\n3\n", b"1\n3\nx"),
        (b"", b"new\nfile\n"),
        (b"no end", b"no end\n"),
        (NUMBERS, NINTHS),
        (b"a\r\nb\x0c\x1d\n", b"a\r\nb\x0c\x1e\n"),
        ("ü\u2028\u0085x\n".encode(), "ö\u2028\u0085x\n".encode()),
    ],
)
def test_git_applies_what_we_print(alice: User, tmp_path: Path, old: bytes, new: bytes) -> None:
    repo = make_repo(alice)
    one = put(repo, {"f.txt": old})
    two = put(repo, {"f.txt": new})
    patch = unified_text(file_diffs(repo, changes_between(repo, one.oid, two.oid)))
    (tmp_path / "f.txt").write_bytes(old)

    done = subprocess.run(
        ["git", "apply", "--unidiff-zero", "--whitespace=nowarn", "-"],
        input=patch.encode(),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, (done.stderr, patch)
    assert (tmp_path / "f.txt").read_bytes() == new


def told(repo: object, old: dict[str, bytes], new: dict[str, bytes]) -> list[FileDiff]:
    one = put(repo, old)
    two = put(repo, new)
    return file_diffs(repo, changes_between(repo, one.oid, two.oid))  # type: ignore[arg-type]


def test_work_is_bounded_whatever_the_files_hold(alice: User) -> None:
    count = 20_000
    words = [b"%d\n" % (n % 198) for n in range(count)]
    other = [b"%d\n" % (n * 7 % 198) for n in range(count)]
    started = time.monotonic()

    (found,) = told(make_repo(alice), {"f": b"".join(words)}, {"f": b"".join(other)})

    assert "too large" in found.note
    assert time.monotonic() - started < 20  # half a minute and more without the bound


def test_a_small_change_of_a_long_file_is_shown(alice: User) -> None:
    long = [b"%d\n" % n for n in range(60_000)]
    changed = [*long[:30_000], b"new\n", *long[30_001:]]

    (found,) = told(make_repo(alice), {"f": b"".join(long)}, {"f": b"".join(changed)})

    (hunk,) = found.hunks
    assert hunk.header == "@@ -29998,7 +29998,7 @@"
    assert [line.text for line in hunk.lines if line.sign == "+"] == ["new"]


def test_a_page_has_an_end(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffs, "MAX_LINES", 5)

    found = told(
        make_repo(alice), {}, {"a": b"1\n2\n3\n", "b": b"1\n2\n3\n", "c": b"1\n", "d": b"1\n2\n"}
    )

    assert [diff.note != "" for diff in found] == [False, True, False, True]


def test_what_has_no_lines_says_why(alice: User) -> None:
    big = b"x" * (diffs.MAX_FILE_BYTES + 1)

    found = told(make_repo(alice), {}, {"binary": b"a\0b", "long.txt": big})

    assert [diff.is_binary for diff in found] == [True, False]
    assert "too large" in found[1].note
    assert unified_text(found).count("differ\n") == 2
