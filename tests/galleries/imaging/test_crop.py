"""Crops keep the eye line, stay inside the picture and never invent pixels."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galleries.imaging.crop import (
    EYE_LINE_HIGH,
    EYE_LINE_LOW,
    MOST_ROTATION,
    PORTRAIT,
    SQUARE,
    Crop,
    Head,
    Point,
    Shape,
    place,
)


def head(x: float = 2000, y: float = 2000, eyes: float = 600, tilt: float = 0.0) -> Head:
    """A head by the point between its eyes: chin 1.75 and crown 2.2 eye distances away."""
    dx, dy = eyes / 2 * math.cos(math.radians(tilt)), eyes / 2 * math.sin(math.radians(tilt))
    return Head(
        Point(x - dx, y - dy), Point(x + dx, y + dy), Point(x, y + 1.75 * eyes), Point(x, y - 2.2 * eyes)
    )


def test_square_of_a_usual_headshot():
    crop = place(SQUARE, 4000, 6000, head())
    assert crop.width == crop.height
    assert crop.eye_line == pytest.approx(0.42, abs=0.01)
    assert crop.left + crop.width / 2 == pytest.approx(2000, abs=2)
    assert crop.notes == () and crop.missing_headroom == 0 and crop.rotation == 0


def test_portrait_is_four_by_five():
    crop = place(PORTRAIT, 4000, 6000, head())
    assert crop.width / crop.height == pytest.approx(0.8, abs=0.002)
    assert EYE_LINE_LOW <= (crop.eye_line or 0) <= EYE_LINE_HIGH


@given(
    width=st.integers(300, 8000),
    height=st.integers(300, 8000),
    x=st.floats(0.05, 0.95),
    y=st.floats(0.05, 0.95),
    eyes=st.floats(0.02, 0.4),
    tilt=st.floats(-40, 40),
    shape=st.sampled_from([SQUARE, PORTRAIT]),
)
def test_any_head_gives_a_crop_inside_with_its_eye_line(width, height, x, y, eyes, tilt, shape):
    crop = place(shape, width, height, head(x * width, y * height, eyes * width, tilt))
    assert crop.left >= 0 and crop.top >= 0
    assert crop.left + crop.width <= width and crop.top + crop.height <= height
    assert crop.width / crop.height == pytest.approx(shape.aspect, abs=0.05)
    rounding = 1.5 / crop.height
    assert EYE_LINE_LOW - rounding <= (crop.eye_line or 0) <= EYE_LINE_HIGH + rounding
    assert abs(crop.rotation) <= MOST_ROTATION


def test_eyes_are_inside_the_circle_of_a_square():
    someone = head()
    crop = place(SQUARE, 4000, 6000, someone)
    radius, middle = crop.width / 2, (crop.left + crop.width / 2, crop.top + crop.height / 2)
    for eye in (someone.left_eye, someone.right_eye):
        assert math.hypot(eye.x - middle[0], eye.y - middle[1]) < 0.6 * radius


@pytest.mark.parametrize("tilt", [-3.0, 0.0, 3.0])
@pytest.mark.parametrize(("x", "y", "eyes"), [(2000, 2000, 600), (1600, 1500, 250), (2600, 3000, 420)])
def test_the_whole_head_is_inside_the_circle_of_a_square(x: float, y: float, eyes: float, tilt: float):
    """Chin, crown and both sides of the head (1.35 eye distances from the middle) show in a round picture."""
    someone = head(x, y, eyes, tilt)
    crop = place(SQUARE, 4000, 6000, someone)
    assert EYE_LINE_LOW <= (crop.eye_line or 0) <= EYE_LINE_HIGH
    radius, middle = crop.width / 2, (crop.left + crop.width / 2, crop.top + crop.height / 2)
    sides = [Point(x + way * 1.35 * eyes, y) for way in (-1, 1)]
    for point in (someone.chin, someone.crown, *sides):
        assert math.hypot(point.x - middle[0], point.y - middle[1]) < radius


def test_missing_headroom_is_said_in_pixels():
    crop = place(SQUARE, 4000, 6000, head(y=1300))
    assert crop.top == 0
    assert "headroom_missing" in crop.notes
    assert crop.missing_headroom > 0


def test_head_at_the_side_is_noted():
    crop = place(SQUARE, 4000, 6000, head(x=500))
    assert crop.left == 0
    assert "off_centre" in crop.notes


def test_slight_tilt_is_levelled_and_a_strong_one_only_noted():
    assert place(SQUARE, 4000, 6000, head(eyes=400, tilt=2)).rotation == pytest.approx(2, abs=0.01)
    assert place(SQUARE, 4000, 6000, head(eyes=400, tilt=0.3)).rotation == 0
    assert (
        place(SQUARE, 4000, 6000, head(eyes=600, tilt=2)).rotation == 0
    )  # its corners would leave the picture
    leaning = place(SQUARE, 4000, 6000, head(eyes=400, tilt=12))
    assert leaning.rotation == MOST_ROTATION
    assert "tilted" in leaning.notes
    assert place(SQUARE, 4000, 6000, head(eyes=400, tilt=2), level=False).rotation == 0


def test_no_face_takes_the_upper_middle_and_says_so():
    crop = place(SQUARE, 4000, 6000, None)
    assert (crop.left, crop.top, crop.width, crop.height) == (0, 400, 4000, 4000)
    assert crop.notes == ("no_face",) and crop.eye_line is None


def test_geometry_refuses_nonsense():
    with pytest.raises(ValueError):
        Crop(0, 0, 0, 10)
    with pytest.raises(ValueError):
        Crop(-1, 0, 10, 10)
    with pytest.raises(ValueError):
        Crop(0, 0, 10, 10, rotation=4)
    with pytest.raises(ValueError):
        Shape(aspect=1, head_share=0.5, eye_line=0.8)
    with pytest.raises(ValueError):
        Head(Point(0, 0), Point(1, 0), Point(0, 5), Point(0, 9))


def test_scaling_keeps_the_place():
    crop = Crop(100, 200, 400, 400, eye_line=0.4).scaled(0.5)
    assert (crop.left, crop.top, crop.width, crop.height) == (50, 100, 200, 200)
