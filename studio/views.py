from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from studio import credentials, desk
from studio.access import staff
from studio.accounts import roles_of
from studio.models import Heartbeat, Message, Studio

# Where each kind of guest link leads; filled by the apps that own the pages: scope -> url name taking the public_id.
LANDINGS: dict[str, str] = {}


@require_safe
def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """Swap a guest link for the browser's session and go to its page. Wrong, expired and revoked look alike."""
    now = timezone.now()
    credential = credentials.find(token, now=now)
    if credential is None or credential.scope not in LANDINGS:
        return render(request, "studio/dead_link.html", status=404)
    credentials.remember(request, credential, now=now)
    return HttpResponseRedirect(reverse(LANDINGS[credential.scope], args=[credential.target]))


@staff()
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
    return render(request, "studio/desk.html", {"panels": shown, "now": now})


@staff()
def message_list(request: HttpRequest) -> HttpResponse:
    """Every message, newest first, with its state. In the demo this is where mail is read."""
    rows = Message.objects.order_by("-id")
    if query := request.GET.get("q", "").strip():
        rows = rows.filter(to_address__icontains=query) | rows.filter(subject__icontains=query)
    page = Paginator(rows, 50).get_page(request.GET.get("page"))
    return render(request, "studio/messages.html", {"page": page, "query": query})


@staff()
def message_detail(request: HttpRequest, public_id: str) -> HttpResponse:
    """One message as it was or will be sent."""
    return render(
        request, "studio/message.html", {"message": get_object_or_404(Message, public_id=public_id)}
    )


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
    lines = ["User-agent: *", "Disallow: /desk/", "Disallow: /accounts/", "Disallow: /admin/", "Disallow: /open/"]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
