"""The demo's bookings: what is sold, who does it, and a booking in every state, made by the verbs a real one uses."""

import uuid
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bookings import (
    agreements,
    availability,
    checkout,
    holds,
    lifecycle,
    payments,
    questionnaires,
    thread,
    waiting,
)
from bookings import money_seeds as money_seeds
from bookings.forms import NERVES
from bookings.models import (
    AddOn,
    AddOnKind,
    Booking,
    PaymentMethod,
    PaymentPlan,
    Placement,
    Requirement,
    Resource,
    ResourceHours,
    ResourceKind,
    SessionType,
    Shoot,
    Skill,
)
from bookings.refusals import Refused
from studio.actors import Actor, ActorKind
from studio.models import Location
from studio.seeding import Seed, seed

SKILLS = {
    "photographer": "Photographer",
    "camera-room": "Camera room",
    "make-up": "Make-up artist",
    "hair": "Hair stylist",
    "chair": "Make-up chair",
}
CLIENTS = [
    "Nadia Petrov", "Marcus Reed", "Lena Hoffmann", "Tomás Herrera", "Priya Raman", "Oliver Grant", "Aiko Tanaka",
    "Grace Adeyemi", "Daniel Brooks", "Elif Yıldız", "Sofia Marino", "Henry Walsh", "Chloé Dubois", "Ibrahim Khan",
    "Ruth Goldberg", "Mateo Silva", "Hannah Schmidt", "Kofi Mensah", "Ingrid Solberg", "Leo Fontaine", "Amara Cole",
    "Piotr Nowak", "Yuki Mori", "Beatriz Lima", "Samuel Okoro", "Clara Vogel", "Rahul Mehta", "Siobhán Kelly",
    "Anton Weiss", "Zainab Ali", "Luca Romano", "Freya Lund", "George Papas", "Mei Chen", "David Cohen", "Isla Murray",
]  # fmt: skip


@seed(20)
def people_and_rooms(seed: Seed) -> None:
    """Photographers, a make-up artist, a hair stylist, rooms and a make-up chair, with their hours."""
    skills = {slug: Skill.objects.create(slug=slug, name=name) for slug, name in SKILLS.items()}
    brooklyn, london = seed.rows["brooklyn"], seed.rows["london"]
    rows: dict[str, tuple[str, str, Location | None, list[str]]] = {
        "ana": (ResourceKind.PERSON, "Ana Duarte", None, ["photographer"]),
        "theo": (ResourceKind.PERSON, "Theo Lindqvist", None, ["photographer"]),
        "mira": (ResourceKind.PERSON, "Mira Okafor", None, ["make-up"]),
        "jules": (ResourceKind.PERSON, "Jules Bernard", None, ["hair", "make-up"]),
        "room 1": (ResourceKind.ROOM, "Room 1", brooklyn, ["camera-room"]),
        "room 2": (ResourceKind.ROOM, "Room 2", brooklyn, ["camera-room"]),
        "chair": (ResourceKind.CHAIR, "Make-up chair", brooklyn, ["chair"]),
        "chair 2": (ResourceKind.CHAIR, "Second chair", brooklyn, ["chair"]),
        "loft": (ResourceKind.ROOM, "Loft", london, ["camera-room"]),
        "loft chair": (ResourceKind.CHAIR, "Loft chair", london, ["chair"]),
    }
    for position, (key, (kind, name, place, wanted)) in enumerate(rows.items()):
        resource = Resource.objects.create(
            kind=kind,
            name=name,
            location=place,
            user=seed.rows.get(key),
            position=position,
            travel_gap_minutes=0,
        )
        resource.skills.set([skills[slug] for slug in wanted])
        seed.rows[f"resource {key}"] = resource
    week = {"ana": brooklyn, "theo": london, "mira": brooklyn, "jules": brooklyn}
    for key, place in week.items():
        for day in range(6):
            starts_at, ends_at = (time(9), time(18)) if day < 5 else (time(9), time(15))
            at_london = key == "jules" and day in (1, 3)  # Tuesdays and Thursdays Jules is in London
            ResourceHours.objects.create(
                resource=seed.rows[f"resource {key}"],
                location=london if at_london else place,
                weekday=day,
                starts_at=starts_at,
                ends_at=ends_at,
            )
    seed.rows["skills"] = skills


