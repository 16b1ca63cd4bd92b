"""People's own questions: a JSONL file of prompts with answers or choices, as a private suite."""

import hashlib
import json
import re
from typing import Any, Literal

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Scope
from accounts.viewer import Viewer
from inference.models import EvaluationRun, Suite
from inference.services.suite_specs import Metric, Spec, Task
from inference.services.suites import SuiteNotFoundError, keep, read
from store.core.errors import ConflictError, InvalidError

MAX_BYTES = 2 * 1024 * 1024
MAX_ROWS = 2_000
MAX_PROMPT_CHARS = 20_000
MAX_ANSWER_CHARS = 2_000
MAX_CHOICES = 26
MAX_NEW_TOKENS = 64
Match = Literal["exact", "contains"]
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")


class BadDatasetError(InvalidError):
    """The file is not such a data set; ``extra["line"]`` says where (from 1), 0: as a whole."""

    code = "bad_dataset"


class DatasetInUseError(ConflictError):
    """An evaluation with it is open."""

    code = "dataset_in_use"


def add_dataset(viewer: Viewer, name: str, content: bytes, *, match: Match = "exact") -> Suite:
    """Keep a data set as a suite of the viewer's own.

    Args:
        viewer: Who owns it, alone.
        name: Its key after ``username/``; the same name again makes a new version.
        content: Lines of JSON, all of one kind: ``{"prompt", "answer"}`` (the model writes; its
            first line must be the answer, or hold it) or ``{"prompt", "choices", "answer"}``
            (the likeliest choice; ``answer`` is its text or its place from 0).
        match: ``exact`` or ``contains``, for answers the model writes.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; a fine-grained token.
        BadDatasetError: the file cannot be used; nothing is kept.
    """
    user = viewer.require(Scope.WRITE)
    if not _KEY.fullmatch(name):
        raise _bad(0, _("Its name has small letters, digits, dots and dashes, 61 at most."))
    rows = read_rows(content)
    is_choice = "choices" in rows[0]
    config = _choice_config() if is_choice else _written_config(match)
    digest = hashlib.sha256(content).hexdigest()
    config["metadata"] = {"version": 1, "sha256": digest}
    task = Task(
        name="dataset", title=name, runner="harness", config=config, rows=tuple(rows), shard=10
    )
    metric = "acc" if is_choice or match == "contains" else "exact_match"
    spec = Spec(tasks=(task,), primary=Metric(task="dataset", metric=metric))
    return keep(
        f"{user.username}/{name}",
        Suite.Kind.DATASET,
        name,
        spec.to_json(),
        owner=user,
        is_public=False,
    )


def delete_dataset(viewer: Viewer, public_id: str) -> None:
    """Delete one's own data set, and what was measured with it.

    Raises:
        UnauthenticatedError, MissingScopeError: nobody is signed in; a fine-grained token.
        SuiteNotFoundError: there is none, or it is not the viewer's.
        DatasetInUseError: an evaluation with it is open.
    """
    user = viewer.require(Scope.WRITE)
    with transaction.atomic():
        suite = read(viewer, public_id)
        if suite.owner_id != user.pk or suite.is_public:
            raise SuiteNotFoundError(_("There is no such data set of yours."))
        if suite.runs.filter(state__in=EvaluationRun.OPEN).exists():
            raise DatasetInUseError(_("An evaluation with it is open. Stop that first."))
        suite.runs.all().delete()
        suite.delete()


def read_rows(content: bytes) -> list[dict[str, Any]]:
    """Return the questions of a file: each ``prompt`` and ``answer``, all or none ``choices``.

    Raises:
        BadDatasetError: it is too large, empty, or a line is wrong.
    """
    if len(content) > MAX_BYTES:
        raise _bad(0, _("A data set has at most %(most)d bytes.") % {"most": MAX_BYTES})
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise _bad(0, _("The file is not UTF-8 text.")) from error
    rows = [_row(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows or len(rows) > MAX_ROWS:
        raise _bad(0, _("A data set has 1 to %(most)d lines.") % {"most": MAX_ROWS})
    kinds = {"choices" in row for row in rows}
    if len(kinds) > 1:
        raise _bad(0, _("Either every line has choices, or none has."))
    return rows


def _row(number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _bad(number, _("This line is no JSON.")) from error
    if not isinstance(row, dict) or not {"prompt", "answer"} <= set(row):
        raise _bad(number, _("This line is no object with prompt and answer."))
    prompt = _text(number, row["prompt"], MAX_PROMPT_CHARS)
    if "choices" not in row:
        answer = row["answer"]
        plain = str(answer) if type(answer) in (int, float) else answer
        return {"prompt": prompt, "answer": _text(number, plain, MAX_ANSWER_CHARS)}
    choices = row["choices"]
    if not isinstance(choices, list) or not 2 <= len(choices) <= MAX_CHOICES:
        raise _bad(number, _("Choices are a list of 2 to %(most)d texts.") % {"most": MAX_CHOICES})
    texts = [_text(number, choice, MAX_ANSWER_CHARS) for choice in choices]
    return {"prompt": prompt, "choices": texts, "answer": _place(number, row["answer"], texts)}


def _place(number: int, answer: Any, choices: list[str]) -> int:
    if isinstance(answer, str) and choices.count(answer) == 1:
        return choices.index(answer)
    if type(answer) is int and 0 <= answer < len(choices):
        return answer
    raise _bad(number, _("The answer is one of the choices, or its place from 0."))


def _text(number: int, value: Any, most: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise _bad(number, _("Texts have 1 to %(most)d characters.") % {"most": most})
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise _bad(number, _("A text has characters that are no text."))
    return value


def _written_config(match: Match) -> dict[str, Any]:
    metric = {"metric": "exact_match" if match == "exact" else "acc"}
    return {
        "output_type": "generate_until",
        "test_split": "test",
        "doc_to_text": "prompt",
        "doc_to_target": "answer",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": MAX_NEW_TOKENS, "do_sample": False},
        "metric_list": [metric | {"aggregation": "mean", "higher_is_better": True}],
        "filter_list": [
            {
                "name": "none",
                "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}],
            }
        ],
    } | ({"process_results": "contains"} if match == "contains" else {})


def _choice_config() -> dict[str, Any]:
    return {
        "output_type": "multiple_choice",
        "test_split": "test",
        "doc_to_text": "prompt",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": [
            {"metric": name, "aggregation": "mean", "higher_is_better": True}
            for name in ("acc", "acc_norm")
        ],
    }


def _bad(line: int, message: str) -> BadDatasetError:
    where = _("Line %(line)d: ") % {"line": line} if line else ""
    return BadDatasetError(where + message, line=line)
