"""Papers as PDF: receipts, agreements, call sheets. Pure Python (fpdf2), with a font that lies beside this module.

    paper = Paper(title="Invoice LDN-00012", by="Northlight Ltd", at=now)
    paper.heading("Invoice LDN-00012")
    paper.facts([("Date", "25 November 2026")])
    paper.text("Thank you.")
    paper.table(["What", "Amount"], [["Session", "£120"]], widths=[3, 1], ends=1)
    pdf: bytes = paper.bytes()

Names come from everywhere: Latin, Greek and Cyrillic with all accents, Hebrew and Arabic (joined, and in their own
direction) are set as they are written; what the font does not have (emoji, Chinese) becomes a small square, never an
error. The same words at the same `at` make the same bytes.
"""

import logging
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from django.utils.translation import gettext as _
from fpdf import FPDF
from fpdf.bidi import BidiParagraph
from fpdf.enums import MethodReturnValue, TableBordersLayout, TableCellFillMode
from fpdf.fonts import FontFace, TTFFont

FONTS = Path(__file__).parent / "fonts"
FAMILY = "DejaVu"
INK, QUIET, RULE = (31, 35, 38), (98, 106, 111), (214, 218, 220)
MARGIN = 20  # mm
POINT, LEADING = 0.3528, 1.45  # a point in mm; the distance of lines in sizes of the letters
SQUARE = "\N{WHITE SQUARE}"
MIRRORED = dict(zip("()[]{}<>«»‹›", ")(][}{><»«›‹", strict=True))  # a bracket opens to where the words run
SILENT = {"Cc", "Cf", "Cs"}  # controls, joiners, direction marks: they have done their work
MARKS = {"Co", "Mn"}  # variation selectors and the like: dropped where the font has none
logging.getLogger("fpdf").setLevel(logging.ERROR)
logging.getLogger("fontTools").setLevel(logging.ERROR)


