"""The gallery on the desk: who may open it, what it says, and that it costs the same for three frames as for thirty."""

from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from galleries import desk_gallery, jobs
from galleries.models import Gallery, Job, JobKind, Photo, PhotoFile, Upload
from studio.actors import WORKER
from studio.models import Role, User
from studio.transitions import move
from tests.galleries.making import make_gallery, make_location, make_user, sign_in
from tests.galleries.test_intake import picture, receive
from tests.html import assert_no_inline

pytestmark = pytest.mark.django_db


@pytest.fixture
def gallery(db: None, media_storage: Path) -> Gallery:
    return make_gallery(now=timezone.now())


def browser_of(user: User) -> Browser:
    browser = Browser()
    sign_in(browser, user)
    return browser


@pytest.fixture
def desk(gallery: Gallery) -> Browser:
    return browser_of(make_user(Role.PHOTOGRAPHER))


def address(gallery: Gallery, page: str = "") -> str:
    return f"/desk/galleries/{gallery.public_id}/{page}"


def take_in(gallery: Gallery, count: int) -> None:
    for number in range(count):
        receive(gallery, picture(width=60 + number + 10 * gallery.photos.count()), f"IMG_{number}.JPG")
    while jobs.work_next(now=timezone.now()):
        pass


def test_the_page_shows_frames_facts_and_the_drop(desk: Browser, gallery: Gallery) -> None:
    take_in(gallery, 2)
    html = desk.get(address(gallery)).content.decode()
    assert_no_inline(html)
    assert gallery.shoot.code in html
    assert html.count("data-photo=") == 2
    assert "data-intake" in html
    assert f"/desk/galleries/{gallery.public_id}/choose/" in html


def test_only_those_who_may_see_pictures_here_open_it(gallery: Gallery) -> None:
    for user, status in [
        (make_user(Role.RETOUCHER), 200),
        (make_user(Role.OWNER), 200),
        (make_user(Role.ARTIST), 403),
        (make_user(), 403),
        (make_user(Role.PHOTOGRAPHER, location=make_location()), 404),
    ]:
        browser = browser_of(user)
        for page in ("", "uploads", "news"):
            assert browser.get(address(gallery, page)).status_code == status
    assert Browser().get(address(gallery)).status_code == 302


def test_a_retoucher_sees_no_drop_and_cannot_add(gallery: Gallery) -> None:
    browser = browser_of(make_user(Role.RETOUCHER))
    assert b"data-intake" not in browser.get(address(gallery)).content
    file = SimpleUploadedFile("a.jpg", picture())
    assert browser.post(address(gallery, "add"), {"files": [file]}).status_code == 403
    assert Upload.objects.count() == 0


def test_news_tells_new_frames_and_what_became_of_the_files_asked_about(
    desk: Browser, gallery: Gallery
) -> None:
    take_in(gallery, 1)
    newest = gallery.photos.get().pk
    bad = receive(gallery, b"shopping list", "notes.txt")
    take_in(gallery, 2)
    news = desk.get(address(gallery, "news"), {"after": newest, "ids": f"{bad.public_id},unknown"}).json()
    assert news["frames"].count("data-photo=") == 2
    assert news["newest"] == max(gallery.photos.values_list("pk", flat=True))
    assert [(row["id"], row["status"]) for row in news["settled"]] == [(bad.public_id, "refused")]
    assert news["tally"]["photos"] == 3
    nothing = desk.get(address(gallery, "news"), {"after": news["newest"]}).json()
    assert (nothing["frames"].strip(), nothing["settled"]) == ("", [])


def test_the_list_says_what_the_server_has(desk: Browser, gallery: Gallery) -> None:
    take_in(gallery, 1)
    from galleries import receiving

    half = receiving.open_upload(gallery=gallery, name="b.jpg", size=100, by=WORKER, now=timezone.now())
    receiving.append(upload_id=half.pk, at=0, chunks=[b"x" * 40], now=timezone.now())
    rows = desk.get(address(gallery, "uploads")).json()["uploads"]
    assert [(row["name"], row["status"], row["offset"]) for row in rows] == [
        ("IMG_0.JPG", "accepted", PhotoFile.objects.get().size),
        ("b.jpg", "receiving", 40),
    ]
    other = browser_of(make_user(Role.PHOTOGRAPHER)).get(address(make_gallery(now=timezone.now()), "uploads"))
    assert other.json() == {"uploads": []}


def test_a_plain_form_adds_files_and_says_what_it_did_not_take(desk: Browser, gallery: Gallery) -> None:
    good, empty = SimpleUploadedFile("a.jpg", picture()), SimpleUploadedFile("b.jpg", b"")
    html = desk.post(address(gallery, "add"), {"files": [good, empty]}, follow=True).content.decode()
    assert "1 file arrived and is being checked." in html
    assert "b.jpg: The file is empty." in html
    assert Job.objects.get().kind == "intake"


def fail(gallery: Gallery) -> Job:
    job = jobs.state(JobKind.FINALS, gallery=gallery, now=timezone.now())
    move(Job, job.pk, "fail", by=WORKER, now=timezone.now(), error="The disk was full.")
    job.refresh_from_db()
    return job


def test_failed_work_stands_on_the_desk_and_can_be_tried_again(desk: Browser, gallery: Gallery) -> None:
    job = fail(gallery)
    assert "The disk was full." in desk.get("/desk/").content.decode()
    assert "The disk was full." in desk.get(address(gallery)).content.decode()
    answer = desk.post(f"/desk/jobs/{job.pk}/retry", {"back": "desk"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/desk/")
    job.refresh_from_db()
    assert (job.status, job.attempts, job.error) == ("waiting", 0, "")
    assert desk.post(f"/desk/jobs/{job.pk}/retry").status_code == 302  # a double click changes nothing
    assert desk.get(f"/desk/jobs/{job.pk}/retry").status_code == 405


def test_somebody_of_another_location_cannot_retry(gallery: Gallery) -> None:
    job = fail(gallery)
    browser = browser_of(make_user(Role.PHOTOGRAPHER, location=make_location()))
    assert browser.post(f"/desk/jobs/{job.pk}/retry").status_code == 404
    job.refresh_from_db()
    assert job.status == "failed"


def test_the_panel_is_hidden_while_all_is_quiet_and_names_damage(gallery: Gallery) -> None:
    take_in(gallery, 1)
    assert desk_gallery.trouble(now=timezone.now(), galleries=Gallery.objects.all()) is None
    gallery.files.update(is_damaged=True)
    told = desk_gallery.trouble(now=timezone.now(), galleries=Gallery.objects.all())
    assert told is not None
    assert [(row.pk, row.how_many) for row in told["damaged"]] == [(gallery.pk, 1)]


def test_more_frames_cost_no_more_queries(desk: Browser, gallery: Gallery) -> None:
    counts = []
    for _round in range(2):
        take_in(gallery, 2 if not counts else 5)
        with CaptureQueriesContext(connection) as queries:
            assert desk.get(address(gallery)).status_code == 200
        counts.append(len(queries))
    assert Photo.objects.count() == 7
    assert counts[0] == counts[1]
