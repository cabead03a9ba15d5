"""What a file is, by its content alone, and why it is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
import pyvips
from PIL import Image

from galleries.imaging import decode, refusals
from galleries.imaging.decode import Identified, code_of, identify
from galleries.imaging.limits import LIMITS
from galleries.imaging.refusals import Refusal, Refused
from tests.galleries.imaging import files
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER, GRACE_HOPPER_HEIC

HEIC = GRACE_HOPPER_HEIC.read_bytes()


def refused(tmp_path: Path, data: bytes, name: str = "frame.jpg") -> str:
    """The code a file is refused with, by its header; "" when it is taken."""
    path = tmp_path / name
    path.write_bytes(data)
    found = identify(path)
    return found.code if isinstance(found, Refusal) else ""


@pytest.mark.parametrize(
    ("path", "kind", "sides"),
    [
        (GRACE_HOPPER, "jpeg", (512, 600)),
        (EILEEN_COLLINS, "png", (512, 512)),
        (GRACE_HOPPER_HEIC, "heif", (1536, 1800)),
    ],
)
def test_formats_are_known_by_content(tmp_path: Path, path: Path, kind: str, sides: tuple[int, int]):
    disguised = tmp_path / "picture.txt"
    disguised.write_bytes(path.read_bytes())
    found = identify(disguised)
    assert isinstance(found, Identified)
    assert (found.format, found.width, found.height) == (kind, *sides)


@pytest.mark.parametrize(
    ("saver", "kind"), [("webpsave", "webp"), ("tiffsave", "tiff"), ("heifsave", "avif"), ("pngsave", "png")]
)
def test_written_formats_are_known(tmp_path: Path, saver: str, kind: str):
    path = tmp_path / "frame.bin"
    image = pyvips.Image.new_from_file(str(GRACE_HOPPER)).thumbnail_image(120)
    options = {"compression": "av1"} if kind == "avif" else {}
    path.write_bytes(getattr(image, f"{saver}_buffer")(**options))
    found = identify(path)
    assert isinstance(found, Identified)
    assert (found.format, found.width, found.height) == (kind, image.width, image.height)


def test_every_refusal_has_a_sentence_for_people():
    for code, sentence in refusals.SENTENCES.items():
        assert refusals.refuse(code).sentence == sentence
        assert sentence.endswith(".") and sentence[0].isupper() and len(sentence) < 130


def test_unknown_refusal_codes_are_programming_errors():
    with pytest.raises(ValueError, match="unknown refusal code"):
        Refusal("because", "Because.")


def test_missing_and_empty_files_say_so(tmp_path: Path):
    assert identify(tmp_path / "gone.jpg") == refusals.refuse("missing")
    assert refused(tmp_path, b"") == "empty"


FOREIGN = {
    "unknown": [b"hello world, this is a text file", b"\0" * 100, b"\0\0\1\0\1\0" + bytes(200)],
    "document": [
        b"%PDF-1.7\n",
        b"<svg xmlns='x'/>",
        b"  \n<?xml version='1.0'?>",
        b"PK\x03\x04zip",
        b"%!PS-Adobe",
    ],
    "gif": [b"GIF89a" + bytes(50), b"BM" + bytes(60)],
    "layered": [b"8BPS\0\1" + bytes(60)],
    "video": [b"\0\0\0\x18ftypisom\0\0\0\0isommp42", b"\x1aE\xdf\xa3" + bytes(40)],
    "jxl": [b"\xff\x0a" + bytes(40), b"\0\0\0\x0cJXL \r\n\x87\n"],
}


@pytest.mark.parametrize(("code", "data"), [(code, data) for code, all_ in FOREIGN.items() for data in all_])
def test_other_files_are_named_for_what_they_are(tmp_path: Path, code: str, data: bytes):
    assert refused(tmp_path, data) == code


# --- JPEG


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.7, 0.99])
def test_cut_jpeg_is_refused(tmp_path: Path, share: float):
    data = GRACE_HOPPER.read_bytes()
    assert refused(tmp_path, data[: max(3, int(len(data) * share))]) == "truncated"


@pytest.mark.parametrize(
    ("width", "height", "code"),
    [
        (65_500, 65_500, "too_large"),
        (13_000, 13_000, "too_large"),
        (30_000, 400, "too_large"),
        (10_000, 500, "too_narrow"),
        (4, 4, "too_small"),
        (0, 600, "damaged"),
        (512, 0, "damaged"),
        (9_000, 9_000, "truncated"),  # within the limits, but there is not a bit per block
    ],
)
def test_patched_jpeg_sides_are_refused(tmp_path: Path, width: int, height: int, code: str):
    assert refused(tmp_path, files.with_sides(files.jpeg(), width, height)) == code


def test_scan_bomb_is_refused_and_ordinary_progressive_is_not(tmp_path: Path):
    assert refused(tmp_path, files.scan_bomb(500)) == "too_many_scans"
    assert refused(tmp_path, files.scan_bomb(1)) == ""


def test_scans_cost_by_their_pixels():
    LIMITS.check_scans(10, 12_000, 10_000)
    with pytest.raises(Refused, match="too_many_scans"):
        LIMITS.check_scans(60, 6_000, 4_000)


def test_jpeg_segment_beyond_the_end_is_refused(tmp_path: Path):
    data = files.jpeg()
    lying = data[:2] + b"\xff\xe1\xff\xf0" + b"Exif\0\0" + data[2:]
    assert refused(tmp_path, lying) == "truncated"


def test_odd_jpegs_are_refused(tmp_path: Path):
    data = files.jpeg()
    frame = data.index(b"\xff\xc0")
    arithmetic = data[:frame] + b"\xff\xc9" + data[frame + 2 :]
    assert refused(tmp_path, arithmetic) == "unsupported"
    twelve_bits = data[: frame + 4] + b"\x0c" + data[frame + 5 :]
    assert refused(tmp_path, twelve_bits) == "unsupported"
    twice = data[:frame] + data[frame : frame + 19] + data[frame:]
    assert refused(tmp_path, twice) == "damaged"


def test_bytes_after_the_picture_do_no_harm(tmp_path: Path):
    assert refused(tmp_path, files.jpeg() + b"<html><script>alert(1)</script></html>") == ""


def test_many_harmless_segments_are_read_and_endless_ones_refused(tmp_path: Path):
    data = files.jpeg()
    segment = b"\xff\xe5\x00\x06abcd"
    assert refused(tmp_path, data[:2] + segment * 1_000 + data[2:]) == ""
    assert refused(tmp_path, data[:2] + segment * 6_000 + data[2:]) == "bomb"


def test_huge_profile_in_a_jpeg_is_a_bomb(tmp_path: Path):
    data = files.jpeg()
    for number in range(100, 0, -1):
        data = files.with_segment(data, 0xE2, b"ICC_PROFILE\0" + bytes([number, 100]) + bytes(60_000))
    assert refused(tmp_path, data) == "bomb"


@pytest.mark.parametrize("orientation", [0, 9, 255, 65_535])
def test_impossible_orientation_counts_as_upright(tmp_path: Path, orientation: int):
    path = tmp_path / "frame.jpg"
    path.write_bytes(files.oriented(files.jpeg(), orientation))
    found = identify(path)
    assert isinstance(found, Identified)
    assert found.orientation == 1


def test_looping_and_lying_exif_does_not_stop_a_picture(tmp_path: Path):
    looping = (
        struct.pack("<2sHIH", b"II", 42, 8, 1) + struct.pack("<HHII", 34665, 4, 1, 8) + struct.pack("<I", 8)
    )
    lying = files.exif([(37500, 7, 0xFFFFFFFF, b"\xff\xff\xff\xff")])
    for block in (looping, lying, b"II*\0\xff\xff\xff\xff", b"garbage"):
        assert refused(tmp_path, files.with_segment(files.jpeg(), 0xE1, b"Exif\0\0" + block)) == ""


# --- PNG


def test_small_png_is_taken(tmp_path: Path):
    assert refused(tmp_path, files.png()) == ""


PACKED = zlib.compress(bytes(20_000_000), 9)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (files.png(files.chunk(b"iCCP", b"name\0\0" + PACKED)), "bomb"),
        (files.png(files.chunk(b"zTXt", b"note\0\0" + PACKED)), "bomb"),
        (files.png(files.chunk(b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0" + PACKED)), "bomb"),
        (files.png(*[files.chunk(b"tEXt", b"k\0v")] * 3), ""),
        (files.png(files.chunk(b"acTL", struct.pack(">II", 9, 0))), "several_frames"),
        (files.png(files.chunk(b"QQQQ", b"")), "unsupported"),
        (files.png()[:-12], "truncated"),
        (files.png()[:-30], "truncated"),
        (files.png(idat=b""), "truncated"),
        (files.png().replace(b"IDAT", b"IDAX"), "damaged"),
        (
            b"\x89PNG\r\n\x1a\n" + files.chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 99, 0, 0, 0, 0)),
            "damaged",
        ),
        (
            b"\x89PNG\r\n\x1a\n"
            + files.chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)),
            "too_large",
        ),
        (b"\x89PNG\r\n\x1a\n" + files.chunk(b"IDAT", b""), "damaged"),
    ],
)
def test_png_trouble(tmp_path: Path, data: bytes, code: str):
    assert refused(tmp_path, data) == code


def test_png_with_one_flipped_bit_is_refused(tmp_path: Path):
    data = bytearray(files.png())
    data[-20] ^= 1
    assert refused(tmp_path, bytes(data)) == "damaged"


# --- TIFF


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (files.grey_tiff(20, 20), ""),
        (files.grey_tiff(4_294_967_280, 4_294_967_280), "too_large"),
        (files.grey_tiff(100_000, 100_000), "too_large"),
        (files.grey_tiff(2_000, 2_000, at=900_000_000), "truncated"),
        (files.grey_tiff(2_000, 2_000, count=50), "truncated"),
        (files.grey_tiff(20, 20, count=0), "truncated"),
        (files.grey_tiff(20, 20, following=8), "damaged"),
        (files.grey_tiff(20, 20, compression=34661), "unsupported"),
        (files.grey_tiff(20, 20, bits=32), "unsupported"),
        (files.grey_tiff(20, 20, photometric=99), "unsupported"),
        (files.tiff([]), "damaged"),
        (b"II*\0\xff\xff\xff\xff", "truncated"),
        (b"II*\0" + struct.pack("<IH", 8, 65_000), "damaged"),
    ],
)
def test_tiff_trouble(tmp_path: Path, data: bytes, code: str):
    assert refused(tmp_path, data, "scan.tif") == code


def test_tiff_with_two_pages_is_refused(tmp_path: Path):
    page = pyvips.Image.black(32, 32, bands=3).copy(interpretation="srgb")
    both = page.join(page, "vertical").copy()
    both.set_type(pyvips.GValue.gint_type, "page-height", 32)
    both.tiffsave(str(tmp_path / "two.tif"))
    assert identify(tmp_path / "two.tif") == refusals.refuse("several_frames")


def test_cut_tiff_is_refused(tmp_path: Path):
    data = files.ramp_tiff(tmp_path / "ramp.tif").read_bytes()
    assert refused(tmp_path, data[: len(data) // 2], "cut.tif") in {"truncated", "damaged"}


# --- RAW


def test_dng_is_known_as_raw_before_pillow_sees_it(tmp_path: Path):
    path = tmp_path / "frame.dng"
    path.write_bytes(files.dng())
    found = identify(path)
    assert isinstance(found, Identified)
    assert (found.format, found.codec, found.width, found.height) == ("raw", "dng", 640, 480)


def test_cut_dng_is_refused(tmp_path: Path):
    assert refused(tmp_path, files.dng(cut=5_000), "frame.dng") == "truncated"


@pytest.mark.parametrize(
    "start", [b"IIRO", b"IIU\0", b"FUJIFILMCCD-RAW", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"]
)
def test_raw_in_name_only_is_refused(tmp_path: Path, start: bytes):
    assert refused(tmp_path, start + bytes(400), "frame.raw") in {"damaged", "truncated"}


# --- HEIF, WebP


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.98])
def test_cut_heic_is_refused(tmp_path: Path, share: float):
    assert refused(tmp_path, HEIC[: int(len(HEIC) * share)], "frame.heic") == "truncated"


def test_heic_whose_items_lie_outside_is_refused(tmp_path: Path):
    at = HEIC.index(b"mdat")
    size = struct.unpack(">I", HEIC[at - 4 : at])[0]
    shorter = HEIC[: at - 4] + struct.pack(">I", size - 5_000) + HEIC[at : at - 4 + size - 5_000]
    assert refused(tmp_path, shorter, "frame.heic") == "truncated"


def test_heic_with_absurd_sides_is_refused(tmp_path: Path):
    data = bytearray(HEIC)
    start = 0
    while (at := HEIC.find(b"ispe", start)) >= 0:
        data[at + 8 : at + 16] = struct.pack(">II", 60_000, 60_000)
        start = at + 4
    assert refused(tmp_path, bytes(data), "frame.heic") == "too_large"


def test_image_sequences_are_refused(tmp_path: Path):
    assert refused(tmp_path, HEIC.replace(b"ftypheic", b"ftyphevc", 1), "burst.heic") == "several_frames"


def test_animated_and_cut_webp_are_refused(tmp_path: Path):
    frame = pyvips.Image.black(32, 32, bands=3).copy(interpretation="srgb")
    both = frame.join(frame.invert(), "vertical").copy()
    both.set_type(pyvips.GValue.gint_type, "page-height", 32)
    assert refused(tmp_path, both.webpsave_buffer(), "moving.webp") == "several_frames"
    still = pyvips.Image.new_from_file(str(GRACE_HOPPER)).webpsave_buffer()
    assert refused(tmp_path, still[: len(still) // 2], "cut.webp") == "truncated"


def test_stray_bytes_before_a_marker_do_no_harm(tmp_path: Path):
    """Some cameras write them; libjpeg warns, and every pixel is there."""
    data = files.jpeg(200, 240)
    path = tmp_path / "frame.jpg"
    path.write_bytes(data[:-2] + bytes(300) + data[-2:])
    assert decode.read_pixels(decode.require(path)).image.height == 240


def test_opening_reads_smaller_when_less_is_wanted():
    found = decode.require(GRACE_HOPPER)
    assert decode.open_pixels(found, wanted_edge=100).image.height == 150
    assert decode.open_pixels(found).image.height == 600


@pytest.mark.parametrize(("edge", "shrink"), [(None, 1), (2048, 2), (1600, 2), (400, 8), (4300, 1)])
def test_shrink_leaves_a_good_filter_step(edge: int | None, shrink: int):
    assert decode.shrink_for(6_000, edge) == shrink


@pytest.mark.parametrize(("megabytes", "code"), [(0.2, None), (1.2, "bomb")])
def test_a_heif_profile_that_buys_time_is_refused(tmp_path: Path, megabytes: float, code: str | None):
    """libheif spends half a second of CPU on each megabyte of a profile."""
    path = tmp_path / "frame.avif"
    with Image.open(GRACE_HOPPER) as picture:
        small = picture.convert("RGB").resize((64, 80))
    small.save(path, "AVIF", speed=10, icc_profile=bytes(int(megabytes * 1_000_000)))
    found = identify(path)
    assert (found.code if isinstance(found, Refusal) else None) == code


def test_a_picture_beyond_the_memory_says_so():
    message = "heif: Invalid input: Unspecified: Memory allocation error (2.0)"
    assert code_of(message) == "too_much_memory"
