"""What a client finds after the delivery: links and PINs of their own, a change, more sizes, the print release."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from galleries import delivery, downloads, farewells, licence, sharing, year_later
from galleries.imaging.recipes import EXTRA_FINALS
from galleries.models import Gallery, Rendition, YearLater
from studio import credentials, links, outbox
from studio.actors import WORKER
from studio.documents import Paper
from studio.models import Credential, Message, Role, Studio
from tests.galleries.finals import approve, in_retouching, make_finals, make_version, open_link, pay
from tests.galleries.making import make_gallery, make_user, sign_in

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 18, 11, 0, tzinfo=UTC)  # a Wednesday
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages ask for the time themselves: here it is always NOW, whatever the day and hour outside."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def gallery(media_storage: object) -> Gallery:
    made = make_gallery(now=NOW)
    pay(made, 20000, now=NOW)
    for retouch in in_retouching(made, now=NOW):
        approve(retouch, now=NOW)
    delivery.finals_made(gallery_id=made.pk, now=NOW)
    return Gallery.objects.get(pk=made.pk)


def visit(link: str) -> Browser:
    browser = Browser()
    assert browser.get("/open/" + link.rsplit("/open/", 1)[1]).status_code == 302
    return browser


def link_in(message: Message) -> str:
    return next(word for word in message.body_text.split() if "/open/" in word)


# --- links of one's own


def test_somebody_gets_a_link_with_a_pin_of_their_own(gallery: Gallery) -> None:
    desk = Browser()
    sign_in(desk, make_user(Role.PHOTOGRAPHER))
    facts = {"name": "Ana Agent", "email": "Ana@Agency.test", "pin": "2468"}
    desk.post(f"/desk/galleries/{gallery.public_id}/share", facts)
    mail = Message.objects.get(name="gallery_shared")
    assert (mail.to_address, "2468" in mail.body_text) == ("ana@agency.test", False)
    ana, sitter = visit(link_in(mail)), Browser()
    open_link(sitter, gallery, now=NOW)
    page = f"/gallery/{gallery.public_id}/"
    assert sitter.get(page).status_code == 200  # hers asks for nothing
    assert ana.get(page).status_code == 403
    assert ana.get(page + "zip/all").status_code == 404
    assert ana.post(page + "unlock", {"pin": "1111"}).status_code == 403
    assert ana.post(page + "unlock", {"pin": "2468"}).status_code == 302
    assert ana.get(page).status_code == 200
    b"".join(ana.get(page + "zip/square"))  # type: ignore[arg-type]
    shown = desk.get(f"/desk/galleries/{gallery.public_id}/delivery/").content.decode()
    assert "Ana Agent" in shown and "one download" in shown
    assert ana.post(page + "year-later", {"wish": "1"}).status_code == 404  # not hers to wish


def test_a_shared_link_sees_and_fetches_and_does_nothing_else(gallery: Gallery) -> None:
    sharing.share(gallery_id=gallery.pk, name="Ana", email="ana@agency.test", by=WORKER, now=NOW)
    ana, sitter = visit(link_in(Message.objects.get(name="gallery_shared"))), Browser()
    open_link(sitter, gallery, now=NOW)
    page, retouch = f"/gallery/{gallery.public_id}/", gallery.retouches.earliest("pk").public_id
    hers, shown = sitter.get(page).content.decode(), ana.get(page).content.decode()
    for theirs_only in (
        "Ask for a change",
        "Remind me in a year",
        "Measured against the original",
        "here you are",
    ):
        assert (theirs_only in hers or theirs_only.startswith("Measured"), theirs_only in shown) == (
            True,
            False,
        )
    assert "shared with you to look at and to download" in shown
    for fetched in ("zip/square", "checksums", "licence.pdf"):
        assert ana.get(page + fetched).status_code == 200, fetched
    for deed in (
        f"retouch/{retouch}/ask",
        f"retouch/{retouch}/approve",
        "keep",
        "choose",
        "submit",
        "year-later",
    ):
        assert ana.post(page + deed, {"words": "Mine!", "wish": "1"}).status_code == 404, deed
    change(gallery, 2)
    delivered = gallery.deliveries.earliest("number")
    old = delivered.files.get(position=2, name__endswith="web.jpg")
    assert (sitter.get(f"{page}file/{old.pk}").status_code, ana.get(f"{page}file/{old.pk}").status_code) == (
        200,
        404,
    )
    shown = ana.get(page).content.decode()
    assert "Before the change" not in shown and "was changed" not in shown


def test_nothing_is_shared_before_it_is_delivered(media_storage: object) -> None:
    made = make_gallery(now=NOW)
    in_retouching(made, now=NOW)
    with pytest.raises(sharing.NotShared, match="Nothing is delivered yet"):
        sharing.share(gallery_id=made.pk, name="Ana", email="ana@agency.test", by=WORKER, now=NOW)
    link = credentials.grant(
        scope="gallery", target=made.public_id, holder_label="Ana", holder_email="ana@agency.test", now=NOW
    )
    shown = visit(link.url).get(f"/gallery/{made.public_id}/").content.decode()
    assert "These pictures are not here now" in shown and "picture-frame" not in shown


def test_a_fresh_link_keeps_its_holders_pin(gallery: Gallery) -> None:
    sharing.share(gallery_id=gallery.pk, name="Ana", email="ana@agency.test", pin="2468", by=WORKER, now=NOW)
    Credential.objects.update(expires_at=NOW + DAY)
    links.ask(email="ANA@agency.test", network="x", now=NOW + 2 * DAY)
    assert links.answer_next(now=NOW + 2 * DAY)
    fresh = Message.objects.get(name="fresh_links")
    assert fresh.to_address == "ana@agency.test"
    newest = Credential.objects.latest("pk")
    assert newest.pin_hash and newest.holder_email == "ana@agency.test"


def test_a_revoked_share_gets_no_fresh_link(gallery: Gallery) -> None:
    given = sharing.share(gallery_id=gallery.pk, name="Ana", email="ana@agency.test", by=WORKER, now=NOW)
    Credential.objects.filter(pk=given.pk).update(revoked_at=NOW)
    links.ask(email="ana@agency.test", network="x", now=NOW)
    links.answer_next(now=NOW)
    assert not Message.objects.filter(name="fresh_links").exists()


def test_bad_input_loses_nothing(gallery: Gallery) -> None:
    desk = Browser()
    sign_in(desk, make_user(Role.OWNER))
    address = f"/desk/galleries/{gallery.public_id}/"
    for facts in ({"name": "Ana", "email": "nobody"}, {"name": "Ana", "email": "a@b.test", "pin": "12"}):
        desk.post(address + "share", facts)
        shown = desk.get(address + "delivery/").content.decode()
        assert f'value="{facts["email"]}"' in shown
    assert not Message.objects.filter(name="gallery_shared").exists()


# --- a change


def change(gallery: Gallery, position: int) -> None:
    """Another version of one picture is approved and delivered."""
    delivery.reopen(gallery_id=gallery.pk, by=WORKER, now=NOW)
    retouch = gallery.retouches.order_by("pick__picked_at", "pick_id")[position - 1]
    version = make_version(retouch, now=NOW)
    make_finals(version, now=NOW, size=1200)
    type(retouch).objects.filter(pk=retouch.pk).update(approved_version=version)
    delivery.finals_made(gallery_id=gallery.pk, now=NOW)


def test_a_change_says_what_changed_and_keeps_the_earlier_files_a_month(gallery: Gallery) -> None:
    browser = Browser()
    open_link(browser, gallery, now=NOW)
    first = gallery.deliveries.get()
    old, same = (first.files.get(position=n, name__endswith="web.jpg") for n in (2, 1))
    change(gallery, 2)
    page = f"/gallery/{gallery.public_id}/"
    shown = browser.get(page).content.decode()
    assert "Picture 2 was changed and delivered again" in shown
    assert "Before the change: kept until" in shown
    assert delivery.changed_since(gallery.deliveries.latest("number")) == [2]
    mail = Message.objects.get(name="gallery_delivered_again")
    assert "Changed: picture 2." in mail.body_text and "The files from before stay" in mail.body_text
    # a download that began before goes on, byte by byte
    answer = browser.get(f"{page}file/{old.pk}", headers={"Range": "bytes=500-"})
    assert (answer.status_code, len(b"".join(answer))) == (206, 500)  # type: ignore[arg-type]
    kept, until = downloads.replaced_files(gallery, now=NOW)
    assert {file.pk for file in kept} == {file.pk for file in first.files.filter(position=2)}
    assert same.pk not in {file.pk for file in kept} and until is not None
    farewells.sweep(now=until)
    assert browser.get(f"{page}file/{old.pk}").status_code == 404
    assert Rendition.objects.filter(erased_at__isnull=False).count() == 4
    b"".join(browser.get(f"{page}zip/all"))  # type: ignore[arg-type]  # the new one is whole


# --- sizes, licence, queries


def test_more_sizes_are_made_where_studio_or_session_say_so(gallery: Gallery) -> None:
    kind = gallery.shoot.booking.session_type
    assert delivery.extra_finals_of(gallery) == []
    Studio.objects.update(makes_print=True, makes_black_and_white=True)
    assert delivery.extra_finals_of(gallery) == list(EXTRA_FINALS)
    kind.makes_print = False
    assert [recipe.name for recipe in delivery.extra_finals_of(gallery)] == ["black-and-white"]


def test_the_print_release_is_a_pdf_with_the_studios_words(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def noted(self: Paper, words: str, **_look: object) -> None:
        said.append(words)

    def listed(self: Paper, _heads: object, rows: list[list[str]], **_look: object) -> None:
        said.extend(row[0] for row in rows)

    with monkeypatch.context() as patch:
        patch.setattr(Paper, "text", noted)
        patch.setattr(Paper, "lines", listed)
        Studio.objects.update(licence_text="Use them as you like, Zoë.")
        studio = Studio.objects.get()
        licence.paper(gallery, gallery.deliveries.get(), studio=studio, now=NOW)
    browser = Browser()
    open_link(browser, gallery, now=NOW)
    answer = browser.get(f"/gallery/{gallery.public_id}/licence.pdf")
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-") and answer.content.rstrip().endswith(b"%%EOF")
    assert answer.content == browser.get(f"/gallery/{gallery.public_id}/licence.pdf").content
    assert "print-release.pdf" in answer.headers["Content-Disposition"]
    assert "Use them as you like, Zoë." in said
    assert {file.name for file in gallery.deliveries.get().files.all()} <= set(said)


def test_the_gallery_asks_as_often_for_two_pictures_as_for_six(media_storage: object) -> None:
    counts = []
    for picks in (2, 6):
        made = make_gallery(now=NOW, finals_included=picks)
        pay(made, 20000, now=NOW)
        for retouch in in_retouching(made, now=NOW, picks=picks):
            approve(retouch, now=NOW, size=10)
        delivery.finals_made(gallery_id=made.pk, now=NOW)
        browser = Browser()
        open_link(browser, made, now=NOW)
        browser.get(f"/gallery/{made.public_id}/")
        with CaptureQueriesContext(connection) as asked:
            assert browser.get(f"/gallery/{made.public_id}/").status_code == 200
        counts.append(len(asked))
    assert counts[0] == counts[1] < 40


# --- a year later


def test_only_who_wished_so_is_asked_in_a_year_and_once(gallery: Gallery) -> None:
    browser = Browser()
    open_link(browser, gallery, now=NOW)
    assert year_later.sweep(now=NOW + 400 * DAY) == 0
    browser.post(f"/gallery/{gallery.public_id}/year-later", {"wish": "1"})
    assert year_later.sweep(now=NOW + 364 * DAY) == 0
    assert year_later.sweep(now=NOW + 366 * DAY) == 1
    assert year_later.sweep(now=NOW + 800 * DAY) == 0
    mail = Message.objects.get(name="year_later")
    assert mail.unsubscribe_url in mail.body_text


def test_one_tap_ends_it_and_looking_does_not(gallery: Gallery, mailoutbox: list[object]) -> None:
    browser, stranger = Browser(), Browser(enforce_csrf_checks=True)
    open_link(browser, gallery, now=NOW)
    browser.post(f"/gallery/{gallery.public_id}/year-later", {"wish": "1"})
    year_later.sweep(now=NOW + 366 * DAY)
    browser.post(f"/gallery/{gallery.public_id}/year-later", {"wish": "1"})
    while outbox.send_next(now=NOW + 366 * DAY):
        pass
    headers = next(mail.extra_headers for mail in mailoutbox if "new picture" in mail.subject)  # type: ignore[attr-defined]
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    path = headers["List-Unsubscribe"].strip("<>").removeprefix("http://testserver")
    assert stranger.get(path).status_code == 200
    assert YearLater.objects.get().ended_at is None
    assert stranger.post(path, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert YearLater.objects.get().ended_at is not None
    assert year_later.sweep(now=NOW + 900 * DAY) == 0
    assert stranger.post("/reminders/1:forged/").status_code == 404


def test_who_was_here_again_is_not_reminded(gallery: Gallery) -> None:
    sitter = gallery.shoot.sitter
    assert sitter is not None
    year_later.wish(gallery=gallery, client=sitter, now=NOW)
    from tests.galleries.making import make_shoot

    make_gallery(now=NOW, shoot=make_shoot(now=NOW, client=sitter, starts_at=NOW + 300 * DAY))
    assert year_later.sweep(now=NOW + 366 * DAY) == 0
    assert not Message.objects.filter(name="year_later").exists()


def test_a_grant_for_nobody_inherits_no_pin(gallery: Gallery) -> None:
    sharing.share(gallery_id=gallery.pk, name="Ana", email="a@b.test", pin="2468", by=WORKER, now=NOW)
    assert not credentials.grant(scope="gallery", target=gallery.public_id, now=NOW).credential.pin_hash
