"""`manage.py bench upload`: files through our tus endpoint, beside plain writing and a multipart form.

One gunicorn with the product's own settings takes all three in the same run, interleaved: the same bytes written and
fsynced by a few lines of WSGI, our tus endpoint as our page speaks it (a row, pieces of 8 to 64 MiB, each safe on the
disk before it is acknowledged), and our form for browsers without scripts, which Django reads as multipart.
"""

import base64
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.test import Client as Browser
from django.urls import reverse
from django.utils.crypto import get_random_string

from galleries.benches.studio_rows import bench_store, receiving_gallery
from galleries.models import Gallery, Upload
from studio import storage
from studio.benching import BenchOptions, BenchResult, bench
from studio.models import Role, StaffRole, User
from studio.serving import environment_of, free_port, gunicorn

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MEGABYTE = 1_000_000
SMALL_PIECE, LARGE_PIECE = 8 * 1024 * 1024, 64 * 1024 * 1024  # as upload.js: doubled while pieces are quick
QUICK = 1.5  # seconds
Way = Callable[[bytes, str], None]


@bench("upload")
def run(options: BenchOptions) -> BenchResult:
    """Send the same files each way, round by round; what arrived is compared with what was sent."""
    count, size = (2, 5 * MEGABYTE) if options.quick else (options.count or 10, 30 * MEGABYTE)
    files = [random.randbytes(size) for _ in range(count)]
    with (
        bench_store("upload-") as folder,
        receiving_gallery("bench-upload") as gallery,
        _person() as user,
        _server(folder) as port,
    ):
        sender = _Sender(port, gallery, user)
        ways: dict[str, Way] = {
            "likeness": sender.tus,
            "likeness_with_checksums": sender.tus_with_checksums,
            "plain": sender.plain,
            "plain_pieces": sender.plain_in_pieces,
            "form": sender.form,
        }
        for name, way in ways.items():
            way(files[0][: SMALL_PIECE + 1], f"warm-{name}.jpg")
        speeds: dict[str, list[float]] = {name: [] for name in ways}
        for _run in range(options.runs):
            for name, way in ways.items():
                began = time.perf_counter()
                for number, data in enumerate(files):
                    way(data, f"{name}-{number}.jpg")
                speeds[name].append(count * size / (time.perf_counter() - began) / MEGABYTE)
        _check(gallery, files)
    return _result(speeds, count, size, options)


class _Sender:
    """One person's browser, on one connection that is kept."""

    def __init__(self, port: int, gallery: Gallery, user: User) -> None:
        browser = Browser()
        browser.force_login(user)
        token = get_random_string(32)
        session = browser.cookies[settings.SESSION_COOKIE_NAME].value
        cookie = f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={token}"
        self.line = HTTPConnection("127.0.0.1", port, timeout=60)
        self.gallery = gallery
        self.headers = {"Cookie": cookie, "X-CSRFToken": token}
        self.piece = SMALL_PIECE

    def _ask(self, method: str, path: str, body: bytes, status: int, **headers: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.line.request(method, path, body, self.headers | named)
        answer = self.line.getresponse()
        said = answer.read()
        if answer.status != status:
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:300]!r}")
        return dict(answer.headers.items())

    def tus(self, data: bytes, name: str, *, with_checksums: bool = False) -> None:
        """A row, then pieces, each acknowledged when it is safe."""
        told = {"filename": name, "gallery": self.gallery.public_id}
        words = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in told.items())
        made = self._ask(
            "POST",
            reverse("uploads"),
            b"",
            201,
            Tus_Resumable="1.0.0",
            Upload_Length=str(len(data)),
            Upload_Metadata=words,
        )
        path = urlsplit(made["Location"]).path
        at = 0
        while at < len(data):
            piece = data[at : at + self.piece]
            began = time.perf_counter()
            digest = base64.b64encode(hashlib.sha256(piece).digest()).decode() if with_checksums else ""
            extra = {"Upload_Checksum": f"sha256 {digest}"} if with_checksums else {}
            self._ask(
                "PATCH",
                path,
                piece,
                204,
                Tus_Resumable="1.0.0",
                Upload_Offset=str(at),
                Content_Type="application/offset+octet-stream",
                **extra,
            )
            if time.perf_counter() - began >= QUICK:
                self.piece = SMALL_PIECE
            elif len(piece) == self.piece:
                self.piece = min(self.piece * 2, LARGE_PIECE)
            at += len(piece)

    def tus_with_checksums(self, data: bytes, name: str) -> None:
        """The same, a SHA-256 with each piece, computed by the sender too."""
        self.tus(data, name, with_checksums=True)

    def plain(self, data: bytes, name: str) -> None:
        """The bytes in one request, into a file."""
        self._ask("PUT", f"/plain/{name}", data, 204)

    def plain_in_pieces(self, data: bytes, name: str) -> None:
        """The bytes in the smallest pieces our page sends, each synced before it is answered."""
        for at in range(0, len(data), SMALL_PIECE):
            self._ask("PUT", f"/plain/{name}", data[at : at + SMALL_PIECE], 204)

    def form(self, data: bytes, name: str) -> None:
        """The form of a browser without scripts: multipart, one file."""
        line = "bench-boundary-7d4a"
        head = f'--{line}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = b"".join([head.encode(), data, f"\r\n--{line}--\r\n".encode()])
        path = reverse("gallery_add", args=[self.gallery.public_id])
        self._ask("POST", path, body, 302, Content_Type=f"multipart/form-data; boundary={line}")


