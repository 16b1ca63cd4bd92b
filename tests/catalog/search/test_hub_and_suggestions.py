"""Parts of names: the hub's ``search=`` and completing what is typed."""

import pytest

from accounts.models import User
from accounts.viewer import VISITOR, Viewer
from catalog.search.query import SearchQuery
from catalog.search.run import search, suggest
from tests.catalog.search.shelf import Made, names, put

pytestmark = pytest.mark.usefixtures("publishers")


@pytest.fixture
def shelf() -> list[Made]:
    return put(
        Made(name="austen-gpt2-small", downloads=10, tag=("license:mit", "gguf"), format=("gguf",)),
        Made(name="Austen_50%", downloads=30, gate="manual"),
        Made(name="secret-austen", downloads=99, is_private=True),
        Made(owner="bob", name="dickens", downloads=20, parameters=7 * 10**9),
        Made(owner="team", name="hidden-dickens", is_private=True),
    )


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("usten", ["Austen_50%", "austen-gpt2-small"]),
        ("AUSTEN", ["Austen_50%", "austen-gpt2-small"]),
        ("e/aus", ["Austen_50%", "austen-gpt2-small"]),
        ("%", ["Austen_50%"]),
        ("_", ["Austen_50%"]),
        ("en_", ["Austen_50%"]),
        ("\\", []),
        ("b", ["dickens"]),
        ("austen gpt2", []),
        ("secret", []),
    ],
)
def test_the_hubs_search_is_a_part_of_the_id(
    part: str, expected: list[str], shelf: list[Made]
) -> None:
    page = search(VISITOR, SearchQuery.from_hub(name_part=part, sort="downloads"), limit=1000)

    assert [name.split("/")[1] for name in names(page.rows)] == expected
    assert page.total == len(expected)


def test_the_hubs_filters_must_all_apply(shelf: list[Made]) -> None:
    def found(**parameters: object) -> list[str]:
        query = SearchQuery.from_hub(**parameters)  # type: ignore[arg-type]
        return sorted(name.split("/")[1] for name in names(search(VISITOR, query, limit=9).rows))

    assert found(tags=["gguf", "license:mit"]) == ["austen-gpt2-small"]
    assert found(tags=["gguf", "license:other"]) == []
    assert found(apps=["ollama"]) == ["austen-gpt2-small"]
    assert found(apps=["unheard-of"]) == []
    assert found(gated="true") == ["Austen_50%"]
    assert found(gated="false", author="Alice") == ["austen-gpt2-small"]
    assert found(parameters="min:6B,max:7B") == ["dickens"]
    assert found(author="team") == []


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("aus", ["alice/Austen_50%", "alice/austen-gpt2-small"]),
        ("AUSTEN GP", ["alice/austen-gpt2-small"]),
        ("austen-gpt-2", ["alice/austen-gpt2-small"]),
        ("gpt2", ["alice/austen-gpt2-small"]),
        ("alice/aus", ["alice/Austen_50%", "alice/austen-gpt2-small"]),
        ("bob", ["bob/dickens"]),
        ("ickens", ["bob/dickens"]),  # a part of a word
        ("dikkens", ["bob/dickens"]),  # looks like it
        ("Dïckens", ["bob/dickens"]),
        ("d", ["bob/dickens"]),
        ("ck", []),  # too short for a part
        ("zzzz", []),
        ("", []),
        ("文本", []),
        ("\0", []),
        ("' | & ! ( : * \\", []),
        ("%%%", []),
        ("x" * 10_000, []),
    ],
)
def test_suggests_what_the_typed_text_may_become(
    typed: str, expected: list[str], shelf: list[Made]
) -> None:
    assert suggest(VISITOR, typed) == expected


def test_suggests_private_names_to_their_owners_only(
    shelf: list[Made], alice: User, bob: User
) -> None:
    for typed in ("austen", "secret", "ecret", "sekret-austen"):
        assert "alice/secret-austen" not in suggest(VISITOR, typed)
        assert "alice/secret-austen" not in suggest(Viewer(user=bob), typed)
        assert suggest(Viewer(user=alice), typed)[0] == "alice/secret-austen"
    assert suggest(Viewer(user=bob), "hidden-d") == []
    assert suggest(Viewer(user=alice), "hidden-d") == ["team/hidden-dickens"]


def test_suggests_at_most_eight_the_most_used_first() -> None:
    put(*(Made(name=f"novel-{n}", downloads=n) for n in range(12)))

    assert suggest(VISITOR, "nov") == [f"alice/novel-{n}" for n in range(11, 3, -1)]
