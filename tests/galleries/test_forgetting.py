"""A person is forgotten: everything goes that must, the books stay, and no fault in the middle leaves a half."""

from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.db import transaction
from django.test import Client as Browser
from django.test import TestCase
from django.urls import reverse
from django.utils import timezone

from bookings import forgetting as words
from bookings import ledger
from bookings.models import Booking, Consent, Invoice, Payment, PaymentMethod, Shoot, Voucher, WaitingPlace
from bookings.people import known_client
from bookings.statuses import WaitingStatus
from galleries import coldstore, copies, forgetting, invariants, jobs, year_later
from galleries.models import (
    Card,
    DataCopy,
    Delivery,
    Erasure,
    Gallery,
    Job,
    JobKind,
    Leak,
    Photo,
    PhotoFile,
    Upload,
)
from galleries.statuses import CopyStatus, ErasureStatus, GalleryStatus, UploadStatus
from studio import outbox, storage
from studio.actors import WORKER, Actor, ActorKind
from studio.models import Credential, Message, MessageStatus, Role
from studio.transitions import begin, move
from studio.verification import invariants as every_invariant
from tests import factories
from tests.galleries.framing import make_photo
from tests.galleries.making import make_client, make_gallery, make_shoot, make_user, sign_in
from tests.galleries.somebody import MARK, Somebody, make_somebody, objects_left, words_left

pytestmark = pytest.mark.django_db
OWNER = Actor(ActorKind.USER, 1, "Olive Owner")


@pytest.fixture
def robin(media_storage: Path, now) -> Somebody:
    return make_somebody(now=now)


def want(robin: Somebody, *, now) -> Erasure:
    return forgetting.want(client_id=robin.client.pk, typed=robin.client.name, by=OWNER, now=now)


def work(now) -> None:
    """Every step that is due, as the worker's bell rings."""
    while forgetting.work_next(now=now):
        pass


def send(now) -> None:
    while outbox.send_next(now=now):
        pass


def erased(robin: Somebody, *, now) -> Erasure:
    erasure = want(robin, now=now)
    work(now)
    send(now)
    work(now + timedelta(minutes=1))
    erasure.refresh_from_db()
    assert (erasure.status, erasure.waits_for) == (ErasureStatus.DONE, "")
    return erasure


def broken(now) -> list[str]:
    """What verify says of this person's rows and of all objects."""
    later = now + timedelta(hours=4)
    found = [*invariants.erased_people_are_gone(later), *invariants.acknowledged_bytes_are_kept(later)]
    found += invariants.objects_and_rows_agree(timezone.now() + timedelta(hours=1))
    return [line for line in found if "versions/" not in line]  # Versions have no files in these tests


# --- what goes and what stays


def test_no_word_and_no_byte_of_them_is_left_but_on_the_invoice(robin, now):
    assert len(set(words_left())) > 30  # the test knows where to look
    assert len(objects_left()) == 9
    erased(robin, now=now)
    assert set(words_left()) == {"bookings.Invoice.buyer"}
    assert objects_left() == []
    assert broken(now) == []


def test_books_stay_as_they_were(robin, now):
    booking = robin.shoot.booking
    before = [
        list(Payment.objects.values("amount", "method", "payer_id", "received_at")),
        list(Invoice.objects.values()),
        Booking.objects.values("price", "starts_at", "status").get(pk=booking.pk),
        Gallery.objects.values("was_on_time", "delivered_at", "promise").get(pk=robin.gallery.pk),
        Delivery.objects.values("number", "delivered_at").get(),
    ]
    erased(robin, now=now)
    assert before == [
        list(Payment.objects.values("amount", "method", "payer_id", "received_at")),
        list(Invoice.objects.values()),
        Booking.objects.values("price", "starts_at", "status").get(pk=booking.pk),
        Gallery.objects.values("was_on_time", "delivered_at", "promise").get(pk=robin.gallery.pk),
        Delivery.objects.values("number", "delivered_at").get(),
    ]
    codes = {"I2", "I6", "I7", "I9", "I10"}
    lines = [
        line
        for one in every_invariant()
        if one.code in codes and "gateway" not in one.sentence
        for line in one.find(now)
    ]
    assert lines == []


