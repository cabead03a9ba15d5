"""The resumable ZIP: the same bytes every time, from any byte on, and readable by what clients have."""

import io
import random
import shutil
import subprocess
import sys
import tracemalloc
import unicodedata
import zipfile
from binascii import crc32
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galleries.archive import NAME_BYTES, ArchiveError, ArchivePlan, Entry, clean_names

SHOT_AT = datetime(2026, 11, 20, 9, 30, 8, tzinfo=UTC)


def entry(name: str, content: bytes, modified_at: datetime = SHOT_AT, chunk: int = 7) -> Entry:
    def read(start: int, length: int) -> Iterator[bytes]:
        for at in range(start, start + length, chunk):
            yield content[at : min(at + chunk, start + length)]

    return Entry(name, len(content), crc32(content), modified_at, read)


def zeros(name: str, size: int, crc: int) -> Entry:
    """A file of zeros that exists only while it is read."""
    block = bytes(1 << 20)

    def read(start: int, length: int) -> Iterator[bytes]:
        while length:
            piece = min(length, len(block))
            yield block[:piece]
            length -= piece

    return Entry(name, size, crc, SHOT_AT, read)


def crc_of_zeros(size: int) -> int:
    crc, block = 0, bytes(1 << 24)
    while size:
        piece = min(size, len(block))
        crc = crc32(block[:piece], crc)
        size -= piece
    return crc


def whole(plan: ArchivePlan) -> bytes:
    return b"".join(plan.read())


PICTURES = [
    entry("web/grace-hopper-01.jpg", b"first picture" * 9),
    entry("web/grace-hopper-02.jpg", b""),
    entry("full/Zoë 👩‍🦰 日本.jpg", bytes(range(256)) * 3),
]


def test_python_reads_it_back_with_names_times_and_bytes():
    with zipfile.ZipFile(io.BytesIO(whole(ArchivePlan(PICTURES)))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [picture.name for picture in PICTURES]
        assert archive.read("full/Zoë 👩‍🦰 日本.jpg") == bytes(range(256)) * 3
        assert archive.infolist()[0].date_time == (2026, 11, 20, 9, 30, 8)
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.flag_bits for info in archive.infolist()} == {0x800}


def test_the_length_is_known_before_and_exact():
    plan = ArchivePlan(PICTURES)
    assert plan.length == len(whole(plan))


def test_an_archive_of_nothing_is_an_archive():
    plan = ArchivePlan([])
    assert plan.length == 22
    assert zipfile.ZipFile(io.BytesIO(whole(plan))).namelist() == []


