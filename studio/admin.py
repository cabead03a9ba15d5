"""Stock admin for rare edits of the studio itself. Daily work happens on the desk. Owners only."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from studio import promises
from studio.accounts import roles_of
from studio.actors import Actor
from studio.models import Closure, Location, OpeningHours, Role, StaffRole, Studio, User

if TYPE_CHECKING:  # generic for the type checker only
    StudioBase = admin.ModelAdmin[Studio]
    LocationBase = admin.ModelAdmin[Location]
    HoursBase = admin.TabularInline[OpeningHours, Location]
    ClosureBase = admin.TabularInline[Closure, Location]
    RoleBase = admin.TabularInline[StaffRole, User]
    UserBase = DjangoUserAdmin[User]
    FormBase = AdminUserCreationForm[User]
else:
    StudioBase = LocationBase = admin.ModelAdmin
    HoursBase = ClosureBase = RoleBase = admin.TabularInline
    UserBase, FormBase = DjangoUserAdmin, AdminUserCreationForm


class OwnersOnly:
    """Everything here changes who may do what or what is promised, so it needs the owner's role."""

    def _is_owner(self, request: HttpRequest) -> bool:
        return Role.OWNER in roles_of(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._is_owner(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_owner(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_owner(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_owner(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_owner(request)


@admin.register(Studio)
class StudioAdmin(OwnersOnly, StudioBase):
    """There is one studio."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_owner(request) and not Studio.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OpeningHoursInline(OwnersOnly, HoursBase):
    model = OpeningHours
    extra = 0


class ClosureInline(OwnersOnly, ClosureBase):
    model = Closure
    extra = 0


@admin.register(Location)
class LocationAdmin(OwnersOnly, LocationBase):
    list_display = ("name", "zone", "opens_at", "closes_at", "is_active")
    prepopulated_fields: ClassVar[dict[str, Sequence[str]]] = {"slug": ("name",)}
    inlines = (OpeningHoursInline, ClosureInline)

    def save_model(self, request: HttpRequest, obj: Location, form: Any, change: bool) -> None:
        """First wait for whoever is being seated there. The admin saves the place, its hours and its closures in one
        transaction and calls this before it writes any of them."""
        if change:
            by = Actor.user(cast(User, request.user))
            promises.closures_changing(location=obj, by=by, now=timezone.now())
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The promises of the location follow its hours and closures."""
        super().save_related(request, form, formsets, change)
        by = Actor.user(cast(User, request.user))
        promises.closures_changed(location=form.instance, by=by, now=timezone.now())


class StaffRoleInline(OwnersOnly, RoleBase):
    model = StaffRole
    extra = 1


class UserCreationForm(FormBase):
    class Meta:
        model = User
        fields = ("email", "name")


@admin.register(User)
class UserAdmin(OwnersOnly, UserBase):
    """People of the studio and their roles. A person sets up their own second factor at the first sign-in."""

    add_form = UserCreationForm
    ordering = ("name",)
    list_display = ("name", "email", "is_active", "is_staff")
    list_filter = ("is_active", "staff_roles__role")
    search_fields = ("name", "email")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("name", "email", "password")}),
        (_("May"), {"fields": ("is_active", "is_staff")}),
    )
    add_fieldsets = ((None, {"fields": ("name", "email", "usable_password", "password1", "password2")}),)
    inlines = (StaffRoleInline,)
