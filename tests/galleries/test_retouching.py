"""Retouching: the chain of Versions, the guard, approval, looking first, and changes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from bookings.models import Consent, ConsentPurpose
from galleries import jobs, proofing, retouching, workbench
from galleries.imaging.metadata import Credits
from galleries.models import Gallery, Guard, Job, JobKind, Note, PauseReason, Retouch, Upload, Version
from galleries.retouching import ChangeRefused, GuardBlocks, GuardStillMeasures, PinnedWords, RetouchRefused
from galleries.statuses import GalleryStatus, JobStatus, RetouchStatus, UploadStatus
from studio import storage
from studio.models import Message
from studio.transitions import move
from tests.galleries.framing import ANA, CLIENT, make_photo, store_original, store_screen
from tests.galleries.making import make_gallery, make_user
from tests.portraits import GRACE_HOPPER

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Bench:
    """The imaging as these tests need it: quick, counting, and saying what it is told to say."""

    drafts: int = 0
    measured: int = 0
    faces_allowed: bool | None = None
    casts: list[tuple[float, float] | None] = field(default_factory=list)
    verdict: workbench.Verdict | None = None
    before_return: Callable[[], object] | None = None

    def draft(self, source: Path, folder: Path, wanted, *, may_find_face: bool, credits: Credits, cast=None):
        self.drafts += 1
        self.casts.append(cast)
        self.faces_allowed = may_find_face
        path = folder / "draft.jpg"
        path.write_bytes(GRACE_HOPPER.read_bytes() + repr(sorted(wanted.items())).encode())
        if self.before_return:
            self.before_return()
        operations = [{"recipe": "draft", "version": 1, "parameters": dict(wanted)}]
        return workbench.Made(path, 512, 600, operations)

    def measure(self, before: Path, after: Path, folder: Path):
        self.measured += 1
        if self.before_return:
            self.before_return()
        return self.verdict or workbench.Verdict(Guard.PASSED, {"numbers": {"shape_p95": 0.001}})


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setattr(workbench, "draft", made.draft)
    monkeypatch.setattr(workbench, "measure", made.measure)
    monkeypatch.setattr("galleries.renditions.ensure", lambda **facts: [])
    return made


@pytest.fixture
def gallery(db: None, media_storage: Path, bench: Bench) -> Gallery:
    """Two picks, submitted together in the studio."""
    gallery = make_gallery(now=NOW, clock_started_at=NOW)
    for number in (1, 2):
        photo = make_photo(gallery, number, now=NOW)
        store_original(photo, now=NOW)
        proofing.pick(photo_id=photo.pk, by=ANA, now=NOW)
    proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=NOW)
    gallery.refresh_from_db()
    return gallery


def work(now: datetime = NOW) -> int:
    """Do every draft and measurement that waits; the finals are somebody else's."""
    done = 0
    while job := Job.objects.filter(
        kind__in=[JobKind.DRAFT, JobKind.MEASURE], status=JobStatus.WAITING
    ).first():
        move(Job, job.pk, "claim", by=ANA, now=now)
        jobs.known_handlers()[job.kind](job, now)
        move(Job, job.pk, "finish", by=ANA, now=now)
        done += 1
    return done


def first(gallery: Gallery) -> Retouch:
    return gallery.retouches.order_by("id")[0]


def drafted(gallery: Gallery) -> tuple[Retouch, Version]:
    work()
    retouch = first(gallery)
    return retouch, retouch.versions.order_by("number")[0]


def derived() -> set[str]:
    return {found.key for found in storage.listed(storage.derived())}


# --- drafts


def test_every_pick_gets_one_measured_draft(gallery: Gallery, bench: Bench) -> None:
    assert work() == 4
    for retouch in gallery.retouches.all():
        version = retouch.versions.get()
        assert (retouch.status, version.number, version.kind) == (RetouchStatus.DRAFTED, 1, "draft")
        assert (version.guard, version.actor_kind) == (Guard.PASSED, "worker")
    assert (bench.drafts, bench.measured) == (2, 2)


