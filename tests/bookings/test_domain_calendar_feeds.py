"""Calendars elsewhere: fetched safely, read within bounds, replaced at once; and our own read back by others."""

import socket
import threading
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from icalendar import Calendar

from bookings import availability, calendar_feeds, ics, lifecycle, tasks
from bookings import busy_times as reading
from bookings.busy_times import Unreadable, busy_times, read_apart
from bookings.models import Busy, BusyFeed
from bookings.refusals import NotNow
from bookings.timeline import instant
from studio.actors import Actor, ActorKind
from studio.fetching import Fetcher, FetchRefused, is_public
from studio.models import Message
from tests import factories
from tests.factories import NOW
from tests.galleries.making import sign_in

STAFF = Actor(ActorKind.USER, 1, "Owner")
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)  # 10:00 in Chicago
TUESDAY = date(2026, 11, 24)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


# --- fetching -----------------------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """Answers on loopback as it is told; remembers what it was asked."""

    daemon_threads = True

    def __init__(self, answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.asked = answer, []

    @property
    def url(self) -> str:
        return f"http://calendar.example:{self.server_address[1]}/me.ics?key=1"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Host"]))
        try:
            self.server.answer(self)
        except OSError:  # the other side has hung up
            pass

    def log_message(self, *args) -> None:
        pass


@contextmanager
def serving(answer) -> Iterator[Server]:
    server = Server(answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def here(**fields) -> Fetcher:
    """A fetcher that may reach loopback: only a test says so."""
    return Fetcher(
        **{"allows_http": True, "resolve": lambda host, port: ["127.0.0.1"], "allow": lambda address: True}
        | fields
    )


def giving(body: bytes, status: int = 200, **headers):
    def answer(handler) -> None:
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_a_file_is_fetched_from_the_address_that_was_checked():
    with serving(giving(b"BEGIN:VCALENDAR")) as server:
        assert here().get(server.url) == b"BEGIN:VCALENDAR"
    assert server.asked == [("/me.ics?key=1", f"calendar.example:{server.server_address[1]}")]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe", "nonsense",
    ],
)  # fmt: skip
def test_no_address_inside_the_house_is_public(address):
    assert is_public(address) is False


def test_the_open_internet_is_public():
    assert is_public("93.184.216.34") and is_public("2606:2800:220:1:248:1893:25c8:1946")


def test_a_name_that_leads_inside_is_refused_before_anything_is_asked():
    with serving(giving(b"")) as server:
        for found in (["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:127.0.0.1"], []):
            with pytest.raises(FetchRefused, match="not on the open internet"):
                here(allow=is_public, resolve=lambda host, port, found=found: found).get(server.url)
        for literal in ("http://127.0.0.1/", "http://[::1]/", "http://2130706433/", "http://0x7f.1/"):
            with pytest.raises(FetchRefused):
                Fetcher(allows_http=True, seconds=2).get(literal)
    assert server.asked == []


