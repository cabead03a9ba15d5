"""Culling aids: compared within one shoot, allowed by the sitter, and advice only."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bookings.models import Consent, ConsentPurpose
from galleries import culling, frames, jobs, proofing
from galleries.imaging import child
from galleries.imaging.aids import Aids
from galleries.models import Gallery, JobKind, Photo, PhotoAids
from tests.galleries.framing import ANA, make_photo, make_photos, store_original
from tests.galleries.making import make_gallery

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
LOOK = "a" * 64


@pytest.fixture
def gallery(db: None, media_storage: Path) -> Gallery:
    return make_gallery(now=NOW)


def aids_of(photo: Photo, **facts: object) -> PhotoAids:
    usual: dict[str, object] = {
        "sharpness": 0.4,
        "lid_gap": 0.7,
        "bright": 0.0,
        "dark": 0.0,
        "likeness": LOOK,
        "looked_for_faces": True,
        "measured_at": NOW,
    }
    return PhotoAids.objects.create(photo=photo, **{**usual, **facts})


def answer(gallery: Gallery, *, is_given: bool, at: datetime = NOW) -> None:
    Consent.objects.create(
        shoot=gallery.shoot,
        sitter=gallery.shoot.sitter,
        purpose=ConsentPurpose.FACE_PROCESSING,
        is_given=is_given,
        answered_at=at,
    )


def words(gallery: Gallery) -> list[list[str]]:
    return [each.advice.words if each.advice else [] for each in culling.cull(gallery)]


def test_each_frame_is_judged_beside_the_others_of_its_shoot(gallery: Gallery) -> None:
    one, two, three, four = make_photos(gallery, 4, now=NOW)
    aids_of(one)
    aids_of(two, sharpness=0.2)
    aids_of(three, lid_gap=0.3)
    aids_of(four, bright=0.2, dark=0.3)
    assert words(gallery) == [
        [],
        ["Softer than the others"],
        ["Eyes look closed"],
        ["Bright parts of the face are clipped", "Dark parts of the face are clipped"],
    ]


def test_narrow_eyes_are_nobodys_closed_eyes(gallery: Gallery) -> None:
    """Measured against the person's own median: a person whose lids are always near is not called blinking."""
    for photo in make_photos(gallery, 4, now=NOW):
        aids_of(photo, lid_gap=0.33)
    assert words(gallery) == [[], [], [], []]


def test_two_frames_are_too_few_to_compare(gallery: Gallery) -> None:
    one, two = make_photos(gallery, 2, now=NOW)
    aids_of(one)
    aids_of(two, sharpness=0.01, lid_gap=0.01)
    assert words(gallery) == [[], []]


def test_neighbours_that_look_alike_and_came_within_seconds_are_a_stack(gallery: Gallery) -> None:
    times = [0, 1, 2, 600, 601]
    made = [
        make_photo(gallery, number, now=NOW, captured_at=NOW + timedelta(seconds=at))
        for number, at in enumerate(times, 1)
    ]
    for photo, likeness in zip(made, [LOOK, LOOK, "5" * 64, "5" * 64, "5" * 64], strict=True):
        aids_of(photo, likeness=likeness)
    stacks = [(each.stack, each.stack_place, each.stack_size) for each in culling.cull(gallery)]
    assert stacks == [(1, 1, 2), (1, 2, 2), (0, 0, 0), (2, 1, 2), (2, 2, 2)]


def test_advice_hides_and_orders_nothing(gallery: Gallery) -> None:
    made = make_photos(gallery, 4, now=NOW)
    for photo, sharpness in zip(made, (0.01, 0.4, 0.4, 0.4), strict=True):
        aids_of(photo, sharpness=sharpness, lid_gap=0.01)
    Photo.objects.update(is_published=True)
    assert [each.photo.number for each in culling.cull(gallery)] == [1, 2, 3, 4]
    assert [frame.photo.number for frame in frames.for_client(gallery)] == [1, 2, 3, 4]
    assert proofing.proofs_to_publish(gallery).count() == 4


