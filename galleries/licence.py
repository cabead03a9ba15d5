"""The print release: what the client may do with the pictures, as a paper to show at a print shop or to an editor."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from galleries import deadlines
from galleries.models import Delivery, Gallery
from studio.documents import Paper
from studio.models import Studio

USUAL = gettext_lazy(
    "You may use these pictures without limit in time and place for anything about yourself and your work: profiles, "
    "websites, applications, press, speaker pages, print. You may have them printed as often as you like, by any print "
    "shop. The firm you work for may use them in the same way while they show you in your role there.\n\n"
    "Please do not sell them, give them on as stock, change your face in them, or let them be used to train or feed a "
    "system that makes pictures. The copyright stays with the studio."
)


def words(studio: Studio) -> str:
    """The studio's own words, else the usual ones."""
    return studio.licence_text.strip() or str(USUAL)


def paper(gallery: Gallery, delivery: Delivery, *, studio: Studio, now: datetime) -> bytes:
    """The print release of a delivery as PDF: whose pictures, which files, what is allowed, by whom and when.

    The same delivery makes the same bytes, whenever it is asked for: it is dated when the pictures were delivered.
    """
    zone = ZoneInfo(gallery.shoot.booking.location.zone)
    delivered_at = delivery.delivered_at.astimezone(zone)
    sitter = deadlines.sitter_of(gallery)
    sheet = Paper(title=_("Print release"), by=studio.name, at=delivered_at)
    sheet.heading(_("Print release and licence"))
    sheet.facts(
        [
            (_("Pictures of"), sitter.name if sitter else gallery.shoot.code),
            (_("Session"), formats.date_format(gallery.shoot.starts_at.astimezone(zone), "j F Y")),
            (_("Delivered"), formats.date_format(delivered_at, "j F Y")),
            (_("Photographed by"), studio.name),
            (_("Copyright"), studio.copyright_line or f"© {studio.name}"),
            (_("Reference"), f"{gallery.shoot.code}-{delivery.number}"),
        ]
    )
    sheet.rule()
    sheet.text(words(studio))
    sheet.ln(4)
    sheet.heading(_("The files"), size=12)
    rows = [
        [file.name, f"{file.rendition.sha256[:16]}…"] for file in delivery.files.select_related("rendition")
    ]
    sheet.lines([_("File"), _("SHA-256 begins with")], rows, widths=[3, 2])
    contact = " · ".join(part for part in (studio.name, studio.email, studio.phone) if part)
    sheet.text(_("Questions about this paper: %(contact)s") % {"contact": contact}, is_quiet=True)
    return sheet.bytes()
