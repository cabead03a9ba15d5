"""A whole card: real pictures with real codes in them find their shoots, and the tray holds what is not clear."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from galleries import cards, clocks, codes, jobs, receiving, watching
from galleries.imaging import child
from galleries.models import CameraClock, Card, Gallery, Photo, Upload
from galleries.statuses import UploadStatus
from studio import storage, verification
from studio.actors import WORKER
from studio.models import Role
from tests.galleries.making import make_client, make_gallery, make_location, make_shoot, make_user, sign_in
from tests.galleries.slating import frame, photographed

DAY = datetime(2026, 11, 16, tzinfo=UTC)  # London: no difference to UTC in November
NOW = DAY + timedelta(hours=18)

pytestmark = pytest.mark.django_db(transaction=True)


def at(clock: str, *, fast_by: timedelta = timedelta()) -> datetime:
    """What the camera's clock shows: naive."""
    hours, minutes, *seconds = (int(part) for part in clock.split(":"))
    return datetime(2026, 11, 16, hours, minutes, *seconds) + fast_by


@pytest.fixture
def three(transactional_db: None, media_storage: Path) -> list[Gallery]:
    """Three sessions of one day at one place: 9, 10:15 and 13 o'clock, an hour each."""
    place = make_location()
    return [
        make_gallery(
            now=NOW,
            shoot=make_shoot(
                now=NOW,
                location=place,
                starts_at=DAY + timedelta(minutes=minutes),
                client=make_client(now=NOW, name=name),
            ),
        )
        for name, minutes in (("Ana", 540), ("Bea", 615), ("Cai", 780))
    ]


@pytest.fixture
def card(three: list[Gallery]) -> Card:
    return cards.open_card(location=three[0].shoot.booking.location, by=WORKER, now=NOW)


def drop(card: Card, data: bytes, name: str) -> Upload:
    upload = receiving.open_upload(card=card, name=name, size=len(data), by=WORKER, now=NOW)
    receiving.append(upload_id=upload.pk, at=0, chunks=[data], now=NOW)
    return upload


def work(now: datetime = NOW) -> None:
    while jobs.work_next(now=now):
        pass


def where(card: Card) -> dict[str, str]:
    """`name: name of the sitter`, the status, or the doubt."""
    rows = card.uploads.select_related("gallery__shoot__sitter")
    return {
        row.name: row.doubt_code
        or (
            row.status
            if row.status != "accepted" or row.gallery is None
            else str(row.gallery.shoot.sitter.name)
        )
        for row in rows
    }


def broken(now: datetime = NOW) -> list[str]:
    return [line for check in verification.invariants() for line in check.find(now)]


def slate(gallery: Gallery, taken_at: datetime, **how: object) -> bytes:
    return photographed(codes.slate_text(gallery.shoot.code), taken_at, **how)  # type: ignore[arg-type]


def test_a_card_with_three_slates_is_sorted_and_the_doubtful_wait(card: Card, three: list[Gallery]) -> None:
    ana, bea, cai = three
    ahead = timedelta(hours=-7, minutes=3)  # the camera has never been told the time
    drop(card, frame(at("8:40", fast_by=ahead), shade=1), "DSC_0001.JPG")  # light test
    drop(card, slate(ana, at("9:01", fast_by=ahead), turn=20, lean=0.1), "DSC_0002.JPG")
    drop(card, frame(at("9:05", fast_by=ahead), shade=2), "DSC_0003.JPG")
    drop(card, frame(at("9:06", fast_by=ahead), shade=3), "DSC_0004.JPG")
    drop(card, slate(bea, at("10:14", fast_by=ahead), share=0.12, contrast=0.35), "DSC_0005.JPG")
    drop(card, frame(at("10:20", fast_by=ahead), shade=4), "DSC_0006.JPG")
    drop(card, slate(cai, at("13:01", fast_by=ahead), turn=170, orientation=6), "DSC_0007.JPG")
    drop(card, frame(at("13:10", fast_by=ahead), shade=5), "DSC_0008.JPG")
    drop(card, frame(at("17:30", fast_by=ahead), shade=6), "DSC_0009.JPG")  # long after the last session
    drop(card, frame(None, shade=7), "DSC_0010.JPG")
    work()
    assert set(where(card).values()) == {"sorting"}  # nothing before the sender said that this was all
    cards.close(card_id=card.pk, by=WORKER, now=NOW)
    work()
    assert where(card) == {
        "DSC_0001.JPG": "before_slate",
        "DSC_0002.JPG": "filed",
        "DSC_0003.JPG": "Ana",
        "DSC_0004.JPG": "Ana",
        "DSC_0005.JPG": "filed",
        "DSC_0006.JPG": "Bea",
        "DSC_0007.JPG": "filed",
        "DSC_0008.JPG": "Cai",
        "DSC_0009.JPG": "long_after",
        "DSC_0010.JPG": "no_time",
    }
    assert Photo.objects.count() == 4  # no slate is a picture of anybody
    doubts = list(cards.tray([card.location_id]).values_list("doubt", flat=True))
    assert "It was taken before the first slate of this card." in doubts
    assert broken() == []


