"""Things done at the same moment by people who do not share a connection."""

import threading
from collections.abc import Callable, Sequence

from django.db import connections


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
