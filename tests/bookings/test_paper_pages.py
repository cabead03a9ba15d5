"""The client's own pages: add-ons, questions, the agreement, the thread, all bookings; the desk beside."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from bookings import agreements, questionnaires
from bookings.mine_views import address_key
from bookings.models import AnswerSheet, Placement, Refund, Signature, ThreadEntry
from bookings.questionnaires import Draft
from galleries import private_notes
from studio import credentials, links
from studio.actors import Actor, ActorKind
from studio.models import Message, Role
from tests import factories
from tests.galleries.making import sign_in
from tests.html import assert_no_inline

pytestmark = pytest.mark.django_db
OWNER = Actor(ActorKind.USER, 1, "Owner")
NOON = datetime(2026, 11, 16, 18, tzinfo=UTC)
TEN = datetime(2026, 11, 24, 16, tzinfo=UTC)
NASTY = "<script>alert(1)</script> 🎈 \u202eעברית {{ 7|add:7 }}"


@pytest.fixture(autouse=True)
def noon(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOON)


@pytest.fixture
def booked():
    place = factories.location()
    factories.crew(place)
    picture = factories.add_on(
        name="One more", kind="extra_finals", placement=Placement.NO_TIME, minutes=0, price=4500, finals=1
    )
    kind = factories.session_type(locations=[place], add_ons=[factories.add_on(name="Make-up"), picture])
    questionnaires.publish(
        owner=kind, by=OWNER, now=NOON,
        drafts=[
            Draft("text", "Where?"),
            Draft("multi", "Which?", "", ["a", "b"]),
            Draft("text", "Health?", is_private=True),
        ],
    )  # fmt: skip
    agreements.publish_text(
        kind="agreement", title="Agreement", body="We photograph you.", by=OWNER, now=NOON
    )
    payer = factories.client(name="Ada Long", email="ada@client.example")
    return factories.booking(session_type=kind, starts_at=TEN, payer=payer, is_paid=True)


@pytest.fixture
def ada(client, booked):
    """Ada's browser, her link opened."""
    given = credentials.grant(
        scope="booking", target=booked.public_id, now=NOON, holder_id=booked.payer_id, holder_label="Ada Long"
    )
    client.get(given.url.removeprefix("http://testserver"))
    return client


def page(name, booked, *more):
    return reverse(name, args=[booked.public_id, *more])


def test_the_page_lists_what_is_to_do_and_ticks_it_off(ada, booked):
    shown = ada.get(page("booking", booked)).text
    assert_no_inline(shown)
    assert shown.count(">Open</span>") == 2
    ada.post(
        page("booking_sign", booked, "agreement"),
        {"text": agreements.current("agreement").pk, "typed_name": "Ada"},
    )
    assert ada.get(page("booking", booked)).text.count(">Open</span>") == 1
    assert "Signed by Ada" in ada.get(page("booking_sign", booked, "agreement")).text
    copy = ada.get(page("booking_signed", booked, Signature.objects.get().public_id))
    assert (copy.headers["Content-Type"], copy.content[:4]) == ("application/pdf", b"%PDF")


def test_a_letter_is_no_signature_and_what_was_typed_stays(ada, booked):
    address = page("booking_sign", booked, "agreement")
    refused = ada.post(address, {"text": agreements.current("agreement").pk, "typed_name": "X"})
    assert (refused.status_code, Signature.objects.count()) == (422, 0)
    assert "Please type your name in full" in refused.text and 'value="X"' in refused.text


def test_add_ons_show_the_price_first_and_change_on_the_second_tap(ada, booked):
    make_up = booked.session_type.add_ons.get(name="Make-up")
    shown = ada.get(page("booking_add_ons", booked), {"chosen": 1, f"add-{make_up.pk}": 1})
    assert_no_inline(shown.text)
    assert "$270" in shown.text and "09:15" in shown.text
    booked.refresh_from_db()
    assert booked.price == 18000
    form = {"chosen": 1, "confirm": 1, f"add-{make_up.pk}": 1, "price": 27000, "back": 0}
    answer = ada.post(page("booking_add_ons", booked), form, follow=True)
    assert "The difference is open" in answer.text
    ada.post(page("booking_add_ons", booked), form)  # the second tab
    booked.refresh_from_db()
    assert (booked.price, booked.add_ons.count()) == (27000, 1)
    assert Message.objects.filter(name="booking_changed").count() == 1