@seed(30)
def what_is_sold(seed: Seed) -> None:
    """Five session types and six add-ons."""
    skills = seed.rows["skills"]

    def needs(owner: dict[str, Any], slug: str, before: int = 0, after: int = 0) -> None:
        Requirement.objects.create(skill=skills[slug], before_minutes=before, after_minutes=after, **owner)

    add_ons: dict[str, AddOn] = {}
    for position, (slug, kind, name, summary, price, minutes, placement, finals) in enumerate(
        [
            ("make-up", AddOnKind.MAKE_UP, "Make-up", "Natural, made for the camera.", 7500, 45, Placement.BEFORE, 0),
            ("hair", AddOnKind.HAIR, "Hair", "Tidied, or styled.", 6000, 30, Placement.BEFORE_PARALLEL, 0),
            ("touch-up", AddOnKind.MAKE_UP, "Powder touch-up", "Ten minutes in the chair.", 2500, 15,
             Placement.BEFORE, 0),
            ("second-look", AddOnKind.EXTRA_LOOK, "Second look", "Another jacket, another background.", 8000, 20,
             Placement.LENGTHENS, 0),
            ("one-more", AddOnKind.EXTRA_FINALS, "One more finished picture", "Retouched like the others.", 4500, 0,
             Placement.NO_TIME, 1),
            ("three-more", AddOnKind.EXTRA_FINALS, "Three more finished pictures", "For a website and the press.",
             11500, 0, Placement.NO_TIME, 3),
        ]
    ):  # fmt: skip
        add_ons[slug] = AddOn.objects.create(
            slug=slug, kind=kind, name=name, summary=summary, price=price, minutes=minutes, placement=placement,
            finals=finals, position=position, max_count=5 if slug == "one-more" else 1,
        )  # fmt: skip
    needs({"add_on": add_ons["make-up"]}, "make-up", after=5)
    needs({"add_on": add_ons["make-up"]}, "chair", after=5)
    needs({"add_on": add_ons["hair"]}, "hair", after=5)
    needs({"add_on": add_ons["touch-up"]}, "make-up")
    needs({"add_on": add_ons["touch-up"]}, "chair")
    everywhere = [seed.rows["brooklyn"], seed.rows["london"]]
    sold_types: list[dict[str, Any]] = (
        [
            {"slug": "express", "name": "Express", "minutes": 30, "price": 14500, "finals_included": 1,
                 "payment_plan": PaymentPlan.FULL, "summary": "One good picture for LinkedIn, between two meetings.",
                 "sold": ["touch-up", "one-more"]},
            {"slug": "signature", "name": "Signature", "minutes": 60, "price": 24500, "finals_included": 2,
                 "extra_final_price": 4500, "change_price": 6000,
                 "payment_plan": PaymentPlan.DEPOSIT_PERCENT, "deposit": 50,
                 "summary": "An hour, two looks if you like, and someone who tells you what to do with your hands.",
                 "sold": list(add_ons)},
            {"slug": "press", "name": "Press and speakers", "minutes": 90, "price": 42000, "finals_included": 3,
                 "extra_final_price": 5000, "extras_paid_first": False, "change_price": 6000,
                 "payment_plan": PaymentPlan.DEPOSIT_FIXED, "deposit": 15000,
                 "summary": "Several backgrounds, landscape and portrait, for programmes and the press.",
                 "sold": list(add_ons)},
            {"slug": "actors", "name": "Actors", "minutes": 75, "price": 32000, "finals_included": 3,
             "client_looks_first": True,
                 "payment_plan": PaymentPlan.DEPOSIT_PERCENT, "deposit": 50, "allows_minors": True,
                 "summary": "Theatrical and commercial, unhurried. You look at the retouch before it is delivered.",
                 "sold": ["make-up", "hair", "second-look", "three-more"]},
            {"slug": "new-in-town", "name": "New in town", "minutes": 30, "price": 9500, "finals_included": 1,
                 "payment_plan": PaymentPlan.AT_STUDIO, "may_pay_at_studio": True, "is_confirmed_by_staff": True,
                 "summary": "For job seekers and newcomers, at a lower price; pay when you are here.",
                 "sold": ["touch-up"]},
        ]
    )  # fmt: skip
    for position, row in enumerate(sold_types):
        sold: list[str] = row.pop("sold")
        made = SessionType.objects.create(position=position, **row)
        made.locations.set(everywhere)
        made.add_ons.set([add_ons[str(slug)] for slug in sold])
        needs({"session_type": made}, "photographer", after=15)
        needs({"session_type": made}, "camera-room", after=15)
        seed.rows[f"type {row['slug']}"] = made
    seed.rows["add_ons"] = add_ons


