"""django-appointment under the same clients: how many sit on one another's chair, and at what hour they may come.

Runs in an environment of its own, beside our database server in a database of its own, as its documentation sets it
up: one member of staff, opening hours, signed-in clients who send its two forms.

python booking_bench_appointment.py DATABASE CLIENTS TIMES TRIES   →   one JSON line
"""

import json
import logging
import random
import sys
import threading
import time as clock
from datetime import date, datetime, time, timedelta

from django.conf import settings  # type: ignore[import-not-found,unused-ignore]

DATABASE = json.loads(sys.argv[1]) if __name__ == "__main__" else {}
HOURS, PER_DAY, LENGTH = (time(8), time(18)), 20, 30
NIGHT = time(3)
settings.configure(
    SECRET_KEY="only-for-a-bench",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "phonenumber_field",
        "appointment",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **DATABASE}},
    EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
logging.disable(logging.CRITICAL)

import django  # noqa: E402

django.setup()

from appointment.models import (  # type: ignore[import-not-found]  # noqa: E402  # in the peer's environment
    Appointment,
    Service,
    StaffMember,
    WorkingHours,
)
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("", include("appointment.urls"))]


def main() -> None:
    """Set it up, let the clients loose, count."""
    clients, times, tries = (int(text) for text in sys.argv[2:5])
    call_command("migrate", "auth", verbosity=0)  # its package brings no migrations: tables from its models
    call_command("migrate", run_syncdb=True, verbosity=0)
    service = Service.objects.create(name="Portrait", duration=timedelta(minutes=LENGTH), price=1)
    staff = StaffMember.objects.create(user=User.objects.create_user("staff"))
    staff.services_offered.add(service)
    for day in range(7):
        WorkingHours.objects.create(
            staff_member=staff, day_of_week=day, start_time=HOURS[0], end_time=HOURS[1]
        )
    first = date.today() + timedelta(days=1)  # noqa: DTZ011  # its own dates are naive
    wanted = [
        datetime.combine(first + timedelta(days=number // PER_DAY), HOURS[0])
        + number % PER_DAY * timedelta(minutes=LENGTH)
        for number in range(times)
    ] * tries
    random.Random(1).shuffle(wanted)
    presses, seconds = rush([wanted[number::clients] for number in range(clients)], service, staff)
    ordered = sorted(presses)
    made = Appointment.objects.count()
    at_night = [datetime.combine(first + timedelta(days=number), NIGHT) for number in range(20)]
    rush([at_night], service, staff)
    print(  # noqa: T201  # the answer
        json.dumps(
            {
                "bookings_per_second": round(made / seconds, 1),
                "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 1),
                "double_bookings": doubles(),
                "asked_at_night": len(at_night),
                "booked_at_night": Appointment.objects.count() - made,
            }
        )
    )


def rush(
    shares: "list[list[datetime]]", service: "Service", staff: "StaffMember"
) -> "tuple[list[float], float]":
    """Each client sends the two forms for each of their times; seconds of each press and of them all."""
    start, found = threading.Barrier(len(shares) + 1), []

    def one(number: int, share: "list[datetime]") -> None:
        browser = Client()
        name = f"client-{number}"
        client = User.objects.get_or_create(username=name, email=f"{name}@example.org")[0]
        browser.force_login(client)  # type: ignore[arg-type]  # its users are Django's own
        start.wait()
        for at in share:
            began = clock.perf_counter()
            press(browser, at, service, staff)
            found.append(clock.perf_counter() - began)
        connections.close_all()

    threads = [threading.Thread(target=one, args=row) for row in enumerate(shares)]
    for thread in threads:
        thread.start()
    start.wait()
    began = clock.perf_counter()
    for thread in threads:
        thread.join()
    assert len(found) == sum(len(share) for share in shares), "a client was stopped by an error"
    return found, clock.perf_counter() - began


def press(browser: Client, at: datetime, service: "Service", staff: "StaffMember") -> None:
    """The time, then the details: as its pages send them."""
    request = browser.post(
        "/request-submit/",
        {
            "date": at.date().isoformat(),
            "start_time": f"{at:%H:%M}",
            "end_time": f"{at + timedelta(minutes=LENGTH):%H:%M}",
            "service": service.pk,
            "staff_member": staff.pk,
        },
    )
    if request.status_code != 302:
        return
    details = {
        "name": "Robin Sample",
        "email": "robin@example.org",
        "phone_0": "US",
        "phone_1": "2015550123",
        "address": "1 Lake Street",
        "additional_info": "",
        "payment_type": "full",
    }
    answer = browser.post(request.headers["Location"], details)
    assert answer.status_code == 302, answer.content[:2000]


def doubles() -> int:
    """Pairs of appointments of one member of staff that overlap."""
    rows = Appointment.objects.values_list(
        "appointment_request__date", "appointment_request__start_time", "appointment_request__end_time"
    )
    spans = sorted((datetime.combine(on, begins), datetime.combine(on, ends)) for on, begins, ends in rows)
    return sum(
        other[0] < one[1] for number, one in enumerate(spans) for other in spans[number + 1 : number + 20]
    )


if __name__ == "__main__":
    main()
