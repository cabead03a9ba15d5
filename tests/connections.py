"""Things done at the same moment by people who do not share a connection."""

import threading
import time
from collections.abc import Callable, Sequence

from django.db import connection, connections

LONGEST = 20.0  # seconds; nothing that is waited for here takes one


def elsewhere(call: Callable[..., object], *args: object) -> threading.Thread:
    """Run it in a thread with a connection of its own."""

    def run() -> None:
        try:
            call(*args)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def ends_or_waits_for_me(thread: threading.Thread) -> bool:
    """True when the thread has ended, False when somebody's connection waits for a lock of this one."""
    give_up_at = time.monotonic() + LONGEST
    while time.monotonic() < give_up_at:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            if cursor.fetchone()[0]:
                return False
        if not thread.is_alive():
            return True
        time.sleep(0.01)
    raise AssertionError("it neither ended nor waited")


class RealConnections:
    """Run functions side by side, each in a thread with database connections of its own.

    What they write is committed, so the test needs `django_db(transaction=True)`; the fixture sees to it.
    """

    def run[T](self, calls: Sequence[Callable[[], T]], *, seconds: float = 60.0) -> list[T | Exception]:
        """Start all calls at one signal; their results in the given order, an exception in place of a result.

        Raises TimeoutError when one has not ended after `seconds` (a deadlock that PostgreSQL did not see).
        """
        results: list[T | Exception] = [TimeoutError("did not end")] * len(calls)
        start = threading.Barrier(len(calls))

        def one(number: int, call: Callable[[], T]) -> None:
            try:
                connections["default"].ensure_connection()
                start.wait(timeout=seconds)
                results[number] = call()
            except Exception as error:  # the test judges it, whatever it is
                results[number] = error
            finally:
                connections.close_all()

        threads = [threading.Thread(target=one, args=pair, daemon=True) for pair in enumerate(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=seconds)
        if any(thread.is_alive() for thread in threads):
            raise TimeoutError(f"A call did not end within {seconds:.0f} s.")
        return results
