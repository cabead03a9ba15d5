"""Questionnaires, agreements and the thread: versions, who may, and what is kept when things come twice."""

from datetime import timedelta
from uuid import uuid4

import pytest

from bookings import agreements, questionnaires, thread
from bookings.models import AgreementKind, AnswerSheet, Signature, ThreadEntry
from bookings.questionnaires import Draft
from bookings.refusals import DetailsRefused, NotNow
from studio.actors import Actor, ActorKind
from studio.models import Message
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db
OWNER = Actor(ActorKind.USER, 1, "Owner")
USUAL = (
    Draft("text", "Where?"),
    Draft("multi", "Which?", choices=["a", "b"]),
    Draft("text", "Health?", is_private=True),
)


@pytest.fixture
def shoot():
    place = factories.location()
    kind = factories.session_type(locations=[place], allows_minors=True, add_ons=[factories.add_on()])
    sitter = factories.client(name="Ada Sitter")
    return factories.shoot(session_type=kind, sitter=sitter)


@pytest.fixture
def sitter(shoot):
    return Actor(ActorKind.CLIENT, shoot.sitter_id, shoot.sitter.name)


@pytest.fixture
def payer(shoot):
    return Actor(ActorKind.CLIENT, shoot.booking.payer_id, "Payer")


def ask(shoot, *drafts):
    return questionnaires.publish(
        owner=shoot.booking.session_type,
        drafts=drafts or USUAL,
        by=OWNER, now=NOW,
    )  # fmt: skip


def reply(shoot, questionnaire, by, *values, token=None, now=NOW):
    pks = questionnaire.questions.values_list("pk", flat=True)
    return questionnaires.answer(
        shoot_id=shoot.pk, questionnaire_id=questionnaire.pk, answers=dict(zip(pks, values, strict=False)),
        form_token=token or uuid4(), by=by, now=now,
    )  # fmt: skip


def test_a_changed_questionnaire_is_a_new_version_and_old_answers_stay_readable(shoot, sitter):
    first = ask(shoot)
    reply(shoot, first, sitter, "LinkedIn", ["b"], "nuts")
    second = ask(shoot, Draft("text", "Where?"), Draft("yes_no", "Glasses?"))
    assert (first.version, second.version, first.questions.count()) == (1, 2, 3)
    asked = questionnaires.asked_of(shoot)[0]
    assert asked.questionnaire == second
    assert [asked.answer_of(question) for question in asked.questions] == ["LinkedIn", ""]


def test_answered_twice_keeps_the_newest_and_the_history(shoot, sitter):
    questionnaire, token = ask(shoot), uuid4()
    first = reply(shoot, questionnaire, sitter, "LinkedIn", token=token)
    assert reply(shoot, questionnaire, sitter, "LinkedIn", token=token).pk == first.pk  # a double click
    second = reply(shoot, questionnaire, sitter, "Press 🎈 <b>", now=NOW + timedelta(hours=1))
    assert AnswerSheet.objects.count() == 2
    sheets = questionnaires.sheets(shoot, shoot.booking.session_type)
    assert [row.answers[0][2] for row in sheets] == ["Press 🎈 <b>", "LinkedIn"]
    assert sheets.first() == second


def test_private_answers_come_from_the_sitter_alone(shoot, sitter, payer):
    questionnaire = ask(shoot)
    reply(shoot, questionnaire, sitter, "", "", "nuts")
    sheet = reply(shoot, questionnaire, payer, "LinkedIn", "", "nothing at all")
    assert [row[2] for row in sheet.private_answers] == ["nuts"]
    assert [row[2] for row in sheet.answers] == ["LinkedIn"]


def test_answers_that_were_not_offered_are_refused_and_nothing_is_kept(shoot, sitter):
    questionnaire = ask(shoot)
    with pytest.raises(DetailsRefused):
        reply(shoot, questionnaire, sitter, "x" * 2001)
    with pytest.raises(DetailsRefused):
        reply(shoot, questionnaire, sitter, "", ["c"])
    other = factories.shoot()
    with pytest.raises(NotNow):
        reply(other, questionnaire, sitter, "hello")
    assert AnswerSheet.objects.count() == 0


