"""The desk's calendar and the pages around it, as the studio uses them."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from bookings import away, day_plan, late, lifecycle
from bookings.models import ArtistAsk, Booking, Busy, ResourceDay
from bookings.statuses import AskStatus, BookingStatus
from studio import credentials
from studio.actors import Actor, ActorKind
from studio.models import Closure, Message, Role
from tests import factories
from tests.galleries.making import sign_in
from tests.html import assert_no_inline

pytestmark = pytest.mark.django_db
STAFF = Actor(ActorKind.USER, 1, "Owner")
NOW = datetime(2035, 11, 19, 10, tzinfo=UTC)  # a Monday far ahead: pages compare with the real clock
TUESDAY = date(2035, 11, 20)
TEN = datetime(2035, 11, 20, 16, tzinfo=UTC)  # 10:00 in Chicago


@pytest.fixture
def place():
    return factories.location(name="Lake Street")


@pytest.fixture
def crew(place):
    return factories.crew(place)


@pytest.fixture
def make_up():
    return factories.add_on(name="Make-up")


@pytest.fixture
def kind(place, crew, make_up):
    return factories.session_type(
        locations=[place], add_ons=[make_up], slug="portrait", horizon_days=9999, increment_minutes=15
    )


@pytest.fixture
def booked(kind, place):
    return factories.booking(
        session_type=kind,
        at=place,
        starts_at=TEN,
        is_paid=True,
        payer=factories.client(name="Nadia Petrov"),
        now=NOW,
    )


@pytest.fixture
def desk(client):
    sign_in(client, factories.user(Role.PHOTOGRAPHER))
    return client


def page(client, name, *args, **query):
    response = client.get(reverse(name, args=args), query)
    assert response.status_code == 200
    html = response.content.decode()
    assert_no_inline(html)
    return html


def test_a_booking_that_is_still_being_typed_breaks_no_page(desk, kind, place):
    """A held time has no name yet."""
    held = factories.booking(session_type=kind, at=place, starts_at=TEN, status=BookingStatus.HELD, now=NOW)
    held.shoots.all().delete()
    Booking.objects.filter(pk=held.pk).update(payer=None)
    assert "Somebody who is still typing" in page(desk, "desk_bookings", tab="open")
    assert "Somebody who is still typing" in page(desk, "desk_booking", held.public_id)
    assert "Being typed" in page(desk, "desk_calendar", on="2035-11-20")


def test_a_request_decided_in_another_tab_says_so(desk, booked):
    Booking.objects.filter(pk=booked.pk).update(status=BookingStatus.CANCELLED)
    answer = desk.post(
        reverse("desk_booking_decide", args=[booked.public_id]), {"answer": "yes"}, follow=True
    )
    assert "It is decided already: “Cancelled”. Nothing was changed." in answer.content.decode()


# --- the plan -----------------------------------------------------------------------------------------------


def test_a_day_is_whole_for_everybody(place, crew, booked):
    Busy.objects.create(
        resource=crew["photographer"], starts_at=TEN + timedelta(hours=3), ends_at=TEN + timedelta(hours=4)
    )
    crew["photographer"].hours.filter(weekday=1).update(ends_at=time(15))
    plan = day_plan.day_plan(location=place, on=TUESDAY, now=NOW)
    assert [len(plan.columns), plan.bookings] == [4, 1]
    rows = {sum(cell.rows for cell in column.stretches) for column in plan.columns}
    assert rows == {len(plan.lines)} == {9 * 12}
    photographer = plan.columns[0]
    kinds = [(cell.kind, cell.rows) for cell in photographer.stretches if cell.kind != "free"]
    assert kinds == [("claim", 15), ("busy", 12), ("off", 36)]


def test_a_claim_outside_the_hours_lengthens_the_day_and_a_clock_change_keeps_it_whole(place, crew, kind):
    on = date(2035, 11, 4)  # a Sunday: closed, and the clocks go back
    factories.booking(session_type=kind, at=place, starts_at=datetime(2035, 11, 4, 14, tzinfo=UTC), now=NOW)
    plan = day_plan.day_plan(location=place, on=on, now=NOW - timedelta(days=30))
    assert plan.lines[0].at == datetime(2035, 11, 4, 14, tzinfo=UTC)  # 8:00 in Chicago
    rows = {sum(cell.rows for cell in column.stretches) for column in plan.columns}
    assert rows == {len(plan.lines)}


def test_the_calendar_shows_the_day_and_the_week(desk, place, booked):
    html = page(desk, "desk_calendar", on="2035-11-20")
    assert html.count("Nadia Petrov") == 2  # with the photographer and in the room
    assert f'data-move="{reverse("desk_move", args=[booked.public_id])}"' in html
    week = page(desk, "desk_calendar", on="2035-11-22", view="week")
    assert "10:00" in week and "Nadia Petrov" in week
    assert page(desk, "desk_calendar", on="nonsense", location="nowhere")


def test_an_artist_sees_her_own_column_and_no_money(client, place, crew, kind, booked):
    artist = factories.user(Role.ARTIST)
    crew["make-up-artist"].user = artist
    crew["make-up-artist"].save()
    sign_in(client, artist)
    html = page(client, "desk_calendar", on="2035-11-20")
    assert crew["make-up-artist"].name in html
    assert "Nadia Petrov" not in html and crew["photographer"].name not in html
    assert "$" not in html and reverse("desk_book") not in html
    for name in ("desk_book", "desk_block", "desk_people", "desk_closures"):
        assert client.get(reverse(name)).status_code == 403


def test_an_artist_sees_the_slates_of_her_own_sessions_only(client, desk, place, crew, kind, booked, make_up):
    factories.location(name="Before all others")  # not hers, though the first by name
    crew["make-up-artist"].user = factories.user(Role.ARTIST)
    crew["make-up-artist"].user.staff_roles.update(location=place)
    crew["make-up-artist"].save()
    payer = factories.client(name="Ines Duarte")
    at = TEN + timedelta(hours=4)
    hers = factories.booking(
        session_type=kind, at=place, starts_at=at, payer=payer, add_ons={make_up: 1}, now=NOW
    )
    assert "Nadia Petrov" in page(desk, "slates", day="2035-11-20", at=place.pk)
    sign_in(client, crew["make-up-artist"].user)
    html = page(client, "slates", day="2035-11-20")
    assert html.count('title="Ines Duarte"') == 1 and "Nadia Petrov" not in html and place.name in html
    assert reverse("cards") not in html and reverse("slate", args=[hers.shoots.get().public_id]) not in html
    hers.claims.filter(resource=crew["make-up-artist"]).update(is_active=False)
    assert "Ines Duarte" not in page(client, "slates", day="2035-11-20")


def test_the_day_of_an_artist_is_what_she_works_in(client, place, crew, kind, make_up):
    artist = crew["make-up-artist"]
    artist.user = factories.user(Role.ARTIST)
    artist.save()
    now = timezone.now()
    hers = factories.booking(session_type=kind, at=place, starts_at=now, now=now)
    times = {"starts_at": now, "ends_at": hers.ends_at, "works_from": now, "works_until": hers.ends_at}
    claim = hers.claims.create(resource=artist, purpose="Make-up", **times)
    sign_in(client, artist.user)
    assert hers.shoots.get().public_id in page(client, "desk")
    hers.claims.filter(pk=claim.pk).update(is_active=False)  # a stand-in does it
    assert hers.shoots.get().public_id not in page(client, "desk")


@pytest.mark.parametrize("role", [Role.OWNER, Role.ARTIST])
def test_the_desk_asks_as_much_for_forty_sessions_as_for_eight(client, place, crew, kind, make_up, role):
    now = timezone.now()
    user = factories.user(role)
    crew["make-up-artist"].user = user
    crew["make-up-artist"].save()
    sign_in(client, user)

    def queries(count, *, ahead):
        for number in range(count):
            booking = factories.booking(session_type=kind, at=place, starts_at=now, now=now)
            booking.claims.all().delete()
            booking.add_ons.create(add_on=make_up, count=1, price=9000)
            begins = now + timedelta(days=number % 3, seconds=ahead + number)  # one after the other
            times = {"starts_at": begins, "ends_at": begins + timedelta(seconds=1)}
            booking.claims.create(
                resource=crew["make-up-artist"],
                works_from=times["starts_at"],
                works_until=times["ends_at"],
                **times,
            )
            Booking.objects.filter(pk=booking.pk).update(**times)
        with CaptureQueriesContext(connection) as asked:
            html = page(client, "desk")
        assert html.count("/check-in") == sum(number % 3 == 0 for number in range(count)) + found
        return [query["sql"] for query in asked]

    found = 0
    few = queries(8, ahead=0)
    found = 3
    many = queries(32, ahead=100)
    assert len(many) == len(few), "\n".join(sorted(set(many) - set(few)))
    assert sum('FROM "bookings_shoot"' in sql and '"bookings_sessiontype"' in sql for sql in many) == 1


def test_the_weekly_hours_show_a_second_span_where_there_is_one(desk, place, crew):
    hers = crew["photographer"]
    hers.hours.filter(weekday=1).update(ends_at=time(12))
    hers.hours.create(location=place, weekday=1, starts_at=time(13), ends_at=time(18))
    html = page(desk, "desk_person", hers.public_id)
    assert html.count('<details class="more week-more" open>') == 1  # what is written is never out of sight
    assert html.count('<details class="more week-more">') == 6
    for name, value in (("from-1-0", "09:00"), ("until-1-0", "12:00"), ("from-1-1", "13:00")):
        assert f'name="{name}" type="time" value="{value}"' in html
    assert html.count('name="from-0-1" type="time" value=""') == 1


# --- moving -------------------------------------------------------------------------------------------------


def test_a_drop_is_looked_at_first_and_says_who_is_in_the_way(desk, place, crew, kind, booked):
    other = factories.booking(
        session_type=kind, at=place, starts_at=TEN + timedelta(hours=2), payer=factories.client(), now=NOW
    )
    taken = page(desk, "desk_move", other.public_id, to=(TEN + timedelta(minutes=30)).isoformat())
    assert f"{crew['camera-room'].name} is taken until 11:15." in taken
    assert "is free" not in taken
    free = page(desk, "desk_move", other.public_id, to=(TEN + timedelta(hours=4)).isoformat())
    assert "Tue 20 November 2035, 14:00 is free." in free


def test_the_form_does_the_same_as_the_drop(desk, booked):
    html = page(desk, "desk_move", booked.public_id, on="2035-11-20", at="14:00")
    assert "14:00 is free." in html
    response = desk.post(
        reverse("desk_move", args=[booked.public_id]),
        {"to": (TEN + timedelta(hours=4)).isoformat(), "reason": "Traffic"},
    )
    assert response.url == f"{reverse('desk_calendar')}?location={booked.location.slug}&on=2035-11-20"
    booked.refresh_from_db()
    assert booked.starts_at == TEN + timedelta(hours=4)


def test_an_odd_minute_is_the_only_reason_where_everybody_is_free(desk, booked):
    odd = (TEN + timedelta(hours=4, minutes=7)).isoformat()
    html = page(desk, "desk_move", booked.public_id, to=odd)
    assert "Sessions do not start at that minute." in html
    assert "Enough people and rooms are free; only your own hours and rules stand against it" in html
    assert "Not enough people" not in html


def test_outside_the_hours_only_with_a_reason(desk, booked):
    late = (TEN + timedelta(hours=9)).isoformat()  # 19:00
    assert "only your own hours and rules stand against it" in page(
        desk, "desk_move", booked.public_id, to=late
    )
    address = reverse("desk_move", args=[booked.public_id])
    assert desk.post(address, {"to": late}).status_code == 200
    booked.refresh_from_db()
    assert booked.starts_at == TEN
    desk.post(address, {"to": late, "override_reason": "A senator"})
    booked.refresh_from_db()
    assert (booked.starts_at, booked.override_reason) == (TEN + timedelta(hours=9), "A senator")
    assert desk.post(address, {"to": "nonsense"}).status_code == 200


# --- by phone -----------------------------------------------------------------------------------------------


def caller(**fields):
    return {
        "session": "portrait",
        "form_token": str(uuid4()),
        "starts_at": TEN.isoformat(),
        "name": "Marcus Reed",
        "email": "marcus@client.example",
        "paying": "studio",
    } | fields


def test_a_caller_is_booked_and_pays_at_the_studio(desk, kind, place, make_up):
    html = page(desk, "desk_book", session="portrait", on="2035-11-20", **{f"add-{make_up.pk}": "1"})
    assert "camera 09:45" in html
    form = caller(**{f"add-{make_up.pk}": "1"}, note="Likes jazz")
    made = desk.post(reverse("desk_book"), form)
    booking = Booking.objects.get()
    assert made.url == reverse("desk_booking", args=[booking.public_id])
    assert (booking.status, booking.due_now, booking.pays_at_studio, booking.price) == (
        BookingStatus.CONFIRMED,
        0,
        True,
        27000,
    )
    assert booking.staff_note == "Likes jazz"
    assert desk.post(reverse("desk_book"), form).url == made.url  # pressed twice
    assert Booking.objects.count() == 1


def test_a_free_time_beside_one_outside_the_hours_needs_no_reason(desk, kind, place):
    late = (TEN + timedelta(hours=9)).isoformat()
    html = page(desk, "desk_book", session="portrait", starts_at=late)
    field = next(line for line in html.splitlines() if 'name="override_reason"' in line)
    assert "required" not in field and "Only for 19:00." in field
    refused = desk.post(reverse("desk_book"), caller(starts_at=late, override_reason=""))
    assert refused.status_code == 422 and not Booking.objects.exists()
    assert desk.post(reverse("desk_book"), caller(override_reason="")).status_code == 302
    assert Booking.objects.get().override_reason == ""


def test_a_caller_gets_a_link_and_a_day_to_pay(desk, client, kind, place, django_capture_on_commit_callbacks):
    desk.post(reverse("desk_book"), caller(paying="link"))
    booking = Booking.objects.get()
    assert booking.status == BookingStatus.HELD
    assert booking.hold_expires_at - booking.created_at > timedelta(hours=23)
    mail = Message.objects.get(name="booking_pay_link")
    link = next(line for line in mail.body_text.split() if "/open/" in line)
    guest = type(client)()
    assert guest.get(reverse("booking_details", args=[booking.public_id])).status_code == 404
    landed = guest.get(link.removeprefix(settings.SITE_URL), follow=True)
    assert landed.redirect_chain[-1][0] == reverse("booking_details", args=[booking.public_id])
    assert "Marcus Reed" in landed.content.decode()


def test_a_caller_who_paid_in_cash_is_confirmed(desk, kind, place):
    desk.post(reverse("desk_book"), caller(paying="cash"))
    booking = Booking.objects.get()
    assert (booking.status, booking.allocations.get().amount) == (BookingStatus.CONFIRMED, booking.due_now)


def test_wrong_details_lose_nothing_and_taken_times_say_why(desk, kind, place, crew, booked):
    wrong = desk.post(
        reverse("desk_book"), caller(email="nobody", starts_at=(TEN + timedelta(hours=4)).isoformat())
    )
    assert wrong.status_code == 422 and "Marcus Reed" in wrong.content.decode()
    assert Booking.objects.count() == 1
    taken = desk.post(reverse("desk_book"), caller())
    assert taken.status_code == 422
    assert f"{crew['camera-room'].name} is taken until 11:15." in taken.content.decode()
    assert desk.post(reverse("desk_book"), caller(starts_at="")).status_code == 422
    assert desk.post(reverse("desk_book"), caller(paying="gold")).status_code == 422
    asked = page(desk, "desk_book", session="portrait", on="2035-11-20", at="20:30")
    assert "The studio is not open for all of that time." in asked


# --- blocking -----------------------------------------------------------------------------------------------


def block(desk, resource, **fields):
    form = {"resource": resource.pk, "on": "2035-11-20", "starts_at": "13:00", "ends_at": "14:00"} | fields
    return desk.post(reverse("desk_block"), form)


def test_blocked_time_is_shown_and_taken_back(desk, place, crew, kind):
    assert block(desk, crew["photographer"], reason="Dentist").status_code == 302
    block(desk, crew["photographer"])
    busy = Busy.objects.get()
    assert (busy.starts_at, busy.source) == (TEN + timedelta(hours=3), "staff")
    assert "Dentist" in page(desk, "desk_calendar", on="2035-11-20")
    desk.post(reverse("desk_unblock"), {"busy": busy.pk, "on": "2035-11-20"})
    assert not Busy.objects.exists()
    assert desk.post(reverse("desk_unblock"), {"busy": "x"}).status_code == 302


def test_booked_time_is_not_blocked_over(desk, crew, booked):
    refused = block(desk, crew["photographer"], starts_at="10:30", ends_at="10:45")
    assert refused.status_code == 422
    assert "is booked 10:00–11:15 (Nadia Petrov). Move that first." in refused.content.decode()
    assert block(desk, crew["photographer"], starts_at="15:00", ends_at="14:00").status_code == 422


@pytest.mark.parametrize("edge", ["9999-12-31", "0001-01-01"])
def test_the_edges_of_the_calendar_are_an_error_at_the_field(client, desk, place, crew, kind, booked, edge):
    """Nothing can be computed from the last day there is: the form says so, and no page breaks."""
    words = "That is too far away. Please give a day within ten years."
    person = crew["photographer"]

    def refused(page_name, *args, **form):
        response = desk.post(reverse(page_name, args=args), form)
        assert response.status_code == 422
        return words in response.content.decode()

    assert words in block(desk, person, on=edge).content.decode()
    assert refused("desk_person_leave", person.public_id, first_on=edge)
    assert refused("desk_person_leave", person.public_id, first_on="2035-11-20", last_on=edge)
    hours = {"location": place.pk, "starts_at": "09:00", "ends_at": "10:00"}
    assert refused("desk_person_other", person.public_id, on=edge, **hours)
    shut = {"location": place.pk, "name": "Inventory", "repeats": "yearly"}
    assert refused("desk_closures", on=edge, **shut)
    assert refused("desk_closures", on="2035-11-20", until=edge, **shut)
    assert refused("wait", "portrait", first_on=edge, last_on=edge)
    for at in ("00:00", "23:59"):
        moment = {"on": edge, "at": at}
        assert words in page(desk, "desk_move", booked.public_id, **moment)
        assert words in page(desk, "desk_book", session="portrait", **moment)
    assert "Away" in page(desk, "desk_away", person.public_id, on=edge, until=edge)
    assert desk.post(reverse("desk_person_back", args=[person.public_id]), {"on": edge}).status_code == 302
    assert not ResourceDay.objects.exists() and not Closure.objects.exists() and not Busy.objects.exists()


# --- people -------------------------------------------------------------------------------------------------


def test_weekly_hours_are_written_and_nonsense_is_not(desk, place, crew):
    ana = crew["photographer"]
    address = reverse("desk_person_hours", args=[ana.public_id])
    form = {"from-0-0": "10:00", "until-0-0": "13:00", "from-0-1": "14:00", "until-0-1": "18:00"}
    places = {f"place-0-{number}": place.pk for number in (0, 1)}
    desk.post(address, form | places)
    hours = [(row.weekday, row.starts_at, row.ends_at) for row in ana.hours.all()]
    assert hours == [(0, time(10), time(13)), (0, time(14), time(18))]
    for wrong in ({"until-0-0": "09:00"}, {"until-0-0": "15:00"}, {"from-0-0": "ten"}):
        desk.post(address, form | places | wrong)
    assert ana.hours.count() == 2
    assert "13:00" in page(desk, "desk_person", ana.public_id)


def test_leave_leads_to_the_list_of_who_is_affected(desk, crew, booked):
    ana = crew["photographer"]
    answer = desk.post(
        reverse("desk_person_leave", args=[ana.public_id]),
        {"first_on": "2035-11-20", "last_on": "2035-11-21"},
    )
    html = desk.get(answer.url).content.decode()
    assert "Nadia Petrov" in html and "nobody else is free" in html
    assert ResourceDay.objects.count() == 2
    again = f"{reverse('desk_away', args=[ana.public_id])}?on=2035-11-20&amp;until=2035-11-20"
    told = page(desk, "desk")
    assert f"{ana.name} is away, and 1 session stands" in told and again in told
    assert again in page(desk, "desk_booking", booked.public_id)
    desk.post(reverse("desk_person_back", args=[ana.public_id]), {"on": "2035-11-21"})
    assert ResourceDay.objects.get().on == TUESDAY


def test_one_tap_offers_another_time(desk, crew, booked):
    away_page = {"away": crew["photographer"].public_id, "on": "2035-11-20", "until": "2035-11-20"}
    answer = desk.post(reverse("desk_mend", args=[booked.public_id, "offer"]), away_page)
    assert answer.url.startswith(reverse("desk_away", args=[crew["photographer"].public_id]))
    assert "Another time is offered" in desk.get(answer.url).content.decode()
    assert desk.post(reverse("desk_mend", args=[booked.public_id, "nothing"])).status_code == 404


def test_one_tap_gives_the_place_to_somebody_else(desk, place, crew, booked):
    theo = factories.resource("photographer", at=place, name="Theo")
    claim = booked.claims.get(resource=crew["photographer"])
    away.away(resource_id=crew["photographer"].pk, first_on=TUESDAY, by=STAFF, now=NOW)
    html = page(desk, "desk_away", crew["photographer"].public_id, on="2035-11-20")
    assert "Theo does it" in html
    desk.post(
        reverse("desk_mend", args=[booked.public_id, "stand-in"]), {"claim": claim.pk, "resource": theo.pk}
    )
    assert booked.claims.get(resource=theo).is_active


def test_a_whole_day_is_moved(desk, place, booked):
    assert "Nadia Petrov" in page(desk, "desk_move_day", location=place.slug, on="2035-11-20")
    address = reverse("desk_move_day") + f"?location={place.slug}&on=2035-11-20"
    desk.post(address, {"reason": "A flood", "closes": "1"})
    assert Closure.objects.get().on == TUESDAY
    assert Message.objects.filter(name="booking_time_offered").count() == 1
    html = page(desk, "desk_move_day", location=place.slug, on="2035-11-20")
    assert "Everybody has a mail with other times" in html and "Offer everybody another time" not in html


def test_closures_repeat_and_can_be_taken_back(desk, place):
    form = {
        "location": place.pk,
        "on": "2035-12-03",
        "name": "Inventory",
        "repeats": "monthly",
        "until": "2036-03-31",
    }
    desk.post(reverse("desk_closures"), form)
    first_mondays = [date(2035, 12, 3), date(2036, 1, 7), date(2036, 2, 4), date(2036, 3, 3)]
    assert list(Closure.objects.order_by("on").values_list("on", flat=True)) == first_mondays
    assert "Inventory" in page(desk, "desk_closures")
    desk.post(reverse("desk_closure_off"), {"closure": list(Closure.objects.values_list("pk", flat=True))})
    assert not Closure.objects.exists()
    wrong = desk.post(reverse("desk_closures"), form | {"until": "2035-01-01"})
    assert wrong.status_code == 422


def test_a_day_that_closes_early_can_be_closed_whole_but_not_the_other_way(desk, place):
    form = {
        "location": place.pk,
        "on": "2035-12-03",
        "name": "Party",
        "closes_at": "14:00",
        "repeats": "once",
    }

    def closed(**more):
        said = desk.post(reverse("desk_closures"), form | more, follow=True).content.decode()
        row = Closure.objects.get()
        return row.name, row.closes_at, "1 day is closed." in said, "It is closed then already." in said

    assert closed() == ("Party", time(14), True, False)
    assert closed(name="Later party", closes_at="16:00") == ("Party", time(14), False, True)
    assert closed(name="Early party", closes_at="12:00") == ("Early party", time(12), True, False)
    assert closed(name="Inventory", closes_at="") == ("Inventory", None, True, False)
    assert closed() == ("Inventory", None, False, True)


# --- late, once more, on request ----------------------------------------------------------------------------


def test_late_says_what_is_left(desk, booked):
    address = reverse("desk_late", args=[booked.public_id])
    assert 'value="10:00"' in desk.get(address).content.decode()  # the clock of the place
    desk.post(address, {"verb": "expect", "at": "10:25"})
    html = desk.get(address).content.decode()
    assert "25 minutes late. What now?" in html and "A shorter session: 35 minutes" in html
    desk.post(address, {"verb": "shorter"})
    assert Message.objects.get(name="booking_shorter")
    assert "What now?" not in page(desk, "desk_booking", booked.public_id)
    assert "Agreed: 35 of 60 minutes." in page(desk, "desk_booking", booked.public_id)
    booked.shoots.update(expected_at=None)
    for nonsense in ("soon", "", "10:20x", "10:20:99", "9" * 5000):
        said = desk.post(address, {"verb": "expect", "at": nonsense}, follow=True).content.decode()
        assert "Please give a time, such as 10:20." in said
    assert desk.post(address, {"verb": "expect", "at": "10:20\0"}).status_code == 400
    assert booked.shoots.get().expected_at is None


def test_nobody_agrees_on_a_session_of_no_minutes(desk, booked):
    address = reverse("desk_late", args=[booked.public_id])
    desk.post(address, {"verb": "expect", "at": "11:30"})
    html = desk.get(address).content.decode()
    assert "Another day" in html and "A shorter session" not in html
    said = desk.post(address, {"verb": "shorter"}, follow=True).content.decode()
    assert "Nothing is left of the session then." in said
    assert not Message.objects.filter(name="booking_shorter").exists()


def test_client_and_desk_read_until_when_the_place_is_held(client, desk, booked):
    booked.refresh_from_db()
    lifecycle.after_confirming(booked, message="booking_confirmed", by=STAFF, now=NOW)
    given = credentials.grant(scope="booking", target=booked.public_id, now=NOW, holder_id=booked.payer_id)
    client.get(given.url)
    address = reverse("booking", args=[booked.public_id])
    assert "We hold your place until <strong>10:15</strong>" in client.get(address).content.decode()
    assert "Their place is held until <strong>10:15</strong>" in page(desk, "desk_booking", booked.public_id)
    assert "We hold their place until 10:15" in page(desk, "desk_late", booked.public_id)
    shoot = booked.shoots.get()
    late.expect(shoot_id=shoot.pk, expected_at=TEN + timedelta(minutes=25), by=STAFF, now=TEN)
    assert "You come at" not in client.get(address).content.decode()
    late.make_shorter(shoot_id=shoot.pk, by=STAFF, now=TEN)
    agreed = client.get(address).content.decode()
    assert "You come at <strong>10:25</strong>: 35 of 60 minutes" in agreed and "We hold your" not in agreed
    lifecycle.check_in(shoot_id=shoot.pk, by=STAFF, now=TEN)
    assert "held until" not in page(desk, "desk_booking", booked.public_id)


def test_a_reshoot_is_booked_from_the_first_session(desk, booked):
    lifecycle.after_confirming(booked, message="booking_confirmed", by=STAFF, now=NOW)
    lifecycle.complete(shoot_id=booked.shoots.get().pk, by=STAFF, now=booked.ends_at)
    address = reverse("desk_reshoot", args=[booked.public_id])
    at = TEN + timedelta(days=2)
    assert at.isoformat() in page(desk, "desk_reshoot", booked.public_id, on="2035-11-22")
    made = desk.post(address, {"starts_at": at.isoformat(), "reason": "Blinked", "form_token": str(uuid4())})
    again = Booking.objects.get(reshoot_of=booked)
    assert (made.url, again.price) == (reverse("desk_booking", args=[again.public_id]), 0)
    assert "A reshoot of" in page(desk, "desk_booking", again.public_id)
    listed = desk.get(reverse("desk_bookings"), {"tab": "reshoots"}).content.decode()
    assert again.public_id in listed and booked.public_id not in listed


def test_an_artist_answers_by_her_link_and_looking_answers_nothing(client, desk, place, crew, kind, make_up):
    artist = crew["make-up-artist"]
    artist.is_on_request, artist.user = True, factories.user(Role.ARTIST)
    artist.save()
    booking = factories.booking(session_type=kind, at=place, starts_at=TEN, add_ons={make_up: 1}, now=NOW)
    lifecycle.after_confirming(booking, message="booking_confirmed", by=STAFF, now=NOW)
    ask = ArtistAsk.objects.get()
    assert "was asked and answers before" in page(desk, "desk_booking", booking.public_id)
    mail = Message.objects.get(name="artist_asked")
    link = next(line for line in mail.body_text.split() if "/open/" in line)
    guest = type(client)()
    assert guest.get(reverse("artist_ask", args=[ask.public_id])).status_code == 404
    ask_page = guest.get(link.removeprefix(settings.SITE_URL), follow=True).content.decode()
    assert "Yes, I come" in ask_page and booking.payer.name not in ask_page
    ask.refresh_from_db()
    assert ask.status == AskStatus.ASKED
    address = reverse("artist_ask", args=[ask.public_id])
    assert "Thank you, see you then" in guest.post(address, {"answer": "yes"}, follow=True).content.decode()
    assert "Thank you for telling us" in guest.post(address, {"answer": "no"}).content.decode()
    assert guest.get(address).status_code == 404  # the link is closed with the answer
    assert "Nobody for Make-up" in page(desk, "desk_booking", booking.public_id)
    assert "nobody for Make-up" in page(desk, "desk")
