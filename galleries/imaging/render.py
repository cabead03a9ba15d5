"""From one decode to all wanted files: shrink, turn upright, convert to sRGB, mark, write."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyvips

from . import faces, watermark
from .colour import to_srgb
from .crop import Crop, Head, place
from .decode import Identified, Opened, bytes_of, code_of, read_pixels, require
from .limits import LIMITS, Limits
from .metadata import Credits, density, segments, with_segments
from .recipes import SHAPES, Fit, Recipe
from .refusals import Refused
from .watermark import Mark

# The filter needs this many source pixels per wanted one: 1600 px come from the 3000 px buffer, not from 2048.
ENOUGH = 1.8
TURNS = {3: "d180", 5: "d270", 6: "d90", 7: "d90", 8: "d270"}
MIRRORED = {2, 4, 5, 7}


@dataclass(frozen=True)
class Rendered:
    """One file made by a recipe. `crop` is set for cropped recipes."""

    recipe: str
    version: int
    path: Path
    width: int
    height: int
    bytes: int
    sha256: str
    crop: Crop | None = None


@dataclass(frozen=True)
class Rendering:
    """All files of one decode, the upright sides of the original, its mean colour as "#rrggbb", what was assumed."""

    files: tuple[Rendered, ...]
    width: int
    height: int
    dominant_colour: str
    notes: tuple[str, ...]


def render(
    source: Path | Identified,
    recipes: Sequence[Recipe],
    out_dir: Path,
    *,
    credits: Credits = Credits(),
    mark: Mark = Mark(),
    head: Head | None = None,
    look_for_head: bool = True,
    crops: Mapping[str, Crop] | None = None,
    limits: Limits = LIMITS,
) -> Rendering:
    """Make every recipe's file in `out_dir` from one decode, sorted as asked.

    `head` (upright pixels of the original) places the crops; without one the largest face is looked for, where that is
    allowed and the models are there. `crops` by recipe name overrule both. Raises Refused.
    """
    if not recipes:
        raise ValueError("nothing to render")
    found = source if isinstance(source, Identified) else require(source, limits)
    is_full = any(recipe.fit is not Fit.INSIDE for recipe in recipes)
    try:
        opened = read_pixels(found, wanted_edge=None if is_full else max(recipe.edge for recipe in recipes))
        sheet = _Sheet(opened, [recipe.edge for recipe in recipes], is_full=is_full)
        block = segments(credits)
        made = {}
        placed = dict(crops or {})
        wanted = [recipe for recipe in recipes if recipe.is_cropped and recipe.name not in placed]
        if wanted and head is None and look_for_head:
            head = sheet.head()
        placed |= {
            recipe.name: place(SHAPES[recipe.fit], sheet.width, sheet.height, head) for recipe in wanted
        }
        for recipe in sorted(recipes, key=lambda recipe: -(recipe.edge or limits.max_side)):
            crop = placed[recipe.name] if recipe.is_cropped else None
            image = sheet.cropped(crop, recipe) if crop else sheet.sized(recipe)
            made[recipe] = _written(image, recipe, out_dir, block, mark, crop)
        colour = _dominant(image)  # of the smallest, before its mark
    except pyvips.Error as error:
        raise Refused(code_of(str(error))) from error
    return Rendering(
        files=tuple(made[recipe] for recipe in recipes),
        width=sheet.width,
        height=sheet.height,
        dominant_colour=colour,
        notes=sheet.notes,
    )


class _Sheet:
    """Upright pixels of one picture in the sizes made so far, largest first."""

    def __init__(self, opened: Opened, edges: Sequence[int], *, is_full: bool) -> None:
        self.source = image = opened.image  # kept: it may lend its memory to what is made of it
        self.icc, self.is_converted = opened.icc, False
        self.notes = opened.notes
        if is_full:  # finals are converted at full size, renditions after shrinking
            image, notes = to_srgb(image, opened.icc)
            self.notes += notes
            self.is_converted = True
            image = image.copy_memory()
        self.base = upright(image, opened.orientation)
        if opened.orientation > 1:
            self.base = self.base.copy_memory()
        turned = opened.orientation >= 5
        self.width = opened.full_height if turned else opened.full_width
        self.height = opened.full_width if turned else opened.full_height
        self.done: list[pyvips.Image] = []
        self.kept = _needed_again(edges)

    def sized(self, recipe: Recipe) -> pyvips.Image:
        """The picture inside the recipe's edge, sRGB."""
        edge = recipe.edge or max(self.base.width, self.base.height)
        ready = [image for image in self.done if max(image.width, image.height) >= ENOUGH * edge]
        if ready:
            image = shrunk(ready[-1], edge)
        else:
            image = self._converted(shrunk(self.base, edge))
        if image is self.base:
            return image
        if (
            edge in self.kept
        ):  # the others go to their encoder strip by strip, and need no memory of their own
            image = image.copy_memory()
            self.done.append(image)
        return image

    def cropped(self, crop: Crop, recipe: Recipe) -> pyvips.Image:
        """The crop, turned and shrunk to the recipe's edge, sRGB."""
        return shrunk(cut(self.base, crop), recipe.edge).copy_memory()

    def head(self) -> Head | None:
        """The largest face's head in pixels of the full picture; None without a face or without the models."""
        small = shrunk(self.base, faces.WORK_EDGE)
        found = faces.find(bytes_of(small)) if faces.are_available() else []
        return found[0].head.scaled(self.width / small.width) if found else None

    def _converted(self, image: pyvips.Image) -> pyvips.Image:
        if self.is_converted:
            return image
        image, notes = to_srgb(image, self.icc)
        self.notes += tuple(note for note in notes if note not in self.notes)
        return image


