"""The promise on the desk and on the client's pages: the board, the forecast, links, PIN, was and is, the badge."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from bookings.models import Booking, Shoot
from galleries import alarms, board, deadlines, delivery, jobs, locks, risk
from galleries.models import Breach, Download, Gallery, Job, JobKind, PauseReason, Retouch
from studio import alerts, promises
from studio.actors import WORKER, ActorKind
from studio.models import Closure, Credential, Location, Message, Role, StatusChange, Studio, Throttle, User
from tests.galleries.finals import approve, in_retouching, open_link, pay
from tests.galleries.making import make_gallery, make_location, make_shoot, make_user, sign_in

LONDON = ZoneInfo("Europe/London")
pytestmark = pytest.mark.django_db


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of November 2026 in London. The 23rd is a Monday."""
    return datetime(2026, 11, day, hour, minute, tzinfo=LONDON)


def running(*, picks: int = 2, location: Location | None = None, ended_at: datetime = at(23, 14)) -> Gallery:
    """A gallery in retouching whose clock runs."""
    gallery = make_gallery(now=ended_at, shoot=make_shoot(now=ended_at, location=location))
    deadlines.start(gallery_id=gallery.pk, ended_at=ended_at, now=ended_at)
    in_retouching(gallery, now=ended_at, picks=picks)
    return Gallery.objects.get(pk=gallery.pk)


def fresh(gallery: Gallery) -> Gallery:
    return Gallery.objects.get(pk=gallery.pk)


def approvals(person: User, *, minutes: float, count: int, end: datetime) -> None:
    """What `move` writes when somebody approves one picture after another."""
    StatusChange.objects.bulk_create(
        StatusChange(
            model=Retouch._meta.label_lower,
            object_id=number,
            verb="approve",
            after="approved",
            actor_kind=ActorKind.USER,
            actor_id=person.pk,
            at=end - timedelta(minutes=minutes * number),
        )
        for number in range(count)
    )


# --- the forecast


def test_the_pace_of_a_person_is_the_median_gap_within_a_sitting() -> None:
    quick, slow, new = (make_user(Role.RETOUCHER) for _ in range(3))
    approvals(quick, minutes=8, count=10, end=at(20, 12))
    approvals(quick, minutes=8, count=10, end=at(19, 12))  # the night between is a break
    approvals(slow, minutes=45, count=5, end=at(20, 16))
    approvals(new, minutes=5, count=3, end=at(20, 16))  # too few to say
    approvals(make_user(Role.RETOUCHER), minutes=5, count=9, end=at(20, 12) - timedelta(days=90))
    assert risk.minutes_per_pick(now=at(23, 9)) == {quick.pk: 8.0, slow.pk: 45.0}


def test_the_queue_of_a_person_is_worked_in_order_and_in_working_hours() -> None:
    ana = make_user(Role.RETOUCHER)
    approvals(ana, minutes=60, count=6, end=at(20, 12))
    place = make_location()
    first = risk.Queued(1, at(25, 18), ana.pk, 5, place.pk)
    second = risk.Queued(2, at(26, 18), ana.pk, 5, place.pk)
    found = risk.expected([second, first], retouchers=[ana.pk], now=at(24, 12))
    assert found[1] == at(24, 17)  # five hours
    assert found[2] == at(25, 13)  # one hour today, four tomorrow from 9
    beyond = risk.Queued(3, at(26, 18), ana.pk, 5000, place.pk)
    assert risk.expected([beyond], retouchers=[], now=at(24, 12))[3] is None


def test_unassigned_work_goes_to_whoever_is_free_first() -> None:
    ana, ben = make_user(Role.RETOUCHER), make_user(Role.RETOUCHER)
    place = make_location()
    queue = [
        risk.Queued(1, at(25, 18), ana.pk, 9, place.pk),  # three hours at the default pace
        risk.Queued(2, at(25, 18), None, 3, place.pk),
    ]
    found = risk.expected(queue, retouchers=[ana.pk, ben.pk], now=at(24, 9))
    assert (found[1], found[2]) == (at(24, 12), at(24, 10))


def test_what_will_not_be_finished_in_time_is_red_before_it_is_late() -> None:
    ana = make_user(Role.RETOUCHER, name="Ana")
    approvals(ana, minutes=55, count=6, end=at(20, 12))
    gallery = running(picks=2)
    Gallery.objects.filter(pk=gallery.pk).update(assigned_to=ana)
    assert [line.gallery.pk for line in board.board(now=at(25, 9)).today] == [gallery.pk]
    found = board.board(now=at(25, 16, 30))
    assert [line.gallery.pk for line in found.at_risk] == [gallery.pk]
    assert found.at_risk[0].finish_at == at(26, 9, 20)
    assert found.today == found.late == []