class Paper(FPDF):  # type: ignore[misc]  # fpdf2's own types are not followed
    """A sheet of A4 (or letter) with the house's quiet look; words are written from top to bottom."""

    def __init__(self, *, title: str, by: str, at: datetime, foot: str = "", size: str = "A4") -> None:
        super().__init__(format=size)
        self._foot = foot
        self.set_margin(MARGIN)
        self.set_auto_page_break(auto=True, margin=MARGIN + 6)
        for style, name in {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}.items():
            self.add_font(FAMILY, style, FONTS / name)
            face = self.fonts[f"{FAMILY.lower()}{style}"]
            assert isinstance(face, TTFFont)
            _let_go_of_file(face, FONTS / name)
        self._letters = frozenset(face.cmap)
        self.set_title(title)
        self.set_author(by)
        self.set_creator("Likeness")
        self.set_creation_date(at)
        self.set_lang("en")
        self.set_font(FAMILY, size=10)
        self.set_text_color(*INK)
        self.add_page()

    def bytes(self) -> bytes:
        """The finished file."""
        return bytes(self.output())

    # --- words ----------------------------------------------------------------------------------------------

    def heading(self, words: str, *, size: int = 18) -> None:
        """The name of the paper, or of a part of it."""
        self._say(words, size=size, style="B", leading=1.3)
        self.ln(2)

    def text(self, words: str, *, size: int = 10, is_quiet: bool = False, style: str = "") -> None:
        """Paragraphs; line breaks are kept."""
        for line in words.replace("\r\n", "\n").split("\n"):
            self._say(line, size=size, style=style, is_quiet=is_quiet) if line.strip() else self.ln(
                size * 0.4
            )

    def facts(self, rows: Sequence[tuple[str, str]], *, label_width: float = 42) -> None:
        """Labels on the left, what they say on the right; rows that say nothing are left out."""
        for label, words in rows:
            if not words.strip():
                continue
            top = self.get_y()
            self.set_text_color(*QUIET)
            self.cell(label_width, 10 * LEADING * POINT, self.drawn(label))
            self.set_text_color(*INK)
            self.set_left_margin(MARGIN + label_width)
            self.set_xy(MARGIN + label_width, top)
            for line in words.split("\n"):
                self._say(line, size=10)
            self.set_left_margin(MARGIN)
            self.set_x(MARGIN)

    def columns(self, left: str, right: str) -> None:
        """Two blocks beside each other: who sells and who pays."""
        top, width = self.get_y(), (self.epw - 10) / 2
        page: int = self.page  # type: ignore[has-type]
        bottoms = []
        for position, words in enumerate((left, right)):
            self.page = page
            offset = position * (width + 10)
            self.set_left_margin(MARGIN + offset)
            self.set_right_margin(self.w - MARGIN - offset - width)
            self.set_xy(MARGIN + offset, top)
            for number, line in enumerate(words.split("\n")):
                self._say(line, size=10, is_quiet=number == 0)
            bottoms.append(self.get_y())
        self.set_left_margin(MARGIN)
        self.set_right_margin(MARGIN)
        self.set_xy(MARGIN, max(bottoms))

    def rule(self) -> None:
        """A thin line across."""
        self.set_draw_color(*RULE)
        self.ln(2)
        self.line(MARGIN, self.get_y(), self.w - MARGIN, self.get_y())
        self.ln(3)

    def lines(
        self, heads: Sequence[str], rows: Sequence[Sequence[str]], *, widths: Sequence[int], ends: int = 1
    ) -> None:
        """A table that goes on over pages with its heads repeated; the last `ends` columns stand to the right.

        Without heads it is a plain list of sums.
        """
        self.set_draw_color(*RULE)
        self.set_font(FAMILY, size=9)
        aligns = ["LEFT"] * (len(widths) - ends) + ["RIGHT"] * ends
        with self.table(
            col_widths=tuple(widths),
            text_align=tuple(aligns),
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            cell_fill_mode=TableCellFillMode.NONE,
            headings_style=FontFace(emphasis="", color=QUIET),
            line_height=5.5,
            padding=(1, 1, 1, 1),
            first_row_as_headings=bool(heads),
        ) as table:
            for cells in (heads, *rows) if heads else rows:
                row = table.row()
                for cell in cells:
                    row.cell(self.drawn(cell))
        self.set_font(FAMILY, size=10)
        self.ln(3)

    def signature(self, *, name: str, said: str) -> None:
        """A typed name as it was signed, above a line, with when and how."""
        self.ln(6)
        self._say(name, size=14)
        self.rule()
        self._say(said, size=8, is_quiet=True)

    # --- inside ---------------------------------------------------------------------------------------------

    def footer(self) -> None:
        """What stands at the foot of each page: small print and the page's number."""
        self.set_y(-MARGIN)
        self.set_font(FAMILY, size=7)
        self.set_text_color(*QUIET)
        number = _("page %(number)d of %(all)s") % {"number": self.page_no(), "all": "{nb}"}
        self.cell(self.epw, 4, self.drawn(" · ".join(filter(None, [" ".join(self._foot.split()), number]))))
        self.set_text_color(*INK)
        self.set_font(FAMILY, size=10)

    def _say(
        self, words: str, *, size: int, style: str = "", is_quiet: bool = False, leading: float = LEADING
    ) -> None:
        self.set_font(FAMILY, style=style, size=size)
        self.set_text_color(*(QUIET if is_quiet else INK))
        kept = self.known(words)
        height = size * leading * POINT
        broken = self.multi_cell(0, height, kept, dry_run=True, output=MethodReturnValue.LINES)
        is_rtl = _reads_from_right(kept)
        for line in broken or [""]:
            self.cell(
                0, height, _visual(str(line)), align="R" if is_rtl else "L", new_x="LMARGIN", new_y="NEXT"
            )
        self.set_font(FAMILY, size=10)
        self.set_text_color(*INK)

    def drawn(self, words: str) -> str:
        """Words as they are drawn from left to right, with what the font lacks as squares."""
        return _visual(self.known(words))

    def known(self, words: str) -> str:
        """Words with only letters the font has: composed, others as a square, silent ones dropped."""
        joined = _joined(unicodedata.normalize("NFC", words))
        kept = []
        for letter in joined:
            kind = unicodedata.category(letter)
            if letter == "\n" or (ord(letter) in self._letters and kind not in SILENT):
                kept.append(letter)
            elif kind not in SILENT | MARKS:
                kept.append(SQUARE)
        return "".join(kept)


