"""Whose file it is: names as words, content over position, and a doubt for everything else. No pixels here."""

import pytest

from galleries.imaging.match import CLEAR, SURE
from galleries.retouching.matching import BOTH, CONTENT, Decision, decide, named

CAMERA = {1: ["img_1234"], 2: ["img_1235"], 3: ["_dsc4181"]}


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1234.jpg",
        "img_1234.JPG",
        "IMG_1234-Edit.tif",
        "IMG_1234-2.jpg",
        "IMG_1234 copy (1).jpeg",
        "Ada IMG_1234 final.psd",
        "exports\\IMG_1234_retouched.tif",
    ],
)
def test_a_camera_name_stands_in_the_name_as_a_word(name: str) -> None:
    assert named(name, CAMERA) == {1}


@pytest.mark.parametrize("name", ["IMG_12345.jpg", "MIMG_1234.jpg", "portrait.jpg", ".jpg", ""])
def test_a_longer_number_is_another_frame(name: str) -> None:
    assert named(name, CAMERA) == set()


def test_of_nested_names_the_longest_counts() -> None:
    assert named("IMG_1-2.jpg", {1: ["img_1"], 2: ["img_1-2"]}) == {2}


def test_two_cameras_can_give_one_name() -> None:
    assert named("IMG_1.jpg", {1: ["img_1"], 2: ["img_1"]}) == {1, 2}


@pytest.mark.parametrize(
    ("by_name", "alike", "wanted"),
    [
        ({1}, {1: 0.99, 2: 0.2}, Decision(1, BOTH)),
        ({1}, {1: 0.99, 2: 0.99}, Decision(1, BOTH)),  # frames hardly apart: the name decides
        (set(), {1: 0.3, 2: 0.97}, Decision(2, CONTENT)),
        (set(), {1: 0.95, 2: 0.97}, Decision(doubt="two_alike")),
        (set(), {1: 0.3, 2: 0.4}, Decision(doubt="no_match")),
        (set(), {}, Decision(doubt="no_match")),
        ({1}, {1: 0.2, 2: 0.97}, Decision(doubt="name_against_content")),
        ({1}, {1: 0.86, 2: 1.0}, Decision(doubt="name_against_content")),
        ({1}, {1: 0.4, 2: 0.3}, Decision(doubt="unlike")),
        ({1, 2}, {1: 0.2, 2: 0.97}, Decision(2, BOTH)),
        ({1, 2}, {1: 0.96, 2: 0.97}, Decision(doubt="two_alike")),
        ({1}, None, Decision(doubt="not_compared")),
    ],
)
def test_what_decides(by_name: set[int], alike: dict[int, float] | None, wanted: Decision) -> None:
    assert decide(by_name=by_name, alike=alike) == wanted


def test_the_name_of_a_frame_that_was_not_chosen_is_a_doubt() -> None:
    assert decide(by_name=set(), alike={1: 0.1}, is_name_of_another=True) == Decision(doubt="not_chosen")
    content_says_1 = decide(by_name=set(), alike={1: 0.98}, is_name_of_another=True)
    assert content_says_1 == Decision(doubt="name_against_content")


@pytest.mark.parametrize("by_name", [set(), {1}])
def test_below_the_sure_likeness_a_person_decides(by_name: set[int]) -> None:
    """A neighbouring frame of a burst looks about 0.7 alike: it must not be taken for the chosen one."""
    assert SURE == 0.85
    sure = decide(by_name=by_name, alike={1: SURE})
    unsure = decide(by_name=by_name, alike={1: SURE - 0.001})
    assert sure == Decision(1, BOTH if by_name else CONTENT)
    assert unsure == Decision(doubt="unlike" if by_name else "no_match")


def test_a_second_frame_must_be_clearly_less_alike() -> None:
    assert decide(by_name=set(), alike={1: 0.99, 2: 0.98 - CLEAR}) == Decision(1, CONTENT)
    assert decide(by_name=set(), alike={1: 0.99, 2: 1.0 - CLEAR}) == Decision(doubt="two_alike")