def test_all_drafts_of_a_shoot_take_out_the_same_cast(
    gallery: Gallery, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured once, by the first draft, and kept: another reading later changes nothing."""
    readings = iter([{"a": 0.5, "b": 3.0, "frames": 2}, {"a": 9.0, "b": 9.0, "frames": 2}])
    monkeypatch.setattr(workbench, "shared_cast", lambda frames, **_: next(readings))
    for pick in gallery.picks.all():
        store_screen(pick.photo, now=NOW)
    work()
    assert bench.casts == [(0.5, 3.0), (0.5, 3.0)]
    gallery.refresh_from_db()
    assert retouching.known_cast(gallery) == (0.5, 3.0)


def test_a_version_is_a_link_from_the_original_to_its_file(gallery: Gallery) -> None:
    retouch, version = drafted(gallery)
    assert version.input_sha256 == retouch.pick.photo.files.get().sha256
    assert version.output_sha256 == storage.fingerprint(storage.derived(), version.key).sha256
    assert version.operations[0] == {
        "recipe": "draft",
        "version": 1,
        "parameters": workbench.DEFAULT_STRENGTHS,
    }
    assert version.parent is None


def test_making_a_draft_twice_makes_one_version(gallery: Gallery, bench: Bench) -> None:
    drafted(gallery)
    job = Job.objects.filter(kind=JobKind.DRAFT).first()
    assert job is not None
    retouching.make_draft(job, NOW)
    assert (bench.drafts, Version.objects.count()) == (2, 2)


def test_a_worker_that_died_before_the_row_leaves_nothing_behind(gallery: Gallery, bench: Bench) -> None:
    job = Job.objects.filter(kind=JobKind.DRAFT, retouch=first(gallery)).get()
    stray = storage.random_key(
        f"s{gallery.shoot.public_id}/r{first(gallery).public_id}", ".jpg"
    )  # stored, then killed
    storage.put(storage.derived(), stray, GRACE_HOPPER)
    retouching.make_draft(job, NOW)
    assert derived() == {first(gallery).versions.get().key}


def test_the_loser_of_two_workers_deletes_its_own_bytes(gallery: Gallery, bench: Bench) -> None:
    job = Job.objects.filter(kind=JobKind.DRAFT, retouch=first(gallery)).get()
    winner = Version(
        retouch=first(gallery), number=1, kind="draft", input_sha256="0" * 64, output_sha256="1" * 64,
        operations=[{"recipe": "draft", "version": 1, "parameters": workbench.DEFAULT_STRENGTHS}],
        key="winner.jpg", size=1, crc32=0, width=1, height=1, made_at=NOW, actor_kind="worker",
    )  # fmt: skip
    bench.before_return = winner.save
    retouching.make_draft(job, NOW)
    assert [row.key for row in first(gallery).versions.all()] == ["winner.jpg"]
    assert derived() == set()


def test_a_pick_taken_back_while_its_draft_is_made_leaves_no_file(gallery: Gallery, bench: Bench) -> None:
    retouch = first(gallery)
    job = Job.objects.filter(kind=JobKind.DRAFT, retouch=retouch).get()

    def reopened() -> None:
        proofing.reopen_selection(gallery_id=gallery.pk, by=ANA, now=NOW)
        proofing.unpick(photo_id=retouch.pick.photo_id, by=ANA, now=NOW)

    bench.before_return = reopened
    retouching.make_draft(job, NOW)
    assert (derived(), Retouch.objects.filter(pk=retouch.pk).exists()) == (set(), False)


def test_a_pick_taken_back_while_it_is_measured_ends_the_measuring(gallery: Gallery, bench: Bench) -> None:
    retouch = first(gallery)
    retouching.make_draft(Job.objects.filter(kind=JobKind.DRAFT, retouch=retouch).get(), NOW)
    job = Job.objects.filter(kind=JobKind.MEASURE, version__retouch=retouch).get()

    def reopened() -> None:
        proofing.reopen_selection(gallery_id=gallery.pk, by=ANA, now=NOW)
        proofing.unpick(photo_id=retouch.pick.photo_id, by=ANA, now=NOW)

    bench.before_return = reopened
    retouching.measure(job, NOW)  # raises nothing
    assert bench.measured == 1
    assert not Version.objects.filter(retouch_id=retouch.pk).exists()


def test_taking_a_drafted_pick_back_deletes_its_versions_and_files(
    gallery: Gallery, django_capture_on_commit_callbacks
) -> None:
    work()
    retouch = first(gallery)
    kept = gallery.retouches.order_by("id")[1].versions.get().key
    proofing.reopen_selection(gallery_id=gallery.pk, by=ANA, now=NOW)
    with django_capture_on_commit_callbacks(execute=True):
        proofing.unpick(photo_id=retouch.pick.photo_id, by=ANA, now=NOW)
    assert (Version.objects.count(), derived()) == (1, {kept})


def test_a_lost_original_fails_with_a_sentence(gallery: Gallery) -> None:
    retouch = first(gallery)
    retouch.pick.photo.files.update(is_damaged=True)
    job = Job.objects.filter(kind=JobKind.DRAFT, retouch=retouch).get()
    with pytest.raises(jobs.JobRefused, match=r"DSC_0001\.NEF is archived, erased or damaged"):
        retouching.make_draft(job, NOW)


# --- adjusting


def test_other_strengths_make_another_version_by_whoever_asked(gallery: Gallery) -> None:
    retouch, _version = drafted(gallery)
    assert retouching.adjust(retouch_id=retouch.pk, parameters={"skin": "0.2"}, by=ANA, now=NOW) is None
    work()
    adjusted = retouch.versions.get(number=2)
    assert (adjusted.kind, adjusted.actor_label) == ("adjusted", "Ana Photographer")
    assert retouching.strengths_of(adjusted) == {**workbench.DEFAULT_STRENGTHS, "skin": 0.2}


def test_the_same_strengths_again_are_the_same_version(gallery: Gallery, bench: Bench) -> None:
    retouch, version = drafted(gallery)
    drafts = bench.drafts
    again = retouching.adjust(
        retouch_id=retouch.pk, parameters=dict(workbench.DEFAULT_STRENGTHS), by=ANA, now=NOW
    )
    assert again == version
    for _twice in range(2):
        retouching.adjust(retouch_id=retouch.pk, parameters={"skin": "0.2"}, by=ANA, now=NOW)
    work()
    assert bench.drafts == drafts + 1


def test_asking_again_after_a_failure_tries_again(gallery: Gallery) -> None:
    retouch, _version = drafted(gallery)
    retouching.adjust(retouch_id=retouch.pk, parameters={"skin": "0"}, by=ANA, now=NOW)
    job = Job.objects.get(kind=JobKind.DRAFT, status=JobStatus.WAITING)
    move(Job, job.pk, "fail", by=ANA, now=NOW)
    retouching.adjust(retouch_id=retouch.pk, parameters={"skin": "0"}, by=ANA, now=NOW)
    job.refresh_from_db()
    assert job.status == JobStatus.WAITING


@pytest.mark.parametrize(
    ("given", "kept"),
    [("7", 1.0), ("-3", 0.0), ("0.333", 0.35), ("0.1", 0.1)],
)
def test_strengths_stay_in_their_range_and_on_their_step(given: str, kept: float) -> None:
    assert workbench.strengths({"skin": given})["skin"] == kept


@pytest.mark.parametrize("given", ["nan", "inf", "much", ""])
def test_a_strength_that_is_no_number_is_refused(gallery: Gallery, given: str) -> None:
    with pytest.raises(RetouchRefused, match="A strength is a number"):
        retouching.adjust(retouch_id=first(gallery).pk, parameters={"skin": given}, by=ANA, now=NOW)


def test_the_sliders_begin_where_the_imaging_does() -> None:
    from galleries.imaging.retouch import DEFAULTS, Parameters

    assert Parameters(**workbench.DEFAULT_STRENGTHS) == DEFAULTS
    for end in ("lowest", "highest"):
        Parameters(**{slider.name: getattr(slider, end) for slider in workbench.SLIDERS})


# --- files made elsewhere


def handed_in(retouch: Retouch, path: Path = GRACE_HOPPER) -> Upload:
    key = storage.random_key(f"s{retouch.gallery.shoot.public_id}", ".jpg")
    kept = storage.put(storage.originals(), key, path)
    return Upload.objects.create(
        gallery=retouch.gallery, purpose="hand_in", retouch=retouch, status=UploadStatus.CHECKING,
        name="DSC_0001-final.jpg", size=kept.size, offset=kept.size, sha256=kept.sha256, crc32=kept.crc32,
        key=key, created_at=NOW, touched_at=NOW,
    )  # fmt: skip


def hand_in(retouch: Retouch) -> Version:
    upload = handed_in(retouch)
    made = retouching.receive_hand_in(upload=upload, format="jpeg", width=512, height=600, by=ANA, now=NOW)
    assert made is not None
    return made


def test_a_handed_in_file_is_kept_byte_for_byte_and_says_edited_outside(gallery: Gallery) -> None:
    retouch, _draft = drafted(gallery)
    version = hand_in(retouch)
    assert (version.number, version.kind, version.store) == (2, "hand_made", "originals")
    kept = b"".join(storage.open_range(storage.originals(), version.key, 0, version.size))
    assert sha256(kept).hexdigest() == version.output_sha256 == sha256(GRACE_HOPPER.read_bytes()).hexdigest()
    assert version.operations == [
        {"recipe": "edited-outside", "version": 1, "parameters": {"file": "DSC_0001-final.jpg"}}
    ]
    work()
    version.refresh_from_db()
    assert version.guard == Guard.PASSED


def test_receiving_the_same_upload_twice_is_one_version(gallery: Gallery) -> None:
    retouch, _draft = drafted(gallery)
    upload = handed_in(retouch)
    for _twice in range(2):
        retouching.receive_hand_in(upload=upload, format="jpeg", width=512, height=600, by=ANA, now=NOW)
    assert retouch.versions.filter(kind="hand_made").count() == 1


def test_a_file_may_be_handed_in_before_the_draft_is_made(gallery: Gallery) -> None:
    retouch = first(gallery)
    hand_in(retouch)
    retouch.refresh_from_db()
    assert retouch.status == RetouchStatus.DRAFTED


def test_a_pick_with_a_persons_work_cannot_be_taken_back(gallery: Gallery) -> None:
    retouch, _draft = drafted(gallery)
    hand_in(retouch)
    proofing.reopen_selection(gallery_id=gallery.pk, by=ANA, now=NOW)
    with pytest.raises(proofing.SelectionClosed, match="by hand"):
        proofing.unpick(photo_id=retouch.pick.photo_id, by=CLIENT, now=NOW)
    assert retouch.versions.count() == 2


# --- the guard


def test_a_blocked_version_is_not_approved_until_overridden_with_a_reason(
    gallery: Gallery, bench: Bench
) -> None:
    bench.verdict = workbench.Verdict(Guard.BLOCKED, {"numbers": {}})
    retouch, version = drafted(gallery)
    with pytest.raises(GuardBlocks):
        retouching.approve(retouch_id=retouch.pk, version_id=version.pk, by=ANA, now=NOW)
    with pytest.raises(RetouchRefused, match="Say why"):
        retouching.override(version_id=version.pk, reason="  ", by=ANA, now=NOW)
    retouching.override(version_id=version.pk, reason="the client asked\nfor it", by=ANA, now=NOW)
    assert retouching.approve(retouch_id=retouch.pk, version_id=version.pk, by=ANA, now=NOW) is True
    version.refresh_from_db()
    assert retouching.guard_words(version) == "Changed at your request: the client asked for it"
    assert version.override_by == "Ana Photographer"


def test_what_is_not_blocked_cannot_be_overridden(gallery: Gallery) -> None:
    _retouch, version = drafted(gallery)
    with pytest.raises(RetouchRefused, match="nothing to override"):
        retouching.override(version_id=version.pk, reason="because", by=ANA, now=NOW)


def test_a_version_still_being_measured_is_not_approved(gallery: Gallery) -> None:
    retouch = first(gallery)
    version = hand_in(retouch)
    with pytest.raises(GuardStillMeasures):
        retouching.approve(retouch_id=retouch.pk, version_id=version.pk, by=ANA, now=NOW)


def test_without_models_the_guard_says_not_measured_and_never_passed(gallery: Gallery, bench: Bench) -> None:
    bench.verdict = workbench.not_measured("The face models are not installed here.")
    _retouch, version = drafted(gallery)
    assert version.guard == Guard.NOT_MEASURED
    assert version.guard_report["why"] == "The face models are not installed here."
    assert retouching.guard_words(version) == "Not measured against the original."


def test_a_draft_that_the_guard_blocks_is_made_again_more_gently(gallery: Gallery, bench: Bench) -> None:
    bench.verdict = workbench.Verdict(Guard.BLOCKED)
    work()
    made = [
        (version.kind, retouching.strengths_of(version)["overall"])
        for version in first(gallery).versions.order_by("number")
    ]
    assert made == [("draft", 1.0), ("draft", 0.6), ("draft", 0.35), ("draft", 0.2)]


def test_what_a_person_asked_for_is_not_made_more_gently(gallery: Gallery, bench: Bench) -> None:
    retouch, _ = drafted(gallery)
    bench.verdict = workbench.Verdict(Guard.BLOCKED)
    retouching.adjust(retouch_id=retouch.pk, parameters={"skin": "1"}, by=ANA, now=NOW)
    work()
    assert retouch.versions.filter(guard=Guard.BLOCKED).count() == 1
    assert retouch.versions.count() == 2


def test_a_verdict_is_written_once(gallery: Gallery, bench: Bench) -> None:
    _retouch, version = drafted(gallery)
    bench.verdict = workbench.Verdict(Guard.BLOCKED)
    retouching.measure(Job.objects.get(kind=JobKind.MEASURE, version=version), NOW)
    version.refresh_from_db()
    assert version.guard == Guard.PASSED


@pytest.mark.parametrize(
    ("mode", "answer", "is_allowed"),
    [
        ("notice", None, True),
        ("notice", True, True),
        ("notice", False, False),
        ("release", None, False),
        ("release", True, True),
        ("release", False, False),
    ],
)
def test_faces_are_outlined_only_as_the_location_and_the_sitter_allow(
    gallery: Gallery, bench: Bench, mode: str, answer: bool | None, is_allowed: bool
) -> None:
    location = gallery.shoot.booking.location
    location.face_processing = mode
    location.save()
    if answer is not None:
        sitter = gallery.shoot.sitter
        assert sitter is not None
        Consent.objects.create(
            shoot=gallery.shoot,
            sitter=sitter,
            purpose=ConsentPurpose.FACE_PROCESSING,
            is_given=answer,
            answered_at=NOW,
        )
    _retouch, version = drafted(gallery)
    assert bench.faces_allowed is is_allowed
    assert version.guard == (Guard.PASSED if is_allowed else Guard.NOT_MEASURED)
    assert bool(bench.measured) is is_allowed


def test_the_client_reads_words_and_never_numbers(gallery: Gallery) -> None:
    _retouch, version = drafted(gallery)
    words = retouching.guard_words(version)
    assert words == (
        "Measured against the original: we found no change to your face shape; your skin keeps its texture."
    )
    version.kind = Version.Kind.UNTOUCHED
    assert retouching.guard_words(version) == "As photographed: nothing was retouched."


# --- approval


def test_approving_orders_the_finals_once(gallery: Gallery) -> None:
    retouch, version = drafted(gallery)
    assert retouching.approve(retouch_id=retouch.pk, version_id=version.pk, by=ANA, now=NOW) is True
    assert retouching.approve(retouch_id=retouch.pk, version_id=version.pk, by=ANA, now=NOW) is False
    retouch.refresh_from_db()
    assert (retouch.status, retouch.approved_version) == (RetouchStatus.APPROVED, version)
    assert Job.objects.filter(kind=JobKind.FINALS, version=version).count() == 1


def test_another_version_can_be_approved_until_the_delivery(gallery: Gallery) -> None:
    retouch, version = drafted(gallery)
    retouching.approve(retouch_id=retouch.pk, version_id=version.pk, by=ANA, now=NOW)
    other = hand_in(retouch)
    work()
    move(Gallery, gallery.pk, "make_ready", by=ANA, now=NOW)
    assert retouching.approve(retouch_id=retouch.pk, version_id=other.pk, by=ANA, now=NOW) is True
    retouch.refresh_from_db()
    gallery.refresh_from_db()
    assert (retouch.approved_version, gallery.status) == (other, GalleryStatus.RETOUCHING)
    move(Gallery, gallery.pk, "make_ready", by=ANA, now=NOW)
    move(Gallery, gallery.pk, "deliver", by=ANA, now=NOW)
    with pytest.raises(RetouchRefused, match="not in work"):
        retouching.approve(retouch_id=retouch.pk, version_id=version.pk, by=ANA, now=NOW)


def test_a_version_of_another_pick_is_not_approved(gallery: Gallery) -> None:
    work()
    one, two = gallery.retouches.order_by("id")
    with pytest.raises(Version.DoesNotExist):
        retouching.approve(retouch_id=one.pk, version_id=two.versions.get().pk, by=ANA, now=NOW)


# --- looking first


def shown(gallery: Gallery) -> list[Retouch]:
    work()
    retouches = list(gallery.retouches.order_by("id"))
    for retouch in retouches:
        version = retouch.versions.get()
        retouching.show_to_client(retouch_id=retouch.pk, version_id=version.pk, by=ANA, now=NOW)
    gallery.refresh_from_db()
    return retouches


def test_the_client_is_asked_once_when_every_pick_is_shown(gallery: Gallery) -> None:
    work()
    one, two = gallery.retouches.order_by("id")
    retouching.show_to_client(retouch_id=one.pk, version_id=one.versions.get().pk, by=ANA, now=NOW)
    gallery.refresh_from_db()
    assert (gallery.status, gallery.pauses.count()) == (GalleryStatus.RETOUCHING, 0)
    retouching.show_to_client(retouch_id=two.pk, version_id=two.versions.get().pk, by=ANA, now=NOW)
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.APPROVING
    assert gallery.pauses.get().reason == PauseReason.APPROVING
    assert Message.objects.filter(name="retouch_shown").count() == 1


def test_a_blocked_version_is_not_shown(gallery: Gallery, bench: Bench) -> None:
    bench.verdict = workbench.Verdict(Guard.BLOCKED)
    retouch, version = drafted(gallery)
    with pytest.raises(GuardBlocks):
        retouching.show_to_client(retouch_id=retouch.pk, version_id=version.pk, by=ANA, now=NOW)


def test_the_clients_yes_to_all_ends_the_pause(gallery: Gallery) -> None:
    one, two = shown(gallery)
    assert retouching.approve_shown(retouch_id=one.pk, by=CLIENT, now=NOW + DAY) is True
    assert gallery.pauses.get().ended_at is None
    assert retouching.approve_shown(retouch_id=two.pk, by=CLIENT, now=NOW + DAY) is True
    assert retouching.approve_shown(retouch_id=two.pk, by=CLIENT, now=NOW + DAY) is False
    assert gallery.pauses.get().ended_at == NOW + DAY
    assert Job.objects.filter(kind=JobKind.FINALS).count() == 2


def test_a_change_while_looking_takes_the_gallery_back_into_work(gallery: Gallery) -> None:
    one, two = shown(gallery)
    retouching.approve_shown(retouch_id=one.pk, by=CLIENT, now=NOW + DAY)
    retouching.ask_change(retouch_id=two.pk, asked=[PinnedWords("softer light")], by=CLIENT, now=NOW + DAY)
    gallery.refresh_from_db()
    two.refresh_from_db()
    assert (gallery.status, two.status) == (GalleryStatus.RETOUCHING, RetouchStatus.CHANGE_ASKED)
    assert gallery.pauses.get().ended_at == NOW + DAY


def test_silence_of_three_working_days_is_a_yes(gallery: Gallery) -> None:
    shown(gallery)  # Monday 10:00 → the closing of Thursday
    before = datetime(2026, 11, 19, 17, 59, tzinfo=UTC)
    assert retouching.sweep(now=before) == 0
    assert retouching.sweep(now=before + timedelta(minutes=1)) == 2
    assert {row.status for row in gallery.retouches.all()} == {RetouchStatus.APPROVED}


# --- changes after the delivery


def delivered(gallery: Gallery) -> Retouch:
    work()
    for retouch in gallery.retouches.all():
        retouching.approve(retouch_id=retouch.pk, version_id=retouch.versions.get().pk, by=ANA, now=NOW)
    move(Gallery, gallery.pk, "make_ready", by=ANA, now=NOW)
    move(Gallery, gallery.pk, "deliver", by=ANA, now=NOW)
    gallery.refresh_from_db()
    return first(gallery)


def test_one_free_change_with_pins_reopens_the_gallery(gallery: Gallery) -> None:
    retouch = delivered(gallery)
    asked = [PinnedWords("this strand of hair", (0.4, 0.1)), PinnedWords("a little lighter")]
    notes = retouching.ask_change(retouch_id=retouch.pk, asked=asked, by=CLIENT, now=NOW + DAY)
    gallery.refresh_from_db()
    retouch.refresh_from_db()
    assert (gallery.status, gallery.free_changes_left) == (GalleryStatus.RETOUCHING, 0)
    assert retouch.status == RetouchStatus.CHANGE_ASKED
    assert [(note.pin_x, note.pin_y, note.version_id) for note in notes] == [
        (0.4, 0.1, retouch.approved_version_id),
        (None, None, retouch.approved_version_id),
    ]


def test_more_words_in_the_same_round_are_free_and_a_second_round_is_not(gallery: Gallery) -> None:
    retouch = delivered(gallery)
    other = gallery.retouches.order_by("id")[1]
    for words, each in (("hair", retouch), ("collar", retouch), ("collar", other)):
        retouching.ask_change(retouch_id=each.pk, asked=[PinnedWords(words)], by=CLIENT, now=NOW + DAY)
    assert Note.objects.filter(is_change_request=True).count() == 3
    for each in (retouch, other):
        version = each.versions.get()
        retouching.approve(retouch_id=each.pk, version_id=version.pk, by=ANA, now=NOW + DAY)
    Gallery.objects.filter(pk=gallery.pk).update(status=GalleryStatus.DELIVERED)
    with pytest.raises(ChangeRefused, match="included change is used"):
        retouching.ask_change(retouch_id=retouch.pk, asked=[PinnedWords("again")], by=CLIENT, now=NOW + DAY)


def test_a_change_is_asked_within_fourteen_days(gallery: Gallery) -> None:
    retouch = delivered(gallery)
    with pytest.raises(ChangeRefused, match="within 14 days"):
        retouching.ask_change(
            retouch_id=retouch.pk, asked=[PinnedWords("late")], by=CLIENT, now=NOW + 14 * DAY
        )
    gallery.refresh_from_db()
    assert (gallery.status, gallery.free_changes_left) == (GalleryStatus.DELIVERED, 1)
    retouching.ask_change(
        retouch_id=retouch.pk,
        asked=[PinnedWords("in time")],
        by=CLIENT,
        now=NOW + 14 * DAY - timedelta(seconds=1),
    )


def test_a_change_says_something_and_not_endlessly(gallery: Gallery) -> None:
    retouch = delivered(gallery)
    with pytest.raises(RetouchRefused, match="few words"):
        retouching.ask_change(
            retouch_id=retouch.pk, asked=[PinnedWords("  ", (0.5, 0.5))], by=CLIENT, now=NOW
        )
    with pytest.raises(RetouchRefused, match="at most 2000"):
        retouching.ask_change(retouch_id=retouch.pk, asked=[PinnedWords("x" * 2001)], by=CLIENT, now=NOW)
    many = [PinnedWords(f"x{number}", (0.5, 0.5)) for number in range(101)]
    with pytest.raises(RetouchRefused, match="more than 100"):
        retouching.ask_change(retouch_id=retouch.pk, asked=many, by=CLIENT, now=NOW)
    retouching.ask_change(retouch_id=retouch.pk, asked=many[:100], by=CLIENT, now=NOW)
    assert Note.objects.count() == 100


def test_a_wish_sent_twice_is_one_wish(gallery: Gallery) -> None:
    make_user("owner")  # type: ignore[arg-type]
    retouch = delivered(gallery)
    asked = [PinnedWords("two\r\nlines", (0.25, 0.5)), PinnedWords("lighter")]
    retouching.ask_change(retouch_id=retouch.pk, asked=asked, by=CLIENT, now=NOW)
    assert retouching.ask_change(retouch_id=retouch.pk, asked=asked, by=CLIENT, now=NOW) == []
    assert Note.objects.count() == 2
    assert Message.objects.filter(name="change_asked").count() == 1
    gallery.refresh_from_db()
    assert gallery.free_changes_left == 0


def test_the_studio_hears_of_a_change_and_answers_in_place(gallery: Gallery) -> None:
    owner = make_user("owner")  # type: ignore[arg-type]
    retouch = delivered(gallery)
    note = retouching.ask_change(
        retouch_id=retouch.pk, asked=[PinnedWords("<i>hair</i>")], by=CLIENT, now=NOW
    )[0]
    mail = Message.objects.get(name="change_asked")
    assert (mail.to_address, "– <i>hair</i>" in mail.body_text) == (owner.email, True)
    retouching.answer(note_id=note.pk, words="Done in version 2", by=ANA, now=NOW)
    note.refresh_from_db()
    assert (note.answered, note.answered_at) == ("Done in version 2", NOW)
