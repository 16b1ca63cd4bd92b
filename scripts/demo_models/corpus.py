"""Reads the public-domain books and splits them, chapter by chapter, into train and held-out.

The books themselves are not part of the project. Two sources give the same texts:

* Six novels of Jane Austen, one ``*.txt`` each: Debian's ``r-cran-janeaustenr`` or Project
  Gutenberg's plain texts (numbers 105, 121, 141, 158, 161 and 1342).
* The King James Bible as the Debian program ``bible`` prints it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

TRAIN_NOVELS = (
    "sense_and_sensibility",
    "pride_and_prejudice",
    "mansfield_park",
    "emma",
    "northanger_abbey",
)
"""Novels the base model learns from, in the order of publication (the last one posthumous)."""
UNSEEN_NOVEL = "persuasion"
"""Never trained on and never looked at while settings were chosen."""
HOLD_OUT_EVERY = 20
"""Of the training books, every 20th chapter is held out for validation."""

_HEADING = re.compile(
    r"^[ \t]*(?:chapter|volume)[ \t]+[0-9IVXLC]+\.?[ \t]*$", re.IGNORECASE | re.MULTILINE
)
_END = re.compile(r"^\W*(?:finis|the end|a note on the text)\W*$", re.IGNORECASE | re.MULTILINE)
_BOOK = re.compile(r"^(?P<title>[A-Z1-9].*?) (?P<number>\d+)$", re.MULTILINE)
_VERSE_NUMBER = re.compile(r"^\s*\d+ ", re.MULTILINE)

AUSTEN_HINT = (
    "Put the six novels as {names}.txt into one folder and give it as --austen or AUSTEN_DIR. "
    "They are public domain: Debian's package r-cran-janeaustenr holds them, and Project "
    "Gutenberg has them as plain text (105, 121, 141, 158, 161, 1342)."
)
KJV_HINT = (
    "Give the King James Bible as --kjv or KJV_FILE. It is public domain outside the United "
    "Kingdom; on Debian: apt-get install bible-kjv, then "
    "COLUMNS=10000 bible gen1:1-rev22:21 > kjv.txt"
)


class MissingTextsError(ValueError):
    """A book is not where the caller said; the message tells where to get it."""


@dataclass(frozen=True)
class Split:
    """Chapters of one source, in reading order, as clean paragraphs.

    Attributes:
        train: Chapters to learn from.
        held_out: Every :data:`HOLD_OUT_EVERY` th chapter, never trained on.
    """

    train: list[str]
    held_out: list[str]


def clean(text: str) -> str:
    """Undo the line breaks of a printed page: one line a paragraph, a blank line between two.

    Marks of emphasis (``_so_``) go, runs of spaces become one.
    """
    paragraphs = re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("_", ""))
    joined = (" ".join(paragraph.split()) for paragraph in paragraphs)
    return "\n\n".join(paragraph for paragraph in joined if paragraph)


def novel_chapters(path: Path) -> list[str]:
    """Return the chapters of one novel, without title page, headings and end notes.

    Raises:
        MissingTextsError: the file is not there, or holds no chapter headings.
    """
    if not path.is_file():
        names = ", ".join((*TRAIN_NOVELS, UNSEEN_NOVEL))
        raise MissingTextsError(f"No file {path}. {AUSTEN_HINT.format(names=names)}")
    text = path.read_text(encoding="utf-8")
    pieces = _HEADING.split(text)[1:]
    if not pieces:
        raise MissingTextsError(f"{path} has no line like “Chapter 1”: is it the whole novel?")
    pieces[-1] = _END.split(pieces[-1])[0]
    return [chapter for piece in pieces if len(chapter := clean(piece)) > 500]


def bible_chapters(path: Path) -> list[str]:
    """Return the chapters of the Bible, one verse a line, verse numbers taken off.

    Raises:
        MissingTextsError: the file is not there, or is not what ``bible`` prints.
    """
    if not path.is_file():
        raise MissingTextsError(f"No file {path}. {KJV_HINT}")
    pieces = _BOOK.split(path.read_text(encoding="utf-8"))[3::3]
    if len(pieces) < 1000:
        raise MissingTextsError(f"{path} holds {len(pieces)} chapters, not 1189. {KJV_HINT}")
    verses = (_VERSE_NUMBER.sub("", piece).strip().splitlines() for piece in pieces)
    return ["\n".join(" ".join(verse.split()) for verse in chapter) for chapter in verses]


def split(chapters: list[str]) -> Split:
    """Hold out every :data:`HOLD_OUT_EVERY` th chapter, counting from the tenth."""
    held = range(HOLD_OUT_EVERY // 2, len(chapters), HOLD_OUT_EVERY)
    return Split(
        train=[text for index, text in enumerate(chapters) if index not in held],
        held_out=[chapters[index] for index in held],
    )


def austen(folder: Path) -> tuple[Split, list[str]]:
    """Return the five training novels, split, and the chapters of the unseen sixth."""
    chapters = [
        chapter for name in TRAIN_NOVELS for chapter in novel_chapters(folder / f"{name}.txt")
    ]
    return split(chapters), novel_chapters(folder / f"{UNSEEN_NOVEL}.txt")
