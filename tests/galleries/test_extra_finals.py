"""More finals than are included, and further rounds of changes: paid first through Checkout, or on the bill."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from bookings import charges, payments
from bookings.models import BookingExtra, ExtraKind
from bookings.refusals import NotNow
from devtools.stripe_server import StripeControl
from galleries import extra_finals, invariants, proofing, retouching
from galleries.models import Gallery, Pause, Version
from galleries.proofing import ExtrasUnpaid, TooManyPicks
from galleries.retouching import ChangeRefused, PinnedWords
from galleries.statuses import GalleryStatus, RetouchStatus
from studio import credentials
from studio.actors import Actor
from tests.galleries.framing import ANA, make_photos
from tests.galleries.making import make_gallery, make_session_type, make_shoot

PRICE = 4500


@pytest.fixture
def now() -> datetime:
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def gallery(db: None, media_storage: Path, now: datetime) -> Gallery:
    """Two included, paid for, one more at 45; five proofs are out."""
    gallery = make_gallery(
        now=now,
        shoot=make_shoot(now=now, session_type=make_session_type(finals_included=2)),
        clock_started_at=now,
        extra_final_price=PRICE,
        change_price=6000,
    )
    booking = gallery.shoot.booking
    payments.record_by_staff(booking_id=booking.pk, method="cash", amount=booking.price, by=ANA, now=now)
    make_photos(gallery, 5, now=now, is_recommended=True)
    proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=now)
    return gallery


@pytest.fixture
def ada(gallery: Gallery) -> Actor:
    sitter = gallery.shoot.sitter
    assert sitter is not None
    return Actor.client(sitter.pk, sitter.name)


@pytest.fixture
def link(client: Browser, gallery: Gallery, ada: Actor, now: datetime) -> Browser:
    """The client's browser with the gallery open."""
    given = credentials.grant(
        scope="gallery", target=gallery.public_id, now=now, holder_id=ada.id, holder_label=ada.label
    )
    client.get(given.url, follow=True)
    return client


def pick(gallery: Gallery, by: Actor, *numbers: int, now: datetime) -> None:
    for number in numbers:
        proofing.pick(photo_id=gallery.photos.get(number=number).pk, by=by, now=now)


def fresh(gallery: Gallery) -> Gallery:
    return Gallery.objects.select_related("shoot__booking__location").get(pk=gallery.pk)


def test_more_may_be_chosen_but_not_sent_before_it_is_paid(
    gallery: Gallery, ada: Actor, now: datetime
) -> None:
    pick(gallery, ada, 1, 2, 3, now=now)
    with pytest.raises(ExtrasUnpaid):
        proofing.submit_selection(gallery_id=gallery.pk, by=ada, now=now)
    assert fresh(gallery).status == GalleryStatus.PROOFING
    assert not BookingExtra.objects.exists()


def test_without_a_price_nothing_beyond_is_chosen(gallery: Gallery, ada: Actor, now: datetime) -> None:
    Gallery.objects.update(extra_final_price=0)
    pick(gallery, ada, 1, 2, now=now)
    with pytest.raises(TooManyPicks, match="2 finished pictures are included"):
        pick(gallery, ada, 3, now=now)


def test_the_payment_sends_the_selection_and_everything_adds_up(
    link: Browser, gallery: Gallery, ada: Actor, stripe: StripeControl, now: datetime
) -> None:
    pick(gallery, ada, 1, 2, 3, now=now)
    review = link.get(reverse("gallery_review", args=[gallery.public_id])).content.decode()
    assert "2 included + 1 extra" in review
    assert "Pay £45 and send" in review

    answers = [link.post(reverse("gallery_submit", args=[gallery.public_id])) for _tab in range(2)]
    page = gallery.shoot.booking.checkouts.get()  # two tabs, one page
    assert [answer["Location"] for answer in answers] == [page.url, page.url]
    assert (page.amount, fresh(gallery).shoot.booking.price) == (PRICE, 20000)  # an offer is no debt

    stripe.pay(page.session_id)
    waiting = link.get(reverse("gallery_review", args=[gallery.public_id]) + "?paid=1")
    assert "the bank is confirming" in waiting.content.decode()
    for _bell in range(2):
        payments.settle_checkout(checkout_id=page.pk, now=now + timedelta(minutes=1))

    done = fresh(gallery)
    assert (done.status, done.finals_extra) == (GalleryStatus.RETOUCHING, 1)
    assert gallery.retouches.count() == 3
    money = payments.balance(done.shoot.booking)
    assert (money.price, money.kept, money.due) == (24500, 24500, 0)
    assert Pause.objects.get(gallery=gallery).ended_at is not None
    assert [line for line in invariants.orders_are_worked_on(now) if "finals" in line] == []


