"""Questionnaires: built by staff per session type and add-on, in versions; answered by the client, the newest counts.

Nothing has to be answered. Private questions (health, nerves) are asked of the sitter alone, read by the photographer
behind a tap, and erased thirty days after delivery.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max, QuerySet
from django.utils.translation import gettext as _

from bookings.models import (
    AddOn,
    AddOnKind,
    AnswerSheet,
    Question,
    QuestionKind,
    Questionnaire,
    SessionType,
    Shoot,
)
from bookings.people import clean
from bookings.refusals import DetailsRefused, NotNow
from bookings.statuses import BookingStatus, ShootStatus
from studio.actors import Actor, ActorKind

LONGEST_ANSWER = 2000
MOST_QUESTIONS = 30
Owner = SessionType | AddOn


@dataclass(frozen=True, slots=True)
class Draft:
    """One question as staff typed it."""

    kind: str
    words: str
    why: str = ""
    choices: Sequence[str] = ()
    is_private: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The current questions of one thing that was booked, with the newest sheet of this shoot."""

    owner: Owner
    questionnaire: Questionnaire
    questions: Sequence[Question]
    sheet: AnswerSheet | None

    def answer_of(self, question: Question) -> object:
        """What was answered last to a question of these words, in this version or an earlier one."""
        rows = [*self.sheet.answers, *self.sheet.private_answers] if self.sheet else []
        return next((answer for _pk, words, answer in rows if words == question.words), "")


def publish(*, owner: Owner, drafts: Sequence[Draft], by: Actor, now: datetime) -> Questionnaire:
    """Make these the questions from now on: the next version. An empty list asks nothing any more.

    Raises DetailsRefused with a sentence per row (its number as the field).
    """
    problems = {str(number): sentence for number, draft in enumerate(drafts) if (sentence := _problem(draft))}
    if len(drafts) > MOST_QUESTIONS:
        problems[""] = _("At most %(count)d questions: nobody answers more.") % {"count": MOST_QUESTIONS}
    if problems:
        raise DetailsRefused(problems)
    with transaction.atomic():
        type(owner).objects.select_for_update(no_key=True).get(pk=owner.pk)
        last = owner.questionnaires.aggregate(last=Max("version"))["last"] or 0
        made = owner.questionnaires.create(version=last + 1, created_at=now, actor_label=str(by)[:200])
        Question.objects.bulk_create(
            Question(
                questionnaire=made,
                position=position,
                kind=draft.kind,
                words=clean(draft.words),
                why=clean(draft.why),
                choices=_choices(draft),
                is_private=draft.is_private,
            )
            for position, draft in enumerate(drafts)
        )
        return made


def _choices(draft: Draft) -> list[str]:
    found = [clean(choice) for choice in draft.choices]
    return list(dict.fromkeys(choice for choice in found if choice)) if draft.kind in _LISTS else []


_LISTS = (QuestionKind.CHOICE, QuestionKind.MULTI)


def _problem(draft: Draft) -> str:
    if draft.kind not in QuestionKind.values:
        return _("Please choose how it is answered.")
    if not clean(draft.words) or len(clean(draft.words)) > 200 or len(clean(draft.why)) > 300:
        return _("Please ask in at most 200 characters, and say why in at most 300.")
    choices = _choices(draft)
    if draft.kind in _LISTS and not 2 <= len(choices) <= 20:
        return _("Please give two to twenty answers to choose from, one a line.")
    if any(len(choice) > 100 for choice in choices):
        return _("An answer to choose from has at most 100 characters.")
    return ""


def current(owner: Owner) -> Questionnaire | None:
    """The version that is asked now; None where nothing is asked."""
    found = owner.questionnaires.order_by("-version").first()
    return found if found is not None and found.questions.exists() else None


def asked_of(shoot: Shoot) -> list[Asked]:
    """Everything that is asked about one shoot: the session's questions, then those of each add-on."""
    booking = shoot.booking
    owners: list[Owner] = [booking.session_type]
    owners += [row.add_on for row in booking.add_ons.select_related("add_on").order_by("starts_at", "pk")]
    found = []
    for owner in owners:
        questionnaire = current(owner)
        if questionnaire is not None:
            questions = list(questionnaire.questions.all())
            found.append(Asked(owner, questionnaire, questions, sheets(shoot, owner).first()))
    return found


def sheets(shoot: Shoot, owner: Owner) -> "QuerySet[AnswerSheet]":
    """Every sheet of a shoot about one thing, the newest (which counts) first."""
    of = (
        {"questionnaire__session_type": owner}
        if isinstance(owner, SessionType)
        else {"questionnaire__add_on": owner}
    )
    return AnswerSheet.objects.filter(shoot=shoot, **of).order_by("-pk")


def unanswered(shoot: Shoot) -> int:
    """How many questionnaires of a shoot have no sheet yet."""
    return sum(asked.sheet is None for asked in asked_of(shoot))