def test_name_says_since_when_and_nothing_else_is_known(robin, now):
    erased(robin, now=now)
    robin.client.refresh_from_db()
    assert robin.client.name == "Erased on 16 November 2026"
    assert robin.client.erased_at == now
    assert (robin.client.email, robin.client.mobile, robin.client.firm) == ("", "", "")


def test_last_letter_goes_to_the_old_address_and_the_address_goes_after_it(robin, now):
    address = robin.client.email
    erasure = want(robin, now=now)
    work(now)
    letter = Message.objects.get(name="person_erased")
    erasure.refresh_from_db()
    assert (letter.to_address, letter.client_id, erasure.status) == (address, None, ErasureStatus.TELLING)
    assert f"Hello Rob {MARK}" in letter.body_text and "receipts" in letter.body_text
    work(now + timedelta(minutes=1))
    assert erasure.status == ErasureStatus.TELLING  # not before it is sent
    send(now)
    work(now + timedelta(minutes=2))
    letter.refresh_from_db()
    erasure.refresh_from_db()
    assert (letter.status, letter.to_address, letter.body_text) == (MessageStatus.SENT, "", "")
    assert (erasure.status, erasure.was_told) == (ErasureStatus.DONE, True)
    assert [sent.to for sent in mail.outbox if address in sent.to[0]] == [
        [f'"{robin.client.name}" <{address}>']
    ]


def test_letter_that_never_arrives_does_not_keep_the_address(robin, now):
    erasure = want(robin, now=now)
    work(now)
    letter = Message.objects.get(name="person_erased")
    move(Message, letter.pk, "claim", by=WORKER, now=now)
    move(Message, letter.pk, "fail", by=WORKER, now=now, last_error=f"550 no {robin.client.email}")
    work(now + timedelta(minutes=1))
    erasure.refresh_from_db()
    assert (erasure.status, erasure.was_told) == (ErasureStatus.DONE, False)
    assert set(words_left()) == {"bookings.Invoice.buyer"}


def test_owners_are_told_without_a_name(robin, now):
    owner = factories.user(email="olive@northlight.example")
    erased(robin, now=now)
    told = Message.objects.get(name="desk_person_erased")
    assert told.to_address == owner.email and MARK not in told.body_text.lower()
    assert (
        "2 pictures, 11 files" in told.body_text
    )  # originals, proofs, sizes, a version, a slate, one given up


def test_consents_are_withdrawn_and_lists_are_left(robin, now):
    erased(robin, now=now)
    assert [row.is_given for row in Consent.objects.order_by("pk")] == [True, False]
    assert WaitingPlace.objects.get().status == WaitingStatus.LEFT


def test_closed_leak_stays_as_a_record_without_names(robin, now):
    erased(robin, now=now)
    leak = Leak.objects.get()
    assert (leak.photo, leak.words, leak.message, leak.outcome) == (None, "", "", "")
    assert [line["who"] for line in leak.seen] == [""] and leak.hidden_at == now


def test_copy_of_their_data_goes_with_them(robin, now):
    copies.want(client_id=robin.client.pk, by=OWNER, now=now)
    copies.make_next(now=now)
    with TestCase.captureOnCommitCallbacks(execute=True):
        want(robin, now=now)
    work(now)
    assert DataCopy.objects.get().status == CopyStatus.GONE
    assert objects_left() == []
    with pytest.raises(copies.NoCopy):
        copies.want(client_id=robin.client.pk, by=OWNER, now=now)


# --- a booking that two people share


def test_who_pays_for_somebody_erased_keeps_their_own(robin, now):
    payer = make_client(now=now, name="Pay Master")
    Booking.objects.filter(pk=robin.shoot.booking_id).update(payer=payer)
    Payment.objects.update(payer=payer)
    letter = Message.objects.get(name="balance_request")
    Message.objects.filter(pk=letter.pk).update(
        client_id=payer.pk, to_address=payer.email, to_name=payer.name
    )
    erased(robin, now=now)
    payer.refresh_from_db()
    letter.refresh_from_db()
    assert (payer.name, payer.erased_at, letter.to_address) == ("Pay Master", None, payer.email)
    assert Shoot.objects.get(pk=robin.shoot.pk).nerves_text == ""
    Booking.objects.update(staff_note="Pay Master called")  # life goes on for the payer
    assert broken(now) == []


