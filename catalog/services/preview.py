"""What the file viewer shows of a file."""

from dataclasses import dataclass, field
from math import prod
from typing import Any

from django.utils.translation import gettext as _

from catalog.cards.front_matter import FrontMatterError, split_card
from catalog.cards.highlighting import highlight, language_of
from catalog.cards.rendering import render_card
from catalog.formats.errors import FormatError
from catalog.formats.kinds import TEXTS, Kind
from catalog.formats.safetensors import read_header
from catalog.formats.sniff import sniff
from catalog.formats.sources import AT_ONCE, MeteredSource, OverBudgetError
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


def preview(repo: ModelRepo, entry: Entry) -> Preview:
    """Return what can be shown of ``entry``, read within a request's budget."""
    source = MeteredSource(source_of(repo, entry), AT_ONCE)
    try:
        kind = sniff(source, entry.path).kind
        if kind == Kind.SAFETENSORS:
            return _tensors(source)
    except (FormatError, OverBudgetError) as exc:
        return Preview("none", note=str(exc))
    if kind in _PICTURES and entry.size_bytes <= MAX_PICTURE_BYTES:
        return Preview("picture")
    if kind not in TEXTS:
        return Preview("none", note=_("This file is not text. Download it to look inside."))
    if entry.size_bytes > MAX_TEXT_BYTES:
        return Preview("none", note=_("This text is too long to show here. Download it."))
    text = source.read_at(0, entry.size_bytes).decode("utf-8", "replace")
    if entry.name.lower().endswith((".md", ".markdown")):
        return card_preview(repo, text)
    return Preview("text", html=highlight(text, language_of(entry.name)))


def card_preview(repo: ModelRepo, text: str) -> Preview:
    """Return a README as its page shows it, the front matter above the card."""
    try:
        head, body = split_card(text)
    except FrontMatterError as exc:
        return Preview("text", html=highlight(text, "markdown"), note=str(exc))
    base = f"/{repo.full_name}"
    card = render_card(body, file_base=f"{base}/resolve/main/", page_base=f"{base}/blob/main/")
    above = (
        f'<pre tabindex="0" class="code"><code>{highlight(head, "yaml")}</code></pre>'
        if head
        else ""
    )
    return Preview("card", html=above + card.html)


def _tensors(source: MeteredSource) -> Preview:
    header = read_header(source)
    rows = [
        {
            "name": tensor.name,
            "dtype": tensor.dtype,
            "shape": " by ".join(map(str, tensor.shape)) or "scalar",
            "elements": prod(tensor.shape),
        }
        for tensor in header.tensors[:MAX_TENSORS]
    ]
    left = len(header.tensors) - len(rows)
    note = _("%(count)d more tensors are not shown.") % {"count": left} if left else ""
    return Preview("tensors", tensors=rows, note=note)