@lru_cache(maxsize=4)
def _font(path: Path) -> bytes:
    return path.read_bytes()


def _let_go_of_file(face: TTFFont, path: Path) -> None:
    """fpdf2 keeps each font's file open until it is collected; memory serves as well."""
    face.ttfont.reader.file.close()
    face.ttfont.reader.file = BytesIO(_font(path))


def _reads_from_right(words: str) -> bool:
    strong = (unicodedata.bidirectional(letter) for letter in words)
    return next((kind in ("R", "AL") for kind in strong if kind in ("L", "R", "AL")), False)


def _visual(words: str) -> str:
    """One line in the order in which it is drawn; untouched where nothing runs from the right."""
    if not any(
        unicodedata.bidirectional(letter) in ("R", "AL", "AN", "RLE", "RLO", "RLI") for letter in words
    ):
        return words
    drawn = BidiParagraph(text=words).get_reordered_characters()
    return "".join(
        MIRRORED.get(one.character, one.character) if one.embedding_level % 2 else one.character
        for one in drawn
    )


# --- Arabic letters join: a font program without a shaper needs their forms named -----------------------------

FORMS = ("isolated", "final", "initial", "medial")


@lru_cache(maxsize=1)
def _forms() -> dict[str, dict[str, str]]:
    """Letter → its forms, as Unicode's own tables name them (Arabic Presentation Forms A and B)."""
    forms: dict[str, dict[str, str]] = {}
    for point in (*range(0xFB50, 0xFE00), *range(0xFE70, 0xFEFD)):
        parts = unicodedata.decomposition(chr(point)).split()
        if parts and parts[0].strip("<>") in FORMS and len(parts) in (2, 3):
            letters = "".join(chr(int(part, 16)) for part in parts[1:])
            if len(parts) == 2 or letters[0] == "\u0644":  # of the ligatures only lam with alef is a must
                forms.setdefault(letters, {}).setdefault(parts[0].strip("<>"), chr(point))
    return forms


def _joined(words: str) -> str:
    """Arabic letters replaced by the form their neighbours ask for; everything else as it is."""
    if not any("\u0600" <= letter <= "\u06ff" for letter in words):
        return words
    forms = _forms()
    units: list[str] = []
    for letter in words:
        if units and units[-1] + letter in forms and units[-1] == "\u0644":
            units[-1] += letter
        else:
            units.append(letter)
    out = []
    for number, unit in enumerate(units):
        own = forms.get(unit)
        if own is None:
            out.append(unit)
            continue
        before = _neighbour(units, number, -1)
        after = _neighbour(units, number, 1)
        joins_before = before is not None and "initial" in forms.get(before, {}) and "final" in own
        joins_after = after is not None and "final" in forms.get(after, {}) and "initial" in own
        form = {(True, True): "medial", (True, False): "final", (False, True): "initial"}.get(
            (joins_before, joins_after), "isolated"
        )
        out.append(own.get(form) or own.get("isolated") or unit)
    return "".join(out)


def _neighbour(units: Sequence[str], number: int, step: int) -> str | None:
    """The next letter that counts: vowel marks stand between letters without parting them."""
    number += step
    while 0 <= number < len(units):
        if unicodedata.category(units[number][0]) != "Mn":
            return units[number]
        number += step
    return None
