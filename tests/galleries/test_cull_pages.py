"""The cull view: the studio's own marks, advice that hides nothing, every pixel on demand and bounded."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from galleries import culling, jobs, pictures, proofing
from galleries.models import Gallery, Job, JobKind, Photo, PhotoAids, Rendition
from studio import storage
from studio.models import Role
from tests.galleries.framing import ANA, make_photos, store_original, store_screen
from tests.galleries.making import make_gallery, make_user, sign_in
from tests.html import assert_no_inline

NOW = timezone.now()
JSON = {"HTTP_ACCEPT": "application/json"}


@pytest.fixture
def gallery(db: None, media_storage: Path) -> Gallery:
    return make_gallery(now=NOW)


@pytest.fixture
def photos(gallery: Gallery) -> list[Photo]:
    made = make_photos(gallery, 4, now=NOW)
    for photo in made:
        store_original(photo, now=NOW)
        store_screen(photo, now=NOW)
        PhotoAids.objects.create(
            photo=photo,
            sharpness=0.1 if photo.number == 2 else 0.4,
            lid_gap=0.7,
            bright=0,
            dark=0,
            likeness="a" * 64,
            looked_for_faces=True,
            measured_at=NOW,
        )
    return made


@pytest.fixture
def desk(gallery: Gallery) -> Browser:
    browser = Browser()
    sign_in(browser, make_user(Role.PHOTOGRAPHER, name="Pat Example"))
    return browser


def at(name: str, gallery: Gallery) -> str:
    return reverse(name, args=[gallery.public_id])


def test_the_page_shows_every_frame_with_its_advice(desk: Browser, gallery: Gallery, photos) -> None:
    html = desk.get(at("cull", gallery) + "?at=2").content.decode()
    assert_no_inline(html)
    assert html.count("data-photo=") == 5  # the strip and the stage
    assert html.count("Softer than the others") >= 1
    assert "2 of 4 alike" in html


def test_the_page_without_frames_and_with_a_narrowing_nobody_meets(desk: Browser, gallery: Gallery) -> None:
    assert "No frames yet" in desk.get(at("cull", gallery)).content.decode()
    make_photos(gallery, 1, now=NOW)
    assert "No frame is like that" in desk.get(at("cull", gallery) + "?show=rejected").content.decode()


def test_marks_work_without_scripts_and_feed_publishing(desk: Browser, gallery: Gallery, photos) -> None:
    back = at("cull", gallery) + "?show=unmarked&at=1"
    facts = {"photo": photos[0].public_id, "verb": "recommend", "back": back}
    answer = desk.post(at("cull_mark", gallery), facts)
    assert answer["Location"] == f"{back}#p1"
    desk.post(at("cull_mark", gallery), {"photo": photos[1].public_id, "verb": "rate", "value": "4"}, **JSON)
    desk.post(at("cull_mark", gallery), {"photo": photos[2].public_id, "verb": "reject"}, **JSON)
    assert [photo.number for photo in proofing.proofs_to_publish(gallery)] == [1, 2]


@pytest.mark.parametrize(
    ("verb", "value", "status"),
    [("pick", "", 400), ("rate", "6", 409), ("rate", "", 409), ("nonsense", "", 400)],
)
def test_a_mark_that_is_none_changes_nothing(
    desk: Browser, gallery: Gallery, photos, verb: str, value: str, status: int
) -> None:
    facts = {"photo": photos[0].public_id, "verb": verb, "value": value}
    assert desk.post(at("cull_mark", gallery), facts, **JSON).status_code == status
    assert gallery.picks.count() == 0
    assert set(gallery.photos.values_list("rating", flat=True)) == {0}


def test_back_leads_nowhere_else(desk: Browser, gallery: Gallery, photos) -> None:
    facts = {"photo": photos[0].public_id, "verb": "reject", "back": "https://elsewhere.example/"}
    assert desk.post(at("cull_mark", gallery), facts)["Location"] == at("cull", gallery) + "#p1"


def test_the_strip_is_sent_again_only_when_something_changed(desk: Browser, gallery: Gallery, photos) -> None:
    first = desk.get(at("cull_strip", gallery)).content.decode()
    tally = first.split('data-tally="')[1][:12]
    assert desk.get(at("cull_strip", gallery) + f"?have={tally}").status_code == 204
    PhotoAids.objects.filter(photo=photos[3]).update(bright=0.5)
    again = desk.get(at("cull_strip", gallery) + f"?have={tally}")
    assert "Bright parts of the face are clipped" in again.content.decode()
    proofing.mark(photo_id=photos[0].pk, rating=3, by=ANA, now=NOW)
    newer = again.content.decode().split('data-tally="')[1][:12]
    assert desk.get(at("cull_strip", gallery) + f"?have={newer}").status_code == 200


def test_frames_from_before_are_looked_at_when_asked(desk: Browser, gallery: Gallery) -> None:
    make_photos(gallery, 3, now=NOW)
    answer = desk.post(at("cull_look", gallery), follow=True)
    assert "3 frames are still being looked at" in answer.content.decode()
    assert Job.objects.filter(kind=JobKind.AIDS).count() == 3


def test_no_client_page_knows_an_aid() -> None:
    pages = [
        *Path("templates/galleries").glob("proof*.html"),
        *Path("templates/galleries").glob("gallery*.html"),
    ]
    assert len(pages) >= 4
    assert [page.name for page in pages if "advice" in page.read_text() or "aids" in page.read_text()] == []


# --- one to one


def test_every_pixel_is_made_on_demand_once_and_dropped_after_a_week(
    desk: Browser, gallery: Gallery, photos, monkeypatch, django_capture_on_commit_callbacks
) -> None:
    monkeypatch.setattr(jobs, "_MODULES", ("renditions",))
    photo = photos[0].public_id
    assert desk.post(at("cull_loupe", gallery), {"photo": photo}).json() == {"url": ""}
    assert desk.post(at("cull_loupe", gallery), {"photo": photo}).json() == {"url": ""}
    assert jobs.work_next(now=timezone.now()) is True
    assert jobs.work_next(now=timezone.now()) is False
    told = desk.get(at("cull_loupe", gallery) + f"?photo={photo}").json()
    assert told["width"] == 512
    assert desk.get(told["url"])["Content-Type"] == "image/jpeg"
    row = Rendition.objects.get(recipe="loupe")
    later = timezone.now() + culling.LOUPE_LASTS + timedelta(minutes=1)
    with django_capture_on_commit_callbacks(execute=True):
        assert culling.drop_loupes(now=timezone.now()) == 0
        assert culling.drop_loupes(now=later) == 1
    assert not storage.exists(storage.derived(), row.key)
    assert culling.ask_loupe(photo=photos[0], now=later) is None  # and may be asked for again
    assert jobs.work_next(now=later) is True
    assert Rendition.objects.filter(recipe="loupe").count() == 1


def test_only_so_many_full_sizes_are_on_their_way_and_kept(
    gallery: Gallery, monkeypatch, django_capture_on_commit_callbacks
) -> None:
    monkeypatch.setattr(culling, "LOUPES_WAITING", 2)
    monkeypatch.setattr(culling, "LOUPES_KEPT", 1)
    made = make_photos(gallery, 4, now=NOW)
    for photo in made:
        culling.ask_loupe(photo=photo, now=NOW)
    assert Job.objects.filter(kind=JobKind.RENDITIONS).count() == 2
    rows = []
    for photo in made[:3]:
        row = store_screen(photo, now=NOW)
        Rendition.objects.filter(pk=row.pk).update(recipe="loupe")
        rows.append(row.pk)
    with django_capture_on_commit_callbacks(execute=True):
        assert culling.drop_loupes(now=NOW) == 2
    assert list(Rendition.objects.filter(recipe="loupe").values_list("pk", flat=True)) == rows[-1:]


def test_a_client_never_sees_a_full_size(gallery: Gallery, photos) -> None:
    Photo.objects.update(is_published=True)
    row = photos[0].renditions.get()
    for recipe, may_see in (("thumb", True), ("loupe", False)):
        row.recipe = recipe
        row.save()
        assert pictures.may_client_see(Rendition.objects.get(pk=row.pk), now=NOW) is may_see
