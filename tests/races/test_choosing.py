"""Choosing on real connections: several phones and tabs at the same moment, each rule with its failing control."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from galleries import proofing, retouching, workbench
from galleries.models import Gallery, Job, JobKind, Photo, Version
from galleries.statuses import GalleryStatus
from studio import storage
from studio.models import Message
from tests.connections import RealConnections
from tests.galleries.framing import ANA, CLIENT, make_photos, store_original
from tests.galleries.making import make_gallery
from tests.portraits import GRACE_HOPPER

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.races]
NOW = timezone.now()
PHONES = 8
ROUNDS = 6


def published(included: int = 2) -> tuple[Gallery, list[Photo]]:
    gallery = make_gallery(now=NOW, clock_started_at=NOW - timedelta(hours=1), finals_included=included)
    photos = make_photos(gallery, PHONES, now=NOW)
    proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=NOW)
    return gallery, photos


def without_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the gallery is read but not locked."""
    monkeypatch.setattr(
        proofing,
        "locked",
        lambda pk: Gallery.objects.select_related(
            "shoot__booking__location", "shoot__booking__payer", "shoot__sitter"
        ).get(pk=pk),
    )


def pick_everywhere(connections: RealConnections) -> int:
    gallery, photos = published()
    connections.run([partial(proofing.pick, photo_id=photo.pk, by=CLIENT, now=NOW) for photo in photos])
    return gallery.picks.count()


def test_eight_phones_pick_no_more_than_is_included(real_connections: RealConnections) -> None:
    gallery, photos = published()
    answers = real_connections.run(
        [partial(proofing.pick, photo_id=photo.pk, by=CLIENT, now=NOW) for photo in photos]
    )
    assert gallery.picks.count() == 2
    assert sum(isinstance(answer, proofing.TooManyPicks) for answer in answers) == PHONES - 2


def test_control_without_the_lock_more_is_picked(
    real_connections: RealConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_lock(monkeypatch)
    assert max(pick_everywhere(real_connections) for _round in range(ROUNDS)) > 2


def picks_against_submit(connections: RealConnections) -> tuple[set[int], set[int], list[object]]:
    """One tab sends while the others change their mind; what was sent, what is picked, and the answers."""
    gallery, photos = published(included=PHONES)
    proofing.pick(photo_id=photos[0].pk, by=CLIENT, now=NOW)
    calls: list[Callable[[], object]] = [
        partial(proofing.submit_selection, gallery_id=gallery.pk, by=CLIENT, now=NOW),
        *(partial(proofing.pick, photo_id=photo.pk, by=CLIENT, now=NOW) for photo in photos[1:]),
    ]
    answers = connections.run(calls)
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.RETOUCHING
    ordered = set(gallery.retouches.values_list("pick__photo_id", flat=True))
    return ordered, set(gallery.picks.values_list("photo_id", flat=True)), answers


def test_a_pick_is_either_sent_or_refused(real_connections: RealConnections) -> None:
    for _round in range(ROUNDS):
        ordered, picked, answers = picks_against_submit(real_connections)
        assert ordered == picked
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        assert all(isinstance(answer, proofing.SelectionClosed) for answer in refused)
        assert len(refused) == PHONES - len(picked)


def test_control_without_the_lock_a_pick_is_neither(
    real_connections: RealConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_lock(monkeypatch)
    lost = 0
    for _round in range(ROUNDS * 4):
        ordered, picked, _answers = picks_against_submit(real_connections)
        lost += len(picked - ordered)
        if lost:
            break
    assert lost > 0


def test_two_people_send_at_once_and_it_is_one_selection(real_connections: RealConnections) -> None:
    gallery, photos = published()
    proofing.pick(photo_id=photos[0].pk, by=CLIENT, now=NOW)
    answers = real_connections.run(
        [
            partial(proofing.submit_selection, gallery_id=gallery.pk, by=by, now=NOW)
            for by in (CLIENT, ANA) * 3
        ]
    )
    assert sorted(answers) == [False] * 5 + [True]  # type: ignore[type-var]
    assert gallery.retouches.count() == 1
    assert Message.objects.filter(name="selection_received").count() == 1


def test_two_workers_with_the_same_draft_make_one_version(
    real_connections: RealConnections, media_storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = make_gallery(now=NOW, clock_started_at=NOW)
    photo = make_photos(gallery, 1, now=NOW)[0]
    store_original(photo, now=NOW)
    proofing.pick(photo_id=photo.pk, by=ANA, now=NOW)
    proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=NOW)

    def draft(source, folder, wanted, **facts):
        path = folder / "draft.jpg"
        path.write_bytes(GRACE_HOPPER.read_bytes())
        operations = [{"recipe": "draft", "version": 1, "parameters": dict(wanted)}]
        return workbench.Made(path, 512, 600, operations)

    monkeypatch.setattr(workbench, "draft", draft)
    job = Job.objects.get(kind=JobKind.DRAFT)
    answers = real_connections.run([partial(retouching.make_draft, job, NOW)] * 5)
    assert answers == [None] * 5
    version = Version.objects.get()
    assert [found.key for found in storage.listed(storage.derived())] == [version.key]
