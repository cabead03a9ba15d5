"""What the studio itself shows on the desk."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from studio import desk, texts
from studio.access import messages_of
from studio.models import Channel, MessageStatus, Role

FRONT = frozenset({Role.OWNER, Role.PHOTOGRAPHER})
STALE = timedelta(hours=12)  # a reminder of this morning is of no use in the evening

desk.link("message_list", label=_("Messages"), order=90, roles=FRONT)


@desk.panel("texts", template="studio/panels/texts.html", order=14, roles=FRONT)
def texts_to_send(request: HttpRequest, now: datetime) -> Mapping[str, Any] | None:
    """Texts that are due where no provider carries them: one tap opens the phone's messages, filled in."""
    rows = messages_of(request).filter(
        channel=Channel.SMS, status=MessageStatus.BY_HAND, due_at__gt=now - STALE
    )
    found = [
        {"message": row, "link": texts.hand_link(row.to_address, row.body_text)}
        for row in rows.order_by("due_at")[:20]
    ]
    return {"texts": found} if found else None
