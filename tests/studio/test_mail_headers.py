"""Names in the headers of mail: whatever somebody calls themselves, one address is written to, and no other."""

import pytest
from django.core import mail

from studio import outbox
from studio.models import Message
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Bob\\", "Bob"),
        ('Bob" <other@x.example>, "', "Bob <other@x.example>, "),
        ("Bob, Alice; all:", "Bob, Alice; all:"),
        ("Bob\r\nBcc: other@x.example", "BobBcc: other@x.example"),
        ("Zoë 名前 \U0001f600 שלום", "Zoë 名前 \U0001f600 שלום"),
        ("x" * 150, "x" * 150),
        ("\\", ""),
    ],
)
def test_a_name_stays_a_name(name: str, shown: str) -> None:
    to = factories.client(name=name, email="bob@client.example")
    outbox.queue_message("fresh_links", to=to, about=None, context={"links": []}, now=NOW)
    outbox.send_next(now=NOW)
    (sent,) = mail.outbox
    (address,) = sent.message()["To"].addresses
    assert (address.display_name.strip(), address.addr_spec) == (shown.strip(), "bob@client.example")
    assert sent.message()["Bcc"] is None


def test_the_studios_own_name_is_said_as_it_is_in_every_subject() -> None:
    factories.studio(name="Smith & Co's")
    to = factories.client()
    outbox.queue_message("fresh_links", to=to, about=None, context={"links": []}, now=NOW)
    assert Message.objects.get().subject == "Your links to Smith & Co's"
