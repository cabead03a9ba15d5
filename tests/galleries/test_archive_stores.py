"""The resumable ZIP over the stores it really reads from, and with the client that people resume with."""

import io
import os
import random
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from galleries import ranges
from galleries.archive import ArchiveError, ArchivePlan, Entry
from studio import storage
from tests.stores import disk, s3, s3_url, store

__all__ = ["disk", "s3", "s3_url", "store"]  # fixtures

SHOT_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def kept(store: Any, name: str, content: bytes) -> Entry:
    key = storage.random_key("shoot/zip", ".jpg")
    found = storage.put(store, key, io.BytesIO(content))

    def read(start: int, length: int) -> Iterator[bytes]:
        return storage.open_range(store, key, start, start + length)

    return Entry(name, found.size, found.crc32, SHOT_AT, read, digest=found.sha256)


@pytest.fixture
def plan(store) -> ArchivePlan:
    return ArchivePlan(kept(store, f"full/{number}.jpg", os.urandom(700_000)) for number in range(4))


def test_the_archive_of_stored_pictures_is_whole(plan):
    with zipfile.ZipFile(io.BytesIO(b"".join(plan.read()))) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 4


def test_any_part_of_it_is_a_slice(plan):
    whole = b"".join(plan.read())
    chosen = random.Random(7)
    for _time in range(25):
        start = chosen.randrange(len(whole))
        stop = chosen.randrange(start, min(len(whole), start + 900_000) + 1)
        assert b"".join(plan.read(start, stop)) == whole[start:stop]


def test_a_picture_that_vanished_cuts_the_download(store):
    plan = ArchivePlan([Entry("a.jpg", 5, 0, SHOT_AT, partial(_missing, store))])
    with pytest.raises((storage.NoSuchObject, ArchiveError)):
        list(plan.read())


def _missing(store: Any, start: int, length: int) -> Iterator[bytes]:
    return storage.open_range(store, "shoot/zip/gone.jpg", start, start + length)


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(plan: ArchivePlan, asked: list[str]) -> Iterator[str]:
    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        asked.append(environ.get("HTTP_RANGE", ""))
        found = ranges.answer(length=plan.length, etag=plan.etag, range_header=asked[-1])
        start_response(f"{found.status} Answer", list(found.headers.items()))
        return plan.read(found.start, found.stop)

    with make_server("127.0.0.1", 0, application, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/likeness.zip"
        finally:
            server.shutdown()
            thread.join()


def test_curl_goes_on_with_a_download_cut_at_ten_random_bytes(plan, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    whole = b"".join(plan.read())
    asked: list[str] = []
    cuts = [0, *random.Random(3).sample(range(1, len(whole)), 10)]
    with served(plan, asked) as address:
        for cut in cuts:
            path = tmp_path / f"{cut}.zip"
            path.write_bytes(whole[:cut])
            subprocess.run(["curl", "-sSf", "-C", "-", "-o", path, address], check=True)
            assert path.read_bytes() == whole
    assert asked[1:] == [f"bytes={cut}-" for cut in cuts[1:]]