def test_what_is_done_costs_what_was_shown(ada, booked):
    make_up = booked.session_type.add_ons.get(name="Make-up")
    form = {"chosen": 1, "confirm": 1, f"add-{make_up.pk}": 1, "price": 27000, "back": 0}
    type(make_up).objects.filter(pk=make_up.pk).update(price=10000)  # the list changed while they read
    answer = ada.post(page("booking_add_ons", booked), form)
    assert answer.status_code == 409
    assert "has changed" in answer.text and "$280" in answer.text
    assert not booked.add_ons.exists()
    assert ada.post(page("booking_add_ons", booked), form | {"price": 28000}).status_code == 302
    assert booked.add_ons.count() == 1


@pytest.mark.parametrize("shown", ["17999", "", "nothing", "9" * 40, None])
def test_cancelling_gives_back_what_was_shown_or_asks_again(ada, booked, shown):
    address = page("booking_cancel", booked)
    assert 'name="shown" value="18000"' in ada.get(address).text
    answer = ada.post(address, {} if shown is None else {"shown": shown})
    assert answer.status_code == 409
    assert "has changed" in answer.text and 'name="shown" value="18000"' in answer.text
    booked.refresh_from_db()
    assert booked.status == "confirmed"
    assert ada.post(address, {"shown": "18000"}).status_code == 302
    assert sum(Refund.objects.values_list("amount", flat=True)) == 18000


def test_a_forged_add_on_is_refused(ada, booked):
    foreign = factories.add_on()
    for form in ({f"add-{foreign.pk}": 1}, {"add-x": "1"}, {"add-999999": "1"}):
        answer = ada.post(page("booking_add_ons", booked), {"chosen": 1, "confirm": 1, **form})
        assert answer.status_code == 409
        assert "not offered" in answer.text
    assert booked.add_ons.count() == 0


def test_answers_are_kept_shown_again_and_private_ones_stay_behind_the_tap(ada, booked):
    first = booked.session_type.questionnaires.get()
    where, which, health = first.questions.all()
    form = {"questionnaire": first.pk, "form_token": str(uuid4())}
    form |= {f"q-{where.pk}": NASTY, f"q-{which.pk}": ["a", "b"], f"q-{health.pk}": "nuts"}
    for _click in range(2):
        assert ada.post(page("booking_questions", booked), form).status_code == 302
    assert AnswerSheet.objects.count() == 1
    again = ada.get(page("booking_questions", booked)).text
    assert_no_inline(again)
    assert "&lt;script&gt;" in again and "nuts" in again
    sign_in(ada, factories.user(Role.OWNER))
    desk = ada.get(page("desk_booking", booked)).text
    assert "&lt;script&gt;" in desk and "nuts" not in desk and "{{ 7|add:7 }}" in desk
    shoot = booked.shoots.get()
    assert "nuts" in ada.get(reverse("desk_nerves", args=[shoot.public_id])).text
    assert private_notes.forget_due(now=TEN + timedelta(days=121)) == 1
    assert private_notes.forget_due(now=TEN + timedelta(days=121)) == 0
    assert "nuts" not in ada.get(reverse("desk_nerves", args=[shoot.public_id])).text


def test_two_tabs_erase_none_of_each_others_answers(ada, booked):
    first = booked.session_type.questionnaires.get()
    where, which, health = first.questions.all()
    seen = re.search(
        rf'name="seen-{first.pk}" value="(\d+)"', ada.get(page("booking_questions", booked)).text
    )
    base = {"questionnaire": first.pk, f"seen-{first.pk}": seen.group(1)}
    one = base | {f"q-{where.pk}": "LinkedIn", f"q-{which.pk}": ["a"], f"q-{health.pk}": "nuts"}
    two = base | {f"q-{where.pk}": "", f"q-{which.pk}": ["b"], f"q-{health.pk}": ""}
    for tab in (one, two):
        assert ada.post(page("booking_questions", booked), tab).status_code == 302
    newest = AnswerSheet.objects.latest("pk")
    assert [row[2] for row in newest.answers] == ["LinkedIn", ["b"]]
    assert [row[2] for row in newest.private_answers] == ["nuts"]
    erased = two | {f"seen-{first.pk}": newest.pk}  # who saw it and takes it back erases it
    assert ada.post(page("booking_questions", booked), erased).status_code == 302
    assert [row[2] for row in AnswerSheet.objects.latest("pk").answers] == [["b"]]


def test_a_wrong_answer_loses_nothing_that_was_typed(ada, booked):
    first = booked.session_type.questionnaires.get()
    where, which, _health = first.questions.all()
    form = {"questionnaire": first.pk, f"q-{where.pk}": "A long thought", f"q-{which.pk}": ["forged"]}
    answer = ada.post(page("booking_questions", booked), form)
    assert answer.status_code == 422
    assert "A long thought" in answer.text and "one of the answers shown" in answer.text
    assert AnswerSheet.objects.count() == 0