def test_erasing_who_pays_leaves_the_sitters_pictures_alone(robin, now):
    sitter = make_client(now=now, name="Sit Ter")
    Shoot.objects.filter(pk=robin.shoot.pk).update(sitter=sitter)
    photos, objects = Photo.objects.count(), objects_left()
    erased(robin, now=now)
    assert (Photo.objects.count(), objects_left()) == (photos, objects)
    assert Gallery.objects.get(pk=robin.gallery.pk).status == GalleryStatus.DELIVERED
    assert (
        Shoot.objects.get(pk=robin.shoot.pk).nerves_text == f"{MARK} is shy"
    )  # the sitter's, whatever it says
    assert broken(now) == []


def test_frame_that_was_moved_to_somebody_else_keeps_its_bytes(robin, now):
    other = make_gallery(now=now, shoot=make_shoot(now=now))
    moved = robin.gallery.photos.get(number=90)
    file = moved.files.get()
    upload = begin(
        Upload(
            gallery=robin.gallery, name="a.jpg", size=file.size, key=file.key, created_at=now, touched_at=now
        ),
        by=WORKER,
        now=now,
    )
    move(Upload, upload.pk, "received", by=WORKER, now=now)
    move(Upload, upload.pk, "accept", by=WORKER, now=now)
    Photo.objects.filter(pk=moved.pk).update(gallery=other)
    PhotoFile.objects.filter(pk=file.pk).update(gallery=other, upload=upload)
    erased(robin, now=now)
    assert file.key in objects_left() and PhotoFile.objects.get().upload is None
    assert broken(now) == []


# --- what stands in the way


def reasons(robin: Somebody, *, now) -> list[str]:
    with pytest.raises(forgetting.NotNow) as refused:
        want(robin, now=now)
    robin.client.refresh_from_db()
    assert robin.client.erased_at is None and not Erasure.objects.exists()
    assert Credential.objects.filter(holder_id=robin.client.pk, revoked_at=None).exists()
    return refused.value.reasons


def test_session_ahead_has_to_be_cancelled_first(robin, now):
    ahead = make_shoot(now=now, client=robin.client, starts_at=now + timedelta(days=3), status="planned")
    assert reasons(robin, now=now)[0].startswith("They have a session: Portrait, Thu 19 November")
    move(Booking, ahead.booking_id, "cancel", by=OWNER, now=now)
    move(Shoot, ahead.pk, "cancel", by=OWNER, now=now)
    assert want(robin, now=now)


def test_session_that_was_not_completed_stands_in_the_way(robin, now):
    make_shoot(now=now, client=robin.client, starts_at=now - timedelta(days=3), status="checked_in")
    assert "is not completed" in reasons(robin, now=now)[0]


def test_open_money_stands_in_the_way(robin, now):
    booking = robin.shoot.booking
    Booking.objects.filter(pk=booking.pk).update(price=30000, session_fee=30000)
    assert "£100 is still to be paid" in reasons(robin, now=now)[0]
    booking.refresh_from_db()
    ledger.write_payment(booking, method=PaymentMethod.CASH, amount=10000, by=OWNER, now=now)
    Booking.objects.update(invoice_due_at=None)
    ledger.refund_booking(booking, amount=500, reason="late", once="x", by=OWNER, now=now)
    Booking.objects.update(price=29500)
    assert "£5 still has to go back" in reasons(robin, now=now)[0]


def test_voucher_with_money_on_it_stands_in_the_way(robin, now):
    voucher = begin(
        Voucher(code="GIFT-2", amount=5000, currency="GBP", recipient=robin.client, created_at=now, status="issued",
                actor_kind="user"),
        by=OWNER, now=now,
    )  # fmt: skip
    assert reasons(robin, now=now) == [
        "Their voucher GIFT-2 still holds £50. Take it back or pay it out first."
    ]
    move(Voucher, voucher.pk, "void", by=OWNER, now=now)
    assert want(robin, now=now)


