"""Choosing: who may choose when, how many, and what a submission sets in motion."""

from datetime import UTC, datetime, timedelta

import pytest

from galleries import choosing_panels, proofing, selection_out
from galleries.models import Gallery, JobKind, Note, PauseReason, Photo, Pick
from galleries.proofing import (
    ChoosingRefused,
    NothingPicked,
    SelectionClosed,
    TooManyPicks,
    TooManyProofs,
)
from galleries.statuses import GalleryStatus
from studio.models import Credential, Message, Role
from studio.transitions import move
from tests.galleries.framing import ANA, CLIENT, make_photo, make_photos
from tests.galleries.making import make_gallery, make_user

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)


@pytest.fixture
def gallery(db: None) -> Gallery:
    """Open, two finals included, its clock started."""
    return make_gallery(now=NOW, clock_started_at=NOW)


def published(gallery: Gallery, count: int = 4, **fields: object) -> list[Photo]:
    photos = make_photos(gallery, count, now=NOW, **fields)
    proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=NOW)
    gallery.refresh_from_db()
    return photos


# --- marks


def test_mark_sets_only_what_is_named(gallery: Gallery) -> None:
    photo = make_photo(gallery, 1, now=NOW, rating=3)
    marked = proofing.mark(photo_id=photo.pk, is_recommended=True, by=ANA, now=NOW)
    assert (marked.rating, marked.is_recommended, marked.is_rejected) == (3, True, False)


def test_rejecting_takes_the_recommendation_back_and_the_reverse(gallery: Gallery) -> None:
    photo = make_photo(gallery, 1, now=NOW, is_recommended=True)
    proofing.mark(photo_id=photo.pk, is_rejected=True, by=ANA, now=NOW)
    photo.refresh_from_db()
    assert (photo.is_recommended, photo.is_rejected) == (False, True)
    proofing.mark(photo_id=photo.pk, is_recommended=True, by=ANA, now=NOW)
    photo.refresh_from_db()
    assert (photo.is_recommended, photo.is_rejected) == (True, False)


@pytest.mark.parametrize("rating", [-1, 6])
def test_a_rating_is_zero_to_five(gallery: Gallery, rating: int) -> None:
    photo = make_photo(gallery, 1, now=NOW)
    with pytest.raises(ValueError, match="0 to 5"):
        proofing.mark(photo_id=photo.pk, rating=rating, by=ANA, now=NOW)


# --- publishing


def test_publishing_shows_the_marked_frames_only(gallery: Gallery) -> None:
    make_photo(gallery, 1, now=NOW)
    make_photo(gallery, 2, now=NOW, is_recommended=True)
    make_photo(gallery, 3, now=NOW, rating=2)
    make_photo(gallery, 4, now=NOW, rating=5, is_rejected=True)
    assert proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=NOW) == 2
    assert [p.number for p in gallery.photos.filter(is_published=True)] == [2, 3]


def test_publishing_without_marks_shows_all_but_the_rejected(gallery: Gallery) -> None:
    make_photos(gallery, 3, now=NOW)
    make_photo(gallery, 4, now=NOW, is_rejected=True)
    assert proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=NOW) == 3


def test_publishing_pauses_the_clock_and_writes_once(gallery: Gallery) -> None:
    published(gallery)
    assert gallery.status == GalleryStatus.PROOFING
    assert gallery.deliver_by is None
    pause = gallery.pauses.get()
    assert (pause.reason, pause.ended_at) == (PauseReason.CHOOSING, None)
    message = Message.objects.get(name="proofs_published")
    assert message.to_address == proofing.sitter_of(gallery).email  # type: ignore[union-attr]
    assert "/open/" in message.body_text
    assert "Choose the 2 we should finish" in message.body_text


def test_publishing_again_adds_new_frames_without_a_second_mail_or_pause(gallery: Gallery) -> None:
    published(gallery, 2)
    make_photo(gallery, 3, now=NOW)
    assert proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=NOW + DAY) == 1
    assert gallery.photos.filter(is_published=True).count() == 3
    assert Message.objects.filter(name="proofs_published").count() == 1
    assert gallery.pauses.count() == 1


def test_more_than_thirty_proofs_are_published_only_when_sure(gallery: Gallery) -> None:
    make_photos(gallery, 31, now=NOW)
    with pytest.raises(TooManyProofs) as many:
        proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=NOW)
    assert many.value.count == 31
    assert gallery.photos.filter(is_published=True).count() == 0
    assert proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=NOW, is_sure=True) == 31


