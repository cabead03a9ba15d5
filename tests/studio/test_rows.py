"""Transitions, happenings, the outbox, and what verify says of them."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import IntegrityError, transaction

from studio import happenings, outbox, verification
from studio.actors import WORKER, Actor, ActorKind
from studio.models import Message, MessageStatus, StatusChange
from studio.transitions import MoveRefused, begin, move, move_where
from tests import factories
from tests.connections import RealConnections

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
ANA = Actor(ActorKind.USER, 7, "Ana")


def make_message(**fields: Any) -> Message:
    defaults = {"name": "sample", "to_address": "robin@client.example", "body_text": "Hello"}
    return begin(Message(**defaults | {"due_at": NOW, "created_at": NOW} | fields), by=WORKER, now=NOW)


def changes_of(message: Message) -> list[tuple[str, str, str]]:
    rows = StatusChange.objects.filter(model="studio.message", object_id=message.pk).order_by("id")
    return [(row.verb, row.before, row.after) for row in rows]


# --- transitions


@pytest.mark.django_db
def test_move_stamps_and_says_who() -> None:
    message = make_message()
    moved = move(Message, message.pk, "claim", by=ANA, now=NOW, reason="by hand", attempts=1)
    assert moved is not None
    message.refresh_from_db()
    assert (message.status, message.claimed_at, message.attempts) == ("sending", NOW, 1)
    change = StatusChange.objects.get(object_id=message.pk, verb="claim")
    assert (change.actor_kind, change.actor_id, change.actor_label) == ("user", 7, "Ana")
    assert (change.reason, change.at) == ("by hand", NOW)
    assert changes_of(message) == [("begin", "", "queued"), ("claim", "queued", "sending")]


@pytest.mark.django_db
def test_move_done_already_is_no_error_and_no_second_row() -> None:
    message = make_message()
    assert move(Message, message.pk, "cancel", by=ANA, now=NOW) is not None
    assert move(Message, message.pk, "cancel", by=ANA, now=NOW) is None
    assert len(changes_of(message)) == 2


@pytest.mark.django_db
def test_move_from_a_foreign_status_is_refused_and_changes_nothing() -> None:
    message = make_message()
    with pytest.raises(MoveRefused, match="cannot sent while queued"):
        move(Message, message.pk, "sent", by=ANA, now=NOW)
    message.refresh_from_db()
    assert (message.status, message.sent_at) == ("queued", None)


@pytest.mark.django_db
def test_move_where_takes_only_what_the_table_allows() -> None:
    waiting, cancelled = make_message(), make_message()
    move(Message, cancelled.pk, "cancel", by=ANA, now=NOW)
    assert move_where(Message.objects.all(), "claim", by=WORKER, now=NOW) == [waiting.pk]
    assert changes_of(waiting)[-1] == ("claim", "queued", "sending")
    cancelled.refresh_from_db()
    assert cancelled.status == "cancelled"


@pytest.mark.django_db
def test_unknown_verb_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        move(Message, make_message().pk, "fly", by=ANA, now=NOW)


CROWD = 50


def crowd_moves(real_connections: RealConnections) -> int:
    """How many of a hundred simultaneous moves of one row have an effect: a hundred people press one button."""
    message = make_message()
    effects: list[int] = []

    def press() -> bool:
        moved = move(Message, message.pk, "cancel", by=ANA, now=NOW)
        if moved is not None:
            effects.append(1)
        return moved is not None

    for _ in range(100 // CROWD):
        results = real_connections.run([press] * CROWD)
        assert [r for r in results if isinstance(r, Exception)] == []
    return len(effects)


@pytest.mark.races
def test_hundred_moves_at_once_have_one_effect(real_connections: RealConnections) -> None:
    assert crowd_moves(real_connections) == 1
    assert StatusChange.objects.filter(model="studio.message", verb="cancel").count() == 1


@pytest.mark.races
def test_without_the_lock_many_moves_have_an_effect(
    real_connections: RealConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same hundred moves, the row read without its lock."""
    from django.db.models import QuerySet

    monkeypatch.setattr(QuerySet, "select_for_update", lambda self, **_: self)
    assert crowd_moves(real_connections) > 1


