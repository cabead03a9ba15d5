"""One decode, many files: right sides up, right sizes, right colours, and nothing in them that was not allowed."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from galleries.imaging import colour, decode, metadata
from galleries.imaging.crop import Crop, Head, Point
from galleries.imaging.metadata import Credits
from galleries.imaging.recipes import (
    FINAL_FULL,
    FINAL_GREY,
    FINAL_PRINT,
    FINAL_SQUARE,
    FINAL_WEB,
    GRID,
    PROOF,
    PROOF_UNPAID,
    PROOFS,
    SCREEN,
    THUMB,
)
from galleries.imaging.refusals import Refused
from galleries.imaging.render import render
from galleries.imaging.watermark import Mark
from tests.galleries.imaging import files
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER, GRACE_HOPPER_HEIC

CREDITS = Credits(
    creator="Ann Lens",
    copyright="© 2026 Studio <One> & Söhne",
    credit="Studio One",
    usage_terms="For the sitter.",
)


def opened(path: Path) -> Image.Image:
    """A picture read from memory, so no file stays open."""
    return Image.open(io.BytesIO(path.read_bytes()))


def pixels(path: Path) -> np.ndarray:
    return np.asarray(opened(path).convert("RGB")).astype(np.int16)


def delta_e(one: np.ndarray, two: np.ndarray) -> float:
    """Mean CIE76 difference of two sRGB arrays, without the noise of JPEG."""
    soft = [cv2.GaussianBlur(a.astype(np.float32) / np.float32(255), (0, 0), 2.5) for a in (one, two)]
    labs = [cv2.cvtColor(a, cv2.COLOR_RGB2Lab) for a in soft]
    return float(np.sqrt(((labs[0] - labs[1]) ** 2).sum(axis=2)).mean())


def test_sizes_and_digests(tmp_path: Path):
    done = render(GRACE_HOPPER, [SCREEN, THUMB, GRID], tmp_path)
    assert [(file.recipe, file.width, file.height) for file in done.files] == [
        ("screen", 512, 600),  # never enlarged
        ("thumb", 478, THUMB.edge),
        ("grid", 512, 600),
    ]
    for file in done.files:
        assert hashlib.sha256(file.path.read_bytes()).hexdigest() == file.sha256
        assert opened(file.path).size == (file.width, file.height)
        assert opened(file.path).format == "JPEG"


def test_the_same_file_gives_the_same_bytes(tmp_path: Path):
    (tmp_path / "again").mkdir()
    one = render(EILEEN_COLLINS, PROOFS, tmp_path)
    two = render(EILEEN_COLLINS, PROOFS, tmp_path / "again")
    assert [file.sha256 for file in one.files] == [file.sha256 for file in two.files]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_ends_upright(tmp_path: Path, orientation: int):
    """The stored pixels are laid down so that the Exif value brings back the original."""
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[
        orientation
    ]  # PIL transpositions of the stored picture
    with Image.open(GRACE_HOPPER) as picture:
        small = picture.convert("RGB").resize((128, 150))
    stored = small if undo is None else small.transpose(Image.Transpose(undo))
    out = io.BytesIO()
    stored.save(out, "JPEG", quality=95, subsampling=0)
    path = tmp_path / "frame.jpg"
    path.write_bytes(files.oriented(out.getvalue(), orientation))
    done = render(path, [THUMB, FINAL_FULL], tmp_path)
    assert (done.width, done.height) == (128, 150)
    for file in done.files:
        assert delta_e(pixels(file.path), np.asarray(small)) < 2


def profiled(profile: bytes) -> tuple[bytes, np.ndarray]:
    """A portrait in another colour space, and its true sRGB pixels."""
    with Image.open(GRACE_HOPPER) as picture:
        true = picture.convert("RGB").resize((256, 300))
    wide = ImageCms.profileToProfile(
        true, ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(profile)), renderingIntent=1
    )
    out = io.BytesIO()
    wide.save(out, "JPEG", quality=97, subsampling=0, icc_profile=profile)
    return out.getvalue(), np.asarray(true)


def test_adobe_rgb_is_converted(tmp_path: Path):
    data, true = profiled(colour.ADOBE_RGB)
    path = tmp_path / "wide.jpg"
    path.write_bytes(data)
    done = render(path, [GRID, FINAL_FULL], tmp_path)
    ignored = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert delta_e(ignored, true) > 2  # what it would cost to ignore the profile
    for file in done.files:
        assert delta_e(pixels(file.path), true) < 1.5
    assert done.notes == ()


def test_camera_adobe_rgb_without_a_profile_is_known(tmp_path: Path):
    data, true = profiled(colour.ADOBE_RGB)
    with Image.open(io.BytesIO(data)) as picture:
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=97, subsampling=0)
    interop = struct.pack("<H", 1) + struct.pack("<HHI4s", 1, 2, 4, b"R03\0") + bytes(4)
    detail_at = 8 + 2 + 12 + 4
    interop_at = detail_at + 2 + 12 + 4
    block = b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHII", 34665, 4, 1, detail_at) + bytes(4)
    block += struct.pack("<H", 1) + struct.pack("<HHII", 40965, 4, 1, interop_at) + bytes(4) + interop
    path = tmp_path / "camera.jpg"
    path.write_bytes(files.with_segment(out.getvalue(), 0xE1, b"Exif\0\0" + block))
    done = render(path, [GRID], tmp_path)
    assert delta_e(pixels(done.files[0].path), true) < 1.5
    assert done.notes == ("adobe_rgb_by_camera",)


@pytest.mark.parametrize("profile", [b"x" * 60, colour.ADOBE_RGB[:200], bytes(3_000)])
def test_broken_profile_counts_as_srgb_with_a_note(tmp_path: Path, profile: bytes):
    with Image.open(GRACE_HOPPER) as picture:
        out = io.BytesIO()
        picture.convert("RGB").save(out, "JPEG", quality=95, icc_profile=profile)
    path = tmp_path / "frame.jpg"
    path.write_bytes(out.getvalue())
    done = render(path, [GRID, FINAL_FULL], tmp_path)
    assert done.notes == ("profile_ignored",)
    assert delta_e(pixels(done.files[1].path), pixels(path)) < 1


def test_own_profiles_say_what_they_mean():
    srgb = ImageCms.ImageCmsProfile(io.BytesIO(colour.SRGB))
    assert "sRGB" in ImageCms.getProfileDescription(srgb)
    assert colour.is_srgb(colour.SRGB) and not colour.is_srgb(colour.ADOBE_RGB)
    assert colour.is_usable(colour.ADOBE_RGB, 3) and not colour.is_usable(colour.ADOBE_RGB, 1)
    assert len(colour.SRGB) < 1_100
    with Image.open(GRACE_HOPPER) as picture:
        true = picture.convert("RGB")
    same = ImageCms.profileToProfile(true, srgb, ImageCms.createProfile("sRGB"), renderingIntent=1)
    assert np.abs(np.asarray(same).astype(int) - np.asarray(true)).max() <= 2


def test_transparent_pixels_are_laid_on_white(tmp_path: Path):
    rgba = np.zeros((60, 80, 4), np.uint8)
    rgba[:, 40:] = (200, 30, 30, 255)
    path = tmp_path / "cut.png"
    Image.fromarray(rgba).save(path)
    done = render(path, [THUMB, FINAL_FULL], tmp_path)
    for file in done.files:
        assert pixels(file.path)[30, 10].min() > 250
        assert abs(pixels(file.path)[30, 70] - [200, 30, 30]).max() < 8


@pytest.mark.parametrize("bits", [8, 16])
def test_tiff_of_eight_and_sixteen_bits(tmp_path: Path, bits: int):
    path = files.ramp_tiff(tmp_path / "ramp.tif", bits)
    done = render(path, [THUMB, FINAL_FULL], tmp_path)
    for file in done.files:
        row = pixels(file.path)[60, :, 0]
        assert abs(row[0]) < 4 and abs(row[-1] - 255) < 4
        assert abs(row[80] - 128) < 4


def test_grey_and_cmyk_end_as_rgb(tmp_path: Path):
    with Image.open(GRACE_HOPPER) as picture:
        for mode in ("L", "CMYK"):
            path = tmp_path / f"{mode}.jpg"
            picture.convert(mode).save(path, quality=95)
            done = render(path, [THUMB], tmp_path)
            assert opened(done.files[0].path).mode == "RGB"
            wanted = np.asarray(
                picture.convert("L").convert("RGB")
                if mode == "L"
                else picture.convert("RGB").resize((478, THUMB.edge))
            )
            if mode == "CMYK":
                assert (
                    np.abs(pixels(done.files[0].path) - wanted).mean() < 40
                )  # no profile: any CMYK is a guess


def test_heic_is_read(tmp_path: Path):
    done = render(GRACE_HOPPER_HEIC, [GRID], tmp_path)
    with Image.open(GRACE_HOPPER) as picture:
        true = np.asarray(picture.convert("RGB").resize((done.files[0].width, done.files[0].height)))
    assert delta_e(pixels(done.files[0].path), true) < 6


def test_raw_uses_its_preview_when_that_is_large_enough(tmp_path: Path):
    with Image.open(GRACE_HOPPER) as picture:
        out = io.BytesIO()
        picture.convert("RGB").resize((1600, 1875)).save(out, "JPEG", quality=90)
    path = tmp_path / "frame.dng"
    path.write_bytes(files.dng(preview=out.getvalue()))
    done = render(path, [THUMB], tmp_path)
    assert done.notes == ("from_preview",)
    assert done.files[0].height == THUMB.edge


def test_raw_without_a_preview_is_developed(tmp_path: Path):
    path = tmp_path / "frame.dng"
    path.write_bytes(files.dng())
    done = render(path, [THUMB, FINAL_FULL], tmp_path)
    assert done.notes == ()
    assert (done.files[1].width, done.files[1].height) == (640, 480)
    ramp = pixels(done.files[0].path).mean(axis=(0, 2))
    assert ramp[-20:].mean() > ramp[:20].mean() + 30


# --- crops


def test_crop_is_cut_where_it_says(tmp_path: Path):
    crop = Crop(100, 50, 300, 300)
    done = render(GRACE_HOPPER, [FINAL_SQUARE], tmp_path, crops={"square": crop})
    assert done.files[0].crop == crop
    with Image.open(GRACE_HOPPER) as picture:
        true = np.asarray(picture.convert("RGB"))[50:350, 100:400]
    assert np.abs(pixels(done.files[0].path) - true).mean() < 3


def test_levelling_turns_the_eyes_level(tmp_path: Path):
    """Two dots on a slope of two degrees end on one line, at the crop's eye line."""
    canvas = np.full((900, 900, 3), 230, np.uint8)
    dots = [(350, 400), (550, 400 + 200 * np.tan(np.radians(2)))]
    for x, y in dots:
        cv2.circle(canvas, (round(x * 16), round(y * 16)), 9 * 16, (0, 0, 0), -1, shift=4)
    path = tmp_path / "dots.png"
    Image.fromarray(canvas).save(path)
    someone = Head(Point(*dots[0]), Point(*dots[1]), Point(450, 560), Point(450, 200))
    done = render(path, [FINAL_SQUARE], tmp_path, head=someone)
    crop = done.files[0].crop
    assert crop is not None and crop.rotation == pytest.approx(2, abs=0.05)
    dark = pixels(done.files[0].path).mean(axis=2) < 100
    middle = dark.shape[1] // 2
    heights = [np.nonzero(half)[0].mean() for half in (dark[:, :middle], dark[:, middle:])]
    assert abs(heights[0] - heights[1]) < 0.6
    assert np.mean(heights) / dark.shape[0] == pytest.approx(crop.eye_line, abs=0.01)


