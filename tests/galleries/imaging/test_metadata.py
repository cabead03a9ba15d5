"""Capture facts are read with care; damage yields fewer facts, never an error."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galleries.imaging.metadata import CaptureFacts, Credits, capture_facts, exif_block, xmp_packet
from tests.galleries.imaging import files


def camera_exif(**texts: str) -> bytes:
    """Exif as a camera writes it: make and model, and a directory with the exposure."""

    def text(tag: int, value: str) -> tuple[int, int, int, bytes]:
        raw = value.encode() + b"\0"
        return tag, 2, len(raw), raw

    top = [text(271, texts.get("make", "NIKON CORPORATION")), text(272, texts.get("model", "NIKON Z 8"))]
    detail = [
        text(36867, texts.get("taken", "2026:11:20 14:03:05")),
        text(36881, texts.get("offset", "+01:00")),
        text(37521, texts.get("subseconds", "25")),
        text(42036, "NIKKOR Z 85mm f/1.8 S"),
        text(42033, "4711-SERIAL"),
        (33434, 5, 1, struct.pack("<II", 1, 200)),
        (33437, 5, 1, struct.pack("<II", 56, 10)),
        (34855, 3, 1, struct.pack("<H", 100)),
        (37386, 5, 1, struct.pack("<II", 85, 1)),
    ]
    size = len(files.exif([*top, (34665, 4, 1, bytes(4))]))
    head = files.exif([*top, (34665, 4, 1, struct.pack("<I", size))])
    # the second directory's values are laid out as if it began at offset 0 of its own block, then shifted
    block = files.exif(detail)
    count = struct.unpack("<H", block[8:10])[0]
    table = bytearray(block[8:])
    for number in range(count):
        at = 2 + 12 * number
        kind, values = struct.unpack("<HI", table[at + 2 : at + 8])
        if values * {2: 1, 3: 2, 5: 8}[kind] > 4:
            place = struct.unpack("<I", table[at + 8 : at + 12])[0]
            table[at + 8 : at + 12] = struct.pack("<I", place - 8 + size)
    return head + bytes(table)


def test_facts_of_a_camera_file():
    assert capture_facts(camera_exif()) == CaptureFacts(
        captured_at=datetime(2026, 11, 20, 14, 3, 5, 250_000, tzinfo=timezone(timedelta(hours=1))),
        camera="NIKON Z 8",
        lens="NIKKOR Z 85mm f/1.8 S",
        exposure_seconds=0.005,
        f_number=5.6,
        iso=100,
        focal_length_mm=85.0,
        orientation=1,
        body="d056",  # four letters of a digest, not the number
    )


def test_serial_numbers_are_not_kept():
    assert "SERIAL" not in repr(capture_facts(camera_exif()))


@pytest.mark.parametrize(
    ("taken", "offset", "expected"),
    [
        ("2026:11:20 14:03:05", "", datetime(2026, 11, 20, 14, 3, 5, 250_000)),
        ("2026:11:20 14:03:05", "Z", datetime(2026, 11, 20, 14, 3, 5, 250_000)),
        ("2026:11:20 14:03:05", "+99:00", datetime(2026, 11, 20, 14, 3, 5, 250_000)),
        ("2026:13:40 25:61:61", "", None),
        ("0000:00:00 00:00:00", "", None),
        ("    :  :     :  :  ", "", None),
        ("yesterday", "", None),
    ],
)
def test_odd_capture_times(taken: str, offset: str, expected: datetime | None):
    assert capture_facts(camera_exif(taken=taken, offset=offset)).captured_at == expected


def test_make_is_not_said_twice():
    assert capture_facts(camera_exif(make="Canon", model="Canon EOS R5")).camera == "Canon EOS R5"
    assert capture_facts(camera_exif(make="Leica", model="SL3")).camera == "Leica SL3"


@given(st.binary(max_size=400))
def test_garbage_never_raises(data: bytes):
    capture_facts(data)
    capture_facts(b"II*\0" + data)
    capture_facts(b"MM\0*\0\0\0\x08" + data)


@given(st.integers(0, 330), st.integers(0, 255))
def test_damaged_exif_never_raises(at: int, value: int):
    block = bytearray(camera_exif())
    block[at % len(block)] = value
    capture_facts(bytes(block))
    capture_facts(bytes(block[: at % len(block)]))


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_credit_makes_a_readable_block(creator: str, copyright_text: str):
    from xml.etree import ElementTree

    credits = Credits(creator=creator, copyright=copyright_text, credit=creator, usage_terms=copyright_text)
    ElementTree.fromstring(xmp_packet(credits).decode().split("?>", 1)[1].rsplit("<?", 1)[0])
    block = exif_block(credits)
    assert block[:4] == b"MM\0*"
    capture_facts(block)