def test_open_leak_record_stands_in_the_way(robin, now):
    Leak.objects.update(closed_at=None)
    assert "shown to the wrong client is open" in reasons(robin, now=now)[0]


def test_frame_in_the_tray_stands_in_the_way(robin, now):
    card = Card.objects.create(location=robin.shoot.booking.location, created_at=now)
    begin(
        Upload(card=card, name="a.jpg", size=1, key="c/a.jpg", status=UploadStatus.SORTING, guess=robin.gallery,
               created_at=now, touched_at=now),
        by=WORKER, now=now,
    )  # fmt: skip
    assert reasons(robin, now=now) == ["A frame in the tray is probably theirs. Say where it belongs first."]


def test_another_name_typed_erases_nothing(robin, now):
    with pytest.raises(forgetting.NotNow, match="Nothing was erased"):
        forgetting.want(client_id=robin.client.pk, typed="Robin", by=OWNER, now=now)
    assert forgetting.is_typed(robin.client, f"  robin   {MARK.upper()} ")


def test_wanted_twice_is_one_erasure(robin, now):
    first = want(robin, now=now)
    robin.client.refresh_from_db()
    assert want(robin, now=now) == first


def test_who_books_at_the_very_moment_is_not_erased_half(robin, now):
    erasure = want(robin, now=now)
    make_shoot(now=now, client=robin.client, starts_at=now + timedelta(days=3), status="planned")
    work(now)
    erasure.refresh_from_db()
    assert erasure.status == ErasureStatus.WORKING and "Cancel it first" in erasure.waits_for
    assert not Message.objects.filter(name="person_erased").exists()


# --- from the first moment on


def test_links_are_dead_at_once_and_say_what_happened(robin, client: Browser, now):
    at = timezone.now()
    path = robin.links[0].url.removeprefix(settings.SITE_URL)
    assert client.get(path).status_code == 302
    page = f"/booking/{robin.shoot.booking.public_id}/"
    assert client.get(page).status_code == 200
    want(robin, now=at)
    for address in (path, page, robin.links[1].url.removeprefix(settings.SITE_URL)):
        answer = client.get(address)
        assert answer.status_code == 410, address
        assert "What this link opened has been erased." in answer.content.decode()
    stranger = Browser().get(page)
    assert stranger.status_code == 404 and "erased" not in stranger.content.decode()


def test_nobody_erased_is_written_to(robin, now):
    want(robin, now=now)
    robin.client.refresh_from_db()
    facts: dict[str, Any] = {"to": robin.client, "about": robin.gallery, "context": {}, "now": now}
    assert outbox.queue_message("thank_you", **facts) is None
    assert outbox.queue_text("text_reminder", once="x", **facts) is None
    assert not Message.objects.filter(client_id=robin.client.pk, status=MessageStatus.QUEUED).exists()


def test_same_details_again_are_another_person(robin, now):
    plain = make_client(now=now, name="Sam Plain")
    forgetting.want(client_id=plain.pk, typed="sam plain", by=OWNER, now=now)
    assert known_client(name=plain.name, email=plain.email, now=now) != plain


# --- work that is going on


def job_of(robin: Somebody, *, now) -> Job:
    photo = robin.gallery.photos.get(number=90)
    return jobs.state(JobKind.AIDS, gallery=robin.gallery, photo=photo, now=now)


def test_job_a_worker_is_at_is_waited_for_and_no_other_begins(robin, now):
    running, waiting = job_of(robin, now=now), jobs.state(JobKind.FINALS, gallery=robin.gallery, now=now)
    move(Job, running.pk, "claim", by=WORKER, now=now)
    erasure = want(robin, now=now)
    work(now)
    erasure.refresh_from_db()
    assert (erasure.status, erasure.waits_for) == (
        ErasureStatus.WORKING,
        "A worker is still busy with a picture of theirs.",
    )
    assert Photo.objects.exists() and not Job.objects.filter(pk=waiting.pk).exists()
    move(Job, running.pk, "finish", by=WORKER, now=now)
    work(now + timedelta(minutes=1))
    assert objects_left() == [] and not Photo.objects.exists()


