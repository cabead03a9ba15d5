"""Thousands of damaged files: never a lost child, never beyond the limits, always a reason. `make slow`."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import pyvips

from galleries.imaging.child import Child
from galleries.imaging.jobs import Accepted, RenderOrder
from galleries.imaging.recipes import THUMB
from galleries.imaging.refusals import Refusal
from tests.galleries.imaging import files
from tests.portraits import GRACE_HOPPER, GRACE_HOPPER_HEIC

CASES = int(os.environ.get("LIKENESS_FUZZ_CASES", "2000"))


def seeds() -> list[bytes]:
    """Small valid files of every format."""
    image = pyvips.Image.new_from_file(str(GRACE_HOPPER)).thumbnail_image(90)
    return [
        files.jpeg(90, 100),
        files.jpeg(90, 100, progressive=True),
        files.oriented(files.jpeg(90, 100), 6),
        files.png(),
        image.pngsave_buffer(),
        image.tiffsave_buffer(compression="lzw"),
        image.tiffsave_buffer(compression="jpeg", tile=True),
        image.webpsave_buffer(),
        image.heifsave_buffer(compression="av1", effort=0),
        files.dng(64, 48),
        GRACE_HOPPER_HEIC.read_bytes(),
    ]


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Flipped bits, swapped bytes, cuts, doubled parts: mostly near the start, where the structure is."""
    spoilt = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5, 30])):
        end = len(spoilt) if chance.random() < 0.4 else min(len(spoilt), 700)
        at = chance.randrange(max(1, end))
        deed = chance.random()
        if deed < 0.5:
            spoilt[at] ^= 1 << chance.randrange(8)
        elif deed < 0.75:
            spoilt[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif deed < 0.85:
            spoilt[at : at + 4] = chance.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
        elif deed < 0.93:
            del spoilt[at : at + chance.randrange(1, 64)]
        else:
            spoilt[at:at] = spoilt[at : at + chance.randrange(1, 64)]
        if not spoilt:
            break
    return bytes(spoilt)


@pytest.mark.slow
def test_damaged_files_never_hurt(tmp_path: Path):
    chance, originals, child = random.Random(20261121), seeds(), Child()
    path = tmp_path / "frame"
    outcomes: dict[str, int] = {}
    try:
        for number in range(CASES):
            path.write_bytes(damaged(originals[number % len(originals)], chance))
            done = child.ask("accept", RenderOrder(path, tmp_path, (THUMB,)), Accepted)
            code = done.value.code if isinstance(done.value, Refusal) else "accepted"
            outcomes[code] = outcomes.get(code, 0) + 1
            assert done.cost.cpu_seconds < 2.2, (number, code, done.cost)
            assert done.cost.peak_mb < 1_000, (number, code, done.cost)
    finally:
        child.close()
    print(outcomes)
    assert outcomes["accepted"] > 0 and sum(outcomes.values()) == CASES
    assert outcomes.get("crashed", 0) <= CASES // 100
