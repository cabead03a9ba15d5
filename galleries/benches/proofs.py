"""`manage.py bench proofs`: the proof gallery on a throttled phone, by Lighthouse, with 60 and with 300 pictures.

Lighthouse's mobile profile (slow 4G, a processor four times slower) over the product as it is deployed: gunicorn, one
stylesheet, hashed files. The studio's front page is measured in the same run: where that is slow, the machine is busy.
Lighthouse comes from npm on the first run, into the data folder; the browser is the machine's Chromium.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.urls import reverse

from galleries.benches.camera_frames import camera_frame
from galleries.benches.studio_rows import bench_store, receiving_gallery
from galleries.imaging.jobs import RenderOrder, make
from galleries.imaging.recipes import PROOFS
from galleries.imaging.render import Rendered
from galleries.models import Gallery, Photo, Rendition
from studio import credentials, storage
from studio.actors import WORKER
from studio.benching import BenchOptions, BenchResult, bench
from studio.serving import as_deployed, free_port, gunicorn
from studio.transitions import move

LIGHTHOUSE = "12.8.2"
SCRIPT = Path(__file__).with_name("lighthouse.mjs")
PORTRAITS = ("grace_hopper.jpg", "eileen_collins.png")
WANTED, MOST_BYTES = 0.95, 150_000
TRIES = 3
TIMES = {
    "first_paint_ms": "first-contentful-paint",
    "largest_paint_ms": "largest-contentful-paint",
    "interactive_ms": "interactive",
    "blocked_ms": "total-blocking-time",
    "speed_index_ms": "speed-index",
    "shift": "cumulative-layout-shift",
    "server_ms": "server-response-time",
}


@bench("proofs")
def run(options: BenchOptions) -> BenchResult:
    """Every page in turn, `runs` times; medians. `--count` asks for another number of pictures than 300."""
    counts = (60,) if options.quick else (60, options.count or 300)
    script, chromium = _lighthouse(), _chromium()
    found: dict[str, list[Seen]] = {}
    with bench_store("proofs-") as folder, receiving_gallery("bench-proofs") as gallery:
        views = _views(folder)
        with _server(folder) as port, _opened(gallery) as cookie:
            home = f"http://127.0.0.1:{port}"
            for count in counts:
                _fill(gallery, count, views)
                pages = {
                    "front_page": home + "/",
                    f"proofs_{count}": home + reverse("gallery", args=[gallery.public_id]) + "?show=all",
                }
                for _run in range(options.runs):
                    for name, url in pages.items():
                        seen = _measured(script, chromium, url, cookie, folder)
                        found.setdefault(name, []).append(seen)
    return _result(found, counts, options)


@dataclass(frozen=True, slots=True)
class Seen:
    """One page as Lighthouse saw it once: the score (0 to 1), times, and what travelled."""

    score: float
    times: dict[str, float]
    first_bytes: int  # the page, its stylesheet, scripts and icons, as they travel
    pictures: int
    picture_bytes: int


# --- the gallery


def _views(folder: Path) -> list[dict[str, Rendered]]:
    """The proofs of two camera-sized frames, as intake makes them, by recipe."""
    made = []
    for number, portrait in enumerate(PORTRAITS):
        room = folder / f"frame-{number}"
        room.mkdir()
        frame = camera_frame(room / "frame.jpg", portrait)
        made.append({file.recipe: file for file in make(RenderOrder(frame, room, PROOFS)).files})
    return made


def _fill(gallery: Gallery, count: int, views: list[dict[str, Rendered]]) -> None:
    """That many published proofs with their pictures; of the large ones the rows, which the grid only asks for."""
    now = datetime.now(UTC)
    have = gallery.photos.count()
    photos = Photo.objects.bulk_create(
        Photo(
            gallery=gallery,
            number=number,
            name=f"BENCH_{number:04d}.JPG",
            width=4000,
            height=6000,
            dominant_colour="#6f6259",
            rating=1,
            is_published=True,
            accepted_at=now,
        )
        for number in range(have + 1, count + 1)
    )
    rows = []
    for photo in photos:
        for recipe, file in views[photo.number % len(views)].items():
            rows.append(_row(photo, recipe, file, now=now))
    Rendition.objects.bulk_create(rows)
    if not have:
        move(Gallery, gallery.pk, "publish_proofs", by=WORKER, now=now)


def _row(photo: Photo, recipe: str, file: Rendered, *, now: datetime) -> Rendition:
    key = storage.random_key(f"s{photo.gallery.shoot.public_id}/p{photo.public_id}", ".jpg")
    kept = storage.put(storage.derived(), key, file.path)
    return Rendition(
        photo=photo,
        recipe=recipe,
        recipe_version=file.version,
        digest="",
        key=key,
        width=file.width,
        height=file.height,
        size=kept.size,
        sha256=kept.sha256,
        crc32=kept.crc32,
        made_at=now,
    )


@contextmanager
def _opened(gallery: Gallery) -> Iterator[str]:
    """The cookie of a phone that has opened the gallery's link."""
    link = credentials.grant(scope="gallery", target=gallery.public_id, now=datetime.now(UTC))
    session = SessionStore()
    session[credentials.SESSION_KEY] = {f"gallery:{gallery.public_id}": link.credential.pk}
    session.create()
    try:
        yield f"{settings.SESSION_COOKIE_NAME}={session.session_key}"
    finally:
        session.delete()
        link.credential.delete()


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    """The product as deployed: its static files collected, hashed and compressed."""
    port = free_port()
    with gunicorn("studio.wsgi:application", folder, port, as_deployed(folder, port)):
        yield port


