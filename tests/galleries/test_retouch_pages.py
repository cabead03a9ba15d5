"""The retouch desk over HTTP, with real drafts of a real portrait: made, measured, adjusted, shown, approved."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from PIL import Image, ImageFilter, ImageOps

from galleries import jobs, proofing, retouching, workbench
from galleries.imaging import faces
from galleries.models import Gallery, Guard, Job, JobKind, Note, Retouch, Version
from galleries.statuses import GalleryStatus, JobStatus, RetouchStatus
from studio import credentials
from studio.models import Role
from tests.galleries.framing import ANA, make_photo, store_original
from tests.galleries.making import make_gallery, make_location, make_user, sign_in
from tests.html import assert_no_inline
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER

needs_models = pytest.mark.skipif(
    not faces.are_available(), reason="the face models are not here: make models"
)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def gallery(db: None, media_storage: Path, now: datetime) -> Gallery:
    """Two portraits picked and submitted in the studio."""
    gallery = make_gallery(now=now, clock_started_at=now - timedelta(hours=1))
    for number, path in ((1, GRACE_HOPPER), (2, EILEEN_COLLINS)):
        photo = make_photo(gallery, number, now=now)
        store_original(photo, now=now, path=path)
        proofing.pick(photo_id=photo.pk, by=ANA, now=now)
    proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=now)
    return gallery


@pytest.fixture
def desk(client: Browser, db: None) -> Browser:
    sign_in(client, make_user(Role.RETOUCHER, name="Remy"))
    return client


@pytest.fixture
def worked(gallery: Gallery, now: datetime) -> Iterator[Gallery]:
    work(now)
    return gallery


def work(now: datetime) -> None:
    """One images worker, until nothing waits."""
    for _job in range(40):
        if not jobs.work_next(now=now + timedelta(seconds=5)):
            return
    raise AssertionError("the work does not end")


def first(gallery: Gallery) -> Retouch:
    return gallery.retouches.order_by("id")[0]


def do(desk: Browser, retouch: Retouch, deed: str, **facts: object) -> str:
    answer = desk.post(reverse("retouch_do", args=[retouch.public_id, deed]), facts)
    assert answer.status_code == 302
    return answer.headers["Location"]


def brightness(jpeg: bytes) -> int:
    """The mean of a picture, 0 to 255."""
    (value,) = Image.open(BytesIO(jpeg)).convert("L").resize((1, 1)).get_flattened_data()
    return int(value)


# --- the worker's part, for real


@needs_models
def test_real_drafts_pass_the_guard_and_have_their_pictures(worked: Gallery) -> None:
    for retouch in worked.retouches.all():
        version = retouch.versions.get()
        assert version.guard == Guard.PASSED, version.guard_report
        names = {operation["recipe"] for operation in version.operations}
        assert {"draft", "heal_spots", "even_skin", "lift_under_eyes"} <= names
        recipes = set(version.renditions.values_list("recipe", flat=True))
        assert {"screen", "grid", "full", workbench.HEAT} <= recipes
        assert version.guard_report["numbers"]["shape_p95"] < 0.0027


@needs_models
def test_a_blurred_file_is_blocked_and_says_why(gallery: Gallery, desk: Browser, now: datetime) -> None:
    work(now)
    retouch = first(gallery)
    blurred = BytesIO()
    Image.open(GRACE_HOPPER).filter(ImageFilter.GaussianBlur(3)).save(blurred, "JPEG", quality=95)
    file = SimpleUploadedFile("DSC_0001-final.jpg", blurred.getvalue(), "image/jpeg")
    desk.post(reverse("retouch_hand_in", args=[retouch.public_id]), {"file": file})
    work(timezone.now())
    version = retouch.versions.get(kind=Version.Kind.HAND_MADE)
    assert version.guard == Guard.BLOCKED
    html = desk.get(reverse("desk_retouch", args=[retouch.public_id]) + "?version=2").content.decode()
    assert "Skin texture lost" in html
    assert "Override, because" in html
    assert do(desk, retouch, "approve", version=2).endswith("?version=2")
    retouch.refresh_from_db()
    assert retouch.status == RetouchStatus.DRAFTED

    report = desk.get(reverse("guard_report", args=[retouch.public_id]) + "?version=2").content.decode()
    assert_no_inline(report)
    assert "Pores and fine lines are gone or painted over" in report
    assert "Heat map: the warmer, the larger the change" in report
    assert "in memory only" in report
    do(desk, retouch, "override", version=2, reason="She asked for <i>porcelain</i>")
    passed = desk.get(reverse("guard_report", args=[retouch.public_id]) + "?version=2").content.decode()
    assert "“Changed at your request: She asked for &lt;i&gt;porcelain&lt;/i&gt;”" in passed


@needs_models
def test_a_draft_says_on_the_desk_what_it_noted(
    gallery: Gallery, desk: Browser, now: datetime, tmp_path: Path
) -> None:
    """Two people in the frame, and a backdrop that is asked for and not plain."""
    photo = first(gallery).pick.photo
    grace = Image.open(GRACE_HOPPER).convert("RGB")
    pair = Image.new("RGB", (2 * grace.width, grace.height))
    pair.paste(grace, (0, 0))
    pair.paste(ImageOps.mirror(grace), (grace.width, 0))
    pair.save(tmp_path / "both.jpg", quality=92)
    photo.files.all().delete()
    store_original(photo, now=now, path=tmp_path / "both.jpg")
    do(desk, first(gallery), "adjust", backdrop="1")
    work(now)
    html = desk.get(reverse("desk_retouch", args=[first(gallery).public_id])).content.decode()
    assert "More than one face is in this frame, and each was retouched." in html
    assert "The backdrop is not plain enough to be evened" in html


def test_a_note_without_words_of_its_own_is_shown_as_it_stands() -> None:
    assert workbench.draft_notes([{"recipe": "draft", "notes": ["new_here", "new_here"]}]) == ["new here"]
    assert workbench.draft_notes([{"recipe": "untouched"}]) == []
    assert all(str(words).endswith(".") for words in workbench.DRAFT_NOTES.values())


@needs_models
def test_a_black_and_white_version_is_not_said_to_have_other_skin(
    gallery: Gallery, desk: Browser, now: datetime
) -> None:
    work(now)
    retouch = first(gallery)
    grey = BytesIO()
    Image.open(GRACE_HOPPER).convert("L").convert("RGB").save(grey, "JPEG", quality=95)
    file = SimpleUploadedFile("DSC_0001-bw.jpg", grey.getvalue(), "image/jpeg")
    desk.post(reverse("retouch_hand_in", args=[retouch.public_id]), {"file": file})
    work(timezone.now())
    version = retouch.versions.get(kind=Version.Kind.HAND_MADE)
    assert version.guard == Guard.PASSED
    assert "colour" in {found["kind"] for found in version.guard_report["findings"]}
    there = f"?version={version.number}"
    desk_page = desk.get(reverse("desk_retouch", args=[retouch.public_id]) + there).content.decode()
    report = desk.get(reverse("guard_report", args=[retouch.public_id]) + there).content.decode()
    for html in (desk_page, report):
        assert "Skin recoloured" not in html
        assert "black_and_white" not in html
    assert "This version is black and white" in report


def test_recoloured_skin_is_said_of_a_version_in_colour() -> None:
    found = [{"kind": "colour", "value": 4.0, "limit": 2.2, "is_blocking": False}]
    report = {"findings": found, "numbers": {"iod": 90.0}}
    assert [check.is_found for check in workbench.guard_checks(report) if check.name == "Skin colour"] == [
        True
    ]
    assert workbench.guard_lines(report)[0].words == "Skin recoloured"
    grey = report | {"numbers": {"iod": 90.0, "black_and_white": 1.0}}
    assert not any(check.is_found for check in workbench.guard_checks(grey))
    assert [line.words for line in workbench.guard_lines(grey)] == [
        "Distance between the eyes when it was measured, in pixels"
    ]


@needs_models
def test_the_file_of_another_person_is_not_passed(gallery: Gallery, desk: Browser, now: datetime) -> None:
    work(now)
    retouch = first(gallery)
    file = SimpleUploadedFile("other.png", EILEEN_COLLINS.read_bytes(), "image/png")
    desk.post(reverse("retouch_hand_in", args=[retouch.public_id]), {"file": file})
    work(timezone.now())
    version = retouch.versions.get(kind=Version.Kind.HAND_MADE)
    assert version.guard in (Guard.BLOCKED, Guard.NOT_MEASURED)


def test_a_handed_in_text_file_is_refused_with_a_sentence(
    gallery: Gallery, desk: Browser, now: datetime
) -> None:
    work(now)
    retouch = first(gallery)
    file = SimpleUploadedFile("notes.txt", b"not a picture at all", "text/plain")
    desk.post(reverse("retouch_hand_in", args=[retouch.public_id]), {"file": file})
    work(timezone.now())
    html = desk.get(reverse("desk_retouch", args=[retouch.public_id])).content.decode()
    assert "notes.txt" in html
    assert "This is not a photo we can read" in html
    assert retouch.versions.filter(kind=Version.Kind.HAND_MADE).count() == 0


def test_without_models_drafts_are_made_and_not_measured(
    gallery: Gallery, now: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from galleries.imaging import child

    monkeypatch.setenv("LIKENESS_MODELS", str(tmp_path))
    monkeypatch.setattr(child, "_children", {})  # a warm child of its own, without models
    work(now)
    for own in list(child._children.values()):
        own.close()
    version = first(gallery).versions.get()
    assert version.guard == Guard.NOT_MEASURED
    assert version.guard_report["why"] == "The face models are not installed here."
    assert "no_models" in version.operations[0]["notes"]


def test_as_photographed_is_the_frame_alone(worked: Gallery, desk: Browser, now: datetime) -> None:
    retouch = first(worked)
    do(desk, retouch, "as_photographed")
    work(timezone.now())
    version = retouch.versions.get(kind=Version.Kind.UNTOUCHED)
    assert version.operations == [{"recipe": "full", "version": 1, "parameters": {}}]
    assert version.actor_label == "Remy"
    original = retouch.pick.photo
    with Image.open(retouching.store_of(version).local_path(version.key)) as image:  # type: ignore[arg-type]
        assert image.size == (version.width, version.height) == (512, 600)
    assert do(desk, retouch, "as_photographed").endswith(f"?version={version.number}")
    assert original.pk == retouch.pick.photo_id


# --- the desk


def test_the_queue_is_in_the_order_of_the_promises(desk: Browser, gallery: Gallery, now: datetime) -> None:
    later = make_gallery(now=now)
    photo = make_photo(later, 1, now=now)
    proofing.pick(photo_id=photo.pk, by=ANA, now=now)
    proofing.submit_selection(gallery_id=later.pk, by=ANA, now=now)
    sooner = make_gallery(now=now)
    photo = make_photo(sooner, 1, now=now)
    proofing.pick(photo_id=photo.pk, by=ANA, now=now)
    proofing.submit_selection(gallery_id=sooner.pk, by=ANA, now=now)
    Gallery.objects.filter(pk=later.pk).update(deliver_by=None)
    Gallery.objects.filter(pk=sooner.pk).update(deliver_by=now)
    html = desk.get(reverse("retouch_queue")).content.decode()
    places = [html.index(first(each).public_id) for each in (sooner, gallery, later)]
    assert places == sorted(places)
    assert_no_inline(html)


def test_a_pick_before_after_versions_and_words(worked: Gallery, desk: Browser, now: datetime) -> None:
    retouch = first(worked)
    Note.objects.create(
        photo=retouch.pick.photo,
        words="<b>hair</b>",
        pin_x=0.25,
        pin_y=0.5,
        written_at=now,
        actor_kind="client",
    )
    html = desk.get(reverse("desk_retouch", args=[retouch.public_id])).content.decode()
    assert "1 of 2" in html
    assert "&lt;b&gt;hair&lt;/b&gt;" in html
    assert 'data-x="0.2500" data-y="0.5000"' in html
    assert html.count('class="compare-side"') == 2
    assert_no_inline(html)
    note = Note.objects.get()
    do(desk, retouch, "answer", note=note.pk, words="We calmed it")
    assert "We calmed it" in desk.get(reverse("desk_retouch", args=[retouch.public_id])).content.decode()


def test_a_note_of_another_picture_is_not_answered_here(
    worked: Gallery, desk: Browser, now: datetime
) -> None:
    one, two = worked.retouches.order_by("id")
    note = Note.objects.create(photo=two.pick.photo, words="x", written_at=now, actor_kind="client")
    address = reverse("retouch_do", args=[one.public_id, "answer"])
    assert desk.post(address, {"note": note.pk, "words": "y"}).status_code == 404


def test_the_preview_answers_with_a_picture_and_refuses_nonsense(worked: Gallery, desk: Browser) -> None:
    address = reverse("retouch_preview", args=[first(worked).public_id])
    strong = desk.get(address, {"exposure": "0.8"})
    assert (strong.status_code, strong.headers["Content-Type"]) == (200, "image/jpeg")
    plain = desk.get(address)
    lighter, usual = brightness(strong.content), brightness(plain.content)
    assert lighter > usual + 10
    assert desk.get(address, {"skin": "nan"}).status_code == 400


def test_other_strengths_become_a_version(worked: Gallery, desk: Browser) -> None:
    retouch = first(worked)
    do(desk, retouch, "adjust", skin="0.2", exposure="0.1")
    html = desk.get(reverse("desk_retouch", args=[retouch.public_id])).content.decode()
    assert "data-working" in html
    work(timezone.now())
    version = retouch.versions.get(number=2)
    assert retouching.strengths_of(version)["skin"] == 0.2
    assert version.actor_label == "Remy"
    assert do(desk, retouch, "adjust", skin="0.2", exposure="0.1").endswith("?version=2")


def test_news_are_told_once_something_changed(gallery: Gallery, desk: Browser, now: datetime) -> None:
    retouch = first(gallery)
    address = reverse("retouch_news", args=[retouch.public_id])
    have = desk.get(address).content.decode()
    assert desk.get(address, {"have": have}).status_code == 204
    work(now)
    assert desk.get(address, {"have": have}).status_code == 200


def test_approving_goes_on_to_the_next_and_orders_the_finals(worked: Gallery, desk: Browser) -> None:
    one, two = worked.retouches.order_by("id")
    assert do(desk, one, "approve", version=1) == reverse("desk_retouch", args=[two.public_id])
    assert do(desk, two, "approve", version=1) == reverse("retouch_queue")
    assert Job.objects.filter(kind=JobKind.FINALS).count() == 2


def test_a_failed_draft_says_so_and_is_tried_again(gallery: Gallery, desk: Browser, now: datetime) -> None:
    retouch = first(gallery)
    retouch.pick.photo.files.update(is_damaged=True)
    work(now)
    html = desk.get(reverse("desk_retouch", args=[retouch.public_id])).content.decode()
    assert "is archived, erased or damaged" in html
    retouch.pick.photo.files.update(is_damaged=False)
    do(desk, retouch, "again")
    work(timezone.now())
    assert retouch.versions.count() == 1


def test_who_may_not_see_the_pictures_may_not_retouch(gallery: Gallery, client: Browser) -> None:
    address = reverse("desk_retouch", args=[first(gallery).public_id])
    assert client.get(address).status_code == 302
    sign_in(client, make_user(Role.ARTIST))
    assert client.get(address).status_code == 403
    sign_in(client, make_user(Role.RETOUCHER, location=make_location()))
    assert client.get(address).status_code == 404
    assert client.post(reverse("retouch_do", args=[first(gallery).public_id, "approve"])).status_code == 404


# --- the client looks first, and asks for a change


@pytest.fixture
def looking(worked: Gallery, client: Browser, now: datetime) -> Browser:
    """A client whose gallery shows two retouched pictures before the delivery."""
    for retouch in worked.retouches.all():
        retouching.show_to_client(
            retouch_id=retouch.pk, version_id=retouch.versions.get().pk, by=ANA, now=now
        )
    link = credentials.grant(scope="gallery", target=worked.public_id, now=now, holder_label="Ada")
    client.get(link.url.replace("http://testserver", ""))
    return client


def test_the_client_sees_pictures_and_words_but_no_numbers(looking: Browser, worked: Gallery) -> None:
    html = looking.get(reverse("gallery", args=[worked.public_id])).content.decode()
    assert html.count("Yes, finish it like this") == 2
    assert "shape_p95" not in html
    assert "0.00" not in html
    assert_no_inline(html)
    for address in set(re.findall(r'src="(/picture/[^"]+)"', html)):
        assert looking.get(address).status_code == 200


def test_the_clients_yes_and_wish(looking: Browser, worked: Gallery) -> None:
    one, two = worked.retouches.order_by("id")
    looking.post(reverse("gallery_approve", args=[worked.public_id, one.public_id]))
    one.refresh_from_db()
    assert one.status == RetouchStatus.APPROVED
    form = looking.get(reverse("gallery_change", args=[worked.public_id, two.public_id])).content.decode()
    assert form.count('name="words"') == 3
    assert_no_inline(form)
    facts = {"words": ["this hair", "", "lighter"], "x": ["25", "", ""], "y": ["50.5", "", "7"]}
    looking.post(reverse("gallery_ask_change", args=[worked.public_id, two.public_id]), facts)
    worked.refresh_from_db()
    assert worked.status == GalleryStatus.RETOUCHING
    assert list(Note.objects.order_by("id").values_list("words", "pin_x", "pin_y")) == [
        ("this hair", 0.25, 0.505),
        ("lighter", None, None),
    ]


def test_an_empty_wish_is_refused_and_a_wild_pin_left_out(looking: Browser, worked: Gallery) -> None:
    retouch = first(worked)
    address = reverse("gallery_ask_change", args=[worked.public_id, retouch.public_id])
    back = looking.post(address, {"words": [" "], "x": ["5"], "y": ["5"]})
    assert back.status_code == 409
    assert "Say in a few words" in back.content.decode()
    long = {"words": ["a" * 2001, "<b>second</b>"], "x": ["12.5", ""], "y": ["50", ""]}
    page = looking.post(address, long).content.decode()
    assert "at most 2000 letters" in page
    assert "a" * 2001 in page
    assert "&lt;b&gt;second&lt;/b&gt;" in page
    assert 'value="12.5"' in page
    assert not Note.objects.exists()
    looking.post(address, {"words": ["far out"], "x": ["250"], "y": ["nan"]})
    assert list(Note.objects.values_list("words", "pin_x", "pin_y")) == [("far out", None, None)]


def test_words_for_a_round_that_is_used_are_shown_and_not_lost(looking: Browser, worked: Gallery) -> None:
    retouch = first(worked)
    worked.status, worked.free_changes_left = GalleryStatus.DELIVERED, 0
    worked.delivered_at = timezone.now()
    worked.save()
    address = reverse("gallery_ask_change", args=[worked.public_id, retouch.public_id])
    page = looking.post(address, {"words": ["please, the <i>collar</i>"], "x": [""], "y": [""]})
    html = page.content.decode()
    assert (page.status_code, html.count("The included change is used")) == (409, 1)
    assert "Your words, not sent" in html
    assert "please, the &lt;i&gt;collar&lt;/i&gt;" in html
    assert_no_inline(html)


def test_a_retouch_of_another_gallery_is_not_answered_here(
    looking: Browser, worked: Gallery, now: datetime
) -> None:
    other = make_gallery(now=now)
    for name in ("gallery_approve", "gallery_ask_change"):
        address = reverse(name, args=[other.public_id, first(worked).public_id])
        assert looking.post(address).status_code == 404
        address = reverse(name, args=[worked.public_id, "not-a-retouch"])
        assert looking.post(address).status_code == 404


def test_jobs_end_done(worked: Gallery) -> None:
    assert set(worked.jobs.values_list("status", flat=True)) == {JobStatus.DONE}
