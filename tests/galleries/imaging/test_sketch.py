"""The live preview shows what the draft will be."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from galleries.imaging import faces, retouch
from galleries.imaging.retouch import Parameters
from galleries.imaging.sketch import Sketch
from tests.portraits import GRACE_HOPPER

needs_models = pytest.mark.skipif(
    not faces.are_available(), reason="the face models are not here: make models"
)


def shown(sketch: Sketch, parameters: Parameters) -> np.ndarray:
    packed = np.frombuffer(sketch.jpeg(parameters, quality=100), np.uint8)
    picture = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture[..., ::-1], dtype=int)


@needs_models
@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(),
        Parameters(skin=0.2, under_eye=0.3),
        Parameters(blemish=0, overall=0.6),
        Parameters(exposure=0.4),
        Parameters(backdrop=1.0),
        Parameters(cast=(0.0, 4.0)),
    ],
)
def test_a_sketch_looks_like_the_draft(parameters: Parameters) -> None:
    sketch = Sketch(GRACE_HOPPER, 1400)
    drafted = retouch.draft(sketch.image, faces.find(sketch.image), parameters).image.astype(int)
    difference = np.abs(drafted - shown(sketch, parameters))
    assert difference.mean() < 1.2  # 8-bit levels, the JPEG's own loss included
    assert np.percentile(difference, 99) <= 8


@needs_models
def test_a_slider_changes_the_face_and_nothing_else() -> None:
    sketch = Sketch(GRACE_HOPPER, 1400)
    none = shown(sketch, Parameters(overall=0))
    full = shown(sketch, Parameters(white_balance=0))
    changed = np.abs(full - none).max(axis=2) > 12
    face = faces.find(sketch.image)[0]
    rows, columns = np.nonzero(changed)
    left, top, right, bottom = face.box
    across, down = right - left, bottom - top
    inside = (columns > left - 0.35 * across) & (columns < right + 0.35 * across)
    inside &= (rows > top - 0.35 * down) & (rows < bottom + 0.35 * down)
    assert inside.all()
    assert len(rows) > 0


def test_without_leave_to_look_for_faces_only_tone_changes(tmp_path: Path) -> None:
    sketch = Sketch(GRACE_HOPPER, 700, look_for_faces=False)
    assert sketch.parts == []
    assert max(sketch.image.shape) <= 700
    lighter = shown(sketch, Parameters(exposure=0.5)).mean()
    assert lighter > shown(sketch, Parameters()).mean() + 5
