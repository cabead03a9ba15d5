"""`manage.py bench deadlines`: the sweep over 100,000 open galleries, and the board with 5,000 of them.

Everything happens in one transaction of the given database that is rolled back. The peer in the same run is the sweep
without its stored alarm: the promise of every open gallery read, and its next warning computed from the calendar.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from django.conf import settings
from django.db import connection, transaction
from django.db.models import DateTimeField, ExpressionWrapper, FloatField, Model, Value
from django.db.models.functions import Cast, Mod
from django.test import RequestFactory, override_settings

from bookings.models import Booking, Client, SessionType, Shoot
from bookings.statuses import BookingStatus, ShootStatus
from galleries import alarms, board, deadlines, promise_views
from galleries.models import Gallery, Photo, Pick, Retouch
from galleries.statuses import GalleryStatus, RetouchStatus
from studio import workdays
from studio.benching import BenchOptions, BenchResult, bench
from studio.models import Location, Role, StaffRole, User

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)  # a Monday
PLAIN_FILES = "django.contrib.staticfiles.storage.StaticFilesStorage"
TABLES = (
    "galleries_gallery, galleries_retouch, galleries_photo, galleries_pick, bookings_booking, bookings_shoot"
)
DUE = 20  # warnings that are due in one sweep


@dataclass(frozen=True, slots=True)
class Size:
    """How many galleries are open for the sweep, and for the board."""

    sweep: int = 100_000
    board: int = 5_000


@bench("deadlines")
def deadlines_bench(options: BenchOptions) -> BenchResult:
    """The board first, then as many galleries again until the sweep's number is open; nothing is left behind."""
    size = Size(2_000, 500) if options.quick else Size()
    with transaction.atomic():
        rows = _Rows()
        rows.fill(size.board)
        rows.spread()
        page = _Page()
        shown = _seconds(page.show, options.runs)
        began = time.process_time()
        page.show()
        cpu = time.process_time() - began
        today = datetime.now(UTC)
        sorted_in = _seconds(lambda: board.board(now=today), options.runs)
        on_board = board.board(now=today).counts
        rows.fill(size.sweep - size.board)
        quiet = _seconds(lambda: alarms.sweep(now=NOW), options.runs)
        busy = _busy_sweeps(options.runs)
        peer = _seconds(_without_alarms, max(1, options.runs // 2))
        plan = _plan()
        transaction.set_rollback(True)
    figures: dict[str, float | int | str] = {
        "board_page_ms": round(median(shown) * 1000, 1),
        "board_page_worst_ms": round(max(shown) * 1000, 1),
        "board_page_own_cpu_ms": round(cpu * 1000, 1),
        "board_without_page_ms": round(median(sorted_in) * 1000, 1),
        "board_lists": " ".join(f"{name}:{count}" for name, count in on_board.items()),
        "quiet_sweep_ms": round(median(quiet) * 1000, 2),
        f"sweep_with_{DUE}_warnings_ms": round(median(busy) * 1000, 1),
        "sweep_worst_ms": round(max(busy) * 1000, 1),
        "plan": plan,
    }
    return BenchResult(
        figures=figures,
        peers={"without_stored_alarms": {"ms": round(median(peer) * 1000, 1)}},
        ratios={"without_stored_alarms": round(median(peer) / median(busy), 1)},
        conditions={
            "load_average": round(os.getloadavg()[0], 1),
            "open_for_sweep": size.sweep,
            "open_for_board": size.board,
            "runs": options.runs,
        },
        table="\n".join(f"{name:<28}{value:>12}" for name, value in figures.items()),
    )


def _seconds(call: Callable[[], object], runs: int) -> list[float]:
    """Wall time of each call; a first one warms up."""
    call()
    times = []
    for _run in range(runs):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


def _busy_sweeps(runs: int) -> list[float]:
    """Each round makes the next twenty alarms due: their warnings are written and the mails queued."""
    times = []
    for _run in range(runs):
        due = Gallery.objects.filter(alarm_at__isnull=False).order_by("pk").values("pk")[:DUE]
        for gallery in Gallery.objects.filter(pk__in=due):
            gallery.notices.all().delete()
        Gallery.objects.filter(pk__in=list(due.values_list("pk", flat=True))).update(alarm_at=NOW)
        began = time.perf_counter()
        assert alarms.sweep(now=NOW) == DUE
        times.append(time.perf_counter() - began)
    return times


def _without_alarms() -> int:
    """What a sweep does that stores no alarm: compute the warnings of every open promise."""
    found = 0
    rows = Gallery.objects.filter(status__in=deadlines.RUNNING, deliver_by__isnull=False)
    for due_at, promise in rows.values_list("deliver_by", "promise").iterator(chunk_size=2000):
        if due_at is not None:
            warnings = workdays.warnings_before(due_at, workdays.calendar_from_json(promise["calendar"]))
            found += warnings.one_day_at <= NOW
    return found


def _plan() -> str:
    """How PostgreSQL finds what is due."""
    due = (
        Gallery.objects.filter(alarm_at__lte=NOW)
        .order_by("alarm_at", "id")
        .values_list("pk", flat=True)[:500]
    )
    lines = due.explain().splitlines()
    return next((line.split("  (")[0].strip(" ->") for line in lines if "Scan" in line), lines[0])


class _Rows:
    """A studio and one gallery in retouching; `fill` copies it, each with its own time."""

    def __init__(self) -> None:
        location = Location.objects.create(
            slug="bench-deadlines", name="Bench", country="GB", zone="Europe/London"
        )
        kind = SessionType.objects.create(
            slug="bench-deadlines", name="Bench", minutes=60, price=1, finals_included=2
        )
        payer = Client.objects.create(name="Bench", email="bench@example.test", created_at=NOW)
        self.booking = Booking.objects.create(
            payer=payer,
            session_type=kind,
            location=location,
            status=BookingStatus.CONFIRMED,
            starts_at=NOW - timedelta(hours=2),
            ends_at=NOW - timedelta(hours=1),
            created_at=NOW,
            currency="GBP",
            session_fee=1,
            price=1,
            due_now=1,
            finals_included=2,
        )
        self.shoot = Shoot.objects.create(
            booking=self.booking,
            sitter=payer,
            status=ShootStatus.COMPLETED,
            code="BENCH",
            starts_at=self.booking.starts_at,
            ends_at=self.booking.ends_at,
        )
        self.gallery = Gallery.objects.create(shoot=self.shoot, finals_included=2, created_at=NOW)
        deadlines.start(gallery_id=self.gallery.pk, ended_at=NOW, now=NOW)
        Gallery.objects.filter(pk=self.gallery.pk).update(status=GalleryStatus.RETOUCHING)
        photo = Photo.objects.create(
            gallery=self.gallery, number=1, name="a.jpg", width=1, height=1, accepted_at=NOW
        )
        pick = Pick.objects.create(gallery=self.gallery, photo=photo, picked_at=NOW, actor_kind="user")
        retouch = Retouch.objects.create(
            pick=pick, gallery=self.gallery, status=RetouchStatus.DRAFTED, created_at=NOW
        )
        self.chain: list[Model] = [photo, pick, retouch]

    def spread(self) -> None:
        """Some late, some due today, most later, every tenth waiting for its client: all lists are long."""
        hours = Cast(Mod("pk", 97), FloatField())
        promised = ExpressionWrapper(
            Value(datetime.now(UTC)) + (hours - 3) * Value(timedelta(hours=1)), output_field=DateTimeField()
        )
        Gallery.objects.update(deliver_by=promised)
        Gallery.objects.annotate(tenth=Mod("pk", 10)).filter(tenth=0).update(deliver_by=None)
        _analyze()

    def fill(self, count: int) -> None:
        """Copy the whole chain; promises are spread over the next minutes so that they are in an order."""
        bookings = _copy(self.booking, {"form_token": "gen_random_uuid()"}, list(range(count)))
        shoots = _copy(self.shoot, {"booking_id": "made.parent", "code": "'B' || made.parent"}, bookings)
        later = "made.parent * interval '1 millisecond'"
        galleries = _copy(
            self.gallery,
            {
                "shoot_id": "made.parent",
                "deliver_by": f'template."deliver_by" + {later}',
                "alarm_at": f'template."alarm_at" + {later}',
            },
            shoots,
        )
        parents = galleries
        for template in self.chain:
            own = {"photo_id": "made.parent"} if isinstance(template, Pick) else {}
            own |= {"pick_id": "made.parent"} if isinstance(template, Retouch) else {}
            own |= {"gallery_id": "made.root"}
            parents = _copy(template, own, parents, roots=galleries)
        _analyze()


def _analyze() -> None:
    """What PostgreSQL does by itself a minute later: look at the tables again before it plans."""
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {TABLES}")


class _Page:
    """The promise board as the owner's browser gets it: view, queries and template, without a network."""

    def __init__(self) -> None:
        owner = User.objects.create_user("bench@example.test", None, name="Bench")
        StaffRole.objects.create(user=owner, role=Role.OWNER)
        for number in range(6):
            retoucher = User.objects.create_user(f"bench{number}@example.test", None, name=f"Bench {number}")
            StaffRole.objects.create(user=retoucher, role=Role.RETOUCHER)
        self.request = RequestFactory().get("/")
        self.request.user = owner

    def show(self) -> None:
        """Render it once. The names of static files are taken as they are: they need no collected manifest."""
        with override_settings(STORAGES=settings.STORAGES | {"staticfiles": {"BACKEND": PLAIN_FILES}}):
            promise_views.board(self.request)


def _copy(
    template: Model, differs: dict[str, str], parents: list[int], *, roots: list[int] | None = None
) -> list[int]:
    """Copy one row for each parent, every column of the model; ids of the copies in the order of the parents."""
    table = template._meta.db_table
    columns = [str(row.column) for row in template._meta.concrete_fields if not row.primary_key]
    values = {"public_id": "substr(md5(random()::text), 1, 24)"} | differs
    chosen = ", ".join(values.get(column, f'template."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(  # names of our own models and the constants above
            f'INSERT INTO "{table}" ({names}) SELECT {chosen} FROM "{table}" AS template, '
            "unnest(%s::bigint[], %s::bigint[]) AS made(parent, root) "
            f"WHERE template.id = {template.pk} RETURNING id",
            [parents, roots or parents],
        )
        return [row[0] for row in cursor.fetchall()]