def person(seed: Seed) -> tuple[str, str]:
    """The next invented client: a name and an address that reaches nobody."""
    number = seed.rows["clients"] = seed.rows.get("clients", -1) + 1
    name = CLIENTS[number % len(CLIENTS)]
    return name, f"{name.split()[0].lower().encode('ascii', 'ignore').decode()}{number}@example.com"


def book(
    seed: Seed,
    *,
    kind: str,
    near: datetime,
    place: str = "brooklyn",
    add_ons: tuple[str, ...] = (),
    days_before: int = 6,
    is_paid: bool = True,
    is_confirmed: bool = True,
) -> Booking:
    """A booking of a session whose camera time is as close to `near` as the calendar allows."""
    location, session_type = seed.rows[place], seed.rows[f"type {kind}"]
    owner = Actor.user(seed.rows["ana"])
    wanted = {seed.rows["add_ons"][slug].pk: 1 for slug in add_ons}
    booked_at = min(near - timedelta(days=days_before), seed.now - timedelta(minutes=5))
    starts_at = _free_near(seed, session_type, location, wanted, near, booked_at)
    booking = holds.place(
        session_type_id=session_type.pk, location_id=location.pk, add_ons=wanted, starts_at=starts_at,
        form_token=uuid.UUID(int=seed.chance.getrandbits(128), version=4), override_reason="Demo", by=owner,
        now=booked_at,
    )  # fmt: skip
    name, email = person(seed)
    if not is_confirmed and not is_paid:
        return booking
    checkout.take_details(
        booking_id=booking.pk, name=name, email=email, policy_accepted=True, by=owner, now=booked_at
    )
    if is_paid and booking.due_now:
        amount = booking.price if seed.chance.random() < 0.5 else booking.due_now
        payments.record_by_staff(
            booking_id=booking.pk, method=PaymentMethod.TRANSFER, amount=amount, by=owner, now=booked_at
        )
    elif is_confirmed:
        lifecycle.confirm(booking_id=booking.pk, by=owner, now=booked_at)
    return Booking.objects.get(pk=booking.pk)


