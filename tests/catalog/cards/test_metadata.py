"""Claims in the hub's vocabulary."""

import pytest

from catalog.cards.licenses import LICENSES, license_name, rights_for
from catalog.cards.metadata import BaseModel, read_metadata, tags_for
from catalog.cards.tasks import TASKS
from catalog.cards.validation import validate


def test_reads_every_claim() -> None:
    found = read_metadata(
        {
            "license": "MIT",
            "language": ["en", False],
            "tags": ["tiny", "tiny"],
            "pipeline_tag": "text-generation",
            "library_name": "Transformers",
            "datasets": "ns/data",
            "base_model": "ns/base",
            "model-index": [{"name": "x"}],
        }
    )

    assert found.licenses == ("mit",)
    assert found.languages == ("en", "no")
    assert found.base_models == (BaseModel("ns/base", "finetune"),)
    assert found.warnings == ()
    assert tags_for(found, ["safetensors"]) == [
        "transformers",
        "safetensors",
        "tiny",
        "text-generation",
        "en",
        "no",
        "dataset:ns/data",
        "base_model:ns/base",
        "base_model:finetune:ns/base",
        "license:mit",
    ]


@pytest.mark.parametrize(
    ("data", "formats", "relation"),
    [
        ({"base_model": "a/b", "tags": ["lora"]}, [], "adapter"),
        ({"base_model": "a/b", "library_name": "peft"}, [], "adapter"),
        ({"base_model": ["a/b", "c/d"]}, [], "merge"),
        ({"base_model": "a/b"}, ["gguf"], "quantized"),
        ({"base_model": "a/b"}, ["gguf", "safetensors"], "finetune"),
        ({"base_model": "a/b", "base_model_relation": "merge"}, [], "merge"),
        ({"base_model": "a/b", "base_model_relation": "nonsense"}, [], "finetune"),
    ],
)
def test_the_relation_to_the_base(data: dict, formats: list[str], relation: str) -> None:
    found = read_metadata(data, formats=formats)

    assert {base.relation for base in found.base_models} == {relation}


def test_wrong_types_are_warnings() -> None:
    found = read_metadata(
        {
            "license": 3,
            "tags": {"a": 1},
            "pipeline_tag": ["x"],
            "model-index": "no",
            "language": [1],
            "base_model_relation": "odd",
            "library_name": None,
        }
    )

    assert (found.licenses, found.tags, found.pipeline_tag, found.model_index) == ((), (), "", None)
    assert len(found.warnings) == 6


def test_unknown_tasks_are_kept_with_a_warning() -> None:
    found = read_metadata({"pipeline_tag": "mind-reading"})

    assert found.pipeline_tag == "mind-reading"
    assert found.warnings == ("pipeline_tag 'mind-reading' is no task the hub knows.",)
    assert TASKS["text-to-3d"].label == "Text to 3D"
    assert "text-generation" in TASKS


def test_the_strictest_license_counts() -> None:
    assert rights_for(["mit"]).commercial_use == "yes"
    assert rights_for(["mit", "cc-by-nc-4.0"]).commercial_use == "no"
    assert rights_for(["mit", "llama3"]).commercial_use == "conditional"
    assert rights_for(["mit", "nobody-knows"]).commercial_use == "unknown"
    assert rights_for([]).commercial_use == "unknown"
    assert rights_for(["gpl-3.0"]).share_alike
    assert license_name("cc-by-nc-4.0") == "CC BY-NC 4.0"
    assert license_name("my-own") == "my-own"
    assert license_name("bsd-3-clause") == "BSD 3-Clause"
    made = {item for item in LICENSES if LICENSES[item].name.startswith("CC BY")}
    assert made == {item for item in LICENSES if item.startswith("cc-by")}
    assert len(LICENSES) >= 80


@pytest.mark.parametrize(
    ("content", "errors", "warnings"),
    [
        ("---\nlicense: mit\n---\n", 0, 0),
        ("---\nlicense: [mit, apache-2.0]\n---\n", 0, 0),
        ("no front matter", 0, 1),
        ("---\nlicense: nope\n---\n", 1, 0),
        ("---\nmodel-index: 3\n---\n", 1, 0),
        ("---\na: [\n---\n", 1, 0),
        ("---\nlicense: mit\ntags: 3\n---\n", 0, 1),
    ],
)
def test_validation(content: str, errors: int, warnings: int) -> None:
    report = validate(content)

    assert (len(report.errors), len(report.warnings)) == (errors, warnings)


def test_validation_as_text() -> None:
    report = validate("---\nlicense: nope\ntags: 3\n---\n")

    error, warning = report.as_text().splitlines()
    assert error.startswith('- Error: "license" must be one of [afl-3.0, ')
    assert warning == "- Warning: 'tags' must be a text or a list of texts."
    assert validate("---\nmodel-index: 3\n---\n", "dataset").errors == ()