def answer(
    *,
    shoot_id: int,
    questionnaire_id: int,
    answers: Mapping[int, str | Sequence[str]],
    form_token: UUID,
    seen_id: int | None = None,
    by: Actor,
    now: datetime,
) -> AnswerSheet:
    """Keep a sheet of answers (question primary key → text, or texts for MULTI). The same form again is the same sheet.

    `seen_id` is the sheet the form was filled from (0: none yet). Where a newer one was kept meanwhile, in another tab
    or by somebody else, what this form left as it was stays as it is there: a field nobody touched erases nothing.
    Empty answers are left out, unknown questions are not looked at. A private answer is kept only from the sitter's own
    link; from any other, what the sitter said before stays. Raises NotNow, and DetailsRefused per question.
    """
    if found := AnswerSheet.objects.filter(form_token=form_token).first():
        return found
    try:
        with transaction.atomic():
            shoot = Shoot.objects.select_for_update(of=("self",)).select_related("booking").get(pk=shoot_id)
            booking = shoot.booking
            if booking.status not in (
                BookingStatus.CONFIRMED,
                BookingStatus.REQUESTED,
            ) or shoot.status not in (
                ShootStatus.PLANNED,
                ShootStatus.CHECKED_IN,
            ):
                raise NotNow(_("This session is over."))
            questionnaire = Questionnaire.objects.get(pk=questionnaire_id)
            owner: Owner | None = questionnaire.session_type or questionnaire.add_on
            if owner is None or not _is_booked(shoot, owner):
                raise NotNow(_("These questions do not belong to your session."))
            is_sitter = by.kind == ActorKind.CLIENT and by.id is not None and by.id == shoot.sitter_id
            open_rows, private_rows = _read(questionnaire, answers)
            before = sheets(shoot, owner).first()
            if seen_id is not None and before is not None and before.pk != seen_id:
                seen = sheets(shoot, owner).filter(pk=seen_id).first()
                open_rows = _merged(open_rows, seen.answers if seen else [], before.answers, questionnaire)
                private_rows = _merged(
                    private_rows, seen.private_answers if seen else [], before.private_answers, questionnaire
                )
            if not is_sitter:
                private_rows = before.private_answers if before else []
            return AnswerSheet.objects.create(
                shoot=shoot,
                questionnaire=questionnaire,
                form_token=form_token,
                answers=open_rows,
                private_answers=private_rows,
                answered_at=now,
                actor_kind=by.kind,
                actor_id=by.id,
                actor_label=by.label,
            )
    except IntegrityError:  # the other half of a double click
        return AnswerSheet.objects.get(form_token=form_token)


def _is_booked(shoot: Shoot, owner: Owner) -> bool:
    if isinstance(owner, SessionType):
        return shoot.booking.session_type_id == owner.pk
    return shoot.booking.add_ons.filter(add_on=owner).exists()


Rows = list[list[object]]


def _read(questionnaire: Questionnaire, answers: Mapping[int, str | Sequence[str]]) -> tuple[Rows, Rows]:
    """Open and private answers as they are kept."""
    rows: Rows = []
    private: Rows = []
    problems: dict[str, str] = {}
    for question in questionnaire.questions.all():
        raw = answers.get(question.pk, "")
        given = [raw] if isinstance(raw, str) else list(raw)
        given = [text.replace("\x00", "").strip() for text in given]
        given = [text for text in given if text]
        if any(len(text) > LONGEST_ANSWER for text in given):
            problems[str(question.pk)] = _("Please answer in at most 2,000 characters.")
        elif question.kind in _LISTS and not set(given) <= set(question.choices):
            problems[str(question.pk)] = _("Please choose one of the answers shown.")
        elif question.kind == QuestionKind.YES_NO and not set(given) <= {"yes", "no"}:
            problems[str(question.pk)] = _("Please answer yes or no.")
        elif given:
            kept: object = given if question.kind == QuestionKind.MULTI else given[0]
            (private if question.is_private else rows).append([question.pk, question.words, kept])
    if problems:
        raise DetailsRefused(problems)
    return rows, private


def _merged(typed: Rows, seen: Rows, newest: Rows, questionnaire: Questionnaire) -> Rows:
    """What was typed where it differs from what the form showed, else what is kept by now."""
    mine, shown, kept = ({words: answer for _pk, words, answer in rows} for rows in (typed, seen, newest))
    rows: Rows = []
    for question in questionnaire.questions.all():
        words = question.words
        answer = kept.get(words) if mine.get(words) == shown.get(words) else mine.get(words)
        if answer:
            rows.append([question.pk, words, answer])
    return rows


def suggested(owner: Owner) -> list[Draft]:
    """Questions to begin with, for a thing that has none: staff edit and publish them."""
    if isinstance(owner, SessionType):
        return [
            Draft(QuestionKind.TEXT, _("Where will you use the pictures?"), _("We light and crop for it.")),
            Draft(
                QuestionKind.YES_NO,
                _("Do you wear glasses you would like to keep on?"),
                _("We mind the glare."),
            ),
            Draft(
                QuestionKind.TEXT, _("Is there a picture of yourself you like? What do you like about it?")
            ),
        ]
    why = _("So that your artist brings the right things. You can leave it out.")
    if owner.kind == AddOnKind.MAKE_UP:
        return [
            Draft(QuestionKind.TEXT, _("Allergies or sensitive skin?"), why, is_private=True),
            Draft(QuestionKind.YES_NO, _("Do you usually wear make-up?"), ""),
            Draft(QuestionKind.YES_NO, _("Would you prefer a woman?"), _("We ask nothing further.")),
        ]
    if owner.kind == AddOnKind.HAIR:
        types = [_("straight"), _("wavy"), _("curly"), _("coily"), _("locs or braids"), _("very short")]
        return [
            Draft(QuestionKind.CHOICE, _("How would you call your hair?"), why, types),
            Draft(
                QuestionKind.YES_NO, _("Do you wear a head covering?"), _("We plan a private room."), (), True
            ),
            Draft(QuestionKind.TEXT, _("Allergies to products?"), why, is_private=True),
            Draft(QuestionKind.YES_NO, _("Would you prefer a woman?"), _("We ask nothing further.")),
        ]
    return []
