"""Named, versioned image instructions. Changing what a recipe makes means raising its version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from . import crop, watermark


class Fit(StrEnum):
    """How a picture meets the recipe's edge. None enlarges."""

    INSIDE = "inside"  # long edge at most `edge`
    FULL = "full"  # as large as the original
    SQUARE = "square"  # cropped square, side at most `edge`
    PORTRAIT = "portrait"  # cropped 4:5, height at most `edge`


SHAPES = {Fit.SQUARE: crop.SQUARE, Fit.PORTRAIT: crop.PORTRAIT}


@dataclass(frozen=True)
class Recipe:
    """One instruction. `edge` in pixels (0 for FULL), JPEG `quality` 1–100, `mark` "", "edge" or "pattern"."""

    name: str
    version: int
    fit: Fit
    edge: int
    quality: int
    mark: str = ""
    is_final: bool = False
    is_grey: bool = False  # black and white, from the finished colours
    dots_per_inch: int = 0  # written into the file, so that a print shop opens it in its size

    def __post_init__(self) -> None:
        if not self.name.replace("-", "").isalnum() or self.name != self.name.lower():
            raise ValueError(f"a recipe's name is lower case letters, digits and hyphens, not {self.name!r}")
        if self.version < 1 or not 1 <= self.quality <= 100:
            raise ValueError("a recipe has a version from 1 and a quality from 1 to 100")
        if (self.fit is Fit.FULL) != (self.edge == 0) or self.edge < 0:
            raise ValueError("a recipe has a positive edge, and none only when it keeps the full size")
        if self.mark not in ("", watermark.EDGE, watermark.PATTERN):
            raise ValueError(f"unknown mark {self.mark!r}")
        if self.is_final and self.mark:
            raise ValueError("finals carry no mark")

    @property
    def is_cropped(self) -> bool:
        """Whether a crop has to be placed first."""
        return self.fit in SHAPES

    @property
    def file_name(self) -> str:
        """Name of the file it makes in a working folder."""
        return f"{self.name}-v{self.version}.jpg"


def digest(recipe: Recipe, parameters: Mapping[str, object] | None = None) -> str:
    """Sixteen hexadecimal digits that change with the recipe, its version or any parameter (JSON values)."""
    facts = {"recipe": recipe.name, "version": recipe.version, "parameters": dict(parameters or {})}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


THUMB = Recipe("thumb", 2, Fit.INSIDE, 560, 76)
GRID = Recipe("grid", 1, Fit.INSIDE, 800, 80)
SCREEN = Recipe("screen", 1, Fit.INSIDE, 2048, 88)  # staff only: the big screen and the retouch desk
LOUPE = Recipe(
    "loupe", 1, Fit.FULL, 0, 86
)  # staff only, on demand: one pixel of the camera on one of the screen
PROOF = Recipe("proof", 1, Fit.INSIDE, 1600, 85, mark=watermark.EDGE)
PROOF_UNPAID = Recipe("proof-unpaid", 2, Fit.INSIDE, 1600, 85, mark=watermark.PATTERN)
FINAL_FULL = Recipe("full", 1, Fit.FULL, 0, 95, is_final=True)
FINAL_WEB = Recipe("web", 1, Fit.INSIDE, 2048, 92, is_final=True)
FINAL_SQUARE = Recipe("square", 1, Fit.SQUARE, 1600, 92, is_final=True)
FINAL_PORTRAIT = Recipe("portrait", 1, Fit.PORTRAIT, 1600, 92, is_final=True)
FINAL_PRINT = Recipe("print", 2, Fit.PORTRAIT, 3000, 95, is_final=True, dots_per_inch=300)  # 8 × 10 inch
FINAL_GREY = Recipe("black-and-white", 1, Fit.FULL, 0, 95, is_final=True, is_grey=True)

# What the gallery page shows of a final: the pages stay light, the files stay full.
PREVIEW_PORTRAIT = Recipe("preview-portrait", 1, Fit.PORTRAIT, 1000, 84)
PREVIEW_SQUARE = Recipe("preview-square", 1, Fit.SQUARE, 480, 84)

PROOFS = (THUMB, GRID, PROOF)
FINALS = (FINAL_FULL, FINAL_WEB, FINAL_SQUARE, FINAL_PORTRAIT)  # what every delivery has
EXTRA_FINALS = (FINAL_PRINT, FINAL_GREY)  # where the studio or the session type says so
PREVIEWS = (GRID, PREVIEW_PORTRAIT, PREVIEW_SQUARE)
RECIPES = {
    recipe.name: recipe
    for recipe in (THUMB, GRID, SCREEN, LOUPE, PROOF, PROOF_UNPAID, *FINALS, *EXTRA_FINALS, *PREVIEWS)
}
