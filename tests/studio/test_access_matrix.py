"""Every address, as every role, by the table in docs/security.md. A URL without a row there fails here."""

import logging
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from bookings.mine_views import address_key
from bookings.models import ArtistAsk, Booking
from bookings.statuses import BookingStatus
from galleries.models import Card, DataCopy, Leak, Pick, Retouch, Upload
from studio import credentials
from studio.actors import WORKER
from studio.models import Credential, Message, Role
from studio.transitions import begin, move
from tests import factories
from tests.galleries.framing import make_photo
from tests.galleries.making import make_gallery, sign_in

STAFF = ("photographer", "artist", "retoucher", "owner")
GUESTS = ("anonymous", "stranger", "revoked", "expired", "shared", "client")
# Values for the parts of an address that are not the public_id of the thing itself.
EXAMPLES: dict[str, object] = {
    "slug": "portrait",
    "name": "nothing",
    "number": 1,
    "file_id": 1,
    "size": "square",
    "retouch_id": "retouch",
    "kind": "txt",
    "deed": "nothing",
    "verb": "check-in",
    "pk": 1,
    "id": 1,
    "signed": "nothing",
    "token": "nothing",
    "key": "nothing",
    "uidb36": "1",
    "app_label": "studio",
    "content_type_id": 1,
    "object_id": "1",
    "url": "nothing",
}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    page: str
    of: str
    reads: frozenset[str]
    writes: frozenset[str]


def words(cell: str) -> frozenset[str]:
    found = {word.strip() for word in cell.split(",")} - {"", "—"}
    return frozenset(found | ({"owner"} if found & {*STAFF, "staff"} else set()))


@cache
def table() -> dict[str, Row]:
    text = (Path(settings.BASE_DIR) / "docs" / "security.md").read_text()
    section = text.split("## Who sees what")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in section.splitlines()]
    found = [Row(r[0], r[1], words(r[2]), words(r[3])) for r in rows if len(r) == 4][2:]
    return {row.page: row for row in found}


def url_names(patterns: list[Any] | None = None, prefix: str = "") -> Iterator[str]:
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(entry, URLResolver):
            inner = f"{prefix}{entry.namespace}:" if entry.namespace else prefix
            yield from url_names(entry.url_patterns, inner)
        elif isinstance(entry, URLPattern):
            yield f"{prefix}{entry.name or entry.pattern}"


UNNAMED = {"admin/login/", "admin:(?P<url>.*)$"}  # they redirect to the sign-in


def row_of(name: str) -> Row | None:
    if exact := table().get(name):
        return exact
    return next((row for page, row in table().items() if "*" in page and fnmatchcase(name, page)), None)


def test_every_address_has_its_row() -> None:
    without = sorted({name for name in url_names() if name not in UNNAMED and row_of(name) is None})
    assert without == [], "add them to the table in docs/security.md"


def test_every_row_has_its_address() -> None:
    names = set(url_names())
    assert [page for page in table() if not any(fnmatchcase(name, page) for name in names)] == []


def test_table_uses_only_known_words() -> None:
    known = {"everybody", "client", "shared", "staff", "outside", *STAFF}
    assert set().union(*(row.reads | row.writes for row in table().values())) <= known


@dataclass
class World:
    """One of everything that has an address, and browsers that come with every right to it or none."""

    public_ids: dict[str, str]
    examples: dict[str, object]
    browsers: dict[str, Client]


def open_in(browser: Client, scope: str, target: str, holder: Any, now: datetime) -> Credential:
    given = credentials.grant(
        scope=scope, target=target, holder_id=holder.pk, holder_label=holder.name, now=now
    )
    assert browser.get(given.url.removeprefix(settings.SITE_URL)).status_code == 302
    return given.credential