def test_the_name_is_resolved_once():
    asked = []

    def rebinding(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with serving(giving(b"ok")) as server:
        here(resolve=rebinding).get(server.url)
    assert asked == ["calendar.example"]


@pytest.mark.parametrize(
    "url",
    [
        "http://calendar.example/a.ics", "ftp://calendar.example/", "file:///etc/passwd", "https://", "nonsense",
        "https://me:secret@calendar.example/", "https://calendar.example:99999/", "https://a b/", "gopher://x",
        "https://[::1/", "https://calendar.example/\r\nHost: x",
    ],
)  # fmt: skip
def test_only_plain_https_addresses_are_read(url):
    with pytest.raises(FetchRefused):
        Fetcher().check(url)


def test_redirects_packing_errors_and_size_end_it():
    answers = [
        (giving(b"", 302, Location="http://127.0.0.1/"), "elsewhere"),
        (giving(b"", 404), "answered 404"),
        (giving(b"x", **{"Content-Encoding": "gzip"}), "packed"),
        (giving(b"x" * 3000), "larger than"),
        (giving(b"x", **{"Content-Length": "52428800"}), "larger than"),
    ]
    for answer, sentence in answers:
        with serving(answer) as server, pytest.raises(FetchRefused, match=sentence):
            here(most_bytes=2000).get(server.url)


def test_fifty_megabytes_without_a_length_end_at_the_limit():
    sent = []

    def flood(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(800):
            handler.wfile.write(b"x" * 65_536)
            sent.append(65_536)

    with serving(flood) as server, pytest.raises(FetchRefused, match="larger than"):
        here(most_bytes=2_000_000).get(server.url)
    assert sum(sent) < 40_000_000


def test_a_slow_drip_ends_when_the_time_is_over():
    stop = threading.Event()

    def drip(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not stop.wait(0.05):
            handler.wfile.write(b"x")

    began = clock.monotonic()
    with serving(drip) as server:
        with pytest.raises(FetchRefused, match="too slow"):
            here(seconds=0.4).get(server.url)
        stop.set()
    assert clock.monotonic() - began < 20  # a drip would go on for ever


def test_a_closed_door_is_said():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(FetchRefused, match="could not be reached"):
        here().get(f"http://calendar.example:{port}/")


# --- reading ------------------------------------------------------------------------------------------------


def file_of(*events: str, head: str = "") -> bytes:
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//EN\n{head}"
    for number, event in enumerate(events):
        uid = "" if "UID:" in event else f"UID:{number}@x\n"
        text += f"BEGIN:VEVENT\n{uid}DTSTAMP:20261101T000000Z\n{event.strip()}\nEND:VEVENT\n"
    return (text + "END:VCALENDAR\n").replace("\n", "\r\n").encode()


def read(body: bytes, *, days: int = 10, zone: str = "America/Chicago", **more):
    from_at = datetime(2026, 11, 23, 6, tzinfo=UTC)  # Monday, midnight in Chicago
    return busy_times(body, zone=zone, from_at=from_at, until_at=from_at + days * DAY, **more)


def spans(*events: str, head: str = "", **more):
    return [(begins, ends) for begins, ends in read(file_of(*events, head=head), **more).spans]


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def test_each_kind_of_time_is_read_on_its_own_clock():
    assert spans("DTSTART:20261124T160000Z\nDTEND:20261124T170000Z") == [(at(24, 16), at(24, 17))]
    assert spans("DTSTART;TZID=Europe/Berlin:20261124T100000\nDURATION:PT90M") == [
        (at(24, 9), at(24, 10, 30))
    ]
    assert spans("DTSTART:20261124T100000\nDTEND:20261124T110000") == [(at(24, 16), at(24, 17))]
    floating = "DTSTART:20261124T100000\nDTEND:20261124T110000"
    assert spans(floating, head="X-WR-TIMEZONE:Europe/London\n") == [(at(24, 10), at(24, 11))]
    assert spans(floating, head="X-WR-TIMEZONE:Mars/Olympus\n") == [(at(24, 16), at(24, 17))]
    assert spans("DTSTART;TZID=Nowhere/Land:20261124T100000\nDTEND;TZID=Nowhere/Land:20261124T110000") == [
        (at(24, 16), at(24, 17))
    ]
    assert spans("DTSTART;VALUE=DATE:20261124") == [(at(24, 6), at(25, 6))]
    assert spans("DTSTART;VALUE=DATE:20261124\nDTEND;VALUE=DATE:20261126") == [(at(24, 6), at(26, 6))]


def test_cancelled_free_and_empty_events_keep_nobody_busy():
    time = "DTSTART:20261124T160000Z\nDTEND:20261124T170000Z"
    for mark in ("STATUS:CANCELLED", "TRANSP:TRANSPARENT", "X-MICROSOFT-CDO-BUSYSTATUS:FREE"):
        assert spans(f"{time}\n{mark}") == []
    assert spans("DTSTART:20261124T160000Z\nDTEND:20261124T160000Z") == []
    assert spans("DTSTART:20261124T160000Z\nDTEND:20261124T150000Z") == []
    assert spans(f"{time}\nSTATUS:TENTATIVE") == [(at(24, 16), at(24, 17))]


def test_a_series_with_exceptions_and_without_end_is_cut_to_the_window():
    chicago = "TZID=America/Chicago"
    first = f"DTSTART;{chicago}:20200106T100000\nDTEND;{chicago}:20200106T110000"
    series = f"UID:s\n{first}\nRRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE"
    moved = (
        f"UID:s\nRECURRENCE-ID;{chicago}:20261125T100000\nDTSTART:20261127T160000Z\nDTEND:20261127T170000Z"
    )
    gone = f"UID:s\nRECURRENCE-ID;{chicago}:20261130T100000\nSTATUS:CANCELLED\nDTSTART:20261130T160000Z"
    assert spans(series + "\nEXDATE;TZID=America/Chicago:20261124T100000", moved, gone) == [
        (at(23, 16), at(23, 17)),
        (at(27, 16), at(27, 17)),
        (datetime(2026, 12, 1, 16, tzinfo=UTC), datetime(2026, 12, 1, 17, tzinfo=UTC)),
        (datetime(2026, 12, 2, 16, tzinfo=UTC), datetime(2026, 12, 2, 17, tzinfo=UTC)),
    ]


def test_hours_of_a_duration_are_elapsed_ones_and_its_days_those_of_the_wall():
    """A night in which the clocks of Chicago go forward: the shift ends an hour later on them, the day does not."""
    march = {"days": 3, "from_at": datetime(2027, 3, 13, 6, tzinfo=UTC)}
    begins = "DTSTART;TZID=America/Chicago:20270313T220000"

    def ends(*lines):
        body = file_of("\n".join([begins, *lines]))
        until = march["from_at"] + march["days"] * DAY
        found = busy_times(body, zone="America/Chicago", from_at=march["from_at"], until_at=until)
        return [end for _begin, end in found.spans]

    eight = datetime(2027, 3, 14, 13, tzinfo=UTC)  # on the wall
    assert ends("DTEND;TZID=America/Chicago:20270314T080000") == [eight]
    assert ends("DURATION:PT10H") == [eight + HOUR]
    assert ends("DURATION:PT10H", "RRULE:FREQ=DAILY;COUNT=1") == [eight + HOUR]
    assert ends("DURATION:P1D") == [eight + 14 * HOUR]
    assert ends("DTEND;TZID=America/Chicago:20270314T080000", "RRULE:FREQ=DAILY;COUNT=1") == [eight]


@pytest.mark.parametrize("until", ["20261125", "20261125T100000", "20261125T160000Z"])
def test_the_last_time_of_a_series_counts_however_its_end_is_written(until):
    clock = "TZID=America/Chicago"
    series = f"DTSTART;{clock}:20261123T100000\nDTEND;{clock}:20261123T110000\nRRULE:FREQ=DAILY;UNTIL={until}"
    assert spans(series) == [(at(day, 16), at(day, 17)) for day in (23, 24, 25)]
    if not until.endswith("Z"):
        floating = "DTSTART:20261123T100000\nDTEND:20261123T110000"
        assert len(spans(f"{floating}\nRRULE:FREQ=DAILY;UNTIL={until}")) == 3


def test_birthdays_are_read_and_what_is_free_is_not_counted_as_unreadable():
    birthday = "DTSTART;VALUE=DATE:16041124\nRRULE:FREQ=YEARLY"
    assert spans(birthday) == [(at(24, 6), at(25, 6))]
    found = read(file_of(f"{birthday}\nTRANSP:TRANSPARENT", "DTSTART:19000101T000000Z\nRRULE:FREQ=DAILY"))
    assert (found.spans, found.skipped) == ((), 1)


def test_overlapping_times_become_one_and_seconds_round_outwards():
    one = "DTSTART:20261124T160030Z\nDTEND:20261124T170030Z"
    other = "DTSTART:20261124T165500Z\nDTEND:20261124T173000Z"
    assert spans(one, other) == [(at(24, 16), at(24, 17, 30))]


def test_free_busy_lists_are_read():
    body = file_of().replace(
        b"END:VCALENDAR",
        b"BEGIN:VFREEBUSY\r\nUID:f\r\nDTSTAMP:20261101T000000Z\r\n"
        b"FREEBUSY;FBTYPE=BUSY:20261124T160000Z/20261124T170000Z,20261125T160000Z/PT1H\r\n"
        b"FREEBUSY;FBTYPE=FREE:20261126T160000Z/PT1H\r\nEND:VFREEBUSY\r\nEND:VCALENDAR",
    )
    assert list(read(body).spans) == [(at(24, 16), at(24, 17)), (at(25, 16), at(25, 17))]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY", "FREQ=MINUTELY", "FREQ=HOURLY", "FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=0,1,2;BYSECOND=1,2,3",
        "FREQ=NONSENSE", "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31", "FREQ=WEEKLY;BYMONTH=2,4;BYMONTHDAY=-31",
    ],
)  # fmt: skip
def test_a_hostile_rule_is_left_out_and_counted_and_the_others_are_read(rule):
    found = read(
        file_of(
            f"DTSTART:19700101T000000Z\nDTEND:19700101T000001Z\nRRULE:{rule}",
            "DTSTART:20261124T160000Z\nDTEND:20261124T170000Z",
        )
    )
    assert (at(24, 16), at(24, 17)) in found.spans
    assert found.skipped == 1


def test_a_rule_since_the_year_one_is_left_out():
    found = read(file_of("DTSTART:00010101T000000Z\nDTEND:00010101T010000Z\nRRULE:FREQ=DAILY"))
    assert (found.spans, found.skipped) == ((), 1)


def test_too_many_events_times_or_too_much_thinking_are_refused():
    with pytest.raises(Unreadable, match="more than 10000 events"):
        busy_times(
            b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\n" * 10_001, zone="UTC", from_at=NOW, until_at=NOW + DAY
        )
    event = "DTSTART:20261124T160000Z\nDTEND:20261124T170000Z"
    with pytest.raises(Unreadable, match="too long"):
        read(file_of(event, event), seconds=-1)
    for damaged in (b"", b"<html>", b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:NONSENSE\r\n"):
        with pytest.raises(Unreadable):
            read(damaged)


CLOCK = """BEGIN:VTIMEZONE
TZID:Own
BEGIN:STANDARD
DTSTART:16010101T000000
RRULE:FREQ={rule}
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
END:VTIMEZONE
"""
ON_OWN_CLOCK = "DTSTART;TZID=Own:20261124T100000\nDTEND;TZID=Own:20261124T110000"
# Looked for on every day until the year 9999, and never found: five seconds each on a quick machine.
ENDLESS = ["DTSTART:19700101T000000Z\nDTEND:19700101T010000Z\nRRULE:FREQ=DAILY;BYSETPOS=366"] * 9


@pytest.mark.parametrize(
    "rule", ["SECONDLY", "SECO\n NDLY", "secondly", "DAILY", "YEARLY;BYSECOND=1", "YEARLY;FREQ=DAILY"]
)
def test_a_clock_that_changes_all_the_time_is_refused_before_it_is_parsed(rule, monkeypatch):
    """The parser makes every change of a zone since 1601: for a rule every second that never ends."""
    monkeypatch.setattr(Calendar, "from_ical", lambda body: pytest.fail("was parsed"))
    with pytest.raises(Unreadable, match="more often than a real one"):
        read(file_of(ON_OWN_CLOCK, head=CLOCK.format(rule=rule)))


def test_the_clocks_of_real_calendars_are_read():
    head = CLOCK.format(rule="YEARLY;BYMONTH=10;BYDAY=-1SU")
    assert spans(ON_OWN_CLOCK, head=head) == [(at(24, 9), at(24, 10))]
    with pytest.raises(Unreadable, match="more than 200 time zones"):
        read(file_of(ON_OWN_CLOCK, head=head * 201))


def test_a_large_honest_calendar_is_read_within_the_limits(monkeypatch):
    """Ten years of meetings with guests and words, five thousand still to come, and three hundred that come weekly."""
    monkeypatch.setattr(reading, "WALL_SECONDS", 120.0)  # a machine with other work
    words = (
        "SUMMARY:Meeting\nDESCRIPTION:" + "words " * 45 + "\n" + "ATTENDEE;CN=Ana:mailto:ana@x.example\n" * 3
    )
    alarm = "BEGIN:VALARM\nACTION:DISPLAY\nTRIGGER:-PT10M\nDURATION:PT5M\nEND:VALARM\n"
    events = [
        f"UID:{number}@one\nDTSTART:{begins:%Y%m%dT%H%M%SZ}\nDTEND:{begins + HOUR:%Y%m%dT%H%M%SZ}\n{words}{alarm}"
        for number in range(-3000, 5000)
        for begins in [at(24, 16) + number * 100 * timedelta(minutes=1)]
    ]
    events += [
        f"UID:{number}@weekly\nDTSTART;TZID=America/Chicago:202401{number % 28 + 1:02}T090000\nDURATION:PT1H\n"
        f"RRULE:FREQ=WEEKLY\nSUMMARY:Weekly"
        for number in range(300)
    ]
    body = file_of(*events)
    assert 4_000_000 < len(body) < 5_000_000
    found = read_apart(body, zone="UTC", from_at=at(24, 15), until_at=at(24, 15) + 400 * DAY)
    assert (found.events, found.skipped) == (5301, 0)  # one of the past reaches into the window
    assert found.spans[0] == (at(24, 15), at(24, 17))  # a weekly one at 9:00 in Chicago and the first meeting


@pytest.mark.parametrize(
    "rest",
    [
        "DTSTART:20261124T160000Z\nDTEND:20261124T170000Z",
        "DTSTART:20200107T160000Z\nDTEND:20200107T170000Z\nRRULE:FREQ=WEEKLY;BYDAY=TU;UNTIL=20261124T160000Z",
        "DTSTART:20200107T160000Z\nDTEND:20200107T170000Z\nRDATE:20261124T160000Z",
        "dtstart:20261124T16\n 0000Z\nBEGIN:VALARM\nDTSTART:20200101T000000Z\nEND:VALARM\nDURATION:PT1H",
        "DTSTART:20200107T160000Z\nDURATION:P2514D",  # over whole years
        "DTSTART:20200107T160000Z\nDTEND:20271124T170000Z",
    ],
)
def test_what_is_cut_away_before_parsing_keeps_nobody_busy(rest):
    """However it is written, what lies in the window is kept; only tasks, and what is over or far ahead, are not."""
    task = "BEGIN:VTODO\nUID:t\nDTSTART:20261125T100000Z\nDUE:20261125T110000Z\nEND:VTODO\n"
    past, ahead = (f"DTSTART:{on}T100000Z\nDTEND:{on}T110000Z" for on in ("20200101", "20300101"))
    found = read(file_of(past, rest, ahead, head=task))
    assert at(24, 16) >= found.spans[0][0]
    assert (found.spans[0][1] >= at(24, 17), len(found.spans), found.events) == (True, 1, 1)


def test_a_moved_date_of_a_series_is_kept_wherever_it_lies():
    series = "UID:s\nDTSTART:20261124T160000Z\nDTEND:20261124T170000Z\nRRULE:FREQ=DAILY;COUNT=2"
    moved = "UID:s\nRECURRENCE-ID:20261125T160000Z\nDTSTART:20290101T160000Z\nDTEND:20290101T170000Z"
    assert spans(series, moved) == [(at(24, 16), at(24, 17))]


def test_calendars_are_read_one_at_a_time(real_connections, monkeypatch):
    """Three bells at once, slow calendars: a worker is left for mail and payments."""
    inside, most, rung = [], [], []

    def slow(*, now):
        inside.append(now)
        most.append(len(inside))
        clock.sleep(1)
        inside.pop()
        return True

    monkeypatch.setattr(calendar_feeds, "fetch_next", slow)
    monkeypatch.setattr(tasks, "ring", rung.append)
    answers = real_connections.run([tasks.fetch_calendars] * 3)
    assert [answer for answer in answers if answer is not None] == []
    assert max(most) == 1
    assert rung == [tasks.fetch_calendars] * len(most)  # who read one looks for the next


def test_what_nobody_thought_of_meets_the_limits_of_its_own_process(monkeypatch):
    monkeypatch.setattr(reading, "CPU_SECONDS", 1.0)
    window = {"zone": "UTC", "from_at": NOW, "until_at": NOW + 400 * DAY}
    began = clock.monotonic()
    with pytest.raises(Unreadable, match="too long"):
        read_apart(file_of(*ENDLESS), **window)
    assert clock.monotonic() - began < 10  # its second, and the machine's patience
    monkeypatch.setattr(reading, "CPU_SECONDS", 5.0)
    monkeypatch.setattr(reading, "MEMORY_BYTES", 20_000_000)
    with pytest.raises(Unreadable) as refused:
        read_apart(file_of(*["SUMMARY:" + "x" * 500] * 2000), **window)
    assert refused.value.sentence == "It cannot be read: it breaks what reads it."


def test_what_is_read_apart_is_what_is_read_here():
    body = file_of(
        "DTSTART;TZID=Europe/Berlin:20261123T100000\nDURATION:PT90M\nRRULE:FREQ=DAILY;COUNT=9",
        "DTSTART:20261124T160000Z\nDTEND:20261124T170000Z\nUID:a@ours",
        "DTSTART:nonsense",
    )
    window = {"zone": "America/Chicago", "from_at": at(23, 6), "until_at": at(23, 6) + 10 * DAY}
    assert read_apart(body, ours="@ours", **window) == busy_times(body, ours="@ours", **window)
    assert read_apart(body, **window).spans != read_apart(body, ours="@ours", **window).spans
    with pytest.raises(Unreadable, match="This is not a calendar"):
        read_apart(b"<html>", **window)


# --- the rows -----------------------------------------------------------------------------------------------


class Given:
    """A fetcher that hands out what it is given, or refuses."""

    def __init__(self, body: bytes | str) -> None:
        self.body = body

    def get(self, url: str) -> bytes:
        if isinstance(self.body, str):
            raise FetchRefused(self.body)
        return self.body


@pytest.fixture
def place(db):
    return factories.location()


@pytest.fixture
def crew(place):
    return factories.crew(place)


def follow(resource, url="https://calendar.example/me.ics"):
    return calendar_feeds.follow(resource_id=resource.pk, url=url, by=STAFF, now=NOW)


def test_a_busy_feed_keeps_a_resource_from_being_booked_and_is_replaced_at_once(place, crew):
    ana = crew["photographer"]
    kind = factories.session_type(locations=[place])
    follow(ana)
    Busy.objects.create(resource=ana, starts_at=TEN + 5 * HOUR, ends_at=TEN + 6 * HOUR, reason="Dentist")
    body = file_of("DTSTART:20261124T160000Z\nDTEND:20261124T170000Z\nSUMMARY:Secret lunch")
    assert calendar_feeds.fetch_next(now=NOW, by=Given(body)) is True
    assert calendar_feeds.fetch_next(now=NOW, by=Given(body)) is False
    ask = {"session_type": kind, "location": place, "add_ons": {}, "starts_at": TEN, "now": NOW}
    assert availability.why_not(**ask) == [f"{ana.name} is taken until 11:00."]
    later = NOW + calendar_feeds.EVERY
    assert calendar_feeds.fetch_next(now=later, by=Given(file_of())) is True
    assert availability.why_not(**ask) == []
    assert list(Busy.objects.values_list("reason", flat=True)) == ["Dentist"]


def test_what_was_read_last_stays_while_a_calendar_cannot_be_read(crew):
    feed = follow(crew["photographer"])
    calendar_feeds.fetch_next(now=NOW, by=Given(file_of("DTSTART:20261124T160000Z\nDTEND:20261124T170000Z")))
    now = NOW + calendar_feeds.EVERY
    for failures, wait in enumerate(calendar_feeds.BACKOFF, start=1):
        assert calendar_feeds.fetch_next(now=now, by=Given("The other side answered 500.")) is True
        feed.refresh_from_db()
        assert (feed.failures, feed.last_error) == (failures, "The other side answered 500.")
        assert feed.next_fetch_at == now + wait
        now = feed.next_fetch_at
    assert Busy.objects.filter(source="feed").count() == 1
    calendar_feeds.fetch_next(now=now, by=Given(b"<html>"))
    feed.refresh_from_db()
    assert feed.last_error == "This is not a calendar."
    for hostile, sentence in (
        (file_of(ON_OWN_CLOCK, head=CLOCK.format(rule="SECONDLY")), "A time zone in it changes its clock"),
        (file_of(*ENDLESS), "It takes too long to read"),
    ):
        calendar_feeds.fetch_next(now=feed.next_fetch_at, by=Given(hostile))
        feed.refresh_from_db()
        assert feed.last_error.startswith(sentence)
        assert Busy.objects.filter(source="feed").count() == 1
    calendar_feeds.fetch_next(now=feed.next_fetch_at, by=Given(file_of()))
    feed.refresh_from_db()
    assert (feed.failures, feed.last_error, Busy.objects.count()) == (0, "", 0)


def test_a_busy_time_over_a_booking_alarms_the_desk_once_and_goes_when_it_is_solved(client, place, crew):
    """Read three times, told once; the time beside the work and the one of an unbooked day are nobody's business."""
    factories.studio(alert_webhook_url="https://room.example/hook")
    sign_in(client, factories.user())
    kind = factories.session_type(locations=[place])
    now = timezone.now().replace(microsecond=0)
    ten = instant(ZoneInfo(place.zone), (now + 5 * DAY).date(), time(10))
    ten += DAY * (ten.weekday() == 6)
    booked = factories.booking(session_type=kind, at=place, starts_at=ten, now=now)
    ana = crew["photographer"]
    calendar_feeds.follow(resource_id=ana.pk, url="https://calendar.example/me.ics", by=STAFF, now=now)

    def event(begins, minutes=30):
        ends = begins + timedelta(minutes=minutes)
        return f"DTSTART:{begins:%Y%m%dT%H%M%SZ}\nDTEND:{ends:%Y%m%dT%H%M%SZ}"

    def fetched(*events):
        calendar_feeds.ask_now(resource_id=ana.pk, now=now)
        assert calendar_feeds.fetch_next(now=now, by=Given(file_of(*events)))
        told = list(Message.objects.filter(name="alert").values_list("body_text", flat=True))
        return told, "busy elsewhere" in client.get(reverse("desk")).content.decode()

    after = ten + HOUR  # its buffer
    assert fetched(event(after), event(ten + DAY)) == ([], False)
    for _time in range(3):
        told, is_shown = fetched(event(ten + timedelta(minutes=10)), event(ten + DAY))
        assert is_shown and len(told) == 1
    assert f"{ana.name} is booked" in told[0] and "10:10–10:40" in told[0]
    assert len(fetched(event(ten + timedelta(minutes=20)))[0]) == 2  # another time is another alarm
    lifecycle.move_to(booking_id=booked.pk, starts_at=ten + 3 * HOUR, by=STAFF, now=now)
    assert "busy elsewhere" not in client.get(reverse("desk")).content.decode()
    told, is_shown = fetched(event(ten + 3 * HOUR))
    assert is_shown and len(told) == 3
    lifecycle.cancel(booking_id=booked.pk, by=STAFF, now=now)
    assert "busy elsewhere" not in client.get(reverse("desk")).content.decode()
    told, is_shown = fetched()
    assert (len(told), is_shown) == (3, False)


def test_an_address_changed_while_it_is_read_is_not_overwritten(crew):
    feed = follow(crew["photographer"])

    class Slow(Given):
        def get(self, url: str) -> bytes:
            follow(crew["photographer"], "https://calendar.example/other.ics")
            return super().get(url)

    calendar_feeds.fetch_next(now=NOW, by=Slow(file_of("DTSTART:20261124T160000Z\nDTEND:20261124T170000Z")))
    feed.refresh_from_db()
    assert (feed.fetched_at, Busy.objects.count()) == (None, 0)


def test_another_address_frees_nobody_before_it_is_read(client, crew):
    """A letter is missing in the new one."""
    ana, now = crew["photographer"], timezone.now().replace(microsecond=0)
    busy = (now + 5 * DAY).replace(second=0)

    def read_from(name, answer):
        url = f"https://calendar.example/{name}.ics"
        calendar_feeds.follow(resource_id=ana.pk, url=url, by=STAFF, now=now)
        calendar_feeds.fetch_next(now=now, by=Given(answer))
        return list(Busy.objects.values_list("starts_at", flat=True))

    def event(begins):
        return file_of(f"DTSTART:{begins:%Y%m%dT%H%M%SZ}\nDURATION:PT1H")

    assert read_from("me", event(busy)) == [busy]
    assert read_from("m", "The other side answered 404.") == [busy]
    sign_in(client, factories.user())
    page = client.get(reverse("desk_person", args=[ana.public_id])).content.decode()
    assert "The busy times of the address before count until then." in page
    assert read_from("other", event(busy + DAY)) == [busy + DAY]


def test_addresses_are_looked_at_when_typed_and_forgetting_frees(crew):
    ana = crew["photographer"]
    with pytest.raises(NotNow, match="Only https"):
        follow(ana, "http://calendar.example/me.ics")
    assert follow(ana, " webcal://calendar.example/me.ics").url == "https://calendar.example/me.ics"
    calendar_feeds.fetch_next(now=NOW, by=Given(file_of("DTSTART:20261124T160000Z\nDTEND:20261124T170000Z")))
    assert calendar_feeds.forget(resource_id=ana.pk, by=STAFF, now=NOW) is True
    assert (Busy.objects.count(), BusyFeed.objects.count()) == (0, 0)


# --- out, and back in ---------------------------------------------------------------------------------------


@pytest.fixture
def booked(place, crew):
    kind = factories.session_type(locations=[place])
    payer = factories.client(name="Nadia Petrov")
    booking = factories.booking(session_type=kind, at=place, starts_at=TEN, payer=payer)
    booking.shoots.update(nerves=["blink"], nerves_text="I never know where to look", access_needs="Ramp")
    return booking


def test_the_feed_out_shows_times_and_no_secrets_and_goes_when_it_is_closed(client, crew, booked):
    link = calendar_feeds.open_link(resource=crew["photographer"], by=STAFF, now=NOW)
    path = link.removeprefix(settings.SITE_URL)
    answer = client.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/calendar; charset=utf-8")
    text = answer.content.decode().replace("\r\n ", "")
    assert "Nadia" in text
    for secret in ("Petrov", booked.payer.email, "look", "blink", "Ramp", "180"):
        assert secret not in text
    room = calendar_feeds.calendar_text(crew["camera-room"], now=NOW)
    assert "Nadia" not in room and booked.shoots.get().code in room
    assert client.get(reverse("calendar_feed", args=["wrong"])).status_code == 404
    assert client.get(reverse("open_link", args=[path.split("/")[2].removesuffix(".ics")])).status_code == 404
    calendar_feeds.close_links(resource=crew["photographer"], by=STAFF, now=NOW)
    assert client.get(path).status_code == 404


def test_the_feed_goes_round_to_another_resource_and_not_back_to_its_own(place, crew, booked):
    ana, theo = crew["photographer"], factories.resource("photographer", at=place, name="Theo")
    body = calendar_feeds.calendar_text(ana, now=NOW).encode()
    for resource in (ana, theo):
        follow(resource)
        calendar_feeds.fetch_next(now=NOW, by=Given(body))
    claim = booked.claims.get(resource=ana)
    assert list(Busy.objects.values_list("resource", "starts_at", "ends_at")) == [
        (theo.pk, claim.starts_at, claim.ends_at)
    ]
    lifecycle.move_to(booking_id=booked.pk, starts_at=TEN + 4 * HOUR, by=STAFF, now=NOW)
    moved = calendar_feeds.calendar_text(ana, now=NOW).encode()
    events = [Calendar.from_ical(text).walk("VEVENT")[0] for text in (body, moved)]
    assert events[0]["UID"] == events[1]["UID"]
    assert (events[0]["SEQUENCE"], events[1]["SEQUENCE"]) == (0, 1)
    calendar_feeds.fetch_next(now=NOW + calendar_feeds.EVERY, by=Given(moved))
    calendar_feeds.fetch_next(now=NOW + calendar_feeds.EVERY, by=Given(moved))
    assert Busy.objects.get(resource=theo).starts_at == TEN + 4 * HOUR


def test_a_clients_entry_is_updated_and_cancelled_under_one_name(booked):
    def event(method):
        booked.refresh_from_db()
        calendar = Calendar.from_ical(ics.calendar_text(booked, method=method, now=NOW))
        assert calendar["METHOD"] == method
        assert [part.name for part in calendar.subcomponents if part.errors] == []
        return calendar.walk("VEVENT")[0]

    first = event("REQUEST")
    lifecycle.move_to(booking_id=booked.pk, starts_at=TEN + 2 * HOUR, by=STAFF, now=NOW)
    moved = event("REQUEST")
    lifecycle.cancel(booking_id=booked.pk, by=STAFF, now=NOW, full_refund=True)
    gone = event("CANCEL")
    assert {first["UID"], moved["UID"], gone["UID"]} == {f"{booked.public_id}@booking.likeness"}
    assert (first["SEQUENCE"], moved["SEQUENCE"], gone["SEQUENCE"]) == (0, 1, 2)
    assert moved["DTSTART"].dt - first["DTSTART"].dt == 2 * HOUR
    assert (moved["STATUS"], gone["STATUS"]) == ("CONFIRMED", "CANCELLED")