def test_a_person_says_where_a_doubtful_frame_belongs(card: Card, three: list[Gallery]) -> None:
    stray = drop(card, frame(at("9:30"), shade=1), "DSC_1.JPG")
    test_shot = drop(card, frame(at("9:31"), shade=2), "DSC_2.JPG")
    cards.close(card_id=card.pk, by=WORKER, now=NOW)
    work()
    assert where(card) == {"DSC_1.JPG": "unknown_clock", "DSC_2.JPG": "unknown_clock"}
    stray.refresh_from_db()
    assert stray.guess == three[0]
    assert storage.exists(storage.derived(), stray.look_key)
    assert cards.assign(upload_ids=[stray.pk], gallery_id=three[1].pk, by=WORKER, now=NOW) == 1
    assert cards.assign(upload_ids=[stray.pk], gallery_id=three[2].pk, by=WORKER, now=NOW) == 0
    assert cards.leave_out(upload_ids=[test_shot.pk], by=WORKER, now=NOW) == 1
    work()
    assert where(card) == {"DSC_1.JPG": "Bea", "DSC_2.JPG": "refused"}
    assert list(three[1].photos.values_list("name", flat=True)) == ["DSC_1.JPG"]
    assert not storage.exists(storage.originals(), test_shot.key)
    assert broken() == []


def test_the_photographed_clock_sets_the_camera_and_the_tray_empties_itself(
    card: Card, three: list[Gallery]
) -> None:
    wrong = timedelta(hours=5, minutes=-2)
    drop(card, frame(at("9:30", fast_by=wrong), shade=1), "DSC_1.JPG")
    cards.close(card_id=card.pk, by=WORKER, now=NOW)
    work()
    assert where(card) == {"DSC_1.JPG": "unknown_clock"}
    later = cards.open_card(location=card.location, by=WORKER, now=NOW)
    shown = DAY + timedelta(hours=18, minutes=1)
    drop(later, photographed(codes.clock_text(shown), at("18:01", fast_by=wrong)), "DSC_2.JPG")
    cards.close(card_id=later.pk, by=WORKER, now=NOW)
    work()
    row = CameraClock.objects.get()
    assert (row.camera, row.offset_seconds, row.how) == ("NIKON Z 6", -wrong.total_seconds(), "photographed")
    assert (where(card), where(later)) == ({"DSC_1.JPG": "Ana"}, {"DSC_2.JPG": "filed"})


def test_two_bodies_of_a_model_have_a_clock_each(card: Card, three: list[Gallery]) -> None:
    body = f"NIKON Z 6 · {sha256(b'11').hexdigest()[:4]}"
    clocks.set_offset(
        camera=body,
        offset=timedelta(hours=1),
        how=CameraClock.How.TYPED,
        by=WORKER,
        now=NOW,
    )
    drop(card, frame(at("8:30"), shade=1, serial="11"), "A_1.JPG")
    drop(card, frame(at("9:30"), shade=2, serial="22"), "B_1.JPG")
    cards.close(card_id=card.pk, by=WORKER, now=NOW)
    work()
    assert where(card) == {"A_1.JPG": "Ana", "B_1.JPG": "unknown_clock"}


def test_slates_of_another_studio_and_other_codes_decide_nothing(card: Card, three: list[Gallery]) -> None:
    foreign = f"LK:S:{three[0].shoot.code}:AAAAAAAA"
    drop(card, photographed(foreign, at("9:00")), "DSC_1.JPG")
    drop(card, photographed("https://example.test/menu", at("9:01"), share=0.31), "DSC_2.JPG")
    cards.close(card_id=card.pk, by=WORKER, now=NOW)
    work()
    assert where(card) == {"DSC_1.JPG": "unknown_clock", "DSC_2.JPG": "unknown_clock"}


