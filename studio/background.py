"""The only two task decorators. Celery rings; the row that states the work is the truth.

A task carries no object id: it asks the domain for the most urgent row, works, and rings again if more wait.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from celery import shared_task
from django.db import connection, transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)


class Bell(Protocol):
    """A task that can be rung."""

    name: str

    def delay(self) -> object: ...

    def __call__(self) -> object: ...


_queues: dict[str, str] = {}  # task name -> queue


def route(name: str, *_: object, **__: object) -> dict[str, str] | None:
    """Celery's router (settings): each task's queue is named by its decorator."""
    return {"queue": _queues[name]} if name in _queues else None


def _task(queue: str) -> Callable[[Callable[[], object]], Bell]:
    def decorate(function: Callable[[], object]) -> Bell:
        _queues[f"{function.__module__}.{function.__name__}"] = queue
        options: dict[str, Any] = {
            "acks_late": True,
            "ignore_result": True,
            # A child killed in the middle is retried, but a poison message is not retried for ever.
            "task_retry_on_worker_lost": True,
            "max_retries": 3,
        }
        return shared_task(**options)(function)  # type: ignore[no-any-return]

    return decorate


quick_task = _task("quick")
image_task = _task("images")


def ring(task: Bell) -> None:
    """Ring the bell now. A broker that is down is no error: a sweep rings again."""
    try:
        task.delay()
    except (OperationalError, OSError) as error:
        log.warning("Could not ring %s, the sweep will: %s", task.name, type(error).__name__)


def ring_on_commit(task: Bell) -> None:
    """Ring once the row that states the work is safely committed."""
    transaction.on_commit(partial(ring, task))


class only_one:
    """`with only_one("name") as mine:`; False where another process runs the same sweep (two beats).

    Holds a PostgreSQL session advisory lock; it falls with the connection, so a killed sweep frees it.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [self.name])
            self.mine = bool(cursor.fetchone()[0])
        return self.mine

    def __exit__(self, *_: object) -> None:
        if self.mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [self.name])
