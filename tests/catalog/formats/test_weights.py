from catalog.formats.weights import WeightSet, parameters, weight_sets
from tests.catalog.formats.files import gg_model, judged, reports, torch_file
from tests.catalog.formats.test_facts import GOOD, WEIGHTS


def test_chooses_the_sets_loaders_would() -> None:
    files = reports(
        GOOD | {"m.gguf": gg_model(), "pytorch_model.bin": torch_file({}), "x/m.gguf": gg_model()}
    )

    assert weight_sets(files) == [
        WeightSet("safetensors", ("model.safetensors",)),
        WeightSet("gguf", ("m.gguf",)),
        WeightSet("pickle", ("pytorch_model.bin",)),
    ]
    assert parameters(files, WeightSet("pickle", ("pytorch_model.bin",))) is None
    assert parameters(files, WeightSet("safetensors", ())) is None


def test_deep_folders_come_last() -> None:
    files = reports({"a/b/model.safetensors": WEIGHTS, "c/x-00001-of-00002.safetensors": WEIGHTS})

    (found,) = weight_sets(files)

    assert found.paths == ("c/x-00001-of-00002.safetensors",)
    assert found.missing == ("x-00002-of-00002.safetensors",)
    assert "folder c/" in found.hint


def test_a_number_of_shards_is_believed_up_to_a_limit() -> None:
    files = {"m-00001-of-99999.gguf": judged(gg_model(), "m.gguf")}

    (found,) = weight_sets(files)

    assert len(found.missing) == 9_999
