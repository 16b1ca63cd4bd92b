"""How the demo models are made: texts, training, measures, cards; on tiny examples."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from scripts.demo_models import __main__ as program
from scripts.demo_models import cards, corpus, gguf_file, measuring, training, vocabulary
from scripts.demo_models.corpus import MissingTextsError

NOVEL = """THE TITLE

by Nobody

CHAPTER I

{first}

VOLUME II

Chapter 2.

{second}

THE END

A NOTE ON THE TEXT

Printed somewhere.
"""
LONG = "She was _not_ quite\nsure of  it,\nand said so.\n\n" * 30


@pytest.fixture(autouse=True)
def clean_valkey() -> None:
    """Nothing here knows Valkey."""


@pytest.fixture(autouse=True)
def own_folders() -> None:
    """Nothing here knows blobs."""


def test_a_novel_becomes_clean_chapters(tmp_path: Path) -> None:
    path = tmp_path / "novel.txt"
    path.write_text(NOVEL.format(first=LONG, second=LONG.replace("She", "He")))

    chapters = corpus.novel_chapters(path)

    assert len(chapters) == 2
    assert chapters[0].startswith("She was not quite sure of it, and said so.\n\nShe was")
    assert chapters[1].endswith("and said so.")


def test_a_missing_novel_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(MissingTextsError, match="r-cran-janeaustenr"):
        corpus.austen(tmp_path)


def test_a_text_without_chapters_is_no_novel(tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("Just words.")

    with pytest.raises(MissingTextsError, match="Chapter 1"):
        corpus.novel_chapters(tmp_path / "novel.txt")


def test_the_bible_becomes_verses(tmp_path: Path) -> None:
    path = tmp_path / "kjv.txt"
    printed = "".join(
        f"\nGenesis {number}\n\n  1 In the  beginning.\n  2 And the earth.\n"
        for number in range(1, 1190)
    )
    path.write_text(printed)

    chapters = corpus.bible_chapters(path)

    assert len(chapters) == 1189
    assert set(chapters) == {"In the beginning.\nAnd the earth."}


@pytest.mark.parametrize("text", [None, "Genesis 1\n\n 1 In the beginning.\n"])
def test_without_the_whole_bible_it_says_how_to_get_it(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "kjv.txt").write_text(text)

    with pytest.raises(MissingTextsError, match="apt-get install bible-kjv"):
        corpus.bible_chapters(tmp_path / "kjv.txt")


def test_every_twentieth_chapter_is_held_out() -> None:
    parts = corpus.split([str(number) for number in range(45)])

    assert parts.held_out == ["10", "30"]
    assert len(parts.train) == 43
    assert not set(parts.train) & set(parts.held_out)


def test_the_program_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = program.main(["base", "--austen", str(tmp_path), "--out", str(tmp_path / "out")])

    assert status == 2
    assert "AUSTEN_DIR" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        program.main(["everything"])


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return vocabulary.learn([LONG, "日本語 and naïve — café"], context_tokens=16)


def tiny(tokenizer: Any, **changes: Any) -> Any:
    torch.manual_seed(3)
    settings: dict[str, Any] = {"n_positions": 16, "n_embd": 32, "n_layer": 1, "n_head": 2}
    config = GPT2Config(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0, **settings)
    return GPT2LMHeadModel(config).eval()


def test_the_vocabulary_spells_anything(tokenizer: Any) -> None:
    text = " Ein süßer 🦊\n\nund\ttabs"

    (ids,) = vocabulary.to_ids(tokenizer, [text])

    assert ids[-1] == tokenizer.eos_token_id == 0
    assert tokenizer.decode(ids[:-1]) == text


def test_a_model_that_knows_nothing_scores_the_size_of_its_vocabulary(tokenizer: Any) -> None:
    model = tiny(tokenizer)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    texts = ["She was sure.", LONG[:200], ""]

    found = measuring.quality(model, tokenizer, texts)

    ids = sum(len(chapter) for chapter in vocabulary.to_ids(tokenizer, texts))
    assert found.tokens == ids  # every token once, however the windows lie
    assert found.loss == pytest.approx(math.log(len(tokenizer)), abs=1e-3)
    size = len("".join(texts).encode())
    assert found.bytes == size
    assert found.bits_per_byte == pytest.approx(ids * math.log2(len(tokenizer)) / size, abs=1e-3)


def test_within_one_window_the_loss_is_transformers_own(tokenizer: Any) -> None:
    model = tiny(tokenizer)
    text = "She was sure"
    (ids,) = vocabulary.to_ids(tokenizer, [text])
    assert len(ids) < 16

    found = measuring.quality(model, tokenizer, [text])

    given = torch.tensor([[0, *ids]])
    with torch.inference_mode():
        expected = float(model(input_ids=given, labels=given).loss)
    assert found.loss == pytest.approx(expected, abs=1e-4)


def train(tokenizer: Any, folder: Path, steps: int) -> tuple[Any, training.Progress]:
    ids = torch.tensor([i for chapter in vocabulary.to_ids(tokenizer, [LONG] * 3) for i in chapter])
    recipe = training.Recipe(steps=steps, batch=2, context=16, warmup=5)
    model = tiny(tokenizer)
    run = training.Run(model, train=ids, held_out=ids[:160], recipe=recipe, folder=folder)
    return model, run.finish()


def test_training_learns_and_an_interrupted_run_ends_the_same(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECK_EVERY", 10)
    whole, progress = train(tokenizer, tmp_path / "whole", 40)
    assert [point[0] for point in progress.curve] == [0, 10, 20, 30, 40]
    assert progress.curve[-1][2] < progress.curve[0][2] - 1

    plain = training.Run._step

    def interrupted(self: training.Run) -> float:
        if self.progress.step == 33:
            raise KeyboardInterrupt
        return plain(self)

    monkeypatch.setattr(training.Run, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tokenizer, tmp_path / "parts", 40)
    monkeypatch.setattr(training.Run, "_step", plain)
    resumed, again = train(tokenizer, tmp_path / "parts", 40)

    assert again.curve == [tuple(point) for point in progress.curve]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_checkpoint_of_another_recipe_is_not_used(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECK_EVERY", 10)
    train(tokenizer, tmp_path, 20)

    _, progress = train(tokenizer, tmp_path, 40)

    assert [point[0] for point in progress.curve] == [0, 10, 20, 30, 40]


def test_the_rate_warms_up_and_falls() -> None:
    recipe = training.Recipe(steps=100, warmup=10, peak_rate=1.0)

    rates = [recipe.rate(step) for step in range(100)]

    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.05, abs=0.001)


def test_a_gguf_keeps_every_tensor(tokenizer: Any, tmp_path: Path) -> None:
    model = tiny(tokenizer)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "out").mkdir()

    gguf_file.write(tmp_path, tmp_path / "out" / "m.gguf")

    small = gguf_file.load(tmp_path / "out" / "m.gguf", context_tokens=16)
    found = gguf_file.agreement(model, small, tokenizer, [LONG[:60], LONG])
    assert found["positions"] > 20
    assert found["same_choice"] > 0.9
    assert found["largest_logit_difference"] < 0.05


def test_a_tensor_gguf_does_not_know_is_an_error() -> None:
    with pytest.raises(ValueError, match="rotary"):
        gguf_file._gguf_name("model.layers.0.rotary.weight")


def test_a_card_names_only_what_was_measured(tmp_path: Path) -> None:
    source = Path(program.ROOT / "demo" / "models" / "regency" / "kjv-gpt2-small")
    folder = tmp_path / "kjv-gpt2-small"
    folder.mkdir()
    facts = json.loads((source / "training.json").read_text())
    del facts["curve"]  # no picture: the tests are installed without what draws it
    (folder / "training.json").write_text(json.dumps(facts))

    cards.write(folder, context_tokens=256, vocabulary=2048)
    assert (folder / "README.md").read_text() == (source / "README.md").read_text()

    del facts["quality"]["kjv_after"]
    (folder / "training.json").write_text(json.dumps(facts))
    with pytest.raises(KeyError):
        cards.write(folder, context_tokens=256, vocabulary=2048)
