"""A copy of everything kept about somebody: what is in it, whose it is not, and that it ends."""

import io
import json
import tracemalloc
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from bookings.models import Consent
from galleries import copies, invariants
from galleries.models import DataCopy, DataCopyFile
from galleries.statuses import CopyStatus
from studio import storage
from studio.actors import WORKER
from studio.models import Message, Role
from tests.galleries.making import make_client, make_gallery, make_shoot, make_user, sign_in
from tests.galleries.somebody import MARK, Somebody, make_somebody

pytestmark = pytest.mark.django_db


@pytest.fixture
def robin(media_storage: Path, now) -> Somebody:
    return make_somebody(now=now)


def copy_of(robin: Somebody, *, now) -> DataCopy:
    copy = copies.want(client_id=robin.client.pk, by=WORKER, now=now)
    assert copies.make_next(now=now)
    copy.refresh_from_db()
    assert copy.error == ""
    return copy


def opened(copy: DataCopy, *, now) -> zipfile.ZipFile:
    body = copies.body_of(copy, now=now)
    archive = zipfile.ZipFile(io.BytesIO(b"".join(body.read(0, body.length))))
    assert archive.testzip() is None
    return archive


def test_copy_holds_rows_papers_and_pictures(robin, now):
    archive = opened(copy_of(robin, now=now), now=now)
    code = robin.shoot.code
    assert sorted(archive.namelist()) == [
        "everything.json",
        "papers/N-00001.pdf",
        f"papers/release-{code}-{now:%Y-%m-%d}.pdf",
        *(
            f"pictures/{code}/finished/robin-{MARK}-01-{size}.jpg"
            for size in ("full", "portrait", "square", "web")
        ),
        f"pictures/{code}/proofs/0090.jpg",
    ]
    assert archive.read("papers/N-00001.pdf").startswith(b"%PDF")
    said = json.loads(archive.read("everything.json"))
    assert said["about"]["format"] == "likeness-person-1"
    assert said["person"][0]["email"] == robin.client.email
    assert said["sessions"][0]["nerves_text"] == f"{MARK} is shy"
    assert said["answers"][0]["private_answers"] == [[2, "Health?", MARK]]
    assert [row["is_given"] for row in said["consents"]] == [True]
    assert [row["text"] for row in said["conversation"]] == [f"May {MARK} come?", f"Yes, {MARK}."]
    assert [row["amount"] for row in said["payments"]] == [20000]
    assert said["notes"][0]["words"] == f"less {MARK}"
    assert [row["name"] for row in said["messages"]] == ["gallery_delivered", "balance_request", "thank_you"]
    assert len(said["originals"]) == 2 and len(said["originals"][0]["sha256"]) == 64


def test_no_secret_link_is_in_a_copy(robin, now):
    token = robin.links[0].url.rsplit("/", 1)[1]
    Message.objects.filter(client_id=robin.client.pk, name="thank_you").update(
        body_text=f"see /open/{token} now"
    )
    read = opened(copy_of(robin, now=now), now=now).read("everything.json").decode()
    assert "see /open/… now" in read and token not in read


def test_who_pays_gets_nothing_of_what_the_sitter_told(robin, now):
    other = make_client(now=now, name="Pay Master")
    robin.shoot.booking.payer = other
    robin.shoot.booking.save()
    Consent.objects.create(shoot=robin.shoot, sitter=other, purpose="social", is_given=False, answered_at=now)
    for client, nerves, pictures in ((other, [], 0), (robin.client, [f"{MARK} is shy"], 5)):
        copy = copies.want(client_id=client.pk, by=WORKER, now=now)
        copies.make_next(now=now)
        copy.refresh_from_db()
        archive = opened(copy, now=now)
        said = json.loads(archive.read("everything.json"))
        assert [row["nerves_text"] for row in said["sessions"]] == nerves
        assert len([name for name in archive.namelist() if name.startswith("pictures/")]) == pictures
        assert len(said["bookings"]) == 1 and len(said["consents"]) == 1


def test_copy_ends_after_seven_days_with_its_files(robin, now, media_storage):
    copy = copy_of(robin, now=now)
    keys = list(copy.files.filter(store=DataCopyFile.Store.COPY).values_list("key", flat=True))
    assert len(keys) == 3 and all(storage.exists(storage.derived(), key) for key in keys)
    at = now + timedelta(days=7)
    assert copies.sweep(now=at - timedelta(seconds=1)) == 0
    with pytest.raises(copies.NoCopy):
        copies.body_of(copy, now=at)
    with TestCase.captureOnCommitCallbacks(execute=True):
        assert copies.sweep(now=at) == 1
    copy.refresh_from_db()
    assert (copy.status, copy.files.count()) == (CopyStatus.GONE, 0)
    assert not any(storage.exists(storage.derived(), key) for key in keys)


def test_picture_erased_meanwhile_makes_the_copy_again_not_wrong(robin, now):
    copy = copy_of(robin, now=now)
    robin.gallery.photos.get(number=90).renditions.update(erased_at=now)
    with pytest.raises(copies.NoCopy, match="make it again"):
        copies.body_of(copy, now=now)


