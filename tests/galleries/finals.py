"""Galleries with approved picks and their finals, as bytes of a known size: no picture is made here."""

import os
from datetime import datetime
from io import BytesIO

from django.test import Client as Browser

from galleries.imaging.recipes import FINALS
from galleries.models import Gallery, Guard, Pick, Rendition, Retouch, Version
from galleries.statuses import GalleryStatus, RetouchStatus
from studio import credentials, storage
from studio.actors import WORKER, ActorKind
from studio.transitions import begin, move
from tests.galleries.framing import make_photo


def make_retouch(gallery: Gallery, number: int, *, now: datetime) -> Retouch:
    """A chosen picture that waits for its retoucher."""
    photo = make_photo(gallery, number, now=now)
    pick = Pick.objects.create(
        gallery=gallery, photo=photo, picked_at=now, actor_kind=ActorKind.USER, actor_label="Ana"
    )
    return begin(
        Retouch(pick=pick, gallery=gallery, status=RetouchStatus.DRAFTED, created_at=now), by=WORKER, now=now
    )


def make_version(retouch: Retouch, *, now: datetime, **fields: object) -> Version:
    """The next Version of a picture, as rows only."""
    number = retouch.versions.count() + 1
    defaults: dict[str, object] = {
        "number": number,
        "kind": Version.Kind.DRAFT,
        "input_sha256": "0" * 64,
        "output_sha256": f"{retouch.pk:060d}{number:04d}",
        "key": storage.random_key("versions", ".jpg"),
        "size": 1,
        "crc32": 0,
        "width": 4000,
        "height": 6000,
        "made_at": now,
        "actor_kind": ActorKind.WORKER,
        "guard": Guard.PASSED,
    }
    return Version.objects.create(retouch=retouch, **{**defaults, **fields})


def make_finals(version: Version, *, now: datetime, size: int = 1000) -> dict[str, Rendition]:
    """Every size of a Version, `size` random bytes each, really stored."""
    made = {}
    for recipe in FINALS:
        key = storage.random_key("finals", ".jpg")
        kept = storage.put(storage.derived(), key, BytesIO(os.urandom(size)))
        made[recipe.name] = Rendition.objects.create(
            photo=version.retouch.pick.photo,
            version=version,
            recipe=recipe.name,
            recipe_version=recipe.version,
            digest=f"{version.pk:016d}",
            key=key,
            width=1600,
            height=1600,
            size=kept.size,
            sha256=kept.sha256,
            crc32=kept.crc32,
            made_at=now,
        )
    return made


def approve(retouch: Retouch, *, now: datetime, size: int = 1000) -> Version:
    """Approve a new Version of a picture and make its files; nothing is delivered by it."""
    version = make_version(retouch, now=now)
    move(Retouch, retouch.pk, "approve", by=WORKER, now=now, approved_version=version)
    make_finals(version, now=now, size=size)
    return version


def in_retouching(gallery: Gallery, *, now: datetime, picks: int = 2) -> list[Retouch]:
    """Submit `picks` chosen pictures of an open gallery."""
    retouches = [make_retouch(gallery, number, now=now) for number in range(1, picks + 1)]
    move(Gallery, gallery.pk, "submit_selection", by=WORKER, now=now)
    return retouches


def pay(gallery: Gallery, amount: int, *, now: datetime, method: str = "cash") -> None:
    """Money for the gallery's booking, as the ledger writes it."""
    from bookings import ledger
    from bookings.models import PaymentMethod

    ledger.write_payment(
        gallery.shoot.booking, method=PaymentMethod(method), amount=amount, by=WORKER, now=now
    )


def open_link(browser: Browser, gallery: Gallery, *, now: datetime) -> credentials.Grant:
    """Open the gallery in a browser as its client does, by a fresh link."""
    sitter = gallery.shoot.sitter
    assert sitter is not None
    link = credentials.grant(
        scope="gallery", target=gallery.public_id, now=now, holder_id=sitter.pk, holder_label=str(sitter)
    )
    token = link.url.rsplit("/open/", 1)[1]
    answer = browser.get(f"/open/{token}")
    assert answer.status_code == 302
    return link


def status_of(gallery: Gallery) -> str:
    return str(Gallery.objects.values_list("status", flat=True).get(pk=gallery.pk))


__all__ = [
    "GalleryStatus",
    "approve",
    "in_retouching",
    "make_finals",
    "make_retouch",
    "make_version",
    "open_link",
    "pay",
    "status_of",
]
