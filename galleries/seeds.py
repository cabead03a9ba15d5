"""The demo's galleries: one in each stage, made through the real pipeline from two public-domain portraits."""

import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.utils import timezone
from PIL import Image, ImageEnhance, ImageOps

from bookings import lifecycle
from bookings.models import Booking
from bookings.seeds import book, shoot_of
from galleries import alarms, jobs, proofing, retouching
from galleries.imaging.recipes import GRID
from galleries.models import Gallery, Photo, Rendition
from galleries.receiving import receive_file
from galleries.retouching import PinnedWords
from studio import credentials, outbox, storage
from studio.actors import Actor, ActorKind
from studio.models import Studio
from studio.seeding import Seed, seed

PORTRAITS = Path(settings.BASE_DIR) / "tests" / "portraits"
# Frame by frame of an invented session: how far in, how far aside and down, how bright.
FRAMES = [(1.0, 0.5, 0.4, 1.0), (0.92, 0.4, 0.3, 1.05), (0.85, 0.5, 0.25, 0.97), (0.95, 0.6, 0.5, 1.08)]
SIZE = (1360, 1700)


@seed(50)
def galleries(seed: Seed) -> None:
    """Being photographed, chosen, retouched, looked at, waiting for money, delivered, changed, late."""
    seed.say("Photographing, retouching and delivering (this is the real pipeline) …")
    now, owner = seed.now, Actor.user(seed.rows["ana"])
    with tempfile.TemporaryDirectory() as folder:
        cards = [_card(Path(folder), name) for name in ("eileen_collins.png", "grace_hopper.jpg")]
        today = seed.rows["today"]
        _shoot(today[0], cards[1], owner, ended_at=min(today[0].ends_at, now), now=now)
        _check_in(today[1], cards[0], owner, now=now)

        proofing_one = _gallery(seed, "signature", cards[0], owner, days=1, is_marked=True)
        proofing.publish_proofs(
            gallery_id=proofing_one.pk, by=owner, now=now - timedelta(hours=3), is_sure=True
        )

        drafted = _gallery(seed, "signature", cards[1], owner, days=1)
        _choose(drafted, owner, count=2, now=now - timedelta(hours=2))

        looking = _gallery(seed, "actors", cards[0], owner, days=2)
        _choose(looking, owner, count=2, now=now - timedelta(hours=30))
        for retouch in looking.retouches.all():
            version = retouch.versions.last()
            if version is not None:
                retouching.show_to_client(retouch_id=retouch.pk, version_id=version.pk, by=owner, now=now)

        owing = _gallery(seed, "press", cards[1], owner, days=3)
        _choose(owing, owner, count=2, now=now - timedelta(hours=50))
        _approve(owing, owner, now=now - timedelta(hours=48))

        delivered = _gallery(seed, "express", cards[0], owner, days=7)
        ended = delivered.clock_started_at or now
        _choose(delivered, owner, count=1, now=ended + timedelta(minutes=20))
        _approve(delivered, owner, now=ended + timedelta(hours=18))

        changed = _gallery(seed, "express", cards[1], owner, days=6)
        ended = changed.clock_started_at or now
        _choose(changed, owner, count=1, now=ended + timedelta(minutes=20))
        _approve(changed, owner, now=ended + timedelta(hours=20))
        _ask(changed, now=now - timedelta(hours=5))

        late = _gallery(seed, "express", cards[0], owner, days=8)
        _choose(late, owner, count=1, now=(late.clock_started_at or now) + timedelta(minutes=20))
        alarms.sweep(now=now)
        _cover(delivered)
    seed.rows["galleries"] = {"proofing": proofing_one, "delivered": delivered}


@seed(90)
def sign_ins(seed: Seed) -> None:
    """The three ways in that the demo prints."""
    for who, stage, note in (
        ("Client choosing at home", "proofing", "A private link as it comes by e-mail; best at phone width."),
        ("Client downloading", "delivered", "The finals, in every size, and the ZIP."),
    ):
        gallery = seed.rows["galleries"][stage]
        sitter = gallery.shoot.sitter
        link = credentials.grant(
            scope="gallery",
            target=gallery.public_id,
            now=timezone.now(),
            holder_id=sitter.pk,
            holder_label=sitter.name,
        )
        seed.sign_ins.append({"who": who, "address": link.url, "note": note})
    while outbox.send_next(now=timezone.now()):
        pass  # the demo's mail server is the desk: nothing leaves the machine
    seed.sign_ins.insert(
        0, {"who": "Client booking", "address": f"{settings.SITE_URL}/", "note": "No account."}
    )


