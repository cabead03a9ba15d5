"""Releasing finals: once, when everything is there and paid, under readable names; again after a change."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils.formats import date_format

from bookings import payments
from galleries import deadlines, delivery, downloads
from galleries.models import Delivery, Gallery, PauseReason, Rendition
from galleries.statuses import GalleryStatus, RetouchStatus
from studio.actors import WORKER, Actor
from studio.models import Message, Role
from studio.transitions import move
from tests.galleries.finals import approve, in_retouching, make_finals, make_version, pay, status_of
from tests.galleries.framing import ANA
from tests.galleries.making import make_client, make_gallery, make_session_type, make_shoot, make_user

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)  # a Monday
pytestmark = pytest.mark.django_db


@pytest.fixture
def gallery(media_storage: object) -> Gallery:
    made = make_gallery(now=NOW)
    deadlines.start(gallery_id=made.pk, ended_at=NOW, now=NOW)
    return Gallery.objects.get(pk=made.pk)


def paid(gallery: Gallery) -> Gallery:
    pay(gallery, 20000, now=NOW)
    return gallery


def test_the_last_finals_deliver_the_gallery_by_themselves(gallery: Gallery) -> None:
    paid(gallery)
    one, two = in_retouching(gallery, now=NOW)
    approve(one, now=NOW)
    assert delivery.finals_made(gallery_id=gallery.pk, now=NOW) is False
    assert status_of(gallery) == GalleryStatus.RETOUCHING
    approve(two, now=NOW)
    assert delivery.finals_made(gallery_id=gallery.pk, now=NOW) is True
    gallery.refresh_from_db()
    assert (gallery.status, gallery.was_on_time, gallery.alarm_at) == (GalleryStatus.DELIVERED, True, None)
    assert gallery.finals_expire_at == NOW + timedelta(days=365)
    assert delivery.finals_made(gallery_id=gallery.pk, now=NOW) is False
    told = Message.objects.get(name="gallery_delivered")
    assert f"They stay there until {date_format(gallery.finals_expire_at, 'j F Y')}." in told.body_text


def test_a_session_type_may_keep_the_release_for_a_person(media_storage: object) -> None:
    shoot = make_shoot(now=NOW, session_type=make_session_type(delivers_by_itself=False))
    gallery = paid(make_gallery(now=NOW, shoot=shoot))
    for retouch in in_retouching(gallery, now=NOW):
        approve(retouch, now=NOW)
    assert delivery.finals_made(gallery_id=gallery.pk, now=NOW) is False
    assert status_of(gallery) == GalleryStatus.READY
    assert delivery.deliver(gallery_id=gallery.pk, by=ANA, now=NOW) is True


def test_not_ready_says_what_is_missing(gallery: Gallery) -> None:
    with pytest.raises(delivery.NotReady, match=r"^No picture has been chosen yet\.$"):
        delivery.deliver(gallery_id=gallery.pk, by=ANA, now=NOW)
    one, two = in_retouching(gallery, now=NOW)
    approve(one, now=NOW)
    with pytest.raises(delivery.NotReady, match=r"^1 picture is not approved yet\.$"):
        delivery.deliver(gallery_id=gallery.pk, by=ANA, now=NOW)
    version = approve(two, now=NOW)
    Rendition.objects.filter(version=version, recipe="web").delete()
    with pytest.raises(delivery.NotReady, match=r"^The files of 1 picture are still being made\.$"):
        delivery.deliver(gallery_id=gallery.pk, by=ANA, now=NOW)
    assert Delivery.objects.count() == 0


def test_an_open_balance_pauses_and_the_payment_releases(gallery: Gallery) -> None:
    pay(gallery, 5000, now=NOW)
    for retouch in in_retouching(gallery, now=NOW):
        approve(retouch, now=NOW)
    assert delivery.finals_made(gallery_id=gallery.pk, now=NOW) is False
    gallery.refresh_from_db()
    assert (gallery.status, gallery.deliver_by) == (GalleryStatus.READY, None)
    assert [pause.reason for pause in gallery.pauses.all()] == [PauseReason.BALANCE]
    asked = Message.objects.get(name="balance_before_delivery")
    assert "£150" in asked.body_text
    with pytest.raises(delivery.NotReady):
        delivery.deliver(gallery_id=gallery.pk, by=ANA, now=NOW)
    assert Message.objects.filter(name="balance_before_delivery").count() == 1
    owner = make_user(Role.OWNER)
    later = NOW + timedelta(hours=1)
    payments.record_by_staff(
        booking_id=gallery.shoot.booking_id, method="cash", amount=15000, by=Actor.user(owner), now=later
    )
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.DELIVERED
    assert gallery.was_on_time is True
    assert gallery.pauses.get().ended_at == later


def test_twenty_people_press_deliver_and_it_happens_once(real_connections, media_storage: object) -> None:
    gallery = paid(make_gallery(now=NOW))
    for retouch in in_retouching(gallery, now=NOW):
        approve(retouch, now=NOW)
    move(Gallery, gallery.pk, "make_ready", by=WORKER, now=NOW)
    answers = real_connections.run(
        [lambda: delivery.deliver(gallery_id=gallery.pk, by=ANA, now=NOW) for _ in range(20)]
    )
    assert sorted(answers) == [False] * 19 + [True]
    assert Delivery.objects.count() == 1
    assert Message.objects.filter(name="gallery_delivered").count() == 1


def test_a_change_is_promised_anew_and_the_old_files_stay(gallery: Gallery) -> None:
    paid(gallery)
    one, two = in_retouching(gallery, now=NOW)
    approve(one, now=NOW)
    approve(two, now=NOW)
    delivery.finals_made(gallery_id=gallery.pk, now=NOW)
    first = Delivery.objects.get()
    later = NOW + timedelta(days=7)
    assert delivery.reopen(gallery_id=gallery.pk, by=ANA, now=later) is True
    assert delivery.reopen(gallery_id=gallery.pk, by=ANA, now=later) is False
    gallery.refresh_from_db()
    assert gallery.deliver_by == datetime(2026, 12, 2, 18, 0, tzinfo=UTC)
    assert gallery.was_on_time is True  # of the first delivery, for good
    assert downloads.current_delivery(gallery, now=later) == first
    move(type(one), one.pk, "ask_change", by=ANA, now=later)
    version = make_version(one, now=later)
    move(type(one), one.pk, "approve", by=ANA, now=later, approved_version=version)
    make_finals(version, now=later)
    assert delivery.finals_made(gallery_id=gallery.pk, now=later) is True
    gallery.refresh_from_db()
    second = downloads.current_delivery(gallery, now=later)
    assert second is not None
    assert (second.number, second.files.count(), first.files.count()) == (2, 8, 8)
    assert {f.rendition.version_id for f in second.files.filter(position=1)} == {version.pk}
    assert Message.objects.filter(name="gallery_delivered_again").count() == 1
    assert one.pk and type(one).objects.get(pk=one.pk).status == RetouchStatus.APPROVED


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Zoë Ångström-Müller", "zoe-angstrom-muller"),
        ("Ada/../../Lovelace", "ada-lovelace"),
        ("CON", "con"),
        ("🙂", "portrait-"),
        ("x" * 300, "x" * 60),
    ],
)
def test_delivered_names_are_readable_anywhere(media_storage: object, name: str, stem: str) -> None:
    shoot = make_shoot(now=NOW, client=make_client(now=NOW, name=name[:150]))
    gallery = paid(make_gallery(now=NOW, shoot=shoot))
    for retouch in in_retouching(gallery, now=NOW, picks=1):
        approve(retouch, now=NOW)
    delivery.finals_made(gallery_id=gallery.pk, now=NOW)
    files = downloads.files_of(Delivery.objects.get())
    stem = stem if not stem.endswith("-") else stem + gallery.shoot.code.lower()
    assert [file.name for file in files] == [f"{stem}-01-{size}.jpg" for size in delivery.SIZES]


def test_the_last_approval_and_the_payment_come_at_once(real_connections, media_storage: object) -> None:
    """Both lock the booking first, then the gallery: neither waits for the other for ever, and it is delivered."""
    owner = Actor.user(make_user(Role.OWNER))
    for _round in range(5):
        gallery = make_gallery(now=NOW)
        deadlines.start(gallery_id=gallery.pk, ended_at=NOW, now=NOW)
        for retouch in in_retouching(gallery, now=NOW, picks=1):
            approve(retouch, now=NOW)
        booking_id = gallery.shoot.booking_id
        answers = real_connections.run(
            [
                lambda pk=gallery.pk: delivery.finals_made(gallery_id=pk, now=NOW),
                lambda pk=booking_id: payments.record_by_staff(
                    booking_id=pk, method="cash", amount=20000, by=owner, now=NOW
                ),
            ]
        )
        assert [answer for answer in answers if isinstance(answer, Exception)] == []
        assert status_of(gallery) == GalleryStatus.DELIVERED


def test_late_by_a_minute_is_a_breach_even_before_the_sweep_came(gallery: Gallery) -> None:
    paid(gallery)
    for retouch in in_retouching(gallery, now=NOW, picks=1):
        approve(retouch, now=NOW)
    late = datetime(2026, 11, 25, 18, 0, 1, tzinfo=UTC)
    assert delivery.finals_made(gallery_id=gallery.pk, now=late) is True
    gallery.refresh_from_db()
    breach = gallery.breaches.get()
    assert (gallery.was_on_time, breach.new_deliver_by, breach.late_policy) == (False, None, "proposed")
    assert "We are sorry" in Message.objects.get(name="gallery_delivered").body_text
    assert not Message.objects.filter(name="deadline_missed_client").exists()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Zoë Ünal-Łukasiewicz", "zoe-unal-lukasiewicz"),
        ("Søren Großmann", "soren-grossmann"),
        ("Þóra Æsdóttir", "thora-aesdottir"),
        ("../../CON: 😀", "con"),
        ("李小龙", "portrait-"),
        ("a" * 300, "a" * 60),
    ],
)
def test_file_names_keep_every_letter_of_a_name(gallery: Gallery, name: str, stem: str) -> None:
    assert gallery.shoot.sitter is not None
    gallery.shoot.sitter.name = name
    assert delivery.name_stem(gallery) in (stem, f"{stem}{gallery.shoot.code.lower()}")
