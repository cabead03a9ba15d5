"""Jobs: nothing lost, nothing doubled, nothing silent, the most urgent first."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections, transaction

from galleries import jobs, tasks
from galleries.models import Gallery, Job, JobKind, Photo
from galleries.statuses import JobStatus
from studio.actors import WORKER
from studio.models import StatusChange
from studio.transitions import move
from tests.galleries.making import make_gallery, make_user

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The photos' job ids in the order in which they were worked on; every kind is handled by noting it."""
    order: list[int] = []
    monkeypatch.setattr(
        jobs, "known_handlers", lambda: {JobKind.RENDITIONS: lambda job, now: order.append(job.pk)}
    )
    return order


@pytest.fixture
def gallery(db: None) -> Gallery:
    return make_gallery(now=NOW)


def photo(gallery: Gallery, number: int = 1) -> Photo:
    return Photo.objects.create(
        gallery=gallery, number=number, name=f"{number}.jpg", width=30, height=20, accepted_at=NOW
    )


def stated(gallery: Gallery, number: int = 1, **facts: object) -> Job:
    return jobs.state(
        JobKind.RENDITIONS,
        gallery=gallery,
        photo=photo(gallery, number),
        now=NOW,
        **facts,  # type: ignore[arg-type]
    )


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(job: Job, now: datetime) -> None:
        raise error

    monkeypatch.setattr(jobs, "known_handlers", lambda: {JobKind.RENDITIONS: fail})


def test_state_twice_is_one_job_and_other_parameters_are_another(gallery: Gallery) -> None:
    one = photo(gallery)
    first = jobs.state(JobKind.DRAFT, gallery=gallery, photo=one, now=NOW)
    again = jobs.state(JobKind.DRAFT, gallery=gallery, photo=one, now=NOW)
    other = jobs.state(JobKind.DRAFT, gallery=gallery, photo=one, parameters={"strength": 3}, now=NOW)
    assert first.pk == again.pk != other.pk
    assert Job.objects.count() == 2
    assert StatusChange.objects.filter(model="galleries.job", verb="begin").count() == 2


