"""Recipes are checked when made, and their digest follows everything that changes the file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from galleries.imaging.recipes import FINAL_FULL, FINALS, PROOF, RECIPES, THUMB, Fit, Recipe, digest


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Thumb"},
        {"name": "../thumb"},
        {"version": 0},
        {"quality": 0},
        {"quality": 101},
        {"edge": 0},
        {"edge": -5},
        {"mark": "stamp"},
        {"mark": "edge", "is_final": True},
        {"fit": Fit.FULL},
    ],
)
def test_impossible_recipes_cannot_be_made(wrong: dict[str, object]):
    with pytest.raises(ValueError):
        replace(THUMB, **wrong)


def test_names_are_unique_and_finals_unmarked():
    assert all(RECIPES[name].name == name for name in RECIPES)
    assert not any(recipe.mark for recipe in FINALS)
    assert PROOF.mark == "edge"
    assert FINAL_FULL.edge == 0


def test_digest_follows_recipe_version_and_parameters():
    one = digest(THUMB, {"crop": [1, 2], "code": "A7"})
    assert one == digest(THUMB, {"code": "A7", "crop": [1, 2]})
    assert len(one) == 16
    others = {
        digest(replace(THUMB, version=THUMB.version + 1), {"crop": [1, 2], "code": "A7"}),
        digest(PROOF),
        digest(THUMB),
    }
    assert one not in others and len(others) == 3


def test_file_names_carry_the_version():
    assert Recipe("thumb", 3, Fit.INSIDE, 400, 80).file_name == "thumb-v3.jpg"