def _card(folder: Path, name: str) -> list[Path]:
    """A memory card: a few frames of one portrait, as a camera would name them."""
    return list(_frames(folder / name.partition(".")[0], PORTRAITS / name))


def _frames(folder: Path, source: Path) -> Iterator[Path]:
    folder.mkdir()
    with Image.open(source) as opened:
        portrait = opened.convert("RGB")
    for number, (closeness, aside, down, light) in enumerate(FRAMES, start=1):
        frame = ImageOps.fit(portrait, SIZE, bleed=(1 - closeness) / 2, centering=(aside, down))
        path = folder / f"_DSC{4180 + number}.JPG"
        ImageEnhance.Brightness(frame).enhance(light).save(path, quality=93)
        yield path


def _gallery(
    seed: Seed, kind: str, card: list[Path], owner: Actor, *, days: int, is_marked: bool = False
) -> Gallery:
    """A session some days ago, completed, with its frames in."""
    booking = book(seed, kind=kind, near=seed.now - timedelta(days=days, hours=2))
    return _shoot(booking, card, owner, ended_at=booking.ends_at, now=booking.ends_at, is_marked=is_marked)


def _check_in(booking: Booking, card: list[Path], owner: Actor, *, now: datetime) -> Gallery:
    shoot = shoot_of(booking)
    lifecycle.check_in(shoot_id=shoot.pk, by=owner, now=min(now, booking.starts_at + timedelta(minutes=2)))
    gallery = Gallery.objects.get(shoot=shoot)
    for path in card:
        receive_file(path, gallery=gallery, source="watch", by=owner, now=now)
    _work(now)
    return gallery


def _shoot(
    booking: Booking,
    card: list[Path],
    owner: Actor,
    *,
    ended_at: datetime,
    now: datetime,
    is_marked: bool = False,
) -> Gallery:
    gallery = _check_in(booking, card, owner, now=now)
    lifecycle.complete(shoot_id=gallery.shoot_id, by=owner, now=ended_at)
    for photo in gallery.photos.all()[: 3 if is_marked else 2]:
        proofing.mark(photo_id=photo.pk, is_recommended=True, by=owner, now=now)
    return Gallery.objects.get(pk=gallery.pk)


def _work(now: datetime) -> None:
    """What the images worker would do now."""
    while jobs.work_next(now=max(now, timezone.now())):
        pass


def _choose(gallery: Gallery, owner: Actor, *, count: int, now: datetime) -> None:
    """Chosen together at the big screen."""
    for photo in Photo.objects.filter(gallery=gallery)[:count]:
        proofing.pick(photo_id=photo.pk, by=owner, now=now)
    proofing.submit_selection(gallery_id=gallery.pk, by=owner, now=now)
    _work(now)


def _approve(gallery: Gallery, owner: Actor, *, now: datetime) -> None:
    for retouch in gallery.retouches.all():
        version = retouch.versions.last()
        if version is None:
            continue
        if version.guard == "blocked":
            retouching.override(version_id=version.pk, reason="Looked at side by side.", by=owner, now=now)
        retouching.approve(retouch_id=retouch.pk, version_id=version.pk, by=owner, now=now)
    while jobs.work_next(now=now):
        pass  # as it was then: the finals are made, and delivered, at that time
    _work(now)


def _ask(gallery: Gallery, *, now: datetime) -> None:
    sitter = gallery.shoot.sitter
    retouch = gallery.retouches.first()
    if sitter is None or retouch is None:
        return
    words = PinnedWords("Could this flyaway hair go, please?", (0.62, 0.18))
    by = Actor(ActorKind.CLIENT, sitter.pk, sitter.name)
    retouching.ask_change(retouch_id=retouch.pk, asked=[words], by=by, now=now)


def _cover(gallery: Gallery) -> None:
    """The front page shows a delivered picture whose sitter said yes to it."""
    made = Rendition.objects.filter(photo__gallery=gallery, version__isnull=False, recipe=GRID.name).first()
    if made is None:
        return
    key = storage.random_key("cover", ".jpg")
    with tempfile.TemporaryDirectory() as folder:
        storage.put(storage.derived(), key, storage.fetch_to(storage.derived(), made.key, Path(folder)))
    Studio.objects.update(cover_key=key, cover_width=made.width, cover_height=made.height)
