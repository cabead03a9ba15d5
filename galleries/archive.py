"""The resumable ZIP: pictures stored as they are, with every byte of the archive known before the first is
sent.

Pure: entries go in with their size and CRC-32, which were computed when the file was kept; out come the exact
length, a strong ETag and any range of bytes, straight from the sources. Nothing is built in memory or on
disk, and the same entries always make the same bytes, so a download that was cut goes on where it stopped.

The format is PKWARE's APPNOTE 6.3.10: method STORED (a JPEG does not compress), names in UTF-8 (flag bit 11),
ZIP64 where a size, an offset or a count needs it. Layout, with offsets found by bisection:

    header 1, file 1, header 2, file 2, …, central record 1, central record 2, …, end
"""

import re
import struct
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count

Source = Callable[[int, int], Iterator[bytes]]

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64 = struct.Struct("<4sIQI")
_UTF8, _STORED = 0x0800, 0
_PLAIN, _ZIP64 = 20, 45  # the version of the format needed to extract
_MADE_BY_UNIX = 3 << 8
_REGULAR_0644 = (0o100644 << 16) & 0xFFFFFFFF
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_FORMAT = b"likeness-zip-1"  # part of the ETag: change it whenever these bytes would change


class ArchiveError(Exception):
    """The archive cannot be made, or a source did not give the bytes it promised."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive.

    name: path inside the archive, parts cleaned by `clean_names`. size in bytes, crc32 and, for the ETag, a
    digest (SHA-256 in hex) of the stored bytes. modified_at: aware. open(start, length): exactly those bytes,
    in chunks.
    """

    name: str
    size: int
    crc32: int
    modified_at: datetime
    open: Source
    digest: str = ""