def test_nothing_to_publish_is_refused(gallery: Gallery) -> None:
    with pytest.raises(ChoosingRefused, match="no picture to publish"):
        proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=NOW)
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.OPEN


# --- picks


def test_picks_are_held_to_the_finals_included(gallery: Gallery) -> None:
    one, two, three, _four = published(gallery)
    for photo in (one, two):
        proofing.pick(photo_id=photo.pk, by=CLIENT, now=NOW)
    with pytest.raises(TooManyPicks, match="2 finished pictures are included"):
        proofing.pick(photo_id=three.pk, by=CLIENT, now=NOW)
    proofing.unpick(photo_id=one.pk, by=CLIENT, now=NOW)
    proofing.pick(photo_id=three.pk, by=CLIENT, now=NOW)
    assert {row.photo_id for row in proofing.chosen(gallery)} == {two.pk, three.pk}


def test_picking_twice_is_one_pick(gallery: Gallery) -> None:
    photo = published(gallery)[0]
    first = proofing.pick(photo_id=photo.pk, by=CLIENT, now=NOW)
    again = proofing.pick(photo_id=photo.pk, by=CLIENT, now=NOW + DAY)
    assert first.pk == again.pk
    assert again.picked_at == NOW


def test_a_client_cannot_pick_before_publishing_or_an_unpublished_frame(gallery: Gallery) -> None:
    photo = make_photo(gallery, 1, now=NOW)
    with pytest.raises(SelectionClosed, match="not ready"):
        proofing.pick(photo_id=photo.pk, by=CLIENT, now=NOW)
    proofing.mark(photo_id=photo.pk, is_rejected=True, by=ANA, now=NOW)
    make_photo(gallery, 2, now=NOW)
    proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=NOW)
    with pytest.raises(Photo.DoesNotExist):
        proofing.pick(photo_id=photo.pk, by=CLIENT, now=NOW)
    assert Pick.objects.count() == 0


def test_the_photographer_picks_while_the_gallery_is_open(gallery: Gallery) -> None:
    photo = make_photo(gallery, 1, now=NOW)
    chosen = proofing.pick(photo_id=photo.pk, by=ANA, now=NOW)
    assert (chosen.actor_kind, chosen.actor_label) == ("user", "Ana Photographer")


def test_hiding_takes_the_pick_back_and_picking_shows_again(gallery: Gallery) -> None:
    photo = published(gallery)[0]
    proofing.pick(photo_id=photo.pk, by=CLIENT, now=NOW)
    proofing.hide(photo_id=photo.pk, by=CLIENT, now=NOW)
    photo.refresh_from_db()
    assert (photo.is_hidden, gallery.picks.count()) == (True, 0)
    proofing.pick(photo_id=photo.pk, by=CLIENT, now=NOW)
    photo.refresh_from_db()
    assert (photo.is_hidden, gallery.picks.count()) == (False, 1)


def test_use_needs_a_pick_and_is_kept_short(gallery: Gallery) -> None:
    photo = published(gallery)[0]
    with pytest.raises(ChoosingRefused, match="Choose the picture first"):
        proofing.label_use(photo_id=photo.pk, use="LinkedIn", by=CLIENT, now=NOW)
    proofing.pick(photo_id=photo.pk, by=CLIENT, now=NOW)
    proofing.label_use(photo_id=photo.pk, use="  my \n site  " + "x" * 99, by=CLIENT, now=NOW)
    assert Pick.objects.get().use == ("my site " + "x" * 99)[:60]


# --- notes


def test_a_note_replaces_the_writers_own_and_empty_words_remove_it(gallery: Gallery) -> None:
    photo = published(gallery)[0]
    proofing.note(photo_id=photo.pk, words="the studio says", by=ANA, now=NOW)
    proofing.note(photo_id=photo.pk, words="first", by=CLIENT, now=NOW)
    proofing.note(photo_id=photo.pk, words="<b>second</b>", by=CLIENT, now=NOW)
    assert [note.words for note in photo.notes.all()] == ["the studio says", "<b>second</b>"]
    proofing.note(photo_id=photo.pk, words="  ", by=CLIENT, now=NOW)
    assert [note.words for note in photo.notes.all()] == ["the studio says"]


