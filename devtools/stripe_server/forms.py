"""Stripe's request bodies: form encoding with nested brackets, `line_items[0][price_data][currency]=usd`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from .errors import Json, StripeFault

_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_PART = re.compile(r"\[([^\[\]]*)\]")
MAX_DEPTH = 12


def decode_form(text: str) -> Json:
    """Nested dictionaries of strings. Arrays stay dictionaries with the keys "0", "1", …: only the schema knows
    which of them are lists. Raises `StripeFault` for a body that cannot be read."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=2000)
    except (ValueError, UnicodeDecodeError):
        raise StripeFault("Invalid request: the form cannot be decoded.", kept=False) from None
    out: Json = {}
    for key, value in pairs:
        _put(out, _path(key), value, key)
    return out


def _path(key: str) -> list[str]:
    match = _KEY.match(key)
    if match is None:
        raise StripeFault(f"Invalid parameter name: {key}", param=key, kept=False)
    path = [match[1], *_PART.findall(match[2])]
    if len(path) > MAX_DEPTH:
        raise StripeFault(f"Parameter nested too deeply: {key}", param=key, kept=False)
    return path


def _put(out: Json, path: list[str], value: str, key: str) -> None:
    here: Json = out
    for part in path[:-1]:
        name = part if part != "" else str(len(here))
        deeper: Any = here.setdefault(name, {})
        if not isinstance(deeper, dict):
            raise StripeFault(f"Invalid object: {key}", param=key, kept=False)
        here = deeper
    last = path[-1] if path[-1] != "" else str(len(here))
    if isinstance(here.get(last), dict):
        raise StripeFault(f"Invalid string: {key}", param=key, kept=False)
    here[last] = value
