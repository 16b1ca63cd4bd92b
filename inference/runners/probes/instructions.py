"""Instruction following by rules a program checks; the rules are data."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from inference.box.conversation import Asked, ChatMessage
from inference.runners.probes.base import CHAT, Answered, Metric, ProbeSpec, greedy
from inference.runners.scorer import Scorer

MAX_NEW_TOKENS = 96


class Instructions:
    """An instruction, and rules its answer must keep.

    ``is_followed``: it keeps them all; ``share_kept``: how many of them. An empty answer keeps
    none.

    With the option ``chat`` a model that has a chat template is given the instruction as a user's
    message, through that template, as lm-evaluation-harness does with ``--apply_chat_template``;
    all others in the ``frame``.

    Source:
        The idea of Zhou et al. 2023, "Instruction-following evaluation for large language models"
        (IFEval, arXiv:2311.07911); instructions and rules are the store's own.
    """

    metrics: Mapping[str, Metric] = {"is_followed": Metric(), "share_kept": Metric()}

    def __init__(self, spec: ProbeSpec) -> None:
        self._rows = spec.rows
        self._frame = str(spec.options.get("frame", "{instruction}"))
        self._is_chat = bool(spec.options.get(CHAT))

    def __len__(self) -> int:
        """How many questions it has."""
        return len(self._rows)

    def ask(self, scorer: Scorer, index: int) -> Answered:
        """See ``Probe``."""
        row = self._rows[index]
        prompt, asked = self._asked(scorer, row["instruction"])
        output = scorer.write(asked, greedy(MAX_NEW_TOKENS, stop=("\n\nInstruction:",))).text
        kept = [bool(output.strip()) and is_kept(rule, output.strip()) for rule in row["rules"]]
        share = sum(kept) / len(kept)
        broken = [rule for rule, is_good in zip(row["rules"], kept, strict=True) if not is_good]
        return Answered(
            prompt,
            "; ".join(describe(rule) for rule in row["rules"]),
            output,
            {"is_followed": float(share == 1.0), "share_kept": share},
            {"broken": [describe(rule) for rule in broken]},
        )

    def _asked(self, scorer: Scorer, instruction: str) -> tuple[str, Asked]:
        """Return what is kept as the prompt, and what the model is given."""
        if self._is_chat and scorer.takes_messages:
            return instruction, [ChatMessage(role="user", content=instruction)]
        prompt = self._frame.format(instruction=instruction)
        return prompt, prompt


Rule = Mapping[str, Any]


def is_kept(rule: Rule, answer: str) -> bool:
    """Whether ``answer`` keeps a rule, ``{"rule": name, "value": …}``.

    Raises:
        KeyError: there is no such rule.
    """
    return _RULES[rule["rule"]](answer, rule.get("value"))


def describe(rule: Rule) -> str:
    """Return a rule as a person reads it."""
    value = rule.get("value")
    shown = "" if value is None else f" {json.dumps(value, ensure_ascii=False)}"
    return str(rule["rule"]).replace("_", " ") + shown


def _words(answer: str) -> list[str]:
    return re.findall(r"[\w'-]+", answer)


def _lines(answer: str) -> list[str]:
    return [line for line in answer.splitlines() if line.strip()]


def _is_json(answer: str, keys: Any) -> bool:
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return False
    return keys is None or (isinstance(found, dict) and set(keys) <= set(found))


_RULES: Mapping[str, Callable[[str, Any], bool]] = {
    "contains": lambda answer, value: value.lower() in answer.lower(),
    "contains_all": lambda answer, value: all(each.lower() in answer.lower() for each in value),
    "does_not_contain": lambda answer, value: value.lower() not in answer.lower(),
    "is_exactly": lambda answer, value: answer == value,
    "is_one_of": lambda answer, value: (
        answer.strip(" .!").lower() in {each.lower() for each in value}
    ),
    "starts_with": lambda answer, value: answer.startswith(value),
    "ends_with": lambda answer, value: answer.endswith(value),
    "at_most_words": lambda answer, value: len(_words(answer)) <= value,
    "at_least_words": lambda answer, value: len(_words(answer)) >= value,
    "lines": lambda answer, value: len(_lines(answer)) == value,
    "is_lower_case": lambda answer, _: answer == answer.lower() and answer != answer.upper(),
    "is_upper_case": lambda answer, _: answer == answer.upper() and answer != answer.lower(),
    "no_commas": lambda answer, _: "," not in answer,
    "no_digits": lambda answer, _: not re.search(r"\d", answer),
    "only_digits": lambda answer, _: bool(re.fullmatch(r"[\d\s.,-]+", answer)),
    "bullets": lambda answer, value: (
        sum(line.lstrip().startswith(("-", "*", "•")) for line in _lines(answer)) == value
    ),
    "numbered": lambda answer, value: (
        [int(found[1]) for line in _lines(answer) if (found := re.match(r"\s*(\d+)[.)]", line))]
        == list(range(1, value + 1))
    ),
    "is_quoted": lambda answer, _: len(answer) > 2 and answer[0] == answer[-1] == '"',
    "is_json": _is_json,
    "times": lambda answer, value: answer.lower().count(value[0].lower()) == value[1],
}
"""Each takes the answer and the rule's value."""