def test_wanted_twice_is_one_copy(robin, now):
    first = copies.want(client_id=robin.client.pk, by=WORKER, now=now)
    assert copies.want(client_id=robin.client.pk, by=WORKER, now=now) == first


def test_killed_worker_leaves_nothing_and_the_copy_is_made_again(robin, now, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_args: object, **_facts: object) -> None:
        raise Killed

    copy = copies.want(client_id=robin.client.pk, by=WORKER, now=now)
    with monkeypatch.context() as patch:
        patch.setattr(copies, "write_json", die)
        with pytest.raises(Killed):
            copies.make_next(now=now)
    assert DataCopy.objects.get().status == CopyStatus.MAKING
    first = set(DataCopyFile.objects.filter(store="copy").values_list("key", flat=True))
    assert len(first) == 2
    assert copies.make_next(now=now + timedelta(minutes=1))
    copy.refresh_from_db()
    assert (copy.status, copy.attempts, copy.done_count, copy.total_count) == (CopyStatus.READY, 2, 8, 8)
    assert not any(storage.exists(storage.derived(), key) for key in first)
    lines = invariants.objects_and_rows_agree(timezone.now() + timedelta(hours=1))
    assert [line for line in lines if "copies/" in line] == []


def test_copy_that_fails_three_times_says_so(robin, now, monkeypatch):
    def full(*_args: object, **_facts: object) -> None:
        raise storage.StorageFull("The disk is full.")

    monkeypatch.setattr(storage, "put", full)
    copy = copies.want(client_id=robin.client.pk, by=WORKER, now=now)
    for _try in range(3):
        assert copies.make_next(now=now)
    assert not copies.make_next(now=now)
    copy.refresh_from_db()
    assert (copy.status, copy.error) == (CopyStatus.FAILED, "StorageFull: The disk is full.")


def test_memory_stays_small_however_much_is_kept(robin, now):
    letter = Message.objects.filter(client_id=robin.client.pk, name="balance_request").get()
    letter.body_text = "x" * 20_000
    letters = [Message(**{**_facts(letter), "public_id": f"m{number}"}) for number in range(1000)]
    Message.objects.bulk_create(letters)
    del letters
    tracemalloc.start()
    try:
        with io.FileIO("/dev/null", "w") as nowhere:
            copies.write_json(robin.client, nowhere, now=now)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12_000_000, f"{peak} bytes for 20 MB of letters"


def _facts(row: Message) -> dict[str, object]:
    skipped = {"id", "once", "public_id"}
    return {field.name: getattr(row, field.name) for field in row._meta.fields if field.name not in skipped}


def test_names_in_the_archive_are_clean_and_differ():
    assert list(copies._unique(["papers/a:b.pdf", "papers/A-b.pdf", "everything.json"])) == [
        "papers/a-b.pdf",
        "papers/A-b (2).pdf",
        "everything.json",
    ]


# --- pages


def test_owner_makes_and_fetches_a_copy_from_the_clients_page(robin, client: Browser, now):
    sign_in(client, make_user(Role.OWNER))
    page = reverse("desk_client", args=[robin.client.public_id])
    assert (
        reverse("desk_client", args=[robin.client.public_id])
        in client.get(reverse("desk_booking", args=[robin.shoot.booking.public_id])).content.decode()
    )
    assert client.post(reverse("desk_client_copy", args=[robin.client.public_id])).status_code == 302
    assert "hx-get" in client.get(page).content.decode()
    assert copies.make_next(now=timezone.now())
    words = client.get(reverse("desk_client_copy", args=[robin.client.public_id])).content.decode()
    assert "Download the copy" in words and "hx-get" not in words
    address = reverse("desk_client_zip", args=[robin.client.public_id])
    answer = client.get(address)
    whole = b"".join(answer.streaming_content)
    assert zipfile.ZipFile(io.BytesIO(whole)).testzip() is None
    assert answer["Cache-Control"] == "private, no-cache" and MARK not in answer["Content-Disposition"]
    rest = client.get(address, headers={"Range": "bytes=100-", "If-Range": answer["ETag"]})
    assert (rest.status_code, b"".join(rest.streaming_content)) == (206, whole[100:])
    assert DataCopy.objects.get().fetched_at is not None


def test_photographer_sees_the_page_and_no_copy(robin, client: Browser, now):
    copy_of(robin, now=timezone.now())
    sign_in(client, make_user(Role.PHOTOGRAPHER))
    words = client.get(reverse("desk_client", args=[robin.client.public_id])).content.decode()
    assert robin.client.email in words and "Download the copy" not in words
    assert client.get(reverse("desk_client_zip", args=[robin.client.public_id])).status_code == 403


def test_page_asks_as_often_for_one_booking_as_for_many(
    robin, client: Browser, now, django_assert_num_queries
):
    sign_in(client, make_user(Role.OWNER))
    address = reverse("desk_client", args=[robin.client.public_id])

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            client.get(address)
        return len(seen)

    client.get(address)
    one = queries()
    for day in (1, 2):
        make_gallery(
            now=now, shoot=make_shoot(now=now, client=robin.client, starts_at=now + timedelta(days=day))
        )
    assert queries() == one