# --- the board


def make_line(place: Location) -> None:
    """Something of every kind on the board."""
    running(location=place)
    paused = running(location=place)
    deadlines.open_pause(gallery_id=paused.pk, reason=PauseReason.APPROVING, by=WORKER, now=at(23, 15))
    late = running(location=place, ended_at=at(16, 14))
    alarms.sweep(now=at(19, 9))
    assert late.breaches.exists()


def test_the_board_asks_as_often_for_three_as_for_one() -> None:
    browser = Browser()
    sign_in(browser, make_user(Role.OWNER))
    place = make_location()
    counts = []
    for _number in range(3):
        make_line(place)
        with CaptureQueriesContext(connection) as asked:
            assert browser.get("/desk/promises/").status_code == 200
        counts.append(len(asked))
    assert counts[0] == counts[1] == counts[2]
    assert counts[0] < 40


def test_the_board_says_why_and_what_next() -> None:
    nothing_yet = make_gallery(now=at(23, 14))
    deadlines.start(gallery_id=nothing_yet.pk, ended_at=at(23, 14), now=at(23, 14))
    at_work = running()
    waiting = running()
    deadlines.open_pause(gallery_id=waiting.pk, reason=PauseReason.APPROVING, by=WORKER, now=at(23, 15))
    found = board.board(now=at(25, 10))
    lines = {line.gallery.pk: (line.reason, line.action) for line in found.today}
    assert lines == {
        nothing_yet.pk: ("No pictures yet.", "Upload the files"),
        at_work.pk: ("2 pictures to approve.", "Retouch"),
    }
    assert [(line.gallery.pk, line.reason) for line in found.waiting] == [
        (waiting.pk, "Is looking at the retouched pictures.")
    ]
    assert [line.gallery.pk for line in board.board(now=at(25, 18)).late] == [nothing_yet.pk, at_work.pk]


