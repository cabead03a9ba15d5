"""A mail drawn from its text: the same words, links to tap, nothing that could run."""

from datetime import UTC, datetime

import pytest
from django.core import mail

from studio import outbox
from studio.letters import Block, blocks
from studio.models import Message
from tests import factories

LINK = "http://testserver/open/" + "s" * 43
NOW = datetime(2026, 11, 16, 10, 0, tzinfo=UTC)


def test_paragraphs_stay_paragraphs() -> None:
    assert blocks("Hello Robin,\n\nyour time is booked.\nSee you.\n") == [
        Block(("Hello Robin,",)),
        Block(("your time is booked.", "See you.")),
    ]


def test_link_alone_is_a_button_without_label() -> None:
    assert blocks("Here it is:\n\nhttps://a.example/open/x\n\nBye") == [
        Block(("Here it is:",)),
        Block(url="https://a.example/open/x"),
        Block(("Bye",)),
    ]


def test_short_line_above_is_the_label_and_a_sentence_is_not() -> None:
    assert blocks("Your booking\nhttps://a.example/1\nYour pictures\nhttps://a.example/2") == [
        Block(url="https://a.example/1", label="Your booking"),
        Block(url="https://a.example/2", label="Your pictures"),
    ]
    assert blocks("Please open this page:\nhttps://a.example/1") == [
        Block(("Please open this page:",)),
        Block(url="https://a.example/1"),
    ]


def test_link_within_words_stays_there() -> None:
    assert blocks("See https://a.example/1 for more") == [Block(("See https://a.example/1 for more",))]


@pytest.mark.django_db
def test_mail_without_html_of_its_own_is_drawn_from_its_text() -> None:
    factories.studio(name="Morrow <Portraits>")
    robin = factories.client(name="Robin <script>", email="robin@client.example")
    context = {"links": [{"label": "Your & booking", "url": LINK}]}
    outbox.queue_message("fresh_links", to=robin, about=None, context=context, now=NOW)
    outbox.send_next(now=NOW)
    (sent,) = mail.outbox
    html = sent.alternatives[0].content
    assert sent.alternatives[0].mimetype == "text/html"
    assert f'href="{LINK}"' in html
    assert ">Your &amp; booking</a>" in html
    assert "Robin &lt;script&gt;" in html
    assert "Morrow &lt;Portraits&gt;" in html
    assert "<script" not in html
    assert LINK in sent.body
    assert LINK not in Message.objects.get().body_html