def test_worker_begins_nothing_in_an_erased_gallery(robin, now):
    want(robin, now=now)
    forgetting.close(robin.gallery, now=now)
    job_of(robin, now=now)
    assert not jobs.work_next(now=now)


def test_worker_that_was_killed_leaves_no_stray(robin, now):
    key = storage.random_key(f"s{robin.shoot.public_id}/pX", ".jpg")
    storage.put(storage.derived(), key, BytesIO(b"made, and killed before its row"))
    erased(robin, now=now)
    assert objects_left() == []


STEPS = ["close", "_end_uploads", "empty", "remove_files", "_clear_strays", "_words_go", "_address_goes"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_anywhere_it_comes_to_the_same_end(robin, now, monkeypatch, step):
    """Killed before the step, and again after it; then it goes on."""

    class Killed(BaseException):
        pass

    real = getattr(forgetting, step)

    def dying_before(*_args: Any, **_facts: Any) -> None:
        raise Killed

    def dying_after(*args: Any, **facts: Any) -> None:
        real(*args, **facts)
        raise Killed

    erasure = want(robin, now=now)
    if step == "_address_goes":
        work(now)
        send(now)
    for minutes, dying in enumerate((dying_before, dying_after), start=1):
        with monkeypatch.context() as patch:
            patch.setattr(forgetting, step, dying)
            with pytest.raises(Killed):
                work(now + timedelta(minutes=minutes))
    for minutes in (3, 4):
        work(now + timedelta(minutes=minutes))
        send(now + timedelta(minutes=minutes))
    erasure.refresh_from_db()
    assert (erasure.status, erasure.photos_count) == (ErasureStatus.DONE, 2)
    assert set(words_left()) == {"bookings.Invoice.buyer"}
    assert objects_left() == [] and broken(now) == []
    assert Message.objects.filter(name="person_erased").count() == 1


def test_killed_between_two_objects_the_rest_goes_next_time(robin, now, monkeypatch):
    class Killed(BaseException):
        pass

    real, removed = storage.delete, []

    def dying(where: storage.Store, key: str) -> None:
        if len(removed) == 3:
            raise Killed
        removed.append(key)
        real(where, key)

    want(robin, now=now)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "delete", dying)
        with pytest.raises(Killed):
            work(now)
    assert len(objects_left()) in (6, 7, 8) and not Photo.objects.exists()  # some were never there
    assert broken(now) == []  # what is still to go is known
    work(now + timedelta(minutes=1))
    assert objects_left() == []


def test_store_that_does_not_answer_is_tried_again(robin, now, monkeypatch):
    def away(*_args: object) -> None:
        raise storage.StorageError("The store does not answer.")

    erasure = want(robin, now=now)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "delete", away)
        work(now)
    erasure.refresh_from_db()
    assert erasure.status == ErasureStatus.WORKING and "goes on by itself" in erasure.waits_for
    work(now + timedelta(minutes=6))
    assert objects_left() == []


# --- the judge


def test_verify_finds_what_came_back(robin, now):
    erased(robin, now=now)
    client = type(robin.client).objects.filter(pk=robin.client.pk)
    letters = Message.objects.filter(client_id=robin.client.pk)
    assert list(invariants.erased_people_are_gone(now)) == []
    for put_back in (
        lambda: letters.update(body_text="Dear Robin"),
        lambda: robin.shoot.booking.thread.filter(is_from_client=True).update(text="hello"),
        lambda: Shoot.objects.update(nerves_text="shy"),
        lambda: Credential.objects.filter(holder_id=robin.client.pk).update(revoked_at=None),
        lambda: Consent.objects.filter(is_given=False).delete(),
        lambda: client.update(email="r@x.example"),
        lambda: client.update(name="Robin"),
        lambda: make_photo(robin.gallery, 5, now=now),
        lambda: Erasure.objects.get().files.create(store="derived", key="s/x"),
    ):
        with transaction.atomic():
            put_back()
            assert list(invariants.erased_people_are_gone(now)) != []
            transaction.set_rollback(True)


