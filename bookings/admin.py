"""Stock admin for rare edits: who sells, tax, codes, add-ons. Daily work with money is on the desk. Owners only."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest

from bookings.models import AddOn, DiscountCode, TaxRate
from studio.admin import OwnersOnly
from studio.models import LegalEntity

if TYPE_CHECKING:  # generic for the type checker only
    EntityBase = admin.ModelAdmin[LegalEntity]
    RateBase = admin.TabularInline[TaxRate, LegalEntity]
    CodeBase = admin.ModelAdmin[DiscountCode]
    AddOnBase = admin.ModelAdmin[AddOn]
else:
    EntityBase = CodeBase = AddOnBase = admin.ModelAdmin
    RateBase = admin.TabularInline


class TaxRateInline(OwnersOnly, RateBase):
    model = TaxRate
    extra = 1


@admin.register(LegalEntity)
class LegalEntityAdmin(OwnersOnly, EntityBase):
    """Who sells, with its tax rates. A prefix of numbers that are in use stays as it is."""

    list_display = ("name", "country", "number_prefix", "tax_number")
    inlines = (TaxRateInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: LegalEntity | None = None) -> tuple[str, ...]:
        return ("number_prefix",) if obj is not None and obj.invoices.exists() else ()


@admin.register(DiscountCode)
class DiscountCodeAdmin(OwnersOnly, CodeBase):
    """Codes clients may type. One that was used is switched off, not deleted."""

    list_display = ("code", "percent", "amount", "currency", "used_count", "max_uses", "ends_at", "is_active")
    list_filter = ("is_active",)
    search_fields = ("code", "note")
    readonly_fields = ("used_count",)
    filter_horizontal = ("session_types",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_used = obj is not None and obj.uses.exists()
        return not is_used and super().has_delete_permission(request, obj)


@admin.register(AddOn)
class AddOnAdmin(OwnersOnly, AddOnBase):
    """Prices and shares of what can be added to a session. What was booked keeps the price of its day."""

    list_display = ("name", "kind", "price", "minutes", "payee_percent", "is_active")
    list_editable: ClassVar[tuple[str, ...]] = ("is_active",)
