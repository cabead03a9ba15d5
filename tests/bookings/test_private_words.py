"""Who may say and read what on a booking's private page, and what ends with a change of sitter."""

from datetime import timedelta

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from bookings import lifecycle, tasks
from bookings.models import Booking, Client, Consent, ConsentPurpose
from studio import credentials
from studio.actors import Actor, ActorKind
from studio.models import Credential, Heartbeat, Role
from tests import factories
from tests.galleries.making import sign_in

pytestmark = pytest.mark.django_db
STAFF = Actor(ActorKind.USER, 1, "Owner")


@pytest.fixture
def booked() -> Booking:
    place = factories.location()
    factories.crew(place)
    kind = factories.session_type(locations=[place], allows_minors=True, slug="portrait")
    booking = factories.booking(
        session_type=kind, at=place, starts_at=timezone.now() + timedelta(days=9), now=timezone.now()
    )
    change_sitter(booking, name="Sam Sitter", email="sam@client.example")
    return booking


def change_sitter(booking: Booking, **fields: object) -> None:
    shoot = booking.shoots.get()
    lifecycle.set_sitter(shoot_id=shoot.pk, by=STAFF, now=timezone.now(), **fields)  # type: ignore[arg-type]


def opened(booking: Booking, holder: Client) -> Browser:
    browser = Browser()
    link = credentials.grant(
        scope="booking", target=booking.public_id, now=timezone.now(), holder_id=holder.pk,
        holder_label=holder.name,
    )  # fmt: skip
    browser.get(link.url.replace("http://testserver", ""))
    return browser


def sitter_of(booking: Booking) -> Client:
    sitter = booking.shoots.get().sitter
    assert sitter is not None
    return sitter


def test_what_makes_the_sitter_nervous_is_theirs_alone(booked: Booking) -> None:
    sitter, payer = opened(booked, sitter_of(booked)), opened(booked, booked.payer)
    sitter.post(reverse("booking_nerves", args=[booked.public_id]), {"nerves": ["blink"], "words": "my nose"})
    page = reverse("booking", args=[booked.public_id])
    assert "my nose" in sitter.get(page).content.decode()
    assert "my nose" not in payer.get(page).content.decode()
    payer.post(reverse("booking_nerves", args=[booked.public_id]), {"nerves": [], "words": "overwritten"})
    assert booked.shoots.get().nerves_text == "my nose"


def test_a_new_sitter_inherits_nothing_and_the_old_link_is_closed(booked: Booking) -> None:
    old = sitter_of(booked)
    was = opened(booked, old)
    shoot = booked.shoots.get()
    lifecycle.set_nerves(shoot_id=shoot.pk, chips=["blink"], text="my nose", by=STAFF, now=timezone.now())
    Consent.objects.create(
        shoot=shoot, sitter=old, purpose=ConsentPurpose.PORTFOLIO, is_given=True, answered_at=timezone.now()
    )
    change_sitter(booked, name="Uma Other", email="uma@client.example")
    shoot.refresh_from_db()
    assert (shoot.nerves, shoot.nerves_text) == ([], "")
    assert not Credential.objects.filter(holder_id=old.pk, revoked_at=None, scope="booking").exists()
    assert was.post(reverse("booking_cancel", args=[booked.public_id])).status_code == 404
    html = opened(booked, sitter_of(booked)).get(reverse("booking", args=[booked.public_id])).content.decode()
    consents = html[html.index('id="consents"') :]
    assert "checked" not in consents[: consents.index("</section>")]


def test_a_sitter_cancels_nothing_and_stays_under_age(booked: Booking) -> None:
    change_sitter(
        booked, name="Sam Sitter", email="sam@client.example", is_minor=True, guardian_name="Pat Parent"
    )
    sitter = opened(booked, sitter_of(booked))
    answer = sitter.post(reverse("booking_cancel", args=[booked.public_id]), follow=True)
    assert "Only who booked can cancel" in answer.content.decode()
    sitter.post(
        reverse("booking_sitter", args=[booked.public_id]),
        {"name": "Sam Sitter", "email": "sam@client.example"},
    )
    shoot = booked.shoots.get()
    booked.refresh_from_db()
    assert (booked.status, shoot.sitter_is_minor, shoot.guardian_name) == ("confirmed", True, "Pat Parent")


@pytest.mark.parametrize(
    "starts_at", ["9999-12-31T10:00:00+00:00", "0001-01-01T00:00:00+00:00", "2026-02-30T25:00Z"]
)
def test_a_time_beyond_all_calendars_is_a_sentence(booked: Booking, starts_at: str) -> None:
    payer = opened(booked, booked.payer)
    place = booked.location.slug
    token = "6f1b6f0e-6a0b-4a7c-8d0e-3c1f5b7a9d11"
    held = payer.post(
        reverse("hold", args=["portrait"]), {"location": place, "starts_at": starts_at, "form_token": token}
    )
    assert held.status_code == 409
    moved = payer.post(
        reverse("booking_move", args=[booked.public_id]), {"starts_at": starts_at, "sure": "1"}, follow=True
    )
    assert moved.status_code == 200
    address = reverse("booking_add_ons", args=[booked.public_id])
    assert payer.get(address, {"chosen": "1", "starts_at": starts_at}).status_code == 200