def _free_near(
    seed: Seed,
    session_type: SessionType,
    location: Location,
    add_ons: dict[int, int],
    near: datetime,
    booked_at: datetime,
) -> datetime:
    """The nearest start in quarter hours at which everybody is free, opening hours or not (it is a demo)."""
    cast = availability.cast_of(session_type=session_type, location=location, add_ons=add_ons)
    base = near.replace(minute=near.minute // 15 * 15, second=0, microsecond=0)
    for step in range(400):
        moment = base + timedelta(minutes=15 * (step // 2) * (1 if step % 2 else -1))
        if moment > booked_at and availability.slot_at(
            cast, moment, now=booked_at, leeway=availability.Leeway.OVERRIDE
        ):
            return moment
    raise Refused("The demo's calendar is full.")


def shoot_of(booking: Booking) -> Shoot:
    return booking.shoots.get()


@seed(40)
def bookings_in_every_state(seed: Seed) -> None:
    """The past week, today and the coming days."""
    seed.say("Taking bookings …")
    now, owner = seed.now, Actor.user(seed.rows["ana"])
    zone = ZoneInfo(seed.rows["brooklyn"].zone)

    coming = [
        ("signature", 1, 10, ("make-up",)), ("express", 1, 14, ()), ("press", 2, 10, ("make-up", "hair")),
        ("signature", 3, 11, ("hair",)), ("actors", 4, 10, ("make-up", "hair", "second-look")),
        ("express", 4, 15, ("touch-up",)), ("signature", 6, 13, ()),
    ]  # fmt: skip
    for kind, days, hour, add_ons in coming:
        near = (now.astimezone(zone) + timedelta(days=days)).replace(hour=hour, minute=0)
        book(seed, kind=kind, near=near, add_ons=add_ons)
    for days in (1, 2, 5):
        near = (now.astimezone(ZoneInfo("Europe/London")) + timedelta(days=days)).replace(hour=11, minute=0)
        book(seed, kind="signature", near=near, place="london")

    held = book(
        seed, kind="express", near=now + timedelta(days=3), days_before=0, is_paid=False, is_confirmed=False
    )
    holds.extend(booking_id=held.pk, until=now + timedelta(minutes=25), by=owner, now=held.created_at)
    _request(seed, near=now + timedelta(days=4))
    cancelled = book(seed, kind="signature", near=now + timedelta(days=5))
    lifecycle.cancel(
        booking_id=cancelled.pk, by=owner, now=now, reason="The client is ill.", full_refund=True
    )
    lapsed = book(
        seed, kind="express", near=now + timedelta(days=2), days_before=3, is_paid=False, is_confirmed=False
    )
    holds.expire_due(now=lapsed.created_at + timedelta(hours=2))

    today = [
        ("express", -3, ()),
        ("signature", -1, ("make-up",)),
        ("express", 1, ()),
        ("signature", 2, ("make-up",)),
    ]
    for kind, hours, add_ons in today:
        booking = book(seed, kind=kind, near=now + timedelta(hours=hours), add_ons=add_ons)
        seed.rows.setdefault("today", []).append(booking)
    absent = book(seed, kind="express", near=now - timedelta(days=2))
    lifecycle.no_show(shoot_id=shoot_of(absent).pk, by=owner, now=absent.ends_at + timedelta(minutes=15))
    nervous = shoot_of(seed.rows["today"][2])
    lifecycle.set_nerves(
        shoot_id=nervous.pk,
        chips=list(NERVES)[:2],
        text="My last picture is from my wedding. I never know where to look.",
        by=owner,
        now=now,
    )


def _request(seed: Seed, *, near: datetime) -> None:
    """A client's own booking of a session type that the studio confirms by hand."""
    location, session_type = seed.rows["brooklyn"], seed.rows["type new-in-town"]
    guest = Actor(ActorKind.CLIENT)
    found = availability.slots(
        session_type=session_type, location=location, add_ons={}, first_on=near.date(),
        last_on=near.date() + timedelta(days=10), now=seed.now,
    )  # fmt: skip
    booking = holds.place(
        session_type_id=session_type.pk, location_id=location.pk, add_ons={}, starts_at=found[2].starts_at,
        form_token=uuid.UUID(int=seed.chance.getrandbits(128), version=4), by=guest, now=seed.now,
    )  # fmt: skip
    name, email = person(seed)
    checkout.take_details(
        booking_id=booking.pk, name=name, email=email, policy_accepted=True, by=guest, now=seed.now
    )
    checkout.confirm_at_studio(booking_id=booking.pk, by=guest, now=seed.now)


@seed(45)
def what_clients_are_told_and_asked(seed: Seed) -> None:
    """Questions, papers, a word from a client, and somebody on the waiting list."""
    by, now = Actor.user(seed.rows["ana"]), seed.now
    for owner in (seed.rows["type signature"], *AddOn.objects.filter(kind__in=["hair", "make_up"])):
        questionnaires.publish(owner=owner, drafts=questionnaires.suggested(owner), by=by, now=now)
    for kind, (title, body) in agreements.SUGGESTED.items():
        agreements.publish_text(kind=kind, title=str(title), body=str(body), by=by, now=now)
    soon = Booking.objects.filter(status="confirmed", starts_at__gt=now).order_by("starts_at").first()
    if soon is not None and soon.payer is not None:
        client = Actor(ActorKind.CLIENT, soon.payer.pk, soon.payer.name)
        token = uuid.UUID(int=seed.chance.getrandbits(128), version=4)
        words = "May I bring my dog? He is calm, and he never moves."
        thread.ask(booking_id=soon.pk, text=words, form_token=token, by=client, now=now)
    name, email = person(seed)
    waiting.join(
        session_type_id=seed.rows["type signature"].pk,
        location_id=seed.rows["brooklyn"].pk,
        add_ons={},
        first_on=now.date(),
        last_on=now.date(),
        name=name,
        email=email,
        form_token=uuid.UUID(int=seed.chance.getrandbits(128), version=4),
        by=Actor(ActorKind.CLIENT),
        now=now,
    )
