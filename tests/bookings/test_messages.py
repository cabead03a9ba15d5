"""What is written to whom and when: the sequence before a session, texts, the studio's own words, call sheets."""

import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from bookings import call_sheets, lifecycle, messages
from bookings.models import Claim
from studio import outbox, texts, wording
from studio.actors import Actor, ActorKind
from studio.models import Message, MessageWords, Role
from studio.wording import WordingRefused
from tests import factories
from tests.factories import NOW
from tests.galleries.making import sign_in
from tests.html import assert_no_inline

pytestmark = pytest.mark.django_db
OWNER = Actor(ActorKind.USER, 1, "Owner")
HOUR = timedelta(hours=1)
TEN = datetime(2026, 11, 26, 16, tzinfo=UTC)  # Thursday 10:00 in Chicago, ten days after NOW


@pytest.fixture
def booked():
    place = factories.location()
    factories.crew(place)
    kind = factories.session_type(name="Signature", locations=[place])
    payer = factories.client(name="Ada Long", mobile="+13125550100")
    return factories.booking(session_type=kind, starts_at=TEN, payer=payer, is_paid=True)


def planned(status="queued"):
    return dict(Message.objects.filter(status=status).values_list("name", "due_at"))


def test_the_sequence_keeps_its_distances_and_the_night(booked):
    messages.plan_reminders(booked, now=NOW)
    assert planned() == {
        "booking_wear": TEN - 7 * 24 * HOUR,
        "booking_prepare": TEN - 72 * HOUR,
        "booking_reminder": TEN - 24 * HOUR,
        "text_reminder": TEN - 2 * HOUR,
    }
    messages.plan_reminders(booked, now=NOW)  # a second time plans nothing twice
    assert Message.objects.count() == 4


@pytest.mark.parametrize(
    ("before", "names"),
    [
        (
            80,
            {"booking_reminder", "text_reminder"},
        ),  # three days before is within 12 hours of the confirmation
        (30, {"text_reminder"}),
        (1, set()),
    ],
)
def test_a_late_booking_gets_only_what_still_makes_sense(booked, before, names):
    messages.plan_reminders(booked, now=TEN - before * HOUR)
    assert set(planned()) == names


def test_a_text_for_an_early_session_goes_the_evening_before(booked):
    early = TEN - 1.5 * HOUR  # 8:30: two hours before is night
    booked.starts_at = early
    messages.plan_reminders(booked, now=NOW)
    assert planned()["text_reminder"] == datetime(2026, 11, 26, 2, tzinfo=UTC)  # 20:00 on Wednesday


def test_what_worries_the_sitter_is_answered_and_never_quoted(booked):
    messages.plan_reminders(booked, now=NOW)
    shoot = booked.shoots.get()
    lifecycle.set_nerves(shoot_id=shoot.pk, chips=["blink"], text="I hate my nose", by=OWNER, now=NOW)
    mail = Message.objects.get(name="booking_prepare", status="queued")
    assert "We photograph in short runs" in mail.body_text
    assert "nose" not in mail.body_text + mail.subject and "blink" not in mail.subject
    assert Message.objects.filter(name="booking_prepare", status="cancelled").count() == 1
    wording.save(name="coaching_blink", subject="", body="We count to three.", by=OWNER, now=NOW)
    lifecycle.set_nerves(shoot_id=shoot.pk, chips=["blink", "time"], by=OWNER, now=NOW)
    latest = Message.objects.get(name="booking_prepare", status="queued").body_text
    assert "We count to three." in latest and "ten minutes" in latest


def test_a_payer_who_is_somebody_else_reads_nothing_of_the_sitters_worries(booked):
    booked.shoots.update(sitter=factories.client())
    lifecycle.set_nerves(shoot_id=booked.shoots.get().pk, chips=["blink"], by=OWNER, now=NOW)
    mails = Message.objects.filter(name="booking_prepare", status="queued")
    assert "short runs" not in mails.get(client_id=booked.payer_id).body_text
    assert "short runs" in mails.exclude(client_id=booked.payer_id).get().body_text


SAY_WHEN = [  # every mail to a client that names the time of their session, or times they may choose
    "balance_request",
    "booking_cancelled",
    "booking_changed",
    "booking_confirmed",
    "booking_late_payment_reseated",
    "booking_moved",
    "booking_pay_link",
    "booking_prepare",
    "booking_reminder",
    "booking_request_lapsed",
    "booking_requested",
    "booking_sitter",
    "booking_sitter_cancelled",
    "booking_sitter_off",
    "booking_time_offered",
    "booking_time_stands",
    "booking_time_waits",
    "booking_without",
]
FACTS = {
    "was_at": NOW,
    "until": NOW,
    "left_out": {"name": "Make-up"},
    "times": [TEN],
    "due": 100,
    "refund": 100,
}


@pytest.fixture
def from_london(booked):
    booked.payer.zone = "Europe/London"
    booked.payer.save()
    return booked


