"""The studio's own page: its words, its manners, and the front page's picture, made anew and served with ranges."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from studio import storage
from studio.models import Role, Studio, User
from tests import factories
from tests.galleries.making import sign_in
from tests.html import assert_no_inline
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(client, media_storage):
    factories.location()
    sign_in(client, factories.user(Role.OWNER))
    return client


def upload(owner, path):
    file = SimpleUploadedFile(path.name, path.read_bytes())
    return owner.post(reverse("desk_cover"), {"picture": file}, follow=True)


def test_a_picture_is_made_anew_and_served_with_etag_and_ranges(owner):
    assert owner.get(reverse("cover")).status_code == 404
    assert "front page’s picture now" in upload(owner, GRACE_HOPPER).text
    whole = owner.get(reverse("cover"))
    body = b"".join(whole.streaming_content)
    assert body[:3] == b"\xff\xd8\xff" and len(body) == int(whole.headers["Content-Length"])
    assert b"GPS" not in body
    etag = whole.headers["ETag"]
    assert owner.get(reverse("cover"), headers={"If-None-Match": etag}).status_code == 304
    part = owner.get(reverse("cover"), headers={"Range": "bytes=10-19"})
    assert (part.status_code, b"".join(part.streaming_content)) == (206, body[10:20])
    assert owner.get(reverse("cover"), headers={"Range": f"bytes={len(body)}-"}).status_code == 416


def test_another_picture_takes_the_old_one_away(owner, django_capture_on_commit_callbacks):
    upload(owner, GRACE_HOPPER)
    before = Studio.objects.get().cover_key
    with django_capture_on_commit_callbacks(execute=True):
        upload(owner, EILEEN_COLLINS)
    after = Studio.objects.get().cover_key
    assert before != after
    assert not storage.exists(storage.derived(), before)
    with django_capture_on_commit_callbacks(execute=True):
        owner.post(reverse("desk_cover"), {"remove": "1"})
    assert (Studio.objects.get().cover_key, storage.exists(storage.derived(), after)) == ("", False)


def test_what_is_no_picture_is_refused_and_the_old_one_stays(owner, tmp_path):
    upload(owner, GRACE_HOPPER)
    before = Studio.objects.get().cover_key
    fake = tmp_path / "fake.jpg"
    fake.write_bytes(b"<svg onload=alert(1)>")
    assert "front page’s picture now" not in upload(owner, fake).text
    assert Studio.objects.get().cover_key == before
    assert "choose a picture" in owner.post(reverse("desk_cover"), {}, follow=True).text


def test_other_conditions_are_another_version(owner):
    Studio.objects.update(policy_text="Old words.")
    page = owner.get(reverse("desk_studio"))
    assert_no_inline(page.text)
    words = (
        page.text.index("Cancel at least 72 hours before"),
        page.text.index("leave moving and cancelling out"),
    )
    assert words[0] < words[1] < page.text.index('name="policy_text"')  # read before anything is typed
    shown = page.context["form"]
    assert [field.name for _title, fields in shown.groups() for field in fields] == list(shown.fields)
    form = {field.name: field.value() for field in shown if field.value()}
    form |= {"name": "North 🎈", "email": "a@b.example", "policy_text": "New words."}
    assert owner.post(reverse("desk_studio"), form).status_code == 302
    studio = Studio.objects.get()
    assert (studio.name, studio.policy_version) == ("North 🎈", 2)
    assert owner.post(reverse("desk_studio"), form | {"email": "nothing"}).status_code == 422


def test_what_is_sold_is_found_from_the_studio_page(owner):
    assert (
        owner.get(reverse("desk_studio")).context["rare_pages"] == []
    )  # an account that the admin turns away
    User.objects.update(is_staff=True)
    page = owner.get(reverse("desk_studio"))
    for address, label in page.context["rare_pages"]:
        assert f'href="{address}"' in page.text
        assert owner.get(address).status_code == 200, label
    assert reverse("admin:bookings_discountcode_changelist") in page.text


def test_who_has_no_business_in_the_admin_is_told_so_and_not_sent_in_circles(client):
    assert client.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/accounts/login/")
    sign_in(client, factories.user(Role.ARTIST))
    answer = client.get("/admin/", follow=True)
    assert (answer.status_code, len(answer.redirect_chain)) == (403, 1)
