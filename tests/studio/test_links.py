"""A dead link's way on: one neutral answer for everybody, fresh links by mail for those we know."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from bookings.statuses import BookingStatus
from galleries.models import Gallery
from studio import credentials, links
from studio.actors import WORKER
from studio.models import Credential, LinkRequest, Message
from studio.transitions import move
from tests import factories
from tests.galleries.making import make_gallery
from tests.html import assert_no_inline

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Any:
    """robin@client.example may open one booking and one gallery."""
    factories.studio()
    robin = factories.client(name="Robin Sample", email="robin@client.example")

    def find(email: str, now: datetime) -> list[links.Opening]:
        if email != robin.email:
            return []
        return [
            links.Opening(robin, "Your booking", "booking", "b1"),
            links.Opening(robin, "Your pictures", "gallery", "g1"),
        ]

    monkeypatch.setattr(links, "_finders", [find])
    return robin


def ask(client: Client, email: str, **extra: Any) -> str:
    response = client.post(reverse("ask_for_link"), {"email": email}, **extra)
    assert response.status_code == 200
    return response.content.decode()


def answer_all(now: datetime = NOW) -> None:
    while links.answer_next(now=now):
        pass


def test_answer_is_the_same_for_known_and_unknown(client: Client, known: Any) -> None:
    assert ask(client, "robin@client.example") == ask(client, "nobody@client.example")
    assert Message.objects.count() == Credential.objects.count() == 0  # nothing is done before the answer


def test_page_does_the_same_work_for_known_and_unknown(client: Client, known: Any) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    counts = []
    for email in ("robin@client.example", "nobody@client.example"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            ask(client, email)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_known_address_gets_one_mail_with_a_fresh_link_to_each_thing(client: Client, known: Any) -> None:
    ask(client, " Robin@Client.example ")
    answer_all()
    message = Message.objects.get()
    assert message.to_address == "robin@client.example"
    assert message.body_text.count("/open/") == 2
    tokens = [word.rsplit("/", 1)[1] for word in message.body_text.split() if "/open/" in word]
    opened = [credentials.find(token, now=NOW) for token in tokens]
    assert [(c.scope, c.target, c.holder_id) for c in opened if c] == [
        ("booking", "b1", known.pk),
        ("gallery", "g1", known.pk),
    ]


def test_unknown_address_gets_nothing(client: Client, known: Any) -> None:
    ask(client, "nobody@client.example")
    answer_all()
    assert Message.objects.count() == Credential.objects.count() == 0
    assert LinkRequest.objects.get().answered_at == NOW


def test_a_request_is_answered_once(client: Client, known: Any) -> None:
    ask(client, "robin@client.example")
    answer_all()
    answer_all()
    assert Message.objects.count() == 1


def test_failing_finder_does_not_hold_up_the_others(known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    find = links._finders[0]

    def fails_for_one(email: str, now: datetime) -> Any:
        if email == "trouble@client.example":
            raise RuntimeError("a row nobody expected")
        return find(email, now)

    monkeypatch.setattr(links, "_finders", [fails_for_one])
    for email in ("trouble@client.example", "robin@client.example"):
        LinkRequest.objects.create(email=email, asked_at=NOW)
    answer_all()
    assert Message.objects.get().to_address == "robin@client.example"
    trouble = LinkRequest.objects.get(email="trouble@client.example")
    assert (trouble.attempts, trouble.answered_at) == (links.ATTEMPTS, None)


def test_one_address_is_written_to_three_times_an_hour_with_the_same_answer(
    client: Client, known: Any
) -> None:
    answers = {ask(client, "robin@client.example", REMOTE_ADDR=f"192.0.2.{n}") for n in range(5)}
    assert len(answers) == 1
    assert LinkRequest.objects.count() == links.PER_ADDRESS


def test_one_network_cannot_ask_for_everybody(client: Client, known: Any) -> None:
    for number in range(links.PER_NETWORK + 5):
        forwarded = {"X-Forwarded-For": f"198.51.100.{number}"}
        ask(client, f"somebody{number}@client.example", headers=forwarded)
    assert LinkRequest.objects.count() == links.PER_NETWORK


def test_an_address_longer_than_any_is_sent_back(client: Client) -> None:
    answer = client.post("/links/", {"email": f"{'a' * 300}@x.example"})
    assert (answer.status_code, LinkRequest.objects.exists()) == (422, False)


def test_what_is_no_address_is_sent_back(client: Client) -> None:
    response = client.post(reverse("ask_for_link"), {"email": "<script>@"})
    assert response.status_code == 422
    assert "not an e-mail address yet" in response.content.decode()
    assert LinkRequest.objects.count() == 0


def test_page_works_wherever_it_is_shown(client: Client) -> None:
    factories.studio()
    dead = client.get("/open/wrong").content.decode()
    assert_no_inline(dead)
    assert f'action="{reverse("ask_for_link")}"' in dead


def test_requests_are_forgotten_after_thirty_days() -> None:
    LinkRequest.objects.create(email="a@b.example", asked_at=NOW - timedelta(days=31))
    LinkRequest.objects.create(email="c@d.example", asked_at=NOW - timedelta(days=29))
    assert links.sweep(now=NOW) == 1
    assert LinkRequest.objects.get().email == "c@d.example"


# --- what the apps answer


def openings(email: str, now: datetime = NOW) -> list[tuple[str, str, int]]:
    return [(o.scope, o.target, o.to.pk) for finder in links._finders for o in finder(email, now)]


def test_payer_and_sitter_get_their_bookings() -> None:
    payer = factories.client(email="firm@client.example")
    sitter = factories.client(email="sitter@client.example")
    booked = factories.booking(payer=payer, sitter=sitter)
    assert openings("FIRM@client.example") == [("booking", booked.public_id, payer.pk)]
    assert openings("sitter@client.example") == [("booking", booked.public_id, sitter.pk)]
    assert openings("nobody@client.example") == []


def test_what_is_over_or_erased_is_not_opened_again() -> None:
    payer = factories.client(email="firm@client.example")
    booked = factories.booking(payer=payer)
    factories.booking(payer=payer, status=BookingStatus.CANCELLED)
    found = openings("firm@client.example")  # "mine" lists what is over too; a link of its own has it no more
    assert [target for scope, target, _holder in found if scope == "booking"] == [booked.public_id]
    assert openings("firm@client.example", booked.ends_at + timedelta(days=401)) == []
    payer.erased_at = NOW
    payer.save()
    assert openings("firm@client.example") == []


def test_gallery_is_opened_while_it_shows_something() -> None:
    sitter = factories.client(email="sitter@client.example")
    shoot = factories.shoot(payer=sitter)
    gallery = make_gallery(now=NOW, shoot=shoot)
    booking = ("booking", shoot.booking.public_id, sitter.pk)
    assert openings("sitter@client.example") == [booking]
    move(Gallery, gallery.pk, "publish_proofs", by=WORKER, now=NOW)
    assert openings("sitter@client.example") == [booking, ("gallery", gallery.public_id, sitter.pk)]
    Gallery.objects.filter(pk=gallery.pk).update(finals_expire_at=NOW)
    assert openings("sitter@client.example") == [booking]