def test_paid_for_one_and_chosen_two_more_waits_for_the_client(
    link: Browser, gallery: Gallery, ada: Actor, stripe: StripeControl, now: datetime
) -> None:
    pick(gallery, ada, 1, 2, 3, now=now)
    link.post(reverse("gallery_submit", args=[gallery.public_id]))
    page = gallery.shoot.booking.checkouts.get()
    pick(gallery, ada, 4, now=now)  # in the other tab, while the bank page is open
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    still = fresh(gallery)
    assert (still.status, still.finals_extra) == (GalleryStatus.PROOFING, 1)
    proofing.unpick(photo_id=gallery.photos.get(number=4).pk, by=ada, now=now)
    assert proofing.submit_selection(gallery_id=gallery.pk, by=ada, now=now)


def test_a_bank_that_does_not_answer_loses_nothing(
    link: Browser, gallery: Gallery, ada: Actor, now: datetime
) -> None:
    pick(gallery, ada, 1, 2, 3, now=now)
    answer = link.post(reverse("gallery_submit", args=[gallery.public_id]), follow=True)
    assert "does not answer just now" in answer.content.decode()
    assert (gallery.picks.count(), fresh(gallery).status) == (3, GalleryStatus.PROOFING)


def test_on_the_bill_it_is_owed_and_the_finals_wait_for_it(
    gallery: Gallery, ada: Actor, now: datetime
) -> None:
    Gallery.objects.update(extras_paid_first=False)
    pick(gallery, ada, 1, 2, 3, 4, now=now)
    assert proofing.submit_selection(gallery_id=gallery.pk, by=ada, now=now)
    done = fresh(gallery)
    extra = BookingExtra.objects.get()
    assert (done.finals_extra, extra.count, extra.total) == (2, 2, 2 * PRICE)
    assert payments.balance(done.shoot.booking).due == 2 * PRICE


def test_the_studio_puts_it_on_the_bill_also_while_the_client_is_paying(
    link: Browser, gallery: Gallery, ada: Actor, stripe: StripeControl, now: datetime
) -> None:
    pick(gallery, ada, 1, 2, 3, now=now)
    link.post(reverse("gallery_submit", args=[gallery.public_id]))
    assert proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=now)
    booking = fresh(gallery).shoot.booking
    assert payments.balance(booking).due == PRICE
    page = booking.checkouts.get()
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    booking.refresh_from_db()
    assert (payments.balance(booking).due, booking.price, fresh(gallery).finals_extra) == (0, 24500, 1)


def test_silence_buys_nothing(gallery: Gallery, ada: Actor, now: datetime) -> None:
    for minute, number in enumerate((4, 1, 5)):
        pick(gallery, ada, number, now=now + timedelta(minutes=minute))
    proofing.sweep(now=now + timedelta(days=10, hours=1))
    assert fresh(gallery).status == GalleryStatus.RETOUCHING
    assert sorted(gallery.picks.values_list("photo__number", flat=True)) == [1, 4]
    assert not BookingExtra.objects.exists()


def test_sold_at_the_desk_it_counts_for_the_gallery(gallery: Gallery, ada: Actor, now: datetime) -> None:
    charges.add_extra(
        booking_id=gallery.shoot.booking_id,
        label="Two more",
        amount=8000,
        kind=ExtraKind.FINALS,
        count=2,
        by=ANA,
        now=now,
    )
    pick(gallery, ada, 1, 2, 3, 4, now=now)
    assert proofing.submit_selection(gallery_id=gallery.pk, by=ada, now=now)


# --- taken off the bill again


def test_an_extra_taken_off_lowers_what_the_client_has(gallery: Gallery, now: datetime) -> None:
    extra = extra_finals.put_on_bill(gallery, 2, now=now)
    assert extra_finals.allowed(fresh(gallery)) == 4
    assert charges.drop_extra(extra_id=extra.pk, by=ANA, now=now)
    assert extra_finals.allowed(fresh(gallery)) == 2
    assert payments.balance(fresh(gallery).shoot.booking).due == 0


def test_an_extra_whose_pictures_are_chosen_stays_on_the_bill(
    gallery: Gallery, ada: Actor, now: datetime
) -> None:
    Gallery.objects.update(extras_paid_first=False)
    pick(gallery, ada, 1, 2, 3, now=now)
    proofing.submit_selection(gallery_id=gallery.pk, by=ada, now=now)
    extra = BookingExtra.objects.get()
    with pytest.raises(NotNow, match="3 pictures are chosen already"):
        charges.drop_extra(extra_id=extra.pk, by=ANA, now=now)
    extra.refresh_from_db()
    assert (extra.status, extra_finals.allowed(fresh(gallery))) == ("agreed", 3)
    assert payments.balance(fresh(gallery).shoot.booking).due == PRICE

    proofing.reopen_selection(gallery_id=gallery.pk, by=ANA, now=now)
    proofing.unpick(photo_id=gallery.photos.get(number=3).pk, by=ANA, now=now)
    assert charges.drop_extra(extra_id=extra.pk, by=ANA, now=now)
    assert (extra_finals.allowed(fresh(gallery)), payments.balance(fresh(gallery).shoot.booking).due) == (
        2,
        0,
    )


