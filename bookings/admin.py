"""Stock admin for rare edits: what is sold, who sells, tax, codes. Daily work is on the desk. Owners only."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from bookings.amounts import PERCENT_WORDS, WHOLE_PERCENT_WORDS
from bookings.models import AddOn, Claim, DiscountCode, Requirement, Resource, SessionType, Skill, TaxRate
from studio.admin import OwnersOnly
from studio.models import LegalEntity

if TYPE_CHECKING:  # generic for the type checker only
    EntityBase = admin.ModelAdmin[LegalEntity]
    RateBase = admin.TabularInline[TaxRate, LegalEntity]
    CodeBase = admin.ModelAdmin[DiscountCode]
    AddOnBase = admin.ModelAdmin[AddOn]
    TypeBase = admin.ModelAdmin[SessionType]
    ResourceBase = admin.ModelAdmin[Resource]
    SkillBase = admin.ModelAdmin[Skill]
    NeedsBase = admin.TabularInline[Requirement, Any]
else:
    EntityBase = CodeBase = AddOnBase = TypeBase = ResourceBase = SkillBase = admin.ModelAdmin
    RateBase = NeedsBase = admin.TabularInline


class TypedNumbers:
    """Percentages with the same sentences as everywhere, instead of how many digits a column has."""

    percents: ClassVar[dict[str, dict[str, Any]]] = {
        "percent": WHOLE_PERCENT_WORDS,
        "payee_percent": WHOLE_PERCENT_WORDS,
    }

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest | None, **more: Any) -> Any:
        if db_field.name in self.percents:
            more["error_messages"] = self.percents[db_field.name]
        return super().formfield_for_dbfield(db_field, request, **more)  # type: ignore[misc]


class TaxRateInline(OwnersOnly, TypedNumbers, RateBase):
    model = TaxRate
    extra = 1
    percents: ClassVar[dict[str, dict[str, Any]]] = {"percent": PERCENT_WORDS}


@admin.register(LegalEntity)
class LegalEntityAdmin(OwnersOnly, EntityBase):
    """Who sells, with its tax rates. A prefix of numbers that are in use stays as it is."""

    list_display = ("name", "country", "number_prefix", "tax_number")
    inlines = (TaxRateInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: LegalEntity | None = None) -> tuple[str, ...]:
        return ("number_prefix",) if obj is not None and obj.invoices.exists() else ()


@admin.register(DiscountCode)
class DiscountCodeAdmin(OwnersOnly, TypedNumbers, CodeBase):
    """Codes clients may type. One that was used is switched off, not deleted, and keeps what it promised."""

    list_display = ("code", "percent", "amount", "currency", "used_count", "max_uses", "ends_at", "is_active")
    list_filter = ("is_active",)
    search_fields = ("code", "note")
    filter_horizontal = ("session_types",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        is_used = obj is not None and obj.uses.exists()
        return ("used_count", "percent", "amount", "currency") if is_used else ("used_count",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_used = obj is not None and obj.uses.exists()
        return not is_used and super().has_delete_permission(request, obj)


class NotDeleted(OwnersOnly):
    """What bookings name is switched off, never deleted."""

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NamedOnClaims(NotDeleted):
    """What is sold by a name that stands on claims: on a call sheet, and where somebody has to be replaced."""

    of_booking: ClassVar[str]
    is_shoot: ClassVar[bool]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """A new name goes on the claims too, or somebody of each booked session would seem to be missing."""
        super().save_model(request, obj, form, change)  # type: ignore[misc]
        if change and "name" in form.changed_data:
            booked = {f"booking__{self.of_booking}": obj, "is_shoot": self.is_shoot}
            Claim.objects.filter(purpose=form.initial["name"], **booked).update(purpose=obj.name)


class RequirementInline(OwnersOnly, NeedsBase):
    """Which Resources it needs, how many, with which buffers."""

    model = Requirement
    fields = ("skill", "count", "before_minutes", "after_minutes")
    extra = 1


@admin.register(SessionType)
class SessionTypeAdmin(NamedOnClaims, TypeBase):
    """What is sold. What was booked keeps the price, the length and the promise of its day."""

    of_booking, is_shoot = "session_type", True
    list_display = ("name", "minutes", "price", "finals_included", "promise_days", "is_active")
    list_editable: ClassVar[tuple[str, ...]] = ("is_active",)
    prepopulated_fields: ClassVar[dict[str, Sequence[str]]] = {"slug": ("name",)}
    filter_horizontal = ("locations", "add_ons")
    inlines = (RequirementInline,)


@admin.register(Resource)
class ResourceAdmin(NotDeleted, ResourceBase):
    """People, rooms and chairs. Hours, leave and calendars are on the desk, under People and rooms."""

    list_display = ("name", "kind", "location", "is_on_request", "is_active")
    list_filter = ("kind", "location")
    filter_horizontal = ("skills",)


@admin.register(Skill)
class SkillAdmin(NotDeleted, SkillBase):
    """What a Resource can be asked for."""

    list_display = ("name", "slug")
    prepopulated_fields: ClassVar[dict[str, Sequence[str]]] = {"slug": ("name",)}


@admin.register(AddOn)
class AddOnAdmin(NamedOnClaims, TypedNumbers, AddOnBase):
    """Prices and shares of what can be added to a session. What was booked keeps the price of its day."""

    of_booking, is_shoot = "add_ons__add_on", False
    list_display = ("name", "kind", "price", "minutes", "payee_percent", "is_active")
    list_editable: ClassVar[tuple[str, ...]] = ("is_active",)
