"""Which parameters Stripe knows, and of what type: read from stripe-python's own parameter types.

stripe-python generates `stripe.params.*Params` from Stripe's OpenAPI file. A parameter that is not in them is
unknown to Stripe, so it is refused as Stripe refuses it, and the values are turned into the declared types on the way.
"""

from __future__ import annotations

import importlib
import re
import sys
import typing
from functools import cache
from types import UnionType
from typing import Any, ForwardRef, Literal, NotRequired, Required, Union

from stripe._request_options import RequestOptions
from typing_extensions import is_typeddict

from .errors import Json, StripeFault, bad_param, missing_param

_OPTIONS = frozenset(RequestOptions.__annotations__)  # api_key, idempotency_key …: never sent as parameters
# What older versions of the API knew and stripe-python's own version does not any more. Stripe's CLI names no version,
# so its requests are read as those of the account's, which is older.
OLDER: dict[str, dict[str, Any]] = {
    "checkout.SessionCreateParams": {"payment_method_types": list[str]},
    "PaymentIntentCreateParams": {"payment_method_types": list[str]},
}
_WHOLE = re.compile(r"^-?\d{1,18}$")


@cache
def params_class(dotted: str) -> type:
    """`"checkout.SessionCreateParams"` → `stripe.params.checkout.SessionCreateParams`."""
    module, _, name = f"stripe.params.{dotted}".rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


@cache
def fields_of(cls: type) -> dict[str, Any]:
    """Parameter name → resolved annotation, without the request options that share the class."""
    space = vars(sys.modules[cls.__module__])
    return {k: _resolve(v, space) for k, v in cls.__annotations__.items() if k not in _OPTIONS}


def _resolve(hint: Any, space: dict[str, Any]) -> Any:
    """Evaluate a hint that may be a string, a forward reference or wrapped in NotRequired."""
    if isinstance(hint, str):
        return _resolve(eval(hint, space), space)  # stripe-python's own source, never input
    if isinstance(hint, ForwardRef):
        return _resolve(hint.__forward_arg__, space)
    origin = typing.get_origin(hint)
    if origin in (NotRequired, Required, typing.NotRequired, typing.Required):
        return _resolve(typing.get_args(hint)[0], space)
    if origin in (Union, UnionType):
        members = [_resolve(member, space) for member in typing.get_args(hint)]
        return Union[tuple(members)]  # noqa: UP007 -- built at run time
    if origin is list:
        return list[_resolve(typing.get_args(hint)[0], space)]  # type: ignore[misc]
    return hint


def read_params(raw: Json, cls: type, *, also: dict[str, Any] | None = None) -> Json:
    """The parameters in their declared types. Raises Stripe's own errors for what does not fit.

    `also` has further top-level parameters: those of an older version, or of Stripe's own page and CLI.
    """
    return _read_object(raw, cls, "", also or {})


def _read_object(raw: Json, cls: type, path: str, also: dict[str, Any]) -> Json:
    fields = {**fields_of(cls), **also}
    unknown = [_join(path, name) for name in raw if name not in fields]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise bad_param(
            f"Received unknown parameter{plural}: {', '.join(unknown)}",
            param=unknown[0],
            code="parameter_unknown",
        )
    required: frozenset[str] = getattr(cls, "__required_keys__", frozenset())
    for name in sorted(required - _OPTIONS):
        if name not in raw:
            raise missing_param(_join(path, name))
    return {name: _read(value, fields[name], _join(path, name)) for name, value in raw.items()}


def _read(value: Any, hint: Any, path: str) -> Any:
    members = _members(hint)
    if value == "" and not _may_be_empty(members):
        raise bad_param(
            f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a field; "
            f"however '{path}' cannot be unset. You should remove '{path}' from your request or supply a "
            "non-empty value.",
            param=path,
            code="parameter_invalid_empty",
        )
    if value == "":
        return ""
    problem: StripeFault | None = None
    for member in sorted(_closed(members), key=_strictness):
        try:
            return _read_as(value, member, path)
        except _DoesNotFit as misfit:
            problem = problem or misfit.fault
    raise problem or bad_param(f"Invalid value for {path}", param=path)


class _DoesNotFit(Exception):
    """The value is not of this kind; another member of the union may take it."""

    def __init__(self, fault: StripeFault) -> None:
        self.fault = fault


def _read_as(value: Any, kind: Any, path: str) -> Any:
    origin = typing.get_origin(kind)
    if is_typeddict(kind):
        return _read_object(_need_dict(value, path), kind, path, {})
    if origin is list:
        inner = typing.get_args(kind)[0]
        items = _need_items(value, path)
        return [_read(item, inner, f"{path}[{number}]") for number, item in enumerate(items)]
    if origin is dict or kind is dict or _is_untyped_object(kind):
        return _need_dict(value, path)
    if isinstance(value, dict):
        raise _DoesNotFit(bad_param(f"Invalid string: {path}", param=path))
    if origin is Literal:
        return _read_literal(value, typing.get_args(kind), path)
    if kind is bool:
        return _read_bool(value, path)
    if kind is int:
        if not _WHOLE.match(value):
            raise _DoesNotFit(
                bad_param(f"Invalid integer: {value}", param=path, code="parameter_invalid_integer")
            )
        return int(value)
    return value


def _read_literal(value: str, allowed: tuple[Any, ...], path: str) -> Any:
    if value == "true" and True in allowed:
        return True
    if value in allowed:
        return value
    words = [str(word) for word in allowed if word != ""]
    choice = (
        words[0] if len(words) == 1 else f"{', '.join(words[:-1])}, or {words[-1]}" if words else "nothing"
    )
    raise _DoesNotFit(bad_param(f"Invalid {path}: must be one of {choice}", param=path))


def _read_bool(value: str, path: str) -> bool:
    if value not in ("true", "false"):
        raise _DoesNotFit(bad_param(f"Invalid boolean: {value}", param=path))
    return value == "true"


def _need_dict(value: Any, path: str) -> Json:
    if not isinstance(value, dict):
        raise _DoesNotFit(bad_param("Invalid object", param=path))
    return value


def _need_items(value: Any, path: str) -> list[Any]:
    if not isinstance(value, dict) or not all(key.isdigit() for key in value):
        raise _DoesNotFit(bad_param("Invalid array", param=path))
    return [value[key] for key in sorted(value, key=int)]


def _members(hint: Any) -> list[Any]:
    if typing.get_origin(hint) in (Union, UnionType):
        return [inner for member in typing.get_args(hint) for inner in _members(member)]
    return [hint]


def _may_be_empty(members: list[Any]) -> bool:
    return any(typing.get_origin(m) is Literal and "" in typing.get_args(m) for m in members)


def _closed(members: list[Any]) -> list[Any]:
    """stripe-python writes enumerations as `Literal['a', 'b']|str`, open to the words of later versions. This server
    is of this version, so the plain string goes; so does the empty word, which `_read` has dealt with."""
    words = {word for m in members if typing.get_origin(m) is Literal for word in typing.get_args(m)} - {""}
    return [
        m
        for m in members
        if not (m is str and words) and not (typing.get_origin(m) is Literal and typing.get_args(m) == ("",))
    ]


def _is_untyped_object(kind: Any) -> bool:
    return getattr(typing.get_origin(kind) or kind, "__name__", "") == "UntypedStripeObject"


def _strictness(kind: Any) -> int:
    """Try the narrow members first."""
    if kind is str:
        return 9
    return 5 if kind in (int, bool) else 1


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name