@pytest.mark.parametrize("name", SAY_WHEN)
def test_a_client_elsewhere_reads_their_own_clock_too(from_london, name):
    messages.tell_client(name, booking=from_london, now=NOW, **FACTS)
    mail = Message.objects.get(name=name)
    assert "Thu 26 November, 10:00 (16:00 your time, Europe/London)" in mail.body_text


def test_no_mail_that_says_when_is_forgotten():
    """A line that is only a time says when to come, or when one could."""
    line = re.compile(
        r"^(?:{% for time in times %})?{{ (?:booking\.starts_at|time)\|local:location }}", re.MULTILINE
    )
    files = (settings.BASE_DIR / "templates/emails").glob("booking_*/body.txt")
    says = {file.parent.name for file in files if line.search(file.read_text())}
    assert sorted(says | {"balance_request"}) == SAY_WHEN


def test_the_studios_own_words_say_the_clients_clock_too(from_london):
    MessageWords.objects.create(
        name="booking_reminder", subject="Soon", body="See you {when}. {link}", changed_at=NOW
    )
    messages.tell_client("booking_reminder", booking=from_london, now=NOW)
    text = Message.objects.get(name="booking_reminder").body_text
    assert "See you Thu 26 November, 10:00 (16:00 your time, Europe/London)." in text


def test_nothing_is_sent_after_a_cancellation(booked):
    messages.plan_reminders(booked, now=NOW)
    lifecycle.cancel(booking_id=booked.pk, by=OWNER, now=NOW, full_refund=True)
    assert set(planned()) == {"booking_cancelled"}


# --- texts --------------------------------------------------------------------------------------------------


def test_without_a_provider_a_text_waits_on_the_desk_filled_in(booked, client, monkeypatch):
    messages.plan_reminders(booked, now=NOW)
    due = TEN - 2 * HOUR
    while outbox.send_next(now=due):
        pass
    text = Message.objects.get(name="text_reminder")
    assert (text.status, text.attempts) == ("by_hand", 1)
    monkeypatch.setattr("django.utils.timezone.now", lambda: due)
    sign_in(client, factories.user(Role.PHOTOGRAPHER))
    desk = client.get(reverse("desk")).text
    assert "sms:+13125550100?body=" in desk and "see%20you%20at%2010%3A00" in desk
    assert_no_inline(desk)
    for _tap in range(2):
        client.post(reverse("text_sent", args=[text.public_id]))
    text.refresh_from_db()
    assert text.status == "sent"


class Carrier:
    taken: list[tuple[str, str, str]] = []

    def send(self, *, to, text, reference):
        if len(self.taken) == 0 and text.startswith("refuse"):
            raise texts.TextRefused("no")
        self.taken.append((to, text, reference))


def test_a_provider_named_in_the_settings_carries_texts(booked, settings):
    settings.SMS_BACKEND = "tests.bookings.test_messages.Carrier"
    messages.plan_reminders(booked, now=NOW)
    while outbox.send_next(now=TEN - 2 * HOUR):
        pass
    sent = Message.objects.get(name="text_reminder")
    assert sent.status == "sent"
    assert Carrier.taken[-1] == ("+13125550100", sent.body_text, sent.public_id)


def test_the_https_provider_takes_no_plain_address(settings):
    settings.SMS_URL = "http://127.0.0.1:9/send"
    with pytest.raises(texts.TextRefused):
        texts.HttpsProvider().send(to="+1", text="x", reference="r")


# --- the studio's own words ---------------------------------------------------------------------------------


def test_own_words_are_filled_in_and_nothing_else_is_looked_into(booked):
    booked.payer.called = "{link} {{ 7|add:7 }} <b>"
    booked.payer.save()
    wording.save(name="booking_reminder", subject="{day}", body="Hi {first_name},\n{link}", by=OWNER, now=NOW)
    messages.plan_reminders(booked, now=NOW)
    mail = Message.objects.get(name="booking_reminder")
    assert mail.subject == "Thursday 26 November"
    assert "Hi {link} {{ 7|add:7 }} <b>," in mail.body_text
    assert "&lt;b&gt;" in mail.body_html and mail.body_text.count("/open/") == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("Hi {name} {link}", "There is no {name} here"),
        ("Hi { {link}", "brace"),
        ("Hi", "Without {link}"),
        ("{link}" + "x" * 8001, "8000"),
        ("  ", "write something"),
    ],
)
def test_words_that_cannot_be_filled_in_are_refused_with_a_sentence(body, words):
    with pytest.raises(WordingRefused) as refused:
        wording.save(name="booking_reminder", subject="Soon", body=body, by=OWNER, now=NOW)
    assert words in refused.value.problems["body"]
    assert MessageWords.objects.count() == 0


def test_words_broken_in_the_database_fall_back_to_the_file(booked, caplog):
    MessageWords.objects.create(name="booking_reminder", subject="{gone}", body="{gone}", changed_at=NOW)
    messages.plan_reminders(booked, now=NOW)
    assert "look forward" in Message.objects.get(name="booking_reminder").body_text
    assert "could not be filled in" in caplog.text


