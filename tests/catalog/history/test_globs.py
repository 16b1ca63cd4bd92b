"""Patterns of rules files: what git says, and never more work than a file's length."""

import os
import subprocess
from pathlib import Path

import pytest
from dulwich.ignore import IgnoreFilter
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from catalog.history import globs
from catalog.history.attributes import Attributes
from catalog.history.ignores import Ignores
from catalog.history.paths import MAX_DEPTH, MAX_PART_BYTES
from tests.catalog.formats.files import seconds

PATHS = st.lists(
    st.lists(
        st.text("ab-!] ", min_size=1, max_size=4).filter(lambda part: part.strip(" ") == part),
        min_size=1,
        max_size=4,
    ).map("/".join),
    min_size=1,
    max_size=5,
)
PIECES = ["a", "b", "ab", "-", "*", "**", "***", "?", "/", "/**/", "**/", "\\", "\\*", "!", " "]
PIECES += ["[ab]", "[!a]", "[^b]", "[a-b]", "[]-]", "[[:alpha:]]", "[[:nope:]]", "[", "]", "[/]"]
PIECES += ["[a-]", "[\\]a]", "[[:space:]]", "[b-a]", "[[:alpha:]-b]", "[a", ":]", "é", "[+--]"]
PATTERNS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join)
WORDS = PATTERNS.map(lambda text: text.replace(" ", "?"))
RULES = st.lists(PATTERNS, min_size=1, max_size=5)
slow = hypothesis_settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    return tmp_path


def git(folder: Path, *command: str, stdin: str = "") -> str:
    nothing = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(folder)}
    done = subprocess.run(
        ["git", "-c", "core.attributesFile=", "-c", "core.excludesFile=", *command],
        cwd=folder,
        env=os.environ | nothing,
        input=stdin.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout.decode()


@slow
@given(rules=RULES, paths=PATHS)
@example(rules=["a/*", "!a/b"], paths=["a/b", "a/c"])
@example(rules=["a", "!a/b"], paths=["a/b", "b/a", "b/a/b"])
@example(rules=["a/", "!b/"], paths=["a", "a/b", "b/a/a"])
@example(rules=["a**/b"], paths=["ab", "a/b", "ab/b", "a/a/b", "b/ab"])
@example(rules=["b/a**b"], paths=["b/ab", "b/a/b", "b/aab"])
@example(rules=["/a**"], paths=["a", "ab", "a/b", "ab/b"])
@example(rules=["a\\ ", "b\\  ", "- "], paths=["a ", "b ", "-", "a", "b"])
@example(rules=["**/**/a/**/**/b/**"], paths=["a/b", "a/b/a", "b/a/a/b/b/b", "b/a/ab/b"])
def test_ignores_what_git_ignores(repo: Path, rules: list[str], paths: list[str]) -> None:
    """A folder that is left out takes everything below it along, whatever later rules say."""
    text = "".join(f"{rule}\n" for rule in rules)
    (repo / ".gitignore").write_text(text)

    said = git(repo, "check-ignore", "--no-index", "-z", "--stdin", stdin="\0".join(paths))

    ours = Ignores(text)
    assert {path for path in paths if ours.matches(path)} == set(said.split("\0")) - {""}


@slow
@given(rules=st.lists(st.tuples(WORDS, st.booleans()), min_size=1, max_size=4), paths=PATHS)
@example(rules=[("a/", True), ("/b", True)], paths=["a", "a/b", "b", "a/a"])
@example(rules=[("*", True), ("!a", False)], paths=["a", "b"])
@example(rules=[("**", True), ("b/**", False)], paths=["a", "b", "b/a", "a/b/a"])
def test_tracks_what_git_gives_the_attribute(
    repo: Path, rules: list[tuple[str, bool]], paths: list[str]
) -> None:
    """The last rule that matches decides."""
    text = "".join(
        f"{rule} {'' if is_lfs else '-'}filter{'=lfs' * is_lfs}\n" for rule, is_lfs in rules
    )
    (repo / ".gitattributes").write_text(text)

    said = git(repo, "check-attr", "-z", "--stdin", "filter", stdin="\0".join(paths)).split("\0")

    ours = Attributes(text)
    theirs = dict(zip(said[::3], said[2::3], strict=False))
    assert {path: ours.is_lfs(path) for path in paths} == {
        path: theirs[path] == "lfs" for path in paths
    }


TAME = st.lists(
    st.sampled_from(["a", "b", "*", "?", "/", "[ab]", "[!a]", "-"]), min_size=1, max_size=6
)


@given(rules=st.lists(TAME.map("".join), min_size=1, max_size=4), paths=PATHS)
def test_ignores_what_dulwich_ignores(rules: list[str], paths: list[str]) -> None:
    """On patterns both read alike."""
    theirs = IgnoreFilter([rule.encode() for rule in rules if "//" not in rule])
    ours = Ignores("\n".join(rule for rule in rules if "//" not in rule))

    for path in paths:
        assert ours.matches(path) == bool(theirs.is_ignored(path)), path


DEEP = "/".join(["a" * 14] * MAX_DEPTH)
LONG = "/".join(["a" * MAX_PART_BYTES] * 3)
HOSTILE = {
    "folders": "**/" * 600 + "b",
    "stars": "*a" * 1000 + "b",
    "stars in a path": "a/" + "*a" * 1000 + "b",
    "crossing stars": "/**/*a" * 300 + "b",
    "questions": "*?" * 1000 + "b",
    "brackets": "*[!b]" * 400 + "b",
    "open brackets": "[[:alpha:]" * 200,
    "many": "\n".join(["*a" * 5 + "b", "**/a*/" * 3 + "b"] * 1000),
    "many folders": "\n".join(["**/a/" * 20 + "b"] * 2000),
    "many names": "\n".join(f"a/{number}" for number in range(2000)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_patterns_cost_little(case: str) -> None:
    """What one file of a request may cost, whoever wrote the patterns."""
    rules = "".join(f"{line} filter=lfs\n" for line in HOSTILE[case].split("\n"))

    def work() -> None:
        attributes, ignores = Attributes(rules), Ignores(HOSTILE[case])
        for path in (DEEP, LONG):
            attributes.is_lfs(path)
            ignores.matches(path)

    assert seconds(work, runs=2) < 0.2


def test_what_is_too_much_is_not_read() -> None:
    """Rules behind the last that is read do nothing; those before hold."""
    full = "x*\n" * (globs.MAX_RULES - 1)

    assert Ignores(full + "a\nb\n").matches("a")
    assert not Ignores(full + "a\nb\n").matches("b")
    assert Ignores("a*\n" + "b*" + "?" * globs.MAX_PATTERN_BYTES + "\n!ab\n").matches("aa")
    assert not Ignores("b" * globs.MAX_PATTERN_BYTES + "*\n").matches(
        "b" * 2 * globs.MAX_PATTERN_BYTES
    )
    wide = ("?" * 1023 + "\n") * 17
    assert not Ignores(wide + "a*\n").matches("ab")
    assert Ignores(wide + "ab\n").matches("ab")


@pytest.mark.parametrize("text", ["\ud800*\na\n", "\ufeffa\n", "a\r\n", "b\0\na"])
def test_odd_text_is_read(text: str) -> None:
    """JSON may hold half a character, Windows a mark and its own line ends."""
    assert Ignores(text).matches("a")
    assert Attributes(text.replace("a", "a filter=lfs")).is_lfs("a")
