"""Paper: A4 with margins, sizes of type, colours, and what every page carries."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.utils.translation import gettext as _
from fpdf import FPDF
from fpdf.enums import MethodReturnValue

from licensing.invoices import fonts
from licensing.invoices.wording import Wording

SMALL_PT, BODY_PT, STRONG_PT, TITLE_PT = 7.5, 9, 11, 20
"""The only sizes of type, but for amounts too wide for their column."""
LINE = 0.49
"""Height of a line in mm per point of type: 1.4 times the type."""
MARGIN_MM, TOP_MM, BOTTOM_MM = 18, 18, 20
WIDTH_MM, HEIGHT_MM = 210, 297
INNER_MM = WIDTH_MM - 2 * MARGIN_MM
MARK_MM = 240
"""Length of the mark across a test page."""

Colour = tuple[int, int, int]
INK: Colour = (24, 32, 33)
QUIET: Colour = (86, 96, 93)
HAIRLINE: Colour = (206, 212, 210)
ACCENT: Colour = (10, 103, 103)
CAUTION: Colour = (120, 80, 0)
MARK: Colour = (247, 227, 208)
"""Of the mark across the page: plain to see, and text on it keeps a contrast above 4.5."""


class Sheet(FPDF):
    """A document being drawn. Every text goes through ``put`` or ``flow``.

    Args:
        wording: What to say.
        folder: Where the font files may lie until the bytes are made.
        pages: How many pages there will be.
    """

    def __init__(self, wording: Wording, folder: Path, *, pages: int) -> None:
        super().__init__(orientation="portrait", unit="mm", format="A4")
        self.alias_nb_pages("")  # a text of somebody's must not turn into a number
        self.wording = wording
        self.page_total = pages
        self.undrawn: set[str] = set()
        self._folder = folder
        self._has_fallback = False
        self._look: tuple[float, Colour, bool] = (BODY_PT, INK, False)
        self.set_margins(MARGIN_MM, TOP_MM, MARGIN_MM)
        self.set_auto_page_break(auto=True, margin=BOTTOM_MM)
        self.c_margin = 0
        self._add(fonts.REGULAR, "")
        self._add(fonts.BOLD, "B")
        self.style(BODY_PT)

    def style(self, size_pt: float, colour: Colour = INK, *, bold: bool = False) -> None:
        """Set how the texts that follow look."""
        self._look = (size_pt, colour, bold)
        self.set_font("text", "B" if bold else "", size_pt)
        self.set_text_color(*colour)

    def line_mm(self) -> float:
        """Return the height of a line in the present size."""
        return self._look[0] * LINE

    def put(
        self, text: str, x: float, width: float, *, align: str = "L", height: float = 0
    ) -> None:
        """Write one line at the present height; it does not move.

        Args:
            text: What to write.
            x: From the left edge of the paper, in mm.
            width: Of the cell it is aligned in, in mm.
            align: ``L``, ``C`` or ``R``.
            height: Of the line, in mm, when it stands beside a larger text.
        """
        y = self.y
        size_pt, colour, bold = self._look
        self.style(size_pt, colour, bold=bold)  # a fallback font leaves its own style behind
        self.x = x
        self.cell(width, height or self.line_mm(), self._ready(text), align=align)
        self.y = y

    def flow(self, text: str, x: float, width: float) -> None:
        """Write as many lines as the text needs, over pages too, and stand below them."""
        for line in self.broken(text, width):
            self.keep(self.line_mm())
            self.put(line, x, width)
            self.y += self.line_mm()

    def keep(self, height: float) -> bool:
        """Go on to a new page, and say so, unless ``height`` mm are left on this one."""
        if not self.will_page_break(height):
            return False
        with self.same_style():
            self.add_page()
        return True

    def broken(self, text: str, width: float) -> list[str]:
        """Return the lines a text takes in the present style."""
        if not text:
            return []
        size_pt, colour, bold = self._look
        self.style(size_pt, colour, bold=bold)
        lines = self.multi_cell(
            width, text=self._ready(text), align="L", dry_run=True, output=MethodReturnValue.LINES
        )
        return list(lines) if isinstance(lines, list) else []

    def widest(self, texts: Iterable[str]) -> float:
        """Return the width of the widest text in the present style, in mm."""
        return max((self.get_string_width(self._ready(text)) for text in texts), default=0)

    @contextmanager
    def same_style(self) -> Iterator[None]:
        """Come back to the present style afterwards."""
        size_pt, colour, bold = self._look
        yield
        self.style(size_pt, colour, bold=bold)

    def rule(self, colour: Colour = HAIRLINE, width_mm: float = 0.2) -> None:
        """Draw a line over the whole width at the present height."""
        self.set_draw_color(*colour)
        self.set_line_width(width_mm)
        self.line(MARGIN_MM, self.y, WIDTH_MM - MARGIN_MM, self.y)

    def header(self) -> None:
        """Mark a test page; name the document on every page after the first."""
        if self.wording.document.is_test:
            self._mark()
        if self.page_no() > 1:
            self.y = TOP_MM - 8
            self.style(SMALL_PT, QUIET)
            self.put(self.wording.name, MARGIN_MM, INNER_MM)
            self.set_xy(MARGIN_MM, TOP_MM)

    def footer(self) -> None:
        """Number the page."""
        self.y = HEIGHT_MM - 13
        self.style(SMALL_PT, QUIET)
        self.put(self.wording.document.number, MARGIN_MM, INNER_MM)
        numbers = {"page": self.page_no(), "pages": self.page_total}
        text = _("Page %(page)d of %(pages)d") % numbers
        self.put(text, MARGIN_MM, INNER_MM, align="R")

    def _mark(self) -> None:
        """Say across the page, under everything else, and in plain words on top: a test."""
        text = self.wording.test_mark
        self.style(10, MARK, bold=True)
        self.style(10 * MARK_MM / self.widest([text]), MARK, bold=True)
        with self.rotation(55, WIDTH_MM / 2, HEIGHT_MM / 2):
            self.y = HEIGHT_MM / 2 - self.line_mm() / 2
            self.put(text, (WIDTH_MM - MARK_MM) / 2, MARK_MM, align="C")
        self.y = 5
        self.style(SMALL_PT, CAUTION, bold=True)
        self.put(text, MARGIN_MM, INNER_MM)
        self.set_xy(MARGIN_MM, TOP_MM)

    def _ready(self, text: str) -> str:
        """Make sure the text can be drawn, noting what cannot."""
        self.undrawn.update(fonts.undrawn(text))
        text = fonts.drawable(text)
        if not self._has_fallback and fonts.needs_fallback(text):
            self._has_fallback = True
            self._add(fonts.FALLBACK, "", family="fallback")
            self.set_fallback_fonts(["fallback", "text"], exact_match=False)
        is_shaped = fonts.needs_shaping(text)
        self.set_text_shaping(use_shaping_engine=is_shaped, features={"liga": False})
        return text

    def _add(self, name: str, style: str, *, family: str = "text") -> None:
        path = self._folder / f"{name}.ttf"
        if not path.exists():
            path.write_bytes(fonts.font_bytes(name))
        self.add_font(family, style, path)