def test_state_rings_once_it_is_committed(
    gallery: Gallery, django_capture_on_commit_callbacks, monkeypatch
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(tasks.work, "delay", lambda: rung.append("work"))
    with django_capture_on_commit_callbacks(execute=False) as callbacks:
        stated(gallery)
    assert rung == []
    for callback in callbacks:
        callback()
    assert rung == ["work"]


def test_work_next_takes_the_most_urgent_first(gallery: Gallery, done: list[int]) -> None:
    late = stated(gallery, 1, urgent_at=NOW + timedelta(hours=9))
    soon = stated(gallery, 2, urgent_at=NOW + timedelta(hours=1))
    middle = stated(gallery, 3, urgent_at=NOW + timedelta(hours=5))
    answers = [jobs.work_next(now=NOW) for _ in range(4)]
    assert done == [soon.pk, middle.pk, late.pk]
    assert answers == [True, True, True, False]
    assert set(Job.objects.values_list("status", flat=True)) == {JobStatus.DONE}


def test_urgency_is_the_promise_of_the_gallery(gallery: Gallery) -> None:
    assert stated(gallery, 1).urgent_at == NOW + jobs.WITHOUT_PROMISE
    gallery.deliver_by = NOW + timedelta(hours=6)
    assert stated(gallery, 2).urgent_at == gallery.deliver_by
    assert jobs.follow_deadline(gallery=gallery) == 1
    assert set(Job.objects.values_list("urgent_at", flat=True)) == {gallery.deliver_by}


def test_a_worker_leaves_kinds_it_does_not_know(gallery: Gallery, done: list[int]) -> None:
    jobs.state(JobKind.FINALS, gallery=gallery, now=NOW)
    assert jobs.work_next(now=NOW) is False
    assert Job.objects.get().status == JobStatus.WAITING


def test_a_failure_is_tried_three_times_with_pauses_then_stays_visible(gallery: Gallery, monkeypatch) -> None:
    failing(monkeypatch, OSError("the store does not answer"))
    job = stated(gallery)
    at = NOW
    seen = []
    for _try in range(3):
        assert jobs.work_next(now=at) is True
        job.refresh_from_db()
        seen.append((job.status, job.attempts))
        assert jobs.work_next(now=at) is False  # not before the pause is over
        at += timedelta(minutes=3)
    assert seen == [("waiting", 1), ("waiting", 2), ("failed", 3)]
    assert job.error == "Tried three times without success. OSError: the store does not answer"
    assert jobs.work_next(now=at + timedelta(days=1)) is False


def test_a_refusal_fails_at_once_with_its_sentence(gallery: Gallery, monkeypatch) -> None:
    failing(monkeypatch, jobs.JobRefused("There is no face in this picture."))
    job = stated(gallery)
    jobs.work_next(now=NOW)
    job.refresh_from_db()
    assert (job.status, job.error, job.attempts) == ("failed", "There is no face in this picture.", 1)


def test_a_poison_job_does_not_hold_up_the_others(gallery: Gallery, monkeypatch) -> None:
    poison, good = stated(gallery, 1), stated(gallery, 2)
    done: list[int] = []

    def work(job: Job, now: datetime) -> None:
        if job.pk == poison.pk:
            raise MemoryError
        done.append(job.pk)

    monkeypatch.setattr(jobs, "known_handlers", lambda: {JobKind.RENDITIONS: work})
    at = NOW
    for _minute in range(6):
        while jobs.work_next(now=at):
            pass
        at += timedelta(minutes=3)
    poison.refresh_from_db()
    assert done == [good.pk]
    assert (poison.status, poison.attempts) == ("failed", 3)


def test_retry_gives_a_failed_job_new_tries(gallery: Gallery, done: list[int]) -> None:
    job = stated(gallery)
    user = make_user()
    move(Job, job.pk, "fail", by=WORKER, now=NOW, error="no", attempts=3)
    from studio.actors import Actor

    assert jobs.retry(job_id=job.pk, by=Actor.user(user), now=NOW) is True
    assert jobs.retry(job_id=job.pk, by=Actor.user(user), now=NOW) is False
    jobs.work_next(now=NOW)
    job.refresh_from_db()
    assert (job.status, job.attempts, job.error) == ("done", 1, "")


def test_finish_is_left_to_whoever_took_the_job_over(gallery: Gallery, monkeypatch) -> None:
    job = stated(gallery)

    def lose_it(job: Job, now: datetime) -> None:
        Job.objects.filter(pk=job.pk).update(claimed_at=NOW + timedelta(minutes=1), attempts=2)

    monkeypatch.setattr(jobs, "known_handlers", lambda: {JobKind.RENDITIONS: lose_it})
    jobs.work_next(now=NOW)
    job.refresh_from_db()
    assert (job.status, job.attempts) == ("running", 2)


# --- workers that die, on real connections


class Worker:
    """Somebody who claims a job on a connection of its own and holds it until told to die or to finish."""

    def __init__(self) -> None:
        self.claimed, self.may_end = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.dies = False

    def _run(self) -> None:
        def handle(job: Job, now: datetime) -> None:
            self.claimed.set()
            self.may_end.wait(20)
            if self.dies:
                connections["default"].close()  # what a kill does: the connection falls, nothing is written
                raise SystemExit

        jobs._handlers[JobKind.RENDITIONS] = handle
        try:
            jobs.work_next(now=NOW)
        except BaseException:  # its own death is its business
            pass
        finally:
            connections.close_all()

    def __enter__(self) -> "Worker":
        self.thread.start()
        assert self.claimed.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self, *, dies: bool = False) -> None:
        self.dies = dies
        self.may_end.set()
        self.thread.join(20)


def sweep_until_seen() -> int:
    """Sweep until the death is seen: PostgreSQL takes a moment to end a connection that was closed on it."""
    for _look in range(100):
        if back := jobs.sweep(now=NOW):
            return back
        time.sleep(0.05)
    return 0


@pytest.fixture
def own_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_handlers", {})
    monkeypatch.setattr(jobs, "_MODULES", ())


@pytest.mark.races
@pytest.mark.django_db(transaction=True)
def test_sweep_leaves_a_worker_alone_that_is_still_working(own_handlers: None) -> None:
    job = stated(make_gallery(now=NOW))
    with Worker() as worker:
        assert jobs.sweep(now=NOW + timedelta(minutes=5)) == 0
        worker.end()
    job.refresh_from_db()
    assert (job.status, job.attempts) == ("done", 1)


