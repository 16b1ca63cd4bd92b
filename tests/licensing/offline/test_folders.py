"""Folders of model files beside a license."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from licensing.offline.folders import NoSuchFolderError, closest, compare, locate
from tests.licensing.documents.making import MODEL, covered


def differences(folder, model=MODEL) -> list[tuple[str, str]]:
    return [(item.kind, item.path) for item in compare(model, folder).differences]


def test_the_licensed_files_and_harmless_ones_beside_them(weights) -> None:
    (weights / "README.md").write_text("hello")
    (weights / ".git").mkdir()
    (weights / ".git/HEAD").write_text("ref")

    report = compare(MODEL, weights)

    assert (report.differences, report.same_files, report.same_bytes) == ([], 2, 9)


def test_a_changed_byte_and_a_changed_size(weights) -> None:
    (weights / "model.safetensors").write_bytes(b"Weights")
    (weights / "config.json").write_bytes(b"{ }")

    report = compare(MODEL, weights)

    assert [(item.kind, item.path, item.detail) for item in report.differences] == [
        ("changed", "config.json", "has 3 bytes instead of 2"),
        ("changed", "model.safetensors", "other content"),
    ]
    assert report.same_files == 0


def test_a_missing_and_a_renamed_file(weights) -> None:
    (weights / "config.json").unlink()
    (weights / "model.safetensors").rename(weights / "weights.SAFETENSORS")
    (weights / "other.gguf").write_bytes(b"Weights")

    report = compare(MODEL, weights)

    assert [(item.kind, item.path, item.detail) for item in report.differences] == [
        ("missing", "model.safetensors", ""),
        ("extra", "other.gguf", ""),
        ("extra", "weights.SAFETENSORS", "is model.safetensors under another name"),
    ]
    assert report.absent == ["config.json", "model.safetensors"]


def test_what_a_loader_leaves_out_is_no_difference(weights) -> None:
    more = ("README.md", ".gitattributes", "pytorch_model.bin", "gguf/model-q4.gguf")
    model = replace(MODEL, files=(*MODEL.files, *(covered(path, b"x") for path in more)))
    (weights / "config.json").unlink()

    report = compare(model, weights)

    assert (report.differences, report.same_files) == ([], 1)
    assert report.absent == ["config.json", *more]


def test_licensed_weights_are_there_at_all(weights) -> None:
    model = replace(MODEL, files=(*MODEL.files, covered("pytorch_model.bin", b"x")))
    (weights / "model.safetensors").unlink()

    assert differences(weights, model) == [
        ("missing", "model.safetensors"),
        ("missing", "pytorch_model.bin"),
    ]
    cards = replace(MODEL, files=(covered("README.md", b"x"), covered("a.json", b"x")))
    assert differences(weights, cards) == [
        ("missing", "README.md"),
        ("missing", "a.json"),
    ]


def test_a_set_of_weights_is_there_wholly_or_not_at_all(weights) -> None:
    index = json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}).encode()
    contents = {
        "gguf/q4-00001-of-00002.gguf": b"1",
        "gguf/q4-00002-of-00002.gguf": b"2",
        "gguf/q8-00001-of-00001.gguf": b"3",
        "sub/model.safetensors.index.json": index,
        "sub/one.safetensors": b"4",
        "sub/two.safetensors": b"5",
    }
    files = (covered(path, content) for path, content in contents.items())
    model = replace(MODEL, files=(*MODEL.files, *files))
    for path, content in contents.items():
        (weights / path).parent.mkdir(exist_ok=True)
        (weights / path).write_bytes(content)
    assert differences(weights, model) == []

    (weights / "gguf/q4-00002-of-00002.gguf").unlink()
    (weights / "sub/two.safetensors").unlink()
    assert differences(weights, model) == [
        ("missing", "gguf/q4-00002-of-00002.gguf"),
        ("missing", "sub/two.safetensors"),
    ]
    (weights / "gguf/q4-00001-of-00002.gguf").unlink()
    (weights / "sub/one.safetensors").unlink()  # the index alone came with other JSON files
    assert differences(weights, model) == []


@pytest.mark.parametrize(
    "path",
    [
        "pytorch_model.bin",
        ".git/x.safetensors",
        "sub/adapter_model.safetensors",
        "adapter_config.json",
        "model.safetensors.index.json",
        "onnx/model.onnx",
    ],
)
def test_weights_that_are_not_licensed(weights, path) -> None:
    (weights / path).parent.mkdir(exist_ok=True)
    (weights / path).write_bytes(b"x")

    assert differences(weights) == [("extra", path)]


def test_a_link_that_leads_out_of_the_folder(weights, tmp_path) -> None:
    (weights / "model.safetensors").rename(tmp_path / "elsewhere")
    (weights / "model.safetensors").symlink_to(tmp_path / "elsewhere")

    assert differences(weights) == [("outside", "model.safetensors")]
    (tmp_path / "elsewhere").unlink()
    assert differences(weights) == [("missing", "model.safetensors")]


def test_links_inside_the_folder_are_files(weights) -> None:
    (weights / "model.safetensors").rename(weights / "data")
    (weights / "model.safetensors").symlink_to("data")

    assert differences(weights) == []


def test_a_circle_of_links_is_no_file(weights) -> None:
    (weights / "model.safetensors").unlink()
    (weights / "model.safetensors").symlink_to("model.safetensors")

    assert differences(weights) == [("missing", "model.safetensors")]


def test_linked_folders_could_hide_weights(weights, tmp_path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/x.safetensors").write_bytes(b"x")
    (weights / "more").symlink_to(tmp_path / "more")

    assert differences(weights) == [("outside", "more")]


def test_a_folder_or_a_pipe_in_place_of_a_file(weights) -> None:
    (weights / "config.json").unlink()
    (weights / "config.json").mkdir()
    (weights / "model.safetensors").unlink()
    os.mkfifo(weights / "model.safetensors")
    os.mkfifo(weights / "other.safetensors")

    assert differences(weights) == [
        ("changed", "config.json"),
        ("changed", "model.safetensors"),
        ("extra", "other.safetensors"),
    ]


def test_what_cannot_be_read_is_a_difference(weights, monkeypatch) -> None:
    real_open, real_scandir = Path.open, os.scandir

    def refusing_open(self, *args, **options):
        if self.suffix == ".safetensors":
            raise PermissionError(13, "Permission denied", str(self))
        return real_open(self, *args, **options)

    def refusing_scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return real_scandir(path)

    (weights / "closed").mkdir()
    monkeypatch.setattr(Path, "open", refusing_open)
    monkeypatch.setattr(os, "scandir", refusing_scandir)

    assert differences(weights) == [("unreadable", "model.safetensors"), ("unreadable", "closed")]


def test_an_extra_file_that_cannot_be_read_is_still_extra(weights, monkeypatch) -> None:
    (weights / "model.safetensors").rename(weights / "other.safetensors")
    real_open = Path.open

    def refusing_open(self, *args, **options):
        if self.suffix == ".safetensors":
            raise PermissionError(13, "Permission denied", str(self))
        return real_open(self, *args, **options)

    monkeypatch.setattr(Path, "open", refusing_open)

    assert differences(weights) == [
        ("missing", "model.safetensors"),
        ("extra", "other.safetensors"),
    ]


def test_finds_the_model_in_a_cache_from_any_of_its_folders(cache) -> None:
    repo = cache / "hub/models--alice--poet"
    snapshot = repo / "snapshots" / MODEL.revision

    for folder in (cache, cache / "hub", repo, snapshot):
        ((model, place),) = locate((MODEL,), folder)
        assert (model, place.resolve()) == (MODEL, snapshot.resolve())
        assert differences(place) == []


def test_a_cache_with_another_version_alone_is_judged_by_its_files(cache) -> None:
    repo = cache / "hub/models--alice--poet"
    (repo / "snapshots" / MODEL.revision).rename(repo / "snapshots" / ("c" * 40))
    ((_, place),) = locate((MODEL,), cache)
    assert differences(place) == []

    (repo / "snapshots" / ("d" * 40)).mkdir()
    ((_, place),) = locate((MODEL,), cache)
    assert differences(place) == [("missing", "model.safetensors")]


def test_links_of_a_snapshot_lead_to_its_own_blobs_alone(cache, tmp_path) -> None:
    repo = cache / "hub/models--alice--poet"
    snapshot = repo / "snapshots" / MODEL.revision
    (repo / "blobs/of-config.json").rename(cache / "hub/loose")
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to("../../../loose")
    (repo / "blobs/of-model.safetensors").rename(tmp_path / "elsewhere")
    (repo / "blobs/of-model.safetensors").symlink_to(tmp_path / "elsewhere")

    assert differences(snapshot) == [("outside", "config.json"), ("outside", "model.safetensors")]


def test_models_of_a_cache_share_the_blobs_xet_names(cache, tmp_path) -> None:
    repo, shared = cache / "hub/models--alice--poet", cache / "hub/blobs/c1"
    shared.mkdir(parents=True)
    (repo / "blobs/of-model.safetensors").rename(shared / ("c1" * 32))
    (repo / "blobs/of-model.safetensors").symlink_to("../../blobs/c1/" + "c1" * 32)

    assert differences(repo / "snapshots" / MODEL.revision) == []

    (cache / "hub/blobs").rename(tmp_path / "blobs")
    (cache / "hub/blobs").symlink_to(tmp_path / "blobs")
    assert differences(repo / "snapshots" / MODEL.revision) == [("outside", "model.safetensors")]


def test_a_copy_of_a_snapshot_without_its_cache_leads_out(cache, tmp_path) -> None:
    snapshot = cache / "hub/models--alice--poet/snapshots" / MODEL.revision
    shutil.copytree(snapshot, tmp_path / "copy", symlinks=True)

    assert {kind for kind, _ in differences(tmp_path / "copy")} == {"missing"}


def test_each_model_of_a_license_is_found_in_the_cache(cache) -> None:
    other = replace(MODEL, id="2", name="alice/absent")
    third = replace(MODEL, id="3", name="alice/third")
    shutil.copytree(
        cache / "hub/models--alice--poet", cache / "hub/models--alice--third", symlinks=True
    )

    found = locate((MODEL, other, third), cache)

    assert [model.name for model, _ in found] == ["alice/poet", "alice/third"]


def test_a_folder_is_any_revision_of_its_model_that_is_licensed(weights) -> None:
    newer = replace(MODEL, revision="b" * 40, files=(covered("model.safetensors", b"newer"),))
    older = replace(MODEL, revision="c" * 40, files=(covered("config.json", b"[]"),))

    places = locate((newer, MODEL), weights)
    (report,) = closest(places)
    assert (report.model, report.differences) == (MODEL, [])

    (nearest,) = closest(locate((older, newer), weights))
    assert nearest.model == newer
    assert [item.kind for item in nearest.differences] == ["changed"]


def test_a_folder_that_is_not_there(tmp_path) -> None:
    with pytest.raises(NoSuchFolderError, match="no folder"):
        locate((MODEL,), tmp_path / "absent")


def test_a_path_with_strange_but_legal_names(tmp_path) -> None:
    model = replace(MODEL, files=(covered("a b/ü\\..\\x.bin", b"1"),))
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b/ü\\..\\x.bin").write_bytes(b"1")

    assert differences(tmp_path, model) == []