# --- happenings


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A listener that notes what it hears, and a list of what was heard."""
    heard: list[str] = []
    monkeypatch.setattr(
        happenings, "_listeners", {"shoot_completed": [lambda **facts: heard.append(facts["shoot"])]}
    )
    return heard


@pytest.mark.django_db
def test_listener_hears_inside_the_transaction(listening: list[str]) -> None:
    with transaction.atomic():
        happenings.tell("shoot_completed", shoot="s1", by=ANA, now=NOW)
    assert listening == ["s1"]


@pytest.mark.django_db(transaction=True)
def test_happening_outside_a_transaction_is_refused(listening: list[str]) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        happenings.tell("shoot_completed", shoot="s1", by=ANA, now=NOW)
    assert listening == []


@pytest.mark.django_db
def test_failing_listener_rolls_back_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    message = make_message()

    def first(**_: object) -> None:
        make_message(name="from the listener")

    def second(**_: object) -> None:
        raise RuntimeError("the clock could not start")

    monkeypatch.setattr(happenings, "_listeners", {"shoot_completed": [first, second]})

    @transaction.atomic
    def complete() -> None:
        move(Message, message.pk, "cancel", by=ANA, now=NOW)
        happenings.tell("shoot_completed", shoot="s1", by=ANA, now=NOW)

    with pytest.raises(RuntimeError):
        complete()
    message.refresh_from_db()
    assert message.status == "queued"
    assert not Message.objects.filter(name="from the listener").exists()


def test_unknown_happenings_are_refused() -> None:
    with pytest.raises(LookupError):
        happenings.on("full_moon")
    with pytest.raises(LookupError):
        happenings.tell("full_moon")


# --- the outbox


@pytest.fixture
def robin(db: None) -> Any:
    factories.studio()
    return factories.client(name='Robin "Rob" Sample', email="robin@client.example")


def queue(robin: Any, **more: Any) -> Message | None:
    links = [{"label": "Your booking", "url": "http://testserver/open/x"}]
    given = {"to": robin, "about": None, "context": {"links": links}, "now": NOW}
    return outbox.queue_message("fresh_links", **given | more)


def test_message_is_written_once_per_reason(robin: Any) -> None:
    assert queue(robin, once="why") is not None
    assert queue(robin, once="why") is None
    assert queue(robin, once="another") is not None
    assert Message.objects.count() == 2


def test_second_message_of_a_reason_leaves_the_cause_standing(robin: Any) -> None:
    queue(robin, once="why")
    with transaction.atomic():
        other = make_message(name="the cause")
        assert queue(robin, once="why") is None
    assert Message.objects.filter(pk=other.pk).exists()


def test_message_goes_out_once_with_its_parts(robin: Any) -> None:
    queue(robin, attachments=[{"name": "session.ics", "type": "text/calendar", "text": "BEGIN:VCALENDAR"}])
    assert outbox.send_next(now=NOW)
    assert not outbox.send_next(now=NOW)
    (sent,) = mail.outbox
    assert sent.to == ['"Robin Rob Sample" <robin@client.example>']
    assert sent.attachments[0][0] == "session.ics"
    assert changes_of(Message.objects.get())[-1] == ("sent", "sending", "sent")


def test_message_waits_for_its_time(robin: Any) -> None:
    queue(robin, due_at=NOW + timedelta(hours=1))
    assert not outbox.send_next(now=NOW)
    assert outbox.send_next(now=NOW + timedelta(hours=1))


def test_refused_mail_is_tried_later_and_in_the_end_visibly_failed(
    robin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(message: Message) -> None:
        raise ConnectionRefusedError("mail server is down")

    monkeypatch.setattr(outbox, "_send", refuse)
    message = queue(robin)
    assert message is not None
    waits, at = [], NOW
    while outbox.send_next(now=at):
        message.refresh_from_db()
        if message.status != MessageStatus.QUEUED:
            break
        assert not outbox.send_next(now=at)
        waits.append(message.due_at - at)
        at = message.due_at
    assert waits == outbox.BACKOFF
    assert message.status == MessageStatus.FAILED
    assert message.last_error == "ConnectionRefusedError: mail server is down"


def test_what_a_killed_worker_left_is_put_back(robin: Any) -> None:
    message = queue(robin)
    assert message is not None
    move(Message, message.pk, "claim", by=WORKER, now=NOW)
    assert outbox.sweep(now=NOW + timedelta(minutes=5)) == 0
    assert outbox.sweep(now=NOW + timedelta(minutes=6)) == 1
    assert outbox.send_next(now=NOW + timedelta(minutes=6))
    assert len(mail.outbox) == 1


def test_cancelling_takes_back_only_what_waits(robin: Any) -> None:
    place = factories.location()
    sent, waiting = queue(robin, about=place), queue(robin, about=place, due_at=NOW + timedelta(days=1))
    other = queue(robin, due_at=NOW + timedelta(days=1))
    assert sent is not None and waiting is not None and other is not None
    outbox.send_next(now=NOW)
    assert outbox.cancel_messages(about=place, now=NOW) == 1
    assert [Message.objects.get(pk=m.pk).status for m in (sent, waiting, other)] == [
        "sent",
        "cancelled",
        "queued",
    ]


@pytest.mark.races
def test_many_workers_send_each_message_once(real_connections: RealConnections) -> None:
    for _ in range(12):
        make_message()
    results = real_connections.run([lambda: outbox.send_next(now=NOW)] * 24)
    assert [r for r in results if isinstance(r, Exception)] == []
    assert len(mail.outbox) == 12
    assert set(Message.objects.values_list("status", flat=True)) == {"sent"}


def test_once_is_held_by_the_database(robin: Any) -> None:
    make_message(once="why")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_message(once="why")


# --- verify


def breaks(code: str, now: datetime = NOW) -> list[str]:
    return [line for item in verification.invariants() if item.code == code for line in item.find(now)]


@pytest.mark.django_db
def test_verify_finds_a_message_that_did_not_go_out() -> None:
    message = make_message()
    assert breaks("I6", NOW + timedelta(minutes=5)) == []
    late = NOW + timedelta(minutes=6)
    (line,) = breaks("I6", late)
    assert message.public_id in line
    move(Message, message.pk, "claim", by=WORKER, now=NOW)
    assert len(breaks("I6", late)) == 1
    move(Message, message.pk, "fail", by=WORKER, now=NOW, last_error="refused")
    assert breaks("I6", late) == []


@pytest.mark.django_db
def test_verify_finds_a_message_sent_twice() -> None:
    message = make_message()
    for _ in range(2):
        Message.objects.filter(pk=message.pk).update(status=MessageStatus.SENDING)
        move(Message, message.pk, "sent", by=WORKER, now=NOW)
    assert [line for line in breaks("I6") if "2 times" in line] == [
        f"message row {message.pk} was sent 2 times"
    ]


@pytest.mark.django_db
def test_verify_finds_a_status_nobody_explains() -> None:
    message, unexplained = make_message(), make_message()
    assert breaks("I9") == []
    Message.objects.filter(pk=message.pk).update(status=MessageStatus.SENT)
    StatusChange.objects.filter(object_id=unexplained.pk).delete()
    assert breaks("I9") == [
        f"studio.Message {message.pk} is sent, its last change says queued",
        f"studio.Message {unexplained.pk} is queued, its last change says nothing",
    ]


@pytest.mark.django_db
def test_every_model_with_a_status_is_looked_at() -> None:
    """A booking whose status was written past `move` is found too, not only messages."""
    booked = factories.booking()
    assert breaks("I9") == []
    type(booked).objects.filter(pk=booked.pk).update(status="expired", hold_expires_at=NOW)
    assert breaks("I9") == [f"bookings.Booking {booked.pk} is expired, its last change says confirmed"]


@pytest.mark.django_db(transaction=True)
def test_verify_exits_by_what_it_found() -> None:
    out = io.StringIO()
    call_command("verify", stdout=out)
    assert "BROKEN" not in out.getvalue()
    message = make_message(due_at=NOW - timedelta(days=400))
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("verify", stdout=out)
    assert ended.value.code == 1
    assert message.public_id in out.getvalue()
    assert "I6  BROKEN" in out.getvalue()
    message.refresh_from_db()
    assert message.status == "queued"


@pytest.mark.django_db(transaction=True)
def test_verify_cannot_write(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db.utils import InternalError

    def writes(now: datetime) -> Any:
        make_message()
        yield from ()

    monkeypatch.setattr(verification, "_invariants", [verification.Invariant("I0", "writes", writes)])
    with pytest.raises(InternalError, match="read-only"):
        call_command("verify", stdout=io.StringIO())
    assert Message.objects.count() == 0