def test_verify_names_an_erasure_that_does_not_end(robin, now):
    want(robin, now=now)
    assert list(invariants.erased_people_are_gone(now + timedelta(hours=23))) == []
    assert "since" in next(invariants.erased_people_are_gone(now + timedelta(hours=25)))


def test_preview_says_what_goes_and_what_stays(robin, now):
    seen = forgetting.preview(robin.client, now=now)
    assert (seen.photos, seen.originals, seen.finals, seen.links) == (2, 2, 4, 4)
    assert seen.stays == words.Stays(bookings=1, payments=1, papers=1)
    assert (seen.others, seen.written) == ([], 4)


# --- pages


def test_owner_erases_from_the_clients_page(robin, client: Browser, now):
    sign_in(client, make_user(Role.OWNER, name="Olive Owner"))
    page, address = (
        reverse(name, args=[robin.client.public_id]) for name in ("desk_client", "desk_client_erase")
    )
    assert address in client.get(page).content.decode()
    seen = client.get(address).content.decode()
    assert "2 pictures with everything made of them: 2 originals, 4 finished files" in seen
    assert "1 receipt or invoice, with the name that was printed on it" in seen
    wrong = client.post(address, {"typed": "Robin"})
    assert wrong.status_code == 422 and "Nothing was erased." in wrong.content.decode()
    assert client.post(address, {"typed": robin.client.name}).status_code == 302
    seen = client.get(page).content.decode()
    assert "Being erased" in seen and "hx-select" in seen
    at = timezone.now()
    work(at)
    send(at)
    work(at + timedelta(minutes=1))
    assert client.get(page, headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"
    seen = client.get(page).content.decode()
    assert (
        "<h1>Erased on " in seen
        and "2 pictures, 11 files and every word" in seen
        and MARK not in seen.lower()
    )
    assert client.get(address).status_code == 302
    booking = client.get(reverse("desk_booking", args=[robin.shoot.booking.public_id]))
    assert booking.status_code == 200 and MARK not in booking.content.decode().lower()
    letter = Message.objects.filter(client_id=robin.client.pk, name="balance_request").get()
    seen = client.get(reverse("message_detail", args=[letter.public_id])).content.decode()
    assert "were erased with a person it was about" in seen
    assert client.get(reverse("desk_gallery", args=[robin.gallery.public_id])).status_code == 404
    assert client.get(reverse("leak", args=[Leak.objects.get().public_id])).status_code == 200


def test_what_stands_in_the_way_is_said_and_there_is_no_button(robin, client: Browser, now):
    sign_in(client, make_user(Role.OWNER))
    Leak.objects.update(closed_at=None)
    seen = client.get(reverse("desk_client_erase", args=[robin.client.public_id])).content.decode()
    assert "Close it first." in seen and "Erase for good" not in seen


def test_reminders_of_somebody_erased_say_so(robin, client: Browser, now):
    address = year_later.unsubscribe_url(robin.client).removeprefix(settings.SITE_URL)
    want(robin, now=now)
    assert client.get(address).status_code == 410


def test_address_somebody_else_has_as_well_stays_theirs(robin, now):
    twin = make_client(now=now, name="Twin Sibling", email=robin.client.email)
    shared = Credential.objects.get(holder_email=robin.client.email)
    erased(robin, now=now)
    twin.refresh_from_db()
    shared.refresh_from_db()
    assert (twin.name, twin.erased_at) == ("Twin Sibling", None)
    assert (shared.holder_email, shared.revoked_at) == (twin.email, None)
    assert Message.objects.get(name="gallery_shared").body_text == f"Dear {MARK}"


# --- other stores


def test_archived_originals_go_from_the_archive(robin, now, settings, tmp_path):
    settings.ARCHIVE_URL = f"file://{tmp_path / 'cold'}"
    settings.STORAGES = settings.STORAGES | storage.archive_from_url(settings.ARCHIVE_URL)
    with TestCase.captureOnCommitCallbacks(execute=True):
        for file in PhotoFile.objects.all():
            assert coldstore.put_away(file, now=now)
    cold = storage.archive()
    assert cold is not None and len(list(storage.listed(cold))) == 2
    erased(robin, now=now)
    assert list(storage.listed(cold)) == [] and objects_left() == []