@pytest.fixture
def world(db: None, caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.CRITICAL, "django.request")  # a thousand refusals are the point
    now = timezone.now()
    place = factories.location()
    kind = factories.session_type(slug="portrait", locations=[place])
    mine = factories.client()
    shoot = factories.shoot(session_type=kind, payer=mine, now=now)
    held = factories.booking(
        session_type=kind, status=BookingStatus.HELD, now=now, starts_at=now + timedelta(days=9)
    )
    gallery = make_gallery(now=now, shoot=shoot)
    photo = make_photo(gallery, 1, now=now, is_published=True)
    move(type(gallery), gallery.pk, "publish_proofs", by=WORKER, now=now)
    pick = Pick.objects.create(gallery=gallery, photo=photo, picked_at=now, actor_kind="client")
    retouch = begin(Retouch(pick=pick, gallery=gallery, created_at=now), by=WORKER, now=now)
    upload = begin(
        Upload(gallery=gallery, name="a.jpg", size=10, key="s/x.jpg", created_at=now, touched_at=now),
        by=WORKER,
        now=now,
    )
    leak = Leak.objects.create(photo=photo, gallery=gallery, hidden_at=now, hidden_by="Ana")
    card = Card.objects.create(location=place, created_at=now)
    message = begin(
        Message(name="x", to_address="a@b.example", body_text="x", due_at=now, created_at=now),
        by=WORKER,
        now=now,
    )
    move(Message, message.pk, "claim", by=WORKER, now=now)
    move(Message, message.pk, "fail", by=WORKER, now=now)
    other = factories.booking(session_type=kind, now=now, starts_at=now + timedelta(days=11))
    resource = factories.crew(place)["make-up-artist"]
    ask = begin(
        ArtistAsk(booking=shoot.booking, resource=resource, asked_at=now, answer_by=now + timedelta(hours=2)),
        by=WORKER,
        now=now,
    )
    others_gallery = make_gallery(now=now, shoot=other.shoots.get())
    waits, others_wait = factories.waiting_place(kind, client=mine), factories.waiting_place(kind)
    copy = DataCopy(
        client=mine, status="ready", wanted_at=now, ready_at=now, expires_at=now + timedelta(days=7)
    )
    begin(copy, by=WORKER, now=now)
    browsers = {role: Client(raise_request_exception=False) for role in (*GUESTS, *STAFF)}
    for role in ("revoked", "expired", "client"):
        given = [
            open_in(browsers[role], "booking", shoot.booking.public_id, mine, now),
            open_in(browsers[role], "gallery", gallery.public_id, mine, now),
            open_in(browsers[role], "waiting", waits.public_id, mine, now),
            open_in(browsers[role], "mine", address_key(mine.email), mine, now),
            open_in(browsers[role], "ask", ask.public_id, mine, now),
        ]
        rows = Credential.objects.filter(pk__in=[row.pk for row in given])
        if role == "revoked":
            rows.update(revoked_at=now)
        if role == "expired":
            rows.update(expires_at=now)
    shared = credentials.grant(
        scope="gallery", target=gallery.public_id, holder_label="Ana", holder_email="ana@agency.test", now=now
    )
    browsers["shared"].get(shared.url.removeprefix(settings.SITE_URL))
    session = browsers["client"].session
    session["holds"] = [held.public_id]
    session.save()
    open_in(browsers["stranger"], "booking", other.public_id, other.payer, now)
    open_in(browsers["stranger"], "gallery", others_gallery.public_id, other.payer, now)
    open_in(browsers["stranger"], "waiting", others_wait.public_id, others_wait.client, now)
    open_in(browsers["stranger"], "mine", address_key(other.payer.email), other.payer, now)
    for role in STAFF:
        sign_in(browsers[role], factories.user(Role(role)))
    public_ids = {
        "booking": shoot.booking.public_id,
        "hold": held.public_id,
        "shoot": shoot.public_id,
        "gallery": gallery.public_id,
        "retouch": retouch.public_id,
        "upload": upload.public_id,
        "card": card.public_id,
        "leak": leak.public_id,
        "message": message.public_id,
        "waiting": waits.public_id,
        "resource": resource.public_id,
        "ask": ask.public_id,
        "person": mine.public_id,
    }
    return World(
        public_ids, EXAMPLES | {"retouch_id": retouch.public_id, "key": address_key(mine.email)}, browsers
    )


