"""The pages of choosing over HTTP: who may open them, what they do without scripts, what scripts are told."""

import gzip
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from bookings import payments
from galleries import proofing
from galleries.imaging.recipes import GRID, PROOF, THUMB
from galleries.models import Gallery, JobKind, Photo, Rendition
from galleries.statuses import GalleryStatus
from studio import credentials
from studio.models import Role
from tests.galleries.framing import ANA, make_photos
from tests.galleries.making import make_gallery, make_location, make_user, sign_in
from tests.html import assert_no_inline

STATIC = Path(__file__).parents[2] / "static"
JSON = {"HTTP_ACCEPT": "application/json"}


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def gallery(db: None, now: datetime) -> Gallery:
    return make_gallery(now=now, clock_started_at=now - timedelta(hours=1))


@pytest.fixture
def photos(gallery: Gallery, now: datetime) -> list[Photo]:
    return make_photos(gallery, 4, now=now)


@pytest.fixture
def sitter(client: Browser, gallery: Gallery, photos: list[Photo], now: datetime) -> Browser:
    """A browser that opened the link of the published proofs."""
    proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=now)
    link = credentials.grant(
        scope="gallery",
        target=gallery.public_id,
        now=now,
        holder_id=gallery.shoot.sitter_id,
        holder_label="Ada",
    )
    client.get(link.url.replace("http://testserver", ""))
    return client


@pytest.fixture
def desk(client: Browser, gallery: Gallery) -> Browser:
    sign_in(client, make_user(Role.PHOTOGRAPHER))
    return client


def at(name: str, gallery: Gallery, *more: object) -> str:
    return reverse(name, args=[gallery.public_id, *more])


# --- at home


def test_the_proofs_show_every_published_frame_and_the_count(sitter: Browser, gallery: Gallery) -> None:
    page = sitter.get(at("gallery", gallery))
    html = page.content.decode()
    assert re.findall(r'id="p(\d+)"', html) == ["1", "2", "3", "4"]
    assert "0 of 2 included" in html
    assert page.headers["Cache-Control"] == "private, no-store"
    assert_no_inline(html)


def test_the_proofs_open_on_the_recommended_frames(
    sitter: Browser, gallery: Gallery, photos: list[Photo], now: datetime
) -> None:
    proofing.mark(photo_id=photos[2].pk, is_recommended=True, by=ANA, now=now)
    assert re.findall(r'id="p(\d+)"', sitter.get(at("gallery", gallery)).content.decode()) == ["3"]
    everything = sitter.get(at("gallery", gallery) + "?show=all").content.decode()
    assert re.findall(r'id="p(\d+)"', everything) == ["1", "2", "3", "4"]


def test_a_heart_without_scripts_is_a_form(sitter: Browser, gallery: Gallery, photos: list[Photo]) -> None:
    home = at("gallery", gallery)
    answer = sitter.post(
        at("gallery_choose", gallery), {"pick": photos[1].public_id, "back": home + "?show=all"}
    )
    assert (answer.status_code, answer.headers["Location"]) == (302, home + "?show=all#p2")
    assert [row.photo.number for row in gallery.picks.all()] == [2]
    sitter.post(at("gallery_choose", gallery), {"unpick": photos[1].public_id})
    assert gallery.picks.count() == 0


def test_back_leads_nowhere_else(sitter: Browser, gallery: Gallery, photos: list[Photo]) -> None:
    answer = sitter.post(
        at("gallery_choose", gallery), {"pick": photos[0].public_id, "back": "https://elsewhere.test/"}
    )
    assert answer.headers["Location"] == at("gallery", gallery) + "#p1"


def test_a_script_hears_the_new_state(sitter: Browser, gallery: Gallery, photos: list[Photo]) -> None:
    answer = sitter.post(
        at("gallery_choose", gallery), {"verb": "pick", "photo": photos[0].public_id}, **JSON
    )
    assert answer.status_code == 200
    assert answer.json() == {
        "picked": [photos[0].public_id],
        "hidden": [],
        "chosen": 1,
        "included": 2,
        "words": "1 of 2 included",
        "sentence": "",
        "closed": False,
    }