def test_what_was_taken_off_can_be_sold_again(gallery: Gallery, ada: Actor, now: datetime) -> None:
    Gallery.objects.update(extras_paid_first=False)
    first = extra_finals.put_on_bill(gallery, 1, now=now)
    charges.drop_extra(extra_id=first.pk, by=ANA, now=now)
    pick(gallery, ada, 1, 2, 3, now=now)
    assert proofing.submit_selection(gallery_id=gallery.pk, by=ada, now=now)
    again = BookingExtra.objects.get(status="agreed")
    assert (again.pk != first.pk, fresh(gallery).finals_extra) == (True, 1)
    assert payments.balance(fresh(gallery).shoot.booking).due == PRICE


# --- rounds of changes


@pytest.fixture
def delivered(gallery: Gallery, ada: Actor, now: datetime) -> Gallery:
    """One picture delivered; the free round is used."""
    pick(gallery, ada, 1, now=now)
    proofing.submit_selection(gallery_id=gallery.pk, by=ada, now=now)
    retouch = gallery.retouches.get()
    version = Version.objects.create(
        retouch=retouch,
        number=1,
        kind="draft",
        input_sha256="a",
        output_sha256="b",
        key="s/r/v.jpg",
        size=1,
        crc32=1,
        width=800,
        height=1000,
        made_at=now,
        actor_kind="worker",
        guard="passed",
    )
    retouch.status, retouch.approved_version = RetouchStatus.APPROVED, version
    retouch.save()
    Gallery.objects.update(
        status=GalleryStatus.DELIVERED, delivered_at=now, free_changes_left=0, clock_started_at=now
    )
    return fresh(gallery)


def test_a_further_round_is_paid_and_then_asked_for(
    link: Browser, delivered: Gallery, ada: Actor, stripe: StripeControl, now: datetime
) -> None:
    retouch = delivered.retouches.get()
    ask = [PinnedWords("the collar, please", (0.5, 0.5))]
    with pytest.raises(ChangeRefused, match="included change is used"):
        retouching.ask_change(retouch_id=retouch.pk, asked=ask, by=ada, now=now)
    there = reverse("gallery_change", args=[delivered.public_id, retouch.public_id])
    assert "Pay £60 and go on" in link.get(there).content.decode()
    link.post(reverse("gallery_pay_change", args=[delivered.public_id, retouch.public_id]))
    page = delivered.shoot.booking.checkouts.get()
    stripe.pay(page.session_id)
    payments.settle_checkout(checkout_id=page.pk, now=now)
    assert "What would you like different?" in link.get(there).content.decode()
    (note,) = retouching.ask_change(retouch_id=retouch.pk, asked=ask, by=ada, now=now)
    assert (note.version, fresh(delivered).status) == (retouch.approved_version, GalleryStatus.RETOUCHING)
    assert fresh(delivered).free_changes_left == 0


@pytest.mark.parametrize(("price", "days"), [(None, 1), (6000, 14)])
def test_no_further_round_is_sold_without_a_price_or_too_late(
    delivered: Gallery, now: datetime, price: int | None, days: int
) -> None:
    delivered.change_price = price
    assert not retouching.can_buy_change(delivered, now=now + timedelta(days=days))
    assert retouching.change_refusal(delivered, now=now + timedelta(days=days))


def test_a_paid_round_is_taken_off_only_while_it_is_not_used(
    delivered: Gallery, ada: Actor, now: datetime
) -> None:
    def sell() -> BookingExtra:
        return charges.add_extra(
            booking_id=delivered.shoot.booking_id,
            label="A further round",
            amount=6000,
            kind=ExtraKind.CHANGES,
            by=ANA,
            now=now,
        )

    unused = sell()
    assert charges.drop_extra(extra_id=unused.pk, by=ANA, now=now)
    assert fresh(delivered).free_changes_left == 0
    used = sell()
    ask = [PinnedWords("the collar, please", (0.5, 0.5))]
    retouching.ask_change(retouch_id=delivered.retouches.get().pk, asked=ask, by=ada, now=now)
    with pytest.raises(NotNow, match="asked for this change already"):
        charges.drop_extra(extra_id=used.pk, by=ANA, now=now)