def address_of(name: str, row: Row, world: World) -> str:
    """The address of a page about our thing. Fails where a part of it has no example."""
    parameters = next(iter(get_resolver_parameters(name)), [])
    values = {part: world.examples.get(part) for part in parameters}
    if "public_id" in parameters:
        values["public_id"] = world.public_ids[row.of]
    assert None not in values.values(), f"{name}: add an example of {values} to EXAMPLES"
    try:
        return reverse(name, kwargs=values)
    except NoReverseMatch:
        raise AssertionError(f"{name} does not take {values}") from None


def get_resolver_parameters(name: str) -> Iterator[list[str]]:
    *spaces, last = name.split(":")
    resolver = get_resolver()
    for space in spaces:
        resolver = resolver.namespace_dict[space][1]
    for possibility, *_ in resolver.reverse_dict.getlist(last):
        yield possibility[0][1]


SIGN_IN = re.compile(r"^/(accounts/(login|2fa/authenticate)|admin/login)/")
REFUSED, LET_IN, NO_METHOD = "refused", "let in", "no such method"


def outcome(response: HttpResponseBase) -> str:
    if response.status_code >= 500:
        return "an error"
    if response.status_code == 405:
        return NO_METHOD
    if response.status_code in (401, 403, 404):
        return REFUSED
    if response.status_code == 302 and SIGN_IN.match(response.headers["Location"]):
        return REFUSED
    return LET_IN


def is_let_in(role: str, named: frozenset[str]) -> bool:
    if "everybody" in named:
        return True
    return role in named or (role in STAFF and "staff" in named)


# Here "let in" can also be a 404: the thing asked for inside (a file, a frame, a job) does not exist in this world.
MAY_MISS = {
    "booking_sign",
    "booking_signed",
    "words",
    "words_preview",
    "text_sent",
    "desk_questionnaire",
    "desk_agreement",
    "gallery_file",
    "gallery_zip",
    "gallery_checksums",
    "gallery_change",
    "gallery_approve",
    "gallery_ask_change",
    "retouch_preview",
    "retouch_do",
    "desk_retouch",
    "retouch_news",
    "crop",
    "crop_place",
    "crop_save",
    "guard_report",
    "finished_place",
    "finished_view",
    "desk_shoot",
    "desk_mend",
    "retry_job",
    "breach_cause",
    "breach_policy",
    "gallery_link_revoke",
    "gallery_link_pin",
    "gallery_licence",
    "tray_picture",
    "cover",
    "mfa_view_recovery_codes",
}
OURS = sorted(
    name
    for name in set(url_names())
    if name not in UNNAMED and (row := row_of(name)) and "outside" not in row.reads | row.writes
)


def ask(browser: Client, method: str, address: str) -> HttpResponseBase:
    """The answer, with everything it did taken back."""
    cookies = deepcopy(browser.cookies)
    with transaction.atomic():
        response: HttpResponseBase = getattr(browser, method)(address)
        transaction.set_rollback(True)
    browser.cookies = cookies
    return response


def difference(name: str, role: str, named: frozenset[str], response: HttpResponseBase) -> str:
    """What is wrong with this answer for this role, or nothing."""
    seen, expected = outcome(response), REFUSED
    if not named:
        # A refusal comes before the question of methods, or after it: both keep the door shut.
        expected, seen = NO_METHOD, NO_METHOD if seen == REFUSED else seen
    elif is_let_in(role, named):
        expected, seen = LET_IN, LET_IN if name in MAY_MISS and response.status_code == 404 else seen
    return "" if seen == expected else f"{response.status_code} is {seen}, not {expected}"


def test_each_role_gets_what_the_table_says(world: World) -> None:
    wrong = []
    for name in OURS:
        row = row_of(name)
        assert row is not None
        address = address_of(name, row, world)
        for role, browser in world.browsers.items():
            for method, named in (("get", row.reads), ("post", row.writes)):
                if problem := difference(name, role, named, ask(browser, method, address)):
                    wrong.append(f"{name}: {method} as {role}: {problem}")
    assert not wrong, "\n".join(wrong)


