import sys
from collections.abc import Collection, Mapping

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.csp import CSP
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from studio import credentials, desk, links, throttles
from studio.access import messages_of, staff
from studio.accounts import roles_of
from studio.actors import Actor
from studio.background import ring_on_commit
from studio.discreet import without_keys
from studio.forms import check_email
from studio.models import (
    Heartbeat,
    Location,
    Message,
    MessageStatus,
    Role,
    StatusChange,
    Studio,
    User,
)
from studio.templatetags.studio_tags import zone_of
from studio.transitions import MoveRefused, move

Policy = Mapping[str, Collection[str] | str]

# Where each kind of guest link leads; filled by the apps that own the pages: scope -> url name taking the public_id.
LANDINGS: dict[str, str] = {}


@require_safe
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """Swap a guest link for the browser's session and go to its page. Wrong, expired and revoked look alike.

    Only who was erased is told so: the link was theirs, and nothing is left that it could give away.
    """
    now = timezone.now()
    credential = credentials.find(token, now=now)
    if credential is None and credentials.is_erased(token):
        return render(request, "studio/erased.html", status=410)
    if credential is None or credential.scope not in LANDINGS:
        return render(request, "studio/dead_link.html", status=404)
    credentials.remember(request, credential, now=now)
    return HttpResponseRedirect(reverse(LANDINGS[credential.scope], args=[credential.target]))


def dead_link(request: HttpRequest, *, scope: str, target: str) -> HttpResponse:
    """The answer to a page whose link is not good here any more: "mail me a new link", or that it was erased."""
    if credentials.was_erased(request, scope=scope, target=target):
        return render(request, "studio/erased.html", status=410)
    return render(request, "studio/dead_link.html", status=404)


@require_http_methods(["GET", "HEAD", "POST"])
def ask_for_link(request: HttpRequest) -> HttpResponse:
    """ "Mail me a new link": whatever is typed, the answer is the same; only what is no address is sent back."""
    if request.method != "POST":
        return render(request, "studio/dead_link.html", {"is_wanted": True})
    email = request.POST.get("email", "").strip()
    try:
        check_email(email)
    except ValidationError:
        problem = _("That is not an e-mail address yet.")
        return render(request, "studio/dead_link.html", {"is_wanted": True, "problem": problem}, status=422)
    links.ask(email=email, network=throttles.network(request), now=timezone.now())
    return render(request, "studio/dead_link.html", {"is_asked": True})


def desk_zone() -> str:
    """The time zone of the desk's own pages: the first location's."""
    return Location.objects.filter(is_active=True).values_list("zone", flat=True).first() or "UTC"


@staff()
@require_safe
def desk_home(request: HttpRequest) -> HttpResponse:
    """The desk: the panels this person's roles may see."""
    now = timezone.now()
    roles = roles_of(request.user)
    shown = []
    for panel in desk.panels(roles):
        context = panel.gather(request, now)
        if context is not None:
            html = render_to_string(panel.template, {**context, "panel": panel, "now": now}, request)
            shown.append({"panel": panel, "html": html})
    zone = desk_zone()
    today = formats.date_format(now.astimezone(zone_of(zone)), "l j F")
    return render(request, "studio/desk.html", {"panels": shown, "now": now, "today": today, "zone": zone})


@require_safe
def desk_worker(request: HttpRequest) -> HttpResponse:
    """The script that keeps today's page for reading without a connection. Its address is what it may look after."""
    return render(request, "studio/desk_worker.js", content_type="text/javascript; charset=utf-8")


@staff(Role.PHOTOGRAPHER)
@require_safe
def message_list(request: HttpRequest) -> HttpResponse:
    """Every message, newest first, with its state. In the demo this is where mail is read."""
    rows = messages_of(request).order_by("-id")
    if query := request.GET.get("q", "").strip():
        rows = rows.filter(to_address__icontains=query) | rows.filter(subject__icontains=query)
    page = Paginator(rows, 50).get_page(request.GET.get("page"))
    return render(request, "studio/messages.html", {"page": page, "query": query, "zone": desk_zone()})


def _shown(text: str) -> str:
    """A body as the desk may show it: links that let somebody in are theirs; only the demo has no other mailbox."""
    return text if settings.DEMO else without_keys(text)


FRAMING_CSP: Policy = {**settings.SECURE_CSP, "frame-src": [CSP.SELF]}  # type: ignore[dict-item]