def test_too_many_picks_are_refused_with_a_sentence(
    sitter: Browser, gallery: Gallery, photos: list[Photo]
) -> None:
    for photo in photos[:2]:
        sitter.post(at("gallery_choose", gallery), {"verb": "pick", "photo": photo.public_id}, **JSON)
    answer = sitter.post(
        at("gallery_choose", gallery), {"verb": "pick", "photo": photos[2].public_id}, **JSON
    )
    assert (answer.status_code, answer.json()["closed"]) == (409, False)
    assert "2 finished pictures are included" in answer.json()["sentence"]
    assert gallery.picks.count() == 2


def test_a_pick_after_the_submission_in_another_tab_is_told_clearly(
    sitter: Browser, gallery: Gallery, photos: list[Photo]
) -> None:
    sitter.post(at("gallery_choose", gallery), {"verb": "pick", "photo": photos[0].public_id}, **JSON)
    sitter.post(at("gallery_submit", gallery))
    answer = sitter.post(
        at("gallery_choose", gallery), {"verb": "pick", "photo": photos[1].public_id}, **JSON
    )
    assert (answer.status_code, answer.json()["closed"]) == (409, True)
    assert "sent already" in answer.json()["sentence"]
    assert answer.json()["picked"] == [photos[0].public_id]


@pytest.mark.parametrize("verb", ["recommend", "reject", "rate", "publish", ""])
def test_a_client_has_no_verbs_of_the_studio(
    sitter: Browser, gallery: Gallery, photos: list[Photo], verb: str
) -> None:
    answer = sitter.post(at("gallery_choose", gallery), {"verb": verb, "photo": photos[0].public_id})
    assert answer.status_code == 400


def test_an_unpublished_frame_is_not_there_for_the_client(
    sitter: Browser, gallery: Gallery, photos: list[Photo]
) -> None:
    Photo.objects.filter(pk=photos[3].pk).update(is_published=False)
    assert sitter.get(at("gallery_proof", gallery, 4)).status_code == 404
    answer = sitter.post(at("gallery_choose", gallery), {"verb": "pick", "photo": photos[3].public_id})
    assert answer.status_code == 404


def test_one_proof_with_its_note_and_a_second_beside(
    sitter: Browser, gallery: Gallery, photos: list[Photo]
) -> None:
    words = '<script>alert(1)</script> "quoted"'
    sitter.post(at("gallery_choose", gallery), {"verb": "note", "photo": photos[1].public_id, "value": words})
    html = sitter.get(at("gallery_proof", gallery, 2) + "?beside=4").content.decode()
    assert html.count("data-slot=") == 2
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &quot;quoted&quot;</textarea>" in html
    assert "Picture 2 of 4" in html
    assert_no_inline(html)


def test_hidden_pictures_leave_every_page_and_can_come_back(
    sitter: Browser, gallery: Gallery, photos: list[Photo]
) -> None:
    sitter.post(at("gallery_choose", gallery), {"hide": photos[0].public_id})
    html = sitter.get(at("gallery", gallery)).content.decode()
    assert re.findall(r'id="p(\d+)"', html) == ["2", "3", "4"]
    assert "Show picture 1 again" in html
    sitter.post(at("gallery_choose", gallery), {"unhide": photos[0].public_id})
    assert 'id="p1"' in sitter.get(at("gallery", gallery)).content.decode()


def test_review_submit_and_what_happens_next(sitter: Browser, gallery: Gallery, photos: list[Photo]) -> None:
    empty = sitter.get(at("gallery_review", gallery)).content.decode()
    assert "Nothing chosen yet" in empty
    assert sitter.post(at("gallery_submit", gallery)).headers["Location"] == at("gallery_review", gallery)
    sitter.post(at("gallery_choose", gallery), {"pick": photos[0].public_id})
    review = sitter.get(at("gallery_review", gallery)).content.decode()
    assert "1 of 2 included." in review
    assert "One more is yours" in review
    assert_no_inline(review)
    assert sitter.post(at("gallery_submit", gallery)).headers["Location"] == at("gallery", gallery)
    after = sitter.get(at("gallery", gallery)).content.decode()
    assert "We have your selection" in after
    assert "You have your finished pictures by" in after
    assert_no_inline(after)
    assert sitter.get(at("gallery_review", gallery)).status_code == 302
    assert sitter.get(at("gallery_proof", gallery, 1)).status_code == 302