# --- what a file carries


def segments(path: Path) -> dict[str, list[bytes]]:
    """The marker segments before the scan, by name."""
    data, at, found = path.read_bytes(), 2, dict[str, list[bytes]]()
    while data[at + 1] != 0xDA:
        size = struct.unpack(">H", data[at + 2 : at + 4])[0]
        body = data[at + 4 : at + 2 + size]
        found.setdefault(f"{data[at + 1]:02X}", []).append(body)
        at += 2 + size
    return found


def test_files_carry_the_allow_list_and_nothing_else(tmp_path: Path):
    path = tmp_path / "frame.jpg"
    path.write_bytes(
        files.with_segment(files.jpeg(400, 500, comment=b"secret"), 0xE1, b"Exif\0\0" + files.gps_exif())
    )
    done = render(path, [PROOF, FINAL_WEB], tmp_path, credits=CREDITS)
    for file in done.files:
        data = file.path.read_bytes()
        assert b"SERIAL" not in data and b"secret" not in data and b"Nikon" not in data
        found = segments(file.path)
        assert set(found) <= {"E0", "E1", "E2", "DB", "C0", "C4"}
        exif = opened(file.path).getexif()
        assert dict(exif) == {315: "Ann Lens", 33432: exif[33432], 34665: exif[34665]}
        assert dict(exif.get_ifd(34665)) == {40961: 1}
        assert exif.get_ifd(34853) == {}
        xmp = next(body for body in found["E1"] if body.startswith(b"http://ns.adobe.com/xap/1.0/")).decode()
        assert "DMI-PROHIBITED-AIMLTRAINING" in xmp
        assert "© 2026 Studio &lt;One&gt; &amp; Söhne" in xmp
        assert opened(file.path).info["icc_profile"] == colour.SRGB


