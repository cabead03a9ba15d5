"""The studio's own page on the desk (name, addresses, manners, the front page's picture), and that picture."""

import tempfile
from pathlib import Path

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bookings import policy
from galleries import cover, ranges
from studio import storage
from studio.access import staff
from studio.accounts import require
from studio.actors import Actor
from studio.models import Role, Studio


class StudioForm(forms.ModelForm):  # type: ignore[type-arg]  # Django takes no parameter at run time
    """What the studio says about itself and how it behaves, in groups as the owner thinks of it."""

    GROUPS = (
        (_lazy("Who you are"), ("name", "strapline", "email", "phone", "copyright_line")),
        (_lazy("Booking"), ("policy_text", "hides_full_slots", "sells_vouchers")),
        (
            _lazy("The promise"),
            ("late_way", "late_fee_percent", "has_public_on_time_badge", "alert_webhook_url"),
        ),
        (
            _lazy("Pictures"),
            (
                "mark_text",
                "mark_opacity",
                "mark_place",
                "makes_print",
                "makes_black_and_white",
                "licence_text",
            ),
        ),
        (
            _lazy("After delivery"),
            (
                "review_url",
                "asks_for_tips",
                "archives_after_days",
                "keeps_unpicked_days",
                "keeps_originals_months",
            ),
        ),
    )

    class Meta:
        model = Studio
        fields = (
            "name",
            "strapline",
            "email",
            "phone",
            "copyright_line",
            "policy_text",
            "hides_full_slots",
            "sells_vouchers",
            "late_way",
            "late_fee_percent",
            "has_public_on_time_badge",
            "alert_webhook_url",
            "mark_text",
            "mark_opacity",
            "mark_place",
            "makes_print",
            "makes_black_and_white",
            "licence_text",
            "review_url",
            "asks_for_tips",
            "archives_after_days",
            "keeps_unpicked_days",
            "keeps_originals_months",
        )
        widgets = {
            "policy_text": forms.Textarea(attrs={"rows": 6}),
            "licence_text": forms.Textarea(attrs={"rows": 4}),
        }
        labels = {
            "email": _lazy("E-mail"),
            "policy_text": _lazy("Your own booking conditions"),
            "hides_full_slots": _lazy("Hide times that would break the promise"),
            "sells_vouchers": _lazy("Sell gift vouchers"),
            "late_fee_percent": _lazy("How much of the price, in percent"),
            "has_public_on_time_badge": _lazy("Show everybody how often you deliver on time"),
            "alert_webhook_url": _lazy("Address that hears each warning"),
            "makes_print": _lazy("Sizes for prints"),
            "makes_black_and_white": _lazy("A black and white size"),
            "licence_text": _lazy("What clients may do with their pictures"),
            "review_url": _lazy("Address where clients write a review"),
            "asks_for_tips": _lazy("Ask for tips"),
            "archives_after_days": _lazy("Days until originals move to the archive"),
            "keeps_unpicked_days": _lazy("Days until pictures nobody chose are erased"),
            "keeps_originals_months": _lazy("Months until the originals of chosen pictures are erased"),
        }

    def groups(self) -> list[tuple[object, list[forms.BoundField]]]:
        """The titles, each with its fields."""
        return [(title, [self[name] for name in names]) for title, names in self.GROUPS]


@require_safe
def front_picture(request: HttpRequest) -> HttpResponseBase:
    """The front page's picture: the only public one, and only because the studio put it there.

    Its key changes with the picture, so it is the ETag; a range of it is served like any other.
    """
    studio = Studio.objects.first()
    if studio is None or not studio.cover_key or not storage.exists(storage.derived(), studio.cover_key):
        raise Http404
    key = studio.cover_key
    answer = ranges.answer(
        length=storage.size(storage.derived(), key),
        etag=f'"{Path(key).stem}"',
        range_header=request.headers.get("Range", "") if request.method == "GET" else "",
        if_range=request.headers.get("If-Range", ""),
        if_none_match=request.headers.get("If-None-Match", ""),
    )
    headers = {**answer.headers, "Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
    if request.method == "HEAD" or answer.status in (304, 416):
        return HttpResponse(status=answer.status, headers=headers, content_type="image/jpeg")
    body = storage.open_range(storage.derived(), key, answer.start, answer.stop)
    return StreamingHttpResponse(body, status=answer.status, headers=headers, content_type="image/jpeg")


RARE_PAGES = {
    "bookings_sessiontype": _lazy("Session types: length, price, deposit, notice"),
    "bookings_addon": _lazy("Add-ons: hair, make-up and more"),
    "bookings_discountcode": _lazy("Discount codes"),
    "bookings_resource": _lazy("People, rooms and chairs: who can do what"),
    "studio_location": _lazy("Locations: address, clock, opening hours"),
    "studio_legalentity": _lazy("Who sells: receipts, numbers, tax"),
    "studio_user": _lazy("Accounts and roles"),
    "galleries_cropspec": _lazy("Crops for companies"),
}


@staff(Role.OWNER)
@require_http_methods(["GET", "POST"])
def studio_page(request: HttpRequest) -> HttpResponse:
    """The owner's page about the studio. Another text of the conditions is another version, kept on new bookings."""
    studio = Studio.objects.first() or Studio(pk=1)
    policy_before = studio.policy_text
    form = StudioForm(request.POST or None, instance=studio)
    if request.method == "POST" and form.is_valid():
        if form.cleaned_data["policy_text"] != policy_before and policy_before:
            form.instance.policy_version += 1
        form.save()
        messages.success(request, _("Saved."))
        return redirect("desk_studio")
    context = {
        "form": form,
        "policy_version": studio.policy_version,
        "policy_words": policy.in_words(),
        "rare_pages": [(reverse(f"admin:{name}_changelist"), label) for name, label in RARE_PAGES.items()]
        if require(request).is_staff
        else [],
    }
    return render(request, "galleries/desk_studio.html", context, status=422 if form.errors else 200)


@staff(Role.OWNER)
@require_POST
def set_picture(request: HttpRequest) -> HttpResponse:
    """Another picture for the front page, or none."""
    by, now = Actor.user(require(request)), timezone.now()
    file = request.FILES.get("picture")
    if request.POST.get("remove"):
        cover.remove_cover(by=by, now=now)
        messages.success(request, _("The front page has no picture now."))
    elif not isinstance(file, UploadedFile) or not file.size:
        messages.warning(request, _("Please choose a picture first."))
    elif file.size > cover.LARGEST:
        messages.warning(request, _("This file is too large for a front page; 60 MB are enough."))
    else:
        with tempfile.NamedTemporaryFile() as kept:
            for part in file.chunks():
                kept.write(part)
            kept.flush()
            try:
                cover.set_cover(path=Path(kept.name), by=by, now=now)
            except cover.CoverRefused as refusal:
                messages.warning(request, _(refusal.sentence))
            else:
                messages.success(request, _("This is the front page’s picture now."))
    return redirect("desk_studio")