def test_the_pages_of_choosing_need_the_link(client: Browser, gallery: Gallery, photos: list[Photo]) -> None:
    for name, more in (("gallery_proof", (1,)), ("gallery_review", ())):
        assert client.get(at(name, gallery, *more)).status_code == 404
    for name in ("gallery_choose", "gallery_submit"):
        assert client.post(at(name, gallery)).status_code == 404
    other = make_gallery(now=timezone.now())
    assert client.get(at("gallery_review", other)).status_code == 404


def test_a_link_to_one_gallery_opens_no_other(sitter: Browser, now: datetime) -> None:
    other = make_gallery(now=now)
    photo = make_photos(other, 1, now=now)[0]
    assert sitter.post(at("gallery_choose", other), {"pick": photo.public_id}).status_code == 404


def test_three_hundred_proofs_weigh_less_than_150_kb_before_pictures(
    client: Browser, gallery: Gallery, now: datetime
) -> None:
    """As a phone receives them: the page, the stylesheet and the page's scripts, each compressed."""
    price = gallery.shoot.booking.price
    payments.record_by_staff(
        booking_id=gallery.shoot.booking_id, method="cash", amount=price, by=ANA, now=now
    )
    Rendition.objects.bulk_create(
        Rendition(
            photo=photo, recipe=recipe.name, recipe_version=1, digest="", key=f"s/{photo.pk}-{recipe.name}.jpg",
            width=recipe.edge, height=recipe.edge, size=1, sha256="c", crc32=1, made_at=now,
        )
        for photo in make_photos(gallery, 300, now=now)
        for recipe in (THUMB, GRID, PROOF)
    )  # fmt: skip
    proofing.publish_proofs(gallery_id=gallery.pk, by=ANA, now=now, is_sure=True)
    link = credentials.grant(scope="gallery", target=gallery.public_id, now=now)
    client.get(link.url.replace("http://testserver", ""))
    page = client.get(at("gallery", gallery), headers={"Accept-Encoding": "gzip"})
    assert page.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(page.content).count(b'class="picture-frame"') == 300
    parts = re.findall(r'url\("(.+?)"', (STATIC / "css/likeness.css").read_text())
    styles = b"".join((STATIC / "css" / part).read_bytes() for part in parts)
    scripts = [
        (STATIC / f"js/{name}.js").read_bytes() for name in ("proofs", "marks", "saving", "room", "compare")
    ]
    icons = (STATIC / "img/icons.svg").read_bytes()
    weight = len(page.content) + sum(len(gzip.compress(each)) for each in (styles, icons, *scripts))
    assert weight < 150_000


def test_the_number_of_queries_does_not_grow_with_the_frames(
    sitter: Browser, gallery: Gallery, now: datetime, django_assert_max_num_queries
) -> None:
    with django_assert_max_num_queries(22) as few:
        sitter.get(at("gallery", gallery))
    for number in range(5, 25):
        Photo.objects.create(
            gallery=gallery,
            number=number,
            name=f"{number}.jpg",
            width=1,
            height=1,
            is_published=True,
            accepted_at=now,
        )
    with django_assert_max_num_queries(len(few.captured_queries)):
        sitter.get(at("gallery", gallery))


# --- together


def test_the_big_screen_waits_for_the_first_frame(desk: Browser, gallery: Gallery) -> None:
    html = desk.get(at("choose_together", gallery)).content.decode()
    assert "Waiting for the first frame" in html
    assert_no_inline(html)


def test_the_big_screen_shows_the_newest_frame_and_two_beside_each_other(
    desk: Browser, gallery: Gallery, photos: list[Photo]
) -> None:
    html = desk.get(at("choose_together", gallery)).content.decode()
    assert "Picture 4 of 4" in html
    assert "DSC_0004.NEF" in html
    both = desk.get(at("choose_together", gallery) + "?at=2&beside=3").content.decode()
    assert both.count("data-slot=") == 2
    assert "Picture 2 of 4" in both
    assert_no_inline(both)


