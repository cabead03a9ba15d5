"""The clock of the promise on real rows: a studio in London, Monday to Friday, closing at 18:00."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from galleries import alarms, deadlines, invariants
from galleries.models import Breach, DeadlineNotice, Gallery, PauseReason
from studio.actors import WORKER
from studio.models import Closure, Message, Role
from tests.galleries.making import make_gallery, make_user

LONDON = ZoneInfo("Europe/London")
pytestmark = pytest.mark.django_db


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of November 2026 in London. The 23rd is a Monday."""
    return datetime(2026, 11, day, hour, minute, tzinfo=LONDON)


@pytest.fixture
def gallery() -> Gallery:
    return make_gallery(now=at(23, 13))


def fresh(gallery: Gallery) -> Gallery:
    return Gallery.objects.get(pk=gallery.pk)


def started(gallery: Gallery, ended_at: datetime = at(23, 14)) -> Gallery:
    deadlines.start(gallery_id=gallery.pk, ended_at=ended_at, now=ended_at)
    return fresh(gallery)


def test_start_promises_the_second_working_day(gallery: Gallery) -> None:
    assert started(gallery).deliver_by == at(25, 18)
    assert started(gallery).first_deliver_by == at(25, 18)


def test_start_twice_keeps_the_first_end(gallery: Gallery) -> None:
    started(gallery)
    assert deadlines.start(gallery_id=gallery.pk, ended_at=at(24, 14), now=at(24, 14)) is False
    assert fresh(gallery).deliver_by == at(25, 18)


def test_pause_empties_the_promise_and_its_end_promises_again(gallery: Gallery) -> None:
    started(gallery)
    assert deadlines.open_pause(gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=WORKER, now=at(23, 15))
    assert fresh(gallery).deliver_by is None
    assert fresh(gallery).alarm_at is None
    assert list(invariants.promises_recompute(at(24, 9))) == []
    assert deadlines.close_pause(
        gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=WORKER, now=at(26, 10)
    )
    # Monday, Tuesday and Wednesday were paused at closing: Thursday is the first, Friday the second working day.
    assert fresh(gallery).deliver_by == at(27, 18)


def test_the_same_pause_is_open_only_once(gallery: Gallery) -> None:
    started(gallery)
    for opened in (True, False):
        assert (
            deadlines.open_pause(
                gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=WORKER, now=at(23, 15)
            )
            is opened
        )
    assert gallery.pauses.count() == 1
    assert deadlines.close_pause(
        gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=WORKER, now=at(23, 16)
    )
    assert not deadlines.close_pause(
        gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=WORKER, now=at(23, 17)
    )


def test_a_question_just_before_closing_does_not_win_the_day(gallery: Gallery) -> None:
    started(gallery)
    deadlines.open_pause(gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=WORKER, now=at(24, 17))
    deadlines.close_pause(gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=WORKER, now=at(24, 19))
    assert fresh(gallery).deliver_by == at(25, 18)


def test_an_answer_before_the_pause_has_begun_costs_nothing(gallery: Gallery) -> None:
    started(gallery)
    deadlines.open_pause(gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=WORKER, now=at(24, 17))
    deadlines.close_pause(gallery_id=gallery.pk, reason=PauseReason.CHOOSING, by=WORKER, now=at(24, 17, 30))
    pause = gallery.pauses.get()
    assert pause.ended_at == pause.begins_at
    assert fresh(gallery).deliver_by == at(25, 18)


def test_a_new_closure_never_makes_a_running_promise_later(gallery: Gallery) -> None:
    promised = started(gallery)
    Closure.objects.create(
        location=promised.shoot.booking.location, on=date(2026, 11, 25), name="Works outing"
    )
    assert deadlines.recompute(gallery_id=gallery.pk, now=at(24, 9)) is False
    assert fresh(gallery).deliver_by == at(25, 18)