@pytest.mark.parametrize(
    "draft",
    [
        Draft("text", ""),
        Draft("choice", "Which?", choices=["one"]),
        Draft("file", "x"),
        Draft("text", "x" * 201),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(shoot, draft):
    with pytest.raises(DetailsRefused):
        ask(shoot, draft)


def text(kind=AgreementKind.AGREEMENT, body="We photograph you."):
    return agreements.publish_text(kind=kind, title="Agreement", body=body, by=OWNER, now=NOW)


def test_a_signature_names_version_name_and_time(shoot, sitter):
    signed = agreements.sign(
        shoot_id=shoot.pk, text_id=text().pk, typed_name=" Ada  Sitter ", by=sitter, now=NOW
    )
    assert (signed.typed_name, signed.text.version, signed.signed_at) == ("Ada Sitter", 1, NOW)
    again = agreements.sign(shoot_id=shoot.pk, text_id=signed.text_id, typed_name="Other", by=sitter, now=NOW)
    assert (again.pk, again.typed_name) == (signed.pk, "Ada Sitter")


@pytest.mark.parametrize("typed", ["X", "x.", "42", "-- 7 --", "🎈🎈", " é "])
def test_what_nobody_is_called_signs_nothing(shoot, sitter, typed):
    with pytest.raises(DetailsRefused, match="your name in full"):
        agreements.sign(shoot_id=shoot.pk, text_id=text().pk, typed_name=typed, by=sitter, now=NOW)
    assert Signature.objects.count() == 0


@pytest.mark.parametrize("typed", ["Jo", "O'Dea", "李明", "နု", "Þ. Á.", "אב", "X Æ A-12"])
def test_a_name_of_any_script_and_of_one_word_signs(shoot, sitter, typed):
    signed = agreements.sign(shoot_id=shoot.pk, text_id=text().pk, typed_name=typed, by=sitter, now=NOW)
    assert signed.typed_name == typed


def test_an_old_version_is_not_signed_and_the_same_words_make_no_version(shoot, sitter):
    old = text()
    assert text().pk == old.pk
    new = text(body="Other words.")
    assert new.version == 2
    with pytest.raises(NotNow, match="newer version"):
        agreements.sign(shoot_id=shoot.pk, text_id=old.pk, typed_name="Ada", by=sitter, now=NOW)


def test_only_the_sitter_signs_for_a_grown_sitter(shoot, payer):
    with pytest.raises(NotNow):
        agreements.sign(shoot_id=shoot.pk, text_id=text().pk, typed_name="Ada", by=payer, now=NOW)
    assert Signature.objects.count() == 0


def test_under_18_the_guardian_signs_and_no_release_is_offered(shoot, sitter, payer):
    shoot.sitter_is_minor, shoot.guardian_name = True, "Grace Guardian"
    shoot.save()
    agreement, release = text(), text(AgreementKind.RELEASE)
    assert [row.kind for row, _signed in agreements.offered_to(shoot)] == ["agreement"]
    with pytest.raises(NotNow):
        agreements.sign(shoot_id=shoot.pk, text_id=release.pk, typed_name="Grace Guardian", by=payer, now=NOW)
    for typed in ("Ada Sitter", "X"):
        with pytest.raises(DetailsRefused, match="please type Grace Guardian"):
            agreements.sign(shoot_id=shoot.pk, text_id=agreement.pk, typed_name=typed, by=sitter, now=NOW)
    signed = agreements.sign(
        shoot_id=shoot.pk, text_id=agreement.pk, typed_name="grace guardian", by=payer, now=NOW
    )
    assert (signed.is_guardian, signed.sitter_name) == (True, "Ada Sitter")


def test_a_question_reaches_the_studio_and_the_answer_the_one_who_asked(shoot, sitter):
    token = uuid4()
    for _click in range(2):
        thread.ask(
            booking_id=shoot.booking_id, text="May I bring my dog?", form_token=token, by=sitter, now=NOW
        )
    assert ThreadEntry.objects.count() == 1
    to_studio = Message.objects.get(name="desk_question")
    assert (to_studio.to_address, "my dog" in to_studio.body_text) == ("hello@northlight.example", True)
    thread.answer(booking_id=shoot.booking_id, text="Please do.", form_token=uuid4(), by=OWNER, now=NOW)
    answered = Message.objects.get(name="booking_answer")
    assert answered.to_address == shoot.sitter.email
    assert thread.open_entries().count() == 0


def test_an_empty_or_endless_question_is_refused(shoot, sitter):
    for words in ("  ", "x" * 4001):
        with pytest.raises(DetailsRefused):
            thread.ask(booking_id=shoot.booking_id, text=words, form_token=uuid4(), by=sitter, now=NOW)
    assert ThreadEntry.objects.count() == 0
