"""What must hold on every response: a second factor, privacy of pages, an honest answer without a database."""

from collections.abc import Callable
from contextlib import suppress

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.core.exceptions import BadRequest
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import redirect
from django.urls import reverse

from studio.views import unavailable

Handler = Callable[[HttpRequest], HttpResponse]
# Where a person without a second factor may go: to sign out and to set one up.
_SETUP_PREFIXES = ("/accounts/", "/static/", "/healthz")


class SecondFactorMiddleware:
    """Nobody of the studio works without TOTP or a passkey, the admin included. Only the demo goes without."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if (
            not settings.DEMO
            and request.user.is_authenticated
            and not request.path.startswith(_SETUP_PREFIXES)
            and not is_mfa_enabled(request.user)
        ):
            return redirect(reverse("mfa_index"))
        return self.get_response(request)


FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class ReadableInputMiddleware:
    """PostgreSQL keeps no NUL in a text: what carries one in a query or a form is turned away, not tried."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        texts = list(request.GET.lists())
        if (
            request.method == "POST" and request.content_type in FORMS
        ):  # the check for the token reads them as well
            with suppress(UnreadablePostError):  # the line was lost: the view will see
                texts += request.POST.lists()
        if any("\x00" in text for name, values in texts for text in (name, *values)):
            raise BadRequest("a NUL character")
        return self.get_response(request)


class PrivatePageMiddleware:
    """Pages behind a sign-in or a link are not kept by browsers or proxies and not listed by search engines."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_public = getattr(request.resolver_match, "url_name", None) in PUBLIC_PAGES
        if not is_public and not request.path.startswith("/static/"):
            response.headers.setdefault("X-Robots-Tag", "noindex, nofollow")
            response.headers.setdefault("Cache-Control", "private, no-store")
        return response


PUBLIC_PAGES = {"home", "session_type", "favicon", "manifest", "robots", "healthz"}


class PageCompressionMiddleware(GZipMiddleware):
    """Pages and answers to scripts travel compressed; pictures, archives and other streams as they are, with their
    lengths and ranges. Django pads each compressed page by a random length, against guessing secrets by size."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if response.streaming or kind not in ("text/html", "application/json"):
            return response
        return super().process_response(request, response)


class DatabaseUnavailableMiddleware:
    """No database: 503 with Retry-After, so that browsers, Stripe and uploads come again. Nothing is lost."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, (OperationalError, InterfaceError)):
            return None
        return unavailable(request)