@pytest.mark.races
@pytest.mark.django_db(transaction=True)
def test_sweep_puts_back_what_a_dead_worker_left_at_once(own_handlers: None) -> None:
    job = stated(make_gallery(now=NOW))
    with Worker() as worker:
        worker.end(dies=True)
    assert sweep_until_seen() == 1
    job.refresh_from_db()
    assert (job.status, job.attempts) == ("waiting", 1)
    with Worker() as other:
        other.end()
    job.refresh_from_db()
    assert (job.status, job.attempts) == ("done", 2)


@pytest.mark.races
@pytest.mark.django_db(transaction=True)
def test_a_job_that_kills_its_worker_three_times_is_stopped(own_handlers: None) -> None:
    job = stated(make_gallery(now=NOW))
    for _death in range(3):
        with Worker() as worker:
            worker.end(dies=True)
        assert sweep_until_seen() == 1
    job.refresh_from_db()
    assert (job.status, job.attempts) == ("failed", 3)
    assert job.error.startswith("The worker was lost three times")
    assert jobs.work_next(now=NOW + timedelta(hours=1)) is False


@pytest.mark.races
@pytest.mark.django_db(transaction=True)
def test_sweep_puts_back_a_job_that_runs_longer_than_any_task_may(own_handlers: None, settings) -> None:
    job = stated(make_gallery(now=NOW))
    with Worker() as worker:
        assert jobs.sweep(now=NOW + timedelta(seconds=settings.TASK_HARD_LIMIT + 1)) == 1
        worker.end()
    job.refresh_from_db()
    assert job.status == "waiting"  # the late worker's finish counted for nothing


@pytest.mark.races
@pytest.mark.django_db(transaction=True)
def test_a_job_still_held_by_a_late_worker_does_not_hold_up_the_others(
    own_handlers: None, settings, monkeypatch
) -> None:
    gallery = make_gallery(now=NOW)
    held, other = stated(gallery, 1), stated(gallery, 2)
    done: list[int] = []
    with Worker() as worker:
        assert jobs.sweep(now=NOW + timedelta(seconds=settings.TASK_HARD_LIMIT + 1)) == 1
        monkeypatch.setitem(jobs._handlers, JobKind.RENDITIONS, lambda job, now: done.append(job.pk))
        later = NOW + timedelta(seconds=settings.TASK_HARD_LIMIT + 2)
        assert [jobs.work_next(now=later), jobs.work_next(now=later)] == [True, False]
        worker.end()
    held.refresh_from_db()
    assert done == [other.pk]
    assert (held.status, held.not_before) == ("waiting", later + jobs.HELD_PAUSE)
    assert jobs.work_next(now=later + jobs.HELD_PAUSE) is True
    assert done == [other.pk, held.pk]


@pytest.mark.races
def test_ten_workers_do_each_job_once(real_connections, own_handlers: None) -> None:
    gallery = make_gallery(now=NOW)
    for number in range(20):
        stated(gallery, number + 1)
    done: list[int] = []
    jobs._handlers[JobKind.RENDITIONS] = lambda job, now: done.append(job.pk)

    def drain() -> None:
        while jobs.work_next(now=NOW):
            pass

    assert real_connections.run([drain] * 10) == [None] * 10
    assert sorted(done) == sorted(Job.objects.values_list("pk", flat=True))
    assert StatusChange.objects.filter(model="galleries.job", verb="claim").count() == 20


def test_sweep_rings_for_what_waits_and_not_again_within_the_minute(gallery: Gallery, monkeypatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(tasks.work, "delay", lambda: rung.append("work"))
    stated(gallery)
    jobs.sweep(now=NOW + timedelta(seconds=30))
    assert rung == []
    jobs.sweep(now=NOW + timedelta(seconds=60))
    jobs.sweep(now=NOW + timedelta(seconds=61))
    assert rung == ["work"]


def test_work_runs_outside_any_transaction_of_its_own(gallery: Gallery, monkeypatch) -> None:
    stated(gallery)
    depth: list[int] = []
    before = len(connection.savepoint_ids)
    monkeypatch.setattr(
        jobs,
        "known_handlers",
        lambda: {JobKind.RENDITIONS: lambda job, now: depth.append(len(connection.savepoint_ids) - before)},
    )
    jobs.work_next(now=NOW)
    assert depth == [0]
    assert transaction.get_connection().in_atomic_block  # only the test's own
