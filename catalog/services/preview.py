"""What the file viewer shows of a file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any
from urllib.parse import quote

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.cards.front_matter import FrontMatterError, split_card
from catalog.cards.highlighting import highlight, language_of
from catalog.cards.rendering import render_card
from catalog.formats.errors import FormatError
from catalog.formats.gguf import read_header as read_gguf
from catalog.formats.kinds import TEXTS, Kind
from catalog.formats.safetensors import read_header as read_safetensors
from catalog.formats.sniff import sniff
from catalog.formats.sources import AT_ONCE, MeteredSource, OverBudgetError
from catalog.history.refs import DEFAULT_BRANCH
from catalog.history.trees import Entry
from catalog.models import ModelRepo
from catalog.services.sources import source_of

MAX_TEXT_BYTES = 512 * 1024
MAX_TENSORS = 2000
_PICTURES = {Kind.PNG, Kind.JPEG, Kind.GIF, Kind.WEBP}
MAX_PICTURE_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Preview:
    """A file ready for its page."""

    kind: str
    """``text``, ``card``, ``picture``, ``tensors`` or ``none``."""
    html: str = ""
    tensors: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""


def preview(repo: ModelRepo, entry: Entry, revision: str) -> Preview:
    """Return what can be shown of ``entry``, read within a request's budget.

    Args:
        repo: The repository.
        entry: The file.
        revision: Under which name it is looked at; links of a card stay in it.
    """
    source = MeteredSource(source_of(repo, entry), AT_ONCE)
    try:
        kind = sniff(source, entry.path).kind
        if kind in _TABLES:
            return _TABLES[kind](source)
    except OverBudgetError:
        note = _("Its header is too long to read while you wait. Download it to look inside.")
        return Preview("none", note=note)
    except FormatError as exc:
        return Preview("none", note=str(exc))
    if kind in _PICTURES and entry.size_bytes <= MAX_PICTURE_BYTES:
        return Preview("picture")
    if kind not in TEXTS:
        return Preview("none", note=_("This file is not text. Download it to look inside."))
    if entry.size_bytes > MAX_TEXT_BYTES:
        return Preview("none", note=_("This text is too long to show here. Download it."))
    text = source.read_at(0, entry.size_bytes).decode("utf-8", "replace")
    if entry.name.lower().endswith((".md", ".markdown")):
        return _card(repo, entry, revision, text)
    return Preview("text", html=highlight(text, language_of(entry.name)))


def _card(repo: ModelRepo, entry: Entry, revision: str, text: str) -> Preview:
    folder = quote(entry.path.removesuffix(entry.name))
    return card_preview(repo, text, revision=revision, folder=folder)


def card_preview(
    repo: ModelRepo, text: str, *, revision: str = DEFAULT_BRANCH, folder: str = ""
) -> Preview:
    """Return a README as its page shows it, the front matter above the card.

    Links in it lead to files beside it: in ``folder`` (quoted, ends with a slash) of ``revision``.
    """
    try:
        head, body = split_card(text)
    except FrontMatterError as exc:
        return Preview("text", html=highlight(text, "markdown"), note=str(exc))
    base, rev = f"/{repo.full_name}", quote(revision, safe="")
    card = render_card(
        body,
        file_base=f"{base}/resolve/{rev}/{folder}",
        page_base=f"{base}/blob/{rev}/{folder}",
    )
    above = (
        f'<pre tabindex="0" class="code"><code>{highlight(head, "yaml")}</code></pre>'
        if head
        else ""
    )
    return Preview("card", html=above + card.html)


def _safetensors(source: MeteredSource) -> Preview:
    header = read_safetensors(source)
    rows = [
        _row(tensor.name, tensor.dtype, tensor.shape, prod(tensor.shape))
        for tensor in header.tensors[:MAX_TENSORS]
    ]
    return _table(rows, len(header.tensors))


def _gguf(source: MeteredSource) -> Preview:
    header = read_gguf(source)
    rows = [
        # the file names the fastest-moving dimension first; people know the other order
        _row(tensor.name, tensor.type_name, tensor.shape[::-1], tensor.elements)
        for tensor in header.tensors[:MAX_TENSORS]
    ]
    return _table(rows, len(header.tensors))


def _row(name: str, dtype: str, shape: tuple[int, ...], elements: int) -> dict[str, Any]:
    text = " by ".join(map(str, shape)) or _("scalar")
    return {"name": name, "dtype": dtype, "shape": text, "elements": elements}


def _table(rows: list[dict[str, Any]], total: int) -> Preview:
    left = total - len(rows)
    note = (
        ngettext(
            "%(count)d more tensor is not shown.", "%(count)d more tensors are not shown.", left
        )
        % {"count": left}
        if left
        else ""
    )
    return Preview("tensors", tensors=rows, note=note)


_TABLES: dict[Kind, Callable[[MeteredSource], Preview]] = {
    Kind.SAFETENSORS: _safetensors,
    Kind.GGUF: _gguf,
}