def test_the_record_counts_late_and_undelivered(
    media_storage: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, hour in enumerate((20, 40, 60, 80)):
        gallery = running(picks=1)
        type(gallery.shoot).objects.filter(pk=gallery.shoot_id).update(completed_at=at(23, 14))
        pay(gallery, 20000, now=at(23, 14))
        if number < 3:
            approve(gallery.retouches.get(), now=at(23, 15))
            delivery.finals_made(gallery_id=gallery.pk, now=at(23, 14) + timedelta(hours=hour))
    found = board.record(since=at(1, 0), now=at(28, 9))
    assert (found.delivered, found.on_time, found.percent) == (4, 2, 50)
    assert (found.median, found.nine_in_ten) == (timedelta(hours=40), timedelta(hours=60))
    assert board.causes(since=at(1, 0)) == [("not said yet", 1)]
    monkeypatch.setattr(timezone, "now", lambda: at(28, 9))
    owner = Browser()
    sign_in(owner, make_user(Role.OWNER))
    rows = owner.get("/desk/promises/months.csv").content.decode().splitlines()
    assert len(rows) == 14 and rows[1] == "2025-12,0,0,,,,0,,0,0,0"
    assert rows[12:] == [
        "2026-11,4,2,50,40.0,60.0,1,1 × not said yet,0,0,0",
        "all,4,2,50,40.0,60.0,1,1 × not said yet,0,0,0",
    ]


def test_reshoots_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again, plain = running(), running(), running()
    Gallery.objects.filter(pk=again.pk).update(status="delivered", was_on_time=False)
    Gallery.objects.filter(pk=plain.pk).update(status="delivered", was_on_time=True)
    Gallery.objects.filter(pk=first.pk).update(status="cancelled")
    Booking.objects.filter(shoots=again.shoot_id).update(reshoot_of=first.shoot.booking_id)
    Shoot.objects.update(completed_at=at(23, 14))
    kept = [
        (found.delivered, found.on_time)
        for found in (
            board.record(since=at(1, 0), now=at(25, 9), reshoots=only) for only in (False, True, None)
        )
    ]
    assert kept == [(1, 1), (1, 0), (2, 1)]
    assert board.reshot(since=at(1, 0)) == 1
    monkeypatch.setattr(timezone, "now", lambda: at(25, 9))
    owner = Browser()
    sign_in(owner, make_user(Role.OWNER))
    assert (
        "Reshoots, counted apart: 1 delivered, 0 of them on time."
        in owner.get("/desk/promises/").content.decode()
    )
    assert owner.get("/desk/promises/months.csv").content.decode().splitlines()[12].endswith(",1,0,1")


def test_the_badge_is_shown_when_wanted_and_from_twenty_deliveries(media_storage: object) -> None:
    now = timezone.now()
    for _number in range(board.BADGE_FROM):
        gallery = running(picks=1, ended_at=now - timedelta(days=20))
        type(gallery.shoot).objects.filter(pk=gallery.shoot_id).update(completed_at=now - timedelta(days=20))
        Gallery.objects.filter(pk=gallery.pk).update(status="delivered", was_on_time=True)
    Gallery.objects.filter(pk=gallery.pk).update(was_on_time=False)
    page = Browser().get("/").content.decode()
    assert "on time" not in page
    Studio.objects.update(has_public_on_time_badge=True)
    assert "95 % on time" in Browser().get("/").content.decode()
    Gallery.objects.filter(pk=gallery.pk).update(was_on_time=None)
    assert "95 % on time" not in Browser().get("/").content.decode()


# --- who does it


def test_work_is_given_in_two_clicks_and_the_warning_goes_there() -> None:
    owner, ana = make_user(Role.OWNER, name="Olga"), make_user(Role.RETOUCHER, name="Ana")
    gallery = running()
    browser = Browser()
    sign_in(browser, owner)
    answer = browser.post(f"/desk/galleries/{gallery.public_id}/assign", {"to": ana.pk, "back": "board"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/desk/promises/")
    assert fresh(gallery).assigned_to == ana
    assert StatusChange.objects.get(verb="assign").reason == "— → Ana"
    alarms.sweep(now=at(24, 18))
    assert Message.objects.get(name="deadline_warning").to_address == ana.email
    alarms.sweep(now=at(25, 17))
    last = Message.objects.filter(name="deadline_warning").order_by("-pk")[:2]
    assert {message.to_address for message in last} == {ana.email, owner.email}


def test_work_is_not_given_to_somebody_who_sees_no_pictures() -> None:
    gallery = running()
    with pytest.raises(ValueError, match="does not retouch"):
        deadlines.assign(gallery_id=gallery.pk, to=make_user(Role.ARTIST), by=WORKER, now=at(24, 9))


# --- closures


def test_a_closure_taken_back_is_computed_again_and_shown_as_was_and_is(media_storage: object) -> None:
    place = make_location()
    closure = Closure.objects.create(location=place, on=date(2026, 11, 25), name="Works outing")
    gallery = running(location=place)
    job = jobs.state(JobKind.DRAFT, gallery=gallery, retouch=gallery.retouches.first(), now=at(23, 15))
    assert (gallery.deliver_by, job.urgent_at) == (at(26, 18), at(26, 18))
    closure.delete()
    promises.closures_changed(location=place, by=WORKER, now=at(24, 9))
    alarms.sweep(now=at(24, 9, 1))
    assert fresh(gallery).deliver_by == at(25, 18)
    assert Job.objects.get(pk=job.pk).urgent_at == at(25, 18)
    change = deadlines.was_and_is(fresh(gallery))
    assert change is not None
    assert (change.was, change.now) == (at(26, 18), at(25, 18))
    browser = Browser()
    open_link(browser, gallery, now=timezone.now())
    sign_in(browser, make_user(Role.OWNER))
    page = browser.get(f"/desk/galleries/{gallery.public_id}/delivery/").content.decode()
    assert "the promise was Thu 26 November, 18:00, it is Wed 25 November, 18:00 now" in page
    # a new closure makes nothing later, and a pause is no change of closures
    Closure.objects.create(location=place, on=date(2026, 11, 25), name="Again")
    promises.closures_changed(location=place, by=WORKER, now=at(24, 10))
    alarms.sweep(now=at(24, 10, 1))
    assert fresh(gallery).deliver_by == at(25, 18)
    deadlines.open_pause(gallery_id=gallery.pk, reason=PauseReason.APPROVING, by=WORKER, now=at(24, 11))
    assert deadlines.was_and_is(fresh(gallery)) is None


def test_the_admin_tells_that_closures_changed() -> None:
    place = make_location()
    closure = Closure.objects.create(location=place, on=date(2026, 11, 25), name="Outing")
    gallery = running(location=place)
    owner = make_user(Role.OWNER)
    User.objects.filter(pk=owner.pk).update(is_staff=True, is_superuser=True)
    browser = Browser()
    sign_in(browser, owner)
    form = {
        **{name: str(getattr(place, name)) for name in ("name", "slug", "zone", "country", "working_week", "position")},
        "opens_at": "09:00", "closes_at": "18:00",
        "face_processing": "notice", "half_day_counts": "on", "is_active": "on",
        "opening_hours-TOTAL_FORMS": "0", "opening_hours-INITIAL_FORMS": "0",
        "closures-TOTAL_FORMS": "1", "closures-INITIAL_FORMS": "1", "closures-0-id": str(closure.pk),
        "closures-0-location": str(place.pk), "closures-0-on": "2026-11-25", "closures-0-name": "Outing",
        "closures-0-DELETE": "on",
    }  # fmt: skip
    before = timezone.now()
    answer = browser.post(f"/admin/studio/location/{place.pk}/change/", form)
    assert answer.status_code == 302, answer.content.decode()[:2000]
    alarm = fresh(gallery).alarm_at
    assert alarm is not None
    assert before <= alarm <= timezone.now()


def test_pauses_are_shown_to_the_client_with_reason_and_times(media_storage: object) -> None:
    gallery = running(picks=1)
    pay(gallery, 20000, now=at(23, 14))
    deadlines.open_pause(gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=WORKER, now=at(23, 15))
    deadlines.close_pause(gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=WORKER, now=at(24, 9))
    approve(gallery.retouches.get(), now=at(24, 10))
    delivery.finals_made(gallery_id=gallery.pk, now=at(24, 10))
    Gallery.objects.update(finals_expire_at=timezone.now() + timedelta(days=90))
    browser = Browser()
    open_link(browser, gallery, now=timezone.now())
    page = " ".join(browser.get(f"/gallery/{gallery.public_id}/").content.decode().split())
    assert "Mon 23 November, 15:00</time><span>You are choosing your pictures." in page
    assert "The clock stood still until Tue 24 November, 09:00." in page


# --- links and PIN


def delivered() -> Gallery:
    now = timezone.now()
    gallery = make_gallery(now=now)
    pay(gallery, 20000, now=now)
    for retouch in in_retouching(gallery, now=now, picks=1):
        approve(retouch, now=now)
    assert delivery.finals_made(gallery_id=gallery.pk, now=now)
    return Gallery.objects.get(pk=gallery.pk)


def test_the_desk_sees_who_has_what_and_revokes_one_person(media_storage: object) -> None:
    gallery = delivered()
    mine, theirs, desk = Browser(), Browser(), Browser()
    link = open_link(mine, gallery, now=timezone.now())
    other = open_link(theirs, gallery, now=timezone.now())
    Credential.objects.filter(pk=other.credential.pk).update(holder_label="Paul Assistant")
    theirs.get(f"/gallery/{gallery.public_id}/zip/square").getvalue()
    sign_in(desk, make_user(Role.PHOTOGRAPHER))
    page = desk.get(f"/desk/galleries/{gallery.public_id}/delivery/").content.decode()
    assert "Paul Assistant" in page
    assert Download.objects.get().what in page
    desk.post(f"/desk/galleries/{gallery.public_id}/links/{other.credential.pk}/revoke")
    assert theirs.get(f"/gallery/{gallery.public_id}/").status_code == 404
    assert mine.get(f"/gallery/{gallery.public_id}/").status_code == 200
    assert link.credential.pk != other.credential.pk
    elsewhere = Credential.objects.create(
        token_hash="x", scope="booking", target="b", created_at=timezone.now(), expires_at=timezone.now()
    )
    answer = desk.post(f"/desk/galleries/{gallery.public_id}/links/{elsewhere.pk}/revoke")
    assert answer.status_code == 404


def test_a_pin_is_asked_after_the_link_and_opens_this_gallery_only(media_storage: object) -> None:
    one, two = delivered(), delivered()
    for gallery in (one, two):
        locks.set_pin(gallery_id=gallery.pk, pin="4711", by=WORKER, now=timezone.now())
    browser = Browser()
    for gallery in (one, two):
        open_link(browser, gallery, now=timezone.now())
    closed = [f"/gallery/{one.public_id}/zip/all", f"/gallery/{one.public_id}/checksums"]
    page = browser.get(f"/gallery/{one.public_id}/")
    assert (page.status_code, b"One more thing" in page.content, b"/file/" in page.content) == (
        403,
        True,
        False,
    )
    assert [browser.get(path).status_code for path in closed] == [404, 404]
    assert browser.get(f"/gallery/{one.public_id}/?pin=4711").status_code == 403
    wrong = browser.post(f"/gallery/{one.public_id}/unlock", {"pin": "4712"})
    assert b"That is not the PIN." in wrong.content
    right = browser.post(f"/gallery/{one.public_id}/unlock", {"pin": "4711"})
    assert (right.status_code, right.headers["Location"]) == (302, f"/gallery/{one.public_id}/")
    page = browser.get(f"/gallery/{one.public_id}/")
    assert (page.status_code, b"/file/" in page.content) == (200, True)
    assert [browser.get(path).status_code for path in closed] == [200, 200]
    assert browser.get(f"/gallery/{two.public_id}/").status_code == 403
    picture = page.content.decode().split('src="/picture/')[1].split('"')[0]
    assert browser.get(f"/picture/{picture}").status_code == 200
    locks.set_pin(gallery_id=one.pk, pin="0815", by=WORKER, now=timezone.now())
    assert browser.get(f"/gallery/{one.public_id}/").status_code == 403
    assert browser.get(f"/picture/{picture}").status_code == 404


def test_a_pin_is_counted_before_it_is_compared(
    media_storage: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = delivered()
    locks.set_pin(gallery_id=gallery.pk, pin="4711", by=WORKER, now=timezone.now())
    browser = Browser()
    open_link(browser, gallery, now=timezone.now())
    path = f"/gallery/{gallery.public_id}/unlock"
    for _try in range(locks.PER_GALLERY):
        browser.post(path, {"pin": "0000"})
    monkeypatch.setattr(locks, "check_password", lambda *_: pytest.fail("compared"))
    assert b"tried too often" in browser.post(path, {"pin": "4711"}).content
    assert Throttle.objects.filter(key=f"pin:gallery:{gallery.pk}").get().count == locks.PER_GALLERY + 1
    nobody = Browser()
    assert nobody.post(path, {"pin": "4711"}).status_code == 404


@pytest.mark.parametrize("pin", ["123", "1" * 13, "12a4", "١٢٣٤"])
def test_a_bad_pin_is_not_set(pin: str) -> None:
    gallery = make_gallery(now=at(23, 14))
    with pytest.raises(locks.BadPin):
        locks.set_pin(gallery_id=gallery.pk, pin=pin, by=WORKER, now=at(23, 15))


def test_the_client_keeps_the_pictures_another_year(media_storage: object) -> None:
    gallery = delivered()
    browser = Browser()
    open_link(browser, gallery, now=timezone.now())
    assert "another year" not in browser.get(f"/gallery/{gallery.public_id}/").content.decode()
    Gallery.objects.update(finals_expire_at=timezone.now() - timedelta(days=1))
    assert "Bring them back" in browser.get(f"/gallery/{gallery.public_id}/").content.decode()
    browser.post(f"/gallery/{gallery.public_id}/keep")
    until = fresh(gallery).finals_expire_at
    assert until is not None
    assert until > timezone.now() + timedelta(days=360)
    assert browser.get(f"/gallery/{gallery.public_id}/zip/all").status_code == 200
    assert StatusChange.objects.get(verb="renew").actor_kind == "client"


def test_mail_me_a_new_link_covers_galleries(media_storage: object) -> None:
    from studio import links

    gallery = delivered()
    sitter = gallery.shoot.sitter
    assert sitter is not None
    links.ask(email=sitter.email.upper(), network="192.0.2.1", now=timezone.now())
    links.answer_next(now=timezone.now())
    mail = Message.objects.get(name="fresh_links")
    tokens = [part.split()[0] for part in mail.body_text.split("/open/")[1:]]
    places = [Browser().get(f"/open/{token}").headers["Location"] for token in tokens]
    assert f"/gallery/{gallery.public_id}/" in places


def test_a_file_on_s3_is_handed_out_by_the_store_and_counted_as_issued(
    media_storage: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = delivered()
    file = gallery.deliveries.get().files.all()[0]
    browser = Browser()
    open_link(browser, gallery, now=timezone.now())
    asked: list[str] = []

    def presigned(store: object, key: str, **facts: str) -> str:
        asked.append(key)
        return "https://store.example/x?signature"

    monkeypatch.setattr("studio.storage.presigned_url", presigned)
    path = f"/gallery/{gallery.public_id}/file/{file.pk}"
    answer = browser.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://store.example/x?signature")
    record = Download.objects.get()
    assert (record.is_issued, record.is_complete, record.bytes_sent) == (True, False, 0)
    assert browser.get(f"{path}?here").status_code == 200
    locks.set_pin(gallery_id=gallery.pk, pin="4711", by=WORKER, now=timezone.now())
    browser.post(f"/gallery/{gallery.public_id}/unlock", {"pin": "4711"})
    assert browser.get(path).status_code == 200
    assert asked == [file.rendition.key]


# --- alerts to a chat room


def test_an_alert_is_a_row_once_and_names_no_secret() -> None:
    gallery = running()
    assert alerts.alert("Late", about=gallery, once="alert:1", now=at(24, 9)) is None  # no room
    Studio.objects.update(alert_webhook_url="https://hooks.example.com/services/SECRET")
    alarms.sweep(now=at(25, 18))
    first = Message.objects.get(channel="webhook")
    assert first.to_address == "hooks.example.com"
    assert "SECRET" not in first.body_text + first.subject
    assert first.body_text == f"{gallery.shoot.code} is late: promised by Wed 25 Nov 18:00."
    assert Breach.objects.count() == 1


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://hooks.example.com/x", "93.184.216.34"),
        ("https://user@hooks.example.com/x", "93.184.216.34"),
        ("https://localhost/x", "127.0.0.1"),
        ("https://hooks.example.com/x", "10.0.0.7"),
        ("https://hooks.example.com/x", "169.254.169.254"),
        ("https://hooks.example.com/x", "::1"),
        ("https://hooks.example.com/x", "::ffff:10.0.0.7"),
        ("https://hooks.example.com/x", "fd00::1"),
        ("https://hooks.example.com/x", "224.0.0.1"),
    ],
)
def test_alerts_go_to_public_https_addresses_only(
    url: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "socket.getaddrinfo",
        lambda *_, **__: [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", (address, 443))],
    )
    monkeypatch.setattr("socket.create_connection", lambda *_, **__: pytest.fail("connected"))
    with pytest.raises(alerts.AlertRefused):
        alerts.post(url, {"text": "x"})


def test_a_room_that_does_not_answer_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from studio import outbox

    Studio.objects.update_or_create(
        pk=1,
        defaults={"name": "N", "email": "a@b.example", "alert_webhook_url": "https://hooks.example.com/x"},
    )
    gallery = running()
    alerts.alert("Late", about=gallery, once="alert:1", now=at(24, 9))
    said: list[dict[str, str]] = []

    def post(url: str, facts: dict[str, str]) -> None:
        said.append(facts)
        if len(said) == 1:
            raise alerts.AlertRefused("hooks.example.com answered 500")

    monkeypatch.setattr(alerts, "post", post)
    outbox.send_next(now=at(24, 9))
    message = Message.objects.get(channel="webhook")
    assert (message.status, message.last_error) == ("queued", "AlertRefused: hooks.example.com answered 500")
    outbox.send_next(now=at(24, 10))
    message.refresh_from_db()
    assert (message.status, said) == ("sent", [{"text": "Late"}] * 2)


def test_a_long_list_is_counted_and_can_be_asked_for_whole() -> None:
    place = make_location()
    for _number in range(3):
        running(location=place, ended_at=at(16, 14))
    due_later = running(location=place)
    found = board.board(now=at(24, 10), limit=2)
    assert (len(found.late), found.counts["late"], found.counts["later"]) == (2, 3, 1)
    assert [line.gallery.pk for line in found.later] == [due_later.pk]
    assert len(board.board(now=at(24, 10), limit=2, whole="late").late) == 3


# --- the client who waits


def test_the_waiting_client_reads_the_truth_about_a_missed_promise(
    media_storage: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery, browser = running(), Browser()
    monkeypatch.setattr(timezone, "now", lambda: at(25, 9))
    open_link(browser, gallery, now=at(25, 9))
    page = f"/gallery/{gallery.public_id}/"
    assert "You have your finished pictures by Wed 25 November, 18:00." in browser.get(page).content.decode()
    Gallery.objects.filter(pk=gallery.pk).update(deliver_by_was=at(27, 18))
    shown = browser.get(page).content.decode()
    assert "Earlier than promised before: the promise was Fri 27 November, 18:00" in shown
    alarms.sweep(now=at(25, 18))
    monkeypatch.setattr(timezone, "now", lambda: at(25, 19))
    shown = browser.get(page).content.decode()
    assert "We promised your pictures by Wed 25 November, 18:00 and did not keep it." in shown
    assert "You have them by Thu 26 November, 18:00." in shown
    assert "You have your finished pictures by" not in shown
