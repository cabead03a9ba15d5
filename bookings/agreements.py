"""What is signed: the studio's agreement and the model release, in versions, with a typed name.

A signature names the version and the digest of the words that stood above it; it is never changed. For a sitter under
18 the named guardian signs, and a release is neither offered nor accepted.
"""

import hashlib
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from bookings.models import AgreementKind, AgreementText, Shoot, Signature
from bookings.people import clean, is_a_name
from bookings.refusals import DetailsRefused, NotNow
from bookings.statuses import STANDING
from studio.actors import Actor, ActorKind
from studio.documents import Paper
from studio.models import Studio
from studio.templatetags.studio_tags import local


def publish_text(
    *, kind: AgreementKind | str, title: str, body: str, by: Actor, now: datetime
) -> AgreementText:
    """Make these the words that are signed from now on. The same words again make no new version.

    Raises DetailsRefused.
    """
    title, body = clean(title), body.replace("\x00", "").replace("\r\n", "\n").strip()
    problems = {}
    if kind not in AgreementKind.values:
        problems["kind"] = _("There is no such paper.")
    if not title or len(title) > 120:
        problems["title"] = _("Please give it a title of at most 120 characters.")
    if not body or len(body) > 20_000:
        problems["body"] = _("Please write what is signed, in at most 20,000 characters.")
    if problems:
        raise DetailsRefused(problems)
    with transaction.atomic():
        texts = AgreementText.objects.select_for_update().filter(kind=kind)
        latest = texts.order_by("-version").first()
        if latest is not None and (latest.title, latest.body) == (title, body):
            return latest
        last = texts.aggregate(last=Max("version"))["last"] or 0
        return AgreementText.objects.create(
            kind=kind, version=last + 1, title=title, body=body, created_at=now, actor_label=str(by)[:200]
        )


def current(kind: AgreementKind | str) -> AgreementText | None:
    """The version that is signed now."""
    return AgreementText.objects.filter(kind=kind).order_by("-version").first()


def offered_to(shoot: Shoot) -> list[tuple[AgreementText, Signature | None]]:
    """What can be signed for a shoot, with what was signed for the present sitter. No release under 18."""
    kinds = [AgreementKind.AGREEMENT] if shoot.sitter_is_minor else list(AgreementKind)
    found = []
    for kind in kinds:
        text = current(kind)
        signed = (
            shoot.signatures.filter(text__kind=kind, sitter_name=shoot.sitter.name if shoot.sitter else "")
            .select_related("text")
            .order_by("-pk")
            .first()
        )
        if text is not None or signed is not None:
            shown = signed.text if signed is not None else text
            assert shown is not None
            found.append((shown, signed))
    return found


def sign(*, shoot_id: int, text_id: int, typed_name: str, by: Actor, now: datetime) -> Signature:
    """Write a typed name under a text, once. Raises NotNow, and DetailsRefused for the name.

    A grown sitter signs from their own link, with a name: two letters of any script at least. For a sitter under 18
    the guardian who was named signs, as they were named, from the sitter's link or the payer's.
    """
    typed_name = clean(typed_name)
    if not typed_name or len(typed_name) > 150:
        raise DetailsRefused({"typed_name": _("Please type your name, in at most 150 characters.")})
    try:
        with transaction.atomic():
            shoot = (
                Shoot.objects.select_for_update(of=("self",))
                .select_related("booking", "sitter")
                .get(pk=shoot_id)
            )
            text = _signable(shoot, text_id)
            _check_signer(shoot, text, typed_name, by=by)
            assert by.id is not None and shoot.sitter is not None
            signed = shoot.signatures.filter(text=text, signer=by.id).first()
            return signed or Signature.objects.create(
                shoot=shoot,
                text=text,
                signer_id=by.id,
                sitter_name=shoot.sitter.name,
                typed_name=typed_name,
                is_guardian=shoot.sitter_is_minor,
                body_sha256=hashlib.sha256(text.body.encode()).hexdigest(),
                signed_at=now,
            )
    except IntegrityError:  # the other half of a double click
        return Signature.objects.get(shoot=shoot_id, text=text_id, signer=by.id)


def _signable(shoot: Shoot, text_id: int) -> AgreementText:
    if shoot.booking.status not in STANDING:
        raise NotNow(_("This session is over."))
    text = AgreementText.objects.filter(pk=text_id).first()
    latest = current(text.kind) if text else None
    if text is None or latest is None:
        raise NotNow(_("There is no such paper."))
    if text != latest:
        raise NotNow(_("There is a newer version of this text. Please read it and sign that one."))
    return text


def _check_signer(shoot: Shoot, text: AgreementText, typed_name: str, *, by: Actor) -> None:
    is_sitter = by.kind == ActorKind.CLIENT and by.id is not None and by.id == shoot.sitter_id
    is_payer = by.kind == ActorKind.CLIENT and by.id is not None and by.id == shoot.booking.payer_id
    if not shoot.sitter_is_minor:
        if not is_sitter:
            raise NotNow(_("Only the person in the picture can sign this, from their own link."))
        if not is_a_name(typed_name):
            raise DetailsRefused(
                {"typed_name": _("Please type your name in full: it stands for your signature.")}
            )
        return
    if text.kind == AgreementKind.RELEASE:
        raise NotNow(_("Pictures of somebody under 18 are not published, so there is no release."))
    if not (is_sitter or is_payer):
        raise NotNow(_("Only the guardian can sign this, from their own link."))
    if typed_name.casefold() != shoot.guardian_name.casefold():
        raise DetailsRefused(
            {
                "typed_name": _("For somebody under 18 the guardian signs: please type %(name)s.")
                % {"name": shoot.guardian_name}
            }
        )


def pdf(signature: Signature) -> bytes:
    """The signed words with name, version and time: always the same bytes for one signature."""
    text, location = signature.text, signature.shoot.booking.location
    studio = Studio.objects.first()
    paper = Paper(title=text.title, by=studio.name if studio else location.name, at=signature.signed_at)
    paper.heading(text.title)
    paper.text(_("Version %(version)d") % {"version": text.version}, is_quiet=True)
    paper.text(text.body)
    said = _("Signed by typing the name, %(when)s") % {"when": local(signature.signed_at, location)}
    if signature.is_guardian:
        said = _("Guardian of %(name)s. %(said)s") % {"name": signature.sitter_name, "said": said}
    paper.signature(name=signature.typed_name, said=said)
    paper.text(f"SHA-256 {signature.body_sha256}", size=7, is_quiet=True)
    return paper.bytes()


SUGGESTED = {
    AgreementKind.AGREEMENT: (
        gettext_lazy("Agreement about your session"),
        gettext_lazy(
            "We photograph you at the agreed time and hand over the finished pictures as promised on your booking. "
            "You may use them for anything about yourself and your work, for as long as you like, in print and online. "
            "The copyright stays with the studio. We retouch with restraint: your face keeps its shape and your skin "
            "its texture. We keep your pictures safe, show them to nobody without your consent, and never give them to "
            "AI training. Moving and cancelling follow the booking conditions you accepted."
        ),
    ),
    AgreementKind.RELEASE: (
        gettext_lazy("Model release"),
        gettext_lazy(
            "I allow the studio to show the pictures of this session for the purposes I ticked on my booking page, "
            "and for no others. I can take this back for each purpose at any time on the same page; what is already "
            "printed cannot be recalled. I am over 18. Saying no costs me nothing."
        ),
    ),
}
