"""Pictures: a signature alone opens nothing, and everybody sees only what is theirs to see now."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.template import Context, Template
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from galleries import jobs, pictures, renditions
from galleries.imaging.recipes import FINAL_WEB, GRID, PROOF, PROOF_UNPAID, SCREEN, THUMB
from galleries.models import DeliveredFile, Delivery, Gallery, Photo, Pick, Rendition, Retouch, Version
from studio import credentials, storage
from studio.actors import WORKER
from studio.models import Role
from studio.transitions import begin
from tests.galleries.making import make_gallery, make_location, make_user, sign_in
from tests.galleries.test_renditions import original

EVERY = (THUMB, GRID, PROOF, PROOF_UNPAID, SCREEN)


@pytest.fixture
def gallery(db: None, media_storage: Path, monkeypatch: pytest.MonkeyPatch) -> Gallery:
    monkeypatch.setattr(renditions, "is_money_open", lambda gallery: False)
    return make_gallery(now=timezone.now())


@pytest.fixture
def photo(gallery: Gallery) -> Photo:
    photo = original(gallery)
    renditions.ensure(photo=photo, recipes=EVERY, now=timezone.now())
    Photo.objects.filter(pk=photo.pk).update(is_published=True)
    return photo


def staff_of(*roles: Role, **facts: object) -> Browser:
    browser = Browser()
    sign_in(browser, make_user(*roles, **facts))  # type: ignore[arg-type]
    return browser


def client_of(gallery: Gallery) -> Browser:
    """A browser that has opened this gallery's link."""
    browser = Browser()
    link = credentials.grant(scope="gallery", target=gallery.public_id, now=timezone.now())
    assert browser.get(link.url.removeprefix("http://testserver")).status_code == 302
    return browser


def seen(browser: Browser, rows: list[Rendition]) -> list[str]:
    """The recipes this browser is shown."""
    shown = []
    for row in rows:
        answer = browser.get(pictures.picture_url(row))
        assert answer.status_code in (200, 404)
        if answer.status_code == 200:
            assert b"".join(answer.streaming_content)[:2] == b"\xff\xd8"  # type: ignore[attr-defined]
            shown.append(row.recipe)
    return shown


def of(photo: Photo) -> list[Rendition]:
    return list(photo.renditions.filter(version=None).order_by("pk"))


def test_everybody_sees_what_is_theirs(gallery: Gallery, photo: Photo) -> None:
    rows = of(photo)
    everything = [recipe.name for recipe in EVERY]
    assert seen(Browser(), rows) == []
    assert seen(client_of(gallery), rows) == ["thumb", "grid", "proof"]
    assert seen(client_of(make_gallery(now=timezone.now())), rows) == []
    assert seen(staff_of(Role.PHOTOGRAPHER), rows) == everything
    assert seen(staff_of(Role.RETOUCHER, location=gallery.shoot.booking.location), rows) == everything
    assert seen(staff_of(Role.PHOTOGRAPHER, location=make_location()), rows) == []
    assert seen(staff_of(Role.ARTIST), rows) == []


def test_a_shared_link_sees_no_proof(gallery: Gallery, photo: Photo) -> None:
    link = credentials.grant(
        scope="gallery", target=gallery.public_id, now=timezone.now(), holder_email="ana@agency.test"
    )
    ana = Browser()
    ana.get(link.url.removeprefix("http://testserver"))
    assert seen(ana, of(photo)) == []


def test_a_refused_picture_does_not_end_the_session_that_has_just_begun(
    gallery: Gallery, photo: Photo
) -> None:
    browser = client_of(gallery)
    before = browser.cookies["session"].value
    link = credentials.grant(scope="gallery", target=gallery.public_id, now=timezone.now())
    browser.get(link.url.removeprefix("http://testserver"))
    assert browser.cookies["session"].value != before
    browser.cookies["session"] = before  # asked for by the page that was open before
    answer = browser.get(pictures.picture_url(of(photo)[0]))
    assert (answer.status_code, list(answer.cookies)) == (404, [])


@pytest.mark.parametrize(
    "change",
    [
        lambda photo: Photo.objects.filter(pk=photo.pk).update(is_published=False),
        lambda photo: Photo.objects.filter(pk=photo.pk).update(is_hidden=True),
        lambda photo: Gallery.objects.filter(pk=photo.gallery_id).update(status="cancelled"),
        lambda photo: Gallery.objects.filter(pk=photo.gallery_id).update(
            proofs_expire_at=timezone.now() - timedelta(seconds=1)
        ),
        lambda photo: credentials.revoke(scope="gallery", target=photo.gallery.public_id, now=timezone.now()),
    ],
    ids=["unpublished", "hidden", "cancelled", "expired", "revoked"],
)
def test_what_ends_a_right_ends_the_picture(
    gallery: Gallery, photo: Photo, change: Callable[[Photo], object]
) -> None:
    browser = client_of(gallery)
    assert seen(browser, of(photo)) == ["thumb", "grid", "proof"]
    change(photo)
    assert seen(browser, of(photo)) == []


def test_while_money_is_open_the_client_sees_the_patterned_proof(
    gallery: Gallery, photo: Photo, monkeypatch
) -> None:
    monkeypatch.setattr(renditions, "is_money_open", lambda gallery: True)
    assert seen(client_of(gallery), of(photo)) == ["thumb", "proof-unpaid"]