@pytest.mark.parametrize(
    ("show", "numbers"),
    [
        ("all", [1, 2, 3, 4]),
        ("unmarked", [4]),
        ("recommended", [1]),
        ("rejected", [2]),
        ("rated", [3]),
        ("sharp", [1, 3, 4]),
        ("nonsense", [1, 2, 3, 4]),
    ],
)
def test_the_view_narrows_to(gallery: Gallery, show: str, numbers: list[int]) -> None:
    one, two, three, four = make_photos(gallery, 4, now=NOW)
    for photo in (one, three, four):
        aids_of(photo)
    aids_of(two, sharpness=0.1)
    proofing.mark(photo_id=one.pk, is_recommended=True, by=ANA, now=NOW)
    proofing.mark(photo_id=two.pk, is_rejected=True, by=ANA, now=NOW)
    proofing.mark(photo_id=three.pk, rating=4, by=ANA, now=NOW)
    assert [each.photo.number for each in culling.cull(gallery, show=show)] == numbers


def test_looking_keeps_numbers_and_waits_for_what_clients_wait_for(gallery: Gallery, monkeypatch) -> None:
    seen = Aids(sharpness=0.5, lid_gap=0.6, bright=0.0, dark=0.1, likeness=LOOK, faces=1)
    monkeypatch.setattr(child, "aids", lambda path, look_for_faces: seen)
    photo = make_photo(gallery, 1, now=NOW)
    store_original(photo, now=NOW)
    job = culling.state_aids(photo=photo, gallery=gallery, now=NOW)
    client_waits = jobs.state(JobKind.RENDITIONS, gallery=gallery, photo=photo, now=NOW)
    assert job.urgent_at > client_waits.urgent_at
    culling.look(job, NOW)
    culling.look(job, NOW)
    photo.refresh_from_db()
    row = PhotoAids.objects.get()
    assert (row.sharpness, row.lid_gap, row.dark, row.likeness) == (0.5, 0.6, 0.1, LOOK)
    assert (row.looked_for_faces, photo.faces) == (True, 1)
    assert culling.state_missing(gallery=gallery, now=NOW) == 0


@pytest.mark.parametrize("mode", ["notice", "release"])
def test_a_face_is_looked_for_only_where_the_sitter_allows_it(
    gallery: Gallery, monkeypatch, mode: str
) -> None:
    asked: list[bool] = []

    def look(path: Path, look_for_faces: bool) -> Aids:
        asked.append(look_for_faces)
        return Aids(0.5, None, 0.0, 0.0, LOOK, faces=None)

    monkeypatch.setattr(child, "aids", look)
    location = gallery.shoot.booking.location
    location.face_processing = mode
    location.save()
    photo = make_photo(gallery, 1, now=NOW)
    store_original(photo, now=NOW)
    job = culling.state_aids(photo=photo, gallery=gallery, now=NOW)
    for is_given in (None, False, True):
        if is_given is not None:
            answer(gallery, is_given=is_given)
        job.refresh_from_db()
        culling.look(job, NOW)
    assert asked == [mode == "notice", False, True]


def test_what_was_read_from_a_face_goes_when_the_sitter_says_no(gallery: Gallery) -> None:
    one, two = make_photos(gallery, 2, now=NOW)
    aids_of(one)
    aids_of(two, looked_for_faces=False, lid_gap=None)
    assert culling.forget_refused(now=NOW) == 0
    answer(gallery, is_given=False)
    assert [each.advice is None for each in culling.cull(gallery)] == [True, False]
    assert culling.forget_refused(now=NOW + timedelta(minutes=1)) == 1
    assert [row.photo_id for row in PhotoAids.objects.all()] == [two.pk]


def test_nothing_of_landmarks_is_stored() -> None:
    kept = {field.name for field in PhotoAids._meta.get_fields()}
    numbers = {"sharpness", "lid_gap", "bright", "dark", "likeness", "looked_for_faces", "measured_at"}
    assert kept == {"id", "photo", *numbers}
