"""The studio's own words for its messages, with a preview that fills in as one types; and texts sent by hand."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import get_template
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from studio import outbox, wording
from studio.access import messages_of, staff
from studio.accounts import require
from studio.actors import Actor
from studio.models import Channel, MessageStatus, MessageWords, Role
from studio.wording import Editable, WordingRefused


@staff(Role.PHOTOGRAPHER)
@require_safe
def word_list(request: HttpRequest) -> HttpResponse:
    """Every message whose words can be changed, and which the studio has put in its own."""
    own = set(MessageWords.objects.values_list("name", flat=True))
    rows = [{"message": message, "is_own": message.name in own} for message in wording.every()]
    return render(request, "studio/words.html", {"rows": rows})


def _message(name: str) -> Editable:
    found = wording.find(name)
    if found is None:
        raise Http404
    return found


@staff(Role.PHOTOGRAPHER)
@require_http_methods(["GET", "POST"])
def words(request: HttpRequest, name: str) -> HttpResponse:
    """One message: the studio's words beside how they come out. Saving checks every name in braces."""
    message = _message(name)
    own = MessageWords.objects.filter(name=name, language="en").first()
    values = {"subject": own.subject, "body": own.body} if own else _to_begin_with(message)
    problems: dict[str, str] = {}
    if request.method == "POST":
        if request.POST.get("back_to_file"):
            wording.forget(name=name)
            messages.success(request, _("Clients get the words that came with Likeness again."))
            return redirect("words", name)
        values = {key: request.POST.get(key, "") for key in ("subject", "body")}
        try:
            wording.save(name=name, by=Actor.user(require(request)), now=timezone.now(), **values)
        except WordingRefused as refusal:
            problems = refusal.problems
        else:
            messages.success(request, _("Saved. From the next message on these are the words."))
            return redirect("words", name)
    context = {
        "message": message,
        "own": own,
        "values": values,
        "problems": problems,
        "names": [f"{{{key}}}" for key in message.samples],
        **_preview(message, **values),
    }
    return render(request, "studio/word.html", context, status=422 if problems else 200)


def _to_begin_with(message: Editable) -> dict[str, str]:
    """What the page holds before the studio has words of its own: enough for a preview, and it can be saved."""
    subject = "{studio}, {when}" if message.has_subject and message.samples else ""
    return {"subject": subject, "body": _source(message)}


def _source(message: Editable) -> str:
    """Something to begin with: every name once, so that the preview shows what each becomes."""
    if not message.samples:
        return (
            get_template(f"emails/coaching/{message.name.removeprefix('coaching_')}.txt").render({}).strip()
        )
    lines = [_("Hello {first_name},"), "", "{session}", "{when}", "{place}", ""]
    lines += [f"{{{name}}}" for name in message.needs if name != "link"]
    lines += ["", "{link}", "", "{studio}"]
    return "\n".join(lines) if message.has_subject else "{studio}: {time}, {place}."


@staff(Role.PHOTOGRAPHER)
@require_POST
def words_preview(request: HttpRequest, name: str) -> HttpResponse:
    """How the words come out, as a fragment; nothing is kept."""
    message = _message(name)
    shown = _preview(message, subject=request.POST.get("subject", ""), body=request.POST.get("body", ""))
    return render(request, "studio/_word_preview.html", {"message": message, **shown})


def _preview(message: Editable, *, subject: str, body: str) -> dict[str, object]:
    try:
        wording.check(message, subject=subject, body=body)
    except WordingRefused as refusal:
        return {"shown_problems": refusal.problems}
    samples = {key: str(value) for key, value in message.samples.items()}
    return {"shown_subject": wording.fill(subject, samples), "shown_body": wording.fill(body, samples)}


@staff(Role.PHOTOGRAPHER)
@require_POST
def text_sent(request: HttpRequest, public_id: str) -> HttpResponse:
    """A text was sent from the studio's own phone."""
    message = get_object_or_404(messages_of(request), public_id=public_id, channel=Channel.SMS)
    if message.status == MessageStatus.BY_HAND:
        outbox.sent_by_hand(message_id=message.pk, by=Actor.user(require(request)), now=timezone.now())
        messages.success(request, _("Written down as sent."))
    return redirect("desk")