def test_a_question_lands_on_the_desk_and_comes_back_by_mail(ada, booked):
    form = {"form_token": str(uuid4()), "text": NASTY}
    for _click in range(2):
        ada.post(page("booking_ask", booked), form)
    assert ThreadEntry.objects.count() == 1
    too_long = ada.post(page("booking_ask", booked), {"text": "x" * 4001}, follow=True).text
    assert "at most 4,000" in too_long and "x" * 4001 in too_long
    owner = factories.user(Role.OWNER)
    sign_in(ada, owner)
    assert "Ada Long" in ada.get(reverse("desk")).text
    ada.post(page("desk_answer", booked), {"text": "Do bring him.", "form_token": str(uuid4())})
    mail = Message.objects.get(name="booking_answer")
    assert (mail.to_address, "Do bring him." in mail.body_text) == ("ada@client.example", True)
    assert "Clients ask" not in ada.get(reverse("desk")).text


def test_one_address_sees_all_its_bookings_by_one_link(client, booked):
    second = factories.booking(
        session_type=booked.session_type, starts_at=TEN + timedelta(days=1),
        payer=factories.client(name="A. Long", email="ADA@client.example"),
    )  # fmt: skip
    strangers = factories.booking(session_type=booked.session_type, starts_at=TEN + timedelta(days=2))
    links.ask(email="ada@client.example", network="test", now=NOON)
    links.answer_next(now=NOON)
    mail = Message.objects.get(name="fresh_links")
    assert mail.body_text.count("/open/") == 3
    first_link = re.search(r"http://testserver(/open/\S+)", mail.body_text).group(1)
    shown = client.get(first_link, follow=True).text
    assert shown.count(">Open</button>") == 2
    key = address_key("ada@client.example")
    assert client.get(page("booking", second)).status_code == 404
    assert client.post(reverse("mine_open", args=[key, second.public_id])).status_code == 302
    assert client.get(page("booking", second)).status_code == 200
    assert client.post(reverse("mine_open", args=[key, strangers.public_id])).status_code == 404


def test_the_desk_says_why_no_answer_stands_there(client, booked):
    asked, shoot = booked.session_type.questionnaires.get(), booked.shoots.get()
    sitter = Actor(ActorKind.CLIENT, shoot.sitter_id, "Ada Long")
    health = asked.questions.get(is_private=True)

    def answer(answers):
        questionnaires.answer(
            shoot_id=shoot.pk, questionnaire_id=asked.pk, answers=answers, form_token=uuid4(), by=sitter, now=NOON
        )  # fmt: skip

    sign_in(client, factories.user(Role.PHOTOGRAPHER))
    answer({})
    assert "Sent with nothing filled in." in client.get(page("desk_booking", booked)).text
    answer({health.pk: ["nuts"]})
    shown = client.get(page("desk_booking", booked)).text
    assert "Only private answers, for the photographer alone." in shown and "nuts" not in shown
    assert "Answered by Ada Long, " in shown
    AnswerSheet.objects.update(private_answers=[], erased_at=NOON)
    assert "Only private answers, erased since." in client.get(page("desk_booking", booked)).text


def test_staff_build_a_questionnaire_and_mistakes_cost_nothing(client, booked):
    sign_in(client, factories.user(Role.PHOTOGRAPHER))
    address = reverse("desk_questionnaire", args=["session", booked.session_type_id])
    assert_no_inline(client.get(address).text)
    rows = {"order": ["2", "1"], "kind": ["choice", "text"], "words": ["Which?", "Where?"], "why": ["", ""],
            "choices": ["only one", ""], "private": ["no", "yes"]}  # fmt: skip
    wrong = client.post(address, rows)
    assert wrong.status_code == 422
    assert "two to twenty answers" in wrong.text and "only one" in wrong.text
    assert client.post(address, rows | {"choices": ["one\ntwo", ""]}).status_code == 302
    made = questionnaires.current(booked.session_type)
    assert [(row.words, row.is_private, row.choices) for row in made.questions.all()] == [
        ("Where?", True, []),
        ("Which?", False, ["one", "two"]),
    ]
    make_up = booked.session_type.add_ons.get(name="Make-up")
    assert "Allergies" in client.get(reverse("desk_questionnaire", args=["add-on", make_up.pk])).text
    assert client.get(reverse("desk_agreement", args=["release"])).status_code == 200
    assert (
        client.post(reverse("desk_agreement", args=["release"]), {"title": "", "body": ""}).status_code == 422
    )
    assert Signature.objects.count() == 0
