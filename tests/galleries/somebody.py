"""One person of whom the studio keeps all it can keep. Each word about them holds MARK, so it can be looked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

from django.apps import apps

from bookings.models import (
    AgreementText,
    AnswerSheet,
    Booking,
    Client,
    CodeUse,
    Consent,
    DiscountCode,
    Invoice,
    Questionnaire,
    Shoot,
    Signature,
    ThreadEntry,
    Voucher,
    WaitingPlace,
)
from galleries import delivery
from galleries.models import (
    Breach,
    Card,
    Download,
    Gallery,
    Leak,
    Note,
    Pause,
    Photo,
    PhotoAids,
    PhotoFile,
    Rendition,
    Upload,
    YearLater,
)
from studio import credentials, storage
from studio.actors import WORKER, Actor, ActorKind
from studio.models import LegalEntity, LinkRequest, Message, StatusChange
from studio.outbox import queue_message
from studio.transitions import begin, move
from tests.galleries.finals import approve, in_retouching, pay
from tests.galleries.framing import make_photo
from tests.galleries.making import make_client, make_gallery, make_location, make_session_type, make_shoot

MARK = "quillfeather"


@dataclass(frozen=True)
class Somebody:
    """The person, and what they have with the studio."""

    client: Client
    shoot: Shoot
    gallery: Gallery
    links: list[credentials.Grant]

    @property
    def actor(self) -> Actor:
        return Actor.client(self.client.pk, self.client.name)


def make_somebody(*, now: datetime, is_delivered: bool = True, frames: int = 1) -> Somebody:
    """A client who booked, paid, sat, told, asked, signed, chose and was delivered; and who is known in every room.

    Needs `media_storage`: originals, proofs and finals are really stored.
    """
    entity = LegalEntity.objects.create(
        name="Northlight Ltd", address="1 High St", country="GB", number_prefix="N-"
    )
    place = make_location(entity=entity)
    client = make_client(
        now=now,
        name=f"Robin {MARK.title()}",
        email=f"robin@{MARK}.example",
        called=f"Rob {MARK}",
        pronounced=MARK,
        pronoun=MARK,
        mobile="+447700900123",
        firm=f"{MARK} Ltd",
        firm_address=f"2 {MARK} Lane",
        tax_number=f"{MARK}-1",
    )
    by = Actor.client(client.pk, client.name)
    shoot = make_shoot(
        now=now, location=place, session_type=make_session_type(), client=client, status="checked_in",
        starts_at=now - timedelta(hours=2),
    )  # fmt: skip
    booking = shoot.booking
    gallery = make_gallery(now=now, shoot=shoot)
    pay(gallery, booking.price, now=now)
    for retouch in in_retouching(gallery, now=now, picks=frames):
        approve(retouch, now=now)
        store(retouch.pick.photo, now=now)
        retouch.pick.use = f"{MARK} card"
        retouch.pick.save()
        Note.objects.create(
            photo=retouch.pick.photo, words=f"less {MARK}", answered=f"yes {MARK}", written_at=now,
            actor_kind=ActorKind.CLIENT, actor_id=client.pk, actor_label=client.name,
        )  # fmt: skip
    store(make_photo(gallery, 90, now=now, name=f"{MARK}_90.NEF"), now=now)
    if is_delivered:
        delivery.finals_made(gallery_id=gallery.pk, now=now)
        move(Shoot, shoot.pk, "complete", by=WORKER, now=now)
    links = _words_about(client, shoot, gallery, by, now=now)
    Booking.objects.filter(pk=booking.pk).update(invoice_due_at=None)  # its receipt is written
    gallery.refresh_from_db()
    return Somebody(client, shoot, gallery, links)


def store(photo: Photo, *, now: datetime) -> None:
    """An original, its proof and what was measured of it."""
    for kind, where in (("original", storage.originals()), ("proof", storage.derived())):
        # Originals as they come from a card: outside the session's own folder, where no listing finds them again.
        folder = f"s{photo.gallery.shoot.public_id}/p{photo.public_id}" if kind == "proof" else "ccard"
        key = storage.random_key(folder, ".jpg")
        kept = storage.put(where, key, BytesIO(f"{kind} of {photo.pk} ".encode() * 40))
        facts: dict[str, Any] = {"key": key, "size": kept.size, "sha256": kept.sha256, "crc32": kept.crc32}
        if kind == "original":
            PhotoFile.objects.create(
                photo=photo, gallery=photo.gallery, format="jpeg", name=f"{MARK}_{photo.number}.jpg",
                stored_at=now, checked_at=now, **facts,
            )  # fmt: skip
        else:
            Rendition.objects.create(
                photo=photo, recipe="proof", recipe_version=1, digest="proof", width=10, height=10, made_at=now,
                **facts,
            )  # fmt: skip
    PhotoAids.objects.create(
        photo=photo, sharpness=1, bright=0, dark=0, likeness="ff", looked_for_faces=True, measured_at=now
    )


def _words_about(
    client: Client, shoot: Shoot, gallery: Gallery, by: Actor, *, now: datetime
) -> list[credentials.Grant]:
    shoot.refresh_from_db()
    booking = shoot.booking
    booking.staff_note, booking.override_reason = f"{MARK} blinks", f"{MARK} asked"
    booking.save()
    shoot.nerves, shoot.nerves_text, shoot.access_needs = ["blink"], f"{MARK} is shy", f"{MARK} needs a ramp"
    shoot.guardian_name = f"Parent {MARK}"
    shoot.save()
    Consent.objects.create(shoot=shoot, sitter=client, purpose="portfolio", is_given=True, answered_at=now)
    questions = Questionnaire.objects.create(session_type=booking.session_type, version=1, created_at=now)
    AnswerSheet.objects.create(
        shoot=shoot, questionnaire=questions, answers=[[1, "Where?", MARK]], private_answers=[[2, "Health?", MARK]],
        answered_at=now, actor_kind=by.kind, actor_id=by.id, actor_label=by.label,
    )  # fmt: skip
    text = AgreementText.objects.create(
        kind="release", version=1, title="Release", body="I allow it.", created_at=now
    )
    Signature.objects.create(
        shoot=shoot, text=text, signer=client, sitter_name=client.name, typed_name=client.name,
        body_sha256="0" * 64, signed_at=now,
    )  # fmt: skip
    ThreadEntry.objects.create(
        booking=booking, text=f"May {MARK} come?", is_from_client=True, client=client, actor_label=client.name,
        written_at=now,
    )  # fmt: skip
    ThreadEntry.objects.create(
        booking=booking, text=f"Yes, {MARK}.", is_from_client=False, actor_label="Ana", written_at=now
    )
    code = DiscountCode.objects.create(code="SPRING", percent=10)
    CodeUse.objects.create(code=code, booking=booking, once_for=client.email, used_at=now, released_at=now)
    begin(
        WaitingPlace(
            client=client, session_type=booking.session_type, location=booking.location, first_on=now.date(),
            last_on=now.date(), created_at=now,
        ),
        by=by, now=now,
    )  # fmt: skip
    voucher = begin(
        Voucher(
            code="GIFT-1", amount=100, spent=0, currency="GBP", recipient=client, greeting=f"for {MARK}",
            reason=f"{MARK} waited", created_at=now, actor_kind=by.kind, actor_id=by.id, actor_label=by.label,
        ),
        by=by, now=now,
    )  # fmt: skip
    move(Voucher, voucher.pk, "lapse", by=by, now=now)
    StatusChange.objects.create(
        model="bookings.booking", object_id=booking.pk, verb="late", before="confirmed", after="confirmed",
        actor_kind=by.kind, actor_id=by.id, actor_label=by.label, reason=f"{MARK} missed the bus", at=now,
    )  # fmt: skip
    _invoice(client, shoot, now=now)
    YearLater.objects.create(client=client, wished_at=now, due_at=now + timedelta(days=365))
    links = [
        credentials.grant(scope=scope, target=target, now=now, holder_id=client.pk, holder_label=client.name)
        for scope, target in (("booking", booking.public_id), ("gallery", gallery.public_id))
    ]
    links.append(
        credentials.grant(
            scope="gallery", target=gallery.public_id, now=now, holder_label=f"Agent of {MARK}",
            holder_email="agent@elsewhere.example",
        )
    )  # fmt: skip
    LinkRequest.objects.create(email=client.email, asked_at=now, answered_at=now)
    Download.objects.create(
        gallery=gallery, credential_id=links[1].credential.pk, holder_label=client.name,
        what=f"robin-{MARK}-01-square.jpg", started_at=now,
    )  # fmt: skip
    Leak.objects.create(
        photo=gallery.photos.first(), gallery=gallery, hidden_at=now, hidden_by="Ana", words=f"{MARK} saw it",
        seen=[{"who": client.name, "since": now.isoformat(), "opened": "", "downloads": []}],
        message=f"Dear {MARK}", told_at=now, told_by="Ana", closed_at=now, closed_by="Ana", outcome=f"{MARK} is well",
    )  # fmt: skip
    _letters(client, shoot, gallery, now=now)
    _beside(client, shoot, gallery, now=now)
    return links


def _beside(client: Client, shoot: Shoot, gallery: Gallery, *, now: datetime) -> None:
    """What lies about: a pause, a late delivery, a file that was given up, a slate on its card, a link as an agent."""
    Pause.objects.create(
        gallery=gallery, reason="choosing", opened_at=now, begins_at=now, ended_at=now, opened_by="Ana",
        ended_by=client.name,
    )  # fmt: skip
    Breach.objects.create(
        gallery=gallery, deliver_by=now, recorded_at=now, cause=f"{MARK.title()} was ill", late_policy="waived",
        late_policy_reason=f"agreed with {MARK}",
    )  # fmt: skip
    card = Card.objects.create(location=shoot.booking.location, created_at=now, closed_at=now, sorted_at=now)
    for name, verbs, home in (
        ("given-up", ("abandon",), {"gallery": gallery}),
        ("slate", ("received", "file_away"), {"card": card}),
    ):
        data = BytesIO(f"{name} of {MARK}".encode())
        key = storage.random_key(f"c{card.public_id}", ".jpg")
        kept = storage.put(storage.originals(), key, data) if name == "slate" else None
        upload = Upload(
            name=f"{MARK}-{name}.jpg", size=kept.size if kept else 9, key=key, created_at=now, touched_at=now,
            sha256=kept.sha256 if kept else "", facts={"slates": [shoot.code]}, **home,
        )  # fmt: skip
        begin(upload, by=WORKER, now=now)
        for verb in verbs:
            move(Upload, upload.pk, verb, by=WORKER, now=now)
    other = make_gallery(now=now, shoot=make_shoot(now=now))
    credentials.grant(
        scope="gallery",
        target=other.public_id,
        now=now,
        holder_label=f"Robin {MARK}",
        holder_email=client.email,
    )
    letter = Message(
        name="gallery_shared", to_address=client.email.upper(), to_name=client.name, subject="Pictures",
        body_text=f"Dear {MARK}", due_at=now, created_at=now,
    )  # fmt: skip
    begin(letter, by=WORKER, now=now)
    move(Message, letter.pk, "claim", by=WORKER, now=now)
    move(Message, letter.pk, "sent", by=WORKER, now=now)


def _invoice(client: Client, shoot: Shoot, *, now: datetime) -> None:
    entity = shoot.booking.location.entity
    line = {"key": "s", "label": "Session", "count": 1, "net": 20000, "tax_name": "", "tax_percent": "0", "tax": 0,
            "gross": 20000}  # fmt: skip
    Invoice.objects.create(
        entity=entity, number=1, label="N-00001", booking=shoot.booking, issued_at=now, issued_on=now.date(),
        currency="GBP", seller={"name": "Northlight Ltd", "address": "1 High St", "tax_number": ""},
        buyer={"name": client.name, "firm": client.firm, "address": client.firm_address,
               "tax_number": client.tax_number, "email": client.email},
        lines=[line], was_paid=True, net=20000, tax=0, total=20000, actor_kind=ActorKind.WORKER,
    )  # fmt: skip


def _letters(client: Client, shoot: Shoot, gallery: Gallery, *, now: datetime) -> None:
    """To them, about them to the studio, and one that still waits."""
    entry = shoot.booking.thread.first()
    for name, to, about in (
        ("balance_request", client, shoot.booking),
        ("leak_found", Client(name="Ana", email="ana@northlight.example"), gallery),
    ):
        message = Message(
            name=name, to_address=to.email, to_name=to.name, subject=f"About {MARK}", body_text=f"{MARK} {entry}",
            body_html=f"<p>{MARK}</p>", attachments=[{"name": "a.txt", "type": "text/plain", "text": MARK}],
            about_model=about._meta.label_lower, about_id=about.pk, client_id=to.pk, due_at=now, created_at=now,
        )  # fmt: skip
        begin(message, by=WORKER, now=now)
        move(Message, message.pk, "claim", by=WORKER, now=now)
        move(Message, message.pk, "sent", by=WORKER, now=now, last_error=f"250 {MARK}")
    waiting = queue_message(
        "thank_you", to=client, about=gallery, now=now, due_at=now + timedelta(days=400),
        context={"gallery": gallery, "link": "", "location": shoot.booking.location},
    )  # fmt: skip
    assert waiting is not None
    Message.objects.filter(pk=waiting.pk).update(body_text=f"later, {MARK}")


def words_left() -> Iterator[str]:
    """Where MARK stands in the database: every column of every row is read."""
    for model in apps.get_models(include_auto_created=True):
        fields = [field.name for field in model._meta.concrete_fields]
        for row in model._default_manager.values(*fields):
            for field, value in row.items():
                if MARK in str(value).lower():
                    yield f"{model._meta.label}.{field}"


def objects_left() -> list[str]:
    """Every object of both stores."""
    return [
        found.key for store in (storage.originals(), storage.derived()) for found in storage.listed(store)
    ]
