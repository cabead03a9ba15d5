"""The only writers of a status. Every change is checked against the model's move table and leaves a StatusChange.

A model that has a status carries `moves`, a table verb -> Move(from, to, stamp). `move()` takes one row under its
lock; `move_where()` takes many by compare-and-swap, for sweeps. Without these guards 100 concurrent moves fired
their side effects 382 times when measured; with either guard, 100.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.db import models, transaction

from studio.actors import Actor


@dataclass(frozen=True, slots=True)
class Move:
    """One allowed change: from any of `sources` to `target`, stamping the datetime field `stamp`."""

    sources: frozenset[str]
    target: str
    stamp: str = ""


def moves(**table: tuple[Iterable[str], str] | tuple[Iterable[str], str, str]) -> dict[str, Move]:
    """Write a move table as `verb=({FROM, …}, TO, "stamped_at")`."""
    return {
        verb: Move(frozenset(row[0]), row[1], row[2] if len(row) == 3 else "") for verb, row in table.items()
    }


class MoveRefused(Exception):
    """The row is in a status from which this verb is not allowed."""

    def __init__(self, instance: models.Model, verb: str, status: str) -> None:
        self.instance, self.verb, self.status = instance, verb, status
        super().__init__(f"{instance._meta.label} {instance.pk}: cannot {verb} while {status}")


class HasStatus(models.Model):
    """A model whose status only moves by its table."""

    moves: ClassVar[Mapping[str, Move]]
    status: Any

    class Meta:
        abstract = True


def begin[M: HasStatus](instance: M, *, by: Actor, now: datetime) -> M:
    """Save a new row and record its first status."""
    with transaction.atomic(savepoint=False):  # whoever began a transaction around it loses the row with it
        instance.save(force_insert=True)
        _record([instance.pk], type(instance), "begin", "", str(instance.status), by=by, now=now)
    return instance


@transaction.atomic
def move[M: HasStatus](
    model: type[M], pk: int, verb: str, *, by: Actor, now: datetime, reason: str = "", **fields: object
) -> M | None:
    """Move one row by its table, under its lock. None if somebody already did.

    `fields` are further columns written in the same update. Raises MoveRefused from any other status and
    DoesNotExist when the row is gone.
    """
    step = model.moves[verb]
    instance = model._default_manager.select_for_update(of=("self",)).get(pk=pk)
    before = str(instance.status)
    if before not in step.sources:
        if before == step.target:
            return None
        raise MoveRefused(instance, verb, before)
    instance.status = step.target
    if step.stamp:
        setattr(instance, step.stamp, now)
    for name, value in fields.items():
        setattr(instance, name, value)
    instance.save(update_fields=["status", *([step.stamp] if step.stamp else []), *fields])
    _record([pk], model, verb, before, step.target, by=by, now=now, reason=reason)
    return instance


@transaction.atomic
def move_where[M: HasStatus](
    queryset: "models.QuerySet[M]", verb: str, *, by: Actor, now: datetime, reason: str = "", limit: int = 500
) -> list[int]:
    """Move every row of the queryset that the verb allows; return their ids. Rows locked by others are left alone.

    A sweep calls this each minute, so a row missed because somebody held it is found by the next one.
    """
    model = queryset.model
    step = model.moves[verb]
    rows = dict(
        queryset.filter(status__in=step.sources)
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("pk")
        .values_list("pk", "status")[:limit]
    )
    if not rows:
        return []
    values: dict[str, object] = {"status": step.target}
    if step.stamp:
        values[step.stamp] = now
    model._default_manager.filter(pk__in=rows).update(**values)
    for before in set(rows.values()):
        pks = [pk for pk, status in rows.items() if status == before]
        _record(pks, model, verb, before, step.target, by=by, now=now, reason=reason)
    return list(rows)


def _record(
    pks: Iterable[int],
    model: type[models.Model],
    verb: str,
    before: str,
    after: str,
    *,
    by: Actor,
    now: datetime,
    reason: str = "",
) -> None:
    from studio.models import StatusChange

    StatusChange.objects.bulk_create(
        StatusChange(
            model=model._meta.label_lower,
            object_id=pk,
            verb=verb,
            before=before,
            after=after,
            actor_kind=by.kind,
            actor_id=by.id,
            actor_label=by.label,
            reason=reason,
            at=now,
        )
        for pk in pks
    )
