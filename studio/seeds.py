"""The demo's studio: two places in two time zones, five people, public holidays as closures."""

from datetime import date, time

import holidays
from django.conf import settings

from studio.models import Closure, Location, OpeningHours, Role, StaffRole, Studio, User
from studio.seeding import Seed, seed

PASSWORD = "demo-likeness-2026"  # the demo's only; printed beside the sign-in
PEOPLE = {
    "ana": ("Ana Duarte", "ana@likeness.example", [Role.OWNER, Role.PHOTOGRAPHER]),
    "theo": ("Theo Lindqvist", "theo@likeness.example", [Role.PHOTOGRAPHER]),
    "mira": ("Mira Okafor", "mira@likeness.example", [Role.ARTIST]),
    "jules": ("Jules Bernard", "jules@likeness.example", [Role.ARTIST]),
    "sam": ("Sam Whitaker", "sam@likeness.example", [Role.RETOUCHER]),
}


@seed(10)
def studio(seed: Seed) -> None:
    """The studio, its places with hours and closures, its people."""
    seed.say("Opening the studio …")
    Studio.objects.create(
        pk=1,
        name="North Light",
        strapline="Headshots in Brooklyn and London",
        email="hello@likeness.example",
        phone="+1 718 555 0142",
        currency="USD",
        copyright_line="© North Light",
        has_public_on_time_badge=True,
        policy_text=(
            "If you are late we wait 15 minutes. The copyright stays with the studio; you may use your pictures for "
            "anything about yourself and your work."
        ),
    )
    _place(
        seed,
        "brooklyn",
        "Brooklyn",
        "62 Water Street\nBrooklyn, NY 11201",
        "US",
        "NY",
        "America/New_York",
        "USD",
    )
    _place(seed, "london", "London", "4 Calvert Avenue\nLondon E2 7JP", "GB", "ENG", "Europe/London", "GBP")
    for key, (name, email, roles) in PEOPLE.items():
        user = User.objects.create_user(email, PASSWORD, name=name, is_staff=Role.OWNER in roles)
        StaffRole.objects.bulk_create(StaffRole(user=user, role=role) for role in roles)
        seed.rows[key] = user
    seed.sign_ins.append(
        {
            "who": "Photographer and owner",
            "address": f"{settings.SITE_URL}/desk/",
            "user": PEOPLE["ana"][1],
            "password": PASSWORD,
            "note": "Also theo@ (photographer), mira@ and jules@ (artists), sam@ (retoucher), same password.",
        }
    )


def _place(
    seed: Seed, slug: str, name: str, address: str, country: str, subdivision: str, zone: str, currency: str
) -> None:
    place = Location.objects.create(
        slug=slug,
        name=name,
        address=address,
        directions="Ring at the blue door; the lift is behind the stairs.",
        country=country,
        subdivision=subdivision,
        zone=zone,
        currency=currency,
        position=len(seed.rows),
    )
    OpeningHours.objects.bulk_create(
        OpeningHours(
            location=place, weekday=day, opens_at=time(9), closes_at=time(18) if day < 5 else time(15)
        )
        for day in range(6)
    )
    seed_closures(place, years=[seed.now.year, seed.now.year + 1])
    seed.rows[slug] = place


def seed_closures(place: Location, *, years: list[int]) -> int:
    """Public holidays of the place as closures the studio then owns; what is a closure already stays as it is."""
    calendar = holidays.country_holidays(place.country, subdiv=place.subdivision or None, years=years)
    rows = [Closure(location=place, on=on, name=name[:120]) for on, name in sorted(calendar.items())]
    for year in years:
        eve = date(year, 12, 24)
        if eve not in calendar:
            rows.append(Closure(location=place, on=eve, name="Christmas Eve", closes_at=time(13)))
    return len(Closure.objects.bulk_create(rows, ignore_conflicts=True))