def test_no_training_mark_is_written_without_credits_too(tmp_path: Path):
    done = render(GRACE_HOPPER, [THUMB], tmp_path)
    data = done.files[0].path.read_bytes()
    assert b"DMI-PROHIBITED-AIMLTRAINING" in data
    assert b"dc:creator" not in data


def test_segments_of_the_encoder_are_dropped():
    data = files.with_segment(files.jpeg(comment=b"secret"), 0xE1, b"Exif\0\0" + files.gps_exif())
    made = metadata.with_segments(data, metadata.segments(Credits()))
    assert b"SERIAL" not in made and b"secret" not in made
    assert Image.open(io.BytesIO(made)).size == (64, 80)


def test_replacing_segments_needs_a_jpeg():
    with pytest.raises(ValueError):
        metadata.with_segments(b"\x89PNG", b"")


# --- marks


def test_edge_mark_touches_the_lower_edge_only(tmp_path: Path):
    plain = tmp_path / "plain.png"
    Image.fromarray(np.full((1200, 1000, 3), 128, np.uint8)).save(plain)
    done = render(plain, [PROOF], tmp_path, mark=Mark("STUDIO · A7"))
    shown = pixels(done.files[0].path)
    assert np.abs(shown[:1080] - 128).max() < 6
    assert (shown[1100:].max() - 128) > 60 and (128 - shown[1190:].min()) > 20