OF_A_PLACE = {"booking", "shoot", "gallery", "retouch", "upload", "card", "leak", "message", "waiting"}
OF_A_PLACE |= {"resource", "ask"}
LISTS = "desk desk_bookings desk_waiting desk_calendar desk_receipts message_list promise_board retouch_queue cards"


def test_a_role_at_another_location_opens_nothing_of_this_one(world: World) -> None:
    """An owner and photographer, but only there: what is named in the address stays shut, as if it did not exist."""
    elsewhere = Client(raise_request_exception=False)
    person = factories.user(Role.OWNER, Role.PHOTOGRAPHER)
    person.staff_roles.update(location=factories.location())
    sign_in(elsewhere, person)
    opened = []
    for name in OURS:
        row = row_of(name)
        if row is None or row.of not in OF_A_PLACE or "everybody" in row.reads | row.writes:
            continue
        for method, named in (("get", row.reads), ("post", row.writes)):
            if named and outcome(ask(elsewhere, method, address_of(name, row, world))) != REFUSED:
                opened.append(f"{method} {name}")
    assert not opened, opened


def person_of(places: dict[Any, list[Role]]) -> tuple[Client, Any]:
    """A signed-in browser of somebody with roles at some locations only."""
    person, browser = factories.user(Role.OWNER), Client(raise_request_exception=False)
    person.staff_roles.all().delete()
    for place, roles in places.items():
        for role in roles:
            person.staff_roles.create(location=place, role=role)
    sign_in(browser, person)
    return browser, person


def let_in_where(browser: Client, world: World, is_asked: Callable[[frozenset[str]], bool]) -> list[str]:
    """What opens of one location's things, of the methods whose roles are asked about."""
    opened = []
    for name in OURS:
        row = row_of(name)
        if row is None or row.of not in OF_A_PLACE or "everybody" in row.reads | row.writes:
            continue
        for method, named in (("get", row.reads), ("post", row.writes)):
            if named and is_asked(named):
                answer = ask(browser, method, address_of(name, row, world))
                if outcome(answer) not in (REFUSED, NO_METHOD):
                    opened.append(f"{method} {name}: {answer.status_code}")
    return opened


@pytest.mark.parametrize("role", [Role.ARTIST, Role.RETOUCHER])
def test_an_artist_or_retoucher_of_another_location_opens_nothing_of_this_one(
    world: World, role: Role
) -> None:
    browser, _person = person_of({factories.location(): [role]})
    assert not let_in_where(browser, world, lambda named: role in named)


def test_a_higher_role_at_another_location_opens_no_more_here(world: World) -> None:
    """Retoucher and artist here, owner and photographer there: what is the photographer's here stays shut."""
    here = Booking.objects.get(public_id=world.public_ids["booking"]).location
    lower, higher = [Role.RETOUCHER, Role.ARTIST], [Role.OWNER, Role.PHOTOGRAPHER]
    browser, _person = person_of({here: lower, factories.location(): higher})
    assert let_in_where(browser, world, lambda named: Role.RETOUCHER in named)
    assert not let_in_where(browser, world, lambda named: not {*lower, "staff"} & named)