class ArchivePlan:
    """An archive of these entries, in this order: its length, its ETag, and any part of it.

    Raises ArchiveError for names that are empty, absolute, climb out, repeat or do not fit, and for negative
    sizes.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries: Sequence[Entry] = tuple(entries)
        _refuse_bad(self.entries)
        self._starts = array("Q", self._offsets())
        self.length: int = self._starts[-1] + len(self._end())
        self.etag: str = f'"{self._digest()}"'

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes `[start, stop)` of the archive, in the sources' chunks; finding the place costs O(log n).

        Raises ArchiveError when a source gives too few bytes or too many: better a cut download than a wrong
        one.
        """
        stop = self.length if stop is None else min(stop, self.length)
        if start < 0:
            raise ArchiveError("An archive has no bytes before its first.")
        part = bisect_right(self._starts, start) - 1
        while start < stop:
            begins, ends = self._starts[part], self._ends(part)
            here = min(ends, stop)
            if start < here:
                yield from self._part(part, start - begins, here - begins)
                start = here
            part += 1

    def _offsets(self) -> Iterator[int]:
        """Where each part begins: header and file of every entry, then the central records, then the end."""
        at = 0
        for entry in self.entries:
            yield at
            at += len(_header(entry))
            yield at
            at += entry.size
        offset = 0
        for entry in self.entries:
            yield at
            at += len(_record(entry, offset))
            offset += len(_header(entry)) + entry.size
        yield at

    def _ends(self, part: int) -> int:
        return self._starts[part + 1] if part + 1 < len(self._starts) else self.length

    def _part(self, part: int, start: int, stop: int) -> Iterator[bytes]:
        files = 2 * len(self.entries)
        if part >= files + len(self.entries):
            yield self._end()[start:stop]
        elif part >= files:
            index = part - files
            yield _record(self.entries[index], self._starts[2 * index])[start:stop]
        elif part % 2:
            yield from _exactly(self.entries[part // 2], start, stop - start)
        else:
            yield _header(self.entries[part // 2])[start:stop]

    def _end(self) -> bytes:
        """The end of the central directory, with its ZIP64 form before it when a number does not fit."""
        files = len(self.entries)
        end = self._starts[-1]
        begin = self._starts[2 * files]
        size = end - begin
        plain = _END.pack(
            b"PK\5\6", 0, 0, min(files, _MAX16), min(files, _MAX16), min(size, _MAX32), min(begin, _MAX32), 0
        )
        if files < _MAX16 and size < _MAX32 and begin < _MAX32:
            return plain
        big = _END64.pack(
            b"PK\6\6", _END64.size - 12, _MADE_BY_UNIX | _ZIP64, _ZIP64, 0, 0, files, files, size, begin
        )
        return big + _LOCATOR64.pack(b"PK\6\7", 0, end, 1) + plain

    def _digest(self) -> str:
        digest = sha256(_FORMAT)
        for entry in self.entries:
            line = (entry.name, entry.size, entry.crc32, entry.modified_at.timestamp(), entry.digest)
            digest.update(repr(line).encode())
        return digest.hexdigest()


def _refuse_bad(entries: Sequence[Entry]) -> None:
    seen: set[str] = set()
    for entry in entries:
        parts = entry.name.split("/")
        if "\\" in entry.name or not _is_text(entry.name) or any(part in {"", ".", ".."} for part in parts):
            raise ArchiveError(f"{entry.name!r} is no name for a file in an archive.")
        if entry.name in seen:
            raise ArchiveError(f"{entry.name!r} is in the archive twice.")
        if len(entry.name.encode()) > _MAX16 or not 0 <= entry.crc32 <= _MAX32 or entry.size < 0:
            raise ArchiveError(f"{entry.name!r} does not fit into an archive.")
        seen.add(entry.name)


def _is_text(name: str) -> bool:
    """No half surrogates, which UTF-8 cannot write."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _exactly(entry: Entry, start: int, length: int) -> Iterator[bytes]:
    """The source's bytes, counted: one too few or too many would shift everything after them."""
    left = length
    source = entry.open(start, length)
    try:
        for chunk in source:
            left -= len(chunk)
            if left < 0:
                break
            yield chunk
    finally:
        getattr(source, "close", lambda: None)()
    if left:
        raise ArchiveError(f"{entry.name!r} gave {length - left} bytes where {length} were promised.")


def _header(entry: Entry) -> bytes:
    """The local file header (APPNOTE 4.3.7) with name and extra fields."""
    name = entry.name.encode()
    big = entry.size >= _MAX32
    extra = (struct.pack("<HHQQ", 1, 16, entry.size, entry.size) if big else b"") + _timestamp(entry)
    size = _MAX32 if big else entry.size
    head = _LOCAL.pack(
        b"PK\3\4",
        _ZIP64 if big else _PLAIN,
        _UTF8,
        _STORED,
        *_dos_time(entry.modified_at),
        entry.crc32,
        size,
        size,
        len(name),
        len(extra),
    )
    return head + name + extra


def _record(entry: Entry, offset: int) -> bytes:
    """The entry's record in the central directory (APPNOTE 4.3.12); ZIP64 holds only what does not fit
    (4.5.3).
    """
    name = entry.name.encode()
    sizes = [entry.size, entry.size] if entry.size >= _MAX32 else []
    wide = sizes + ([offset] if offset >= _MAX32 else [])
    extra = (struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b"") + _timestamp(entry)
    needed = _ZIP64 if wide else _PLAIN
    size = min(entry.size, _MAX32)
    record = _CENTRAL.pack(
        b"PK\1\2",
        _MADE_BY_UNIX | _ZIP64,
        needed,
        _UTF8,
        _STORED,
        *_dos_time(entry.modified_at),
        entry.crc32,
        size,
        size,
        len(name),
        len(extra),
        0,
        0,
        0,
        _REGULAR_0644,
        min(offset, _MAX32),
    )
    return record + name + extra


def _dos_time(moment: datetime) -> tuple[int, int]:
    """MS-DOS time and date, in UTC the same bytes on every server; 1980 to 2107, in steps of two seconds."""
    at = moment.astimezone(UTC)
    if at.year < 1980:
        return 0, (1 << 5) | 1
    if at.year > 2107:
        return (23 << 11) | (59 << 5) | 29, (127 << 9) | (12 << 5) | 31
    return (at.hour << 11) | (at.minute << 5) | at.second // 2, (at.year - 1980) << 9 | at.month << 5 | at.day


def _timestamp(entry: Entry) -> bytes:
    """Info-ZIP's extended timestamp (0x5455): the true instant, which the DOS fields cannot say."""
    seconds = int(entry.modified_at.timestamp())
    return struct.pack("<HHBi", 0x5455, 5, 1, seconds) if -(1 << 31) <= seconds < 1 << 31 else b""


# --- names

NAME_BYTES = 150  # leaves room for a folder under the 255 of every file system and the 260 of Windows paths
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9¹²³])[ .]*", re.IGNORECASE)
_ENDS = " .\u200c\u200d"  # what a name neither begins nor ends with
_ONLY_SUFFIX = re.compile(rf"[{_ENDS}]*(\.[A-Za-z0-9]{{1,10}})[{_ENDS}]*")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
_KEPT_FORMAT = {"\u200c", "\u200d"}  # joiners: emoji families and some scripts are written with them
_JOINS = re.compile("[\u200c\u200d\ufe0e\ufe0f]+$")
_NAMELESS = "picture"


def clean_names(names: Iterable[str]) -> list[str]:
    """The same names, in the same order, fit for Windows, macOS and Linux, and each different from the
    others.

    Unicode is composed (NFC) and emoji stay; slashes and forbidden characters become `-`; control, private
    and text-direction characters go; device names (CON, LPT1.jpg) get a `_` before them; dots and spaces go
    from both ends; long names are cut to 150 bytes before their suffix; names equal but for case are
    numbered: `name (2).jpg`.
    """
    taken: set[str] = set()
    return [_unique(*_split(_clean(name)), taken) for name in names]


def _clean(name: str) -> str:
    kept = "".join(character for character in name if _is_kept(character))
    named = _FORBIDDEN.sub("-", unicodedata.normalize("NFC", kept)).strip(_ENDS)
    only_suffix = _ONLY_SUFFIX.fullmatch(kept)
    return _NAMELESS + only_suffix[1] if only_suffix else named


def _is_kept(character: str) -> bool:
    if character in _KEPT_FORMAT or "\U000e0020" <= character <= "\U000e007f":  # the tags of some flags
        return True
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def _split(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    if dot and stem and _SUFFIX.fullmatch("." + suffix):
        return stem.rstrip(" .") or _NAMELESS, "." + suffix
    return name or _NAMELESS, ""


def _unique(stem: str, suffix: str, taken: set[str]) -> str:
    if _RESERVED.fullmatch(stem.partition(".")[0]):
        stem = "_" + stem
    for number in count(1):
        mark = "" if number == 1 else f" ({number})"
        name = _cut(stem, NAME_BYTES - len((mark + suffix).encode())) + mark + suffix
        if (same := unicodedata.normalize("NFC", name.casefold())) not in taken:
            taken.add(same)
            return name
    raise AssertionError("unreachable: there is always a next number")


def _cut(stem: str, room: int) -> str:
    """At most that many bytes of UTF-8, not in the middle of a character nor before its accents."""
    if len(stem.encode()) <= room:
        return stem
    cut = stem.encode()[:room].decode(errors="ignore")
    while cut and unicodedata.combining(stem[len(cut)]):
        cut = cut[:-1]
    return _JOINS.sub("", cut).rstrip(" .") or _NAMELESS
