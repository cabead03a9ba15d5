"""What is left of a shoot and how long it takes: counted in the one queue, at the pace of the last minutes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client as Browser
from django.urls import reverse

from galleries import jobs
from galleries.models import Gallery, Job, JobKind
from galleries.progress import progress
from galleries.statuses import JobStatus
from studio.models import Role
from tests.galleries.framing import make_photo
from tests.galleries.making import make_gallery, make_user, sign_in

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)


@pytest.fixture
def gallery(db: None, media_storage: Path) -> Gallery:
    return make_gallery(now=NOW)


def state(gallery: Gallery, count: int, kind: JobKind = JobKind.RENDITIONS, **facts: datetime) -> list[Job]:
    first = gallery.photos.count() + 1
    made = []
    for number in range(first, first + count):
        photo = make_photo(gallery, number, now=NOW)
        made.append(jobs.state(kind, gallery=gallery, photo=photo, now=NOW, **facts))
    return made


def finish(rows: list[Job], *, seconds_each: float, until: datetime) -> None:
    """One worker did them, one after the other, the last one until then."""
    for place, job in enumerate(reversed(rows)):
        end = until - timedelta(seconds=place * seconds_each)
        Job.objects.filter(pk=job.pk).update(
            status=JobStatus.DONE, claimed_at=end - timedelta(seconds=seconds_each), finished_at=end
        )


def test_nothing_left_says_nothing(gallery: Gallery) -> None:
    assert progress(gallery, now=NOW).words == ""


def test_the_time_is_what_lies_before_it_at_the_pace_of_late(gallery: Gallery) -> None:
    rows = state(gallery, 40)
    finish(rows[:10], seconds_each=6, until=NOW)
    found = progress(gallery, now=NOW)
    assert (found.count, found.seconds) == (30, 180)
    assert found.words == "proofs of 30 frames · about 3 minutes left"


def test_what_other_shoots_have_before_it_counts_and_what_comes_after_does_not(gallery: Gallery) -> None:
    before, after = make_gallery(now=NOW), make_gallery(now=NOW)
    rows = state(gallery, 20, urgent_at=NOW + timedelta(hours=5))
    finish(rows[:10], seconds_each=6, until=NOW)
    state(before, 20, urgent_at=NOW + timedelta(hours=1))
    state(after, 50, urgent_at=NOW + timedelta(hours=9))
    assert progress(gallery, now=NOW).seconds == 180  # twenty before, ten of its own


def test_two_workers_are_twice_as_fast(gallery: Gallery) -> None:
    rows = state(gallery, 30)
    finish(rows[:10], seconds_each=6, until=NOW)
    finish(rows[10:20], seconds_each=6, until=NOW)
    assert progress(gallery, now=NOW).seconds == 30


def test_too_little_finished_makes_no_promise(gallery: Gallery) -> None:
    rows = state(gallery, 5)
    finish(rows[:2], seconds_each=1, until=NOW)
    assert progress(gallery, now=NOW).words == "proofs of 3 frames · just begun"


def test_no_worker_is_said(gallery: Gallery) -> None:
    state(gallery, 1)
    later = NOW + timedelta(minutes=4)
    assert progress(gallery, now=NOW).words == "proofs of 1 frame · just begun"
    assert progress(gallery, now=later).words == "proofs of 1 frame · waiting: no worker takes work just now"


def test_advice_is_nobodys_wait(gallery: Gallery) -> None:
    state(gallery, 3, kind=JobKind.AIDS)
    assert progress(gallery, now=NOW).count == 0


def test_the_desk_hears_it_without_a_reload(gallery: Gallery) -> None:
    browser = Browser()
    sign_in(browser, make_user(Role.PHOTOGRAPHER))
    state(gallery, 2)
    page = browser.get(reverse("desk_gallery", args=[gallery.public_id])).content.decode()
    news = browser.get(reverse("gallery_news", args=[gallery.public_id])).json()
    assert news["progress"].startswith("proofs of 2 frames · ")
    assert "proofs of 2 frames" in page


@pytest.mark.parametrize("odd", ["²", "٣", "9" * 5000, "-1", "one", ""])
def test_what_is_no_number_in_an_address_or_a_form_names_nobody(gallery: Gallery, odd: str) -> None:
    browser = Browser()
    sign_in(browser, make_user(Role.PHOTOGRAPHER))
    assert browser.get(reverse("gallery_news", args=[gallery.public_id]), {"after": odd}).status_code == 200
    assert browser.post(reverse("gallery_assign", args=[gallery.public_id]), {"to": odd}).status_code == 302