def test_staff_see_how_their_words_come_out_before_saving(client):
    factories.location()
    sign_in(client, factories.user(Role.OWNER))
    for message in wording.every():
        page = client.get(reverse("words", args=[message.name]))
        assert_no_inline(page.text)
    address = reverse("words", args=["booking_reminder"])
    typed = {"subject": "{day}", "body": "Dear {first_name}\n\n{link}"}
    shown = client.post(reverse("words_preview", args=["booking_reminder"]), typed)
    assert "Dear Nadia" in shown.text and "Wednesday 25 November" in shown.text
    wrong = client.post(address, {"subject": "S", "body": "{nmae} {link}"})
    assert (wrong.status_code, "There is no {nmae} here" in wrong.text) == (422, True)
    client.post(address, {"subject": "S", "body": "Dear {first_name}\n{link}"})
    assert MessageWords.objects.get().body.startswith("Dear")
    client.post(address, {"back_to_file": "1"})
    assert MessageWords.objects.count() == 0


def test_every_file_template_can_be_replaced_with_its_own_samples():
    """What the editor begins with passes its own check: a first save never fails, a first look shows the preview."""
    from studio.wording_views import _to_begin_with

    for message in wording.every():
        wording.check(message, **_to_begin_with(message))


# --- call sheets --------------------------------------------------------------------------------------------


def test_each_person_gets_their_own_day_once_in_the_evening_and_no_money(booked):
    photographer, artist = factories.user(Role.PHOTOGRAPHER), factories.user(Role.ARTIST)
    claim = Claim.objects.get(booking=booked, resource__kind="person")
    claim.resource.user = photographer
    claim.resource.save()
    factories.resource("make-up-artist", at=booked.location, user=artist)
    booked.shoots.update(nerves_text="secret", access_needs="Step-free, please")
    evening = TEN - 15 * HOUR  # 19:00 the day before
    assert call_sheets.send_due(now=evening - 2 * HOUR) == 0
    assert call_sheets.send_due(now=evening) == 1
    assert call_sheets.send_due(now=evening + HOUR) == 0
    mail = Message.objects.get(name="call_sheet")
    assert mail.to_address == photographer.email
    sheet = b64decode(mail.attachments[0]["base64"])
    assert sheet.startswith(b"%PDF")
    assert_sent_with_pdf(mail, evening)


def test_a_changed_day_is_sent_again_by_day_and_a_day_without_work_is_said(booked):
    photographer = factories.user(Role.PHOTOGRAPHER)
    claim = Claim.objects.get(booking=booked, resource__kind="person")
    claim.resource.user = photographer
    claim.resource.save()
    evening, morning = TEN - 15 * HOUR, TEN - 2 * HOUR
    assert call_sheets.send_due(now=evening) == 1
    was = claim.works_from
    Claim.objects.filter(pk=claim.pk).update(works_from=was + HOUR / 4)
    assert call_sheets.send_due(now=TEN - 10 * HOUR) == 0  # midnight
    assert call_sheets.send_due(now=morning) == 1
    assert call_sheets.send_due(now=morning) == 0
    changed = Message.objects.filter(name="call_sheet").last()
    assert changed.subject.startswith("Changed: ")
    assert "Today you have one appointment, at 10:15" in changed.body_text
    Claim.objects.filter(pk=claim.pk).update(works_from=was)  # and back again
    assert call_sheets.send_due(now=morning) == 1
    Claim.objects.filter(pk=claim.pk).update(is_active=False)
    assert call_sheets.send_due(now=morning) == 1
    assert call_sheets.send_due(now=morning) == 0
    assert "you have nothing to do there" in Message.objects.get(name="call_sheet_off").body_text


def test_a_sheet_asks_as_much_for_eight_sessions_as_for_two(booked):
    kind, artist = booked.session_type, factories.resource("make-up-artist", at=booked.location)
    artist.user = factories.user(Role.ARTIST)
    artist.save()

    def queries(count, *, ahead):
        for number in range(count):
            row = factories.booking(
                session_type=kind, at=booked.location, starts_at=TEN + (2 + ahead + number) * HOUR / 4
            )
            times = {"starts_at": row.starts_at, "ends_at": row.starts_at + HOUR / 4}
            times |= {"works_from": times["starts_at"], "works_until": times["ends_at"]}
            row.claims.create(resource=artist, purpose="Make-up", **times)
        with CaptureQueriesContext(connection) as asked:
            assert call_sheets.send_due(now=TEN - 15 * HOUR + ahead * HOUR / 60) == 1
        return [query["sql"] for query in asked if "SAVEPOINT" not in query["sql"]]

    first, again = queries(2, ahead=0), queries(6, ahead=2)
    assert len(again) == len(first), "\n".join(again)


def assert_sent_with_pdf(mail, now):
    from django.core import mail as django_mail

    while outbox.send_next(now=now):
        pass
    attached = django_mail.outbox[-1].attachments[0]
    assert (attached[0], attached[2]) == ("2026-11-26.pdf", "application/pdf")