def version_of(gallery: Gallery, photo: Photo) -> Version:
    now = timezone.now()
    pick = Pick.objects.create(gallery=gallery, photo=photo, picked_at=now, actor_kind="client")
    retouch = begin(Retouch(pick=pick, gallery=gallery, created_at=now), by=WORKER, now=now)
    file = photo.files.get()
    return Version.objects.create(
        retouch=retouch,
        number=1,
        kind="untouched",
        input_sha256=file.sha256,
        output_sha256=file.sha256,
        key=file.key,
        store="originals",
        size=file.size,
        crc32=file.crc32,
        width=photo.width,
        height=photo.height,
        made_at=now,
        actor_kind="worker",
    )


def test_finals_are_shown_only_once_delivered(gallery: Gallery, photo: Photo) -> None:
    now = timezone.now()
    version = version_of(gallery, photo)
    rows = renditions.ensure(photo=photo, version=version, recipes=[FINAL_WEB, SCREEN], now=now)
    browser = client_of(gallery)
    assert seen(browser, rows) == []
    Gallery.objects.filter(pk=gallery.pk).update(status="delivered")
    assert seen(browser, rows) == []
    delivery = Delivery.objects.create(gallery=gallery, number=1, delivered_at=now, actor_kind="worker")
    DeliveredFile.objects.create(delivery=delivery, rendition=rows[0], name="ada-01-web.jpg", position=1)
    assert seen(browser, rows) == ["web"]
    Gallery.objects.filter(pk=gallery.pk).update(finals_expire_at=now - timedelta(seconds=1))
    assert seen(browser, rows) == []


def test_a_version_is_shown_to_the_client_while_they_look(gallery: Gallery, photo: Photo) -> None:
    version = version_of(gallery, photo)
    rows = renditions.ensure(photo=photo, version=version, recipes=[PROOF, SCREEN], now=timezone.now())
    browser = client_of(gallery)
    assert seen(browser, rows) == []
    Retouch.objects.update(shown_version=version, status="in_review")
    assert seen(browser, rows) == ["proof"]


def test_forged_and_expired_names_look_like_unknown_ones(gallery: Gallery, photo: Photo) -> None:
    browser = staff_of(Role.OWNER)
    row = of(photo)[0]
    long_ago = timezone.now() - timedelta(days=3)
    paths = [
        pictures.picture_url(row)[:-2] + "xx",
        pictures.picture_url(row, now=long_ago),
        reverse("picture", args=[storage.signed_path("other", row.public_id, now=timezone.now())]),
        reverse("picture", args=[storage.signed_path("rendition", "nobody", now=timezone.now())]),
        reverse("picture", args=[row.public_id]),
    ]
    assert [browser.get(path).status_code for path in paths] == [404] * 5


def test_headers_ranges_and_304(gallery: Gallery, photo: Photo) -> None:
    browser = client_of(gallery)
    row = of(photo)[0]
    url = pictures.picture_url(row)
    whole = browser.get(url)
    assert whole.headers["Cache-Control"] == "private, max-age=86400"
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.headers["Content-Type"] == "image/jpeg"
    assert whole.headers["Content-Length"] == str(row.size)
    body = b"".join(whole.streaming_content)  # type: ignore[attr-defined]
    part = browser.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.headers["Content-Range"]) == (206, f"bytes 10-19/{row.size}")
    assert b"".join(part.streaming_content) == body[10:20]  # type: ignore[attr-defined]
    assert browser.get(url, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    assert browser.head(url).headers["Content-Length"] == str(row.size)
    assert browser.post(url).status_code == 405


def test_the_tag_writes_ground_sizes_and_srcset(gallery: Gallery, photo: Photo) -> None:
    Photo.objects.filter(pk=photo.pk).update(dominant_colour="#aabbcc")
    photo.refresh_from_db()
    written = Template('{% load gallery_pictures %}{% picture photo "grid" alt=words %}')
    html = written.render(Context({"photo": photo, "words": "A <b>"}))
    grid = pictures.of(photo, "grid")
    assert grid is not None
    assert 'fill="#aabbcc"' in html
    assert f'width="{grid.width}" height="{grid.height}" alt="A &lt;b&gt;"' in html
    assert html.count("w,") + 1 == 2  # thumb and grid
    assert "style=" not in html
    waiting = Template('{% load gallery_pictures %}{% picture photo "web" %}').render(
        Context({"photo": photo})
    )
    assert "The picture is being prepared." in waiting and "<img" not in waiting


def test_missing_renditions_are_stated_when_money_becomes_open(gallery: Gallery, monkeypatch) -> None:
    photo = original(gallery)
    renditions.ensure(photo=photo, recipes=renditions.WANTED, now=timezone.now())
    assert renditions.state_missing(gallery=gallery, now=timezone.now()) == 0
    monkeypatch.setattr(renditions, "is_money_open", lambda gallery: True)
    assert renditions.state_missing(gallery=gallery, now=timezone.now()) == 1
    monkeypatch.setattr(jobs, "_MODULES", ("renditions",))
    assert jobs.work_next(now=timezone.now())
    assert renditions.missing_of(photo) == []
