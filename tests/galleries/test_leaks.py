"""A picture was shown to the wrong client: hidden at once, links closed, who saw it kept, told honestly."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client as Browser
from django.utils import timezone

from bookings.models import Client
from galleries import leaks, moving, pictures
from galleries.models import Delivery, Download, Gallery, Leak, Photo, Pick, Rendition, Retouch
from studio import credentials
from studio.actors import WORKER, Actor, ActorKind
from studio.models import Credential, Message, Role
from studio.transitions import begin
from tests.galleries.finals import make_version
from tests.galleries.framing import make_photos
from tests.galleries.making import make_client, make_gallery, make_shoot, make_user, sign_in

NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)
PAT = Actor(ActorKind.USER, 7, "Pat Example")

pytestmark = pytest.mark.django_db


@pytest.fixture
def gallery(db: None) -> Gallery:
    return make_gallery(now=NOW, status="proofing")


@pytest.fixture
def photo(gallery: Gallery) -> Photo:
    return make_photos(gallery, 3, now=NOW, is_published=True)[0]


def rendition(photo: Photo, recipe: str = "thumb") -> Rendition:
    return Rendition.objects.create(
        photo=photo, recipe=recipe, recipe_version=1, digest=recipe, key=f"k{photo.pk}{recipe}", width=1, height=1,
        size=1, sha256="0" * 64, crc32=0, made_at=NOW,
    )  # fmt: skip


def link(gallery: Gallery, name: str, *, opened: bool) -> Credential:
    given = credentials.grant(
        scope="gallery", target=gallery.public_id, now=NOW, holder_label=name
    ).credential
    if opened:
        given.last_used_at = NOW + timedelta(hours=1)
        given.save()
    return given


def test_hiding_ends_every_way_to_the_picture_at_once(gallery: Gallery, photo: Photo) -> None:
    seen = rendition(photo)
    kept = rendition(gallery.photos.get(number=2))
    link(gallery, "Ada", opened=True)
    Pick.objects.create(gallery=gallery, photo=photo, picked_at=NOW, actor_kind="client")
    assert pictures.may_client_see(seen, now=NOW)
    (leak,) = leaks.hide(photo_ids=[photo.pk], words="two cards mixed up", by=PAT, now=NOW)
    assert leaks.hide(photo_ids=[photo.pk], by=PAT, now=NOW) == [leak]
    seen.refresh_from_db()
    assert not pictures.may_client_see(seen, now=NOW)
    assert pictures.may_client_see(kept, now=NOW)
    assert not credentials.live(scope="gallery", target=gallery.public_id, now=NOW).exists()
    assert (leak.links_revoked, leak.hidden_by, leak.words) == (1, "Pat Example", "two cards mixed up")
    assert Pick.objects.count() == 0


def test_what_was_made_of_it_is_closed_as_well(gallery: Gallery, photo: Photo) -> None:
    """Whoever is shown a retouch may see its frame, published or not: that way is closed, too."""
    pick = Pick.objects.create(gallery=gallery, photo=photo, picked_at=NOW, actor_kind="client")
    retouch = begin(Retouch(pick=pick, gallery=gallery, created_at=NOW), by=WORKER, now=NOW)
    Retouch.objects.filter(pk=retouch.pk).update(shown_version=make_version(retouch, now=NOW))
    seen = rendition(photo)
    assert pictures.may_client_see(seen, now=NOW)
    leaks.hide(photo_ids=[photo.pk], by=PAT, now=NOW)
    seen = Rendition.objects.get()
    assert not pictures.may_client_see(seen, now=NOW)


def test_a_final_of_it_is_taken_out_of_the_delivery(gallery: Gallery, photo: Photo) -> None:
    from galleries import downloads

    delivery = Delivery.objects.create(gallery=gallery, number=1, delivered_at=NOW, actor_kind="worker")
    for number, of in enumerate(gallery.photos.order_by("number"), 1):
        delivery.files.create(rendition=rendition(of, "web"), name=f"{number}.jpg", position=number)
    leaks.hide(photo_ids=[photo.pk], by=PAT, now=NOW)
    assert [file.name for file in downloads.files_of(delivery)] == ["2.jpg", "3.jpg"]


def test_who_could_see_it_is_written_down_and_stays(gallery: Gallery, photo: Photo) -> None:
    ada, _bob = link(gallery, "Ada", opened=True), link(gallery, "Bob", opened=False)
    for what, of in (
        ("one.jpg", rendition(photo)),
        ("all.zip", None),
        ("two.jpg", rendition(gallery.photos.get(number=2))),
    ):
        Download.objects.create(
            gallery=gallery,
            credential_id=ada.pk,
            holder_label="Ada",
            what=what,
            rendition=of,
            started_at=NOW,
            bytes_sent=9,
        )
    (leak,) = leaks.hide(photo_ids=[photo.pk], by=PAT, now=NOW)
    Download.objects.all().delete()
    leak.refresh_from_db()
    assert [
        (line["who"], bool(line["opened"]), [row["what"] for row in line["downloads"]]) for line in leak.seen
    ] == [
        ("Ada", True, ["one.jpg", "all.zip"]),
        ("Bob", False, []),
    ]


def test_both_are_told_honestly_and_the_words_are_kept(gallery: Gallery, photo: Photo) -> None:
    right = make_gallery(now=NOW, shoot=make_shoot(now=NOW, client=make_client(now=NOW, name="Bea Right")))
    link(gallery, "Ada", opened=True)
    owner = make_user(Role.OWNER)
    (leak,) = leaks.hide(photo_ids=[photo.pk], by=PAT, now=NOW)
    assert Message.objects.get(name="leak_found").to_address == owner.email
    assert leaks.recipient(leak, leaks.PICTURED) is None
    moving.move_frames(photo_ids=[photo.pk], gallery_id=right.pk, by=PAT, now=NOW)
    leak = Leak.objects.get()
    assert str(leaks.recipient(leak, leaks.PICTURED)) == "Bea Right"
    assert "The gallery was opened" in leaks.draft(leak, leaks.PICTURED)
    for whom in (leaks.SHOWN, leaks.PICTURED):
        assert leaks.tell(leak_id=leak.pk, whom=whom, words=leaks.draft(leak, whom), by=PAT, now=NOW)
    shown, pictured = Message.objects.filter(name="leak_notice").order_by("pk")
    assert "/open/" in shown.body_text and "/open/" not in pictured.body_text
    assert isinstance(gallery.shoot.sitter, Client) and shown.to_address == gallery.shoot.sitter.email
    leak.refresh_from_db()
    assert leak.message.count("We made a mistake") == 2
    with pytest.raises(leaks.NotNow):
        leaks.close(leak_id=leak.pk, outcome=" ", by=PAT, now=NOW)
    assert leaks.close(leak_id=leak.pk, outcome="Deleted, both content.", by=PAT, now=NOW)
    assert not leaks.close(leak_id=leak.pk, outcome="Again", by=PAT, now=NOW)
    with pytest.raises(leaks.NotNow):
        leaks.tell(leak_id=leak.pk, whom=leaks.SHOWN, words="more", by=PAT, now=NOW)


def test_a_moved_frame_is_an_ordinary_frame_of_its_new_booking(gallery: Gallery, photo: Photo) -> None:
    right = make_gallery(now=NOW)
    leaks.hide(photo_ids=[photo.pk], by=PAT, now=NOW)
    moving.move_frames(photo_ids=[photo.pk], gallery_id=right.pk, by=PAT, now=NOW)
    photo.refresh_from_db()
    assert (photo.gallery, photo.withdrawn_at, photo.is_rejected, photo.is_published) == (
        right,
        None,
        False,
        False,
    )


def test_the_desk_walks_through_it(gallery: Gallery, photo: Photo) -> None:
    now = timezone.now()
    right = make_gallery(
        now=now, shoot=make_shoot(now=NOW, location=gallery.shoot.booking.location, starts_at=NOW)
    )
    browser = Browser()
    sign_in(browser, make_user(Role.PHOTOGRAPHER))
    page = browser.get(f"/desk/galleries/{gallery.public_id}/wrong/").content.decode()
    assert "Shown to the client" in page and "Hide at once" in page
    answer = browser.post(
        f"/desk/galleries/{gallery.public_id}/wrong/hide", {"photo": photo.public_id}, follow=True
    )
    leak = Leak.objects.get()
    assert "Who could see it" in answer.content.decode()
    address = f"/desk/leaks/{leak.public_id}/do"
    assert (
        "went to"
        in browser.post(address, {"deed": "move", "to": right.public_id}, follow=True).content.decode()
    )
    assert (
        "kept here word for word"
        in browser.post(address, {"deed": "shown", "words": "We are sorry."}, follow=True).content.decode()
    )
    assert (
        "The record is closed."
        in browser.post(address, {"deed": "close", "outcome": "Done."}, follow=True).content.decode()
    )
    assert WORKER.kind == "worker"