def test_a_closure_taken_back_makes_it_earlier(gallery: Gallery) -> None:
    closure = Closure.objects.create(
        location=gallery.shoot.booking.location, on=date(2026, 11, 25), name="Outing"
    )
    assert started(gallery).deliver_by == at(26, 18)
    closure.delete()
    assert deadlines.recompute(gallery_id=gallery.pk, now=at(24, 9)) is True
    assert fresh(gallery).deliver_by == at(25, 18)


def test_each_warning_is_given_once_and_the_last_one_records_the_miss(gallery: Gallery) -> None:
    owner = make_user(Role.OWNER)
    started(gallery)
    moments = {
        at(24, 18): [DeadlineNotice.Kind.ONE_DAY],
        at(25, 14): [DeadlineNotice.Kind.FOUR_HOURS],
        at(25, 17): [DeadlineNotice.Kind.ONE_HOUR],
        at(25, 17, 57): [DeadlineNotice.Kind.FINISH],
        at(25, 18): [DeadlineNotice.Kind.OVERDUE],
    }
    given: list[str] = []
    for moment, kinds in moments.items():
        assert fresh(gallery).alarm_at == moment
        alarms.sweep(now=moment - timedelta(seconds=1))
        assert list(gallery.notices.values_list("kind", flat=True)) == given
        for _twice in range(2):
            alarms.sweep(now=moment)
        given += kinds
        assert list(gallery.notices.order_by("pk").values_list("kind", flat=True)) == given
    assert fresh(gallery).alarm_at is None
    assert Breach.objects.get().new_deliver_by == at(26, 18)
    to_owner = Message.objects.filter(to_address=owner.email).values_list("name", flat=True)
    assert sorted(to_owner) == ["deadline_missed_owner", *["deadline_warning"] * 3]
    client = gallery.shoot.sitter
    assert client is not None
    assert Message.objects.get(to_address=client.email).name == "deadline_missed_client"


def test_a_dead_beat_is_caught_up_in_one_sweep_without_stale_warnings(gallery: Gallery) -> None:
    make_user(Role.OWNER)
    started(gallery)
    alarms.sweep(now=at(27, 9))
    assert gallery.notices.count() == 5
    assert Message.objects.filter(name="deadline_warning").count() == 0
    assert Breach.objects.count() == 1
    assert Breach.objects.get().new_deliver_by == at(27, 18)


def test_a_gallery_that_crashes_waits_an_hour_and_blocks_nobody(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(gallery)
    other = started(make_gallery(now=at(23, 13)))
    real = deadlines.alarms

    def crash(row: Gallery) -> list[tuple[datetime, DeadlineNotice.Kind]]:
        if row.pk == gallery.pk:
            raise RuntimeError("boom")
        return real(row)

    monkeypatch.setattr(deadlines, "alarms", crash)
    alarms.sweep(now=at(24, 18))
    assert fresh(gallery).alarm_at == at(24, 19)
    assert other.notices.count() == 1


def test_nothing_is_warned_after_stop(gallery: Gallery) -> None:
    started(gallery)
    deadlines.stop(gallery_id=gallery.pk, now=at(24, 9))
    alarms.sweep(now=at(30, 9))
    assert DeadlineNotice.objects.count() == 0
    assert fresh(gallery).deliver_by == at(25, 18)


def test_verify_names_a_promise_that_does_not_recompute(
    gallery: Gallery, capsys: pytest.CaptureFixture[str]
) -> None:
    started(gallery)
    assert list(invariants.promises_recompute(at(24, 9))) == []
    Gallery.objects.filter(pk=gallery.pk).update(deliver_by=datetime(2026, 12, 1, tzinfo=UTC))
    broken = list(invariants.promises_recompute(at(24, 9)))
    assert len(broken) == 1
    assert gallery.shoot.code in broken[0]


def test_the_sweep_reads_only_what_is_due(gallery: Gallery, django_assert_num_queries: object) -> None:
    """Galleries not yet due cost nothing: one query for alarms, one for late policies."""
    started(gallery)
    with django_assert_num_queries(2):  # type: ignore[operator]
        assert alarms.sweep(now=at(24, 17)) == 0
