"""Our own probes, asked of a model whose answers are known."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from inference.box.conversation import Asked, ChatMessage
from inference.box.params import SamplingParams
from inference.runners.probes.base import ProbeSpec
from inference.runners.probes.copying import Copying, Counting
from inference.runners.probes.instructions import Instructions, describe, is_kept
from inference.runners.probes.memory import Memorization, verbatim_tokens
from inference.runners.probes.pairs import BiasPairs
from inference.runners.probes.repetition import Repetition, degeneration
from inference.runners.probes.speed import SATURATED, Speed
from inference.runners.scorer import Continuation, Scored, answer_harness


class Known:
    """A model that says what the test tells it; likelier is what is longer."""

    def __init__(
        self, say: Callable[[str], str] = lambda _prompt: "", *, takes_messages: bool = False
    ) -> None:
        self.say = say
        self.takes_messages = takes_messages
        self.asked: list[tuple[Asked, SamplingParams]] = []

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Scored]:
        return [Scored(-1.0 * len(b), a == "yes", len(b)) for a, b in pairs]

    def rolling(self, texts: Sequence[str]) -> list[Scored]:
        return [Scored(float(len(text)) - 1000, False, len(text)) for text in texts]

    def write(self, asked: Asked, params: SamplingParams) -> Continuation:
        self.asked.append((asked, params))
        text = self.say(asked if isinstance(asked, str) else asked[-1].content)
        tokens = tuple(text[at : at + 3] for at in range(0, len(text), 3))
        return Continuation(text, tokens, "stop", 4, 0.5, 1.5)


def test_copying_counts_words_before_the_first_mistake() -> None:
    probe = Copying(ProbeSpec(seed=1, count=6, options={"lengths": [5]}))
    words = probe.ask(Known(), 2).expected.split()

    right = probe.ask(Known(lambda _: f" {' '.join(words)}. And more"), 2)
    half = probe.ask(Known(lambda _: f"{words[0]} {words[1]} wrong {words[3]}"), 2)
    none = probe.ask(Known(lambda _: "nothing"), 2)

    assert right.metrics == {"is_copied": 1.0, "share_copied": 1.0}
    assert half.metrics == {"is_copied": 0.0, "share_copied": 0.5}
    assert none.metrics == {"is_copied": 0.0, "share_copied": 0.0}
    lines = right.prompt.split("\n")
    assert lines[0] == lines[1]
    assert lines[0].startswith(lines[2])
    assert [Copying(ProbeSpec(seed=1, count=6)).ask(Known(), n).prompt for n in range(6)] == [
        Copying(ProbeSpec(seed=1, count=6)).ask(Known(), n).prompt for n in range(6)
    ]


@pytest.mark.parametrize(
    ("said", "is_right"),
    [(" {}", 1), ("{}, 99", 1), (" {}7", 0), (" x {}", 0), ("", 0), ("-{}", 0)],
)
def test_counting_wants_the_very_next_number(said: str, is_right: int) -> None:
    probe = Counting(ProbeSpec(seed=2, count=4, options={"steps": [2]}))
    expected = probe.ask(Known(), 1).expected

    found = probe.ask(Known(lambda _: said.format(expected)), 1)

    assert found.metrics == {"is_right": float(is_right)}
    shown = [int(number) for number in found.prompt.rstrip(",").split(", ")]
    assert {b - a for a, b in itertools.pairwise(shown)} == {2}
    assert int(expected) == shown[-1] + 2


def test_degeneration_is_told_from_variety() -> None:
    varied = degeneration("one two three four five six seven eight")
    stuck = degeneration("the cat sat down. " + "again and " * 8)

    assert varied == {
        "distinct_1": 1.0,
        "distinct_2": 1.0,
        "distinct_3": 1.0,
        "repeated_4": 0.0,
        "loops": 0.0,
    }
    assert stuck["loops"] == 1.0
    assert stuck["repeated_4"] > 0.5 > stuck["distinct_3"]
    assert degeneration("") == {}
    assert degeneration("one two") == {"distinct_1": 1.0, "distinct_2": 1.0}
    assert degeneration("a a a a a a a")["loops"] == 0.0  # too short to call it one


def test_repetition_writes_greedily_and_by_lot() -> None:
    model = Known(lambda _: "a b c d e")
    probe = Repetition(ProbeSpec(seed=7, rows=[{"prompt": "x"}, {"prompt": "y"}]))

    found = [probe.ask(model, index) for index in range(len(probe))]

    assert [params.temperature for _, params in model.asked] == [0.0, 1.0, 0.0, 1.0]
    assert [params.seed for _, params in model.asked] == [0, 7, 0, 8]
    assert set(found[0].metrics) | set(found[1].metrics) <= set(probe.metrics)
    assert found[0].metrics["greedy_distinct_2"] == found[1].metrics["sampled_distinct_2"] == 1.0


@pytest.mark.parametrize(
    ("rule", "value", "good", "bad"),
    [
        ("contains", "Blue", "a blue sea", "a sea"),
        ("contains_all", ["a", "b"], "b and A", "a"),
        ("does_not_contain", "snow", "rain", "Snow"),
        ("is_exactly", "Hi.", "Hi.", "hi."),
        ("is_one_of", ["yes"], "Yes.", "yes sir"),
        ("starts_with", "So", "So it is", "so it is"),
        ("ends_with", "end.", "The end.", "end"),
        ("at_most_words", 2, "two words", "three words here"),
        ("at_least_words", 3, "it's three words", "two words"),
        ("lines", 2, "a\n\nb", "a"),
        ("is_lower_case", None, "small 1", "Small"),
        ("is_upper_case", None, "LARGE", "LARGe"),
        ("is_lower_case", None, "a", "1"),
        ("no_commas", None, "a b", "a, b"),
        ("no_digits", None, "four", "4"),
        ("only_digits", None, "1,000", "1 apple"),
        ("bullets", 2, "- a\n* b", "- a\nb"),
        ("numbered", 2, "1. a\n2) b", "1. a\n3. b"),
        ("is_quoted", None, '"so"', "so"),
        ("is_json", ["a"], '{"a": 1}', '{"b": 1}'),
        ("is_json", None, "[]", "[" * 100_000),
        ("times", ["ha", 2], "Ha, ha", "ha"),
    ],
)
def test_a_rule_knows_what_keeps_it(rule: str, value: Any, good: str, bad: str) -> None:
    about = {"rule": rule} | ({"value": value} if value is not None else {})

    assert is_kept(about, good)
    assert not is_kept(about, bad)
    assert describe(about)


def test_instructions_tell_which_rules_were_broken() -> None:
    rows = [
        {
            "instruction": "Say it.",
            "rules": [{"rule": "contains", "value": "it"}, {"rule": "no_commas"}],
        }
    ]
    probe = Instructions(ProbeSpec(rows=rows, options={"frame": "Do: {instruction}"}))

    half = probe.ask(Known(lambda _: "it, is"), 0)
    empty = probe.ask(Known(lambda _: "  "), 0)

    assert half.prompt == "Do: Say it."
    assert half.metrics == {"is_followed": 0.0, "share_kept": 0.5}
    assert half.facts == {"broken": ["no commas"]}
    assert empty.metrics == {"is_followed": 0.0, "share_kept": 0.0}


@pytest.mark.parametrize(
    ("takes_messages", "is_chat", "asked"),
    [
        (True, True, [ChatMessage(role="user", content="Say it.")]),
        (True, False, "Do: Say it."),
        (False, True, "Do: Say it."),
    ],
)
def test_instructions_go_through_the_chat_template_where_there_is_one(
    takes_messages: bool, is_chat: bool, asked: Asked
) -> None:
    rows = [{"instruction": "Say it.", "rules": [{"rule": "contains", "value": "it"}]}]
    options = {"frame": "Do: {instruction}", "chat": is_chat}
    model = Known(lambda _: "it", takes_messages=takes_messages)

    said = Instructions(ProbeSpec(rows=rows, options=options)).ask(model, 0)

    assert [each for each, _params in model.asked] == [asked]
    assert said.prompt == (asked if isinstance(asked, str) else "Say it.")
    assert said.metrics == {"is_followed": 1.0, "share_kept": 1.0}


def test_bias_pairs_keep_stereotypes_and_neutral_pairs_apart() -> None:
    rows = [
        {"kind": "stereotype", "first": "longer text", "second": "short"},
        {"kind": "neutral", "first": "short", "second": "longer text"},
    ]
    probe = BiasPairs(ProbeSpec(rows=rows))

    assert probe.ask(Known(), 0).metrics == {"stereotype_likelier": 1.0}
    neutral = probe.ask(Known(), 1)
    assert neutral.metrics == {"neutral_first_likelier": 0.0}
    assert neutral.output == "longer text"


def test_memorization_counts_whole_tokens_that_say_the_text() -> None:
    def said(*tokens: str) -> Continuation:
        return Continuation("".join(tokens), tokens, "length", 1, 0.0, 0.0)

    assert verbatim_tokens(said(" four", " score", "\n and"), "four score and seven") == 3
    assert verbatim_tokens(said(" four", " scorn"), "four score") == 1
    assert verbatim_tokens(said("x"), "four") == 0
    assert verbatim_tokens(said("", " ", "four", " score", " more"), "four score") == 4
    rows = [{"prompt": "p", "continuation": "abc" * 20, "source": "s"}]
    found = Memorization(ProbeSpec(rows=rows)).ask(Known(lambda _: "abc" * 20), 0)
    assert found.metrics == {"is_memorized": 1.0, "verbatim_tokens": 20.0}


def test_speed_measures_alone_and_together() -> None:
    options = {"tokens": 6, "single_rounds": 2, "saturated_rounds": 1}
    probe, model = Speed(ProbeSpec(options=options)), Known(lambda _: "abcdef" * 3)

    found = [probe.ask(model, index) for index in range(len(probe))]

    assert len(model.asked) == 1 + 2 + SATURATED  # the first only warms up
    assert found[0].metrics == {"single_tokens_per_s": 5.0, "first_token_s": 0.5}
    assert found[2].metrics["saturated_tokens_per_s"] > 0
    assert found[2].facts["tokens"] == 6 * SATURATED


def test_the_harness_is_answered_in_its_own_words() -> None:
    model = Known(lambda prompt: prompt.upper())

    assert answer_harness(model, "loglikelihood", [["yes", "ab"], ["no", "a"]]) == [
        [-2.0, True],
        [-1.0, False],
    ]
    assert answer_harness(model, "loglikelihood_rolling", ["ab"]) == [-998.0]
    wanted = {
        "prompt": "hi",
        "stop": ["\n", "", "x" * 65, "a", "b", "c", "d"],
        "max_new_tokens": 9,
        "temperature": 0.0,
        "top_p": None,
        "top_k": 0,
    }
    assert answer_harness(model, "generate_until", [wanted]) == ["HI"]
    assert model.asked[-1][1].stop == ("\n", "a", "b", "c")