def test_a_card_that_is_not_whole_is_not_sorted(card: Card, three: list[Gallery]) -> None:
    cards.expect(card_id=card.pk, count=2)
    drop(card, frame(at("9:30")), "DSC_1.JPG")
    work()
    with pytest.raises(cards.NotWhole, match="1 files"):
        cards.close(card_id=card.pk, by=WORKER, now=NOW)
    clocks.set_offset(camera="NIKON Z 6", offset=timedelta(), how=CameraClock.How.TYPED, by=WORKER, now=NOW)
    cards.sweep(now=NOW + timedelta(minutes=10))
    assert where(card) == {"DSC_1.JPG": "sorting"}
    cards.sweep(now=NOW + timedelta(hours=25))
    assert where(card) == {"DSC_1.JPG": "cut_short"}  # a slate may be missing: a person decides
    Card.objects.filter(pk=card.pk).update(closed_at=None, is_cut_short=False)
    cards.close(card_id=card.pk, by=WORKER, now=NOW, is_said_whole=True)
    work()
    assert where(card) == {"DSC_1.JPG": "Ana"}


def test_a_slate_that_is_still_on_its_way_is_waited_for(card: Card, three: list[Gallery]) -> None:
    data = slate(three[1], at("9:00"))
    coming = receiving.open_upload(card=card, name="DSC_1.JPG", size=len(data), by=WORKER, now=NOW)
    receiving.append(upload_id=coming.pk, at=0, chunks=[data[:5000]], now=NOW)
    drop(card, frame(at("9:05")), "DSC_2.JPG")
    cards.close(card_id=card.pk, by=WORKER, now=NOW)
    work()
    assert where(card) == {"DSC_1.JPG": "receiving", "DSC_2.JPG": "sorting"}
    receiving.append(upload_id=coming.pk, at=5000, chunks=[data[5000:]], now=NOW)
    work()
    assert where(card) == {"DSC_1.JPG": "filed", "DSC_2.JPG": "Bea"}


def test_a_watched_card_is_sorted_as_it_comes(three: list[Gallery]) -> None:
    live = cards.open_card(location=three[0].shoot.booking.location, is_live=True, by=WORKER, now=NOW)
    drop(live, slate(three[1], at("10:15")), "DSC_1.JPG")
    work()
    drop(live, frame(at("10:16")), "DSC_2.JPG")
    work()
    assert where(live) == {"DSC_1.JPG": "filed", "DSC_2.JPG": "Bea"}


def test_what_a_dead_worker_left_unsorted_is_sorted_by_the_sweep(
    card: Card, three: list[Gallery], monkeypatch
) -> None:
    drop(card, slate(three[0], at("9:00")), "DSC_1.JPG")
    drop(card, frame(at("9:01")), "DSC_2.JPG")
    with monkeypatch.context() as patch:
        patch.setattr(cards, "sort_if_whole", lambda **facts: 0)
        cards.close(card_id=card.pk, by=WORKER, now=NOW)
        work()
    assert set(where(card).values()) == {"sorting"}
    later = NOW + timedelta(minutes=6)
    assert [line for line in broken(later) if "card" in line] != []
    assert cards.sweep(now=later).sorted == 1
    work(later)
    assert where(card) == {"DSC_1.JPG": "filed", "DSC_2.JPG": "Ana"}


def test_what_nobody_sorts_expires_and_says_so(card: Card, three: list[Gallery]) -> None:
    upload = drop(card, frame(at("9:30")), "DSC_1.JPG")
    cards.close(card_id=card.pk, by=WORKER, now=NOW)
    work()
    late = NOW + timedelta(days=91)
    assert cards.sweep(now=NOW + timedelta(days=89)).expired == 0
    assert cards.sweep(now=late).expired == 1
    receiving.sweep(now=late)
    upload.refresh_from_db()
    assert (upload.status, upload.finished_at) == (UploadStatus.EXPIRED, late)
    assert list(storage.listed(storage.originals())) == list(storage.listed(storage.derived())) == []


def test_a_watched_folder_and_ingest_sort_by_slates(three: list[Gallery], tmp_path: Path, capsys) -> None:
    place = three[0].shoot.booking.location
    folder = tmp_path / "tether"
    folder.mkdir()
    card = watching.live_card(place, folder, now=NOW)
    watcher = watching.Watcher(folder, lambda: watching.live_card(place, folder, now=NOW), lambda words: None)
    for number, data in enumerate([slate(three[1], at("10:15")), frame(at("10:16"))]):
        (folder / f"DSC_{number}.JPG").write_bytes(data)
        for second in range(3):
            watcher.step(seconds=number * 10.0 + second, now=NOW)
            work()
    assert where(card) == {"DSC_0.JPG": "filed", "DSC_1.JPG": "Bea"}
    assert sorted(path.name for path in (folder / "done").iterdir()) == ["DSC_0.JPG", "DSC_1.JPG"]
    copied = tmp_path / "card"
    copied.mkdir()
    (copied / "A_1.JPG").write_bytes(slate(three[2], at("13:00"), serial="2"))
    (copied / "A_2.JPG").write_bytes(frame(at("13:01"), serial="2"))
    call_command("ingest", str(copied), place=place.name)
    work(timezone.now())
    assert "2 of 2 files received" in capsys.readouterr().out
    assert where(Card.objects.get(source="ingest")) == {"A_1.JPG": "filed", "A_2.JPG": "Cai"}