def test_every_pin_is_a_note_of_its_own_and_lies_in_the_picture(gallery: Gallery) -> None:
    photo = published(gallery)[0]
    proofing.note(photo_id=photo.pk, words="all of it", by=CLIENT, now=NOW)
    for place in (0.0, 0.5, 1.0):
        proofing.note(photo_id=photo.pk, words="here", by=CLIENT, now=NOW, pin=(place, place))
    assert Note.objects.filter(photo=photo).count() == 4


def test_a_hundred_pins_are_kept_and_an_endless_list_is_not(gallery: Gallery) -> None:
    photo = published(gallery)[0]
    for number in range(proofing.MOST_NOTES):
        proofing.note(photo_id=photo.pk, words=f"pin {number}", by=CLIENT, now=NOW, pin=(0.5, 0.5))
    with pytest.raises(ChoosingRefused, match="very many notes"):
        proofing.note(photo_id=photo.pk, words="one more", by=CLIENT, now=NOW, pin=(0.5, 0.5))


# --- the submission


def test_choosing_together_submits_without_a_pause(gallery: Gallery) -> None:
    photos = make_photos(gallery, 3, now=NOW)
    for photo in photos[:2]:
        proofing.pick(photo_id=photo.pk, by=ANA, now=NOW)
    assert proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=NOW) is True
    gallery.refresh_from_db()
    assert (gallery.status, gallery.selection_submitted_at) == (GalleryStatus.RETOUCHING, NOW)
    assert gallery.pauses.count() == 0
    assert gallery.retouches.count() == 2
    assert gallery.jobs.filter(kind=JobKind.DRAFT).count() == 2


def test_what_was_chosen_together_stands_on_the_clients_page(gallery: Gallery) -> None:
    photos = make_photos(gallery, 3, now=NOW)
    proofing.pick(photo_id=photos[1].pk, by=ANA, now=NOW)
    proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=NOW)
    assert [p.number for p in gallery.photos.filter(is_published=True)] == [2]
    proofing.reopen_selection(gallery_id=gallery.pk, by=ANA, now=NOW)
    assert gallery.photos.filter(is_published=True).count() == 1
    proofing.mark(photo_id=photos[2].pk, is_recommended=True, by=ANA, now=NOW)
    assert proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=NOW) == 1


def test_choosing_at_home_ends_the_pause_and_the_promise_runs_again(gallery: Gallery) -> None:
    photo = published(gallery)[0]
    proofing.pick(photo_id=photo.pk, by=CLIENT, now=NOW)
    proofing.submit_selection(gallery_id=gallery.pk, by=CLIENT, now=NOW + DAY)
    gallery.refresh_from_db()
    assert gallery.pauses.get().ended_at == NOW + DAY
    assert gallery.deliver_by is not None
    job = gallery.jobs.get(kind=JobKind.DRAFT)
    assert job.urgent_at == gallery.deliver_by
    mail = Message.objects.get(name="selection_received")
    assert "we have your choice: one picture" in mail.body_text


def test_submitting_twice_is_one_submission(gallery: Gallery) -> None:
    photo = published(gallery)[0]
    proofing.pick(photo_id=photo.pk, by=CLIENT, now=NOW)
    assert proofing.submit_selection(gallery_id=gallery.pk, by=CLIENT, now=NOW) is True
    assert proofing.submit_selection(gallery_id=gallery.pk, by=CLIENT, now=NOW) is False
    assert gallery.retouches.count() == 1
    assert Message.objects.filter(name="selection_received").count() == 1


def test_an_empty_or_overfull_selection_is_refused(gallery: Gallery) -> None:
    photos = published(gallery)
    with pytest.raises(NothingPicked):
        proofing.submit_selection(gallery_id=gallery.pk, by=CLIENT, now=NOW)
    for photo in photos[:2]:
        proofing.pick(photo_id=photo.pk, by=CLIENT, now=NOW)
    Gallery.objects.filter(pk=gallery.pk).update(finals_included=1)
    with pytest.raises(TooManyPicks):
        proofing.submit_selection(gallery_id=gallery.pk, by=CLIENT, now=NOW)
    gallery.refresh_from_db()
    assert (gallery.status, gallery.retouches.count()) == (GalleryStatus.PROOFING, 0)


