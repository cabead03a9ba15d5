"""Which bytes a Range header asks for."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from galleries.ranges import Answer, Span, Unsatisfiable, answer, has_already, parse, still_same

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-499", Span(0, 500)),
        ("bytes=500-999", Span(500, 1000)),
        ("bytes=500-", Span(500, 1000)),
        ("bytes=500-99999999999999999999", Span(500, 1000)),
        ("bytes=-1", Span(999, 1000)),
        ("bytes=-1000", Span(0, 1000)),
        ("bytes=-5000", Span(0, 1000)),
        ("BYTES=7-8", Span(7, 9)),
        ("bytes= 7-8 ", Span(7, 9)),
        ("bytes=,7-8,", Span(7, 9)),
    ],
)
def test_one_range_is_served(header, span):
    assert parse(header, 1000) == span


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=٣-٤",
        "bytes=0x1-0x2",
        "items=0-1",
        "bytes=0-1,2-3",
        "bytes=0-1,5000-",
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_what_is_malformed_foreign_or_several_is_ignored(header):
    assert parse(header, 1000) is None


@pytest.mark.parametrize(
    "header", ["bytes=1000-", "bytes=1000-1001", "bytes=99999999999999999999-", "bytes=-0"]
)
def test_a_range_past_the_end_cannot_be_served(header):
    with pytest.raises(Unsatisfiable):
        parse(header, 1000)


def test_nothing_has_no_ranges():
    assert parse("bytes=-5", 0) is None
    with pytest.raises(Unsatisfiable):
        parse("bytes=0-", 0)


@given(st.integers(1, 200), st.integers(0, 250), st.integers(0, 250))
def test_a_range_is_a_slice_of_the_whole(length, first, last):
    whole = bytes(index % 251 for index in range(length))
    if last < first:
        assert parse(f"bytes={first}-{last}", length) is None
    elif first >= length:
        with pytest.raises(Unsatisfiable):
            parse(f"bytes={first}-{last}", length)
    else:
        span = parse(f"bytes={first}-{last}", length)
        assert span is not None
        assert whole[span.start : span.stop] == whole[first : last + 1]


@given(st.text(max_size=30))
def test_no_header_breaks_it(text):
    for header in (text, "bytes=" + text):
        try:
            span = parse(header, 100)
        except Unsatisfiable:
            continue
        assert span is None or 0 <= span.start < span.stop <= 100


def test_if_range_needs_an_equal_strong_etag_or_exactly_our_date():
    saved = datetime(2026, 11, 20, 10, 0, 0, 900, tzinfo=UTC)
    assert still_same("", etag=ETAG)
    assert still_same('"abc"', etag=ETAG)
    assert not still_same('W/"abc"', etag=ETAG)
    assert not still_same('W/"abc"', etag=ETAG, modified_at=saved)
    assert not still_same('"other"', etag=ETAG)
    assert not still_same("Fri, 20 Nov 2026 10:00:00 GMT", etag=ETAG)
    assert still_same("Fri, 20 Nov 2026 10:00:00 GMT", etag=ETAG, modified_at=saved)
    assert not still_same(
        "Fri, 20 Nov 2026 10:00:00 GMT", etag=ETAG, modified_at=saved + timedelta(seconds=1)
    )
    assert not still_same("rubbish", etag=ETAG, modified_at=saved)


def test_if_none_match_compares_weakly_and_in_lists():
    assert has_already('"x", W/"abc"', ETAG)
    assert has_already("*", ETAG)
    assert not has_already('"x", "abcd"', ETAG)
    assert not has_already("", ETAG)


def test_the_whole_is_answered_with_length_and_etag():
    assert answer(length=10, etag=ETAG) == Answer(
        200, 0, 10, {"Accept-Ranges": "bytes", "ETag": ETAG, "Content-Length": "10"}
    )


def test_a_part_is_answered_with_its_place():
    found = answer(length=10, etag=ETAG, range_header="bytes=4-", if_range=ETAG)
    assert (found.status, found.start, found.stop) == (206, 4, 10)
    assert found.headers["Content-Range"] == "bytes 4-9/10"
    assert found.headers["Content-Length"] == "6"


def test_a_changed_archive_is_sent_whole_even_past_the_end():
    found = answer(length=10, etag=ETAG, range_header="bytes=40-", if_range='"older"')
    assert (found.status, found.start, found.stop) == (200, 0, 10)


def test_past_the_end_is_416_with_the_length():
    found = answer(length=10, etag=ETAG, range_header="bytes=10-")
    assert found.status == 416
    assert found.headers["Content-Range"] == "bytes */10"


def test_what_the_client_has_is_not_sent_again():
    found = answer(length=10, etag=ETAG, range_header="bytes=0-1", if_none_match=ETAG)
    assert (found.status, found.start, found.stop) == (304, 0, 0)
    assert "Content-Length" not in found.headers