def test_pattern_mark_covers_the_picture(tmp_path: Path):
    plain = tmp_path / "plain.png"
    Image.fromarray(np.full((1200, 1000, 3), 128, np.uint8)).save(plain)
    shown = pixels(render(plain, [PROOF_UNPAID], tmp_path, mark=Mark("A7")).files[0].path)
    parts = [part for row in np.array_split(shown, 4) for part in np.array_split(row, 4, axis=1)]
    assert all(np.abs(part - 128).max() > 40 for part in parts)


def test_dominant_colour_is_the_unmarked_mean(tmp_path: Path):
    plain = tmp_path / "plain.png"
    Image.fromarray(np.full((300, 300, 3), (200, 100, 50), np.uint8)).save(plain)
    assert render(plain, [PROOF], tmp_path).dominant_colour == "#c86432"


def test_mark_opacity_is_checked():
    with pytest.raises(ValueError):
        Mark("x", opacity=0)


def test_nothing_to_render_is_a_programming_error(tmp_path: Path):
    with pytest.raises(ValueError):
        render(GRACE_HOPPER, [], tmp_path)


def test_decoder_messages_become_codes():
    assert decode.code_of("VipsJpeg: Premature end of JPEG file") == "truncated"
    assert decode.code_of("out of memory") == "too_much_memory"
    assert decode.code_of("unix error: No space left on device") == "no_room"
    assert decode.code_of("anything else") == "damaged"


def test_decoder_that_disagrees_with_the_header_is_refused(tmp_path: Path):
    found = decode.require(EILEEN_COLLINS)
    from dataclasses import replace

    with pytest.raises(Refused, match="damaged"):
        decode.open_pixels(replace(found, width=999))


# --- the studio's own list: a print, and black and white


def test_a_print_is_eight_by_ten_inches_at_three_hundred_dots_and_never_enlarged(tmp_path: Path):
    large = tmp_path / "large.png"
    Image.fromarray(colourful(3600, 2600)).save(large)
    big, small = tmp_path / "big", tmp_path / "small"
    big.mkdir()
    small.mkdir()
    [made] = render(large, [FINAL_PRINT], big, credits=CREDITS).files
    assert (made.width, made.height) == opened(made.path).size == (2400, 3000)
    assert opened(made.path).info["dpi"] == (300, 300)
    assert b"sRGB" in opened(made.path).info["icc_profile"]
    [kept] = render(GRACE_HOPPER, [FINAL_PRINT], small).files  # 512 × 600
    assert kept.width * 5 == pytest.approx(kept.height * 4, abs=5)
    assert (kept.width, kept.height) <= (512, 600)


def test_black_and_white_is_full_size_and_without_any_colour(tmp_path: Path):
    source = tmp_path / "colours.png"
    Image.fromarray(colourful(900, 600)).save(source)
    full, grey = render(source, [FINAL_FULL, FINAL_GREY], tmp_path, credits=CREDITS).files
    found, coloured = pixels(grey.path), pixels(full.path)
    assert np.ptp(coloured, axis=2).max() > 150  # the control: the picture has colours
    assert np.ptp(found, axis=2).max() <= 1
    assert (grey.width, grey.height) == (full.width, full.height) == (600, 900)
    light = cv2.cvtColor(coloured.astype(np.uint8), cv2.COLOR_RGB2GRAY).astype(np.float32)
    assert np.corrcoef(light.ravel(), found[..., 0].ravel())[0, 1] > 0.97  # lights stay light, darks dark
    assert b"sRGB" in opened(grey.path).info["icc_profile"]  # opens the same everywhere, as RGB
    assert opened(grey.path).mode == "RGB"
    written = grey.path.read_bytes()
    assert b"Ann Lens" in written and b"DMI-PROHIBITED" in written


def colourful(height: int, width: int) -> np.ndarray:
    """Every hue from left to right, light to dark from top to bottom."""
    across = np.tile(np.linspace(0, 179, width, dtype=np.uint8), (height, 1))
    down = np.tile(np.linspace(255, 40, height, dtype=np.uint8)[:, None], (1, width))
    hsv = np.dstack([across, np.full_like(across, 220), down])
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
