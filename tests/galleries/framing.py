"""Frames of a gallery for tests of choosing and retouching: rows alone, or with a real portrait behind them."""

from datetime import datetime
from io import BytesIO
from pathlib import Path

from galleries.imaging.recipes import SCREEN
from galleries.models import Gallery, Photo, PhotoFile, Rendition
from studio import storage
from studio.actors import Actor, ActorKind
from tests.portraits import GRACE_HOPPER

CLIENT = Actor(ActorKind.CLIENT, 1, "Ada Example")
ANA = Actor(ActorKind.USER, 2, "Ana Photographer")


def make_photo(gallery: Gallery, number: int, *, now: datetime, **fields: object) -> Photo:
    """The row of an accepted frame, without bytes."""
    defaults: dict[str, object] = {
        "name": f"DSC_{number:04d}.NEF",
        "width": 4000,
        "height": 6000,
        "dominant_colour": "#806a58",
        "accepted_at": now,
    }
    return Photo.objects.create(gallery=gallery, number=number, **{**defaults, **fields})


def make_photos(gallery: Gallery, count: int, *, now: datetime, **fields: object) -> list[Photo]:
    return [make_photo(gallery, number, now=now, **fields) for number in range(1, count + 1)]


def store_original(photo: Photo, *, now: datetime, path: Path = GRACE_HOPPER) -> PhotoFile:
    """Put a portrait into the originals store as this photo's file; the number at its end tells it apart."""
    key = storage.random_key(f"s{photo.gallery.shoot.public_id}", path.suffix)
    kept = storage.put(storage.originals(), key, BytesIO(path.read_bytes() + b"%d" % photo.number))
    return PhotoFile.objects.create(
        photo=photo,
        gallery=photo.gallery,
        format="jpeg",
        name=photo.name,
        key=key,
        size=kept.size,
        sha256=kept.sha256,
        crc32=kept.crc32,
        stored_at=now,
        checked_at=now,
    )


def store_screen(photo: Photo, *, now: datetime, path: Path = GRACE_HOPPER) -> Rendition:
    """Put a portrait into the derived store as this photo's screen rendition."""
    key = storage.random_key(f"s{photo.gallery.shoot.public_id}/p{photo.public_id}", ".jpg")
    kept = storage.put(storage.derived(), key, path)
    return Rendition.objects.create(
        photo=photo,
        recipe=SCREEN.name,
        recipe_version=SCREEN.version,
        digest="screen",
        key=key,
        format="jpeg",
        width=512,
        height=600,
        size=kept.size,
        sha256=kept.sha256,
        crc32=kept.crc32,
        made_at=now,
    )