@pytest.mark.parametrize(
    "tool", [["unzip", "-tqq"], ["7z", "t", "-bso0"], ["bsdtar", "-tf"]], ids=lambda tool: tool[0]
)
def test_the_tools_people_have_are_content(tool, tmp_path):
    if shutil.which(tool[0]) is None:
        pytest.skip(f"{tool[0]} is not installed")
    path = tmp_path / "likeness.zip"
    path.write_bytes(whole(ArchivePlan(PICTURES)))
    done = subprocess.run([*tool, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_extracting_gives_the_same_files(tmp_path):
    if shutil.which("bsdtar") is None:
        pytest.skip("bsdtar is not installed")
    (tmp_path / "likeness.zip").write_bytes(whole(ArchivePlan(PICTURES)))
    subprocess.run(
        ["bsdtar", "-xf", "likeness.zip"],
        cwd=tmp_path,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    assert (tmp_path / "full/Zoë 👩‍🦰 日本.jpg").read_bytes() == bytes(range(256)) * 3
    assert (tmp_path / "web/grace-hopper-01.jpg").stat().st_mtime == SHOT_AT.timestamp()


# --- any part of it

contents = st.lists(st.binary(max_size=300), max_size=6)


@given(contents, st.data())
def test_any_range_is_a_slice_of_the_whole(files, data):
    plan = ArchivePlan(entry(f"{number}.jpg", content) for number, content in enumerate(files))
    everything = whole(plan)
    start = data.draw(st.integers(0, plan.length))
    stop = data.draw(st.integers(start, plan.length + 10))
    assert b"".join(plan.read(start, stop)) == everything[start:stop]


def test_a_download_cut_anywhere_goes_on_identically():
    plan = ArchivePlan(PICTURES)
    everything = whole(plan)
    for at in range(plan.length + 1):
        again = ArchivePlan(PICTURES)  # another process, another day
        assert everything[:at] + b"".join(again.read(at)) == everything


def test_every_byte_opens_only_the_file_it_lies_in():
    opened: list[tuple[str, int, int]] = []

    def noted(name: str, size: int) -> Entry:
        def read(start: int, length: int) -> Iterator[bytes]:
            opened.append((name, start, length))
            yield bytes(length)

        return Entry(name, size, crc32(bytes(size)), SHOT_AT, read)

    plan = ArchivePlan(noted(f"{number:04}.jpg", 50) for number in range(2000))
    header = 30 + len("0000.jpg") + 9
    assert b"".join(
        plan.read(1234 * (header + 50) + header + 20, 1234 * (header + 50) + header + 25)
    ) == bytes(5)
    assert opened == [("1234.jpg", 20, 5)]


def test_the_end_is_found_without_opening_any_file():
    def never(start: int, length: int) -> Iterator[bytes]:
        raise AssertionError("opened")

    plan = ArchivePlan([Entry("a.jpg", 10_000_000_000, 1, SHOT_AT, never)])
    assert b"".join(plan.read(plan.length - 22))[:4] == b"PK\5\6"


def test_reading_before_the_first_byte_is_refused():
    with pytest.raises(ArchiveError):
        list(ArchivePlan(PICTURES).read(-1))


# --- the ETag


def test_the_etag_is_strong_and_the_same_for_the_same_content():
    assert ArchivePlan(PICTURES).etag == ArchivePlan(list(PICTURES)).etag
    assert ArchivePlan(PICTURES).etag.startswith('"')


@pytest.mark.parametrize(
    "other",
    [
        [entry("b.jpg", b"one")],
        [entry("a.jpg", b"two")],
        [entry("a.jpg", b"one", datetime(2026, 1, 1, tzinfo=UTC))],
        [
            Entry(
                "a.jpg",
                3,
                crc32(b"one"),
                SHOT_AT,
                entry("a.jpg", b"one").open,
                digest="other bytes, same CRC",
            )
        ],
        [entry("a.jpg", b"one"), entry("b.jpg", b"")],
        [],
    ],
)
def test_the_etag_changes_with_names_bytes_times_and_order(other):
    assert ArchivePlan(other).etag != ArchivePlan([entry("a.jpg", b"one")]).etag


def test_the_order_of_the_files_is_part_of_the_etag():
    assert ArchivePlan(PICTURES).etag != ArchivePlan(reversed(PICTURES)).etag


# --- what must not go out


@pytest.mark.parametrize("given_bytes", [b"", b"short", b"far too many bytes"])
def test_a_source_that_breaks_its_word_cuts_the_download(given_bytes):
    plan = ArchivePlan([Entry("a.jpg", 10, 0, SHOT_AT, lambda start, length: iter([given_bytes]))])
    sent: list[bytes] = []
    with pytest.raises(ArchiveError):
        sent += iter(plan.read())
    assert sum(len(chunk) for chunk in sent) <= 30 + 5 + 9 + 10


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../a.jpg", "a/../b.jpg", "a//b.jpg", "a\\b.jpg", ".", "\ud800.jpg"]
)
def test_names_that_climb_out_are_refused(name):
    with pytest.raises(ArchiveError):
        ArchivePlan([entry(name, b"x")])


def test_a_name_given_twice_is_refused():
    with pytest.raises(ArchiveError):
        ArchivePlan([entry("a.jpg", b"x"), entry("a.jpg", b"y")])


def test_a_closed_download_closes_its_source():
    closed = []

    def read(start: int, length: int) -> Iterator[bytes]:
        try:
            yield b"x"
            yield b"y"
        finally:
            closed.append(True)

    reading = ArchivePlan([Entry("a.jpg", 2, 0, SHOT_AT, read)]).read()
    for chunk in reading:
        if chunk == b"x":
            break
    reading.close()  # type: ignore[attr-defined]
    assert closed == [True]


@pytest.mark.parametrize(("year", "shown"), [(1969, 1980), (2026, 2026), (2150, 2107)])
def test_times_outside_the_format_are_held_at_its_ends(year, shown):
    plan = ArchivePlan([entry("a.jpg", b"x", datetime(year, 6, 1, 12, tzinfo=UTC))])
    with zipfile.ZipFile(io.BytesIO(whole(plan))) as archive:
        assert archive.infolist()[0].date_time[0] == shown
        assert archive.testzip() is None


# --- large ones


def write_sparse(plan: ArchivePlan, path: Path) -> None:
    """Write the archive, leaving runs of zeros as holes, so that ten gigabytes fit on any disk."""
    empty = bytes(1 << 20)
    with path.open("wb") as file:
        for chunk in plan.read():
            if chunk == empty:
                file.seek(len(chunk), io.SEEK_CUR)
            else:
                file.write(chunk)
        file.truncate(plan.length)


def test_a_file_past_four_gigabytes_is_readable(tmp_path):
    """The central directory and offsets past 4 GiB; the bytes themselves are checked in the slow test."""
    size = (1 << 32) + (1 << 20)
    plan = ArchivePlan([zeros("big.jpg", size, 0), entry("after.jpg", b"after the big one")])
    path = tmp_path / "big.zip"
    write_sparse(plan, path)
    with zipfile.ZipFile(path) as archive:
        assert [info.file_size for info in archive.infolist()] == [size, 17]
        assert archive.read("after.jpg") == b"after the big one"


def test_more_than_65535_files_are_readable():
    plan = ArchivePlan(entry(f"{number}.jpg", b"") for number in range(66_000))
    with zipfile.ZipFile(io.BytesIO(whole(plan))) as archive:
        assert len(archive.infolist()) == 66_000


@pytest.mark.parametrize("size", [0xFFFFFFFE, 0xFFFFFFFF])
def test_the_edge_of_zip64_is_readable(size, tmp_path):
    path = tmp_path / "edge.zip"
    write_sparse(ArchivePlan([zeros("edge.jpg", size, 0), entry("after.jpg", b"after")]), path)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("after.jpg") == b"after"


@pytest.mark.slow
def test_ten_gigabytes_pass_every_tool(tmp_path):
    size = 1 << 30
    crc = crc_of_zeros(size)
    plan = ArchivePlan(
        [*(zeros(f"{number:02}.jpg", size, crc) for number in range(10)), entry("last.jpg", b"x")]
    )
    path = tmp_path / "ten.zip"
    write_sparse(plan, path)
    assert path.stat().st_size == plan.length > 10_000_000_000
    for tool in (
        ["unzip", "-tqq"],
        ["7z", "t", "-bso0", "-bsp0"],
        ["bsdtar", "-tf"],
        [sys.executable, "-m", "zipfile", "-t"],
    ):
        if shutil.which(tool[0]):
            assert subprocess.run([*tool, path], check=False, stdout=subprocess.DEVNULL).returncode == 0, tool


def test_reading_ten_gigabytes_of_plan_holds_no_more_than_a_chunk():
    plan = ArchivePlan(zeros(f"{number}.jpg", 20_000_000, 0) for number in range(500))
    random.seed(1)
    tracemalloc.start()
    for _time in range(20):
        start = random.randrange(plan.length - 3_000_000)
        for _chunk in plan.read(start, start + 3_000_000):
            pass
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert plan.length > 10_000_000_000
    assert peak < 4_000_000


# --- names


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("grace-hopper-01-square.jpg", "grace-hopper-01-square.jpg"),
        ("Zoë.jpg", "Zoë.jpg"),
        ("Zoe\u0308.jpg", "Zoë.jpg"),
        ("👩‍👩‍👧‍👦 family 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f.jpg",) * 2,
        ("❤️.jpg", "❤️.jpg"),
        ('a/b\\c:d*e?f"g<h>i|j.jpg', "a-b-c-d-e-f-g-h-i-j.jpg"),
        ("../../etc/passwd", "-..-etc-passwd"),
        ("CON", "_CON"),
        ("con.jpg", "_con.jpg"),
        ("Lpt1.tar.gz", "_Lpt1.tar.gz"),
        ("COM¹.jpg", "_COM¹.jpg"),
        ("CON .jpg", "_CON.jpg"),
        ("console.jpg", "console.jpg"),
        ("dots.jpg. . .", "dots.jpg"),
        ("  spaces .jpg", "spaces.jpg"),
        (".hidden.jpg", "hidden.jpg"),
        ("", "picture"),
        ("...", "picture"),
        (" .jpg", "picture.jpg"),
        ("bell\x07 and\r\nlines\x00.jpg", "bell andlines.jpg"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("\ud83d.jpg", "picture.jpg"),
        ("no suffix, J. Smith", "no suffix, J. Smith"),
    ],
)
def test_a_name_is_made_fit_for_every_system(name, clean):
    assert clean_names([name]) == [clean]


def test_a_long_name_is_cut_before_its_suffix_and_between_characters():
    for letter in ("x", "ë", "日", "👩"):
        (name,) = clean_names([letter * 300 + ".jpg"])
        assert NAME_BYTES - 4 < len(name.encode()) <= NAME_BYTES
        assert name.strip(letter) == ".jpg"


def test_a_cut_does_not_separate_an_accent_from_its_letter():
    (name,) = clean_names(["x" * (NAME_BYTES - 5) + "q\u0323" + "tail.jpg"])
    assert name == "x" * (NAME_BYTES - 5) + ".jpg"


def test_equal_names_are_numbered_also_when_only_case_differs():
    assert clean_names(["a.jpg", "A.jpg", "a.jpg", "a (2).jpg", "b.jpg"]) == [
        "a.jpg",
        "A (2).jpg",
        "a (3).jpg",
        "a (2) (2).jpg",
        "b.jpg",
    ]


def test_long_equal_names_are_numbered_within_the_limit():
    names = clean_names(["x" * 300 + ".jpg"] * 12)
    assert len(set(names)) == 12
    assert max(len(name.encode()) for name in names) <= NAME_BYTES


names = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.sampled_from(["CON", "con.jpg", "a.jpg", "A.JPG", "..", "x" * 400, "ß", "SS"]),
    ),
    max_size=12,
)


@settings(max_examples=300)
@given(names)
def test_clean_names_are_safe_different_and_stay_as_they_are(given_names):
    cleaned = clean_names(given_names)
    assert len(cleaned) == len(given_names)
    assert len({name.casefold() for name in cleaned}) == len(cleaned)
    assert clean_names(cleaned) == cleaned
    for name in cleaned:
        assert 0 < len(name.encode()) <= NAME_BYTES
        assert not set(name) & set('<>:"/\\|?*')
        assert name == name.strip(" .") == unicodedata.normalize("NFC", name)
        assert not any(unicodedata.category(character) == "Cc" for character in name)
    plan = ArchivePlan(entry(name, b"x") for name in cleaned)
    assert zipfile.ZipFile(io.BytesIO(whole(plan))).namelist() == cleaned
