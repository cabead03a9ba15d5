"""The judge: each app registers the invariants it must keep; `manage.py verify` runs them all and changes nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

Find = Callable[[datetime], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Invariant:
    """A code (I1…), its sentence, and the function that yields a line per break."""

    code: str
    sentence: str
    find: Find


_invariants: list[Invariant] = []


def invariant(code: str, sentence: str) -> Callable[[Find], Find]:
    """Register a check: `@invariant("I1", "No two active claims overlap on a Resource")`; several may share a code."""

    def decorate(find: Find) -> Find:
        _invariants.append(Invariant(code, sentence, find))
        return find

    return decorate


def invariants() -> list[Invariant]:
    """All registered invariants by the number of their code."""
    return sorted(_invariants, key=lambda item: (int(item.code.removeprefix("I")), item.sentence))