def test_the_strip_comes_only_when_something_changed(
    desk: Browser, gallery: Gallery, photos: list[Photo], now: datetime
) -> None:
    first = desk.get(at("choose_strip", gallery)).content.decode()
    tally = re.search(r'data-tally="(\w+)"', first).group(1)  # type: ignore[union-attr]
    assert desk.get(at("choose_strip", gallery) + f"?have={tally}").status_code == 204
    proofing.mark(photo_id=photos[0].pk, rating=3, by=ANA, now=now)
    again = desk.get(at("choose_strip", gallery) + f"?have={tally}")
    assert (again.status_code, again.content.decode().count("data-photo=")) == (200, 4)


def test_marks_of_the_photographer(desk: Browser, gallery: Gallery, photos: list[Photo]) -> None:
    def mark(verb: str, value: str = "") -> int:
        facts = {"verb": verb, "photo": photos[0].public_id, "value": value}
        return desk.post(at("choose_mark", gallery), facts, **JSON).status_code

    assert [mark("recommend"), mark("rate", "5"), mark("pick")] == [200, 200, 200]
    photos[0].refresh_from_db()
    assert (photos[0].is_recommended, photos[0].rating, gallery.picks.count()) == (True, 5, 1)
    assert [mark("rate", "6"), mark("rate", "many")] == [409, 409]
    photos[0].refresh_from_db()
    assert photos[0].rating == 5


def test_choosing_together_is_submitted_from_the_review(
    desk: Browser, gallery: Gallery, photos: list[Photo]
) -> None:
    assert desk.post(at("choose_submit", gallery)).headers["Location"] == at("choose_review", gallery)
    desk.post(at("choose_mark", gallery), {"verb": "pick", "photo": photos[0].public_id})
    assert_no_inline(desk.get(at("choose_review", gallery)).content)
    assert desk.post(at("choose_submit", gallery)).headers["Location"] == reverse("retouch_queue")
    gallery.refresh_from_db()
    assert (gallery.status, gallery.pauses.count()) == (GalleryStatus.RETOUCHING, 0)
    assert gallery.jobs.filter(kind=JobKind.DRAFT).count() == 1
    assert desk.get(at("choose_together", gallery)).headers["Location"] == at("choose_review", gallery)


def test_publishing_many_asks_first(desk: Browser, gallery: Gallery, now: datetime) -> None:
    make_photos(gallery, 31, now=now)
    asked = desk.post(at("publish_proofs", gallery))
    assert (asked.status_code, "Publish 31 pictures?" in asked.content.decode()) == (200, True)
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.OPEN
    desk.post(at("publish_proofs", gallery), {"is_sure": "1"})
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.PROOFING


def test_the_selection_is_downloaded_as_text_and_csv(
    desk: Browser, gallery: Gallery, photos: list[Photo], now: datetime
) -> None:
    proofing.pick(photo_id=photos[1].pk, by=ANA, now=now)
    text = desk.get(at("selection", gallery, "txt"))
    assert (text.content, text.headers["Content-Type"]) == (b"DSC_0002\n", "text/plain; charset=utf-8")
    table = desk.get(at("selection", gallery, "csv"))
    assert table.content.decode().splitlines()[1] == "2,DSC_0002.NEF,,0,"
    assert "attachment" in table.headers["Content-Disposition"]


def test_an_artist_sees_no_frames_and_a_photographer_only_of_their_location(
    client: Browser, gallery: Gallery, photos: list[Photo]
) -> None:
    sign_in(client, make_user(Role.ARTIST))
    assert client.get(at("choose_together", gallery)).status_code == 403
    sign_in(client, make_user(Role.PHOTOGRAPHER, location=make_location()))
    assert client.get(at("choose_together", gallery)).status_code == 404
    assert client.post(at("choose_mark", gallery), {"pick": photos[0].public_id}).status_code == 404


def test_reopening_from_the_desk(desk: Browser, gallery: Gallery, photos: list[Photo], now: datetime) -> None:
    proofing.pick(photo_id=photos[0].pk, by=ANA, now=now)
    proofing.submit_selection(gallery_id=gallery.pk, by=ANA, now=now)
    desk.post(at("reopen_selection", gallery), {"reason": "changed her mind"})
    gallery.refresh_from_db()
    assert gallery.status == GalleryStatus.PROOFING
