"""The server of `manage.py bench zip`: the product's archive and store behind gunicorn, without pages or rows.

/archive    the ZIP of all pictures, by `galleries.archive` over the private store
/file       one file of about the same size, streamed from the same store in the same way
/sendfile   the same file by the server's own sendfile(2): what no private download can use, shown for comparison
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from galleries import ranges
from galleries.archive import ArchivePlan, Entry
from studio.disk_store import DiskStore

SHOT_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
STORE = DiskStore(os.environ["BENCH_STORE"])
PICTURES: list[dict[str, Any]] = json.loads(Path(os.environ["BENCH_STORE"], "pictures.json").read_text())
BIG = "big.bin"
Start = Callable[..., object]


def archive() -> ArchivePlan:
    """Planned anew for each request, as the product does."""
    return ArchivePlan(
        Entry(p["name"], p["size"], p["crc32"], SHOT_AT, partial(_span, p["key"])) for p in PICTURES
    )


def _span(key: str, start: int, length: int) -> Iterator[bytes]:
    return STORE.read_range(key, start, start + length)


def application(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """WSGI: three ways to send two gigabytes."""
    path = environ["PATH_INFO"]
    if path == "/sendfile":
        length = STORE.size_of(BIG)
        start_response("200 OK", [("Content-Length", str(length))])
        return environ["wsgi.file_wrapper"](open(STORE.path(BIG), "rb"), 1 << 18)  # type: ignore[no-any-return]
    read: Callable[[int, int], Iterable[bytes]]
    if path == "/file":
        length, etag, read = STORE.size_of(BIG), '"big"', partial(STORE.read_range, BIG)
    else:
        plan = archive()
        length, etag, read = plan.length, plan.etag, plan.read
    answer = ranges.answer(length=length, etag=etag, range_header=environ.get("HTTP_RANGE", ""))
    start_response(f"{answer.status} Bench", list(answer.headers.items()))
    return read(answer.start, answer.stop)
