"""The first screen of retouching a session: export, drop, compare, the tray, drafts for all."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from galleries import proofing, workbench
from galleries.models import FinishedFile, Gallery, Job, Upload
from galleries.statuses import FinishedStatus
from studio.models import Role, User
from studio.transitions import begin
from tests.galleries.framing import ANA, make_photo, store_original
from tests.galleries.making import make_gallery, make_location, make_user, sign_in
from tests.html import assert_no_inline

NOW = timezone.now()


@pytest.fixture
def gallery(db: None, media_storage: Path) -> Gallery:
    """Two picks, sent; nothing is made by workers here."""
    gallery = make_gallery(now=NOW, clock_started_at=NOW)
    for number in (1, 2):
        photo = make_photo(gallery, number, now=NOW)
        store_original(photo, now=NOW)
        proofing.pick(photo_id=photo.pk, by=ANA, now=NOW)
    proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=NOW)
    gallery.refresh_from_db()
    return gallery


@pytest.fixture
def person(db: None) -> User:
    return make_user(Role.RETOUCHER, name="Rae Toucher")


@pytest.fixture
def desk(client: Browser, person: User) -> Browser:
    sign_in(client, person)
    return client


def in_tray(gallery: Gallery, name: str = "final.jpg", doubt: str = "no_match") -> FinishedFile:
    upload = begin(
        Upload(
            gallery=gallery,
            purpose="finished",
            status="accepted",
            name=name,
            size=3,
            offset=3,
            sha256="f" * 64,
            key=f"s{gallery.shoot.public_id}/{name}",
            created_at=NOW,
            touched_at=NOW,
        ),
        by=ANA,
        now=NOW,
    )
    row = FinishedFile(
        gallery=gallery,
        upload=upload,
        status=FinishedStatus.WAITING,
        format="jpeg",
        width=800,
        height=1000,
        doubt=doubt,
        candidates=[{"retouch": gallery.retouches.order_by("id")[1].pk, "is_named": False, "alike": 0.6}],
        came_at=NOW,
        doubted_at=NOW,
    )
    return begin(row, by=ANA, now=NOW)


def page(desk: Browser, gallery: Gallery) -> str:
    response = desk.get(reverse("retouch_session", args=[gallery.public_id]))
    assert response.status_code == 200
    html = response.content.decode()
    assert_no_inline(html)
    return html


def test_export_drop_and_compare_are_on_the_first_screen(desk: Browser, gallery: Gallery) -> None:
    html = page(desk, gallery)
    for kind in ("txt", "csv", "xmp"):
        address = reverse("selection", args=[gallery.public_id, kind])
        assert address in html
        assert desk.get(address).status_code == 200
    assert "Drop the finished files here" in html
    for retouch in gallery.retouches.all():
        assert reverse("desk_retouch", args=[retouch.public_id]) in html


def test_files_of_a_plain_form_are_received_and_empty_ones_refused(desk: Browser, gallery: Gallery) -> None:
    files = [SimpleUploadedFile("a.jpg", b"abc"), SimpleUploadedFile("empty.jpg", b"")]
    answer = desk.post(reverse("finished_add", args=[gallery.public_id]), {"files": files}, follow=True)
    html = answer.content.decode()
    assert "1 file arrived" in html
    assert "The file is empty" in html
    received = gallery.uploads.get(name="a.jpg")
    assert (received.purpose, received.status) == ("finished", "checking")


def test_the_tray_says_why_and_a_tap_makes_it_a_version(
    desk: Browser, gallery: Gallery, person: User
) -> None:
    finished = in_tray(gallery, name="<b>final</b>.jpg")
    html = page(desk, gallery)
    assert "looks like none of them" in html
    assert "&lt;b&gt;final&lt;/b&gt;.jpg" in html
    retouch = gallery.retouches.order_by("id")[1]
    there = reverse("finished_place", args=[gallery.public_id])
    desk.post(there, {"file": finished.public_id, "pick": retouch.public_id})
    version = retouch.versions.get()
    assert (version.kind, version.actor_id) == ("hand_made", person.pk)
    assert "said by a person" in page(desk, gallery)


def test_the_queue_names_the_sessions_whose_tray_holds_files(desk: Browser, gallery: Gallery) -> None:
    assert "In the trays" not in desk.get(reverse("retouch_queue")).content.decode()
    in_tray(gallery)
    gallery.retouches.update(status="approved")
    html = desk.get(reverse("retouch_queue")).content.decode()
    assert "one finished file waits for you" in html
    assert reverse("retouch_session", args=[gallery.public_id]) in html


def test_a_file_can_be_put_aside(desk: Browser, gallery: Gallery) -> None:
    finished = in_tray(gallery)
    desk.post(reverse("finished_place", args=[gallery.public_id]), {"file": finished.public_id, "aside": "1"})
    finished.refresh_from_db()
    assert finished.status == FinishedStatus.PUT_ASIDE


def test_drafts_for_the_whole_session_are_asked_for_once_each(desk: Browser, gallery: Gallery) -> None:
    drafts = Job.objects.filter(gallery=gallery, kind="draft")
    before = drafts.count()
    asked = {**workbench.DEFAULT_STRENGTHS, "skin": 0.4}
    for _press in range(2):
        desk.post(reverse("session_drafts", args=[gallery.public_id]), asked)
    assert drafts.count() == before + 2
    answer = desk.post(reverse("session_drafts", args=[gallery.public_id]), {"skin": "lots"}, follow=True)
    assert "A strength is a number." in answer.content.decode()


def test_a_pick_is_taken_and_the_queue_says_whose_it_is(
    desk: Browser, gallery: Gallery, person: User
) -> None:
    retouch = gallery.retouches.order_by("id")[0]
    take = reverse("retouch_do", args=[retouch.public_id, "take"])
    desk.post(take, {"person": person.pk, "queue": "1"})
    retouch.refresh_from_db()
    assert retouch.assigned_to == person
    mine = desk.get(reverse("retouch_queue") + "?whose=mine").content.decode()
    assert retouch.pick.photo.name in mine
    assert gallery.retouches.order_by("id")[1].pick.photo.name not in mine

    elsewhere = make_user(Role.RETOUCHER, name="Far Away", location=make_location())
    desk.post(take, {"person": elsewhere.pk})
    retouch.refresh_from_db()
    assert retouch.assigned_to == person
    desk.post(take, {"person": ""})
    retouch.refresh_from_db()
    assert retouch.assigned_to is None


def test_the_page_asks_again_only_when_something_changed(desk: Browser, gallery: Gallery) -> None:
    news = reverse("finished_news", args=[gallery.public_id])
    first = desk.get(news, {"have": ""})
    have = first.content.decode().split('data-tally="')[1].split('"')[0]
    assert desk.get(news, {"have": have}).status_code == 204
    in_tray(gallery)
    assert desk.get(news, {"have": have}).status_code == 200


def test_a_session_of_many_picks_asks_as_often_as_one_of_two(
    desk: Browser, gallery: Gallery, django_assert_max_num_queries
) -> None:
    with django_assert_max_num_queries(34):
        page(desk, gallery)
    other = make_gallery(now=NOW, clock_started_at=NOW + timedelta(0), finals_included=12)
    for number in range(1, 13):
        photo = make_photo(other, number, now=NOW)
        store_original(photo, now=NOW)
        proofing.pick(photo_id=photo.pk, by=ANA, now=NOW)
    proofing.submit_selection(gallery_id=other.pk, by=ANA, now=NOW)
    with django_assert_max_num_queries(34):
        page(desk, other)