def test_a_slate_among_the_frames_of_a_chosen_booking_is_filed_away(three: list[Gallery]) -> None:
    data = slate(three[0], at("9:00"))
    upload = receiving.open_upload(gallery=three[0], name="DSC_1.JPG", size=len(data), by=WORKER, now=NOW)
    receiving.append(upload_id=upload.pk, at=0, chunks=[data], now=NOW)
    work()
    upload.refresh_from_db()
    assert (upload.status, upload.refusal) == ("filed", "A slate: kept, but no picture.")
    assert Photo.objects.count() == 0
    assert broken() == []


def test_a_filed_picture_is_taken_back_once_and_its_code_decides_nothing_more(
    card: Card, three: list[Gallery]
) -> None:
    """Ana held a page with Bea's code: the frame goes where its time says."""
    clocks.set_offset(camera="NIKON Z 6", offset=timedelta(), how=CameraClock.How.TYPED, by=WORKER, now=NOW)
    filed = drop(card, slate(three[1], at("9:20")), "A_1.JPG")
    cards.close(card_id=card.pk, by=WORKER, now=NOW)
    work()
    assert where(card) == {"A_1.JPG": "filed"}
    assert cards.is_picture(upload_id=filed.pk, by=WORKER, now=NOW)
    assert not cards.is_picture(upload_id=filed.pk, by=WORKER, now=NOW)
    work()
    assert where(card) == {"A_1.JPG": "Ana"}
    assert Photo.objects.get().gallery == three[0]
    assert broken() == []


def test_a_filed_picture_of_a_chosen_booking_is_checked_again(three: list[Gallery]) -> None:
    data = slate(three[0], at("9:00"))
    upload = receiving.open_upload(gallery=three[0], name="DSC_1.JPG", size=len(data), by=WORKER, now=NOW)
    receiving.append(upload_id=upload.pk, at=0, chunks=[data], now=NOW)
    work()
    assert cards.is_picture(upload_id=upload.pk, by=WORKER, now=NOW)
    assert not cards.is_picture(upload_id=upload.pk, by=WORKER, now=NOW)
    work()
    upload.refresh_from_db()
    assert (upload.status, upload.refusal, Photo.objects.get().gallery) == ("accepted", "", three[0])
    assert broken() == []


def test_only_who_may_sort_says_that_it_is_a_picture(card: Card, three: list[Gallery]) -> None:
    filed = drop(card, slate(three[1], at("9:20")), "A_1.JPG")
    cards.close(card_id=card.pk, by=WORKER, now=NOW)
    work()
    address = reverse("upload_is_picture", args=[filed.public_id])
    there, elsewhere = Browser(), Browser()
    sign_in(there, make_user(Role.PHOTOGRAPHER, location=card.location))
    sign_in(elsewhere, make_user(Role.PHOTOGRAPHER, location=make_location()))
    assert elsewhere.post(address).status_code == 404
    assert where(card) == {"A_1.JPG": "filed"}
    page = there.get(reverse("card", args=[card.public_id])).content.decode()
    assert "This is a picture" in page
    assert "counts as a picture now" in there.post(address, follow=True).content.decode()
    assert "Nothing was changed" in there.post(address, follow=True).content.decode()
    assert where(card)["A_1.JPG"] != "filed"


@pytest.mark.parametrize(
    "how",
    [
        {"share": 0.9},
        {"share": 0.08},
        {"turn": 45},
        {"turn": 133, "lean": 0.15},
        {"contrast": 0.15},
        {"share": 0.12, "turn": 75, "lean": 0.1, "contrast": 0.4, "noise": 12},
        {"orientation": 8, "turn": 10},
    ],
    ids=["filling", "small", "turned", "leaning", "faint", "all of it", "on its side"],
)
def test_a_code_is_read_however_it_is_held(tmp_path: Path, how: dict[str, float]) -> None:
    path = tmp_path / "slate.jpg"
    path.write_bytes(photographed(codes.slate_text("ABC123"), at("9:00"), **how))  # type: ignore[arg-type]
    seen = child.look(path, out=tmp_path / "look.jpg")
    assert codes.read(getattr(seen, "codes", ())) == ([codes.Slate("ABC123")], [])
    assert (tmp_path / "look.jpg").stat().st_size > 1000
