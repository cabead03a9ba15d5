"""What happens at the deadline: what is approved goes out, the rest is written down, and the late policy, once."""

import csv
import io
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client as Browser

from bookings import ledger
from bookings.models import Booking, Refund, Voucher
from galleries import afterwards, alarms, breaches, deadlines, delivery, downloads, invariants
from galleries.models import Breach, Delivery, Gallery
from galleries.statuses import GalleryStatus, RetouchStatus
from studio.actors import WORKER, Actor
from studio.models import LateWay, Message, Role, Studio
from studio.transitions import move
from studio.verification import invariants as verified
from tests.galleries.finals import (
    approve,
    in_retouching,
    make_finals,
    make_version,
    open_link,
    pay,
    status_of,
)
from tests.galleries.making import make_gallery, make_session_type, make_shoot, make_user, sign_in

LONDON = ZoneInfo("Europe/London")
pytestmark = pytest.mark.django_db


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of November 2026 in London. The 23rd is a Monday."""
    return datetime(2026, 11, day, hour, minute, tzinfo=LONDON)


DUE = at(25, 18)


@pytest.fixture
def gallery(media_storage: object) -> Gallery:
    """Paid in full, in cash that is handed back; the clock runs until Wednesday 18:00, two pictures are chosen."""
    made = make_gallery(now=at(23, 13))
    Studio.objects.update(late_way=LateWay.CASH_BACK)
    deadlines.start(gallery_id=made.pk, ended_at=at(23, 14), now=at(23, 14))
    pay(made, 20000, now=at(23, 14))
    in_retouching(made, now=at(23, 15))
    return Gallery.objects.get(pk=made.pk)


def fresh(gallery: Gallery) -> Gallery:
    return Gallery.objects.get(pk=gallery.pk)


def late(gallery: Gallery) -> Breach:
    alarms.sweep(now=DUE)
    return gallery.breaches.get()


# --- at the deadline


def test_what_is_approved_goes_out_at_the_deadline(gallery: Gallery) -> None:
    make_user(Role.OWNER)
    one, two = gallery.retouches.all()
    approve(one, now=at(24, 10))
    breach = late(gallery)
    partial = Delivery.objects.get()
    assert (partial.is_partial, partial.files.count(), partial.actor_kind) == (True, 4, "worker")
    assert downloads.current_delivery(fresh(gallery), now=DUE) == partial
    assert (status_of(gallery), fresh(gallery).was_on_time) == (GalleryStatus.RETOUCHING, None)
    assert breach.new_deliver_by == at(26, 18)
    told = Message.objects.get(name="deadline_missed_client")
    assert "One picture is ready" in told.body_text
    assert "Thu 26 November, 18:00" in told.body_text
    assert "£20" in told.body_text
    assert "/open/" in told.body_text
    # the rest comes later: a whole delivery, late, told as the first one
    version = make_version(two, now=at(26, 9))
    move(type(two), two.pk, "approve", by=WORKER, now=at(26, 9), approved_version=version)
    make_finals(version, now=at(26, 9))
    assert delivery.finals_made(gallery_id=gallery.pk, now=at(26, 9)) is True
    whole = downloads.current_delivery(fresh(gallery), now=at(26, 9))
    assert whole is not None
    assert (whole.is_partial, whole.number, whole.files.count()) == (False, 2, 8)
    assert fresh(gallery).was_on_time is False
    assert gallery.breaches.count() == 1
    assert Message.objects.filter(name="gallery_delivered").count() == 1


def test_the_client_sees_the_part_and_when_the_rest_comes(gallery: Gallery) -> None:
    approve(gallery.retouches.all()[0], now=at(24, 10))
    late(gallery)
    browser = Browser()
    open_link(browser, gallery, now=DUE)
    page = browser.get(f"/gallery/{gallery.public_id}/").content.decode()
    assert "One of 2 pictures is here." in page
    assert "The others come by Thu 26 November, 18:00." in page
    assert "change you asked for" not in page


def test_what_only_waits_for_the_button_goes_out_in_time(media_storage: object) -> None:
    shoot = make_shoot(now=at(23, 13), session_type=make_session_type(delivers_by_itself=False))
    gallery = make_gallery(now=at(23, 13), shoot=shoot)
    deadlines.start(gallery_id=gallery.pk, ended_at=at(23, 14), now=at(23, 14))
    pay(gallery, 20000, now=at(23, 14))
    for retouch in in_retouching(gallery, now=at(23, 15)):
        approve(retouch, now=at(24, 9))
    delivery.finals_made(gallery_id=gallery.pk, now=at(24, 9))
    alarms.sweep(now=at(25, 17, 56))
    assert status_of(gallery) == GalleryStatus.READY
    alarms.sweep(now=at(25, 17, 58))
    assert (status_of(gallery), fresh(gallery).was_on_time) == (GalleryStatus.DELIVERED, True)
    alarms.sweep(now=DUE)
    assert Breach.objects.count() == 0


def test_nothing_is_released_while_money_is_open(media_storage: object) -> None:
    gallery = make_gallery(now=at(23, 13))
    deadlines.start(gallery_id=gallery.pk, ended_at=at(23, 14), now=at(23, 14))
    one, _two = in_retouching(gallery, now=at(23, 15))
    approve(one, now=at(24, 9))
    alarms.sweep(now=DUE)
    assert Delivery.objects.count() == 0
    assert Breach.objects.count() == 1


def test_a_dead_beat_over_the_deadline_writes_one_breach_and_sends_no_stale_warning(gallery: Gallery) -> None:
    make_user(Role.OWNER)
    approve(gallery.retouches.all()[0], now=at(24, 10))
    for _twice in range(2):
        alarms.sweep(now=at(27, 9))
    assert Breach.objects.get().new_deliver_by == at(27, 18)
    assert Delivery.objects.count() == 1
    assert Message.objects.filter(name="deadline_warning").count() == 0
    assert Message.objects.filter(name="deadline_missed_client").count() == 1


def test_two_sweeps_at_once_miss_a_promise_once(real_connections, media_storage: object) -> None:
    made = make_gallery(now=at(23, 13))
    Studio.objects.update(late_way=LateWay.CASH_BACK)
    deadlines.start(gallery_id=made.pk, ended_at=at(23, 14), now=at(23, 14))
    make_user(Role.OWNER)
    pay(made, 20000, now=at(23, 14))
    approve(in_retouching(made, now=at(23, 15))[0], now=at(24, 9))
    answers = real_connections.run([lambda: alarms.sweep(now=DUE) for _ in range(4)])
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert (Breach.objects.count(), Delivery.objects.count()) == (1, 1)
    assert Message.objects.filter(name__startswith="deadline_missed").count() == 2
    again = real_connections.run([lambda: alarms.sweep(now=at(26, 18)) for _ in range(4)])
    assert [answer for answer in again if isinstance(answer, Exception)] == []
    assert [refund.amount for refund in Refund.objects.all()] == [2000]


# --- the late policy


def test_the_policy_is_a_tenth_of_the_session_fee_and_carried_out_by_itself(gallery: Gallery) -> None:
    breach = late(gallery)
    assert (breach.late_policy, breach.late_policy_amount) == ("proposed", 2000)
    assert breach.late_policy_due_at == at(26, 18)
    alarms.sweep(now=at(26, 17, 59))
    assert Refund.objects.count() == 0
    for _twice in range(2):
        alarms.sweep(now=at(26, 18))
    refund = Refund.objects.get()
    assert (refund.amount, refund.reason, refund.status) == (2000, "The pictures were late", "due")
    breach.refresh_from_db()
    assert (breach.late_policy, breach.late_policy_given_back, breach.late_policy_by) == (
        "done",
        2000,
        "Likeness",
    )
    booking = Booking.objects.get()
    assert (booking.price, booking.allowance, ledger.balance(booking).due) == (18000, 2000, 0)
    assert Message.objects.get(name="late_policy_done").subject == "£20 off, because we were late"


def test_one_tap_carries_it_out_once(gallery: Gallery) -> None:
    breach = late(gallery)
    owner = Actor.user(make_user(Role.OWNER))
    assert breaches.carry_out(breach_id=breach.pk, by=owner, now=at(25, 19)) is True
    assert breaches.carry_out(breach_id=breach.pk, by=owner, now=at(25, 19)) is False
    assert breaches.waive(breach_id=breach.pk, reason="Too late", by=owner, now=at(25, 19)) is False
    alarms.sweep(now=at(30, 9))
    assert Refund.objects.count() == 1


def test_it_is_left_out_only_with_a_reason(gallery: Gallery) -> None:
    breach = late(gallery)
    owner = Actor.user(make_user(Role.OWNER))
    with pytest.raises(breaches.NoReason):
        breaches.waive(breach_id=breach.pk, reason="  ", by=owner, now=at(25, 19))
    assert breaches.waive(breach_id=breach.pk, reason="Agreed by phone", by=owner, now=at(25, 19)) is True
    alarms.sweep(now=at(30, 9))
    breach.refresh_from_db()
    assert (breach.late_policy, breach.late_policy_reason) == ("waived", "Agreed by phone")
    assert Refund.objects.count() == 0


def test_what_was_not_paid_yet_comes_off_the_balance(media_storage: object) -> None:
    gallery = make_gallery(now=at(23, 13))
    deadlines.start(gallery_id=gallery.pk, ended_at=at(23, 14), now=at(23, 14))
    pay(gallery, 10000, now=at(23, 14))
    in_retouching(gallery, now=at(23, 15))
    breach = late(gallery)
    breaches.carry_out(breach_id=breach.pk, by=WORKER, now=at(26, 18))
    booking = Booking.objects.get()
    assert ledger.balance(booking).due == 8000
    breach.refresh_from_db()
    assert (Refund.objects.count(), breach.late_policy_amount, breach.late_policy_given_back) == (0, 2000, 0)


def test_a_studio_without_a_late_fee_has_nothing_to_decide(gallery: Gallery) -> None:
    Studio.objects.update(late_fee_percent=0)
    assert late(gallery).late_policy == "none"
    assert breaches.sweep(now=at(30, 9)) == 0


@pytest.mark.parametrize(("fee", "share"), [(20000, 2000), (18505, 1851), (18504, 1850), (0, 0)])
def test_the_share_is_rounded_half_up(gallery: Gallery, fee: int, share: int) -> None:
    assert breaches.fee_share(Booking(session_fee=fee, price=max(fee, 1))) == share


# --- on the desk


def test_the_owner_decides_on_the_board_and_others_do_not(gallery: Gallery) -> None:
    breach = late(gallery)
    browser = Browser()
    sign_in(browser, make_user(Role.PHOTOGRAPHER))
    assert browser.post(f"/desk/breaches/{breach.pk}/policy", {"deed": "do"}).status_code == 403
    browser.post(f"/desk/breaches/{breach.pk}/cause", {"cause": "  The   retoucher was ill "})
    owner = make_user(Role.OWNER, name="Olga Owner")
    sign_in(browser, owner)
    page = browser.get("/desk/promises/").content.decode()
    assert "Take £20 off now" in page
    assert "The retoucher was ill: 1" in page
    browser.post(f"/desk/breaches/{breach.pk}/policy", {"deed": "waive", "reason": ""})
    breach.refresh_from_db()
    assert (breach.late_policy, breach.cause) == ("proposed", "The retoucher was ill")
    browser.post(f"/desk/breaches/{breach.pk}/policy", {"deed": "do"})
    breach.refresh_from_db()
    assert (breach.late_policy, breach.late_policy_by) == ("done", "Olga Owner")


def test_the_books_name_no_client_and_start_no_formula(gallery: Gallery) -> None:
    breach = late(gallery)
    Breach.objects.update(cause="=HYPERLINK(1)")
    browser = Browser()
    sign_in(browser, make_user(Role.OWNER))
    rows = list(csv.DictReader(io.StringIO(browser.get("/desk/promises/missed.csv").content.decode())))
    assert len(rows) == 1
    assert rows[0]["gallery"] == gallery.shoot.code
    assert rows[0]["promised by"] == "2026-11-25 18:00"
    assert rows[0]["cause"] == "'=HYPERLINK(1)"
    assert rows[0]["amount"] == f"{breach.late_policy_amount / 100:.2f}"
    assert not any("Ada" in value for value in rows[0].values())
    type(gallery.shoot.booking).objects.update(currency="JPY")
    rows = list(csv.DictReader(io.StringIO(browser.get("/desk/promises/missed.csv").content.decode())))
    assert rows[0]["amount"] == str(breach.late_policy_amount)  # yen have no hundredths


# --- the ways it comes back


@pytest.mark.parametrize(
    ("way", "methods", "refunds", "voucher", "price"),
    [
        (LateWay.BACK, {"cash": 20000}, [], 2000, 20000),
        (LateWay.BACK, {"cash": 19000, "stripe": 1000}, [1000], 1000, 19000),
        (LateWay.BACK, {"stripe": 20000}, [2000], 0, 18000),
        (LateWay.BACK, {"cash": 19500}, [], 1500, 19500),  # five of it are not paid yet: they only come off
        (LateWay.CASH_BACK, {"cash": 20000}, [2000], 0, 18000),
        (LateWay.VOUCHER, {"stripe": 20000}, [], 2000, 20000),
    ],
)
def test_cash_becomes_a_voucher_and_card_money_goes_back(
    way: LateWay, methods: dict[str, int], refunds: list[int], voucher: int, price: int, media_storage: object
) -> None:
    gallery = make_gallery(now=at(23, 13))
    Studio.objects.update(late_way=way)
    deadlines.start(gallery_id=gallery.pk, ended_at=at(23, 14), now=at(23, 14))
    for method, amount in methods.items():
        pay(gallery, amount, now=at(23, 14), method=method)
    in_retouching(gallery, now=at(23, 15))
    breach = late(gallery)
    assert breaches.carry_out(breach_id=breach.pk, by=WORKER, now=at(26, 9))
    assert not breaches.carry_out(breach_id=breach.pk, by=WORKER, now=at(26, 10))
    assert list(Refund.objects.values_list("amount", flat=True)) == refunds
    given = list(Voucher.objects.values_list("amount", "code"))
    breach.refresh_from_db()
    assert [amount for amount, _code in given] == ([voucher] if voucher else [])
    assert breach.late_policy_voucher == (given[0][1] if given else "")
    assert breach.late_policy_given_back == sum(refunds) + voucher
    assert Booking.objects.get(shoots__gallery=gallery).price == price
    lines = [line for one in verified() if one.code == "I2" for line in one.find(at(26, 11))]
    assert [line for line in lines if "Stripe could not be asked" not in line] == []


def test_a_studio_without_a_late_policy_proposes_nothing(gallery: Gallery) -> None:
    Studio.objects.update(late_way=LateWay.NONE)
    assert late(gallery).late_policy == "none"


# --- afterwards


def test_the_thank_you_waits_until_the_late_refund_is_settled(gallery: Gallery) -> None:
    late(gallery)
    for retouch in gallery.retouches.exclude(status=RetouchStatus.APPROVED):
        approve(retouch, now=at(26, 9))
    delivery.finals_made(gallery_id=gallery.pk, now=at(26, 9))
    afterwards.sweep(now=at(28, 10))
    assert not Message.objects.filter(name="thank_you").exists()  # the policy is still open
    alarms.sweep(now=at(28, 11))
    afterwards.sweep(now=at(28, 17))
    assert not Message.objects.filter(name="thank_you").exists()  # the cash was not handed back yet
    Refund.objects.update(status="done")
    for _twice in range(2):
        afterwards.sweep(now=at(29, 10))
    assert Message.objects.filter(name="thank_you").count() == 1
    assert fresh(gallery).thank_at is None


def test_finals_are_warned_about_three_times_and_kept_by_one_tap(gallery: Gallery) -> None:
    for retouch in gallery.retouches.all():
        approve(retouch, now=at(24, 9))
    delivery.finals_made(gallery_id=gallery.pk, now=at(24, 9))
    end = fresh(gallery).finals_expire_at
    assert end is not None
    given = []
    for left in (31, 30, 29, 8, 7, 2, 1, 0.5):
        afterwards.sweep(now=end - timedelta(days=left))
        given.append(Message.objects.filter(name="finals_expire").count())
    assert given == [0, 1, 1, 1, 2, 2, 3, 3]
    assert Message.objects.filter(name="finals_expire").order_by("pk").values_list("subject", flat=True)[
        1
    ] == ("Your pictures go in 7 days")
    owner = Actor.user(make_user(Role.OWNER))
    assert afterwards.renew(gallery_id=gallery.pk, by=owner, now=end - timedelta(days=31)) is False
    assert afterwards.renew(gallery_id=gallery.pk, by=owner, now=end + timedelta(days=3)) is True
    assert fresh(gallery).finals_expire_at == end + timedelta(days=368)
    assert fresh(gallery).expiry_warned is None


def test_a_beat_dead_for_a_month_gives_only_the_last_expiry_warning(gallery: Gallery) -> None:
    for retouch in gallery.retouches.all():
        approve(retouch, now=at(24, 9))
    delivery.finals_made(gallery_id=gallery.pk, now=at(24, 9))
    end = fresh(gallery).finals_expire_at
    assert end is not None
    afterwards.sweep(now=end - timedelta(hours=3))
    assert Message.objects.get(name="finals_expire").subject == "Your pictures go tomorrow"
    assert list(invariants.promises_recompute(end)) == []
