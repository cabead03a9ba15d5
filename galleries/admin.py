"""Stock admin for rare edits of the galleries: how firms want their people cropped. Owners only."""

from typing import TYPE_CHECKING

from django.contrib import admin

from galleries.models import CropSpec
from studio.admin import OwnersOnly

if TYPE_CHECKING:  # generic for the type checker only
    SpecBase = admin.ModelAdmin[CropSpec]
else:
    SpecBase = admin.ModelAdmin


@admin.register(CropSpec)
class CropSpecAdmin(OwnersOnly, SpecBase):
    """A firm's presets for the crop tool."""

    list_display = ("name", "head_share", "eye_line", "is_active")