def test_an_artist_writes_only_to_the_sessions_of_their_own_day(world: World) -> None:
    """The same place and role, and somebody else's session: every address an artist may post to answers 404."""
    now = timezone.now()
    booking = Booking.objects.get(public_id=world.public_ids["booking"])
    resource = factories.crew(booking.location)["make-up-artist"]
    browser, person = person_of({booking.location: [Role.ARTIST]})
    resource.user = person
    resource.save()
    addresses = [
        address_of(name, row, world)
        for name in OURS
        if (row := row_of(name)) and row.of in OF_A_PLACE and Role.ARTIST in row.writes
    ]
    assert addresses == [reverse("desk_shoot", args=[world.public_ids["shoot"], "check-in"])]
    booking.shoots.update(starts_at=now, ends_at=now + timedelta(hours=1))
    Booking.objects.filter(pk=booking.pk).update(starts_at=now, ends_at=now + timedelta(hours=1))
    verbs = ("check-in", "complete", "no-show")

    def answers() -> list[int]:
        made = [reverse("desk_shoot", args=[world.public_ids["shoot"], verb]) for verb in verbs]
        return [ask(browser, "post", address).status_code for address in made]

    assert answers() == [404, 404, 404]
    times = {"starts_at": now, "ends_at": now + timedelta(hours=1)}
    times |= {"works_from": now, "works_until": now + timedelta(hours=1)}
    claim = booking.claims.create(resource=resource, is_active=False, purpose="Make-up", **times)
    assert answers() == [404, 404, 404]  # somebody else took it over
    booking.claims.filter(pk=claim.pk).update(is_active=True)
    assert answers() == [302, 302, 302]
    booking.shoots.update(starts_at=now + timedelta(days=2), ends_at=now + timedelta(days=2, hours=1))
    Booking.objects.filter(pk=booking.pk).update(
        starts_at=now + timedelta(days=2), ends_at=now + timedelta(days=2, hours=1)
    )
    assert answers() == [404, 404, 404]  # not today


def test_a_list_leaves_out_what_is_at_another_location(world: World) -> None:
    """Also for the whole studio's desk: requests, calendar, waiting list, papers and messages."""
    here, elsewhere = Booking.objects.get(public_id=world.public_ids["booking"]), Client()
    person = factories.user(Role.PHOTOGRAPHER)
    person.staff_roles.update(location=factories.location())
    sign_in(elsewhere, person)
    Booking.objects.filter(pk=here.pk).update(
        status="requested", answer_by=timezone.now() + timedelta(days=1)
    )
    seen = world.browsers["owner"].get(reverse("desk_bookings") + "?tab=open").content.decode()
    assert here.payer.name in seen
    for name in LISTS.split():
        address = reverse(name) + ("?tab=open" if name == "desk_bookings" else "")
        assert here.payer.name not in elsewhere.get(address).content.decode(), name
    for name in ("desk_statements", "desk_vouchers"):
        assert elsewhere.get(reverse(name)).status_code == 403


def test_admin_is_closed_to_everybody_without_the_flag(world: World) -> None:
    names = sorted(name for name in set(url_names()) if name.startswith("admin:") and name not in UNNAMED)
    names.remove("admin:logout")
    addresses = [address_of(name, row, world) for name in names if ":<" not in name and (row := row_of(name))]
    assert len(addresses) > 20
    let_in = [
        f"{method} {address} as {role}"
        for address in addresses
        for role, browser in world.browsers.items()
        for method in ("get", "post")
        if outcome(ask(browser, method, address)) != REFUSED
    ]
    assert not let_in, "\n".join(let_in)


def test_pictures_and_links_are_closed_without_their_key(world: World) -> None:
    for role, browser in world.browsers.items():
        for name in ("picture", "open_link"):
            assert browser.get(reverse(name, args=["nothing"])).status_code == 404, f"{name} as {role}"


def test_uploads_are_closed_to_guests(world: World) -> None:
    for role in GUESTS:
        for address in (reverse("uploads"), reverse("upload", args=[world.public_ids["upload"]])):
            response = world.browsers[role].post(address, headers={"Tus-Resumable": "1.0.0"})
            assert response.status_code == 401, f"{address} as {role}"


def test_webhook_without_signature_is_refused_for_everybody(world: World) -> None:
    for browser in world.browsers.values():
        assert (
            browser.post(reverse("stripe_webhook"), b"{}", content_type="application/json").status_code == 400
        )


def test_every_form_needs_its_token(world: World) -> None:
    for browser in world.browsers.values():
        browser.handler.enforce_csrf_checks = True
    without = []
    for name in OURS:
        row = row_of(name)
        if row is None or not row.writes:
            continue
        allowed = next(role for role in ("owner", "client", "anonymous") if is_let_in(role, row.writes))
        if ask(world.browsers[allowed], "post", address_of(name, row, world)).status_code != 403:
            without.append(name)
    assert without == []