def test_the_only_free_move_is_shown_before_it_is_made(booked: Booking) -> None:
    payer, address = opened(booked, booked.payer), reverse("booking_move", args=[booked.public_id])
    page = payer.get(address)
    was = booked.starts_at
    assert page.context["first_on"] <= was.astimezone(page.context["zone"]).date() <= page.context["last_on"]
    slot = next(slot for slots in page.context["days"].values() for slot in slots if slot.starts_at != was)
    wanted = {"starts_at": slot.starts_at.isoformat()}

    shown = payer.post(address, wanted, follow=True)
    booked.refresh_from_db()
    assert (booked.starts_at, booked.moved_count) == (was, 0)
    assert "Move it to this time?" in shown.text
    assert "You can move it once by yourself" in shown.text
    odd = {"starts_at": (slot.starts_at + timedelta(minutes=7)).isoformat()}
    forged = payer.post(address, odd, follow=True)
    assert "Move it to this time?" not in forged.text

    for _twice in range(2):
        payer.post(address, wanted | {"sure": "1"})
    booked.refresh_from_db()
    assert (booked.starts_at, booked.moved_count) == (slot.starts_at, 1)
    assert "cannot be moved here any more: once is free" in payer.get(address).text


def test_a_cancelled_session_promises_no_pictures(booked: Booking) -> None:
    payer, address = opened(booked, booked.payer), reverse("booking", args=[booked.public_id])
    assert "if you choose with us in the studio" in payer.get(address).text
    lifecycle.cancel(booking_id=booked.pk, by=STAFF, now=timezone.now(), reason="Flu", full_refund=True)
    page = payer.get(address)
    assert "This session is cancelled" in page.text
    assert "if you choose with us in the studio" not in page.text


def test_who_did_not_come_is_promised_no_pictures_and_asked_no_consent(booked: Booking) -> None:
    sitter, page = opened(booked, sitter_of(booked)), reverse("booking", args=[booked.public_id])
    html = sitter.get(page).text
    assert "May we show your pictures?" in html and "if you choose with us in the studio" in html
    lifecycle.no_show(shoot_id=booked.shoots.get().pk, by=STAFF, now=booked.ends_at + timedelta(minutes=15))
    html = sitter.get(page).text
    assert "We missed each other" in html
    assert "May we show your pictures?" not in html and "if you choose with us in the studio" not in html


def test_an_answer_stands_where_the_form_was_sent_with_what_was_typed(booked: Booking) -> None:
    payer = opened(booked, booked.payer)
    typed = {"name": "Lily Lind", "email": "lily@client.example", "called": "Lil", "is_minor": "on"}
    html = payer.post(reverse("booking_sitter", args=[booked.public_id]), typed, follow=True).text
    assert html.count("a guardian has to be named") == 1
    section = html[html.index('id="sitter"') :]
    section = section[: section.index("</section>")]
    assert "a guardian has to be named" in section and '<details class="more" open>' in section
    assert 'value="lily@client.example"' in section and 'value="Lil"' in section and "checked" in section
    again = payer.get(reverse("booking", args=[booked.public_id])).text
    assert "lily@client.example" not in again and "sam@client.example" in again

    payer.post(reverse("booking_sitter", args=[booked.public_id]), typed | {"guardian_name": "Pat Parent"})
    assert (
        "of somebody under 18 are shown nowhere"
        in payer.get(reverse("booking", args=[booked.public_id])).text
    )
    sitter = opened(booked, sitter_of(booked))
    lifecycle.cancel(booking_id=booked.pk, by=STAFF, now=timezone.now(), reason="Flu", full_refund=True)
    told = sitter.post(
        reverse("booking_nerves", args=[booked.public_id]), {"words": "my nose"}, follow=True
    ).text
    assert 'class="notice' in told[: told.index("<h1>")]  # the section is gone: what is told is not


def test_a_nul_is_turned_away_everywhere(client: Browser) -> None:
    sign_in(client, factories.user(Role.PHOTOGRAPHER))
    assert client.get(reverse("desk_bookings"), {"q": "a\x00b"}).status_code == 400
    assert client.post(reverse("ask_for_link"), {"email": "a\x00@b.example"}).status_code == 400


def test_one_step_that_fails_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def broken(*, now: object) -> None:
        raise RuntimeError("a page that cannot be closed")

    def whole(*, now: object) -> None:
        done.append("call sheets")

    monkeypatch.setattr(tasks, "STEPS", (broken, whole))
    tasks.sweep()
    assert done == ["call sheets"]
    assert not Heartbeat.objects.filter(name="bookings.sweep").exists()  # the studio is told by its absence
