"""A draft at screen size that answers at once: what each operation would change is worked out one time, then only
scaled and added when a strength moves.

The operations of a draft depend on one another a little (evening looks at healed skin); here each is taken at its
default strength, so a sketch at the defaults equals the draft and stays within about one level of it elsewhere. It is
for the eye while a slider moves; the Version is always made by `retouch.draft`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import pyvips

from . import faces, retouch
from .faces import Image
from .retouch import DEFAULTS, LEAST_IOD, Lab, Parameters, Region, from_lab, measured_cast, skin_mask, to_lab

SKETCH_IOD = 115.0  # pixels between the eyes: half the work of a draft, and as near to it as the eye can tell


@dataclass(frozen=True, eq=False)
class _FaceSketch:
    """One face's region and the full-strength change of each operation, in Lab at working size."""

    region: Region
    lab: Lab
    rgb: Lab
    heal: Lab
    even: Lab
    lift: Lab

    def add(self, image: Image, parameters: Parameters) -> None:
        overall = parameters.overall
        change = (
            self.heal * np.float32(parameters.blemish * overall)
            + self.even * np.float32(parameters.skin * overall)
            + self.lift * np.float32(parameters.under_eye * overall)
        )
        self.region.add(image, (from_lab(self.lab + change) - self.rgb) * np.float32(255))


class Sketch:
    """A picture at screen size, ready to be shown at any strengths. Built once; any thread may call `jpeg`."""

    def __init__(self, path: Path, edge: int, *, look_for_faces: bool = True) -> None:
        """Reads a rendition of ours (upright sRGB); never a file from outside."""
        shown = pyvips.Image.thumbnail(str(path), edge, height=edge, size="down").colourspace("srgb")
        image: Image = np.ascontiguousarray(shown.extract_band(0, n=3).numpy())
        self.image = image
        found = faces.find(image) if look_for_faces else []
        self.cast = measured_cast(image, found)
        at_rest, _operations = retouch._toned(image, DEFAULTS, self.cast)
        self.large = [face for face in found if face.eye_distance >= LEAST_IOD]
        self.parts = [part for face in self.large if (part := _sketched(at_rest, face)) is not None]

    @cached_property
    def backdrop(self) -> Lab | None:
        """What would make the backdrop even; None where it is not plain. Worked out when its slider first moves, for
        it costs a third of the whole and stands at nothing by itself."""
        at_rest, _operations = retouch._toned(self.image, DEFAULTS, self.cast)
        return retouch.backdrop_change(at_rest) if self.large else None

    def jpeg(self, parameters: Parameters, quality: int = 82) -> bytes:
        """The picture at these strengths, as JPEG bytes."""
        cast = parameters.cast if parameters.cast is not None else self.cast
        image, _operations = retouch._toned(self.image, parameters, cast)
        if image is self.image:
            image = image.copy()
        backdrop = parameters.backdrop * parameters.overall
        if backdrop and self.backdrop is not None:
            retouch.add_everywhere(image, self.backdrop * np.float32(backdrop))
        for part in self.parts:
            part.add(image, parameters)
        done, packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise RuntimeError("the sketch could not be written")
        return packed.tobytes()


def _sketched(image: Image, face: faces.Face) -> _FaceSketch | None:
    region = Region.of(image, face, work_iod=SKETCH_IOD)
    if region is None:
        return None
    lab = to_lab(region.small)
    skin = skin_mask(region.small, lab, region.face)
    iod = region.face.eye_distance
    heal = retouch._healed(lab, skin, iod)
    after_heal = lab + heal * np.float32(DEFAULTS.blemish)
    even = retouch._evened(after_heal, skin, iod)
    lift = retouch._lifted(after_heal + even * np.float32(DEFAULTS.skin), skin, region.face)
    return _FaceSketch(region, lab, from_lab(lab), heal, even, lift)