# --- the phone


def _lighthouse() -> Path:
    """Our script beside Lighthouse of the pinned version, in the data folder; fetched by npm on first use."""
    home = Path(settings.DATA) / "bench" / f"lighthouse-{LIGHTHOUSE}"
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise RuntimeError("Lighthouse needs node and npm: apt install npm")
    if not (home / "node_modules" / "lighthouse").exists():
        home.mkdir(parents=True, exist_ok=True)
        wanted = [f"lighthouse@{LIGHTHOUSE}", "--no-audit", "--no-fund", "--silent"]
        subprocess.run([npm, "install", "--prefix", home, *wanted], check=True, stdout=sys.stderr)
    return Path(shutil.copy(SCRIPT, home))


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise RuntimeError("Lighthouse needs a browser: apt install chromium")


def _measured(script: Path, chromium: str, url: str, cookie: str, folder: Path) -> Seen:
    """One run. A trace that lost its beginning (a busy machine does that) is taken again, twice at most."""
    for _try in range(TRIES):
        with tempfile.TemporaryDirectory(dir=folder) as room:
            out = Path(room, "report.json")
            command = ["node", str(script), chromium, cookie, url, str(out)]
            done = subprocess.run(command, cwd=script.parent, capture_output=True, text=True)
            if done.returncode or not out.exists():
                raise RuntimeError(f"Lighthouse said: {done.stderr[-2000:]}")
            report = json.loads(out.read_text())
        wrong = report.get("runtimeError", {}).get("message", "")
        if not wrong:
            break
    if wrong or report["finalDisplayedUrl"] != url:
        raise RuntimeError(f"{url} was not shown: {wrong or report['finalDisplayedUrl']}")
    return _seen(report)


def _seen(report: dict[str, Any]) -> Seen:
    audits = report["audits"]
    requests = audits["network-requests"]["details"]["items"]
    failed = [each["url"] for each in requests if each.get("statusCode", 200) >= 400]
    if failed:
        raise RuntimeError(f"These did not come: {failed[:3]}")
    pictures = [each for each in requests if "/picture/" in each["url"]]
    others = [each for each in requests if each not in pictures and each["url"].startswith("http")]
    return Seen(
        score=report["categories"]["performance"]["score"],
        times={name: float(audits[audit]["numericValue"]) for name, audit in TIMES.items()},
        first_bytes=sum(each["transferSize"] for each in others),
        pictures=len(pictures),
        picture_bytes=sum(each["transferSize"] for each in pictures),
    )


def _result(found: dict[str, list[Seen]], counts: tuple[int, ...], options: BenchOptions) -> BenchResult:
    def middle(name: str) -> dict[str, float]:
        seen = found[name]
        facts = {
            "score": median(each.score for each in seen),
            "first_bytes": median(each.first_bytes for each in seen),
            "pictures": median(each.pictures for each in seen),
            "picture_bytes": median(each.picture_bytes for each in seen),
        }
        for time in TIMES:
            facts[time] = round(median(each.times[time] for each in seen), 3 if time == "shift" else 0)
        return facts

    pages = {name: middle(name) for name in found}
    figures: dict[str, float | int | str] = {
        f"{name}_{fact}": value
        for name, facts in pages.items()
        if name != "front_page"
        for fact, value in facts.items()
    }
    conditions: dict[str, str | int | float] = {
        "lighthouse": LIGHTHOUSE,
        "profile": "mobile, simulated slow 4G, processor ÷ 4",
        "rounds": options.runs,
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 1),
    }
    facts = list(next(iter(pages.values())))
    lines = [f"{'':20}" + "".join(f"{name:>14}" for name in pages)]
    lines += [f"{fact:20}" + "".join(f"{pages[name][fact]:>14.6g}" for name in pages) for fact in facts]
    lines.append(f"wanted: score ≥ {WANTED}, first bytes ≤ {MOST_BYTES}; load {conditions['load']}")
    peers: dict[str, dict[str, float | int | str]] = {"front_page": dict(pages["front_page"])}
    last = f"proofs_{counts[-1]}"
    ratios = {"score_to_front_page": round(pages[last]["score"] / max(pages["front_page"]["score"], 0.01), 2)}
    return BenchResult(figures, peers, ratios, conditions, "\n".join(lines))
