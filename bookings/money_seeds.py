"""The demo's money: two firms, tax inside London's prices, a code, vouchers, an extra, and papers for all of it."""

from bookings import charges, invoices, vouchers
from bookings.models import AddOn, Booking, DiscountCode, ExtraKind, TaxRate
from bookings.statuses import BookingStatus
from studio.actors import Actor
from studio.models import LegalEntity, Studio
from studio.seeding import Seed, seed


@seed(25)
def firms(seed: Seed) -> None:
    """Who sells where, and what tax is inside."""
    brooklyn = LegalEntity.objects.create(
        name="North Light Portraits LLC", address="62 Water Street\nBrooklyn, NY 11201", country="US",
        tax_number="EIN 47-0000000", number_prefix="BK-",
    )  # fmt: skip
    london = LegalEntity.objects.create(
        name="North Light Portraits Ltd", address="4 Calvert Avenue\nLondon E2 7JP", country="GB",
        tax_number="GB 000 0000 00", number_prefix="LDN-", small_print="Registered in England and Wales, demo only.",
    )  # fmt: skip
    TaxRate.objects.create(entity=london, name="VAT", percent=20)
    for key, entity in (("brooklyn", brooklyn), ("london", london)):
        seed.rows[key].entity = entity
        seed.rows[key].save(update_fields=["entity"])
    DiscountCode.objects.create(code="WELCOME10", percent=10, note="For whoever found us first")
    Studio.objects.update(asks_for_tips=True)


@seed(35)
def shares(seed: Seed) -> None:
    """Artists are owed sixty percent of what they do."""
    AddOn.objects.filter(kind__in=["hair", "make_up"]).update(payee_percent=60)


@seed(60)
def money(seed: Seed) -> None:
    """An extra, two vouchers, and the papers of everything that is paid."""
    owner = Actor.user(seed.rows["ana"])
    standing = Booking.objects.filter(
        status=BookingStatus.CONFIRMED, starts_at__gt=seed.now, currency="USD"
    ).order_by("starts_at")
    booking = standing.first()
    if booking is not None:
        charges.add_extra(
            booking_id=booking.pk, label="A second background", amount=4000, kind=ExtraKind.OTHER, by=owner,
            now=seed.now,
        )  # fmt: skip
    for name, amount, reason in (
        ("Wren Castellan", 15000, "Raffle of the neighbourhood fair"),
        ("Chloé Dubois", 5000, "Waited twenty minutes for us"),
    ):
        vouchers.issue(
            amount=amount, currency="USD", recipient_name=name,
            recipient_email=f"{name.split()[0].lower().encode('ascii', 'ignore').decode()}@example.com",
            reason=reason, by=owner, now=seed.now,
        )  # fmt: skip
    while invoices.issue_next(now=seed.now):
        pass
