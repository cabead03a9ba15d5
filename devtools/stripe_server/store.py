"""What the test server remembers: one table of rows, in memory, written through to SQLite when there is a folder.

Every request runs under `Store.lock` and ends with `commit()`: the rows it touched are written in one transaction
before the answer leaves, so a killed server comes back with exactly what it acknowledged.
"""

from __future__ import annotations

import copy
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import Json

_SCHEMA = """
CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, kind TEXT NOT NULL, seq INTEGER NOT NULL,
                                 body TEXT NOT NULL, hidden TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass
class Row:
    """One stored thing. `body` is what the API shows; `hidden` is what only this server knows about it."""

    id: str
    kind: str
    seq: int
    body: Json
    hidden: Json = field(default_factory=dict)


class Store:
    """All rows by id and by kind, a clock that tests may move, and the write-through file."""

    def __init__(self, folder: Path | None = None) -> None:
        self.lock = threading.RLock()
        self.changed: Callable[[], None] = lambda: None
        self._rows: dict[str, Row] = {}
        self._by_kind: dict[str, dict[str, Row]] = {}
        self._dirty: dict[str, Row | None] = {}
        self._seq = 0
        self._skew = 0.0
        self._file = _open(folder) if folder else None
        if self._file:
            self._load(self._file)

    def now(self) -> int:
        """Seconds since 1970 on this server's clock, which `advance` moves forward."""
        return int(self.clock())

    def clock(self) -> float:
        """The same with fractions."""
        return time.time() + self._skew

    def advance(self, seconds: float) -> None:
        """Move the clock. It is not kept over a restart."""
        self._skew += seconds

    def add(self, kind: str, object_id: str, body: Json, **hidden: Any) -> Row:
        """Store a new row."""
        self._seq += 1
        row = Row(object_id, kind, self._seq, body, dict(hidden))
        self._place(row)
        self.touch(row)
        return row

    def touch(self, row: Row) -> None:
        """Say that a row changed, so that the next commit writes it."""
        self._dirty[row.id] = row

    def remove(self, row: Row) -> None:
        """Forget a row."""
        self._rows.pop(row.id, None)
        self._by_kind.get(row.kind, {}).pop(row.id, None)
        self._dirty[row.id] = None

    def find(self, kind: str, object_id: str) -> Row | None:
        """The row of that kind and id, or None."""
        return self._by_kind.get(kind, {}).get(object_id)

    def every(self, kind: str) -> Iterator[Row]:
        """All rows of a kind, newest first: the order of Stripe's lists."""
        return reversed(list(self._by_kind.get(kind, {}).values()))

    def oldest_first(self, kind: str) -> list[Row]:
        """All rows of a kind in the order they were made."""
        return list(self._by_kind.get(kind, {}).values())

    def clear(self) -> None:
        """Forget everything and set the clock right."""
        with self.lock:
            for row in list(self._rows.values()):
                self.remove(row)
            self._skew = 0.0
            self.commit()

    def commit(self) -> None:
        """Write what changed, all of it or nothing, and wake whoever waits for news."""
        if self._dirty and self._file:
            with self._file:
                self._file.executemany("DELETE FROM rows WHERE id = ?", [(i,) for i in self._dirty])
                self._file.executemany(
                    "INSERT INTO rows (id, kind, seq, body, hidden) VALUES (?, ?, ?, ?, ?)",
                    [
                        (row.id, row.kind, row.seq, json.dumps(row.body), json.dumps(row.hidden))
                        for row in self._dirty.values()
                        if row is not None
                    ],
                )
        self._dirty.clear()
        self.changed()

    def setting(self, name: str, default: str) -> str:
        """A value kept in the file from the first start on (the default when there is no file)."""
        if self._file is None:
            return default
        with self._file:
            self._file.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)", (name, default))
        found: tuple[str] = self._file.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return found[0]

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            if self._file:
                self._file.close()
                self._file = None

    def _place(self, row: Row) -> None:
        self._rows[row.id] = row
        self._by_kind.setdefault(row.kind, {})[row.id] = row

    def _load(self, file: sqlite3.Connection) -> None:
        for object_id, kind, seq, body, hidden in file.execute(
            "SELECT id, kind, seq, body, hidden FROM rows ORDER BY seq"
        ):
            self._place(Row(object_id, kind, seq, json.loads(body), json.loads(hidden)))
            self._seq = max(self._seq, seq)


def _open(folder: Path) -> sqlite3.Connection:
    folder.mkdir(parents=True, exist_ok=True)
    file = sqlite3.connect(
        folder / "stripe.sqlite3", check_same_thread=False
    )  # every use is under Store.lock
    file.execute("PRAGMA journal_mode=WAL")
    file.execute("PRAGMA synchronous=FULL")
    file.executescript(_SCHEMA)
    return file


def snapshot(body: Json) -> Json:
    """A copy that later changes do not reach."""
    return copy.deepcopy(body)
