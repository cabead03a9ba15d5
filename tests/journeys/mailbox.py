"""A mail server that keeps what it is sent: the mails of a journey arrive by SMTP like anybody's."""

import contextlib
import re
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

LINK = re.compile(r"https?://\S+/open/[A-Za-z0-9_-]+")


@dataclass(slots=True)
class Mailbox:
    """All mails received, oldest first."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)

    def to(self, address: str, *, subject: str = "") -> list[EmailMessage]:
        """The mails to an address whose subject contains these words."""
        return [mail for mail in list(self.mails) if address in mail["To"] and subject in mail["Subject"]]


def text_of(mail: EmailMessage) -> str:
    """What a person reads."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def link_in(mail: EmailMessage) -> str:
    """The private link of a mail."""
    found = LINK.search(text_of(mail))
    assert found, text_of(mail)
    return found[0]


def attachments(mail: EmailMessage) -> dict[str, str]:
    """File name → text."""
    return {str(part.get_filename()): part.get_content() for part in mail.iter_attachments()}


@contextlib.contextmanager
def receiving_mail() -> Iterator[Mailbox]:
    """A server on loopback for the length of the block."""
    mailbox = Mailbox()

    class Clerk(socketserver.StreamRequestHandler):
        """As much of RFC 5321 as a sending program needs."""

        def handle(self) -> None:
            self.say("220 mailbox")
            while line := self.rfile.readline():
                verb = line[:4].upper().strip()
                if verb == b"DATA":
                    self.say("354 go on")
                    mailbox.mails.append(self.letter())
                self.say("221 bye" if verb == b"QUIT" else "250 ok")
                if verb == b"QUIT":
                    return

        def letter(self) -> EmailMessage:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line[1:] if line.startswith(b"..") else line)
            return message_from_bytes(b"".join(lines), policy=policy.default)

        def say(self, words: str) -> None:
            self.wfile.write(words.encode() + b"\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Clerk) as server:
        server.daemon_threads = True
        mailbox.port = int(server.server_address[1])
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            yield mailbox
        finally:
            server.shutdown()
