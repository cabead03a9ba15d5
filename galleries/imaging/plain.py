"""Dataclasses to JSON values and back, for the pipe to the child. No pickles: the child reads hostile files."""

from __future__ import annotations

import dataclasses
import types
import typing
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import Path


def to_plain(value: object) -> object:
    """JSON values of a dataclass, or of what one holds."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def from_plain[T](kind: type[T], value: object) -> T:
    """A value of the given type from JSON values. Raises ValueError or TypeError when it does not fit."""
    return typing.cast(T, _build(kind, value))


@cache
def _hints(kind: type) -> dict[str, typing.Any]:
    return typing.get_type_hints(kind)


def _build(kind: typing.Any, value: typing.Any) -> typing.Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, types.UnionType) or origin is typing.Union:
        if value is None and type(None) in inner:
            return None
        return _build(next(one for one in inner if one is not type(None)), value)
    if origin is tuple:
        if inner[-1:] == (Ellipsis,):
            return tuple(_build(inner[0], item) for item in value)
        return tuple(_build(one, item) for one, item in zip(inner, value, strict=True))
    if origin is dict:
        return {str(key): _build(inner[1], item) for key, item in value.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        return kind(**{name: _build(hints[name], item) for name, item in value.items()})
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and issubclass(kind, Path | Enum):
        return kind(value)
    if kind is typing.Any or kind is object or isinstance(value, kind):
        return value
    raise TypeError(f"{value!r} is not {kind}")