def _needed_again(edges: Sequence[int]) -> set[int]:
    """The edges whose pixels are read twice: a smaller file is made from them, or the picture's colour is taken."""
    sources = {edge: [larger for larger in edges if larger >= ENOUGH * edge] for edge in edges}
    return {min(larger) for larger in sources.values() if larger} | {min(edges)}


def upright(image: pyvips.Image, orientation: int) -> pyvips.Image:
    """Apply an Exif orientation (CIPA DC-008, table 6): mirror first, then turn clockwise."""
    if orientation in MIRRORED:
        image = image.flip("vertical" if orientation == 4 else "horizontal")
    if orientation in TURNS:
        image = image.rot(TURNS[orientation])
    return image


def shrunk(image: pyvips.Image, edge: int) -> pyvips.Image:
    """Long edge at most `edge`, Lanczos; never enlarged."""
    long_edge = max(image.width, image.height)
    if long_edge <= edge:
        return image
    if image.width >= image.height:
        across, down = edge, max(1, round(image.height * edge / image.width))
    else:
        across, down = max(1, round(image.width * edge / image.height)), edge
    return image.resize(across / image.width, vscale=down / image.height, kernel="lanczos3")


def cut(image: pyvips.Image, crop: Crop) -> pyvips.Image:
    """The crop's pixels, levelled about its centre when it is turned."""
    if not crop.rotation:
        return image.crop(crop.left, crop.top, crop.width, crop.height)
    margin = round(0.06 * max(crop.width, crop.height)) + 4  # covers the corners at three degrees
    left, top = max(0, crop.left - margin), max(0, crop.top - margin)
    right = min(image.width, crop.left + crop.width + margin)
    bottom = min(image.height, crop.top + crop.height + margin)
    part = image.crop(left, top, right - left, bottom - top)
    x, y = crop.left + crop.width / 2 - left, crop.top + crop.height / 2 - top
    cosine, sine = math.cos(math.radians(crop.rotation)), math.sin(math.radians(crop.rotation))
    area = [-(crop.width // 2), -(crop.height // 2), crop.width, crop.height]  # around the crop's centre
    bicubic = pyvips.Interpolate.new("bicubic")
    return part.affine(
        [cosine, sine, -sine, cosine],
        interpolate=bicubic,
        oarea=area,
        idx=-x,
        idy=-y,
        background=[255.0],
        extend="copy",
    )


def _dominant(image: pyvips.Image) -> str:
    """The mean colour, from a few of the pixels."""
    few = image.subsample(max(1, image.width // 100), max(1, image.height // 100))
    return "#" + "".join(f"{round(few[band].avg()):02x}" for band in range(3))


def _written(
    image: pyvips.Image, recipe: Recipe, out_dir: Path, block: bytes, mark: Mark, crop: Crop | None
) -> Rendered:
    if recipe.is_grey:
        image = image.colourspace("b-w").colourspace("srgb")
    if recipe.dots_per_inch:
        block = density(recipe.dots_per_inch) + block
    if recipe.mark:
        image = watermark.apply(image, mark, recipe.mark)
    packed = with_segments(
        image.jpegsave_buffer(Q=recipe.quality, keep="none", optimize_coding=recipe.is_final), block
    )
    path = out_dir / recipe.file_name
    path.write_bytes(packed)
    return Rendered(
        recipe=recipe.name,
        version=recipe.version,
        path=path,
        width=image.width,
        height=image.height,
        bytes=len(packed),
        sha256=hashlib.sha256(packed).hexdigest(),
        crop=crop,
    )
