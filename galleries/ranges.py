"""Which bytes of a download are asked for: Range, If-Range and If-None-Match of RFC 9110. Pure.

One range is served; several at once get the whole (a server may ignore Range, section 14.2), because a
browser that resumes asks for one and a multipart answer only helps those who mean harm.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

_ELEMENT = re.compile(r"(?:(?P<first>[0-9]{1,30})-(?P<last>[0-9]{1,30})?|-(?P<suffix>[0-9]{1,30}))")
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes `[start, stop)`."""

    start: int
    stop: int


class Unsatisfiable(Exception):
    """The range lies past the end: answer 416 with the length."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How to answer: 200, 206, 304 or 416, which bytes `[start, stop)` to send, and which headers."""

    status: int
    start: int
    stop: int
    headers: dict[str, str] = field(default_factory=dict)


def parse(header: str, length: int) -> Span | None:
    """The one range a Range header asks for; None when it is to be ignored: absent, malformed, another unit,
    several.

    Raises Unsatisfiable when it begins at or past the end, or asks for the last 0 bytes.
    """
    unit, equals, listed = header.partition("=")
    elements = [element.strip(" \t") for element in listed.split(",")]
    elements = [element for element in elements if element]  # a list may hold empty elements (5.6.1)
    if not equals or unit.strip(" \t").lower() != "bytes" or len(elements) != 1:
        return None
    found = _ELEMENT.fullmatch(elements[0])
    if found is None:
        return None
    if found["suffix"] is not None:
        return _suffix(int(found["suffix"]), length)
    first = int(found["first"])
    last = int(found["last"]) if found["last"] else length - 1
    if found["last"] and last < first:
        return None  # invalid, not unsatisfiable (14.1.1)
    if first >= length:
        raise Unsatisfiable
    return Span(first, min(last, length - 1) + 1)


def _suffix(wanted: int, length: int) -> Span | None:
    if wanted == 0:
        raise Unsatisfiable
    if length == 0:
        return (
            None  # satisfiable by the letter, but Content-Range cannot say "no bytes": send the whole nothing
        )
    return Span(max(0, length - wanted), length)


def still_same(if_range: str, *, etag: str, modified_at: datetime | None = None) -> bool:
    """Whether what the client has is what we have (13.1.5): an equal strong ETag, or exactly our date."""
    value = if_range.strip(" \t")
    if not value:
        return True
    if value.startswith('"'):
        return value == etag
    if modified_at is None:  # a weak ETag ends here or fails as a date
        return False
    try:
        return parsedate_to_datetime(value).astimezone(UTC) == modified_at.astimezone(UTC).replace(
            microsecond=0
        )
    except (ValueError, TypeError, OverflowError):
        return False


def has_already(if_none_match: str, etag: str) -> bool:
    """Whether If-None-Match names what we have (13.1.2; weak comparison; `*` matches anything)."""
    if if_none_match.strip(" \t") == "*":
        return True
    opaque = etag.removeprefix("W/")
    return any(one.removeprefix("W/") == opaque for one in _ETAG.findall(if_none_match))


def answer(
    *,
    length: int,
    etag: str,
    range_header: str = "",
    if_range: str = "",
    if_none_match: str = "",
    modified_at: datetime | None = None,
) -> Answer:
    """The status, bytes and headers for a GET of something of that length and strong ETag.

    The order is RFC 9110 section 13.2.2: If-None-Match first, then Range unless If-Range says it has changed.
    For HEAD call it without `range_header` and send no body.
    """
    headers = {"Accept-Ranges": "bytes", "ETag": etag}
    if modified_at is not None:
        headers["Last-Modified"] = format_datetime(modified_at.astimezone(UTC), usegmt=True)
    if if_none_match and has_already(if_none_match, etag):
        return Answer(304, 0, 0, headers)
    try:
        same = still_same(if_range, etag=etag, modified_at=modified_at)
        span = parse(range_header, length) if range_header and same else None
    except Unsatisfiable:
        headers |= {"Content-Range": f"bytes */{length}", "Content-Length": "0"}
        return Answer(416, 0, 0, headers)
    if span is None:
        return Answer(200, 0, length, headers | {"Content-Length": str(length)})
    headers |= {
        "Content-Range": f"bytes {span.start}-{span.stop - 1}/{length}",
        "Content-Length": str(span.stop - span.start),
    }
    return Answer(206, span.start, span.stop, headers)