def test_after_the_submission_every_change_is_refused_with_a_sentence(gallery: Gallery) -> None:
    one, two = published(gallery)[:2]
    proofing.pick(photo_id=one.pk, by=CLIENT, now=NOW)
    proofing.submit_selection(gallery_id=gallery.pk, by=CLIENT, now=NOW)
    changes = [
        lambda: proofing.pick(photo_id=two.pk, by=CLIENT, now=NOW),
        lambda: proofing.unpick(photo_id=one.pk, by=CLIENT, now=NOW),
        lambda: proofing.hide(photo_id=two.pk, by=CLIENT, now=NOW),
        lambda: proofing.note(photo_id=one.pk, words="late", by=CLIENT, now=NOW),
        lambda: proofing.label_use(photo_id=one.pk, use="late", by=CLIENT, now=NOW),
        lambda: proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=NOW),
    ]
    for change in changes:
        with pytest.raises(SelectionClosed, match="sent already"):
            change()
    assert [row.photo_id for row in gallery.picks.all()] == [one.pk]


def test_a_client_cannot_submit_what_was_never_published(gallery: Gallery) -> None:
    photo = make_photo(gallery, 1, now=NOW)
    proofing.pick(photo_id=photo.pk, by=ANA, now=NOW)
    with pytest.raises(SelectionClosed):
        proofing.submit_selection(gallery_id=gallery.pk, by=CLIENT, now=NOW)


# --- reopening


def test_reopening_does_not_pause_and_orders_only_the_new_picks(gallery: Gallery) -> None:
    one, two = published(gallery)[:2]
    proofing.pick(photo_id=one.pk, by=CLIENT, now=NOW)
    proofing.submit_selection(gallery_id=gallery.pk, by=CLIENT, now=NOW)
    assert proofing.reopen_selection(gallery_id=gallery.pk, by=ANA, now=NOW + DAY) is True
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.PROOFING
    assert gallery.pauses.filter(ended_at=None).count() == 0
    assert gallery.deliver_by is not None
    proofing.pick(photo_id=two.pk, by=CLIENT, now=NOW + DAY)
    proofing.submit_selection(gallery_id=gallery.pk, by=CLIENT, now=NOW + DAY)
    assert gallery.retouches.count() == 2
    assert gallery.jobs.filter(kind=JobKind.DRAFT).count() == 2
    assert Message.objects.filter(name="selection_received").count() == 2


def test_taking_a_pick_back_after_reopening_forgets_its_order(gallery: Gallery) -> None:
    one = published(gallery)[0]
    proofing.pick(photo_id=one.pk, by=CLIENT, now=NOW)
    proofing.submit_selection(gallery_id=gallery.pk, by=CLIENT, now=NOW)
    proofing.reopen_selection(gallery_id=gallery.pk, by=ANA, now=NOW)
    proofing.unpick(photo_id=one.pk, by=CLIENT, now=NOW)
    assert (gallery.retouches.count(), gallery.picks.count()) == (0, 0)
    assert gallery.jobs.filter(kind=JobKind.DRAFT).count() == 0


def test_a_delivered_selection_is_not_reopened(gallery: Gallery) -> None:
    Gallery.objects.filter(pk=gallery.pk).update(status=GalleryStatus.RETOUCHING, delivered_at=NOW)
    with pytest.raises(SelectionClosed, match="delivered"):
        proofing.reopen_selection(gallery_id=gallery.pk, by=ANA, now=NOW)


# --- export


def test_the_selection_comes_out_as_camera_names(gallery: Gallery) -> None:
    photos = make_photos(gallery, 3, now=NOW)
    for photo in (photos[2], photos[0]):
        proofing.pick(photo_id=photo.pk, by=ANA, now=NOW)
    assert selection_out.camera_names(gallery) == "DSC_0003\nDSC_0001\n"


def test_the_csv_quotes_words_and_never_holds_a_formula(gallery: Gallery) -> None:
    photo = make_photo(gallery, 1, now=NOW, name="=cmd|' /C calc'!A0.jpg", rating=4)
    proofing.pick(photo_id=photo.pk, by=ANA, now=NOW)
    proofing.label_use(photo_id=photo.pk, use="@press", by=ANA, now=NOW)
    proofing.note(photo_id=photo.pk, words='a "quoted", line\nbreak', by=ANA, now=NOW)
    assert selection_out.selection_csv(gallery) == (
        "number,camera_file,use,rating,notes\r\n"
        '1,\'=cmd|\' /C calc\'!A0.jpg,\'@press,4,"a ""quoted"", line\nbreak"\r\n'
    )