@staff(Role.PHOTOGRAPHER)
@require_safe
@csp_override(FRAMING_CSP)
def message_detail(request: HttpRequest, public_id: str) -> HttpResponse:
    """One message as it was or will be sent, and what happened to it."""
    message = get_object_or_404(messages_of(request), public_id=public_id)
    rows = StatusChange.objects.filter(model=Message._meta.label_lower, object_id=message.pk).order_by("id")
    labels = dict(MessageStatus.choices)
    changes = [
        {"at": row.at, "label": labels.get(row.after, row.after), "who": row.actor_label} for row in rows
    ]
    context = {"message": message, "changes": changes, "text": _shown(message.body_text), "zone": desk_zone()}
    return render(request, "studio/message.html", context)


# A mail brings its own style and nothing else: no script, no form, nothing from elsewhere; only our page frames it.
MAIL_CSP: Policy = {
    "default-src": [CSP.NONE],
    "style-src": [CSP.UNSAFE_INLINE],
    "img-src": [CSP.SELF, "data:"],
    "base-uri": [CSP.NONE],
    "form-action": [CSP.NONE],
    "frame-ancestors": [CSP.SELF],
    "sandbox": ["allow-popups", "allow-popups-to-escape-sandbox"],
}


@staff(Role.PHOTOGRAPHER)
@require_safe
@xframe_options_sameorigin
@csp_override(MAIL_CSP)
def message_html(request: HttpRequest, public_id: str) -> HttpResponse:
    """The mail as a mail program draws it, for the frame on its page. Its links open beside it."""
    message = get_object_or_404(messages_of(request), public_id=public_id)
    return HttpResponse('<base target="_blank">' + _shown(message.body_html))


@staff(Role.PHOTOGRAPHER)
@require_POST
def message_again(request: HttpRequest, public_id: str) -> HttpResponse:
    """Try a failed message once more, from the start of its back-off."""
    from studio.tasks import send_messages

    assert isinstance(request.user, User)  # @staff let them in
    message = get_object_or_404(messages_of(request), public_id=public_id, status=MessageStatus.FAILED)
    now = timezone.now()
    with transaction.atomic():
        try:
            move(Message, message.pk, "again", by=Actor.user(request.user), now=now, due_at=now, attempts=0)
        except MoveRefused:
            pass  # somebody else pressed it; the page shows where it stands
        else:
            ring_on_commit(send_messages)
    return redirect("message_detail", public_id=public_id)


def server_error(request: HttpRequest) -> HttpResponse:
    """What an unforeseen error shows. Without a database it is 503, also when a middleware met it first."""
    if isinstance(sys.exc_info()[1], (OperationalError, InterfaceError)):
        return unavailable(request)
    return HttpResponse(render_to_string("500.html"), status=500)


def unavailable(request: HttpRequest) -> HttpResponse:
    """503 with Retry-After, so that browsers, Stripe and uploads come again. Asks no database."""
    response = HttpResponse(render_to_string("studio/unavailable.html"), status=503)
    response.headers["Retry-After"] = "5"
    return response


def admin_door(request: HttpRequest) -> HttpResponse:
    """Whom the stock admin turned away: to the sign-in. Raises PermissionDenied for whoever is signed in already:
    the sign-in would send them back here, for ever.
    """
    if request.user.is_authenticated:
        raise PermissionDenied
    query = request.META.get("QUERY_STRING", "")
    return HttpResponseRedirect(reverse("account_login") + (f"?{query}" if query else ""))


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when the database answers, with the age of the last sweep in seconds."""
    beat = Heartbeat.objects.filter(name="sweep").first()
    age = round((timezone.now() - beat.beat_at).total_seconds()) if beat else None
    return JsonResponse({"ok": True, "last_sweep_seconds_ago": age})


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Browsers ask for it at this address whatever the page says."""
    return HttpResponseRedirect(static("img/favicon.svg"))


@require_safe
def manifest(request: HttpRequest) -> HttpResponse:
    """What a phone shows when the desk is put on its home screen."""
    found = Studio.objects.first()
    name = found.name if found else "Likeness"
    icon = {"src": static("img/favicon.svg"), "sizes": "any", "type": "image/svg+xml"}
    about = {
        "name": name,
        "short_name": name[:24],
        "start_url": reverse("desk"),
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": "#ffffff",
        "icons": [icon],
    }
    return JsonResponse(about, content_type="application/manifest+json")


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    """Only the public pages may be listed. Private addresses are not named here: they carry noindex themselves."""
    lines = [
        "User-agent: *",
        "Disallow: /desk/",
        "Disallow: /accounts/",
        "Disallow: /admin/",
        "Disallow: /open/",
    ]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