@contextmanager
def _person() -> Iterator[User]:
    user = User.objects.create_user(email="bench-upload@example.test", password=get_random_string(20))
    StaffRole.objects.create(user=user, role=Role.OWNER)
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    try:
        yield user
    finally:
        user.delete()


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    """The product behind one gunicorn worker of eight threads; its log is shown when it does not come up."""
    port = free_port()
    (folder / "plain").mkdir()
    environment = environment_of(folder, port) | {"BENCH_PLAIN": str(folder / "plain")}
    with gunicorn("upload_server:application", folder, port, environment, beside=HERE):
        yield port


def _check(gallery: Gallery, files: list[bytes]) -> None:
    """The last round's files of each way, read back from the store."""
    for name in ("likeness", "likeness_with_checksums", "form"):
        for number, data in enumerate(files):
            row = Upload.objects.filter(gallery=gallery, name=f"{name}-{number}.jpg").latest("pk")
            stored = storage.fingerprint(storage.originals(), row.key)
            if stored.sha256 != hashlib.sha256(data).hexdigest():
                raise RuntimeError(f"{row.name} was not kept as it was sent.")


def _result(speeds: dict[str, list[float]], count: int, size: int, options: BenchOptions) -> BenchResult:
    speed = {name: round(median(found), 1) for name, found in speeds.items()}

    def ratio(ours: str, theirs: str) -> float:
        pairs = zip(speeds[ours], speeds[theirs], strict=True)
        return round(median(one / other for one, other in pairs), 3)

    ratios = {
        "plain_write": ratio("likeness", "plain"),
        "plain_write_in_small_pieces": ratio("likeness", "plain_pieces"),
        "plain_write_with_checksums": ratio("likeness_with_checksums", "plain"),
        "multipart_form": ratio("likeness", "form"),
    }
    figures: dict[str, Any] = {
        "megabytes_per_second": speed["likeness"],
        "with_checksums_megabytes_per_second": speed["likeness_with_checksums"],
    }
    peers: dict[str, dict[str, Any]] = {
        "plain": {"megabytes_per_second": speed["plain"]},
        "plain_in_pieces": {"megabytes_per_second": speed["plain_pieces"]},
        "multipart_form": {"megabytes_per_second": speed["form"]},
    }
    conditions: dict[str, str | int | float] = {
        "files": count,
        "megabytes_each": size / MEGABYTE,
        "largest_piece_megabytes": round(LARGE_PIECE / MEGABYTE, 1),
        "rounds": options.runs,
        "server": "gunicorn gthread, one worker, loopback, fsync before each answer",
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 1),
    }
    titles = {
        "likeness": "tus, as our page sends",
        "likeness_with_checksums": "tus, SHA-256 per piece",
        "plain": "plain write, same server",
        "plain_pieces": "the same in pieces of 8 MiB",
        "form": "multipart form",
    }
    lines = [f"{'':28}{'MB/s':>10}"]
    lines += [f"{titles[name]:28}{value:>10}" for name, value in speed.items()]
    lines.append(
        f"{ratios['plain_write']} of plain writing (wanted ≥ 0.6), {ratios['plain_write_in_small_pieces']} in "
        f"pieces of 8 MiB, {ratios['plain_write_with_checksums']} with checksums, {ratios['multipart_form']} × the form"
    )
    return BenchResult(figures, peers, ratios, conditions, "\n".join(lines))