# --- a silent client


def reminders() -> list[str]:
    return list(Message.objects.filter(name="proofs_reminder").order_by("id").values_list("once", flat=True))


def test_reminders_come_on_days_one_three_and_seven_once_each(gallery: Gallery) -> None:
    published(gallery)
    pause = gallery.pauses.get()
    for hours in range(0, 24 * 10, 6):
        proofing.sweep(now=NOW + timedelta(hours=hours))
    assert reminders() == [f"proofs_reminder:{pause.pk}:{day}" for day in (1, 3, 7)]
    assert Credential.objects.count() == 4  # one link per mail, none per sweep
    body = Message.objects.filter(name="proofs_reminder").order_by("id").first().body_text  # type: ignore[union-attr]
    assert "we finish the pictures your photographer recommends" in body
    assert "Thursday 26 November" in body


def test_a_late_sweep_sends_only_the_latest_reminder(gallery: Gallery) -> None:
    published(gallery)
    assert proofing.sweep(now=NOW + 8 * DAY).reminders == 1
    assert [once.rpartition(":")[2] for once in reminders()] == ["7"]


def test_no_reminder_after_the_submission(gallery: Gallery) -> None:
    photo = published(gallery)[0]
    proofing.pick(photo_id=photo.pk, by=CLIENT, now=NOW)
    proofing.submit_selection(gallery_id=gallery.pk, by=CLIENT, now=NOW)
    assert proofing.sweep(now=NOW + 11 * DAY) == proofing.Swept(0, 0)


def test_on_day_ten_the_clients_picks_and_then_the_recommended_frames_are_taken(gallery: Gallery) -> None:
    photos = make_photos(gallery, 4, now=NOW, rating=1)
    proofing.mark(photo_id=photos[3].pk, is_recommended=True, by=ANA, now=NOW)
    proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=NOW)
    proofing.pick(photo_id=photos[1].pk, by=CLIENT, now=NOW)
    assert proofing.sweep(now=NOW + 10 * DAY).finished == 1
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.RETOUCHING
    assert {row.photo.number for row in proofing.chosen(gallery)} == {2, 4}
    assert "as we wrote" in Message.objects.get(name="selection_received").body_text


def test_without_any_word_of_the_photographer_nothing_is_taken(gallery: Gallery) -> None:
    published(gallery)
    assert proofing.sweep(now=NOW + 20 * DAY).finished == 0
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.PROOFING


def test_nothing_marked_on_day_ten_tells_the_studio_once_and_the_first_mark_sets_it_off(
    gallery: Gallery,
) -> None:
    published(gallery)
    owner = make_user(Role.OWNER)
    for minute in range(3):
        proofing.sweep(now=NOW + 10 * DAY + timedelta(minutes=minute))
    told = Message.objects.get(name="choosing_stuck")
    assert told.to_address == owner.email
    assert "Recommend the frames" in told.body_text
    (line,) = choosing_panels.choosing(now=NOW + 10 * DAY)["lines"]
    assert (line.is_stuck, line.lacks_mark) == (True, True)

    frame = gallery.photos.first()
    proofing.mark(photo_id=frame.pk, is_recommended=True, by=ANA, now=NOW + 11 * DAY)
    assert proofing.sweep(now=NOW + 11 * DAY).finished == 1
    assert [row.photo_id for row in proofing.chosen(gallery)] == [frame.pk]
    assert choosing_panels.choosing(now=NOW + 11 * DAY) is None


def test_one_gallery_that_crashes_does_not_hold_up_the_next(gallery: Gallery, monkeypatch) -> None:
    published(gallery)
    other = make_gallery(now=NOW, clock_started_at=NOW)
    published(other)
    real = proofing.locked
    monkeypatch.setattr(
        proofing,
        "locked",
        lambda pk: (_ for _ in ()).throw(RuntimeError("no")) if pk == gallery.pk else real(pk),
    )
    assert proofing.sweep(now=NOW + DAY).reminders == 1


def test_a_cancelled_gallery_takes_no_picks(gallery: Gallery) -> None:
    photo = make_photo(gallery, 1, now=NOW)
    move(Gallery, gallery.pk, "cancel", by=ANA, now=NOW)
    with pytest.raises(SelectionClosed, match="cancelled"):
        proofing.pick(photo_id=photo.pk, by=ANA, now=NOW)
