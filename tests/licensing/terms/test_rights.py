"""Rights as data."""

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from licensing.terms.rights import Allowed, BadRightsError, Rights, lines, sentences

ALLOWED = st.sampled_from(Allowed)
RIGHTS = st.builds(Rights, ALLOWED, ALLOWED, ALLOWED, ALLOWED, credit=..., share_alike=...)
GIVEN = {
    "commercial_use": "yes",
    "derivatives": "conditional",
    "redistribution": "no",
    "hosted_service": "unknown",
    "credit": True,
    "share_alike": False,
}


def test_rights_are_plain_json() -> None:
    rights = Rights(Allowed.YES, Allowed.CONDITIONAL, Allowed.NO, Allowed.UNKNOWN, credit=True)

    assert rights.to_json() == GIVEN
    assert type(rights.to_json()["commercial_use"]) is str
    assert Rights.from_json(GIVEN) == rights


@given(RIGHTS)
def test_what_is_written_is_read_back(rights) -> None:
    assert Rights.from_json(rights.to_json()) == rights


@pytest.mark.parametrize("data", [None, [], "yes", 1, {}, GIVEN | {"more": "yes"}])
def test_refuses_other_fields(data) -> None:
    with pytest.raises(BadRightsError):
        Rights.from_json(data)


@pytest.mark.parametrize("name", GIVEN)
def test_refuses_a_missing_field(name) -> None:
    with pytest.raises(BadRightsError):
        Rights.from_json({key: value for key, value in GIVEN.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("commercial_use", "YES"),
        ("derivatives", True),
        ("redistribution", None),
        ("hosted_service", ["yes"]),
        ("credit", "true"),
        ("share_alike", 1),
    ],
)
def test_refuses_a_wrong_kind_and_names_the_field(name, value) -> None:
    with pytest.raises(BadRightsError) as caught:
        Rights.from_json(GIVEN | {name: value})

    assert caught.value.extra == {"field": name}


def test_each_answer_has_words_and_an_icon() -> None:
    shown = [lines(Rights(answer, answer, answer, answer)) for answer in Allowed]

    assert [[line.name for line in one] for one in shown] == [
        ["commercial_use", "derivatives", "redistribution", "hosted_service"]
    ] * 4
    assert len({line.sentence for one in shown for line in one}) == 16
    assert [one[0].symbol for one in shown] == ["check", "cross", "warn", "info"]
    assert shown[1][3].sentence == "You may not let others use it over a network."
    assert (shown[2][0].label, shown[2][0].word) == ("Commercial use", "with conditions")


def test_duties_are_told_after_the_rights() -> None:
    plain = sentences(Rights())

    assert len(plain) == 4
    assert sentences(Rights(credit=True, share_alike=True)) == [
        *plain,
        "You must name the author.",
        "What you derive and hand on must carry the same license.",
    ]


def test_sentences_are_looked_up_when_shown() -> None:
    with translation.override("zh-hans"):
        words = [line.word for line in lines(Rights())]

    assert len(words) == 4
    assert all(type(word) is str for word in words)
