"""Crops that a person sets: in shares, inside the picture, used by the finals, and guided by a head nobody keeps."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.test import Client as Browser
from django.urls import reverse

from bookings.models import Consent, ConsentPurpose
from galleries import delivery, jobs, pictures, proofing, renditions, retouching, workbench
from galleries.imaging.crop import Head, Point
from galleries.imaging.recipes import FINALS, PREVIEWS, SCREEN
from galleries.imaging.refusals import refuse
from galleries.models import (
    CropSpec,
    DeliveredFile,
    Delivery,
    Gallery,
    Job,
    PickCrop,
    Rendition,
    Retouch,
    Version,
)
from galleries.retouching import RetouchRefused, crops
from galleries.retouching.crops import Place
from galleries.statuses import GalleryStatus
from studio.models import Role
from tests.galleries.framing import ANA, make_photo, store_original
from tests.galleries.making import make_gallery, make_user, sign_in
from tests.html import assert_no_inline

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
HEAD = Head(
    Point(430, 500), Point(570, 500), Point(500, 720), Point(500, 280)
)  # of a 1000 × 1250 screen rendition


@pytest.fixture
def gallery(db: None, media_storage: Path, monkeypatch: pytest.MonkeyPatch) -> Gallery:
    """One pick with one version of 2000 × 2500 pixels, in retouching."""
    gallery = make_gallery(now=NOW, clock_started_at=NOW)
    photo = make_photo(gallery, 1, now=NOW)
    store_original(photo, now=NOW)
    proofing.pick(photo_id=photo.pk, by=ANA, now=NOW)
    proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=NOW)
    version = Version.objects.create(
        retouch=gallery.retouches.get(),
        number=1,
        kind="draft",
        input_sha256="a",
        output_sha256="b",
        key="s/r/v.jpg",
        size=1,
        crc32=1,
        width=2000,
        height=2500,
        made_at=NOW,
        actor_kind="worker",
        guard="passed",
    )
    Rendition.objects.create(
        photo=photo, version=version, recipe=SCREEN.name, recipe_version=1, digest="", key="s/screen.jpg",
        width=1000, height=1250, size=1, sha256="c", crc32=1, made_at=NOW,
    )  # fmt: skip
    monkeypatch.setattr(workbench, "head_of", lambda key: HEAD)
    gallery.refresh_from_db()
    return gallery


def pick(gallery: Gallery) -> tuple[Retouch, Version]:
    retouch = gallery.retouches.select_related("pick__photo", "gallery__shoot__booking__location").get()
    return retouch, retouch.versions.get()


def keep(gallery: Gallery, place: Place, recipe: str = "square") -> PickCrop:
    retouch, version = pick(gallery)
    return crops.set_crop(
        retouch_id=retouch.pk, version_id=version.pk, recipe=recipe, place=place, by=ANA, now=NOW
    )


def test_the_height_follows_from_the_recipe_and_shares_become_pixels(gallery: Gallery) -> None:
    keep(gallery, Place(0.1, 0.2, 0.5, 0.0, 1.5))
    square = crops.crops_of(pick(gallery)[1])["square"]
    assert (square.left, square.top, square.width, square.height) == (200, 500, 1000, 1000)
    assert square.rotation == 1.5
    keep(gallery, Place(0.1, 0.2, 0.5, 0.0), "portrait")
    portrait = crops.crops_of(pick(gallery)[1])["portrait"]
    assert (portrait.width, portrait.height) == (1000, 1250)


@pytest.mark.parametrize(
    "place", [Place(0.6, 0, 0.5, 0), Place(0, 0.5, 0.9, 0), Place(-0.1, 0, 0.5, 0), Place(0, 0, 0.01, 0)]
)
def test_a_crop_outside_of_the_picture_is_refused(gallery: Gallery, place: Place) -> None:
    with pytest.raises(RetouchRefused, match="inside the picture"):
        keep(gallery, place)
    assert not PickCrop.objects.exists()


def test_it_holds_for_versions_of_the_same_proportions_only(gallery: Gallery) -> None:
    keep(gallery, Place(0.1, 0.1, 0.5, 0))
    _retouch, version = pick(gallery)
    version.width, version.height = 4000, 5000
    assert crops.crops_of(version)["square"].width == 2000
    version.width, version.height = 3000, 3000  # cropped outside
    assert crops.crops_of(version) == {}


def test_a_preset_goes_by_the_head_and_says_what_is_missing(gallery: Gallery) -> None:
    retouch, version = pick(gallery)
    found = crops.suggest(retouch, version, "square")
    assert found.eyes == pytest.approx(0.4)
    eye_line = (found.eyes - found.place.top) / found.place.height
    assert eye_line == pytest.approx(0.42, abs=0.005)
    firm = CropSpec.objects.create(name="Example Ltd", head_share=0.7, eye_line=0.4)
    tighter = crops.suggest(retouch, version, "square", firm)
    assert tighter.place.height < found.place.height
    assert 440 * 2 / (tighter.place.height * 2500) == pytest.approx(0.7, abs=0.01)


def test_no_face_is_looked_for_without_the_sitters_leave(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    Consent.objects.create(
        shoot=gallery.shoot,
        sitter=gallery.shoot.sitter,
        purpose=ConsentPurpose.FACE_PROCESSING,
        is_given=False,
        answered_at=NOW,
    )

    def never(key: str) -> Head:
        raise AssertionError("a face was looked for")

    monkeypatch.setattr(workbench, "head_of", never)
    retouch, version = pick(gallery)
    found = crops.suggest(retouch, version, "square")
    assert (found.notes, found.eyes) == (("no_face",), None)


@pytest.mark.parametrize("answer", [None, True, False])
def test_the_finals_are_placed_by_the_face_only_with_the_sitters_leave(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, answer: bool | None
) -> None:
    if answer is not None:
        Consent.objects.create(
            shoot=gallery.shoot,
            sitter=gallery.shoot.sitter,
            purpose=ConsentPurpose.FACE_PROCESSING,
            is_given=answer,
            answered_at=NOW,
        )
    asked: dict[str, object] = {}
    monkeypatch.setattr(
        renditions.child, "make", lambda *files, **facts: asked.update(facts) or refuse("crashed")
    )
    with pytest.raises(jobs.JobRefused):
        renditions.ensure(photo=pick(gallery)[0].pick.photo, recipes=FINALS, now=NOW)
    assert asked["look_for_head"] is (answer is not False)


def made(version: Version, cut: dict[str, object]) -> None:
    """What a worker makes of an approved version, as rows."""
    photo = version.retouch.pick.photo
    look = renditions.look_of(photo.gallery)
    for recipe in (*FINALS, *PREVIEWS):
        digest = renditions.digest(recipe, renditions.parameters_of(recipe, look, crops=cut))  # type: ignore[arg-type]
        Rendition.objects.get_or_create(
            photo=photo, version=version, recipe=recipe.name, recipe_version=recipe.version, digest=digest,
            defaults={"key": f"s/{recipe.name}-{digest}.jpg", "width": 1, "height": 1, "size": 1, "sha256": "d",
                      "crc32": 1, "made_at": NOW},
        )  # fmt: skip


def test_the_finals_of_an_approved_picture_are_cut_again_and_only_those_count(gallery: Gallery) -> None:
    retouch, version = pick(gallery)
    retouching.approve(retouch_id=retouch.pk, version_id=version.pk, by=ANA, now=NOW)
    made(version, {})
    assert delivery.missing(gallery) == []
    Gallery.objects.filter(pk=gallery.pk).update(status=GalleryStatus.READY)
    before = Job.objects.filter(kind="finals").count()

    keep(gallery, Place(0.1, 0.1, 0.5, 0))
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.RETOUCHING
    assert Job.objects.filter(kind="finals").count() == before + 1
    assert delivery.missing(gallery) == ["The files of 1 picture are still being made."]
    cut = crops.crops_of(version)
    assert set(cut) == {"square", "preview-square"}
    made(version, dict(cut))
    assert delivery.missing(gallery) == []
    final = delivery.finals_of([version])[version.pk]["square"]
    assert final.digest == crops.digests_of([version])[version.pk, "square"]

    assert crops.clear_crop(retouch_id=retouch.pk, recipe="square", by=ANA, now=NOW)
    assert delivery.missing(gallery) == ["The files of 1 picture are still being made."]
    assert not crops.clear_crop(retouch_id=retouch.pk, recipe="square", by=ANA, now=NOW)


def test_a_delivered_file_cut_otherwise_is_kept_and_does_not_count(gallery: Gallery) -> None:
    """What the client has got is never taken away; the next delivery waits for the new one."""
    retouch, version = pick(gallery)
    retouching.approve(retouch_id=retouch.pk, version_id=version.pk, by=ANA, now=NOW)
    made(version, {})
    square = delivery.finals_of([version])[version.pk]["square"]
    given = Delivery.objects.create(gallery=gallery, number=1, delivered_at=NOW, actor_kind="worker")
    DeliveredFile.objects.create(delivery=given, rendition=square, name="a-01-square.jpg", position=1)
    keep(gallery, Place(0.1, 0.1, 0.5, 0))
    assert Rendition.objects.filter(pk=square.pk).exists()
    assert "square" not in delivery.finals_of([version])[version.pk]
    assert delivery.missing(gallery) == ["The files of 1 picture are still being made."]


def test_a_worker_cuts_the_finals_where_it_was_set(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    retouch, version = pick(gallery)
    keep(gallery, Place(0.1, 0.1, 0.5, 0))
    asked: dict[str, object] = {}
    monkeypatch.setattr(renditions, "ensure", lambda **facts: asked.update(facts) or [])
    retouching.approve(retouch_id=retouch.pk, version_id=version.pk, by=ANA, now=NOW)
    version.refresh_from_db()
    job = Job.objects.get(kind="finals")
    jobs.known_handlers()["finals"](job, NOW)
    assert asked["crops"] == crops.crops_of(version)


# --- the page


@pytest.fixture
def desk(client: Browser, db: None) -> Browser:
    sign_in(client, make_user(Role.RETOUCHER))
    return client


def test_the_page_shows_the_preset_first_and_keeps_what_is_set(desk: Browser, gallery: Gallery) -> None:
    retouch, _version = pick(gallery)
    assert pictures.of(retouch.pick.photo, SCREEN.name, version=_version)
    there = reverse("crop", args=[retouch.public_id])
    first = desk.get(there, {"recipe": "square"}).content.decode()
    assert_no_inline(first)
    assert "it is placed by itself" in first
    facts = {"recipe": "square", "version": 1, "left": "10", "top": "12.5", "width": "60", "rotation": "-1"}
    kept = desk.post(reverse("crop_save", args=[retouch.public_id]), facts, follow=True).content.decode()
    assert "Kept. The finals are cut like this." in kept
    assert 'value="12.5"' in kept
    row = PickCrop.objects.get()
    assert (row.left, row.rotation) == (0.1, -1.0)
    desk.post(reverse("crop_save", args=[retouch.public_id]), {"recipe": "square", "clear": "1"})
    assert not PickCrop.objects.exists()


@pytest.mark.parametrize("facts", [{"left": "much"}, {"left": "nan"}, {"left": "90", "width": "60"}, {}])
def test_bad_numbers_get_a_sentence(desk: Browser, gallery: Gallery, facts: dict[str, str]) -> None:
    retouch, _version = pick(gallery)
    full = {"recipe": "square", "top": "0", **facts}
    answer = desk.post(reverse("crop_save", args=[retouch.public_id]), full, follow=True).content.decode()
    assert ("Please give numbers." in answer) or ("inside the picture" in answer)
    assert not PickCrop.objects.exists()


def test_a_preset_is_worked_out_when_asked(desk: Browser, gallery: Gallery) -> None:
    retouch, _version = pick(gallery)
    place = desk.get(reverse("crop_place", args=[retouch.public_id]), {"recipe": "portrait"}).json()
    assert 0 < place["width"] <= 100
    assert desk.get(reverse("crop_place", args=[retouch.public_id]), {"recipe": "moon"}).status_code == 404
